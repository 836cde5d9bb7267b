"""The clock that pytest-benchmark reads in a measuring process, and what it notes.

pytest-benchmark calls its timer once before and once after each round, and nowhere else but where
it first tries out the timer's precision. So a timer that notes both clocks at every reading has
the wall and CPU time of every round, and needs none of pytest-benchmark's private parts.

The same timer decides when the warm-up is over, and leads pytest-benchmark to a plan (`steering`).
"""

from __future__ import annotations

import enum
import math
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Protocol

from pytest_tfthreads.measuring.contention import ContentionMeter
from pytest_tfthreads.measuring.reference import Reference
from pytest_tfthreads.measuring.steering import (
    MIN_WARMUP_CALLS,
    NEVER_THE_SHORTEST_S,
    RoundPlan,
    Steering,
)
from pytest_tfthreads.measuring.turns import Turns
from pytest_tfthreads.system.originals import ORIGINALS

MIN_WARMUP_S = 0.5
# tf.data's autotuning needs longer than a traced and cached function.
MIN_DATASET_WARMUP_S = 1.0
MAX_CALM_S = 3.0
_WINDOW_CALLS = 25
_AGREEMENT = 0.10
_ESTIMATE_S = 0.25


class RetraceWatch(Protocol):
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
        usage = ORIGINALS.getrusage(resource.RUSAGE_SELF)
        return cls(usage.ru_nvcsw, usage.ru_nivcsw)


class Phase(enum.Enum):
    """What pytest-benchmark is doing when it reads the timer."""

    NOT_BEGUN = enum.auto()
    PREPARING = enum.auto()  # it tries out the timer, warms up and calibrates
    LAST_WARM_UP = enum.auto()  # the one round that it runs between calibration and measuring
    MEASURING = enum.auto()
    OWN_ROUNDS = enum.auto()  # which the test lays out itself: from the first reading to the last


class Recorder:
    """A timer that remembers: `readings` are (wall_s, cpu_s), two for each round.

    What a fixture knows about the measured work (`items`, `unit`, `flags`, `data_threads`) is
    noted here too.
    """

    __name__ = "tf_threads_timer"

    def __init__(
        self,
        watch: RetraceWatch,
        turns: Turns,
        reference: Reference,
        contention: ContentionMeter,
    ) -> None:
        self.readings: list[tuple[float, float]] = []
        self.items: float = 1
        self.unit = "calls"
        self.flags: list[str] = []
        self.min_warmup_s = MIN_WARMUP_S
        self.data_threads: int | None = None
        self.warmup_calls = 0
        self._timer: Callable[[], float] = ORIGINALS.perf_counter
        self._watch = watch
        self._turns = turns
        self._reference = reference
        self._contention = contention
        self._lays_itself_out: Callable[[], bool] = lambda: False
        self._steering: Steering | None = None  # without it pytest-benchmark calibrates by itself
        self._phase = Phase.NOT_BEGUN
        self._warmup_from: int | None = None  # the reading with which its first call begins
        self._is_settled = False
        self._retraced = False
        self._switches_before = Switches.now()
        self._switches_after: Switches | None = None

    def beside(self, timer: Callable[[], float]) -> Recorder:
        """Let the user's own timer decide what pytest-benchmark sees."""
        self._timer = timer
        return self

    def leave_reference_out(self) -> None:
        """Run no reference workload: what is measured works on between its rounds."""
        self._reference.leave_out()

    def steer(self, plan: RoundPlan) -> None:
        """Lead pytest-benchmark to this plan."""
        self._steering = Steering(plan, self._turns.ready)

    def expect_own_rounds(self, lays_itself_out: Callable[[], bool]) -> None:
        """Ask this at the first reading: whether all readings are of rounds that the user set."""
        self._lays_itself_out = lays_itself_out

    @property
    def counts(self) -> bool:
        """Whether the round that begins or ends with this reading is one that was asked for."""
        self._begin()
        return self._phase in (Phase.MEASURING, Phase.OWN_ROUNDS)

    @property
    def has_own_rounds(self) -> bool:
        """Whether the test lays out its rounds itself."""
        self._begin()
        return self._phase is Phase.OWN_ROUNDS

    def _begin(self) -> None:
        if self._phase is not Phase.NOT_BEGUN:
            return
        self._phase = Phase.OWN_ROUNDS if self._lays_itself_out() else Phase.PREPARING
        if self._phase is Phase.OWN_ROUNDS:
            self._turns.ready_for_own_rounds()
            self._contention.begin()

    def __call__(self) -> float:
        self._begin()
        self.readings.append((ORIGINALS.perf_counter(), ORIGINALS.process_time()))
        steering = self._steering
        if self._phase is Phase.PREPARING and steering is not None and steering.is_on:
            return self._tell(steering)
        now_s = self.readings[-1][0] if self._timer is ORIGINALS.perf_counter else self._timer()
        if len(self.readings) % 2 == 0:
            self._round_over()
        return now_s

    def _round_over(self) -> None:
        """After a round, on nobody's time."""
        if self._phase is Phase.PREPARING:
            return
        if self._phase is not Phase.OWN_ROUNDS:
            self._switches_after = Switches.now()
            self._retraced = self._retraced or self._watch.retraced()
        if self._phase is Phase.LAST_WARM_UP:
            self._phase = Phase.MEASURING
            self._contention.begin()
            return
        round_s = self.readings[-1][0] - self.readings[-2][0]
        ends_turn = self._turns.ends_with_this_round()
        self._reference.round_over(round_s, ends_turn)
        self._contention.round_over(ends_turn)
        self._turns.round_over()
        if ends_turn:
            self._contention.begin()

    # -- told by pytest-benchmark's own steps -------------------------------------------

    def start_calibrating(self) -> None:
        """pytest-benchmark knows the timer's precision; from here on readings come in pairs."""
        if self._steering is not None:
            self._steering.begin(len(self.readings))

    def needs_another_call(self) -> bool:
        """Whether the warm-up goes on.

        Asked between two calls of the measured function, the first time after its first call.
        """
        if self._warmup_from is None:
            self._warmup_from = len(self.readings) - 2
            self._watch.warm_up()
        if self._is_settled:
            return False
        if not self._is_calm() and self._warmup_s() < self._max_warmup_s():
            return True
        # Cut short by the user's own time limit, a warm-up may have settled all the same.
        if not self._windows_agree():
            self.flags.append("unsettled")
        self._is_settled = True
        return self._steering is not None  # one more call, whose time leads on

    def start_measuring(self) -> None:
        """The warm-up is over: what happens from here on counts."""
        if self._warmup_from is not None:
            self.warmup_calls = (len(self.readings) - self._warmup_from) // 2
            if not self._is_settled:
                self.flags.append("unsettled")
        if self._steering is None or self._steering.layout is None:
            self._turns.ready_for_own_rounds()  # pytest-benchmark calibrated by itself
        self.readings.clear()
        self._watch.measure()
        self._phase = Phase.LAST_WARM_UP
        self._switches_before = Switches.now()

    # -- what it has noted --------------------------------------------------------------

    def rounds(self, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Wall and CPU seconds of the last `count` rounds."""
        readings = self.readings[len(self.readings) - 2 * count :]
        pairs = list(zip(readings[::2], readings[1::2], strict=True))
        return (
            tuple(end[0] - start[0] for start, end in pairs),
            tuple(end[1] - start[1] for start, end in pairs),
        )

    def began_s(self, count: int) -> tuple[float, ...]:
        """When each of the last `count` rounds began, by a clock that all processes share."""
        # Linux's perf_counter is CLOCK_MONOTONIC, which does not begin with the process.
        return tuple(wall_s for wall_s, _ in self.readings[len(self.readings) - 2 * count :: 2])

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
        return math.inf if self._steering is None else self._steering.plan.max_warmup_s

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

    def _tell(self, steering: Steering) -> float:
        """A clock for calibration: each run begins at 0 and ends where it leads to the plan."""
        if steering.starts_a_run(len(self.readings)):
            return 0.0
        if not self._is_settled:
            return NEVER_THE_SHORTEST_S
        run_s = self.readings[-1][0] - self.readings[-2][0]
        return steering.time_to_tell(run_s, self._warm_call_s)

    def _warm_call_s(self) -> float:
        """The time of a call, from the warm-up's last ones."""
        # The mean, not the shortest: of a prefetched dataset most elements cost no time at all. And
        # of as many calls as it takes for one that was held up to carry no weight.
        now_s = self.readings[-1][0]
        first = (self._warmup_from or 0) + 2  # not the first call, which traces
        calls = max(1, (len(self.readings) - first) // 2)
        recent = min(2 * _WINDOW_CALLS, calls)
        while recent < calls and now_s - self.readings[-2 * recent][0] < _ESTIMATE_S:
            recent = min(2 * recent, calls)
        return fmean(self.rounds(recent)[0])


def peak_memory_bytes() -> int:
    return ORIGINALS.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _halves_agree(wall_s: Sequence[float]) -> bool:
    half = len(wall_s) // 2
    earlier, later = median(wall_s[:half]), median(wall_s[half:])
    return abs(later - earlier) <= _AGREEMENT * earlier
