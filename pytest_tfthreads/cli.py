"""The command `pytest-tfthreads`: what can be said of saved runs without running anything."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pytest_tfthreads import __version__
from pytest_tfthreads.core.baseline import BaselineError, StoredRun, history_of, read_run
from pytest_tfthreads.core.tolerance import parse_tolerance
from pytest_tfthreads.core.verdict import FAILING, Policy, Verdict, judge_all
from pytest_tfthreads.report.verdicts import render

USAGE_ERROR = 2

_COMPARE_EXAMPLE = """\
example:
  pytest-tfthreads compare .benchmarks/*/0001_release.json .benchmarks/*/0007_main.json

exit code: 0 where nothing fails, 1 where a verdict of --fail-on was given, 2 where a file or an
option cannot be used
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its code."""
    options = _parser().parse_args(arguments)
    try:
        sys.exit(_compare(options))
    except BaselineError as error:
        print(f"pytest-tfthreads: error: {error}", file=sys.stderr)
        sys.exit(USAGE_ERROR)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-tfthreads", description="What saved runs of tf_threads tests say."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    compare = commands.add_parser(
        "compare",
        help="judge one saved run by others, as the gate does",
        description="Judge the last run by those before it (files of --benchmark-save or "
        "--benchmark-json, oldest first); the one before the last is the baseline, and the earlier "
        "ones teach how far unchanged code drifts on that machine.",
        epilog=_COMPARE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="two files or more")
    compare.add_argument(
        "--tolerance",
        type=_tolerance,
        default={},
        metavar="P",
        help="loss of speed that is tolerated: 5%% (the default), or throughput=5%%,"
        "cpu_efficiency=10%%",
    )
    compare.add_argument(
        "--fail-on",
        type=_fail_on,
        default=frozenset({"regression"}),
        metavar="LIST",
        help=f"verdicts that make the exit code 1, of {', '.join(FAILING)} (default: regression)",
    )
    compare.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    return parser


def _compare(options: argparse.Namespace) -> int:
    if len(options.runs) < len(("baseline", "candidate")):
        raise BaselineError("compare takes two saved runs or more, oldest first")
    *before, now = (read_run(path) for path in options.runs)
    policy = Policy(fail_on=options.fail_on).with_tolerance(options.tolerance)
    verdicts = judge_all(
        [
            (test, measurement, history_of(before, test, measurement, named=True))
            for test, measurement in now.measurements.items()
        ],
        policy,
    )
    if options.json:
        print(json.dumps([verdict.to_json() for verdict in verdicts], indent=2))
    else:
        print("\n".join([*render(verdicts), *_missing(before[-1], now)]))
    return int(any(map(policy.fails, verdicts)) or _nothing_judged(verdicts, policy))


def _missing(before: StoredRun, now: StoredRun) -> list[str]:
    """A test that is gone is no regression, but nobody should have to notice by himself."""
    gone = before.measurements.keys() - now.measurements.keys()
    return [f"  only in {before.label}: {test}" for test in sorted(gone)]


def _nothing_judged(verdicts: Sequence[Verdict], policy: Policy) -> bool:
    return "no-baseline" in policy.fail_on and all(one.change is None for one in verdicts)


def _tolerance(text: str) -> dict[str, float]:
    try:
        return parse_tolerance(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _fail_on(text: str) -> frozenset[str]:
    verdicts = frozenset(one.strip() for one in text.split(","))
    if unknown := sorted(verdicts - set(FAILING)):
        raise argparse.ArgumentTypeError(
            f"{', '.join(map(repr, unknown))}: not in {', '.join(FAILING)}"
        )
    return verdicts
