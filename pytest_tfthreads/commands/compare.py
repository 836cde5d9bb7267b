"""`pytest-tfthreads compare`: one saved run judged by others, as the gate does."""

from __future__ import annotations

import argparse

from pytest_tfthreads.commands.output import Cell, bounds, print_csv, print_json, print_lines
from pytest_tfthreads.commands.parsers import (
    Commands,
    add_command,
    add_fail_on,
    add_formats,
    add_tolerance,
)
from pytest_tfthreads.commands.saved import RUN_HELP, THEIR_TOLERANCE, add_directory, named_files
from pytest_tfthreads.core.gate.evidence import history_of
from pytest_tfthreads.core.gate.verdict import FAILING, Policy, Verdict, judge_all
from pytest_tfthreads.core.saved_runs import BaselineError, StoredRun, read_run
from pytest_tfthreads.report.verdicts import render

_EXAMPLE = """\
examples:
  pytest-tfthreads compare 0001 0007
  pytest-tfthreads compare .benchmarks/*/0001_release.json .benchmarks/*/0007_main.json
  pytest-tfthreads compare --csv old.json new.json | cut -d, -f1-3

exit code: 0 where nothing fails, 1 where a verdict of --fail-on was given, 2 where a file or an
option cannot be used
"""

_COLUMNS = (
    "test",
    "metric",
    "status",
    "configuration",
    "unit",
    "baseline",
    "baseline_low",
    "baseline_high",
    "now",
    "now_low",
    "now_high",
    "change",
    "change_low",
    "change_high",
    "detectable",
    "tolerance",
    "reason",
    "judged_against",
)


def add_to(commands: Commands) -> None:
    """Register the sub-command with its options."""
    compare = add_command(
        commands,
        "compare",
        _compare,
        help="judge one saved run by others, as the gate does",
        description="Judge the last run by those before it, oldest first; the one before the last "
        "is the baseline, and the earlier ones teach how far unchanged code drifts there.",
        epilog=_EXAMPLE,
    )
    compare.add_argument("runs", nargs="+", metavar="RUN", help=f"two or more: {RUN_HELP}")
    add_directory(compare)
    add_tolerance(compare, "loss of speed that is tolerated", THEIR_TOLERANCE)
    add_fail_on(compare, "verdicts that make the exit code 1", FAILING)
    add_formats(compare, "the verdicts", "verdict")


def _compare(options: argparse.Namespace) -> int:
    files = named_files(options)
    if len(files) < len(("baseline", "candidate")):
        raise BaselineError(
            "compare needs two or more different saved runs, oldest first; `pytest-tfthreads list` "
            "shows their numbers"
        )
    *before, now = map(read_run, files)
    policy = Policy(fail_on=options.fail_on).with_tolerance(options.tolerance)
    verdicts = judge_all(
        [
            (one.name, one.measurement, history_of(before, test, one.measurement, named=True))
            for test, stored in now.tests.items()
            for one in stored
        ],
        policy,
        {
            one.name: {**one.tolerance, **options.tolerance}
            for stored in now.tests.values()
            for one in stored
        },
    )
    if options.json:
        print_json([verdict.to_json() for verdict in verdicts])
    elif options.csv:
        print_csv(_COLUMNS, map(_row, verdicts))
    else:
        print_lines([*render(verdicts), *_missing(before[-1], now)])
    return int(any(map(policy.fails, verdicts)) or policy.fails_run(verdicts))


def _row(verdict: Verdict) -> list[Cell]:
    change = verdict.change
    return [
        verdict.test,
        verdict.metric,
        verdict.status,
        verdict.configuration,
        verdict.unit,
        *bounds(verdict.baseline),
        *bounds(verdict.now),
        *((None,) * 3 if change is None else (change.value, change.low, change.high)),
        verdict.detectable,
        verdict.tolerance,
        verdict.reason,
        verdict.judged_against,
    ]


def _missing(before: StoredRun, now: StoredRun) -> list[str]:
    """A test that is gone is no regression, but it has to be pointed out."""
    gone = before.tests.keys() - now.tests.keys()
    return [f"  only in {before.label}: {test}" for test in sorted(gone)]
