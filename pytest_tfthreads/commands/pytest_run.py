"""A run of pytest that a command starts, to have one test measured at places of its choice."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.core.abreast import Found, Opening, Place, Wish
from pytest_tfthreads.core.decode import DecodeError, decode, encode
from pytest_tfthreads.core.format import printable
from pytest_tfthreads.engine.protocol import (
    Connection,
    ConnectionClosedError,
    GarbledMessageError,
)
from pytest_tfthreads.pytest_bridge.options import ABREAST

_GRACE_S = 60
_MOST_LINES = 12
# Of other plugins: what would measure elsewhere, or would take a long measurement for one that
# hangs. The last value of an option counts.
_OPTIONS_OF = {"xdist": ("-n0",), "pytest_timeout": ("--timeout=0",)}

_Kind = TypeVar("_Kind")


class PytestRun:
    """One run of pytest with one test, alive for as long as its `with` block.

    Its interpreters are kept from one wish to the next, for places that are wished for again.
    """

    def __init__(self, test: str, arguments: Sequence[str]) -> None:
        """`arguments` are the user's, for pytest."""
        self._test = test
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        others = [
            option
            for plugin, options in _OPTIONS_OF.items()
            if importlib.util.find_spec(plugin) is not None
            for option in options
        ]
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", test, *arguments, *others),
                    *("--tb=short", f"{ABREAST}={theirs.fileno()}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
            )

    def __enter__(self) -> PytestRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and self._process.poll() is None:
            # A terminal has told it of Ctrl-C already; twice does no harm.
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)
        self._connection.hang_up()
        self._end()
        self._output.close()

    def open(self) -> None:
        """Wait until the test has been found, and measured once in the current tree.

        Raises `CommandError` where it is not one test, or measures nothing.
        """
        tests = self._receive(Opening).tests
        if len(tests) != 1:
            listed = f": {', '.join(tests[:3])}{', …' if len(tests) > 3 else ''}" if tests else ""
            raise CommandError(
                f"{self._test} is {len(tests) or 'no'} tests that are marked with tf_threads"
                f"{listed}; name one test with its configuration, as pytest shows it, such as "
                "tests/test_it.py::test_it[intra1-inter1]"
            )
        problem = self._receive(Opening).problem
        if problem:
            raise CommandError(
                f"{tests[0]} is not measured in the current tree: {problem}{self._tail()}"
            )

    def measure(self, places: Sequence[Place], passes: int) -> Found:
        """Processes at all these places, in turns, pass by pass.

        Raises `CommandError` where pytest dies, or the project is set up so that places cannot be
        told apart.
        """
        try:
            self._connection.send("measure", {"wish": encode(Wish(tuple(places), passes))})
        except ConnectionClosedError as error:
            raise self._died() from error
        found = self._receive(Found)
        for place in found.places:
            if place.is_mistake:
                raise CommandError(place.problem)
        return found

    def _receive(self, kind: type[_Kind]) -> _Kind:
        try:
            message, _ = self._connection.receive()
            body: dict[str, Any] = {name: one for name, one in message.items() if name != "kind"}
            return decode(kind, body)
        except ConnectionClosedError as error:
            raise self._died() from error
        except (GarbledMessageError, DecodeError) as error:
            raise CommandError(f"the run of pytest answers what nobody knows: {error}") from error

    def _died(self) -> CommandError:
        self._end()
        if self._process.returncode in (
            0,
            1,
            5,
        ):  # it ran to its end, and there was nothing of ours
            return CommandError(
                f"{self._test} is no test that is marked with tf_threads; mark it, or name another"
            )
        return CommandError(
            f"the run of pytest ended by itself, with exit code {self._process.returncode}: "
            f"what follows -- must be pytest's options{self._tail()}"
        )

    def _end(self) -> None:
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tail(self) -> str:
        """The last lines that pytest has printed."""
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").splitlines()[-_MOST_LINES:]
        told = [line.strip() for line in lines if line.strip()]
        return f"; it printed: {' / '.join(map(printable, told))}" if told else ""
