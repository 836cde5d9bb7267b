"""`pytest-tfthreads doctor`: is this machine fit to measure, and what to change?"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.output import print_json, print_lines, tell
from pytest_tfthreads.commands.parsers import Commands, add_command, add_tolerance
from pytest_tfthreads.core.gate.verdict import Policy
from pytest_tfthreads.core.threads import ConfigError, ThreadCount
from pytest_tfthreads.doctor import report as report
from pytest_tfthreads.doctor.assessment import Examination, of_speeds, of_trial
from pytest_tfthreads.doctor.checks import Finding, Import, of_leases, of_machine, of_tensorflow
from pytest_tfthreads.doctor.cpu_speed import Steadiness, steadiness
from pytest_tfthreads.doctor.inspection import read_facts
from pytest_tfthreads.doctor.pinned_loop import LoopError, run_processes
from pytest_tfthreads.doctor.power import Trial, fitness
from pytest_tfthreads.doctor.trial import TrialError, TrialPlan, home, run_pairs
from pytest_tfthreads.engine.interpreter import PRELOAD_TIMEOUT_S, Interpreter
from pytest_tfthreads.engine.protocol import ConnectionClosedError
from pytest_tfthreads.system.leases.lease_directory import HOW_TO_CHOOSE
from pytest_tfthreads.system.leases.leases import Leases, LeaseTimeoutError
from pytest_tfthreads.system.leases.notes import Holder
from pytest_tfthreads.system.machine import Machine

_PURPOSE = "pytest-tfthreads doctor"
_LOOP_SHARE = 0.2
_LOOP_PROCESSES = 6
_DEFAULT_S = 20.0
_LEAST_S, _MOST_S = 5.0, 600.0
_LEASE_TIMEOUT_S = 1800.0
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_MOST_CHARACTERS = 300  # of why something failed

_EXAMPLE = """\
example:
  pytest-tfthreads doctor --tolerance=5% --tests=20

exit code: 0 where a loss of the tolerance can be detected here, side by side or against saved runs,
1 where it cannot, 2 where an option cannot be used; with --no-measure 0 where nothing is bad
"""


def add_to(commands: Commands) -> None:
    """Register the sub-command with its options."""
    doctor = add_command(
        commands,
        "doctor",
        _doctor,
        help="is this machine fit to measure, and what to change",
        description="Look at this machine, measure unchanged code on it, and report the smallest "
        "regression that can be detected here.",
        epilog=_EXAMPLE,
    )
    add_tolerance(doctor, "the loss of speed that is to be detected")
    doctor.add_argument(
        "--tests",
        type=_tests,
        default=10,
        metavar="N",
        help="tests in the suite (default: 10): the more there are, the surer each verdict must be",
    )
    doctor.add_argument(
        "--seconds",
        type=_seconds,
        default=_DEFAULT_S,
        metavar="S",
        help=f"how long to measure (default: {_DEFAULT_S:.0f}, enough for six pairs of processes "
        f"and for CPUs to change their speed some times; from {_LEAST_S:.0f} to {_MOST_S:.0f})",
    )
    doctor.add_argument(
        "--intra",
        type=_threads,
        default=ThreadCount("physical"),
        metavar="N",
        help="intra-op threads of what is measured, a number or a symbol of the marker (default: "
        "physical, the hardest to keep steady)",
    )
    doctor.add_argument("--no-measure", action="store_true", help="only look at the machine")
    doctor.add_argument(
        "--lease-timeout",
        type=_timeout,
        default=_LEASE_TIMEOUT_S,
        metavar="S",
        help=f"seconds to wait for others that measure here (default: {_LEASE_TIMEOUT_S:.0f})",
    )
    doctor.add_argument("--json", action="store_true", help="print what was found as JSON")


def _doctor(options: argparse.Namespace) -> int:
    tolerance = Policy().with_tolerance(options.tolerance).tolerance
    machine = Machine.read()
    leases = Leases(timeout_s=options.lease_timeout, on_wait=_tell_of_waiting)
    # To measure, it waits until they have gone.
    others = [str(holder) for holder in leases.holders()] if options.no_measure else []
    with _leased(leases, options):
        facts = read_facts(machine)
        findings = [*of_machine(facts), of_leases(others, leases.unavailable, HOW_TO_CHOOSE)]
        found = Examination(tolerance, options.tests, tuple(findings))
        found = _examine(found, machine, options)
    if options.json:
        print_json(report.to_json(found))
    else:
        print_lines(report.render(found))
    return int(not found.is_fit)


@contextlib.contextmanager
def _leased(leases: Leases, options: argparse.Namespace) -> Iterator[None]:
    """The machine to itself where something is measured, else shared: TensorFlow is imported."""
    lease = leases.shared if options.no_measure else leases.exclusive
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lease(_PURPOSE))
        except LeaseTimeoutError as error:
            holders = "; ".join(map(str, leases.holders())) or "they have left no note"
            look_only = "" if options.no_measure else ", or look only (--no-measure)"
            raise CommandError(
                f"others had the CPUs for all of {options.lease_timeout:g} s ({holders}): wait "
                f"for them or end them, or allow more (--lease-timeout){look_only}"
            ) from error
        yield


def _examine(found: Examination, machine: Machine, options: argparse.Namespace) -> Examination:
    interpreter = Interpreter(home(), (), preload=True, lease_timeout_s=None)
    try:
        tell("importing TensorFlow")
        imported = _imported(interpreter)
        found = replace(found, machine=(*found.machine, *of_tensorflow(imported)))
        if options.no_measure:
            return found
        return _measure(found, machine, options, None if imported.problem else interpreter)
    finally:
        interpreter.close()


def _imported(interpreter: Interpreter) -> Import:
    try:
        interpreter.wait_until_ready()
    except ConnectionClosedError:
        return Import(problem=f"its interpreter died: {_last_line(interpreter.log_excerpt())}")
    except TimeoutError:
        return Import(problem=f"it took more than {PRELOAD_TIMEOUT_S} s")
    if interpreter.broken:
        return Import(problem=_last_line(interpreter.broken))
    build = interpreter.build
    return Import(
        version=str(build.get("tensorflow")),
        not_forkable=interpreter.reason,
        onednn=build.get("onednn"),
        onednn_variable=os.environ.get(_ONEDNN),
        cuda=build.get("cuda"),
    )


def _measure(
    found: Examination,
    machine: Machine,
    options: argparse.Namespace,
    interpreter: Interpreter | None,
) -> Examination:
    """The pinned loop, then pairs of processes, where there is an interpreter to start them."""
    begun_s = time.monotonic()
    tell(f"measuring for {options.seconds:.0f} s")
    found = _measured(found, machine, options, interpreter, begun_s + options.seconds)
    return replace(found, seconds=time.monotonic() - begun_s)


def _measured(
    found: Examination,
    machine: Machine,
    options: argparse.Namespace,
    interpreter: Interpreter | None,
    until_s: float,
) -> Examination:
    intra = options.intra.resolve(machine.counts)
    found = replace(found, intra=intra)
    tolerance = found.tolerance["throughput"]
    loop_s = _LOOP_SHARE * options.seconds
    try:
        speeds = _speeds(machine, loop_s)
        found = replace(found, speeds=speeds, measured=(*of_speeds(speeds, tolerance),))
    except (LoopError, ValueError) as error:
        found = replace(found, measured=(Finding("CPU speed", "unknown", _shortened(str(error))),))
    if interpreter is None:
        unknown = Finding("in turns", "unknown", "TensorFlow cannot be imported")
        return replace(found, measured=(*found.measured, unknown))
    plan = TrialPlan.for_seconds(options.seconds - loop_s, intra)
    try:
        trial = Trial(run_pairs(interpreter, machine, plan, until_s, secrets.token_hex(4)))
    except (TrialError, ValueError) as error:
        broken = Finding("in turns", "bad", f"a process failed: {_shortened(str(error))}")
        return replace(found, measured=(*found.measured, broken))
    return replace(
        found,
        measured=(*found.measured, *of_trial(trial, tolerance)),
        trial=trial,
        fitness=fitness(trial, found.tolerance, found.tests),
    )


def _speeds(machine: Machine, seconds: float) -> Steadiness:
    return steadiness(run_processes(machine.cores_first, seconds, _LOOP_PROCESSES))


def _tell_of_waiting(in_front: Sequence[Holder]) -> None:
    tell(f"waiting for the CPUs: {'; '.join(map(str, in_front)) or 'somebody without a note'}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _shortened(lines[-1] if lines else "it said nothing")


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _MOST_CHARACTERS else f"{words[: _MOST_CHARACTERS - 1]}…"


# -- options ----------------------------------------------------------------------------


def _tests(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tests; use 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    return _number(text, _LEAST_S, _MOST_S)


def _timeout(text: str) -> float:
    return _number(text, 0.0, math.inf)


def _number(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (least <= number <= most and math.isfinite(number)):
        bounds = (
            f"between {least:g} and {most:g}" if math.isfinite(most) else f"of {least:g} or more"
        )
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds {bounds}")
    return number


def _threads(text: str) -> ThreadCount:
    try:
        return ThreadCount.named(text, "threads")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
