"""Which processes are measured together, and in which order they are set up."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Sequence


def plan_rings(
    processes: Sequence[int], limit: int, shared: int, seed: str
) -> list[tuple[int, ...]]:
    """The rings of a group, one after the other: who takes turns with whom, in order of set-up.

    `processes[i]` is how many processes the i-th configuration gets, one in each pass. A pass is
    one ring, or, where there are more than `limit` configurations, several that all have the
    `shared` one among them, by which the others can be compared. Where that one gets fewer
    processes than others do, the one that gets the most stands in for it in the later passes. The
    orders are random, drawn from `seed`, but each second pass reverses the order of the one
    before. A member that was set up first is 1 to 4 % slower, so each is before every other as
    often as after.
    """
    lasting = max(range(len(processes)), key=processes.__getitem__)

    def divided(members: Sequence[int], passes: range) -> list[list[int]]:
        is_there = processes[shared] >= passes.stop
        return _divided(members, limit, shared if is_there else lasting)

    return _planned(processes, seed, divided)


def plan_neighbours(
    members: Sequence[int], passes: int, limit: int, seed: str
) -> list[list[tuple[int, ...]]]:
    """By pass, rings in which each member meets the first one and its own predecessor.

    `members` are numbers in the order that makes them neighbours, such as releases by age. Where
    there are more than `limit`, a pass has several rings: all have the first member, and each but
    the first ring begins with the member that ended the ring before. Orders of set-up are random
    and reversed in turn, as those of `plan_rings`. Raises `ValueError` where no two members may
    take turns with each other.
    """
    if limit < 2:
        raise ValueError(f"in rings of {limit} nobody meets anybody")
    rings = _planned([passes] * len(members), seed, lambda places, _: _overlapping(places, limit))
    a_pass = len(rings) // passes if passes else 1
    named = [tuple(members[place] for place in ring) for ring in rings]
    return [named[start : start + a_pass] for start in range(0, len(named), a_pass)]


def _planned(
    processes: Sequence[int],
    seed: str,
    divide: Callable[[Sequence[int], range], list[list[int]]],
) -> list[tuple[int, ...]]:
    """`divide(members, passes)`: the rings that these members form in these one or two passes."""
    draw = random.Random(seed)  # noqa: S311  # nosec B311 # repeatable, no secret
    most = max(processes)
    rings: list[tuple[int, ...]] = []
    for number in range(0, most, 2):
        passes = range(number, min(number + 2, most))
        members = [index for index, count in enumerate(processes) if count > number]
        orders = [draw.sample(ring, len(ring)) for ring in divide(members, passes)]
        rings += map(tuple, orders)
        if len(passes) == 2:
            still_there = {index for index in members if processes[index] > number + 1}
            rings += _without_doubles(
                tuple(index for index in order[::-1] if index in still_there) for order in orders
            )
    return rings


def _without_doubles(rings: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Nobody is in a ring alone who is in another one as well; no ring is empty."""
    there = [ring for ring in rings if ring]
    met = {index for ring in there if len(ring) > 1 for index in ring}
    alone = dict.fromkeys(ring for ring in there if len(ring) == 1 and ring[0] not in met)
    return [ring for ring in there if len(ring) > 1] + list(alone)


def _overlapping(members: Sequence[int], limit: int) -> list[list[int]]:
    if len(members) <= limit:
        return [list(members)]
    first, *others = members
    if limit == 2:  # there is no place for three
        return [[first, one] for one in others] + [
            list(pair) for pair in itertools.pairwise(others)
        ]
    # Each ring has the first member and some neighbours: as many steps from one to the next as
    # can be, and as even as can be.
    steps = len(others) - 1
    count = math.ceil(steps / (limit - 2))
    ends = [steps * number // count for number in range(count + 1)]
    return [[first, *others[low : high + 1]] for low, high in itertools.pairwise(ends)]


def _divided(members: Sequence[int], limit: int, shared: int) -> list[list[int]]:
    if len(members) <= limit:
        return [list(members)]
    if limit == 1:
        return [[index] for index in members]
    others = [index for index in members if index != shared]
    # As even as can be: a ring of two says less than one of five.
    count = math.ceil(len(others) / (limit - 1))
    return [[shared, *others[start::count]] for start in range(count)]
