"""Speeds with the machine of the day taken out, as far as the reference workload can tell it.

The reference workload ran between the rounds, with two clocks. Where the CPUs were slower, both
say so. Where other programs took a share of them, its wall time is longer and its CPU time is not;
where a thread of the test burns CPU beside the work, its CPU time is longer and its wall time is
not, for the CPU clock is that of the whole process. So:

- throughput is corrected by the reference's wall time (`BY_WALL`), if the reference suffers from
  other programs as the test does: it needs all threads of the test, so a test that keeps busy much
  fewer cores than the reference does would be blamed for what only the reference has gained;
- else, and always for CPU efficiency, by what both clocks agree on (`BY_BOTH`), which neither a
  neighbour nor a thread that burns CPU moves, as long as one of the granted CPUs is free;
- without a reference workload, not at all (`NOT`).

What one clock says and the other does not is contention. Where that has changed and is not
corrected for, speeds are less sure (`CONTENTION_SHARE`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pytest_tfthreads.core.measurement import Sample
from pytest_tfthreads.core.stats.drift import AGREED, CORRECTED, UNCORRECTED

NOT, BY_BOTH, BY_WALL = "not", "both", "wall"
EXPECTED = {NOT: UNCORRECTED, BY_BOTH: AGREED, BY_WALL: CORRECTED}
STANDS_FROM = 0.7
"""Cores that the test used / that the reference used, from which on the reference stands for the
test. The recorded tests with several threads had 0.72 to 1.5, and their throughput was steadier by
the correction; a test on one core beside a reference on two has 0.5, and was blamed."""
CONTENTION_SHARE = 0.5
"""Of a change of contention, the spread that it gives to a speed that is not corrected for it: the
root mean square of 8 speeds of 4 tests whose neighbour on one of two CPUs had gone was 0.43."""


@dataclass(frozen=True)
class Anchor:
    """Logarithms of the reference workload's times, from which others are told apart."""

    wall: float
    cpu: float


def has_reference(samples: Sequence[Sample]) -> bool:
    """Whether all processes ran the reference workload."""
    return all(sample.reference_wall_s and sample.reference_cpu_s for sample in samples)


def stands_for_test(samples: Sequence[Sample]) -> bool:
    """Whether the reference workload needs no more of the CPUs than the test does."""
    wall, cpu = (fmean(figures) for figures in zip(*map(_reference, samples), strict=True))
    cores = fmean(math.log(sample.cores_used) for sample in samples)
    return cores - (cpu - wall) >= math.log(STANDS_FROM)


def correction_of(metric: str, *sessions: Sequence[Sample]) -> str:
    """How a metric of these sessions is corrected, so that they can be compared."""
    if not all(map(has_reference, sessions)):
        return NOT
    if metric == "throughput" and all(map(stands_for_test, sessions)):
        return BY_WALL
    return BY_BOTH


def is_usable(metric: str, samples: Sequence[Sample], correction: str) -> bool:
    """Whether figures of these processes can be corrected so; else they are of another kind."""
    own = correction_of(metric, samples)
    return own == BY_WALL or correction in (NOT, own)


def anchor_of(samples: Sequence[Sample]) -> Anchor:
    """The mean of these processes' reference workloads."""
    walls, cpus = zip(*map(_reference, samples), strict=True)
    return Anchor(fmean(walls), fmean(cpus))


def log_speeds(
    samples: Sequence[Sample], metric: str, correction: str = NOT, anchor: Anchor | None = None
) -> tuple[float, ...]:
    """Logs of calls a second or a CPU-second, one a process, as if the machine were the anchor's.

    Only `NOT` needs no anchor. Raises `ValueError` where one is missing.
    """
    measured = tuple(
        math.log(sample.calls_a_second if metric == "throughput" else sample.calls_a_cpu_second)
        for sample in samples
    )
    if correction == NOT:
        return measured
    if anchor is None:
        raise ValueError(f"correction {correction!r} without an anchor")
    shifts = (_shift(_reference(sample), anchor, correction) for sample in samples)
    return tuple(one + shift for one, shift in zip(measured, shifts, strict=True))


def wall_time_lost(samples: Sequence[Sample], anchor: Anchor) -> float:
    """How much more of the CPUs others took than at the anchor: a log of the reference's times."""
    now = anchor_of(samples)
    return now.wall - anchor.wall - _agreed(now.wall - anchor.wall, now.cpu - anchor.cpu)


def _reference(sample: Sample) -> tuple[float, float]:
    """Logs of wall and CPU time a call."""
    return math.log(sample.reference_wall_s or 1.0), math.log(sample.reference_cpu_s or 1.0)


def _shift(times: tuple[float, float], anchor: Anchor, correction: str) -> float:
    wall, cpu = times[0] - anchor.wall, times[1] - anchor.cpu
    return wall if correction == BY_WALL else _agreed(wall, cpu)


def _agreed(one: float, other: float) -> float:
    """What both say: the smaller of two with the same sign, else nothing."""
    return math.copysign(min(abs(one), abs(other)), one) if one * other > 0 else 0.0
