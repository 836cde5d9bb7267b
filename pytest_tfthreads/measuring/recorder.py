"""The clock that pytest-benchmark reads in a measuring process, and what it does with that power.

pytest-benchmark calls its timer once before and once after each round, and nowhere else but where
it first tries out the timer's precision. So a timer that notes both clocks at every reading has
the wall and CPU time of every round, and needs none of pytest-benchmark's private parts.

The same timer decides how a measurement is laid out. pytest-benchmark settles how many calls make
a round, and how many rounds there are, from the times of a few first calls: a slow one, or the
short wait for an element that was prefetched, makes rounds ten times too long or too few. So while
it calibrates it is told the times that lead it to the right numbers, which the warm-up knows. The
rounds that are measured are never touched.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from time import perf_counter, process_time
from typing import Protocol

from pytest_tfthreads.core.rounds import Layout, Ready
from pytest_tfthreads.measuring.reference import Reference
from pytest_tfthreads.measuring.turns import Turns

MIN_WARMUP_S = 0.5
# tf.data's autotuning needs longer than a traced and cached function.
MIN_DATASET_WARMUP_S = 1.0
MIN_WARMUP_CALLS = 50  # or as many as MAX_CALM_S holds, where a call is long
MAX_CALM_S = 3.0
MAX_WARMUP_S = 5.0
_WINDOW_CALLS = 25
_AGREEMENT = 0.10
_SLACK_S = 15.0
_NEVER_THE_SHORTEST_S = 1e9
# Reading the clocks takes about a microsecond: shorter calls are timed by the round only.
_SHORT_CALL_S = 50e-6
_ESTIMATE_S = 0.25
_CLOSE_ENOUGH = 1.1


class TraceWatch(Protocol):
    """Notices tf.functions that are traced again."""

    def warm_up(self) -> None:
        """Calls of the measured function begin."""

    def measure(self) -> None:
        """Rounds begin: from here on nothing should be traced."""

    def retraced(self) -> bool:
        """Whether something was; cheap, it is asked after every round."""


@dataclass(frozen=True)
class Switches:
    """Context switches of all threads of the process."""

    voluntary: int
    involuntary: int

    @classmethod
    def now(cls) -> Switches:
        # Not psutil: its context switches are those of the main thread alone (psutil#1467).
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return cls(usage.ru_nvcsw, usage.ru_nivcsw)


@dataclass(frozen=True)
class Plan:
    """How long to measure: rounds of `min_round_s` or a little more, for `budget_s` in all.

    `iterations` is the number of calls a round, where another process of the same measurement has
    settled it; `max_warmup_s` ends a warm-up that does not settle.
    """

    min_round_s: float
    budget_s: float
    max_warmup_s: float = MAX_WARMUP_S
    iterations: int | None = None

    def calls_a_round(self, call_s: float) -> int:
        # A round that falls short by a hundredth needs no further call.
        return self.iterations or max(1, math.ceil(self.min_round_s / call_s - 0.01))

    @property
    def max_time_s(self) -> float:
        """What to give pytest-benchmark, which must not end the warm-up before we do.

        Should it ever calibrate otherwise than it is known to, a measurement takes this long.
        """
        return self.budget_s + _SLACK_S

    # pytest-benchmark takes ceil(min_time * loops / time) calls for a round, and then
    # ceil(max_time / time) rounds; the half keeps both on the right side of their ceiling.

    def time_for_calls(self, loops: int, wanted: int) -> float:
        """The time of `loops` calls from which pytest-benchmark concludes on the wanted number."""
        return self.min_round_s * loops / (wanted - 0.5)

    def time_for_rounds(self, wanted: int) -> float:
        """The time of a round from which pytest-benchmark concludes on the wanted number."""
        return max(self.max_time_s / (wanted - 0.5), self.min_round_s)


class Recorder:
    """A timer that remembers: `readings` are (wall_s, cpu_s), two for each round.

    What a fixture knows about the measured work (`items`, `unit`, `flags`) is noted here too.
    """

    __name__ = "tf_threads_timer"

    def __init__(self, watch: TraceWatch, turns: Turns, reference: Reference) -> None:
        self.readings: list[tuple[float, float]] = []
        self.items: float = 1
        self.unit = "calls"
        self.flags: list[str] = []
        self.min_warmup_s = MIN_WARMUP_S
        self.warmup_calls = 0
        self._timer: Callable[[], float] = perf_counter
        self._watch = watch
        self._turns = turns
        self._reference = reference
        self._lays_itself_out: Callable[[], bool] = lambda: False
        self._plan: Plan | None = None
        self._layout: Layout | None = None
        self._calibrating_from: int | None = None
        self._loops = 1
        self._call_s = 0.0
        self._warmup_from: int | None = None
        self._settled = False
        self._measuring = False
        self._is_last_warmup_round = False
        self._in_own_rounds: bool | None = None
        self._retraced = False
        self._switches_before = Switches.now()
        self._switches_after: Switches | None = None

    def beside(self, timer: Callable[[], float]) -> Recorder:
        """Let the user's own timer decide what pytest-benchmark sees."""
        self._timer = timer
        return self

    def steer(self, plan: Plan) -> None:
        """Lead pytest-benchmark to this plan."""
        self._plan = plan

    def expect_own_rounds(self, lays_itself_out: Callable[[], bool]) -> None:
        """Ask this at the first reading: whether all readings are of rounds that the user set."""
        self._lays_itself_out = lays_itself_out

    @property
    def counts(self) -> bool:
        """Whether the round that begins or ends with this reading is one that was asked for."""
        return (self._measuring or self._has_own_rounds()) and not self._is_last_warmup_round

    def _has_own_rounds(self) -> bool:
        if self._in_own_rounds is None:
            self._in_own_rounds = self._lays_itself_out()
            if self._in_own_rounds:
                self._turns.ready_for_own_rounds()
        return self._in_own_rounds

    def __call__(self) -> float:
        if self._in_own_rounds is None:
            self._has_own_rounds()
        self.readings.append((perf_counter(), process_time()))
        if not self._measuring and self._plan is not None and self._calibrating_from is not None:
            return self._tell(self._plan, self._calibrating_from)
        now_s = self.readings[-1][0] if self._timer is perf_counter else self._timer()
        if len(self.readings) % 2 == 0:  # after a round, on nobody's time
            if self._measuring:
                self._switches_after = Switches.now()
                self._retraced = self._retraced or self._watch.retraced()
            if self._is_last_warmup_round:
                self._is_last_warmup_round = False
            elif self._measuring or self._in_own_rounds:
                round_s = self.readings[-1][0] - self.readings[-2][0]
                self._reference.round_over(round_s, self._turns.ends_with_this_round())
                self._turns.round_over()
        return now_s

    def start_calibrating(self) -> None:
        """pytest-benchmark knows the timer's precision; from here on readings come in pairs."""
        self._calibrating_from = len(self.readings)

    def settled(self) -> bool:
        """Whether the warm-up may end.

        Asked between two calls of the measured function, the first time after its first call.
        """
        if self._warmup_from is None:
            self._warmup_from = len(self.readings) - 2
            self._watch.warm_up()
        if self._settled:
            return True
        calm = self._is_calm()
        if not calm and self._warmup_s() < self._max_warmup_s():
            return False
        # Cut short by the user's own time limit, a warm-up may have settled all the same.
        if not self._windows_agree():
            self.flags.append("unsettled")
        self._settled = True
        return self._plan is None  # with a plan one more call, whose time leads on

    def start_measuring(self) -> None:
        """The warm-up is over: what happens from here on counts."""
        if self._warmup_from is not None:
            self.warmup_calls = (len(self.readings) - self._warmup_from) // 2
            if not self._settled:
                self.flags.append("unsettled")
        if self._layout is None:  # pytest-benchmark calibrated by itself
            self._turns.ready_for_own_rounds()
        self.readings.clear()
        self._watch.measure()
        self._measuring = True
        self._is_last_warmup_round = True  # pytest-benchmark runs at least one
        self._switches_before = Switches.now()

    def rounds(self, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Wall and CPU seconds of the last `count` rounds."""
        readings = self.readings[len(self.readings) - 2 * count :]
        pairs = list(zip(readings[::2], readings[1::2], strict=True))
        return (
            tuple(end[0] - start[0] for start, end in pairs),
            tuple(end[1] - start[1] for start, end in pairs),
        )

    def switches(self) -> Switches:
        """While measuring, or of the whole test where the user's own warm-up hides its end."""
        before, after = self._switches_before, self._switches_after or Switches.now()
        return Switches(after.voluntary - before.voluntary, after.involuntary - before.involuntary)

    def all_flags(self) -> list[str]:
        """What was odd, each once."""
        flags = [*self.flags]
        if self._retraced:
            flags.append("retraced")
        if self._reference.is_unavailable:
            flags.append("no-reference")
        return list(dict.fromkeys(flags))

    # -- warm-up ------------------------------------------------------------------------

    def _warmup_s(self) -> float:
        return self.readings[-1][0] - self.readings[self._warmup_from or 0][0]

    def _max_warmup_s(self) -> float:
        # Without a plan pytest-benchmark ends the warm-up, after its max_time.
        return math.inf if self._plan is None else self._plan.max_warmup_s

    def _is_calm(self) -> bool:
        """Long enough, and the last two windows of calls agree."""
        seconds = self._warmup_s()
        calls = (len(self.readings) - (self._warmup_from or 0)) // 2
        if seconds < self.min_warmup_s or (calls < MIN_WARMUP_CALLS and seconds < MAX_CALM_S):
            return False
        return self._windows_agree()

    def _windows_agree(self) -> bool:
        calls = (len(self.readings) - (self._warmup_from or 0)) // 2
        window = min(_WINDOW_CALLS, (calls - 1) // 2)  # not the first call, which traces
        return window > 0 and _halves_agree(self.rounds(2 * window)[0])

    def _tell(self, plan: Plan, calibrating_from: int) -> float:
        """A clock for calibration: each run begins at 0 and ends where it leads to the plan."""
        is_start = (len(self.readings) - calibrating_from) % 2 == 1
        if is_start:
            return 0.0
        if not self._settled:
            return _NEVER_THE_SHORTEST_S
        layout, loops = self._layout, self._loops
        if layout is None:
            self._call_s = self._estimate_call_s(loops)
            iterations = plan.calls_a_round(self._call_s)
            if iterations > _CLOSE_ENOUGH * loops:
                self._loops = iterations
                return plan.time_for_calls(loops, iterations)
            ready = Ready(loops, self._call_s, plan.budget_s)
            layout = self._layout = self._turns.ready(ready)
            if layout.iterations > loops:
                self._loops = layout.iterations
                return plan.time_for_calls(loops, layout.iterations)
        return plan.time_for_rounds(layout.rounds)

    def _estimate_call_s(self, loops: int) -> float:
        if loops > 1 and self._call_s < _SHORT_CALL_S:
            return self.rounds(1)[0][0] / loops
        if loops > 1:
            return self._call_s
        # The mean, not the shortest: of a prefetched dataset most elements cost no time at all. And
        # of as many calls as it takes for one that was held up to carry no weight.
        now_s = self.readings[-1][0]
        first = (self._warmup_from or 0) + 2  # not the first call, which traces
        calls = max(1, (len(self.readings) - first) // 2)
        recent = min(2 * _WINDOW_CALLS, calls)
        while recent < calls and now_s - self.readings[-2 * recent][0] < _ESTIMATE_S:
            recent = min(2 * recent, calls)
        return fmean(self.rounds(recent)[0])


class CalibrationPrecision(float):
    """A calibration precision for pytest-benchmark that notices when calibration begins.

    pytest-benchmark tries out the timer's precision, multiplies it by this number for the least
    time of a round, and divides by it for the least time from which it estimates. Python asks a
    subclass on the right first, so both can be answered: the rounds are planned elsewhere, and
    any time is good to estimate from.
    """

    _recorder: Recorder

    def __new__(cls, recorder: Recorder) -> CalibrationPrecision:
        self = super().__new__(cls, 1.0)
        self._recorder = recorder
        return self

    def __rmul__(self, timer_precision_s: float) -> float:
        self._recorder.start_calibrating()
        return 0.0

    def __rtruediv__(self, round_s: float) -> float:
        return 0.0


class WarmUp(int):
    """A number of warm-up iterations for pytest-benchmark that is decided while they run.

    pytest-benchmark warms up while `iterations < warmup_iterations`, before it settles how many
    calls make a round; a fixed number is too many for one function and too few for another.
    Python asks a subclass on the right of `<` first, so this number can answer whether times have
    settled. Once the rounds begin it is divided by the calls a round.
    """

    _recorder: Recorder

    def __new__(cls, recorder: Recorder) -> WarmUp:
        self = super().__new__(cls, MIN_WARMUP_CALLS)
        self._recorder = recorder
        return self

    def __gt__(self, done: int) -> bool:
        return not self._recorder.settled()

    def __truediv__(self, iterations: int) -> float:
        self._recorder.start_measuring()
        return 0.0


def peak_memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _halves_agree(wall_s: Sequence[float]) -> bool:
    half = len(wall_s) // 2
    earlier, later = median(wall_s[:half]), median(wall_s[half:])
    return abs(later - earlier) <= _AGREEMENT * earlier
