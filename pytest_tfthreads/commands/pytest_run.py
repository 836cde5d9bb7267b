"""A run of pytest that a command starts, to have tests measured at places of its choice."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.core.abreast import (
    Begun,
    Collected,
    Ended,
    MeasuredPlaces,
    Place,
    Traced,
    TraceWish,
    Wish,
)
from pytest_tfthreads.core.decode import DecodeError, decode, encode
from pytest_tfthreads.core.format import printable
from pytest_tfthreads.engine.failure import signal_name
from pytest_tfthreads.engine.protocol import (
    Connection,
    ConnectionClosedError,
    GarbledMessageError,
    MessageKind,
)
from pytest_tfthreads.pytest_bridge.command_line import with_options
from pytest_tfthreads.pytest_bridge.options import ABREAST

_GRACE_S = 60  # to take down what it has, with a test that is being measured
_SHORT_GRACE_S = 10  # where it was interrupted twice
_MOST_LINES = 12
_RAN = (0, 1, 6)  # pytest's exit codes where all tests were run; 6: too many warnings
_USAGE_ERROR = 4  # also for a test that is not there
_NO_TESTS = 5
_ERROR = "ERROR: "  # begins what pytest refuses, after which no test is run
_RULE = "=="
_END_OF_HEADER = "collected "
_COLOR = re.compile(r"\x1b\[[0-9;]*m")

_Kind = TypeVar("_Kind")


class Measuring(Protocol):
    """What measures one test: a `PytestRun`, while that test is its current one."""

    def measure(self, places: Sequence[Place], passes: int) -> MeasuredPlaces:
        """So many processes at each of these places, in turns, pass by pass."""


class PytestRun:
    """One run of pytest, alive for as long as its `with` block.

        with PytestRun(["benchmarks"], ["-k", "inference"]) as run:
            run.collected           # the tests that it will run
            for test in run:        # each as it begins
                found = run.measure(places, passes=2)

    pytest runs its tests in its own order; those that turn out to measure nothing are passed over.
    Within the loop `measure` may be called as often as is wanted, or never. Interpreters of places
    are kept from one call to the next, and from one test to the next, as long as they are asked for
    again. A loop that is left early ends the run.

    Every method raises `CommandError` where pytest dies, or cannot run the tests. Ctrl-C
    (`KeyboardInterrupt`, from any method) ends pytest in order when the block is left; what was
    found before is the caller's, and complete.
    """

    def __init__(self, tests: Sequence[str], arguments: Sequence[str]) -> None:
        """`tests` as pytest takes them, none for all; `arguments` are the user's, for pytest.

        Raises `CommandError` where the machine does not let pytest start.
        """
        self._tests = tests
        self._collected: Collected | None = None
        self._exit_code: int | None = None  # pytest's, when no test will begin any more
        self._is_asked = True  # an answer is on its way
        try:
            self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise CommandError(
                f"what pytest prints is kept in a temporary file, and none can be made: {error}; "
                "TMPDIR names another directory"
            ) from error
        with contextlib.ExitStack() as unless_started:
            unless_started.callback(self._output.close)
            try:
                ours, theirs = socket.socketpair()
                unless_started.callback(ours.close)
                self._connection = Connection(ours)
                with theirs:
                    self._process = self._started(arguments, theirs.fileno())
            except OSError as error:  # no more descriptors, processes or memory may be had, say
                raise CommandError(f"pytest cannot be started: {error.strerror}") from error
            unless_started.pop_all()

    def _started(self, arguments: Sequence[str], descriptor: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest"),
                *with_options(
                    [*self._tests, *arguments], ("--tb=short", f"{ABREAST}={descriptor}")
                ),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            pass_fds=[descriptor],
            # Else a Ctrl-C at the terminal would reach pytest twice, from there and from here, and
            # the second one would break off its cleaning up.
            start_new_session=True,
        )

    def __enter__(self) -> PytestRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._is_asked:  # nobody waits for the answer any more
                self._interrupt()
            self._connection.hang_up()
            self._end()
        finally:
            self._output.close()

    @property
    def collected(self) -> Collected:
        """The tests that may measure, in the order in which pytest will run them.

        Raises `CommandError` where there is none, or no two processes may take turns.
        """
        if self._collected is None:
            self._collected = _decoded(Collected, self._message(), "collected")
            if not self._collected.tests:
                raise self._measures_nothing(self._named)
            if self._collected.limit < 2:
                raise CommandError(
                    "the tests are to be measured side by side, and --tf-threads-group=1 "
                    "(tf_threads_group in the ini file) forbids that: leave it out, or give "
                    "--tf-threads-group=8 after --"
                )
        return self._collected

    def __iter__(self) -> Iterator[Begun]:
        """Each test that measures, when it begins; once, though a plugin may run it again.

        Raises `CommandError` at the end where pytest has stopped before its last test.
        """
        _ = self.collected
        seen: set[str] = set()
        while (begun := self._begun()) is not None:
            if begun.nodeid not in seen:
                seen.add(begun.nodeid)
                yield begun
            self._send("next", {})
        if self._exit_code not in (*_RAN, _NO_TESTS):
            self._end()  # it has more to tell
            raise CommandError(
                "the run of pytest stopped before its last test, with exit code "
                f"{self._exit_code}{self._tail()}"
            )

    def only(self) -> Begun:
        """The one test of this run, when it begins; it can be measured until the block is left.

        Raises `CommandError` where there is not exactly one, or it measures nothing in the current
        tree.
        """
        tests = [one.nodeid for one in self.collected.tests]
        if len(tests) != 1:
            listed = f"{', '.join(tests[:3])}{', …' if len(tests) > 3 else ''}"
            raise CommandError(
                f"{self._named} is {len(tests)} tests that are marked with tf_threads: {listed}; "
                "name one test with its configuration, as pytest shows it, such as "
                "tests/test_it.py::test_it[intra1-inter1]"
            )
        begun = self._begun()
        if begun is None:
            raise self._measures_nothing(tests[0])
        if begun.problem:
            raise CommandError(
                f"{tests[0]} is not measured in the current tree: {begun.problem}{self._tail()}"
            )
        return begun

    def measure(self, places: Sequence[Place], passes: int) -> MeasuredPlaces:
        """Of the current test, so many processes at each of these places, in turns, pass by pass.

        They are given in the order in which they follow each other, see `Wish`. Raises
        `CommandError` also where the project is set up so that places cannot be told apart.
        """
        self._send("wish", encode(Wish(tuple(places), passes)))
        found = _decoded(MeasuredPlaces, self._message(), "found")
        try:
            found.check()
        except DecodeError as error:
            raise _not_understood(error) from error
        for place in found.places:
            if place.is_mistake:
                raise CommandError(place.problem)
        return found

    def trace(self, now: Place, then: Place, directory: Path, option: str) -> Traced:
        """Of the current test, a trace at each of two places, stored in this directory.

        `option` is what the user has named the directory by. A trace that cannot be taken is told,
        and no error.
        """
        wish = TraceWish(now, then, str(directory.absolute()), option)
        self._send("trace", encode(wish))
        return _decoded(Traced, self._message(), "traced")

    def _send(self, kind: MessageKind, body: Mapping[str, Any]) -> None:
        try:
            self._connection.send(kind, body)
        except ConnectionClosedError as error:
            raise self._died() from error
        self._is_asked = True

    def _begun(self) -> Begun | None:
        """The next test; None where there is none."""
        message = self._message()
        if message["kind"] != "over":
            return _decoded(Begun, message, "begun")
        self._exit_code = _decoded(Ended, message, "over").exit_code
        return None

    def _message(self) -> Mapping[str, Any]:
        try:
            message, _ = self._connection.receive()
        except ConnectionClosedError as error:
            self._is_asked = False
            raise self._died() from error
        except GarbledMessageError as error:
            raise _not_understood(error) from error
        self._is_asked = False
        return message

    @property
    def _named(self) -> str:
        return " ".join(self._tests) or "what pytest selects"

    def _measures_nothing(self, what: str) -> CommandError:
        self._connection.hang_up()
        self._end()  # it may have more to tell
        if self._process.returncode == _USAGE_ERROR:
            return CommandError(f"pytest did not find what it is to run{self._tail()}")
        return CommandError(f"{what} measures nothing: {_WHAT_MEASURES}{self._tail()}")

    def _died(self) -> CommandError:
        self._end()
        code = self._process.returncode
        if self._collected is None and code in (*_RAN, _NO_TESTS):
            return self._measures_nothing(self._named)
        if code < 0:
            return CommandError(
                f"the run of pytest was killed ({signal_name(-code)}){self._tail()}"
            )
        advice = ": what follows -- must be pytest's options" if self._collected is None else ""
        return CommandError(
            f"the run of pytest ended by itself, with exit code {code}{advice}{self._tail()}"
        )

    def _interrupt(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def _end(self) -> None:
        """Wait until it has gone; whoever interrupts that too has it killed soon."""
        try:
            self._wait(_GRACE_S)
        except KeyboardInterrupt:
            self._interrupt()
            self._wait(_SHORT_GRACE_S)
            raise

    def _wait(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its guard kills what it measured
            self._process.wait()

    def _tail(self) -> str:
        """The last lines that pytest has printed, as the end of a message."""
        self._output.seek(0)
        told = last_words(self._output.read().decode(errors="replace"))
        return f"; pytest printed: {' / '.join(told)}" if told else ""


_WHAT_MEASURES = (
    "a test that is marked with tf_threads and uses the fixture benchmark or tf_benchmark does; "
    "mark it, or name another"
)


def last_words(text: str) -> list[str]:
    """Of what pytest has printed: its own error, or else the last lines after its header."""
    plain = _COLOR.sub("", text)  # pytest may be told to have colours where it has no terminal
    lines = [printable(line.strip()) for line in plain.splitlines() if line.strip()]
    # The error may come before the header, for it is on another stream.
    errors = itertools.dropwhile(lambda line: not line.startswith(_ERROR), lines)
    error = [*itertools.takewhile(lambda line: not line.startswith(_RULE), errors)]
    if error:
        return error[:_MOST_LINES]
    ends = [place for place, line in enumerate(lines, 1) if line.startswith(_END_OF_HEADER)]
    return lines[ends[0] if ends else 0 :][-_MOST_LINES:]


def _decoded(kind: type[_Kind], message: Mapping[str, Any], name: str) -> _Kind:
    if message["kind"] != name:
        raise _not_understood(ValueError(f"{message['kind']!r}, not {name!r}"))
    try:
        return decode(kind, message)
    except DecodeError as error:
        raise _not_understood(error) from error


def _not_understood(error: Exception) -> CommandError:
    return CommandError(
        f"the run of pytest sent an answer that cannot be read: {error}; please report it"
    )
