"""A good configuration without the full grid: climb from the machine's cores, drop the beaten.

The grid is walked as a climber does who sees only his neighbourhood: from the corners of one
thread, of all physical cores and of all CPUs to the best of them, then on to its neighbours, which
have half or twice the threads of one pool, until none is better. Where instances are asked for,
they are a third axis, and the climb begins with the fewest and the most at each corner. These looks
are short. What is beaten with confidence is dropped for good (successive elimination: Even-Dar,
Mannor & Mansour 2006); the front runners of what is left are measured in full, pass by pass, until
one has beaten the others or they cannot be told apart.

Each look compares at the full error, as if it were the only one. So the choice of what is measured
further is not protected: over all looks, a configuration that is as good as the others may be
dropped more often than that. The table at the end is: it tests all pairs of what was measured once
more, and takes nothing from what the looks decided.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.core.measurement import TENSORFLOWS_CHOICE, Pools
from pytest_tfthreads.core.sweep.comparison import Candidate, Comparison, compare
from pytest_tfthreads.core.threads import (
    AUTO,
    Case,
    CpuCounts,
    InstanceCount,
    ThreadConfig,
    ThreadCount,
)

_Point = tuple[int, int, int]  # intra, inter, instances

_ONE = InstanceCount("1")
_FINALISTS = 3
_WORTH_A_STEP = 1.03
_NO_GAIN = 1.05  # what certainly gains no more than this is not worth the seconds to find it


@dataclass(frozen=True)
class Standing:
    """What is known so far; configurations by their number in the grid."""

    processes: Mapping[int, int]  # how many processes have measured each configuration
    in_full: frozenset[int]  # measured in full, not only in a glance
    alive: tuple[int, ...]  # beaten by none with confidence; the fastest first
    beaten: frozenset[int]  # beaten by one of those, or failed
    is_settled: bool  # the others alive are certainly no better than the first
    # The neighbours of this configuration are measured next. On a plateau it stays where it is,
    # even if another seems to be faster: else the climb would wander about.
    centre: int | None
    hub: int | None  # took part in every glance, so that all can be compared
    failed: frozenset[int] = frozenset()  # those of `beaten` that failed


NOTHING_KNOWN = Standing({}, frozenset(), (), frozenset(), is_settled=False, centre=None, hub=None)


def machine_grid(
    machine: CpuCounts, instances: Sequence[InstanceCount] = ()
) -> tuple[ThreadConfig, ...]:
    """All pairs of thread counts from one to twice the CPUs, by halves and doubles of the cores.

    With `instances`, each pair with each number of them, but none twice: two that come to the same
    number on this machine are one.
    """
    counts = {1, 2 * machine.logical}
    for cores in (machine.physical, machine.logical):
        while cores > 1:
            counts.add(cores)
            cores //= 2
    axis = [ThreadCount(str(count)) for count in sorted(counts)]
    pairs = [ThreadConfig(*pair) for pair in itertools.product(axis, axis)]
    if not instances:
        return tuple(pairs)
    return tuple(
        one for pair in pairs for one in _with_distinct_instances(pair, instances, machine)
    )


def _with_distinct_instances(
    pair: ThreadConfig, instances: Sequence[InstanceCount], machine: CpuCounts
) -> list[ThreadConfig]:
    by_number: dict[int, ThreadConfig] = {}
    for count in instances:
        threads = replace(pair, instances=count)
        pools = pair.intra.resolve(machine), pair.inter.resolve(machine)
        by_number.setdefault(Case(threads).team_size(*pools, machine), threads)
    return list(by_number.values())


def with_default(grid: Sequence[ThreadConfig]) -> tuple[ThreadConfig, ...]:
    """The same, with TensorFlow's own choice in it, by which people judge what was found."""
    default = ThreadConfig(AUTO, AUTO)
    if len(grid) < 2 or default in grid or replace(default, instances=_ONE) in grid:
        return tuple(grid)
    return (*grid, default)


def asked_for(configs: Sequence[ThreadConfig], machine: CpuCounts) -> tuple[ThreadConfig, ...]:
    """The grid of a search where `configs` were asked for (none: the machine's grid).

    Where only instances were named, they are an axis of the machine's grid.
    """
    instances = [one.instances for one in configs if one.instances is not None]
    names_only_instances = len(instances) == len(configs) and all(
        (one.intra, one.inter) == (AUTO, AUTO) for one in configs
    )
    return with_default(machine_grid(machine, instances) if names_only_instances else configs)


@dataclass(frozen=True)
class Look:
    """What is measured next, one process each, in turns; only a `glance` to find the way."""

    members: tuple[int, ...]
    is_glance: bool


def next_look(
    grid: Sequence[Pools],
    machine: CpuCounts,
    processes: Sequence[int],
    standing: Standing,
    instances: Sequence[int] = (),
) -> Look | None:
    """What the search has to know next; `None` when it is over.

    `grid` holds each configuration's threads (0: TensorFlow's choice), `processes` how many
    processes its measurement takes when it is not dropped before, `instances` how many of it run at
    once (empty: one of each).
    """
    teams = instances or [1] * len(grid)
    points = [_point(*one, machine) for one in zip(grid, teams, strict=True)]
    if not standing.processes:
        return Look(_corners(points, machine), is_glance=True)
    if not standing.alive:  # all that were measured have failed
        others = [index for index in range(len(grid)) if index not in standing.processes]
        return Look(tuple(others[:1]), is_glance=True) if others else None
    centre = standing.alive[0] if standing.centre is None else standing.centre
    unseen = [index for index in _neighbours(points, centre) if index not in standing.processes]
    if unseen:
        known = dict.fromkeys(one for one in (centre, standing.hub) if one is not None)
        return Look((*known, *unseen), is_glance=True)
    front = standing.alive[: 1 if standing.is_settled else _FINALISTS]
    # What the found one gains over TensorFlow's default is the first thing that people ask.
    front += tuple(
        index
        for index, pools in enumerate(grid)
        if pools == TENSORFLOWS_CHOICE
        and teams[index] == 1
        and index not in standing.failed
        and index not in front
    )
    if all(
        index in standing.in_full and standing.processes[index] >= processes[index]
        for index in front
    ):
        return None
    return Look(front, is_glance=False)


def _point(pools: Pools, instances: int, machine: CpuCounts) -> _Point:
    # Left to itself, TensorFlow takes a thread for each CPU.
    return (pools.intra or machine.logical, pools.inter or machine.logical, instances)


def _corners(points: Sequence[_Point], machine: CpuCounts) -> tuple[int, ...]:
    """One thread, and all cores for one pool, the other, or both; of all that are on the grid.

    Of each the fewest and the most instances.
    """
    wanted = [
        *itertools.product((1, machine.physical), repeat=2),
        (machine.logical, machine.logical),
    ]
    on_the_grid = []
    for index, (intra, inter, instances) in enumerate(points):
        line = _instances_of(points, intra, inter)
        if (intra, inter) in wanted and instances in (line[0], line[-1]):
            on_the_grid.append(index)
    return tuple(on_the_grid) or tuple(range(min(len(points), 4)))


def _instances_of(points: Sequence[_Point], intra: int, inter: int) -> list[int]:
    """Numbers of instances on the grid for these threads, the fewest first."""
    return sorted({point[2] for point in points if point[:2] == (intra, inter)})


def _neighbours(points: Sequence[_Point], at: int) -> list[int]:
    """One step along one axis of the grid, or the same configuration under other terms.

    A step to other threads keeps the number of instances, or takes the nearest that is there; from
    as many instances as there can be, it goes to as many as there can be as well.
    """
    intra, inter, instances = points[at]
    here = _instances_of(points, intra, inter)
    steps = {(intra, inter, count) for count in _beside(here, instances)}
    for count in _beside(sorted({one[0] for one in points if one[1] == inter}), intra):
        steps |= _of_instances(points, count, inter, instances, is_most=instances == here[-1])
    for count in _beside(sorted({one[1] for one in points if one[0] == intra}), inter):
        steps |= _of_instances(points, intra, count, instances, is_most=instances == here[-1])
    return [index for index, point in enumerate(points) if point in steps and index != at]


def _beside(line: Sequence[int], count: int) -> Sequence[int]:
    """The count itself, and those before and after it."""
    place = line.index(count)
    return line[max(0, place - 1) : place + 2]


def _of_instances(
    points: Sequence[_Point], intra: int, inter: int, instances: int, is_most: bool
) -> set[_Point]:
    line = _instances_of(points, intra, inter)
    nearest = min(line, key=lambda count: (abs(count - instances), count))
    return {(intra, inter, nearest), *([(intra, inter, line[-1])] if is_most else [])}


@dataclass(frozen=True)
class SearchCost:
    """What a search took, and what the full grid would have.

    `grid_s` takes every process of the grid for as long as the full ones of the search.
    """

    configurations: int
    grid_configurations: int
    processes: int
    grid_processes: int
    seconds: float
    grid_s: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the fields."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchCost:
        """Raises `DecodeError`."""
        return decode(cls, data)


def look_back(
    before: Standing, look: Look, candidates: Mapping[int, Candidate], failed: Collection[int]
) -> Standing:
    """The standing after one more look.

    `candidates` are all that were measured, by number, `failed` those that could not be.
    """
    out = before.beaten | frozenset(failed)
    known = [index for index in candidates if index not in out or index == before.hub]
    comparison = compare([candidates[index] for index in known])
    numbers = {candidates[index].id: index for index in known}
    beaten = out | {numbers[loser] for loser in _losers(comparison)}
    ranking = sorted(
        (candidate for candidate in comparison.compared if numbers[candidate] not in beaten),
        key=comparison.log_throughput,
        reverse=True,
    )
    # What cannot be compared yet stays in the race, behind all that can.
    others = [numbers[candidate] for candidate in comparison.not_compared]
    alive = (
        *(numbers[candidate] for candidate in ranking),
        *(index for index in others if index not in out),
    )
    centre = alive[0] if alive else None
    if ranking and before.centre is not None and before.centre not in beaten:
        step = comparison.throughput(ranking[0], candidates[before.centre].id)
        if step.estimate.value <= _WORTH_A_STEP:
            centre = before.centre
    processes = {
        index: len(candidate.measurement.samples) for index, candidate in candidates.items()
    }
    return Standing(
        processes={**dict.fromkeys(failed, 1), **processes},
        in_full=before.in_full | frozenset(() if look.is_glance else look.members),
        alive=alive,
        beaten=beaten,
        is_settled=len(ranking) == len(alive) and _is_settled(comparison, ranking),
        centre=centre,
        hub=alive[0] if before.hub is None and alive else before.hub,
        failed=before.failed | frozenset(failed),
    )


def _losers(comparison: Comparison) -> list[str]:
    """Configurations than which another is certainly faster, by id."""
    compared = comparison.compared
    return [
        slower
        for slower in compared
        if any(comparison.throughput(faster, slower).above for faster in compared)
    ]


def _is_settled(comparison: Comparison, ranking: Sequence[str]) -> bool:
    """Whether no configuration can be faster than the first by as much as is worth a look."""
    gains = [comparison.throughput(other, ranking[0]).estimate.high for other in ranking[1:]]
    return all(gain is not None and gain <= _NO_GAIN for gain in gains)
