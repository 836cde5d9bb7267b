import itertools

import pytest

from pytest_tfthreads.core.layout import Layout, Ready, agree
from pytest_tfthreads.core.schedule import plan_neighbours, plan_rings


def test_each_pass_is_a_ring_of_all():
    rings = plan_rings([3] * 5, limit=8, shared=0, seed="1")
    assert len(rings) == 3
    assert all(sorted(ring) == [0, 1, 2, 3, 4] for ring in rings)


def test_orders_are_random_but_repeatable():
    one = plan_rings([4] * 6, limit=8, shared=0, seed="1")
    assert plan_rings([4] * 6, limit=8, shared=0, seed="1") == one
    assert plan_rings([4] * 6, limit=8, shared=0, seed="2") != one
    assert one[0] != one[2]


def test_everyone_is_before_everyone_else_as_often_as_after():
    rings = plan_rings([6] * 5, limit=8, shared=0, seed="1")
    for a, b in itertools.combinations(range(5), 2):
        before = sum(ring.index(a) < ring.index(b) for ring in rings)
        assert before == 3


def test_configurations_with_fewer_processes_are_in_fewer_passes():
    rings = plan_rings([1, 3, 2], limit=8, shared=0, seed="1")
    assert [sorted(ring) for ring in rings] == [[0, 1, 2], [1, 2], [1]]


@pytest.mark.parametrize(
    ("count", "limit", "sizes"), [(9, 8, [5, 5]), (20, 8, [8, 7, 7]), (3, 2, [2, 2])]
)
def test_large_groups_share_a_member(count, limit, sizes):
    rings = plan_rings([2] * count, limit=limit, shared=1, seed="1")
    a_pass = rings[: len(sizes)]
    assert sorted(map(len, a_pass), reverse=True) == sizes
    assert all(1 in ring for ring in rings)
    assert sorted(index for ring in a_pass for index in ring if index != 1) == [
        index for index in range(count) if index != 1
    ]


def test_limit_of_one_is_nobody_with_anybody():
    rings = plan_rings([2, 2], limit=1, shared=0, seed="1")
    assert sorted(rings) == [(0,), (0,), (1,), (1,)]


def test_agreement_takes_the_longest_round_and_the_whole_budget():
    fast = Ready(iterations=10, call_s=0.0005, budget_s=1.0)
    slow = Ready(iterations=3, call_s=0.002, budget_s=1.0)
    assert agree([fast, slow]) == Layout(iterations=10, rounds=80)


def test_calls_longer_than_the_budget_are_measured_once():
    assert agree([Ready(iterations=1, call_s=60.0, budget_s=1.0)]) == Layout(1, 1)


@pytest.mark.parametrize(
    ("count", "limit", "sizes"),
    [(2, 8, [2]), (8, 8, [8]), (9, 8, [5, 6]), (13, 8, [7, 8]), (5, 3, [3, 3, 3]), (4, 2, [2] * 5)],
)
def test_in_each_pass_neighbours_meet_each_other_and_the_first(count, limit, sizes):
    names = [10 * number for number in range(count)]
    passes = plan_neighbours(names, passes=3, limit=limit, seed="1")
    assert len(passes) == 3
    for rings in passes:
        assert sorted(map(len, rings)) == sorted(sizes)
        assert all(len(set(ring)) == len(ring) for ring in rings)
        met = {frozenset(pair) for ring in rings for pair in itertools.combinations(ring, 2)}
        wanted = [{names[0], one} for one in names[1:]] + [
            set(p) for p in itertools.pairwise(names)
        ]
        assert all(frozenset(pair) in met for pair in wanted)


def test_order_among_neighbours_is_reversed_in_every_second_pass():
    first, second, third = plan_neighbours(range(12), passes=3, limit=8, seed="1")
    assert second == [ring[::-1] for ring in first]
    assert third != first


def test_orders_among_neighbours_are_repeatable():
    one = plan_neighbours(range(12), passes=3, limit=8, seed="1")
    assert plan_neighbours(range(12), passes=3, limit=8, seed="1") == one
    assert plan_neighbours(range(12), passes=3, limit=8, seed="2") != one


def test_no_pass_has_no_rings():
    assert plan_neighbours([0, 1], passes=0, limit=8, seed="1") == []


def test_those_left_need_no_shared_member_where_one_ring_is_enough():
    """Two rings with the first in each, the same reversed, and one of the others alone."""
    rings = plan_rings([2, 3, 3], limit=2, shared=0, seed="1")
    assert [sorted(ring) for ring in rings[4:]] == [[1, 2]]
    assert sorted(sorted(ring) for ring in rings[:2]) == [[0, 1], [0, 2]]


def test_where_the_shared_one_gets_fewer_processes_another_stands_in():
    """Or, in the passes without it, its neighbours would be measured with nobody in common."""
    rings = plan_rings([1, 3, 3, 4, 3], limit=3, shared=0, seed="1")
    first, later = rings[:2], rings[2:]
    assert all(3 in ring for ring in rings)
    assert [0 in ring for ring in first].count(True) == 1
    assert not any(0 in ring for ring in later)
    assert sorted(map(sorted, later)) == [[1, 3, 4], [1, 3, 4], [2, 3], [2, 3], [3]]
    # In the last of all passes nobody has to be there for the next.
    assert all(1 in ring for ring in plan_rings([1, 1, 1], limit=2, shared=1, seed="1"))


def test_who_is_left_alone_in_a_ring_is_not_measured_for_that():
    rings = plan_rings([2, 1, 2, 1, 2], limit=3, shared=0, seed="2")
    assert len(rings) == 3
    assert set(rings[2]) == {0, 2, 4}


def test_rings_of_one_make_no_neighbours():
    with pytest.raises(ValueError, match="nobody meets anybody"):
        plan_neighbours([0, 1], passes=1, limit=1, seed="1")


def test_a_group_as_large_as_a_ring_is_one():
    assert [sorted(ring) for ring in plan_rings([1] * 4, 4, shared=0, seed="1")] == [[0, 1, 2, 3]]
    two = plan_rings([1] * 5, 4, shared=0, seed="1")
    assert sorted(map(sorted, two)) == [[0, 1, 3], [0, 2, 4]]


def test_each_second_pass_reverses_the_one_before_and_others_are_drawn_anew():
    rings = plan_rings([6] * 7, limit=4, shared=3, seed="1")
    passes = [rings[start : start + 2] for start in range(0, 12, 2)]
    for number in (0, 2, 4):
        assert passes[number + 1] == [ring[::-1] for ring in passes[number]]
    assert len({tuple(one) for one in passes[::2]}) > 1
    # Who has no more processes is left out of the reversed order too, and an empty ring is none.
    rings = plan_rings([2, 1, 1], limit=3, shared=0, seed="1")
    assert [sorted(ring) for ring in rings] == [[0, 1, 2], [0]]
    assert plan_rings([2, 1], limit=1, shared=0, seed="1") == [(0,), (1,), (0,)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": 0},
        {"call_s": 0.0},
        {"call_s": float("inf")},
        {"call_s": float("nan")},
        {"budget_s": -1.0},
        {"budget_s": float("inf")},
    ],
)
def test_what_no_process_says_of_itself(wrong):
    known = {"iterations": 1, "call_s": 1.0, "budget_s": 0.0}
    assert Ready(**known).budget_s == 0
    with pytest.raises(ValueError, match=r"^no process works like this: Ready\(iterations="):
        Ready(**{**known, **wrong})


def test_rounds_are_those_that_fit_best():
    def rounds(budget_s):
        return agree([Ready(4, 0.25, budget_s), Ready(2, 0.5, budget_s)]).rounds

    # A lap of both takes 3 s, and both budgets count together.
    assert [rounds(budget_s) for budget_s in (0.0, 3.7, 3.8, 5.2, 5.3)] == [1, 2, 3, 3, 4]
