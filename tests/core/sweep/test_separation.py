"""Which configurations are told apart: by hand, and for any pairs."""

import itertools
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import measurement, sample
from properties import tried
from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.stats.estimates import Estimate, holm, student_p, student_t
from pytest_tfthreads.core.stats.moderation import Contrast, Difference, contrasts, difference
from pytest_tfthreads.core.sweep import comparison
from pytest_tfthreads.core.sweep.comparison import (
    Candidate,
    Comparison,
    Ratio,
    blocks,
    compare,
    ring_differences,
    separate,
)
from pytest_tfthreads.core.threads import ThreadConfig, ThreadCount


def threads(intra):
    return ThreadConfig(ThreadCount.parse(intra, "intra"), ThreadCount.parse(1, "inter"))


def in_ring(ring, wall_s, cpu_s, **fields):
    return sample(wall_s, cpu_s, ring=ring, **{"turn_rounds": 2, **fields})


def candidate(intra, *samples, terms="", **fields):
    one = threads(intra)
    return Candidate(one.id + terms, one, measurement(*samples, **fields))


def test_blocks_are_full_turns_or_the_only_one_begun():
    one = in_ring(0, [1, 2, 3, 4, 9], [2, 4, 6, 8, 9], iterations=5)
    assert blocks(one, 4.0) == [(3 / 40, 6 / 40), (7 / 40, 14 / 40)]
    short = in_ring(0, [1.0], [3.0], iterations=5, turn_rounds=3)
    assert blocks(short, 1.0) == [(0.2, 0.6)]


def test_turns_that_were_missed_are_blocks_of_no_time():
    one = in_ring(0, [1, 1, 2, 2], [3, 3, 4, 4], iterations=1, turns_missed=(2, 0, 4))
    nothing = (0.0, 0.0)
    assert blocks(one, 1.0) == [nothing, (1.0, 3.0), nothing, (2.0, 4.0), nothing]


def test_a_block_counts_where_all_four_clocks_moved():
    first = [(1.0, 1.0), (1.0, 0.0), (2.0, 4.0), (1.0, 1.0), (9.0, 9.0)]
    second = [(2.0, 6.0), (9.0, 9.0), (4.0, 8.0), (0.0, 9.0)]
    wall, cpu = ring_differences(first, second)
    assert wall == difference([1.0, 2.0], [2.0, 4.0])
    assert cpu == difference([1.0, 4.0], [6.0, 8.0])
    assert ring_differences([(0.0, 1.0)], [(1.0, 1.0)]) is None
    assert ring_differences([], []) is None


def test_each_ring_is_compared_with_itself_and_each_metric_by_its_clock():
    one = candidate(1, in_ring(0, [2.0] * 4, [4.0] * 4), in_ring(3, [1.0] * 4, [1.0] * 4))
    other = candidate(
        2,
        in_ring(3, [0.5] * 4, [2.0] * 4),
        in_ring(0, [1.0] * 4, [1.0] * 4),
        in_ring(7, [1.0] * 4, [1.0] * 4),
        in_ring(None, [9.0] * 4, [9.0] * 4),
    )
    found = compare([one, other])
    pair = (one.id, other.id)
    assert list(found.wall[pair]) == [0, 3]
    assert found.wall[pair][0].log_ratio == pytest.approx(math.log(1 / 2))
    cpu = {pair: [difference([4.0] * 2, [1.0] * 2), difference([1.0] * 2, [2.0] * 2)]}
    assert found.cpu_efficiency_ratios == separate(cpu)
    balance = [
        Difference((w.log_ratio + c.log_ratio) / 2, (w.se + c.se) / 2)
        for w, c in zip(found.wall[pair].values(), cpu[pair], strict=True)
    ]
    assert found.balance_ratios == separate({pair: balance})
    assert found.throughput(*pair).rings == 2
    assert found.throughput(one.id, one.id) == Ratio(Estimate(1.0, 1.0, 1.0), False, 1.0, 0)
    back = found.cpu_efficiency(*reversed(pair))
    assert back == found.cpu_efficiency(*pair).inverse
    assert back.estimate.value == pytest.approx(1 / found.cpu_efficiency(*pair).estimate.value)


def test_a_ring_in_which_a_clock_stood_still_is_left_out():
    one = candidate(
        1, in_ring(0, [1.0] * 4, [1.0, 1.0, 0.0, 0.0]), in_ring(1, [1.0] * 4, [1.0] * 4)
    )
    other = candidate(
        2, in_ring(0, [1.0] * 4, [0.0, 0.0, 1.0, 1.0]), in_ring(1, [0.5] * 4, [1.0] * 4)
    )
    found = compare([one, other])
    assert list(found.wall[one.id, other.id]) == [1]
    assert found.throughput(other.id, one.id).estimate.value == pytest.approx(2)


def test_candidates_of_one_name_are_refused():
    one = candidate(1, in_ring(0, [1.0] * 2, [1.0] * 2))
    with pytest.raises(ValueError, match=r"^two candidates have the same id: \['intra1-inter1'"):
        compare([one, one])


def test_what_a_candidate_is_called():
    one = candidate(4, in_ring(0, [1.0] * 2, [1.0] * 2), terms="-X=1", effective=None)
    assert (one.terms, one.pools) == ("-X=1", Pools(2, 1))
    counted = candidate(4, in_ring(0, [1.0] * 2, [1.0] * 2), effective=Pools(4, 3))
    assert (counted.terms, counted.pools) == ("", Pools(4, 3))


def ring(log_ratio, se=0.005):
    return Difference(log_ratio, se)


def by_hand(found, pairs):
    """Holm's decisions and Bonferroni's intervals over these contrasts."""
    p_values = [
        student_p(one.log_ratio / math.sqrt(one.variance), one.dof) for one in pairs.values()
    ]
    error = 0.05 / len(pairs)
    for (pair, one), p, level in zip(pairs.items(), p_values, holm(p_values, 0.05), strict=True):
        half = student_t(1 - error / 2, one.dof) * math.sqrt(one.variance)
        low, high = one.log_ratio - half, one.log_ratio + half
        if p <= level:
            low, high = (max(low, 0), high) if one.log_ratio > 0 else (low, min(high, 0))
        expected = Estimate(*map(pytest.approx, map(math.exp, (one.log_ratio, low, high))))
        assert found[pair] == Ratio(
            expected, p <= level, pytest.approx(1 - error), one.rings, one.through
        )


def test_separation_by_hand():
    observed = {
        ("a", "b"): [ring(0.3), ring(0.31), ring(0.29)],
        ("c", "b"): [ring(0.02), ring(0.01)],
        ("c", "a"): [ring(-0.28), ring(-0.3), ring(-0.29)],
        ("d", "b"): [ring(-0.2)],
        ("d", "c"): [ring(-0.2), ring(-0.22)],
    }
    direct = contrasts(observed, 4)

    def turned(one, through=None):
        return Contrast(-one.log_ratio, one.variance, one.dof, one.rings, through)

    link = Contrast(  # by c, which shared two rings with d and three with a; b shared one with d
        -direct["c", "a"].log_ratio - direct["d", "c"].log_ratio,
        direct["c", "a"].variance + direct["d", "c"].variance,
        direct["c", "a"].dof,
        2,
        "c",
    )
    by_hand(
        separate(observed),
        {
            ("a", "b"): direct["a", "b"],
            ("a", "c"): turned(direct["c", "a"]),
            ("a", "d"): link,
            ("b", "c"): turned(direct["c", "b"]),
            ("b", "d"): turned(direct["d", "b"]),
            ("c", "d"): turned(direct["d", "c"]),
        },
    )
    assert separate({}) == {}


def test_pairs_are_tested_at_the_error_that_is_given():
    """By chance it would be as far from 1 in 8 % of cases."""
    gap = 0.2 * student_t(0.96, 5.0)
    pairs = {("a", "b"): Contrast(gap, 0.04, 5.0, 3, "c")}
    for error, distinct in ((0.05, False), (0.1, True)):
        half = 0.2 * student_t(1 - error / 2, 5.0)
        expected = Estimate(*map(pytest.approx, map(math.exp, (gap, gap - half, gap + half))))
        found = Ratio(expected, distinct, pytest.approx(1 - error), 3, "c")
        assert comparison.tested(pairs, error) == {("a", "b"): found}


def test_a_pair_at_its_very_level_is_told_apart():
    one = Contrast(0.1, 0.04, 5.0, 3)
    level = student_p(0.1 / math.sqrt(0.04), 5.0)
    for error, distinct in ((level, True), (math.nextafter(level, 0.0), False)):
        assert comparison.tested({("a", "b"): one}, error)["a", "b"].distinct is distinct


def test_of_links_that_are_alike_the_first_is_taken():
    def observed(*rings):
        return {
            (one, hub): [ring(0.01)] * count
            for hub, count in zip(("x", "y"), rings, strict=True)
            for one in ("a", "b")
        }

    assert separate(observed(2, 2))["a", "b"].through == "x"
    assert separate(observed(2, 3))["a", "b"].through == "y"
    assert separate(observed(3, 2))["a", "b"].through == "x"
    unlike = {("a", "x"): [ring(0)], ("b", "x"): [ring(0)] * 5, ("a", "y"): [ring(0)] * 2,
              ("b", "y"): [ring(0)] * 2}  # fmt: skip
    found = separate(unlike)["a", "b"]
    assert (found.through, found.rings) == ("y", 2)


def test_who_cannot_be_compared_with_all_others_is_left_out():
    def rings(*numbers):
        return [in_ring(number, [1.0] * 4, [1.0] * 4) for number in numbers]

    hub, one, other = candidate(1, *rings(0, 1)), candidate(2, *rings(0)), candidate(4, *rings(1))
    apart, apart_too = candidate(8, *rings(5)), candidate(16, *rings(5))
    found = compare([apart, one, hub, apart_too, other])
    assert found.compared == (one.id, hub.id, other.id)
    assert found.not_compared == (apart.id, apart_too.id)
    assert found.throughput(one.id, other.id).through == hub.id
    pair = compare([apart, apart_too])
    assert pair.compared == (apart.id, apart_too.id)
    far = compare([one, hub, other, candidate(32, *rings(None))])
    assert far.not_compared == ("intra32-inter1",)


def test_of_two_groups_the_better_linked_is_compared():
    def group(ring, *counts):
        return [candidate(intra, in_ring(ring, [1.0] * 4, [1.0] * 4)) for intra in counts]

    pair, three = group(5, 1, 16), group(0, 2, 4, 8)
    for candidates in ([*pair, *three], [*three, *pair]):
        found = compare(candidates)
        assert found.compared == tuple(one.id for one in three)
        assert found.not_compared == tuple(one.id for one in pair)


def test_logs_are_of_the_geometric_mean_of_all():
    def known(value):
        return Ratio(Estimate(value, value, value), True, 0.95, 1)

    ratios = {("a", "b"): known(2.0), ("a", "c"): known(8.0), ("b", "c"): known(4.0)}
    other = {pair: known(one.estimate.value**2) for pair, one in ratios.items()}
    found = Comparison(("a", "b", "c"), (), {}, ratios, other, {})
    assert found.log_throughput("a") == pytest.approx(math.log(16) / 3)
    assert found.log_throughput("c") == pytest.approx(-math.log(32) / 3)
    assert found.log_cpu_efficiency("b") == pytest.approx((-math.log(4) + math.log(16)) / 3)


@pytest.mark.parametrize(
    ("value", "distinct", "above"), [(1.1, True, True), (1.1, False, False), (0.9, True, False)]
)
def test_above_is_told_apart_and_larger(value, distinct, above):
    assert Ratio(Estimate(value, 0.5, 2.0), distinct, 0.95, 1).above is above
    assert not Ratio(Estimate(1.0, 1.0, 1.0), True, 0.95, 1).above


DIFFERENCES = st.builds(Difference, st.floats(-1, 1), st.floats(0.001, 0.1))


@st.composite
def observed(draw):
    members = [f"m{number}" for number in range(draw(st.integers(2, 5)))]
    pairs = [*itertools.combinations(members, 2)]
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    return {pair: draw(st.lists(DIFFERENCES, min_size=1, max_size=4)) for pair in sorted(chosen)}


@tried(100)
@given(observed())
def test_who_is_told_apart_does_not_depend_on_who_is_named_first(found):
    ratios = separate(found)
    mirrored = separate(
        {
            pair: [Difference(-one.log_ratio, one.se) for one in rings]
            for pair, rings in found.items()
        }
    )
    assert mirrored.keys() == ratios.keys()
    for pair, one in ratios.items():
        other = mirrored[pair]
        assert other.distinct == one.distinct
        assert other.estimate.value == pytest.approx(1 / one.estimate.value)
        assert one.estimate.low <= one.estimate.value <= one.estimate.high
        if one.distinct:
            assert not one.estimate.low < 1 < one.estimate.high
        assert one.confidence == pytest.approx(1 - 0.05 / len(ratios))


@tried(60)
@given(
    st.lists(st.floats(0.001, 1.0), min_size=4, max_size=12), st.integers(-10, 10), st.integers()
)
def test_a_comparison_depends_on_no_unit_and_on_no_order_of_rings(wall_s, power, seed):
    draw = Random(seed)
    rings = [[one * draw.uniform(0.9, 1.1) for one in wall_s] for _ in range(6)]

    def of(factor, order):
        return compare(
            [
                candidate(
                    intra,
                    *(in_ring(n, [factor * t for t in rings[n + 3 * which]], None) for n in order),
                )
                for which, intra in enumerate((1, 2))
            ]
        ).throughput("intra2-inter1", "intra1-inter1")

    one, other = of(1.0, (0, 1, 2)), of(2.0**power, (2, 0, 1))
    assert other.distinct == one.distinct
    assert other.estimate.value == pytest.approx(one.estimate.value)
    assert other.estimate.high == pytest.approx(one.estimate.high)
