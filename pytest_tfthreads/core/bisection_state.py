"""What a bisection has found so far, as it is kept: so that one that was killed goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pytest_tfthreads.core.abreast import MeasuredPlaces, by_ring, differences
from pytest_tfthreads.core.bisection import (
    LOOKS,
    Reading,
    RingReadings,
    ends_are_alike,
    ends_differ,
)
from pytest_tfthreads.core.decode import Count, DecodeError, NotNegative, OneOf, decode, encode
from pytest_tfthreads.core.stats.moderation import Difference
from pytest_tfthreads.core.tolerance import METRICS

SCHEMA = 1
ENDS = 2
"""The places of a wish begin with the good end and the bad end; candidates follow."""

NOT_WANTED = "left out (--skip)"

Differ = Literal["yes", "no", "open"]


@dataclass(frozen=True)
class Observed:
    """A ring by throughput and by CPU efficiency."""

    throughput: RingReadings
    cpu_efficiency: RingReadings


@dataclass(frozen=True)
class Skipped:
    """A commit that cannot be measured, or is not to be, by its position."""

    position: Count
    why: str


@dataclass(frozen=True)
class State:
    """Whose commit is looked for, and all that was measured. `good` and `bad` are full ids.

    `arguments` are the user's, for pytest.
    """

    test: str
    arguments: tuple[str, ...]
    good: str
    bad: str
    metric: Annotated[str, OneOf(METRICS)]
    observed: tuple[Observed, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    processes: Count = 0
    seconds: NotNegative = 0.0
    schema: Count = SCHEMA

    def rings(self, metric: str | None = None) -> list[RingReadings]:
        """By one metric: by default that of which the change is looked for."""
        return [getattr(one, metric or self.metric) for one in self.observed]

    @property
    def unmeasurable(self) -> list[int]:
        return [one.position for one in self.skipped]

    @property
    def ends_differ(self) -> Differ:
        """Whether the two ends have been told apart.

        "no" where they are surely alike, or the last look has found no difference.
        """
        rings = self.rings()
        if any(ring.readings for ring in rings):  # candidates came after it was known
            return "yes"
        if any(ends_differ(rings[:look]) for look in LOOKS if look <= len(rings)):
            return "yes"
        return "no" if len(rings) >= LOOKS[-1] or ends_are_alike(rings) else "open"

    @property
    def passes_to_look(self) -> int:
        """How many rings of both ends are to come before the next look."""
        done = len(self.observed)
        return next((look - done for look in LOOKS if look > done), 0)

    def after(self, positions: Sequence[int], found: MeasuredPlaces, seconds: float) -> State:
        """With what was measured at both ends and these positions, in `seconds` all together."""
        skipped = [
            Skipped(position, place.problem)
            for position, place in zip(positions, found.places[ENDS:], strict=True)
            if place.problem
            and not place.samples
            and not place.is_of_machine
            and position not in self.unmeasurable
        ]
        return replace(
            self,
            observed=(*self.observed, *_observed(positions, found)),
            skipped=(*self.skipped, *skipped),
            processes=self.processes + found.processes,
            seconds=self.seconds + seconds,
        )

    def without(self, position: int) -> State:
        """With a commit that is not to be measured."""
        if position in self.unmeasurable:
            return self
        return replace(self, skipped=(*self.skipped, Skipped(position, NOT_WANTED)))

    def to_text(self) -> str:
        return json.dumps(encode(self))

    @classmethod
    def from_text(cls, text: str) -> State:
        """Raises `ValueError` where it is none, or one of another version."""
        try:
            data = json.loads(text)
        except RecursionError as error:
            raise DecodeError("has brackets nested by the thousand") from error
        schema = data.get("schema") if isinstance(data, Mapping) else None
        if schema != SCHEMA:
            raise DecodeError(f"is of schema {schema!r}, not {SCHEMA}")
        return decode(cls, data)


def _observed(positions: Sequence[int], found: MeasuredPlaces) -> list[Observed]:
    result = []
    for samples in by_ring(found):
        if not {0, 1} <= samples.keys():
            continue
        ends = differences(samples[1], samples[0])
        if ends is None:
            continue
        readings: tuple[list[Reading], list[Reading]] = ([], [])
        for index, position in enumerate(positions, start=ENDS):
            if index not in samples:
                continue
            to_good = differences(samples[index], samples[0])
            to_bad = differences(samples[index], samples[1])
            if to_good is not None and to_bad is not None:
                for which, one in enumerate(readings):
                    one.append(Reading(position, to_good[which], to_bad[which]))
        wall, cpu = (_ring(end, one) for end, one in zip(ends, readings, strict=True))
        result.append(Observed(wall, cpu))
    return result


def _ring(ends: Difference, readings: Sequence[Reading]) -> RingReadings:
    return RingReadings(ends, tuple(readings))
