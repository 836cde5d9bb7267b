"""`pytest-tfthreads report`: a saved run as an HTML page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.output import check_page, print_lines, write_page
from pytest_tfthreads.commands.parsers import Commands, add_command, to_tolerance
from pytest_tfthreads.commands.saved import add_runs, read_runs
from pytest_tfthreads.core.baseline import StoredRun, history_of, short_commit
from pytest_tfthreads.core.recommendation import recommend
from pytest_tfthreads.core.recorded import Recorded, read_recorded
from pytest_tfthreads.core.stored_tests import StoredTest, stored_tests
from pytest_tfthreads.core.verdict import Policy, Verdict, judge_all
from pytest_tfthreads.report.html.content import MeasuredCase, RunContent, Subject
from pytest_tfthreads.report.html.document import render

_EXAMPLE = """\
example:
  pytest-tfthreads report -o report.html
  pytest-tfthreads report .benchmarks/*/0001_release.json .benchmarks/*/0007_main.json

Figures are drawn by plotly: pip install 'pytest-tfthreads[report]'
"""
_OUTPUT = "report.html"
_MOST_RUNS = 31  # more of them teach a machine's drift no better, and take time to read


def add_to(commands: Commands) -> None:
    """Put the command on the line."""
    report = add_command(
        commands,
        "report",
        _report,
        help="write a saved run as one HTML page",
        description="Write the last run as an HTML page that needs no network. It is judged by the "
        "runs before it: of files that are named as `compare` does, of a storage as "
        "--benchmark-compare does.",
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
    report.add_argument(
        "--tolerance",
        type=to_tolerance,
        default={},
        metavar="P",
        help="loss of speed that is tolerated: 5%% (the default), or throughput=5%%,"
        "cpu_efficiency=10%%",
    )


def _report(options: argparse.Namespace) -> int:
    check_page(options.output, "-o")
    *before, now = read_runs(options, _MOST_RUNS)
    policy = Policy().with_tolerance(options.tolerance)
    recorded = read_recorded(Path(now.label))
    try:
        verdicts = _verdicts(now, before, bool(options.runs), policy, recorded)
        page = render(_content(now, recorded, verdicts))
    # Each figure of a file may be a number, and their ratios none.
    except (ArithmeticError, ValueError) as error:
        raise CommandError(f"{now.label}: its speeds cannot be compared: {error}") from error
    write_page(options.output, page, "-o")
    print_lines([f"Wrote {options.output}: {now.title}"])
    return 0


def _content(
    now: StoredRun, recorded: Recorded, verdicts: Mapping[str, Sequence[Verdict]]
) -> RunContent:
    tests = stored_tests(now.measurements, recorded.parameters)
    return RunContent(
        when=now.datetime,
        source=now.label,
        subjects=tuple(_subject(test, now, verdicts, recorded) for test in tests),
        commit=short_commit(now.commit, now.dirty),
        failures=dict.fromkeys(sorted(now.failed), ""),
        complete=now.complete,
    )


def _verdicts(
    now: StoredRun,
    before: Sequence[StoredRun],
    named: bool,
    policy: Policy,
    recorded: Recorded,
) -> Mapping[str, Sequence[Verdict]]:
    """By test: of those that ran beside their baseline the recorded ones, which nobody can remake.

    So too where there is no other run to judge by.
    """
    if not before:
        return recorded.verdicts
    verdicts = {test: recorded.verdicts.get(test, ()) for test in now.pairs}
    judged = judge_all(
        [
            (test, measurement, history_of(before, test, measurement, named))
            for test, measurement in now.measurements.items()
            if test not in now.pairs
        ],
        policy,
    )
    for verdict in judged:
        verdicts[verdict.test] = (*verdicts.get(verdict.test, ()), verdict)
    return verdicts


def _subject(
    test: StoredTest,
    now: StoredRun,
    verdicts: Mapping[str, Sequence[Verdict]],
    recorded: Recorded,
) -> Subject:
    cases = tuple(
        MeasuredCase(
            nodeid,
            candidate,
            tuple(verdicts.get(nodeid, ())),
            now.pairs.get(nodeid, ()),
            recorded.traces.get(nodeid),
        )
        for nodeid, candidate in test.candidates.items()
    )
    # Those of a duet took turns with their baselines, not with each other.
    is_sweep = len(cases) > 1 and not any(case.pairs for case in cases)
    candidates = [case.candidate for case in cases]
    return Subject(test.test, cases, recommend(test.test, candidates) if is_sweep else None)
