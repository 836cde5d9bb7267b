"""Saved runs as a table of text."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_tfthreads.core.format import NOTHING
from pytest_tfthreads.history.commits import Commits
from pytest_tfthreads.history.entries import Entry
from pytest_tfthreads.history.timeline import commit_words, letter, machine_words
from pytest_tfthreads.report.table import table

_HEADERS = ("Run", "Name", "Date", "Commit", "Machine", "TensorFlow", "Tests", "Problems")
_FIGURES = (6,)
_MINUTES = len("2026-11-23T12:34")


def render(runs: Sequence[Entry], commits: Commits) -> list[str]:
    """Lines of text: the runs in the order given, then the machines that they name by letter."""
    machines = list(dict.fromkeys(machine for run in runs for machine in run.machines))
    letters = {machine: letter(index) for index, machine in enumerate(machines)}
    rows = [
        [
            run.number or NOTHING,
            run.name,
            run.datetime[:_MINUTES].replace("T", " "),
            commit_words(run, commits),
            ", ".join(letters[machine] for machine in run.machines),
            ", ".join(run.tensorflow) or NOTHING,
            str(run.tests),
            _odd(run),
        ]
        for run in runs
    ]
    notes = [f"machine {name}: {machine_words(one)}" for one, name in letters.items()]
    return [*table(_HEADERS, rows, _FIGURES), *notes]


def _odd(run: Entry) -> str:
    odd = []
    if run.regressed:
        odd.append(f"{len(run.regressed)} regressed")
    if run.failed:
        odd.append(f"{len(run.failed)} failed")
    if not run.complete:
        odd.append("incomplete")
    return ", ".join(odd)
