"""Keeps interpreters, one for each environment, and finds the one that an order needs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from pytest_tfthreads.process import failure
from pytest_tfthreads.process.failure import Failure
from pytest_tfthreads.process.member import Measuring
from pytest_tfthreads.process.preloaded import PRELOAD_TIMEOUT_S, Env, Interpreter
from pytest_tfthreads.process.protocol import ConnectionClosedError, WorkOrder

_MAX_INTERPRETERS = 2  # each holds TensorFlow in memory: about 600 MB


class Launcher:
    """One preloaded interpreter for each distinct environment, each started when first needed."""

    def __init__(self, start: str, cwd: str) -> None:
        self._start = start
        self._cwd = cwd
        self._interpreters: dict[Env, Interpreter] = {}

    def prepare(self, env: Env) -> None:
        """Start the interpreter of this environment, without waiting for it."""
        if os.name != "posix":
            return
        with contextlib.suppress(OSError):  # `interpreter` will tell
            self._started(env)

    def measuring(
        self,
        order: WorkOrder,
        env: Env,
        timeout_s: float | None,
        terminal: Sequence[int] = (),
    ) -> Measuring:
        """A process for this order, which starts when it is set up.

        `timeout_s` are seconds in which it runs, its turns and no others. `terminal` holds stdin,
        stdout and stderr for the test, where they are not captured.
        """
        return Measuring(lambda: self._interpreter(env), order, timeout_s, terminal)

    def close(self) -> None:
        """End all interpreters, and with them whatever they still run."""
        while self._interpreters:
            self._interpreters.popitem()[1].close()

    def _interpreter(self, env: Env) -> Interpreter | Failure:
        """The interpreter of this environment, ready to start processes."""
        if os.name != "posix":
            return Failure(
                "unsupported",
                "tf_threads tests need processes as POSIX has them: use Linux, or run the tests "
                "here with -p no:tfthreads, unmeasured by configuration.",
            )
        try:
            interpreter = self._started(env)
        except OSError as error:
            return Failure("interpreter", f"No process can be started on this machine: {error}")
        self._wait_for_the_others(env)
        try:
            interpreter.wait_until_ready()
        except ConnectionClosedError:
            return interpreter.failure("The interpreter that starts measuring processes died.")
        except TimeoutError:
            return interpreter.failure(
                f"TensorFlow was not imported within {PRELOAD_TIMEOUT_S} seconds."
            )
        if interpreter.broken:
            return failure.preload_failure(interpreter.broken, interpreter.log_excerpt())
        if self._start == "fork" and not interpreter.forkable:
            return Failure(
                "misconfigured",
                f"--tf-threads-start=fork cannot be trusted here: {interpreter.reason}. "
                "Use --tf-threads-start=auto or fresh.",
            )
        return interpreter

    def _started(self, env: Env) -> Interpreter:
        interpreter = self._interpreters.pop(env, None)
        if interpreter is None or interpreter.is_dead:
            self._make_room()
            interpreter = Interpreter(env, self._start != "fresh", self._cwd)
        self._interpreters[env] = interpreter  # the last one used is the last one dropped
        return interpreter

    def _make_room(self) -> None:
        # Those of a group are all needed, however many they are.
        idle = [env for env, one in self._interpreters.items() if not one.is_busy]
        for env in idle[: max(0, len(self._interpreters) + 1 - _MAX_INTERPRETERS)]:
            self._interpreters.pop(env).close()

    def _wait_for_the_others(self, env: Env) -> None:
        """Nothing may import beside a measurement."""
        for other in self._interpreters.keys() - {env}:
            try:
                self._interpreters[other].wait_until_ready()
            except (ConnectionClosedError, TimeoutError):
                self._interpreters.pop(other).close()  # a test that needs it will be told
