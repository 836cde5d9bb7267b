"""`pytest-tfthreads recommend`: the recommended configuration as what a deployment reads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.output import print_lines
from pytest_tfthreads.commands.parsers import Commands, add_command
from pytest_tfthreads.commands.saved import RUN_HELP, add_directory, read_runs
from pytest_tfthreads.commands.sweeps import advice, groups_of, is_sweep
from pytest_tfthreads.core.format import one_line, with_bounds
from pytest_tfthreads.core.saved_runs import StoredRun
from pytest_tfthreads.core.sweep.deployment import Deployment, deployment_of, differences
from pytest_tfthreads.core.sweep.recommendation import Recommendation
from pytest_tfthreads.platforms import can_measure
from pytest_tfthreads.report.deployment import FORMATS, render
from pytest_tfthreads.system.machine import Machine, allowed_cpus

_EXAMPLE = """\
examples:
  pytest-tfthreads recommend > launch.sh && sh launch.sh python serve.py
  pytest-tfthreads recommend 0007 test_model.py::test_predict --format=systemd
  pytest-tfthreads recommend test_model.py::test_predict --format=env > threads.env
"""


def add_to(commands: Commands) -> None:
    """Register the sub-command with its options."""
    parser = add_command(
        commands,
        "recommend",
        _recommend,
        help="print the recommended configuration as what a deployment reads",
        description="Print the configuration that is recommended for a swept test of a saved run, "
        "by the same rules as the summary and the report.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "one_run",
        nargs="?",
        metavar="RUN",
        help=f"one of: {RUN_HELP} (default: the last of --storage)",
    )
    parser.add_argument(
        "test",
        nargs="?",
        metavar="TEST",
        help="the test, as test_model.py::test_predict (default: the only one that was swept)",
    )
    add_directory(parser)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="shell",
        metavar="F",
        help="a script that launches pinned processes (shell, the default), a file of environment "
        "variables (env), a drop-in of a unit (systemd), a patch of a Deployment (kubernetes), "
        "or all facts (json)",
    )


def _recommend(options: argparse.Namespace) -> int:
    run, test = options.one_run, options.test
    if run and not test and "::" in run and not Path(run).exists():
        run, test = None, run  # a test of the last run
    options.runs = [run] if run else []
    _, now = read_runs(options, 1)
    try:
        recommendation = _advice(now, test)
    except (ArithmeticError, ValueError) as error:
        raise CommandError(f"{now.label}: its speeds cannot be compared: {error}") from error
    deployment = deployment_of(recommendation)
    warnings = [one_line(one) for one in _warnings(deployment)]
    for warning in warnings:
        print(f"pytest-tfthreads: warning: {warning}", file=sys.stderr)
    print_lines([render(deployment, _why(recommendation), warnings, options.format)])
    return 0


def _advice(run: StoredRun, test: str | None) -> Recommendation:
    groups = groups_of(run)
    swept = [group for group, members in groups.items() if is_sweep(members)]
    if test is None:
        if not swept:
            raise CommandError(
                f"{run.label}: no test was swept; measure one in several configurations, as "
                "@pytest.mark.tf_threads(intra=[1, 2]), and save the run with --benchmark-save"
            )
        if len(swept) > 1:
            raise CommandError(
                f"{run.label}: {len(swept)} tests were swept; name one of them as TEST: "
                f"{', '.join(swept)}"
            )
        test = swept[0]
    elif test not in groups:
        known = ", ".join(swept) or "none"
        raise CommandError(f"{run.label}: {test} is not in it; tests that were swept: {known}")
    elif test not in swept:
        raise CommandError(
            f"{run.label}: {test} was not swept; measure it in several configurations, as "
            "@pytest.mark.tf_threads(intra=[1, 2]), without --tf-threads-duet"
        )
    found = advice(test, groups[test])
    if found is None:
        raise CommandError(
            f"{run.label}: no two configurations of {test} took turns, so none is recommended; "
            "measure them in one run, and leave --tf-threads-group as it is"
        )
    return found


def _why(recommendation: Recommendation) -> list[str]:
    measurement = recommendation.best.candidate.measurement
    lines = [f"throughput: {with_bounds(measurement.throughput)} {measurement.unit}/s"]
    gain = recommendation.gain
    if gain is not None and not gain.is_itself:
        over = "TensorFlow's default" if gain.over == "default" else gain.over
        lines.append(f"{with_bounds(gain.throughput.estimate)} times the throughput of {over}")
    return [*lines, *recommendation.limits]


def _warnings(deployment: Deployment) -> list[str]:
    if not can_measure():
        return ["this machine cannot be compared with the one that was measured: it has no Linux"]
    return differences(deployment, Machine.read().to_json(), allowed_cpus())
