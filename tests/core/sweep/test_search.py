"""The search on grids whose speeds are known."""

import itertools
import random

import pytest

from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.sweep.search import (
    NOTHING_KNOWN,
    look_back,
    machine_grid,
    next_look,
    with_default,
)
from pytest_tfthreads.core.threads import AUTO, CpuCounts, ThreadConfig

MACHINE = CpuCounts(physical=4, logical=4)
GRID = list(itertools.product((1, 2, 3, 4, 8), (1, 2, 3, 4)))


class Climb:
    """A whole search: in which looks, what it found, what it took."""

    def __init__(
        self, candidate, speed_of, grid=GRID, machine=MACHINE, processes=3, noise=0.0, fails=()
    ):
        self.looks = []
        self.in_full = []
        pools = [Pools(*point) for point in grid]
        rings = {}
        standing = NOTHING_KNOWN
        while look := next_look(pools, machine, [processes] * len(grid), standing):
            assert look.members
            self.looks.append([grid[index] for index in look.members])
            assert len(self.looks) < 50
            if not look.is_glance:
                self.in_full.append(self.looks[-1])
            for index in look.members:
                rings.setdefault(index, []).append(len(self.looks))
            standing = look_back(
                standing,
                look,
                {
                    index: candidate(
                        *grid[index],
                        speed=speed_of(*grid[index]) * random.Random(index).gauss(1, noise),
                        rings=tuple(taken),
                    )
                    for index, taken in rings.items()
                    if grid[index] not in fails
                },
                [index for index in rings if grid[index] in fails],
            )
        self.processes = sum(map(len, self.looks))
        self.measured = [grid[index] for index in standing.processes]
        self.beaten = [grid[index] for index in standing.beaten]
        self.alive = [grid[index] for index in standing.alive]


def amdahl(intra, inter):
    """Parallel inside its ops only, up to four threads, and each thread too many costs."""
    return 1 / (0.2 + 0.8 / min(intra, 4)) - 0.05 * max(intra - 4, 0) - 0.05 * (inter - 1)


def test_starts_from_the_cores_and_climbs(candidate):
    climb = Climb(candidate, amdahl)
    assert climb.looks[0] == [(1, 1), (1, 4), (4, 1), (4, 4)]
    assert climb.looks[1] == [(4, 1), (3, 1), (4, 2), (8, 1)]
    assert climb.alive[0] == (4, 1)
    assert climb.processes <= 0.25 * 3 * len(GRID)


def test_the_default_is_measured_in_full_whatever_it_is_worth(candidate):
    grid = [*GRID, (0, 0)]

    def speed(intra, inter):
        return 0.1 if (intra, inter) == (0, 0) else amdahl(intra, inter)

    climb = Climb(candidate, speed, grid=grid)
    assert (0, 0) in climb.looks[0]
    assert climb.in_full
    assert all(look[0] == (4, 1) and look[-1] == (0, 0) for look in climb.in_full)
    failing = Climb(candidate, speed, grid=grid, fails=[(0, 0)])
    assert sum((0, 0) in look for look in failing.looks) == 1
    assert failing.in_full


def test_the_default_joins_a_grid_of_several():
    default, one = ThreadConfig(AUTO, AUTO), machine_grid(MACHINE)[0]
    grid = machine_grid(MACHINE)
    assert with_default(grid) == (*grid, default)
    assert with_default(with_default(grid)) == (*grid, default)
    assert with_default([one]) == (one,)


def test_clearly_beaten_ones_are_not_measured_again(candidate):
    climb = Climb(candidate, amdahl)
    for point in climb.beaten:
        if amdahl(*point) > 0.8 * amdahl(4, 1):
            continue  # a glance does not tell it
        assert sum(point in look for look in climb.looks) == 1


def test_walks_on_as_long_as_it_gets_better(candidate):
    climb = Climb(candidate, lambda intra, inter: 0.5 ** (abs(intra - 2) + abs(inter - 2)))
    assert climb.alive[0] == (2, 2)
    assert climb.measured.count((2, 2)) == 1


@pytest.mark.parametrize("seed", range(20))
def test_finds_a_peak_wherever_it_is(candidate, seed):
    draw = random.Random(seed)
    peak = draw.choice(GRID)
    slope = [draw.uniform(0.1, 0.4) for _ in range(2)]

    def speed_of(intra, inter):
        return 1 / (1 + slope[0] * abs(intra - peak[0]) + slope[1] * abs(inter - peak[1]))

    climb = Climb(candidate, speed_of, noise=0.01)
    assert speed_of(*climb.alive[0]) > 0.95
    assert climb.processes <= 0.5 * 3 * len(GRID)


def test_winner_is_measured_in_full(candidate):
    climb = Climb(candidate, amdahl, processes=5)
    assert sum((4, 1) in look for look in climb.looks) >= 5


def test_winner_is_never_only_glanced_at(candidate):
    climb = Climb(candidate, amdahl, processes=1)
    assert (4, 1) in climb.in_full[0]


def test_stops_where_all_are_tied(candidate):
    climb = Climb(candidate, lambda intra, inter: 1.0)
    assert climb.beaten == []
    assert climb.processes <= 0.3 * 3 * len(GRID)


def test_tied_front_runners_meet_in_full(candidate):
    climb = Climb(candidate, lambda intra, inter: 1.0, noise=0.02)
    assert {len(look) for look in climb.in_full} <= {1, 2, 3}
    assert climb.alive[0] in climb.in_full[-1]


def test_those_that_fail_are_left_out(candidate):
    climb = Climb(candidate, amdahl, fails=[(4, 1), (1, 1)])
    assert amdahl(*climb.alive[0]) > 0.95 * amdahl(4, 2)
    assert not {(4, 1), (1, 1)} & set(climb.alive)


def test_ends_where_all_fail(candidate):
    climb = Climb(candidate, amdahl, fails=GRID)
    assert climb.alive == []
    assert climb.processes == len(GRID)


def test_threads_left_to_tensorflow_are_as_many_as_cpus(candidate):
    climb = Climb(candidate, lambda intra, inter: 1.0, grid=[(1, 1), (0, 0), (2, 1)])
    assert climb.looks[0] == [(1, 1), (0, 0)]


def test_grids_without_any_corner(candidate):
    climb = Climb(candidate, amdahl, grid=[(2, 2), (2, 3), (3, 2), (3, 3), (8, 2), (8, 3)])
    assert climb.alive[0] == (8, 2)


@pytest.mark.parametrize(
    ("machine", "counts"),
    [
        (CpuCounts(1, 1), {1, 2}),
        (CpuCounts(2, 4), {1, 2, 4, 8}),
        (CpuCounts(6, 12), {1, 3, 6, 12, 24}),
        (CpuCounts(4, 4), {1, 2, 4, 8}),
    ],
)
def test_grid_of_the_machine(machine, counts):
    grid = machine_grid(machine)
    assert {int(config.intra.text) for config in grid} == counts
    assert len(grid) == len(counts) ** 2
