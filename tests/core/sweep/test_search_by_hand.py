"""Each step of the search by hand: what is measured next, and what is known after it."""

import itertools
import math

import pytest

from pytest_tfthreads.core.decode import DecodeError
from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.sweep.comparison import Comparison, Ratio
from pytest_tfthreads.core.sweep.search import (
    NOTHING_KNOWN,
    Look,
    SearchCost,
    Standing,
    asked_for,
    look_back,
    machine_grid,
    next_look,
    with_default,
)
from pytest_tfthreads.core.threads import AUTO, CpuCounts, ThreadConfig, parse_spec

MACHINE = CpuCounts(physical=2, logical=4)
LINE = [(1, 1), (2, 1), (4, 1), (8, 1)]
SQUARE = [*itertools.product((1, 2, 4, 8), repeat=2)]


def standing(processes=(), alive=(), **fields):
    known = {
        "in_full": frozenset(),
        "beaten": frozenset(),
        "is_settled": False,
        "centre": None,
        "hub": None,
    }
    return Standing(dict(processes), alive=alive, **{**known, **fields})


def looked(grid, known, processes=3, teams=()):
    wanted = [processes] * len(grid) if isinstance(processes, int) else processes
    return next_look([Pools(*one) for one in grid], MACHINE, wanted, known, teams)


def glanced(*numbers):
    return dict.fromkeys(numbers, 1)


# -- the first look -------------------------------------------------------------------------------


def test_the_first_look_is_at_one_thread_at_all_cores_and_at_all_cpus():
    look = looked(SQUARE, NOTHING_KNOWN)
    assert look.is_glance
    assert [SQUARE[one] for one in look.members] == [(1, 1), (1, 2), (2, 1), (2, 2), (4, 4)]


def test_the_first_look_takes_the_fewest_and_the_most_instances():
    grid = [(1, 1), (1, 1), (1, 1), (2, 1), (2, 1), (8, 1), (8, 1), (4, 4)]
    look = looked(grid, NOTHING_KNOWN, teams=[1, 2, 4, 3, 2, 1, 2, 5])
    assert look == Look((0, 2, 3, 4, 7), is_glance=True)


@pytest.mark.parametrize(("count", "members"), [(1, (0,)), (3, (0, 1, 2)), (6, (0, 1, 2, 3))])
def test_without_corners_the_first_look_is_at_the_first_four(count, members):
    grid = [(16, inter) for inter in range(3, 3 + count)]
    assert looked(grid, NOTHING_KNOWN) == Look(members, is_glance=True)


@pytest.mark.parametrize("teams", [[1], [1, 1, 1]])
def test_each_configuration_needs_its_number_of_instances(teams):
    with pytest.raises(ValueError, match="zip"):
        looked([(1, 1), (2, 1)], NOTHING_KNOWN, teams=teams)


# -- the next look --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alive", "centre", "hub", "members"),
    [
        ((2, 0), None, None, (2, 1, 3)),
        ((2, 0), None, 2, (2, 1, 3)),
        ((2, 0), None, 0, (2, 0, 1, 3)),
        ((2, 0), 0, 2, (0, 2, 1)),
        ((2, 0), 0, None, (0, 1)),
    ],
)
def test_neighbours_of_the_centre_are_glanced_at_beside_it_and_the_hub(alive, centre, hub, members):
    known = standing(glanced(0, 2), alive, centre=centre, hub=hub)
    assert looked(LINE, known) == Look(members, is_glance=True)


def neighbours(grid, at, teams=()):
    look = looked(grid, standing(glanced(at), (at,)), teams=teams)
    assert look.members[0] == at
    return {(*grid[one], *teams[one : one + 1]) for one in look.members[1:]}


def test_neighbours_are_one_step_along_one_axis_of_the_grid():
    assert neighbours(SQUARE, SQUARE.index((2, 4))) == {(1, 4), (4, 4), (2, 2), (2, 8)}
    assert neighbours(SQUARE, 0) == {(2, 1), (1, 2)}
    assert neighbours(SQUARE, len(SQUARE) - 1) == {(4, 8), (8, 4)}
    sparse = [(1, 1), (8, 1), (4, 2), (1, 2), (2, 8)]
    assert neighbours(sparse, 0) == {(8, 1), (1, 2)}


def test_the_same_threads_under_other_terms_are_neighbours():
    look = looked([(1, 1), (8, 8), (1, 1)], standing(glanced(0), (0,)))
    assert look == Look((0, 2), is_glance=True)


def test_steps_to_other_threads_keep_the_number_of_instances_or_the_nearest():
    points = [
        (1, 1, 1),
        (1, 1, 2),
        (1, 1, 4),
        (1, 1, 8),
        (2, 1, 1),
        (2, 1, 3),
        (1, 2, 4),
        (1, 2, 5),
    ]
    grid, teams = [one[:2] for one in points], [one[2] for one in points]

    def around(point):
        return neighbours(grid, points.index(point), teams)

    assert around((1, 1, 2)) == {(1, 1, 1), (1, 1, 4), (2, 1, 1), (1, 2, 4)}
    assert around((1, 1, 4)) == {(1, 1, 2), (1, 1, 8), (2, 1, 3), (1, 2, 4)}
    # From the most that there can be, to the most that there can be.
    assert around((1, 1, 8)) == {(1, 1, 4), (2, 1, 3), (1, 2, 5)}
    assert around((2, 1, 3)) == {(2, 1, 1), (1, 1, 2), (1, 1, 8)}
    assert around((2, 1, 1)) == {(2, 1, 3), (1, 1, 1)}
    assert around((1, 2, 5)) == {(1, 2, 4), (1, 1, 4), (1, 1, 8)}
    assert around((1, 2, 4)) == {(1, 2, 5), (1, 1, 4)}


def test_after_those_that_all_failed_comes_the_first_of_the_others():
    assert looked(LINE, standing(glanced(0, 2))) == Look((1,), is_glance=True)
    assert looked(LINE, standing(glanced(0, 1, 2, 3))) is None


ALL = glanced(0, 1, 2, 3)


@pytest.mark.parametrize(("is_settled", "members"), [(False, (2, 1, 3)), (True, (2,))])
def test_front_runners_are_measured_in_full_until_one_is_settled(is_settled, members):
    known = standing(ALL, (2, 1, 3, 0), is_settled=is_settled)
    assert looked(LINE, known) == Look(members, is_glance=False)


@pytest.mark.parametrize(
    ("in_full", "processes", "members"),
    [
        ({1, 2, 3}, {0: 1, 1: 3, 2: 3, 3: 3}, None),
        ({1, 2, 3}, {0: 1, 1: 4, 2: 3, 3: 3}, None),
        ({1, 2, 3}, {0: 1, 1: 3, 2: 3, 3: 2}, (2, 1, 3)),
        ({1, 2}, {0: 1, 1: 3, 2: 3, 3: 3}, (2, 1, 3)),
    ],
)
def test_it_is_over_when_all_front_runners_have_their_processes_in_full(
    in_full, processes, members
):
    known = standing(processes, (2, 1, 3, 0), in_full=frozenset(in_full))
    expected = None if members is None else Look(members, is_glance=False)
    assert looked(LINE, known) == expected
    # Each has a number of its own.
    assert looked(LINE, known, processes=[9, 1, 1, 1]) == (None if 3 in in_full else expected)


@pytest.mark.parametrize(
    ("alive", "failed", "teams", "members"),
    [
        ((2, 0), (), (), (2, 4)),
        ((2, 0), (4,), (), (2,)),
        ((4, 2), (), (), (4,)),
        ((2, 0), (), (1, 1, 1, 1, 2), (2,)),
        ((2, 0), (), (2, 2, 2, 2, 1), (2, 4)),
    ],
)
def test_tensorflows_default_of_one_instance_is_measured_in_full_too(alive, failed, teams, members):
    known = standing(glanced(0, 1, 2, 3, 4), alive, is_settled=True, failed=frozenset(failed))
    assert looked([*LINE, (0, 0)], known, teams=teams) == Look(members, is_glance=False)


# -- looking back ---------------------------------------------------------------------------------


def test_what_is_known_after_the_first_look(candidate):
    found = look_back(
        NOTHING_KNOWN,
        Look((0, 1, 2), is_glance=True),
        {0: candidate(1), 2: candidate(4, speed=2.0, rings=(0, 1))},
        [1],
    )
    assert found == Standing(
        processes={1: 1, 0: 3, 2: 2},
        in_full=frozenset(),
        alive=(2,),
        beaten=frozenset({0, 1}),
        is_settled=True,
        centre=2,
        hub=2,
        failed=frozenset({1}),
    )


def test_what_was_known_before_stays_known(candidate):
    before = standing(
        glanced(0, 3, 5),
        (0, 3),
        in_full=frozenset({3}),
        beaten=frozenset({5, 6}),
        hub=3,
        failed=frozenset({6}),
    )
    measured = {0: candidate(1), 3: candidate(2, speed=2.0), 5: candidate(8, speed=9.0)}
    found = look_back(before, Look((0, 3), is_glance=False), measured, [7])
    assert found.in_full == {0, 3}
    assert found.beaten == {0, 5, 6, 7}
    assert found.failed == {6, 7}
    assert found.alive == (3,)
    assert found.hub == 3
    assert found.processes == {0: 3, 3: 3, 5: 3, 7: 1}


def test_nothing_is_left_where_all_failed():
    found = look_back(NOTHING_KNOWN, Look((0, 1), is_glance=True), {}, [0, 1])
    assert found.alive == ()
    assert (found.centre, found.hub) == (None, None)
    assert found.beaten == found.failed == {0, 1}


def test_what_cannot_be_compared_is_behind_all_that_can(candidate):
    measured = {
        4: candidate(8, speed=9.0, rings=(7,)),
        0: candidate(1, rings=(0,)),
        2: candidate(4, speed=1.01, rings=(0,)),
    }
    found = look_back(NOTHING_KNOWN, Look((0, 2, 4), is_glance=True), measured, [])
    assert found.alive == (2, 0, 4)
    assert not found.is_settled
    assert not found.beaten


def test_a_beaten_hub_still_links_the_others(candidate):
    before = standing(glanced(0, 1, 2), (1, 2), hub=0, beaten=frozenset({0}))
    measured = {
        0: candidate(1, rings=(0, 1)),
        1: candidate(2, speed=2.0, rings=(0,)),
        2: candidate(4, speed=2.01, rings=(1,)),
    }
    found = look_back(before, Look((1, 2), is_glance=True), measured, [])
    assert found.alive == (2, 1)
    assert found.hub == 0
    # Alone with what it does not link, it is still beaten.
    apart = {0: measured[0], 1: candidate(2, rings=(5,))}
    assert look_back(before, Look((1,), is_glance=True), apart, []).alive == (1,)


@pytest.mark.parametrize(("gain", "centre"), [(1.02, 0), (1.04, 2)])
def test_on_a_plateau_the_centre_stays(candidate, gain, centre):
    """A single ring tells nobody apart who differs by so little."""
    before = standing(glanced(0), (0,), centre=0, hub=0)
    measured = {0: candidate(1, rings=(0,)), 2: candidate(4, speed=gain, rings=(0,))}
    found = look_back(before, Look((0, 2), is_glance=True), measured, [])
    assert found.alive == (2, 0)
    assert found.centre == centre


def test_a_centre_that_is_beaten_is_left(candidate):
    before = standing(glanced(0), (0,), centre=0, hub=0)
    measured = {0: candidate(1), 2: candidate(4, speed=1.5)}
    assert look_back(before, Look((0, 2), is_glance=True), measured, []).centre == 2
    failed = look_back(before, Look((0, 2), is_glance=True), {2: measured[2]}, [0])
    assert (failed.centre, failed.alive, failed.hub) == (2, (2,), 0)


@pytest.mark.parametrize(
    ("speeds", "rings", "is_settled"),
    [
        # A single ring is sure of 7.8 %: the slower one may gain 4.6 or 5.7 %.
        ((1.0, 0.97), (0,), True),
        ((1.0, 0.98), (0,), False),
        ((1.0, 1.0), (0, 1, 2), True),
        ((1.0, 0.9, 1.0), (0,), False),
    ],
)
def test_it_is_settled_where_no_other_can_gain_much(candidate, speeds, rings, is_settled):
    measured = {
        number: candidate(number + 1, speed=speed, rings=rings)
        for number, speed in enumerate(speeds)
    }
    found = look_back(NOTHING_KNOWN, Look((0, 1), is_glance=True), measured, [])
    assert len(found.alive) == len(speeds)
    assert found.is_settled is is_settled


@pytest.fixture
def found_after(candidate, monkeypatch):
    """What is known after a look at two between which a comparison says just this."""
    measured = {0: candidate(1), 1: candidate(2)}
    ids = tuple(one.id for one in measured.values())
    before = standing(glanced(0), (0,), centre=0, hub=0)

    def found(first, estimate):
        ratio = Ratio(estimate, distinct=False, confidence=0.95, rings=1)
        known = Comparison(ids, (), {}, {(ids[first], ids[1 - first]): ratio}, {}, {})
        monkeypatch.setattr(f"{look_back.__module__}.compare", lambda _: known)
        return look_back(before, Look((0, 1), is_glance=True), measured, [])

    return found


def test_a_step_has_to_gain_more_than_three_percent(found_after):
    for gain, centre in ((1.03, 0), (math.nextafter(1.03, 2), 1)):
        found = found_after(1, Estimate(gain, 0.9, 1.2))
        assert (found.alive, found.centre) == ((1, 0), centre)


def test_no_more_than_five_percent_are_not_worth_a_look(found_after):
    for most, is_settled in ((1.05, True), (math.nextafter(1.05, 2), False), (None, False)):
        found = found_after(1, Estimate(0.99, 0.9, most))
        assert (found.alive, found.is_settled) == ((0, 1), is_settled)


# -- grids ----------------------------------------------------------------------------------------


def test_the_machines_grid_has_all_pairs_in_order():
    counts = ["1", "2", "4", "8"]
    assert [(one.intra.text, one.inter.text) for one in machine_grid(MACHINE)] == [
        *itertools.product(counts, repeat=2)
    ]
    assert all(one.instances is None for one in machine_grid(MACHINE))


@pytest.mark.parametrize(
    ("asked", "default"),
    [
        ("1x1", False),
        ("1x1,2x1", True),
        ("1x1,autoxauto", False),
        ("1x1,autoxautox1", False),
        ("1x1,autoxautox2", True),
        ("autoxauto", False),
    ],
)
def test_the_default_is_added_to_two_or_more_without_it(asked, default):
    configs = parse_spec(asked)
    assert with_default(configs) == (*configs, *[ThreadConfig(AUTO, AUTO)] * default)


def test_only_instances_alone_take_the_machines_grid():
    assert len(asked_for(parse_spec("instances=1,2"), MACHINE)) == 2 * 16 + 1
    for asked in ("1x1x1,1x1x2", "autoxauto,autoxautox2", "autox1x1,autox1x2", "1xautox1,1xautox2"):
        configs = parse_spec(asked)
        assert set(asked_for(configs, MACHINE)) <= {*configs, ThreadConfig(AUTO, AUTO)}


def test_what_a_search_took_is_written_and_read():
    cost = SearchCost(3, 16, 7, 48, 1.5, 12.25)
    data = {
        "configurations": 3,
        "grid_configurations": 16,
        "processes": 7,
        "grid_processes": 48,
        "seconds": 1.5,
        "grid_s": 12.25,
    }
    assert cost.to_json() == data
    assert SearchCost.from_json(data) == cost
    with pytest.raises(DecodeError):
        SearchCost.from_json({**data, "seconds": math.nan})
