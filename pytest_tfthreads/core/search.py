"""A good configuration without the full grid: climb from the machine's cores, drop the beaten.

The grid is walked as a climber does who sees only his neighbourhood: from the corners of one
thread, of all physical cores and of all CPUs to the best of them, then on to its neighbours, which
have half or twice the threads of one pool, until no neighbour is better. All that is not beaten
yet is measured again with each step, what is beaten with confidence is dropped for good
(successive elimination: Even-Dar, Mannor & Mansour 2006), and when what is left cannot be told
apart the search is over.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.threads import CpuCounts, ThreadConfig, ThreadCount


@dataclass(frozen=True)
class Standing:
    """What is known so far; configurations by their number in the grid.

    `processes` is how many have measured each, `best` the fastest so far, `beaten` those that it
    beats with confidence (and those that failed), `is_settled` whether the others are as good.
    """

    processes: Mapping[int, int]
    best: int | None
    beaten: Collection[int]
    is_settled: bool


def machine_grid(machine: CpuCounts) -> tuple[ThreadConfig, ...]:
    """All pairs of thread counts from one to twice the CPUs, by halves and doubles of the cores."""
    counts = {1, 2 * machine.logical}
    for cores in (machine.physical, machine.logical):
        while cores > 1:
            counts.add(cores)
            cores //= 2
    axis = [ThreadCount(str(count)) for count in sorted(counts)]
    return tuple(ThreadConfig(*pair) for pair in itertools.product(axis, axis))


def next_ring(
    grid: Sequence[Pools], machine: CpuCounts, processes: Sequence[int], standing: Standing
) -> tuple[int, ...]:
    """Who is measured next, one process each, in turns; nobody when the search is over.

    `grid` holds each configuration's threads (0: TensorFlow's choice), `processes` how many
    processes its measurement takes when it is not dropped before.
    """
    points = [_point(pools, machine) for pools in grid]
    if not standing.processes:
        return _corners(points, machine)
    alive = [index for index in standing.processes if index not in standing.beaten]
    if standing.best is None:  # all that were measured have failed
        return tuple(index for index in range(len(grid)) if index not in standing.processes)[:1]
    unseen = [
        index
        for index in _neighbours(points, standing.best)
        if index not in standing.processes and index not in standing.beaten
    ]
    if unseen:
        return (*alive, *unseen)
    if standing.is_settled:
        alive = [standing.best]
    if all(standing.processes[index] >= processes[index] for index in alive):
        return ()
    return tuple(alive)


def _point(pools: Pools, machine: CpuCounts) -> tuple[int, int]:
    # Left to itself, TensorFlow takes a thread for each CPU.
    return (pools.intra or machine.logical, pools.inter or machine.logical)


def _corners(points: Sequence[tuple[int, int]], machine: CpuCounts) -> tuple[int, ...]:
    """One thread, and all cores for one pool, the other, or both; of all that are on the grid."""
    wanted = [
        *itertools.product((1, machine.physical), repeat=2),
        (machine.logical, machine.logical),
    ]
    on_the_grid = [index for index, point in enumerate(points) if point in wanted]
    return tuple(on_the_grid) or tuple(range(min(len(points), 4)))


def _neighbours(points: Sequence[tuple[int, int]], at: int) -> list[int]:
    """One step along one axis of the grid, or the same threads under other terms."""
    steps: set[tuple[int, int]] = {points[at]}
    for axis in (0, 1):
        line = sorted({point[axis] for point in points if point[1 - axis] == points[at][1 - axis]})
        place = line.index(points[at][axis])
        for count in line[max(0, place - 1) : place + 2]:
            step = list(points[at])
            step[axis] = count
            steps.add((step[0], step[1]))
    return [index for index, point in enumerate(points) if point in steps and index != at]
