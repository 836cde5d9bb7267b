"""One test at several places side by side: what a command asks of a run of pytest, and the answer.

A *place* is a revision of the code, in an environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pytest_tfthreads.core.decode import Count, NotNegative
from pytest_tfthreads.core.measurement import Sample
from pytest_tfthreads.core.stats.moderation import Difference
from pytest_tfthreads.core.sweep.comparison import blocks, ring_differences


@dataclass(frozen=True)
class Place:
    """A commit (None: the current tree), and an interpreter (None: that of the command).

    `python` is an interpreter or the directory of a virtual environment.
    """

    commit: str | None = None
    python: str | None = None


@dataclass(frozen=True)
class Wish:
    """A process at each of these places, in turns, and all that in so many passes."""

    places: tuple[Place, ...]
    passes: Count


@dataclass(frozen=True)
class AtPlace:
    """What processes at one place measured, a sample a process; `problem`: why there is no more.

    `is_mistake`: the problem is how the project is set up, and would be that of every place.
    """

    samples: tuple[Sample, ...] = ()
    problem: str = ""
    is_mistake: bool = False
    tensorflow: str | None = None


@dataclass(frozen=True)
class Found:
    """The answer to a wish: its places in their order. `seconds`: how long the processes took."""

    places: tuple[AtPlace, ...]
    seconds: NotNegative

    @property
    def processes(self) -> int:
        """That measured something."""
        return sum(len(place.samples) for place in self.places)


@dataclass(frozen=True)
class Opening:
    """What the run of pytest says first: the tests that it was told to measure, by node id.

    `problem`: why the test measures nothing here, in the current tree and environment.
    """

    tests: tuple[str, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = field(default=())


def by_ring(found: Found) -> Iterator[Mapping[int, Sample]]:
    """The samples of each ring, by the index of their place."""
    rings: dict[int, dict[int, Sample]] = {}
    for index, place in enumerate(found.places):
        for sample in place.samples:
            if sample.ring is not None:
                rings.setdefault(sample.ring, {})[index] = sample
    yield from (rings[ring] for ring in sorted(rings))


def differences(first: Sample, second: Sample) -> tuple[Difference, Difference] | None:
    """Of the logs of the first's throughput and CPU efficiency over the second's, by their turns.

    None where no clock moved. A call of either side is one of the same work.
    """
    return ring_differences(blocks(first, 1.0), blocks(second, 1.0))
