"""A trace of a few rounds, in a process that is there for nothing else.

A profiler slows down what it watches, so no process that is measured has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from pytest_tfthreads.core.op_profile import OpProfile, Span, TraceResult
from pytest_tfthreads.measuring.contention import ContentionMeter
from pytest_tfthreads.measuring.recorder import Recorder, RetraceWatch
from pytest_tfthreads.measuring.reference import Reference, UnavailableError
from pytest_tfthreads.measuring.turns import Turns

# Some hundred calls of a small function, some megabytes.
TRACE_S = 0.25
_SHORT = "the test ended within its first round"


class UntraceableError(RuntimeError):
    """There is no trace; the message says why."""


class UnwrittenTraceError(UntraceableError):
    """The directory, or its disk, did not take it."""


class Profiler(Protocol):
    """Writes a trace below a directory. All of it raises `UntraceableError`."""

    def start(self) -> None: ...

    def stop(self, save: bool) -> None: ...

    def begin_round(self, number: int) -> None: ...

    def end_round(self) -> None: ...

    def lines(self) -> Iterator[Sequence[Span]]:
        """The spans of each thread, of the trace that was saved."""


class TracedRounds:
    """Traces rounds until they have taken `TRACE_S`; at least one of them.

    Of rounds that the test lays out itself the first may be its warm-up, so it is dropped where
    another follows.
    """

    def __init__(self, profiler: Profiler) -> None:
        self._profiler = profiler
        self._problem: TraceResult | None = None
        self._is_running = False
        self._is_over = False
        self._rounds = 0
        self._seconds = 0.0
        self._may_be_warmup = False

    def begin(self, is_own: bool) -> None:
        """A round is about to begin; `is_own`: the test lays it out itself."""
        if self._is_over:
            return
        try:
            if self._is_running and self._may_be_warmup:
                self._may_be_warmup = self._is_running = False
                self._profiler.stop(save=False)
                self._rounds, self._seconds = 0, 0.0
            elif not self._is_running:
                self._may_be_warmup = is_own
            if not self._is_running:
                self._profiler.start()
                self._is_running = True
            self._profiler.begin_round(self._rounds)
        except UntraceableError as error:
            self._end(_problem(error))

    def end(self, wall_s: float) -> None:
        """A round has ended."""
        if not self._is_running:
            return
        self._profiler.end_round()
        self._rounds += 1
        self._seconds += wall_s
        if self._seconds >= TRACE_S and not self._may_be_warmup:
            self.finish()

    def finish(self) -> None:
        """There are no more rounds."""
        if not self._is_running:
            return
        try:
            self._profiler.stop(save=self._rounds > 0)
            self._end(None if self._rounds else TraceResult(problem=_SHORT))
        except UntraceableError as error:
            self._end(_problem(error))

    def result(self, iterations: int | None) -> TraceResult:
        """For the reply; `iterations`: calls a round, `None` where the test measured nothing."""
        if self._problem is not None:
            return self._problem
        if not self._rounds or iterations is None:
            return TraceResult(problem="the test measured nothing")
        try:
            return TraceResult(OpProfile.of(list(self._profiler.lines()), iterations))
        except (UntraceableError, ValueError) as error:
            return _problem(error)

    def _end(self, problem: TraceResult | None) -> None:
        self._is_running, self._is_over = False, True
        self._problem = problem


def _problem(error: Exception) -> TraceResult:
    words = str(error) or type(error).__name__
    return TraceResult(problem=words, is_unwritten=isinstance(error, UnwrittenTraceError))


class _NoMeter(ContentionMeter):
    """Reads nothing: a reading would be in the trace."""

    def begin(self) -> None:
        pass

    def round_over(self, ends_turn: bool) -> None:
        pass


class TracingRecorder(Recorder):
    """A recorder whose rounds are traced, not measured."""

    def __init__(self, watch: RetraceWatch, turns: Turns, rounds: TracedRounds) -> None:
        super().__init__(watch, turns, Reference(_no_reference), _NoMeter())
        self._traced = rounds

    def __call__(self) -> float:
        counts, is_start = self.counts, len(self.readings) % 2 == 0
        if counts and is_start:
            self._traced.begin(is_own=self.has_own_rounds)
        now_s = super().__call__()
        if counts and not is_start:
            self._traced.end(self.readings[-1][0] - self.readings[-2][0])
        return now_s


def _no_reference() -> None:
    raise UnavailableError("it would be in the trace")
