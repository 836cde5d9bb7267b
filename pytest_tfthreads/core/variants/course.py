"""A test over releases as reports draw it: short, and without the measurements behind it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pytest_tfthreads.core.decode import Within
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.variants import steps
from pytest_tfthreads.core.variants.released import Over, TestOver
from pytest_tfthreads.core.variants.steps import Status

_Relative = Annotated[float, Within(-1)]


@dataclass(frozen=True)
class CourseChange:
    """The relative change of speed since another release: -0.05 where 5 % was lost.

    `low` and `high`: the interval, which holds together with those of the course's other changes.
    """

    since: str
    value: _Relative
    low: _Relative
    high: _Relative
    status: Status

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"has a change of {self.value} outside [{self.low}, {self.high}]")


@dataclass(frozen=True)
class CoursePoint:
    """A release with its changes since the first and since the one before that was measured.

    None where it took no turns with that one.
    """

    name: str
    to_first: CourseChange | None
    to_previous: CourseChange | None


@dataclass(frozen=True)
class Course:
    """One metric of one test. `releases` are the names of all, in their order.

    `first` is the one that changes since the first begin at, `points` are those after the first
    that was measured. `tolerance` is the change that was tolerated from one release to the next, as
    a share.
    """

    releases: tuple[str, ...]
    first: str
    points: tuple[CoursePoint, ...]
    tolerance: Annotated[float, Within(0)]

    def __post_init__(self) -> None:
        named = {self.first, *(point.name for point in self.points)}
        if unknown := sorted(named - {*self.releases}):
            raise ValueError(f"names {unknown[0]!r}, which is none of its releases")

    def point(self, name: str) -> CoursePoint | None:
        """The point at the release of that name."""
        return next((one for one in self.points if one.name == name), None)


def courses_of(over: Over, test: TestOver) -> dict[str, Course]:
    """By metric; nothing where no two releases took turns with each other."""
    if not test.is_compared:
        return {}
    releases = tuple(one.name for one in over.releases)
    first = _first(releases, test)
    return {
        metric: Course(
            releases,
            first,
            tuple(
                CoursePoint(one.name, _change(one.to_first), _change(one.to_previous))
                for one in test.steps[metric]
            ),
            over.tolerance[metric],
        )
        for metric in METRICS
    }


def _first(releases: Sequence[str], test: TestOver) -> str:
    """The release that changes since the first begin at.

    One before it may have been measured, and have dropped out.
    """
    several = itertools.chain.from_iterable(test.steps.values())
    since = next((step.to_first.since for step in several if step.to_first is not None), None)
    if since is not None:
        return since
    return next(
        name for name, at in zip(releases, test.at, strict=True) if at.measurement is not None
    )


def _change(change: steps.VariantChange | None) -> CourseChange | None:
    if change is None:
        return None
    value, low, high = change.relative
    return CourseChange(change.since, value, low, high, change.status)
