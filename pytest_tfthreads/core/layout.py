"""How the processes of a group lay out their rounds: agreed once, the same for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

MIN_ROUND_S = 0.005
"""A round takes at least this long, or a little more: long against the clocks' resolution, and
short against the half second for which a shared CPU keeps its speed."""


@dataclass(frozen=True)
class Ready:
    """What a process that is warm knows of its own work.

    `iterations` calls, of `call_s` seconds each, make a round that is long enough for its clocks;
    `budget_s` is how long it is to measure. Raises `ValueError` where no process works like that.
    """

    iterations: int
    call_s: float
    budget_s: float

    def __post_init__(self) -> None:
        if not (self.iterations > 0 and 0 < self.call_s < inf and 0 <= self.budget_s < inf):
            raise ValueError(f"no process works like this: {self}")


@dataclass(frozen=True)
class Layout:
    """`rounds` rounds of `iterations` calls each."""

    iterations: int
    rounds: int


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
