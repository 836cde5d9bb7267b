"""Which processes are measured together, and in which order they are set up."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence


def plan_rings(
    processes: Sequence[int], limit: int, shared: int, seed: str
) -> list[tuple[int, ...]]:
    """The rings of a group, one after the other: who takes turns with whom, in order of set-up.

    `processes[i]` is how many processes the i-th configuration gets, one in each pass. A pass is
    one ring, or, where there are more than `limit` configurations, several that all have the
    `shared` one among them, by which the others can be compared. The orders are random, drawn
    from `seed`, but each second pass reverses the order of the one before. A member that was set
    up first is 1 to 4 % slower, so each is before every other as often as after.
    """
    draw = random.Random(seed)  # noqa: S311  # nosec B311 # repeatable, no secret
    rings: list[tuple[int, ...]] = []
    orders: list[list[int]] = []
    for number in range(max(processes)):
        here = [index for index, count in enumerate(processes) if count > number]
        if number % 2 == 0:
            orders = [draw.sample(ring, len(ring)) for ring in _divided(here, limit, shared)]
        else:
            orders = [[index for index in order[::-1] if index in here] for order in orders]
        rings += [tuple(order) for order in orders if order]
    return rings


def _divided(members: Sequence[int], limit: int, shared: int) -> list[list[int]]:
    if len(members) <= limit:
        return [list(members)]
    if limit == 1:
        return [[index] for index in members]
    others = [index for index in members if index != shared]
    # As even as can be: a ring of two says less than one of five.
    count = math.ceil(len(others) / (limit - 1))
    return [[shared, *others[start::count]] for start in range(count)]
