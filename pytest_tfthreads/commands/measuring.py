"""Measures tests at several variants of their code, in a run of pytest that the command starts."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.core.decode import DecodeError
from pytest_tfthreads.core.variants.measured import MeasuredAt, Plan, plan_in, results_in
from pytest_tfthreads.pytest_bridge.options import AT_OPTION

_NO_TESTS = 5  # pytest's exit codes
_RAN = (0, 1)


@dataclass(frozen=True)
class RunAtVariants:
    """All tests that were measured to their end; `was_interrupted`: others may be missing."""

    tests: tuple[MeasuredAt, ...]
    was_interrupted: bool = False


def measure_at(
    variants: Sequence[str], tests: Sequence[str], pytest_args: Sequence[str], passes: int
) -> RunAtVariants:
    """Measure tests at variants that take turns with each other.

    `variants` are named as a `Plan` names them, in the order in which they follow each other;
    `tests` as pytest takes them, none for all. Each test gets `passes` processes at each variant.
    What pytest prints goes to this process's own output. Ctrl-C ends pytest, and keeps what is
    complete. Raises `CommandError` where pytest cannot run them.
    """
    try:
        plan = Plan(tuple(variants), passes)
    except ValueError as error:
        raise CommandError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="pytest-tfthreads-at-") as name:
        directory = Path(name)
        plan_in(directory).write_text(plan.to_text(), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pytest", f"{AT_OPTION}={directory}"),
            *("--benchmark-only", *pytest_args, *tests),
        ]
        code, was_interrupted = _run(command)
        try:
            measured = tuple(results_in(directory))
        except (DecodeError, OSError) as error:
            raise CommandError(f"what pytest has measured cannot be read: {error}") from error
    if not measured and not was_interrupted:
        if code == _NO_TESTS:
            raise CommandError("pytest found no test: see above, and what was given after --")
        if code in _RAN:
            raise CommandError(
                "no test was measured: only tests with @pytest.mark.tf_threads that use the "
                "benchmark fixture are, and pytest selected none"
            )
        raise CommandError(f"pytest could not run the tests (exit code {code}): see above")
    return RunAtVariants(measured, was_interrupted)


def _run(command: Sequence[str]) -> tuple[int, bool]:
    """Its exit code, and whether Ctrl-C ended it."""
    # Its own session: else a Ctrl-C at the terminal would reach pytest twice, from there and from
    # here, and the second one would break off its cleaning up.
    with subprocess.Popen(command, start_new_session=True) as process:
        was_interrupted = False
        while True:
            try:
                return process.wait(), was_interrupted
            except KeyboardInterrupt:
                was_interrupted = True
                process.send_signal(signal.SIGINT)
            except BaseException:
                process.terminate()
                raise
