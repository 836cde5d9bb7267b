"""What the terminal shows of a long measurement while it runs: a live line, or now and then a line.

The line is written by the pytest process itself, without a thread, and only where that disturbs
nobody: between turns, when all measuring processes stand still, or while one is being set up.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

import pytest
from _pytest._io import TerminalWriter
from _pytest.terminal import TerminalReporter

from pytest_tfthreads.core.eta import Pace, left_s
from pytest_tfthreads.pytest_bridge.options import is_interactive
from pytest_tfthreads.report.live import Doing, fitted, line
from pytest_tfthreads.system.originals import ORIGINALS

LIVE_EVERY_S = 1.0
HEARTBEAT_EVERY_S = 60.0

_NO_CURSOR = ("", "dumb", "unknown")
_ERASE_LINE = "\r\x1b[K"


class ProgressLine:
    """Tells of one session's measurements.

    A terminal that can move its cursor has one line below the last one, rewritten every second.
    Others, and files, get a line of their own every minute. With -q, with -s, with live logs, for
    debuggers, in pytest-xdist's processes and without pytest's own terminal reporter there is
    nothing: other output could come at any time, or nobody wants any.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._later: dict[str, int] = {}  # processes of tests that have not begun, by node id
        self._all_pace: Pace | None = None
        self._pace = Pace.of_budget(0)
        self._test = ""
        self._processes: int | None = None  # of this test, still to be run
        self._passes: int | None = None
        self._pass: int | None = None
        self._phase = ""
        self._running = 0
        self._running_since_s = 0.0
        self._next_s: float | None = None
        self._is_shown = False

    def plan(self, processes: Mapping[str, int]) -> None:
        """How many processes each test of the session will take, as far as can be foreseen."""
        self._later = dict(processes)

    @contextlib.contextmanager
    def test(self, title: str, nodeids: Sequence[str], budget_s: float) -> Iterator[None]:
        """While a test is measured, in the configurations `nodeids`.

        `title` names it for people; rounds of a process take `budget_s` seconds.
        """
        for nodeid in nodeids:
            self._later.pop(nodeid, None)
        expected = Pace.of_budget(budget_s)
        self._all_pace = self._all_pace or expected
        # As the session's processes so far, and by its own budget.
        self._pace = Pace((expected.expected_s + self._all_pace.process_s) / 2)
        self._test = title
        every_s = self._every_s()
        if self._next_s is None or every_s == LIVE_EVERY_S:
            self._next_s = ORIGINALS.monotonic() + every_s
        try:
            yield
        finally:
            self.erase()

    def expect(self, processes: int | None, passes: int | None) -> None:
        """From here on the test will take so many processes and passes; None: nobody knows."""
        self._processes = processes
        self._passes = passes

    @contextlib.contextmanager
    def ring(self, number: int | None, processes: int) -> Iterator[None]:
        """While so many processes of the test take turns, in its pass of this number (from 1).

        None: while one is traced.
        """
        self._pass = number
        self._running = processes
        self._running_since_s = ORIGINALS.monotonic()
        try:
            self.tick()
            yield
        finally:
            seconds = ORIGINALS.monotonic() - self._running_since_s
            self._running = 0
            if self._processes is not None:
                self._processes = max(0, self._processes - processes)
            self._pace = self._pace.after(processes, seconds)
            assert self._all_pace is not None
            self._all_pace = self._all_pace.after(processes, seconds)

    @contextlib.contextmanager
    def phase(self, text: str, at_once: bool = False) -> Iterator[None]:
        """While a test that measures nothing is at this.

        `at_once`: nobody can tell until it is over, so a live line tells before it begins.
        """
        self._phase = text
        try:
            if at_once and self._every_s() == LIVE_EVERY_S:
                self._next_s = ORIGINALS.monotonic()
            self.tick()
            yield
        finally:
            self._phase = ""

    def tick(self) -> None:
        """It may be time to tell; nobody is being measured at this moment."""
        now_s = ORIGINALS.monotonic()
        if self._next_s is None or now_s < self._next_s:
            return
        reporter = self._reporter()
        if reporter is None:
            self._next_s = now_s + HEARTBEAT_EVERY_S
            return
        self._next_s = now_s + self._every_s()
        text = line(self._doing(now_s))
        writer = self._config.get_terminal_writer()
        if _is_live(writer):
            self._show(writer, text)
        else:
            reporter.ensure_newline()
            reporter.write_line(text)
            reporter.flush()  # a pipe, as logs of CI are, would keep it until all is over

    def erase(self) -> None:
        """Take the line away, before anything else is written."""
        if not self._is_shown:
            return
        self._is_shown = False
        writer = self._config.get_terminal_writer()
        column = writer.width_of_current_line % _columns(writer)
        right = f"\x1b[{column}C" if column else ""
        _write(writer, f"{_ERASE_LINE}\x1b[A{right}")

    def _doing(self, now_s: float) -> Doing:
        """What to tell."""
        if self._phase:
            return Doing(self._test, None, phase=self._phase)
        if self._processes is None:
            return Doing(self._test, self._pass, self._passes)
        running_s = now_s - self._running_since_s
        later = max(0, self._processes - self._running)
        left = left_s(self._pace, self._running, running_s, later)
        others = sum(self._later.values())
        all_left = None
        if others and self._all_pace is not None:
            all_left = left + others * self._all_pace.process_s
        return Doing(self._test, self._pass, self._passes, left, all_left)

    def _show(self, writer: TerminalWriter, text: str) -> None:
        columns = _columns(writer)
        written = writer.width_of_current_line
        if written and written % columns == 0:
            return  # the cursor is neither in this line nor in the next, and could not be put back
        # The last column stays empty: beyond it the line would break.
        _write(writer, (_ERASE_LINE if self._is_shown else "\n") + fitted(text, columns - 1))
        self._is_shown = True

    def _every_s(self) -> float:
        is_live = self._reporter() is not None and _is_live(self._config.get_terminal_writer())
        return LIVE_EVERY_S if is_live else HEARTBEAT_EVERY_S

    def _reporter(self) -> TerminalReporter | None:
        """That of pytest itself, if it is there and other output does not come in between."""
        config = self._config
        reporter = config.pluginmanager.getplugin("terminalreporter")
        # Those of other plugins write in ways of their own.
        if type(reporter) is not TerminalReporter or config.get_verbosity() < 0:
            return None
        is_shared = (
            config.getoption("capture", "no") == "no"
            or is_interactive(config)
            or _has_live_logs(config)
        )
        return None if is_shared else reporter


def _has_live_logs(config: pytest.Config) -> bool:
    if not config.pluginmanager.hasplugin("logging-plugin"):
        return False
    return config.getoption("log_cli_level") is not None or bool(config.getini("log_cli"))


def _is_live(writer: TerminalWriter) -> bool:
    """Whether what was written there can be taken away again."""
    if not writer._file.isatty() or os.environ.get("CI"):
        return False
    return os.environ.get("TERM", "") not in _NO_CURSOR


def _columns(writer: TerminalWriter) -> int:
    try:
        return os.get_terminal_size(writer._file.fileno()).columns or writer.fullwidth
    except OSError:
        return writer.fullwidth  # which is never below 40, however narrow the terminal is


def _write(writer: TerminalWriter, text: str) -> None:
    """Past the writer, which would take it for a part of the line that it is at."""
    file = writer._file
    encoding = getattr(file, "encoding", None) or "ascii"
    file.write(text.encode(encoding, "replace").decode(encoding))
    file.flush()
