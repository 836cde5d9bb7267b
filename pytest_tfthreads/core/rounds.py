"""How the processes of a group lay out their rounds: agreed once, the same for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any


@dataclass(frozen=True)
class Ready:
    """What a process that is warm knows of its own work.

    `iterations` calls, of `call_s` seconds each, make a round that is long enough for its clocks;
    `budget_s` is how long it is to measure.
    """

    iterations: int
    call_s: float
    budget_s: float

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ready:
        """Raises `ValueError` where these are no such values."""
        try:
            ready = cls(int(data["iterations"]), float(data["call_s"]), float(data["budget_s"]))
        except (LookupError, TypeError, OverflowError) as error:
            raise ValueError(f"not what a process knows of its work: {data!r:.80}") from error
        if not (ready.iterations > 0 and 0 < ready.call_s < inf and 0 <= ready.budget_s < inf):
            raise ValueError(f"no process works like this: {ready}")
        return ready


@dataclass(frozen=True)
class Layout:
    """`rounds` rounds of `iterations` calls each."""

    iterations: int
    rounds: int

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Layout:
        return cls(**data)


def agree(members: Sequence[Ready]) -> Layout:
    """The layout with which no member's rounds are too short, and the group keeps its budget.

    All have the same number of rounds of the same number of calls, so that the n-th of one is
    compared with the n-th of another. A slow member therefore measures for longer than its own
    budget, and a fast one for less.
    """
    iterations = max(ready.iterations for ready in members)
    lap_s = iterations * sum(ready.call_s for ready in members)
    budget_s = sum(ready.budget_s for ready in members)
    return Layout(iterations, max(1, round(budget_s / lap_s)))
