"""`pytest-tfthreads recommend`: the recommended configuration as what a deployment reads."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.output import print_lines, tell
from pytest_tfthreads.commands.parsers import Commands, add_command
from pytest_tfthreads.commands.saved import (
    RUN_HELP,
    add_directory,
    read_backwards,
    read_runs,
    whole,
)
from pytest_tfthreads.commands.sweeps import advice, groups_of, is_sweep
from pytest_tfthreads.core.format import one_line, with_bounds
from pytest_tfthreads.core.node_ids import matcher
from pytest_tfthreads.core.saved_runs import BaselineError, StoredRun
from pytest_tfthreads.core.storage import Storage
from pytest_tfthreads.core.sweep.deployment import Deployment, deployment_of, differences
from pytest_tfthreads.core.sweep.recommendation import Recommendation, aliases_among
from pytest_tfthreads.platforms import can_measure
from pytest_tfthreads.report.deployment import FORMATS, render
from pytest_tfthreads.system.machine import Machine, allowed_cpus

_EXAMPLE = """\
examples:
  pytest-tfthreads recommend > launch.sh && sh launch.sh python serve.py
  pytest-tfthreads recommend 0007 test_predict --format=systemd
  pytest-tfthreads recommend test_predict --format=env > threads.env
"""


def add_to(commands: Commands) -> None:
    """Register the sub-command with its options."""
    parser = add_command(
        commands,
        "recommend",
        _recommend,
        help="print the recommended configuration in a format for deployments",
        description="Print the configuration that is recommended for a swept test of a saved run, "
        "by the same rules as the summary and the report.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "one_run",
        nargs="?",
        metavar="RUN",
        help=f"one of: {RUN_HELP} (default: the last of --storage in which TEST was swept)",
    )
    parser.add_argument(
        "test",
        nargs="?",
        metavar="TEST",
        help="the test: its name, a part of the name, a glob, or the id of one of its "
        "configurations; may stand alone (default: the only one that was swept)",
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
    named, test = options.one_run, options.test
    if named is not None and test is None and _is_test(named, options.storage):
        named, test = None, named
    run, found = _named(options, named, test) if named is not None else _latest(options, test)
    try:
        recommendation = _advice(run, _single(run, found))
    except (ArithmeticError, ValueError) as error:
        raise CommandError(f"{run.label}: its speeds cannot be compared: {error}") from error
    deployment = deployment_of(recommendation)
    warnings = [one_line(one) for one in (*recommendation.undecided, *_warnings(deployment))]
    for warning in warnings:
        tell(f"warning: {warning}")
    print_lines([render(deployment, _why(recommendation), warnings, options.format)])
    return 0


def _is_test(text: str, storage: Path) -> bool:
    """Whether the only argument is a test, since no saved run is meant by it."""
    if "::" in text:
        # Not pathlib's, which raises where the name is too long for a file, say.
        return not os.path.exists(text)
    if not text.strip() or text.isdecimal() or text.endswith(".json"):
        return False
    path = Path(text)
    if path.suffix == ".py":
        return True
    if len(path.parts) > 2:  # more than the name of a directory of the storage before a number
        return not os.path.exists(path)
    try:
        Storage(storage).find(text)
    except BaselineError:
        return True
    return False


def _named(
    options: argparse.Namespace, name: str, test: str | None
) -> tuple[StoredRun, Sequence[str]]:
    options.runs = [name]
    _, run = read_runs(options, 1)
    return run, _swept(run, test) or _refuse(run, test)


def _latest(options: argparse.Namespace, test: str | None) -> tuple[StoredRun, Sequence[str]]:
    """The latest run in which the test was swept: later ones may have a single configuration."""
    last = with_test = None
    for run in read_backwards(options.storage):
        last = last or run
        if _swept(run, test) and (swept := whole(run)) is not None:
            if run is not last:
                tell(f"the latest sweep is in {run.label}")
            return swept, _swept(swept, test) or _refuse(swept, test)
        if with_test is None and test is not None and _meant(run, test):
            with_test = run
    assert last is not None, "a storage without runs is an error"
    return last, _refuse(with_test or last, test)


def _swept(run: StoredRun, test: str | None) -> list[str]:
    """Tests that were swept, among those that the text means."""
    groups = groups_of(run)
    meant = groups if test is None else _meant(run, test)
    return [one for one in meant if is_sweep(groups[one])]


def _meant(run: StoredRun, test: str) -> Sequence[str]:
    """Tests of this id or name, if there are any; else those that the text matches."""
    groups = [*groups_of(run)]
    functions = {one: one.partition("[")[0].rpartition("::")[2] for one in groups}
    whole = {one: functions[one] + "".join(one.partition("[")[1:]) for one in groups}
    of_id = {one.group for one in run.tests.get(test, ())}
    tiers = (
        of_id or [one for one in groups if one == test],
        [one for one in groups if whole[one] == test],
        [one for one in groups if functions[one] == test],
        [*filter(matcher(test), groups)],
    )
    return next((sorted(tier) for tier in tiers if tier), ())


def _refuse(run: StoredRun, test: str | None) -> NoReturn:
    if test is None:
        raise CommandError(
            f"{run.label}: no test was swept; measure one in several configurations, as "
            "@pytest.mark.tf_threads(intra=[1, 2]), and save the run with --benchmark-save"
        )
    if _meant(run, test):
        raise CommandError(
            f"{run.label}: {test!r} was not swept; measure it in several configurations, as "
            "@pytest.mark.tf_threads(intra=[1, 2]), without --tf-threads-duet"
        )
    known = ", ".join(_swept(run, None)) or "none"
    raise CommandError(f"{run.label}: {test!r} is not in it; tests that were swept: {known}")


def _single(run: StoredRun, found: Sequence[str]) -> str:
    if len(found) > 1:
        raise CommandError(
            f"{run.label}: {len(found)} tests were swept; name one of them as TEST: "
            f"{', '.join(found)}"
        )
    return found[0]


def _advice(run: StoredRun, test: str) -> Recommendation:
    members = groups_of(run)[test]
    found = advice(test, members)
    if found is None:
        if len(aliases_among([one.candidate for one in members])) == len(members) - 1:
            names = " and ".join(one.configuration.id for one in members)
            raise CommandError(
                f"{run.label}: {names} are names of one configuration on the machine where {test} "
                "was measured, so there is no other to choose from; sweep different numbers of "
                "threads, such as --tf-threads=1x1,2x1"
            )
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
    return [*lines, *(one for one in recommendation.limits if one not in recommendation.undecided)]


def _warnings(deployment: Deployment) -> list[str]:
    if not can_measure():
        return ["this machine cannot be compared with the one that was measured: it has no Linux"]
    return differences(deployment, Machine.read().to_json(), allowed_cpus())
