"""Saved runs as a table of text."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_tfthreads.core.format import NOTHING
from pytest_tfthreads.history.commits import Commits
from pytest_tfthreads.history.series import Facts, Run
from pytest_tfthreads.history.timeline import commit_words, letter, machine_words
from pytest_tfthreads.report.table import table

_HEADERS = ("Run", "Name", "Date", "Commit", "Machine", "TensorFlow", "Tests", "Problems")
_FIGURES = (6,)
_MINUTES = len("2026-11-23T12:34")


def render(runs: Sequence[Run], commits: Commits) -> list[str]:
    """Lines of text: the runs in the order given, then the machines that they name by letter."""
    machines = list(dict.fromkeys(machine for run in runs for machine in machines_of(run)))
    letters = {machine: letter(index) for index, machine in enumerate(machines)}
    rows = [
        [
            run.number or NOTHING,
            run.name,
            run.datetime[:_MINUTES].replace("T", " "),
            commit_words(run, commits),
            ", ".join(letters[machine] for machine in machines_of(run)),
            ", ".join(versions_of(run, "tensorflow")) or NOTHING,
            str(len(run.points)),
            _odd(run),
        ]
        for run in runs
    ]
    notes = [f"machine {name}: {machine_words(one)}" for one, name in letters.items()]
    return [*table(_HEADERS, rows, _FIGURES), *notes]


def machines_of(run: Run) -> list[Facts]:
    """The machines on which its tests were measured: as a rule one."""
    return list(dict.fromkeys(point.machine for point in run.all_points))


def versions_of(run: Run, name: str) -> list[str]:
    """The versions with which its tests were measured: as a rule one."""
    found = (point.versions.get(name) for point in run.all_points)
    return list(dict.fromkeys(version for version in found if version))


def _odd(run: Run) -> str:
    odd = []
    if run.regressed:
        odd.append(f"{len(run.regressed)} regressed")
    if run.failed:
        odd.append(f"{len(run.failed)} failed")
    if not run.complete:
        odd.append("incomplete")
    return ", ".join(odd)
