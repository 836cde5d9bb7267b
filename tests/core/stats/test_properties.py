"""Statistics do not depend on the unit of time, nor on the order in which figures come."""

import itertools
import math
from random import Random

from hypothesis import assume, example, given
from hypothesis import strategies as st

from properties import tried
from pytest_tfthreads.core.decode import LARGEST
from pytest_tfthreads.core.stats.change_points import Session, segmentation
from pytest_tfthreads.core.stats.drift import Expected, predict
from pytest_tfthreads.core.stats.estimates import change_from_log, from_log, holm, mean_of_ratios
from pytest_tfthreads.core.stats.moderation import Difference, contrasts, difference

SPEEDS = st.floats(1e-3, 1e6)
FACTORS = st.integers(-20, 20).map(lambda power: 2.0**power)
SHUFFLES = st.randoms(use_true_random=False)


def close(one, other, rel=1e-9, least=1e-9):
    return math.isclose(one, other, rel_tol=rel, abs_tol=least)


@tried(200)
@given(st.lists(SPEEDS, min_size=1, max_size=8), FACTORS, SHUFFLES)
def test_an_interval_is_around_its_mean_in_any_unit_and_any_order(figures, factor, random):
    found = mean_of_ratios(figures)
    assert min(figures) * (1 - 1e-9) <= found.value <= max(figures) * (1 + 1e-9)
    assert (found.low is None) == (found.high is None) == (len(figures) == 1)
    shuffled = [factor * one for one in figures]
    random.shuffle(shuffled)
    other = mean_of_ratios(shuffled)
    assert close(other.value, factor * found.value, least=0)
    if found.low is not None:
        assert found.low <= found.value * (1 + 1e-9)
        assert found.value <= found.high * (1 + 1e-9)
        assert close(other.low, factor * found.low, 1e-6, 0)
        assert close(other.high, factor * found.high, 1e-6, 0)


@tried(100)
@given(st.lists(SPEEDS, min_size=2, max_size=8), st.floats(0.5, 0.9), st.floats(0.901, 0.999))
def test_more_confidence_is_a_wider_interval(figures, less, more):
    narrow, wide = mean_of_ratios(figures, less), mean_of_ratios(figures, more)
    assert wide.low <= narrow.low * (1 + 1e-9)
    assert narrow.high <= wide.high * (1 + 1e-9)


@tried(200)
@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.001, 0.2), SHUFFLES)
@example([0.01, 0.01], 0.05, Random(1))
def test_holms_levels_follow_their_hypotheses(p_values, error, random):
    levels = holm(p_values, error)
    assert all(error / len(p_values) <= level <= error for level in levels)
    order = [*range(len(p_values))]
    random.shuffle(order)
    shuffled = holm([p_values[index] for index in order], error)
    rejected = {p_values[index] <= level for index, level in zip(order, shuffled, strict=True)}
    assert rejected == {p <= level for p, level in zip(p_values, levels, strict=True)}
    for (p, level), (other_p, other) in itertools.combinations(
        zip(p_values, levels, strict=True), 2
    ):
        if p < other_p and other_p <= other:
            assert p <= level, "a smaller p is rejected with a larger one"


@tried(200)
@given(st.lists(st.tuples(SPEEDS, SPEEDS), min_size=1, max_size=20), FACTORS, FACTORS, SHUFFLES)
def test_a_difference_in_other_units_and_in_another_order(blocks, factor, of_both, random):
    found = difference(*zip(*blocks, strict=True))
    shuffled = [*blocks]
    random.shuffle(shuffled)
    one_s, other_s = zip(*shuffled, strict=True)
    scaled = difference([of_both * one for one in one_s], [of_both * one for one in other_s])
    assert close(scaled.log_ratio, found.log_ratio)
    assert close(scaled.se, found.se)
    slower = difference([factor * one for one in one_s], other_s)
    assert close(slower.log_ratio, found.log_ratio - math.log(factor))
    assert close(slower.se, found.se)
    swapped = difference(other_s, one_s)
    assert close(swapped.log_ratio, -found.log_ratio)
    assert close(swapped.se, found.se)


DIFFERENCES = st.builds(Difference, st.floats(-2, 2), st.floats(0.001, 0.2))


@st.composite
def observed(draw):
    members = draw(st.integers(2, 5))
    pairs = [*itertools.combinations([f"m{number}" for number in range(members)], 2)]
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    found = {pair: draw(st.lists(DIFFERENCES, min_size=1, max_size=5)) for pair in chosen}
    return found, members


@tried(150)
@given(observed(), SHUFFLES)
def test_moderation_does_not_depend_on_orders_and_directions(group, random):
    found, members = group
    first = contrasts(found, members)
    pairs = [*found]
    random.shuffle(pairs)
    swapped = {}
    for pair in pairs:
        rings = [Difference(-one.log_ratio, one.se) for one in found[pair]]
        random.shuffle(rings)
        swapped[pair[::-1]] = rings
    second = contrasts(swapped, members)
    for pair, one in first.items():
        other = second[pair[::-1]]
        assert one.variance > 0
        assert one.dof > 0
        assert one.rings == len(found[pair])
        assert close(other.log_ratio, -one.log_ratio)
        assert close(other.variance, one.variance, 1e-6, 1e-15)
        assert close(other.dof, one.dof)


LOG_SPEEDS = st.lists(st.floats(-5, 5), min_size=1, max_size=4)
EXPECTED = st.builds(Expected, spread=st.floats(0.01, 0.2), weight=st.floats(1, 10),
                     tests=st.integers(1, 10))  # fmt: skip


@tried(200)
@given(LOG_SPEEDS, st.lists(LOG_SPEEDS, min_size=1, max_size=6), EXPECTED, st.floats(-5, 5))
def test_a_prediction_in_another_unit(now, history, expected, shift):
    found = predict(now, history, expected, 1.0)
    moved = predict(
        [one + shift for one in now],
        [[one + shift for one in each] for each in history],
        expected,
        1.0,
    )
    assert found.variance > 0
    assert found.dof > 0
    assert close(moved.log_ratio, found.log_ratio, 1e-6, 1e-9)
    assert close(moved.variance, found.variance, 1e-6)
    slower = predict([one - abs(shift) for one in now], history, expected, 1.0)
    assert close(slower.log_ratio, found.log_ratio - abs(shift), 1e-6, 1e-9)
    assert close(slower.variance, found.variance, 1e-6), "only where it is has changed"


@tried(60)
@given(st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=25), st.floats(-5, 5), st.floats(0, 1))
def test_the_levels_of_a_history_cover_it_in_any_unit(logs, shift, step):
    middle = len(logs) // 2
    logs = [one + step * (place >= middle) for place, one in enumerate(logs)]
    found = segmentation([Session((one,), 1.0) for one in logs], 0.01)
    stops = [level.stop for level in found.levels]
    assert [level.start for level in found.levels] == [0, *stops[:-1]]
    assert stops[-1] == len(logs)
    for change in found.changes:
        assert change.after < change.index <= change.by
    moved = segmentation([Session((one + shift,), 1.0) for one in logs], 0.01)
    assume(len(moved.levels) == len(found.levels))
    for one, other in zip(found.levels, moved.levels, strict=True):
        assert close(other.log_speed, one.log_speed + shift, 1e-6, 1e-6)


@tried(100)
@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=3), st.floats(-1e5, 1e5))
def test_no_figure_is_beyond_all_numbers(figures, log):
    found = mean_of_ratios(figures, 0.999)
    assert all(0 < one <= LARGEST for one in (found.value, found.low or 1, found.high or 1))
    assert 0 < from_log(log) <= LARGEST
    assert -1 <= change_from_log(log) <= LARGEST
