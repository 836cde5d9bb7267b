"""What a fixed loop says of the CPUs: how fast each is, and whether it keeps its speed.

A CPU of a shared machine may flip between two speeds within a second, and the guest is told
nothing of it. It shows in the loop's CPU time as much as in its wall time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles

from pytest_tfthreads.core.stats.estimates import Estimate, spread_of

TWO_SPEEDS_APART = 1.15
"""Two speeds closer than by this factor are not told from one that varies."""
_LEAST_SHARE = 0.05
_SEPARATION = 4.0
"""Distance of two speeds in spreads of either: an even or a normal scatter, cut in two, has 3.5 at
most."""
_LEAST_LOOPS = 10


@dataclass(frozen=True)
class Loop:
    """One run of the fixed loop on one CPU."""

    cpu: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class TwoSpeeds:
    """Seconds of CPU time a loop in the fast and in the slow state, and how often it is slow."""

    fast_s: float
    slow_s: float
    slow_share: float


@dataclass(frozen=True)
class CpuSpeed:
    """One CPU over time: seconds of CPU time a loop, as the median and the middle 80 %.

    `held_up` is the share of the wall time in which something else had the CPU.
    """

    cpu: int
    median_s: float
    fast_s: float
    slow_s: float
    held_up: float
    two_speeds: TwoSpeeds | None


@dataclass(frozen=True)
class Steadiness:
    """The loop in several processes, one after the other, each on every CPU in turn.

    `between_processes` is the spread (of a logarithm) of the speed of whole processes.
    """

    cpus: tuple[CpuSpeed, ...]
    between_processes: Estimate

    @property
    def slowest_cpu(self) -> float:
        """How many times as long as the fastest CPU's its median takes."""
        medians = [cpu.median_s for cpu in self.cpus]
        return max(medians) / min(medians)

    @property
    def widest(self) -> float:
        """The most by which the slow tenth of a CPU's loops is slower than its fast tenth."""
        return max(cpu.slow_s / cpu.fast_s for cpu in self.cpus)


def steadiness(processes: Sequence[Sequence[Loop]]) -> Steadiness:
    """Of the loops of two processes or more; raises `ValueError` where they say too little."""
    speeds = [_log_speed(loops) for loops in processes if loops]
    by_cpu: dict[int, list[Loop]] = {}
    for loop in itertools.chain.from_iterable(processes):
        by_cpu.setdefault(loop.cpu, []).append(loop)
    cpus = tuple(
        _cpu_speed(cpu, loops)
        for cpu, loops in sorted(by_cpu.items())
        if len(loops) >= _LEAST_LOOPS
    )
    if not cpus:
        raise ValueError(f"no CPU ran {_LEAST_LOOPS} loops: measure for longer")
    return Steadiness(cpus, spread_of(speeds))


def two_speeds(times_s: Sequence[float]) -> TwoSpeeds | None:
    """The two values that times cluster around, or `None` where they do not."""
    logs = sorted(map(math.log, times_s))
    count = len(logs)
    least = max(2, math.ceil(_LEAST_SHARE * count))
    if count < 2 * least:
        return None
    sums = [0.0, *itertools.accumulate(logs)]
    squares = [0.0, *itertools.accumulate(log * log for log in logs)]

    def scatter(start: int, end: int) -> float:
        return squares[end] - squares[start] - (sums[end] - sums[start]) ** 2 / (end - start)

    cut = min(
        range(least, count - least + 1), key=lambda cut: scatter(0, cut) + scatter(cut, count)
    )
    fast, slow = fmean(logs[:cut]), fmean(logs[cut:])
    within = math.sqrt(max(0.0, scatter(0, cut) + scatter(cut, count)) / count)
    if cut in (least, count - least):  # no cluster, but the end of a tail
        return None
    if slow - fast < max(math.log(TWO_SPEEDS_APART), _SEPARATION * within):
        return None
    return TwoSpeeds(math.exp(fast), math.exp(slow), (count - cut) / count)


def _cpu_speed(cpu: int, loops: Sequence[Loop]) -> CpuSpeed:
    used_s = [loop.cpu_s for loop in loops]
    wall_s = [loop.wall_s for loop in loops]
    # A clock of CPU time that moves in ticks of some milliseconds says nothing of single loops.
    times_s = used_s if min(used_s) > 0 else wall_s
    tenths = quantiles(times_s, n=10)
    return CpuSpeed(
        cpu=cpu,
        median_s=tenths[4],
        fast_s=tenths[0],
        slow_s=tenths[8],
        held_up=max(0.0, 1 - sum(used_s) / sum(wall_s)),
        two_speeds=two_speeds(times_s),
    )


def _log_speed(loops: Iterable[Loop]) -> float:
    return -math.log(fmean(loop.wall_s for loop in loops))
