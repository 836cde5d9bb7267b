"""Keeps interpreters, one for each home and environment, and finds the one that an order needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_tfthreads.engine import failure
from pytest_tfthreads.engine.failure import Failure
from pytest_tfthreads.engine.interpreter import PRELOAD_TIMEOUT_S, Env, Home, Interpreter
from pytest_tfthreads.engine.measuring_process import MeasuringProcess
from pytest_tfthreads.engine.order import Order
from pytest_tfthreads.engine.preload import Preload, Preloaded
from pytest_tfthreads.engine.protocol import ConnectionClosedError
from pytest_tfthreads.engine.shared_process import SharedProcess
from pytest_tfthreads.system.leases.leases import Leases, LeaseTimeoutError

_MAX_ENVIRONMENTS = 2  # of one home; each deal of each has an interpreter, some 200 MB of its own
_Key = tuple[Home, Env]
_LOOK_AGAIN = Preload(())


class Launcher:
    """One preloaded interpreter for each home and environment, each started when first needed."""

    def __init__(
        self, start: str, leases: Leases, run: str = "", shares_terminal: bool = False
    ) -> None:
        """`run` names a distributed run whose processes on this host share interpreters.

        `shares_terminal`: processes stay in the terminal's session, for a debugger.
        """
        self._start = start
        self._leases = leases
        self._run = run
        self._shares_terminal = shares_terminal
        self._interpreters: dict[_Key, Interpreter] = {}
        self._preloaded: dict[_Key, Preloaded] = {}
        self._wanted: frozenset[_Key] = frozenset()  # those that are being made ready together

    def prepare(self, home: Home, env: Env) -> None:
        """Start the interpreter of this environment, without waiting for it."""
        with contextlib.suppress(OSError):  # `interpreter` will tell
            self._started((home, env))

    def settle(self, keys: Iterable[tuple[Home, Env]]) -> None:
        """Wait until these interpreters, and all others, are ready or have come to nothing.

        They import while nobody measures: who is about to measure waits here first. A shared lease
        of this process is given up meanwhile, because an interpreter may be in line behind somebody
        who waits to measure. Raises `LeaseTimeoutError` where that lease cannot be had again, or
        where one of these interpreters got none to import with.
        """
        wanted = list(keys)
        earlier = set(self._interpreters.values())
        self._wanted = frozenset(wanted)
        try:
            for home, env in wanted:
                self.prepare(home, env)
            with self._leases.paused():
                self._wait_for_all()
                # They have waited since before anybody waited for them: others may have more luck.
                tired = [key for key, one in self._without_lease(wanted).items() if one in earlier]
                for home, env in tired:
                    self.prepare(home, env)
                if tired:
                    self._wait_for_all()
        finally:
            self._wanted = frozenset()
        for interpreter in self._without_lease(wanted).values():
            raise LeaseTimeoutError(interpreter.no_lease)

    def _wait_for_all(self) -> None:
        for interpreter in self._interpreters.values():
            if interpreter.is_dead:
                continue
            # Who needs it is told.
            with contextlib.suppress(ConnectionClosedError, TimeoutError):
                interpreter.wait_until_ready()

    def _without_lease(self, keys: Iterable[_Key]) -> Mapping[_Key, Interpreter]:
        """Of these interpreters, those that have waited in vain to import."""
        known = {key: self._interpreters[key] for key in keys if key in self._interpreters}
        return {key: interpreter for key, interpreter in known.items() if interpreter.no_lease}

    def preload(self, home: Home, env: Env, wish: Preload, sys_path: Sequence[str]) -> None:
        """Have an interpreter that is ready import modules of the project, while nobody measures.

        What was imported is looked at again each time, and an interpreter that has become unfit to
        be forked is replaced by one without the project. Raises `LeaseTimeoutError`.
        """
        key = (home, env)
        interpreter = self._interpreters.get(key)
        if interpreter is None or interpreter.is_dead or not interpreter.forkable:
            return
        if not interpreter.takes_projects:
            return
        try:
            if interpreter.preloaded is None:
                with self._leases.shared("importing the project's modules"):
                    found = interpreter.preload(wish, sys_path)
            else:
                found = interpreter.preload(_LOOK_AGAIN, sys_path)
        except ConnectionClosedError:
            interpreter.give_up()
            found = Preloaded(problem="the interpreter died of the project's modules")
        self._preloaded[key] = found
        if found.problem:
            interpreter.close()
            del self._interpreters[key]
            self.settle([key])

    @property
    def preloaded(self) -> Mapping[tuple[Home, Env], Preloaded]:
        """What interpreters have imported of the project."""
        return self._preloaded

    def measuring(
        self,
        order: Order,
        home: Home,
        env: Env,
        timeout_s: float | None,
        terminal: Sequence[int] = (),
        pulse: Callable[[], None] = lambda: None,
    ) -> MeasuringProcess:
        """A process for this order, which starts when it is set up.

        `timeout_s` are seconds in which it runs, its turns and no others. `terminal` holds stdin,
        stdout and stderr for the test, where they are not captured. `pulse` is called about once a
        second while it is being set up.
        """
        return MeasuringProcess(
            lambda: self._interpreter((home, env)), order, timeout_s, terminal, pulse
        )

    def release(self, home: Home) -> None:
        """End the interpreters of this home, of every deal, which nothing runs in."""
        for key in self._keys_of(home):
            self._interpreters.pop(key).close()

    def sharing(
        self,
        order: Order,
        home: Home,
        env: Env,
        terminal: Sequence[int] = (),
        pulse: Callable[[], None] = lambda: None,
    ) -> SharedProcess:
        """The same for an order of a process that tests share."""
        return SharedProcess(lambda: self._interpreter((home, env)), order, None, terminal, pulse)

    def close(self) -> None:
        """End all interpreters, and with them whatever they still run."""
        while self._interpreters:
            self._interpreters.popitem()[1].close()

    def _interpreter(self, key: _Key) -> Interpreter | Failure:
        """The interpreter of this home and environment, ready to start processes."""
        try:
            interpreter = self._started(key, is_waited_for=True)
        except OSError as error:
            return Failure("interpreter", f"No process can be started on this machine: {error}")
        self._wait_for_the_others(key)
        try:
            interpreter.wait_until_ready()
        except ConnectionClosedError:
            return interpreter.failure("The interpreter that starts measuring processes died.")
        except TimeoutError:
            return interpreter.failure(
                f"TensorFlow was not imported within {PRELOAD_TIMEOUT_S} seconds. See whether "
                "`python -c 'import tensorflow'` ends; a busy disk or CPU makes it slow."
            )
        if interpreter.no_lease:
            return Failure("no-lease", interpreter.no_lease, has_run=False)
        if interpreter.broken:
            return failure.preload_failure(interpreter.broken, interpreter.log_excerpt())
        if self._start == "fork" and not interpreter.forkable:
            return Failure(
                "misconfigured",
                f"--tf-threads-start=fork cannot be trusted here: {interpreter.reason}. "
                "Use --tf-threads-start=auto or fresh.",
            )
        return interpreter

    def _started(self, key: _Key, is_waited_for: bool = False) -> Interpreter:
        """The interpreter of this home and environment, which may still import.

        `is_waited_for`: this process is about to start a process in it, and waits.
        """
        interpreter = self._interpreters.pop(key, None)
        if (
            interpreter is not None
            and not interpreter.is_dead
            and (interpreter.no_lease or interpreter.has_gone)
        ):
            interpreter.close()
            interpreter = None
        if interpreter is None or interpreter.is_dead:
            home, env = key
            self._make_room(home, env)
            preload = self._start != "fresh"
            if self._leases.is_measuring or (is_waited_for and self._leases.is_held):
                # One that died is replaced in the midst of what this process has the lease for. A
                # shared interpreter waits for a lease before it imports. It would wait for this
                # process, which holds one: directly if this process measures; if its lease is
                # shared, behind somebody who waits to measure.
                timeout_s, run = None, ""
            else:
                timeout_s, run = self._leases.timeout_s, self._run if preload else ""
            spoiled = key in self._preloaded and bool(self._preloaded[key].problem)
            interpreter = Interpreter(
                home, env, preload, timeout_s, run, self._shares_terminal, not spoiled
            )
        self._interpreters[key] = interpreter  # the last one used is the last one dropped
        return interpreter

    def _make_room(self, home: Home, env: Env) -> None:
        # Those of a group are all needed, however many they are.
        here = self._keys_of(home)
        others = dict.fromkeys(key[1] for key in here if key[1] != env)
        needed = {key[1] for key in here if self._interpreters[key].is_busy or key in self._wanted}
        idle = [one for one in others if one not in needed]
        dropped = idle[: max(0, len(others) + 1 - _MAX_ENVIRONMENTS)]
        for key in here:
            if key[1] in dropped:
                self._interpreters.pop(key).close()

    def _keys_of(self, home: Home) -> list[_Key]:
        """Of this home's interpreters, of every deal; those used last come last."""
        return [key for key in self._interpreters if replace(key[0], deal=home.deal) == home]

    def _wait_for_the_others(self, key: _Key) -> None:
        """Nothing may import beside a measurement."""
        for other in self._interpreters.keys() - {key}:
            if self._interpreters[other].is_dead:
                continue
            try:
                self._interpreters[other].wait_until_ready()
            except (ConnectionClosedError, TimeoutError):
                self._interpreters.pop(other).close()  # a test that needs it will be told
