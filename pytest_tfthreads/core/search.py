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
from typing import Any

from pytest_tfthreads.core.comparison import Candidate, compare
from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.threads import CpuCounts, ThreadConfig, ThreadCount

# A configuration that is certainly not slower than the best by more than this is as good.
_AS_GOOD = 1.05


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


NOTHING_KNOWN = Standing(processes={}, best=None, beaten=(), is_settled=False)


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


@dataclass(frozen=True)
class SearchCost:
    """What a search took, and what the full grid would have, at the same seconds a process."""

    configurations: int
    grid_configurations: int
    processes: int
    grid_processes: int
    seconds: float

    @property
    def grid_s(self) -> float:
        return self.seconds * self.grid_processes / self.processes

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "grid_s": self.grid_s}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchCost:
        return cls(**{name: value for name, value in data.items() if name != "grid_s"})


def look_again(
    before: Standing, candidates: Mapping[int, Candidate], failed: Collection[int]
) -> Standing:
    """The standing after one more ring of all that were not beaten before.

    `candidates` are all that were measured, `failed` those that could not be.
    """
    out = {*before.beaten, *failed}
    alive = {index: one for index, one in candidates.items() if index not in out}
    processes = {
        **{index: len(one.measurement.samples) for index, one in candidates.items()},
        **{index: before.processes.get(index, 1) for index in failed},
    }
    comparison = compare(list(alive.values()))
    ids = {index: one.id for index, one in alive.items() if one.id in comparison.compared}
    if not ids:
        return Standing(processes, next(iter(alive), None), out, is_settled=False)
    best = max(ids, key=lambda index: comparison.log_throughput(ids[index]))
    ratios = {index: comparison.throughput(ids[best], one) for index, one in ids.items()}
    beaten = {index for index, ratio in ratios.items() if ratio.above}
    left = [ratio.estimate.high for index, ratio in ratios.items() if index not in beaten]
    return Standing(
        processes,
        best,
        out | beaten,
        is_settled=all(high is not None and high <= _AS_GOOD for high in left),
    )
