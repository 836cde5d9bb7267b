"""`pytest-tfthreads report`: a saved run as an HTML page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.output import check_page, print_lines, write_page
from pytest_tfthreads.commands.parsers import Commands, add_command, add_tolerance
from pytest_tfthreads.commands.saved import THEIR_TOLERANCE, add_runs, read_runs
from pytest_tfthreads.commands.sweeps import advice, groups_of
from pytest_tfthreads.core.gate.evidence import history_of
from pytest_tfthreads.core.gate.verdict import Policy, Verdict, judge_all
from pytest_tfthreads.core.saved_runs import StoredMeasurement, StoredRun, short_commit
from pytest_tfthreads.core.storage import ENOUGH_FOR_DRIFT
from pytest_tfthreads.history.over_releases import with_releases
from pytest_tfthreads.report.html.content import MeasuredCase, RunContent, Subject
from pytest_tfthreads.report.html.document import render

_EXAMPLE = """\
examples:
  pytest-tfthreads report -o report.html
  pytest-tfthreads report 0007
  pytest-tfthreads report .benchmarks/*/0001_release.json .benchmarks/*/0007_main.json

Figures are drawn by plotly: pip install 'plotly>=6.0' orjson
"""
_OUTPUT = "report.html"


def add_to(commands: Commands) -> None:
    """Register the sub-command with its options."""
    report = add_command(
        commands,
        "report",
        _report,
        help="write a saved run as one HTML page",
        description="Write a saved run as an HTML page that needs no network. If you name runs, "
        "the last is judged by those before it, as `compare` does. If you name none, the latest "
        "run of the storage is judged, as --benchmark-compare does.",
        epilog=_EXAMPLE,
    )
    add_runs(report)
    report.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(_OUTPUT),
        metavar="FILE",
        help=f"the page (default: {_OUTPUT})",
    )
    add_tolerance(report, "loss of speed that is tolerated", THEIR_TOLERANCE)


def _report(options: argparse.Namespace) -> int:
    check_page(options.output, "-o")
    before, now = read_runs(options, ENOUGH_FOR_DRIFT + 1)
    policy = Policy().with_tolerance(options.tolerance)
    try:
        verdicts = _verdicts(now, before, bool(options.runs), policy, options.tolerance)
        page = render(with_releases(_content(now, verdicts), options.storage))
    # Each figure of a file may be a number, and their ratios none.
    except (ArithmeticError, ValueError) as error:
        raise CommandError(f"{now.label}: its speeds cannot be compared: {error}") from error
    write_page(options.output, page, "-o")
    print_lines([f"Wrote {options.output}: {now.title}"])
    return 0


def _content(now: StoredRun, verdicts: Mapping[str, Sequence[Verdict]]) -> RunContent:
    return RunContent(
        when=now.datetime,
        source=now.label,
        subjects=tuple(
            _subject(group, members, verdicts) for group, members in groups_of(now).items()
        ),
        commit=short_commit(now.commit, now.dirty),
        failures=dict.fromkeys(sorted(now.failed), ""),
        complete=now.complete,
    )


def _verdicts(
    now: StoredRun,
    before: Sequence[StoredRun],
    named: bool,
    policy: Policy,
    asked: Mapping[str, float],
) -> Mapping[str, Sequence[Verdict]]:
    """By name: of those that ran beside their baseline the recorded ones, which nobody can remake.

    So too where there is no other run to judge by. A test tolerates what is `asked` for, else what
    it tolerated when it was judged.
    """
    stored = [(test, one) for test, several in now.tests.items() for one in several]
    if not before:
        return {one.name: one.verdicts for _, one in stored}
    verdicts = {one.name: one.verdicts for _, one in stored if one.pairs}
    judged = judge_all(
        [
            (one.name, one.measurement, history_of(before, test, one.measurement, named))
            for test, one in stored
            if not one.pairs
        ],
        policy,
        {one.name: {**one.tolerance, **asked} for _, one in stored},
    )
    for verdict in judged:
        verdicts[verdict.test] = (*verdicts.get(verdict.test, ()), verdict)
    return verdicts


def _subject(
    group: str, members: Sequence[StoredMeasurement], verdicts: Mapping[str, Sequence[Verdict]]
) -> Subject:
    cases = tuple(
        MeasuredCase(
            member.name,
            member.candidate,
            tuple(verdicts.get(member.name, ())),
            member.pairs,
            member.traces,
            took_turns_with_baseline=member.took_turns_with_baseline,
        )
        for member in members
    )
    return Subject(group, cases, advice(group, members))
