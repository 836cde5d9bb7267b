"""The clock that pytest-benchmark reads in a measuring process, and its warm-up.

pytest-benchmark calls its timer once before and once after each round, and nowhere else but where
it first tries out the timer's precision. So a timer that notes both clocks at every reading has
the wall and CPU time of every round, and needs none of pytest-benchmark's private parts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Protocol

if sys.platform != "win32":
    import resource

MIN_WARMUP_S = 0.5
MIN_WARMUP_CALLS = 50
# tf.data's autotuning needs longer than a traced and cached function.
MIN_DATASET_WARMUP_S = 1.0
_WINDOW_CALLS = 25
_AGREEMENT = 0.10


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


class Recorder:
    """A timer that remembers: `readings` are (wall_s, cpu_s), two for each round.

    What a fixture knows about the measured work (`items`, `unit`, `flags`) is noted here too.
    """

    def __init__(self, watch: TraceWatch) -> None:
        self.readings: list[tuple[float, float]] = []
        self.items: float = 1
        self.unit = "calls"
        self.flags: list[str] = []
        self.min_warmup_s = MIN_WARMUP_S
        self.warmup_calls = 0
        self._timer: Callable[[], float] = perf_counter
        self._watch = watch
        self._warmup_from: int | None = None
        self._settled = False
        self._measuring = False
        self._retraced = False
        self._switches_before = Switches.now()
        self._switches_after: Switches | None = None

    def beside(self, timer: Callable[[], float]) -> Recorder:
        """Let `timer`, the user's own perhaps, decide what pytest-benchmark sees."""
        self._timer = timer
        return self

    def __call__(self) -> float:
        self.readings.append((perf_counter(), process_time()))
        if self._measuring and len(self.readings) % 2 == 0:  # after a round, on nobody's time
            self._switches_after = Switches.now()
            self._retraced = self._retraced or self._watch.retraced()
        return self.readings[-1][0] if self._timer is perf_counter else self._timer()

    __name__ = "tf_threads_timer"

    def settled(self) -> bool:
        """Whether the warm-up may end: long enough, and its last two windows agree.

        Asked between two calls of the measured function, the first time after its first call.
        """
        if self._settled:
            return True
        if self._warmup_from is None:
            self._warmup_from = len(self.readings) - 2
            self._watch.warm_up()
        calls = (len(self.readings) - self._warmup_from) // 2
        elapsed_s = self.readings[-1][0] - self.readings[self._warmup_from][0]
        self._settled = (
            elapsed_s >= self.min_warmup_s
            and calls >= MIN_WARMUP_CALLS
            and _windows_agree(self.rounds(2 * _WINDOW_CALLS)[0])
        )
        return self._settled

    def start_measuring(self) -> None:
        """The warm-up is over: what happens from here on counts."""
        if self._warmup_from is not None:
            self.warmup_calls = (len(self.readings) - self._warmup_from) // 2
            if not self._settled:
                self.flags.append("unsettled")
        self.readings.clear()
        self._watch.measure()
        self._measuring = True
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
        return Switches(
            after.voluntary - before.voluntary, after.involuntary - before.involuntary
        )

    def all_flags(self) -> list[str]:
        """What was odd, each once."""
        flags = [*self.flags, "retraced"] if self._retraced else self.flags
        return list(dict.fromkeys(flags))


class WarmUp(int):
    """A number of warm-up iterations for pytest-benchmark that is decided while they run.

    pytest-benchmark warms up while `iterations < warmup_iterations` (and for `max_time` at most),
    before it settles how many calls make a round; a fixed number is too many for one function and
    too few for another. Python asks a subclass on the right of `<` first, so this number can
    answer whether times have settled. Once the rounds begin it is divided by the calls a round.
    """

    def __new__(cls, recorder: Recorder) -> WarmUp:
        self = super().__new__(cls, MIN_WARMUP_CALLS)
        self._recorder = recorder
        return self

    _recorder: Recorder

    def __gt__(self, done: int) -> bool:
        return not self._recorder.settled()

    def __truediv__(self, iterations: int) -> float:
        self._recorder.start_measuring()
        return 0.0


def peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _windows_agree(wall_s: Sequence[float]) -> bool:
    half = len(wall_s) // 2
    earlier, later = median(wall_s[:half]), median(wall_s[half:])
    return abs(later - earlier) <= _AGREEMENT * earlier
