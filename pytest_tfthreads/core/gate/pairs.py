"""What pairs of processes say, one of each revision, that took turns with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pytest_tfthreads.core.decode import Within, decode, encode
from pytest_tfthreads.core.measurement import Measurement, Sample
from pytest_tfthreads.core.sweep.comparison import blocks, ring_differences

LogRatioOfSpeeds = Annotated[float, Within(-100, 100)]
"""Any factor that can be."""


@dataclass(frozen=True)
class Pair:
    """Log of speed of the candidate / the baseline, by wall and by CPU time: below 0 is slower."""

    throughput: LogRatioOfSpeeds
    cpu_efficiency: LogRatioOfSpeeds

    def to_json(self) -> dict[str, float]:
        data: dict[str, float] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, float]) -> Pair:
        """Raises `DecodeError`."""
        return decode(cls, data)


@dataclass(frozen=True)
class Duet:
    """What was found side by side with a baseline; `problem`: why nothing was.

    `is_mistake`: the problem is how the project is set up, and would be every test's. `ended`: why
    there are no more pairs, though they might have told more.
    """

    against: str
    pairs: tuple[Pair, ...] = ()
    baseline: Measurement | None = None
    problem: str = ""
    is_mistake: bool = False
    ended: str = ""

    def to_json(self) -> dict[str, Any]:
        """What is recorded; later duets learn the noise from it."""
        baseline = self.baseline
        return {
            "against": self.against,
            "pairs": [pair.to_json() for pair in self.pairs],
            "baseline": None
            if baseline is None
            else {
                "throughput": baseline.throughput.to_json(),
                "cpu_efficiency": baseline.cpu_efficiency.to_json(),
                "cores_used": baseline.cores_used.to_json(),
            },
            "problem": self.problem,
        }


def pair_of(candidate: Sample, baseline: Sample) -> Pair:
    """The medians, over blocks of a turn each, of the log ratios of neighbouring blocks.

    A call of either side is one of the same work; calls a round may differ. Raises `ValueError`
    where the two took no turns together, or no clock moved.
    """
    if candidate.ring is None or candidate.ring != baseline.ring:
        raise ValueError(
            "the two processes took no turns with each other: a warm-up of the test's own "
            "(warmup_iterations) leaves no place for them; leave the warm-up out"
        )
    found = ring_differences(blocks(candidate, 1.0), blocks(baseline, 1.0))
    if found is None:
        raise ValueError(
            "a clock did not move in any block of both processes: measure for longer (max_time)"
        )
    wall, cpu = found
    return Pair(wall.log_ratio, cpu.log_ratio)
