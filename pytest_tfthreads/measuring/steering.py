"""How pytest-benchmark is led to the number of calls and of rounds that we want.

pytest-benchmark settles how many calls make a round, and how many rounds there are, from the times
of a few first calls: a slow one, or the short wait for an element that was prefetched, makes rounds
ten times too long or too few. So while it calibrates it is told the times that lead it to the right
numbers, which the warm-up knows. The rounds that are measured are never touched.

pytest-benchmark has no hook between its steps. It compares and divides the numbers that it is
given, so two of them (`CalibrationPrecision`, `WarmUp`) tell the recorder where it is. That is all
that they do besides answering; what follows is decided in the recorder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pytest_tfthreads.core.layout import Layout, Ready

MIN_WARMUP_CALLS = 50  # or as many as the recorder's MAX_CALM_S holds, where a call is long
MAX_WARMUP_S = 5.0
NEVER_THE_SHORTEST_S = 1e9
"""The time of a run that pytest-benchmark draws no conclusion from: it takes the shortest."""
_SLACK_S = 15.0
# Reading the clocks takes about a microsecond: shorter calls are timed by the round only.
_SHORT_CALL_S = 50e-6
_CLOSE_ENOUGH = 1.1


@dataclass(frozen=True)
class RoundPlan:
    """How long to measure."""

    min_round_s: float  # a round takes this long, or a little more
    budget_s: float  # all rounds together
    max_warmup_s: float = MAX_WARMUP_S  # ends a warm-up that does not settle
    iterations: int | None = None  # calls a round, where another process has settled the number

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


class Steering:
    """What to tell pytest-benchmark of each run of its calibration, so that it keeps to a plan.

    It first learns how many calls make a round, then, once all processes of the ring `agree` on a
    `layout`, how many rounds there are.
    """

    def __init__(self, plan: RoundPlan, agree: Callable[[Ready], Layout]) -> None:
        self.plan = plan
        self.layout: Layout | None = None
        self._agree = agree
        self._first_reading: int | None = None
        self._loops = 1  # calls a run, as pytest-benchmark was told
        self._call_s = 0.0

    @property
    def is_on(self) -> bool:
        """Whether pytest-benchmark calibrates, so that it must not see the real times."""
        return self._first_reading is not None

    def begin(self, readings: int) -> None:
        """Calibration begins after so many readings of the timer; from here on they are pairs."""
        self._first_reading = readings

    def starts_a_run(self, readings: int) -> bool:
        """Whether the last of so many readings is the first of its pair."""
        return (readings - (self._first_reading or 0)) % 2 == 1

    def time_to_tell(self, run_s: float, warm_call_s: Callable[[], float]) -> float:
        """The time to tell instead of `run_s`, for a run after the warm-up.

        `warm_call_s` computes the time of a call from those of the warm-up.
        """
        if self.layout is None:
            self._call_s = self._estimate_call_s(run_s, warm_call_s)
            iterations = self.plan.calls_a_round(self._call_s)
            if iterations > _CLOSE_ENOUGH * self._loops:
                return self._run_longer(iterations)
            self.layout = self._agree(Ready(self._loops, self._call_s, self.plan.budget_s))
            if self.layout.iterations > self._loops:
                return self._run_longer(self.layout.iterations)
        return self.plan.time_for_rounds(self.layout.rounds)

    def _run_longer(self, iterations: int) -> float:
        loops, self._loops = self._loops, iterations
        return self.plan.time_for_calls(loops, iterations)

    def _estimate_call_s(self, run_s: float, warm_call_s: Callable[[], float]) -> float:
        if self._loops == 1:
            return warm_call_s()
        return run_s / self._loops if self._call_s < _SHORT_CALL_S else self._call_s


class Calibrated(Protocol):
    """Wants to know when calibration begins."""

    def start_calibrating(self) -> None: ...


class WarmedUp(Protocol):
    """Decides how long the warm-up is, and wants to know when it is over."""

    def needs_another_call(self) -> bool: ...

    def start_measuring(self) -> None: ...


class CalibrationPrecision(float):
    """A calibration precision for pytest-benchmark that notices when calibration begins.

    pytest-benchmark tries out the timer's precision, multiplies it by this number for the least
    time of a round, and divides by it for the least time from which it estimates. Python asks a
    subclass on the right first, so both can be answered: the rounds are planned elsewhere, and
    any time is good to estimate from.
    """

    _recorder: Calibrated

    def __new__(cls, recorder: Calibrated) -> CalibrationPrecision:
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

    _recorder: WarmedUp

    def __new__(cls, recorder: WarmedUp) -> WarmUp:
        self = super().__new__(cls, MIN_WARMUP_CALLS)
        self._recorder = recorder
        return self

    def __gt__(self, done: int) -> bool:
        return self._recorder.needs_another_call()

    def __truediv__(self, iterations: int) -> float:
        self._recorder.start_measuring()
        return 0.0
