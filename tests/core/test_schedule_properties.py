"""Who is measured with whom, and how rounds are laid out, for groups of any size."""

import itertools
from collections import Counter
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from properties import tried
from pytest_tfthreads.core.layout import Ready, agree
from pytest_tfthreads.core.schedule import plan_rings


@st.composite
def groups(draw):
    processes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=20))
    limit = draw(st.integers(1, 10))
    return processes, limit, draw(st.integers(0, len(processes) - 1)), draw(st.text(max_size=3))


@tried(200)
@given(groups())
def test_all_get_their_processes_in_rings_that_are_no_larger_than_allowed(group):
    processes, limit, shared, seed = group
    rings = plan_rings(processes, limit, shared, seed)
    assert plan_rings(processes, limit, shared, seed) == rings
    counts = Counter(itertools.chain(*rings))
    in_all_rings_of_a_pass = {shared, processes.index(max(processes))}
    for index, wanted in enumerate(processes):
        assert counts[index] >= wanted
        assert index in in_all_rings_of_a_pass or counts[index] == wanted
    for ring in rings:
        assert 1 <= len(ring) <= limit
        assert len(set(ring)) == len(ring)


@tried(200)
@given(groups())
def test_any_two_share_a_ring_or_a_member_as_often_as_both_are_measured(group):
    processes, limit, shared, seed = group
    assume(limit > 1)
    rings = plan_rings(processes, limit, shared, seed)
    for one, other in itertools.combinations(range(len(processes)), 2):
        others = set(range(len(processes))) - {one, other}
        linked = sum(min(met(rings, one, it), met(rings, other, it)) for it in others)
        assert met(rings, one, other) + linked >= min(processes[one], processes[other])


def met(rings, one, other):
    """In how many rings these two were."""
    return sum({one, other} <= set(ring) for ring in rings)


@tried(200)
@given(st.integers(1, 20), st.integers(1, 6), st.integers(2, 10), st.data())
def test_any_two_can_be_compared_and_none_is_always_first(count, passes, limit, data):
    shared = data.draw(st.integers(0, count - 1))
    rings = plan_rings([passes] * count, limit, shared, "seed")
    a_pass = len(rings) // passes
    for number in range(0, len(rings), a_pass):
        now = rings[number : number + a_pass]
        assert set(itertools.chain(*now)) == set(range(count))
        assert a_pass == 1 or all(shared in ring for ring in now)
    for earlier in range(0, len(rings) - a_pass, 2 * a_pass):
        for place in range(earlier, earlier + a_pass):
            assert rings[place + a_pass] == rings[place][::-1]


READY = st.builds(
    Ready, st.integers(1, 10**6), st.floats(1e-7, 100), st.floats(0, 1000, allow_subnormal=False)
)


@tried(200)
@given(st.lists(READY, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_a_layout_does_not_depend_on_the_order_of_its_members(members, random):
    shuffled = [*members]
    random.shuffle(shuffled)
    one, other = agree(members), agree(shuffled)
    assert one.iterations == other.iterations
    assert abs(one.rounds - other.rounds) <= 1 + 1e-9 * one.rounds  # sums of floats, rounded


@tried(200)
@given(st.lists(READY, min_size=1, max_size=8), st.integers(-10, 10))
def test_a_layout_does_not_depend_on_the_unit_of_time(members, power):
    scaled = [
        replace(one, call_s=one.call_s * 2.0**power, budget_s=one.budget_s * 2.0**power)
        for one in members
    ]
    assert agree(scaled) == agree(members)


@tried(200)
@given(st.lists(READY, min_size=1, max_size=8))
def test_no_round_is_too_short_and_the_group_keeps_its_budget(members):
    layout = agree(members)
    assert layout.rounds >= 1
    assert all(layout.iterations >= one.iterations for one in members)
    lap_s = layout.iterations * sum(one.call_s for one in members)
    budget_s = sum(one.budget_s for one in members)
    spent_s = layout.rounds * lap_s
    assert spent_s <= max(budget_s + lap_s / 2, lap_s) * (1 + 1e-9)
    assert spent_s >= (budget_s - lap_s / 2) * (1 - 1e-9)
