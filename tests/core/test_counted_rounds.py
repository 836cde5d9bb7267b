"""Which rounds of several processes at once count, and what they say together: exact times."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_tfthreads.core.counted_rounds import InstanceRounds, count
from pytest_tfthreads.core.measurement import Sample
from pytest_tfthreads.core.sweep.comparison import blocks

TURN = 8


def instance(round_s, turns=3, begins_late_s=0.0, iterations=1, cpus=1, turn=TURN, gap_s=0.0, **of):
    """Rounds of one length, in turns that begin a second apart; `cpus` are kept busy."""
    began_s = [
        number + begins_late_s + place * (round_s + gap_s)
        for number in range(turns)
        for place in range(turn)
    ]
    rounds = len(began_s)
    sample = Sample(
        (round_s,) * rounds,
        (cpus * round_s,) * rounds,
        iterations,
        1,
        0.1,
        10,
        2,
        3,
        (0,),
        ring=4,
        turn_rounds=turn,
    )
    return InstanceRounds(replace(sample, **of), tuple(began_s))


def test_throughput_is_the_sum_of_all_instances():
    found = count([instance(0.01, iterations=3), instance(0.02, iterations=3)])
    assert found.sample.calls_a_second == pytest.approx(3 / 0.01 + 3 / 0.02)
    assert found.sample.cores_used == pytest.approx(2)
    assert found.imbalance == pytest.approx(0.5)
    assert (len(found.sample.wall_s), found.sample.turn_rounds) == (3, 1)
    assert found.sample.iterations == 2 * TURN * 3
    assert found.sample.ring == 4


def test_cpu_time_of_a_call_is_that_of_the_calls_that_are_made():
    """Of 3 calls, 2 are made by the instance that needs one CPU for a call of 10 ms."""
    found = count([instance(0.01, cpus=1), instance(0.02, cpus=2)])
    assert 1 / found.sample.calls_a_cpu_second == pytest.approx((2 * 0.01 + 1 * 0.04) / 3)


def test_what_was_measured_beside_fewer_neighbours_does_not_count():
    slow_at_the_ends = [0.02] + [0.01] * (TURN - 2) + [0.03]
    one = instance(0.01, turns=1)
    other = InstanceRounds(
        replace(one.sample, wall_s=tuple(slow_at_the_ends)),
        tuple(-0.021 + sum(slow_at_the_ends[:place]) for place in range(TURN)),
    )
    # It has begun before, and is at its last round when the first one ends.
    found = count([one, other])
    assert found.together_s == pytest.approx(0.05)
    assert found.sample.calls_a_second == pytest.approx(200)
    assert set(found.call_s) == {0.01}


def test_a_round_may_lie_outside_by_a_hundredth_of_its_length():
    within, outside = (
        count([instance(0.1, turns=1), instance(0.1, turns=1, begins_late_s=late_s)])
        for late_s in (0.0009, 0.0011)
    )
    assert (len(within.call_s), len(outside.call_s)) == (2 * TURN, 2 * (TURN - 1))


def test_where_no_round_lies_between_parts_of_rounds_count():
    found = count([instance(0.01, turns=2), instance(0.09, turns=2, begins_late_s=-0.03)])
    assert found.sample.calls_a_second == pytest.approx(1 / 0.01 + 1 / 0.09)
    assert found.sample.ring == 4


def test_a_turn_in_which_they_never_met_is_left_out_and_the_others_keep_their_places():
    """Turns are paired with those of other members by their number."""
    early = instance(0.01, turns=3)
    moved = [*early.began_s[:TURN], *(at + 0.5 for at in early.began_s[TURN : 2 * TURN])]
    moved += early.began_s[2 * TURN :]
    found = count([early, InstanceRounds(early.sample, tuple(moved))])
    assert (len(found.sample.wall_s), found.sample.turns_missed) == (2, (1,))
    at_work = [wall_s > 0 for wall_s, _ in blocks(found.sample, 1.0)]
    assert at_work == [True, False, True]
    assert found.sample.condensed().turns_missed == ()
    single = replace(early.sample, turn_rounds=TURN)
    single = replace(single, wall_s=tuple(s * (1 + n // TURN) for n, s in enumerate(single.wall_s)))
    pairs = [
        (one, other)
        for (one, _), (other, _) in zip(blocks(found.sample, 1.0), blocks(single, 1.0), strict=True)
    ]
    assert pairs == [pytest.approx(pair) for pair in ((0.005, 0.01), (0, 0.02), (0.005, 0.03))]
    with pytest.raises(ValueError, match="in no turn at work at the same time"):
        count([instance(0.01, turns=1), instance(0.01, turns=1, begins_late_s=0.5)])


def test_an_instance_that_has_ended_its_rounds_ends_the_measurement():
    found = count([instance(0.01, turns=2), instance(0.01, turns=5)])
    assert len(found.sample.wall_s) == 2


def test_a_turn_that_was_cut_short_counts_only_where_it_is_the_only_one():
    def cut(rounds):
        whole = instance(0.01, turns=2)
        sample = replace(
            whole.sample, wall_s=whole.sample.wall_s[:rounds], cpu_s=whole.sample.cpu_s[:rounds]
        )
        return InstanceRounds(sample, whole.began_s[:rounds])

    assert len(count([cut(TURN + 3)] * 2).sample.wall_s) == 1
    alone = count([cut(3)] * 2).sample
    assert (alone.wall_s, alone.iterations) == (pytest.approx((0.03,)), 6)


def test_rounds_before_the_first_are_reckoned_with_in_turns():
    """Of a test that lays out its rounds itself, and warms up within its first turn."""
    whole = instance(0.01, turns=2)
    sample = replace(whole.sample, wall_s=whole.sample.wall_s[3:], cpu_s=whole.sample.cpu_s[3:])
    one = InstanceRounds(sample, whole.began_s[3:], 3)
    assert len(count([one, one]).sample.wall_s) == 1


def test_the_machine_s_speed_is_the_mean_of_all_or_unknown():
    one = instance(0.01, reference_wall_s=0.001, reference_cpu_s=0.002)
    other = instance(0.01, reference_wall_s=0.003, reference_cpu_s=0.002)
    assert count([one, other]).sample.reference_wall_s == pytest.approx(0.002)
    assert count([one, instance(0.01)]).sample.reference_wall_s is None


def test_a_team_is_paired_with_a_single_process_by_its_turns():
    team = count([instance(0.01), instance(0.01)]).sample
    single = replace(instance(0.01).sample, turn_rounds=TURN)
    assert len(blocks(team, 1.0)) == len(blocks(single, 1.0)) == 3
    assert [wall_s for wall_s, _ in blocks(team, 1.0)] == pytest.approx([0.005] * 3)
    assert [cpu_s for _, cpu_s in blocks(team, 1.0)] == pytest.approx([0.01] * 3)
    assert [wall_s for wall_s, _ in blocks(single, 1.0)] == pytest.approx([0.01] * 3)


@given(
    st.lists(st.integers(5, 20), min_size=2, max_size=5),
    st.lists(st.integers(0, 4), min_size=5, max_size=5),
    st.integers(2, 12),
    st.integers(1, 4),
)
def test_rounds_of_one_speed_give_that_speed_whenever_they_begin(speeds_ms, late_ms, turn, calls):
    """Whichever rounds count, and however late each instance begins."""
    instances = [
        instance(ms / 1000, begins_late_s=late / 1000, iterations=calls, turn=turn)
        for ms, late in zip(speeds_ms, late_ms, strict=False)
    ]
    found = count(instances)
    expected = float(sum(Fraction(calls * 1000, ms) for ms in speeds_ms))
    assert found.sample.calls_a_second == pytest.approx(expected)
    assert all(rate == pytest.approx(expected) for rate in _rates(found.sample))
    assert found.imbalance == pytest.approx(1 - min(speeds_ms) / max(speeds_ms))
    assert found.sample.calls_a_cpu_second * len(speeds_ms) == pytest.approx(expected)


def _rates(sample):
    return [sample.iterations / wall_s for wall_s in sample.wall_s]
