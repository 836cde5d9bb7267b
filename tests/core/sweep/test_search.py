"""The search on grids whose speeds are known."""

import itertools
import random

import pytest

from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.sweep.search import (
    NOTHING_KNOWN,
    asked_for,
    look_back,
    machine_grid,
    next_look,
    with_default,
)
from pytest_tfthreads.core.threads import AUTO, CpuCounts, InstanceCount, ThreadConfig, parse_spec

MACHINE = CpuCounts(physical=4, logical=4)
GRID = list(itertools.product((1, 2, 3, 4, 8), (1, 2, 3, 4)))


class Climb:
    """A whole search: in which looks, what it found, what it took."""

    def __init__(
        self, candidate, speed_of, grid=GRID, machine=MACHINE, processes=3, noise=0.0, fails=()
    ):
        self.looks = []
        self.in_full = []
        pools = [Pools(*point[:2]) for point in grid]
        teams = [one for point in grid for one in point[2:]]
        rings = {}
        standing = NOTHING_KNOWN
        while look := next_look(pools, machine, [processes] * len(grid), standing, teams):
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
                        *grid[index][:2],
                        terms="".join(f"-x{count}" for count in grid[index][2:]),
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


# -- over instances, on simulated machines -----------------------------------------------------

CPUS = 4
POOLS = (1, 2, 4, 8)
TEAMS = [
    (intra, inter, instances)
    for intra, inter in itertools.product(POOLS, POOLS)
    for instances in sorted({1, 2, max(1, CPUS // max(intra, inter))})
]


def machine_that_scales(parallel_share, memory_bound):
    """Throughput of teams on four CPUs: Amdahl inside an instance, one memory for all of them.

    Threads beyond the CPUs cost; each instance that runs beside others is slowed by the memory.
    """

    def speed_of(intra, inter, instances):
        useful = min(intra or CPUS, CPUS)
        alone = 1 / (1 - parallel_share + parallel_share / useful) - 0.02 * (inter - 1)
        wanted = instances * (max(intra, inter) or CPUS)
        share = min(1, CPUS / wanted) * (1 - 0.05 * (wanted > CPUS))
        return instances * alone * share / (1 + memory_bound * (instances - 1))

    return speed_of


@pytest.mark.parametrize("parallel_share", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("memory_bound", [0.0, 0.1, 0.5, 1.2])
def test_finds_the_best_team_or_one_about_as_good(candidate, parallel_share, memory_bound):
    speed_of = machine_that_scales(parallel_share, memory_bound)
    climb = Climb(candidate, speed_of, grid=TEAMS, noise=0.01)
    best = max(speed_of(*point) for point in TEAMS)
    assert speed_of(*climb.alive[0]) >= 0.95 * best
    assert climb.processes <= 0.75 * 3 * len(TEAMS)


def test_a_search_over_instances_starts_with_the_fewest_and_the_most(candidate):
    climb = Climb(candidate, machine_that_scales(0.0, 0.0), grid=TEAMS)
    assert {(1, 1, 1), (1, 1, 4), (4, 4, 1), (4, 4, 2)} <= set(climb.looks[0])
    assert climb.alive[0] == (1, 1, 4)


def test_the_default_of_one_instance_is_measured_in_full_and_others_are_not(candidate):
    grid = [(1, 1, 1), (1, 1, 4), (0, 0, 1), (0, 0, 2)]
    climb = Climb(candidate, machine_that_scales(0.0, 0.0), grid=grid)
    assert all(look[-1] == (0, 0, 1) for look in climb.in_full)
    assert not any((0, 0, 2) in look for look in climb.in_full)


def test_instances_alone_are_an_axis_of_the_machines_grid():
    pairs = machine_grid(MACHINE)
    found = asked_for(parse_spec("instances=1,fill,physical"), MACHINE)
    assert found[-1] == ThreadConfig(AUTO, AUTO)
    assert {(one.intra, one.inter) for one in found[:-1]} == {
        (one.intra, one.inter) for one in pairs
    }
    ids = [one.id for one in found]
    assert {"intra1-inter1-x1", "intra1-inter1-xfill", "intra2-inter1-xphysical"} <= set(ids)
    assert "intra1-inter1-xphysical" not in ids, "it is the same number as fill"
    assert "intra4-inter4-xfill" not in ids, "it is the same number as 1"


def test_without_instances_a_search_is_what_it_was():
    assert asked_for((), MACHINE) == with_default(machine_grid(MACHINE))
    listed = parse_spec("1x1,2x1x2")
    assert asked_for(listed, MACHINE) == (*listed, ThreadConfig(AUTO, AUTO))
    alone = parse_spec("autoxautox1,1x1")
    assert asked_for(alone, MACHINE) == alone
    assert alone[0].instances == InstanceCount("1")
