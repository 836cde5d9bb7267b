"""Levels of a history by hand: their noise, their widths, and where a change may be."""

import itertools
import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import tried
from pytest_tfthreads.core.gate.level import CHANGE_ERROR, present_level
from pytest_tfthreads.core.stats.change_points import (
    NOISE,
    ChangePoint,
    Noise,
    Segment,
    Session,
    Shift,
    noise_of,
    segmentation,
    shifts_between,
)
from pytest_tfthreads.core.stats.drift import (
    EXPECTED_DOF,
    FLOOR,
    default_within,
    dof_of_steps,
    semivariance,
)
from pytest_tfthreads.core.stats.estimates import moderated_variance, student_t


def of_points(*points, measured_s=math.inf):
    return [Session((one,), measured_s) for one in points]


def repeated(*levels):
    """Points that go up and down by 0.01 around each level, so many of them."""
    return [level + 0.01 * (-1) ** number for count, level in levels for number in range(count)]


def test_noise_by_hand():
    sessions = [Session((0.0, 0.1), 0.1), Session((0.2,), 1.0), Session((0.1, 0.1, 0.1), 2.0)]
    default = 0.07**2 + fmean(
        [default_within(0.1) / 2, default_within(1.0), default_within(2.0) / 3]
    )
    points = [0.05, 0.2, 0.1]
    expected = moderated_variance(semivariance(points), dof_of_steps(2), default, NOISE.weight)
    assert noise_of(sessions) == Noise(
        pytest.approx(expected), pytest.approx(expected), dof_of_steps(2) + EXPECTED_DOF
    )
    alone = 0.07**2 + default_within(0.1) / 2
    assert noise_of(sessions[:1]) == Noise(pytest.approx(alone), pytest.approx(alone), EXPECTED_DOF)
    silent = noise_of(of_points(1.0, 1.0, 1.0))
    default = 0.07**2 + default_within(math.inf)
    assert silent.of_points == pytest.approx(
        moderated_variance(FLOOR**2, dof_of_steps(2), default, NOISE.weight)
    )


def test_levels_and_changes_by_hand():
    points = repeated((12, 1.0), (8, 0.5))
    sessions = of_points(*points)
    found, noise = segmentation(sessions), noise_of(sessions)
    # Points that alternate are not like their neighbours: the noise is that of independent ones.
    assert found.spread == pytest.approx(math.sqrt(noise.of_points))
    width = student_t(0.975, noise.dof) * math.sqrt(noise.of_points)
    one, other = found.levels
    assert (one.start, one.stop, other.start, other.stop) == (0, 12, 12, 20)
    assert (one.log_speed, other.log_speed) == (pytest.approx(1.0), pytest.approx(0.5))
    assert one.half_width == pytest.approx(width / math.sqrt(12))
    assert other.half_width == pytest.approx(width / math.sqrt(8))
    assert one.speed.value == pytest.approx(math.e)
    assert one.speed.low == pytest.approx(math.exp(1 - one.half_width))
    assert one.speed.high == pytest.approx(math.exp(1 + one.half_width))
    (change,) = found.changes
    assert (change.old, change.new, change.index) == (one, other, 12)
    variance = noise.of_points * (1 / 12 + 1 / 8)
    assert change.shift == Shift(pytest.approx(-0.5), pytest.approx(variance), noise.dof)
    half = student_t(0.975, noise.dof) * math.sqrt(variance)
    assert change.shift.value == pytest.approx(math.expm1(-0.5))
    assert change.shift.low == pytest.approx(math.expm1(-0.5 - half))
    assert change.shift.high == pytest.approx(math.expm1(-0.5 + half))
    # Another speed of the same sessions moved the other way.
    doubled = of_points(*(-2 * point for point in points))
    (shift,) = shifts_between(doubled, found.changes)
    other_noise = noise_of(doubled)
    assert shift.log_ratio == pytest.approx(1.0)
    assert shift.variance == pytest.approx(other_noise.of_points * (1 / 12 + 1 / 8))
    assert shift.dof == other_noise.dof
    assert shifts_between(doubled, []) == []


def test_an_odd_session_does_not_tell_how_another_speed_moved():
    points = [*[0.0] * 12, *[0.5] * 8]
    (change,) = segmentation(of_points(*points)).changes
    points[4] = -0.7
    (shift,) = shifts_between(of_points(*points), [change])
    assert shift.log_ratio == pytest.approx(0.5)


def test_where_a_change_may_be():
    """No worse than by the 95 % of a likelihood ratio: 7.35 variances."""
    points = repeated((10, 0.0), (10, -0.05))
    (change,) = segmentation(of_points(*points)).changes
    assert change.index == 10
    variance = noise_of(of_points(*points)).of_points
    before, after = change.old.log_speed, change.new.log_speed

    def misfit(index):
        return sum((one - before) ** 2 for one in points[:index]) + sum(
            (one - after) ** 2 for one in points[index:]
        )

    limit = misfit(10) - 2 * math.log(1 - math.sqrt(0.95)) * variance
    possible = [index for index in range(2, 19) if misfit(index) <= limit]
    assert (change.after, change.by) == (min(possible) - 1, max(possible))
    assert change.by > change.index > change.after + 1


def test_neighbours_that_are_alike_make_means_less_sure():
    """Each point twice: half of what seems to be known is."""
    points = [0.03 * (-1) ** (number // 3) for number in range(60)]
    found, independent = segmentation(of_points(*points)), noise_of(of_points(*points))
    assert not found.changes
    products = [x * y for x, y in itertools.pairwise(points)]
    chance = 0.5 * math.sqrt(60) / 60
    alike = round(sum(products) / sum(one**2 for one in points) - chance, 1)
    assert 0 < alike < 0.9
    assert found.spread == pytest.approx(math.sqrt(independent.of_points / (1 - alike)))
    of_means = independent.of_points * (1 + alike) / (1 - alike) ** 2
    width = student_t(0.975, independent.dof) * math.sqrt(of_means / 60)
    assert found.levels[0].half_width == pytest.approx(width)


def test_two_sessions_tell_something_of_their_noise():
    default = 0.07**2 + default_within(math.inf)
    # One difference of 0.2: half its square, and one degree of freedom.
    expected = moderated_variance(0.02, 1.0, default, NOISE.weight)
    noise = noise_of(of_points(0.0, 0.2))
    assert noise == Noise(pytest.approx(expected), pytest.approx(expected), 1.0 + EXPECTED_DOF)
    # Equal ones correlate by 0, which is above chance: (√2 / 2 - 1) / 2, about -0.15.
    independent = noise_of(of_points(1.0, 1.0)).of_points
    assert segmentation(of_points(1.0, 1.0)).noise.of_points == pytest.approx(independent / 0.9)


@pytest.mark.parametrize(
    ("before", "after", "alike"),
    [
        # Within both levels products of neighbours are half the squares; chance is (√3 - 2) / 12.
        (0.06, 0.03, 0.5),
        (0.03, 0.06, 0.5),
        # Squares below 12 · 0.01² count as that: 6 · 0.007² / 0.0012 is a quarter.
        (0.007, 0.007, 0.3),
    ],
)
def test_neighbours_are_alike_beyond_chance_within_their_levels(before, after, alike):
    ups_and_downs = (1, 1, 1, -1, -1, -1)
    sessions = of_points(
        *(before * one for one in ups_and_downs), *(0.5 + after * one for one in ups_and_downs)
    )
    old, new = Segment(0, 6, 0.0, 0.1), Segment(6, 12, 0.5, 0.1)
    (shift,) = shifts_between(sessions, [ChangePoint(old, new, 5, 6, Shift(0.5, 0.1, 3.0))])
    of_means = noise_of(sessions).of_points * (1 + alike) / (1 - alike) ** 2
    assert shift.variance == pytest.approx(of_means * (1 / 6 + 1 / 6))


@pytest.mark.parametrize("sessions", [4, 10])
@pytest.mark.parametrize("error", [0.05, 0.3])
def test_a_change_is_shown_from_a_size_on(sessions, error):
    """Beyond the quantile of Student's t, divided by the places at which a level can begin."""
    shown = []
    for step in range(100):
        size, half = 0.005 * step, sessions // 2
        found = segmentation(of_points(*[0.0] * half, *[size] * half), error)
        quantile = student_t(1 - error / 2 / (sessions - 3), found.noise.dof)
        misfit = size**2 * half / 2
        assert len(found.changes) == (misfit > quantile**2 * found.noise.of_means)
        shown.append(len(found.changes))
    assert (shown[0], shown[-1]) == (0, 1)


def test_a_change_lies_where_either_side_has_two_sessions():
    places = set()
    for step in range(100):
        size = 0.005 * step
        for one in segmentation(of_points(0.0, 0.0, size, size)).changes:
            places.add((one.after, one.index, one.by))
    assert places == {(1, 2, 2)}


def test_each_change_is_as_sure_as_its_two_levels():
    found = segmentation(of_points(*repeated((6, 0.0), (8, 1.0), (4, 3.0))))
    first, second = (one.shift for one in found.changes)
    assert first == Shift(
        pytest.approx(1.0), pytest.approx(found.noise.of_means * (1 / 6 + 1 / 8)), found.noise.dof
    )
    assert second == Shift(
        pytest.approx(2.0), pytest.approx(found.noise.of_means * (1 / 8 + 1 / 4)), found.noise.dof
    )


def test_two_sessions_bear_each_other_out_also_at_an_end():
    steady = [0.01 * (-1) ** number for number in range(12)]
    for points, index in (([2.0, 2.0, *steady], 2), ([*steady, 2.0, 2.0], 12)):
        found = segmentation(of_points(*points))
        assert [one.index for one in found.changes] == [index]
        assert max(one.log_speed for one in found.levels) == pytest.approx(2.0)


def test_of_three_sessions_an_odd_one_counts_as_its_nearer_neighbour():
    (level,) = segmentation(of_points(0.0, 3.0, 0.03)).levels
    assert level.log_speed == pytest.approx(0.02)


def test_an_odd_session_stands_for_its_nearer_neighbour():
    points = repeated((15, 0.0))
    points[7], points[0], points[14] = 2.0, -3.0, 3.0
    (level,) = segmentation(of_points(*points)).levels
    mended = [*points]
    # The middle one of three: of a point and its neighbours, or at an end the last three.
    mended[7], mended[0], mended[14] = points[6], points[1], points[12]
    assert level.log_speed == pytest.approx(fmean(mended))
    two = segmentation(of_points(0.0, 5.0)).levels
    assert [one.log_speed for one in two] == [2.5]


def test_who_begins_the_level():
    steady, faster = repeated((8, 0.0)), repeated((4, 0.5))
    assert CHANGE_ERROR == 0.01
    assert present_level(of_points(*steady, *faster), beside={8}) == (8, 9, 10, 11)
    assert present_level(of_points(*steady, *faster), since=2) == (8, 9, 10, 11)
    assert present_level(of_points(*faster, *steady), since=1) == (1, 2, 3)
    assert present_level(of_points(*faster, *steady), since=1, beside={4}) == tuple(range(4, 12))
    # Counted from the named run, that place is another.
    assert present_level(of_points(*faster, *steady), since=1, beside={3, 5}) == (1, 2, 3)
    # After a loss that was accepted, what is like the lower level joins it.
    history = of_points(*repeated((8, 0.0), (6, -0.4), (6, 0.4), (6, -0.4)))
    assert present_level(history, beside={8}) == tuple(range(14, 20))
    with pytest.raises(ValueError, match="at least one session"):
        present_level([])


def test_levels_differ_where_both_their_widths_say_so():
    def history(back):
        return of_points(*repeated((8, 0.0), (6, -0.6), (4, back)))

    first, _, last = segmentation(history(0.045), CHANGE_ERROR).levels
    assert max(first.half_width, last.half_width) < 0.045
    both = math.hypot(first.half_width, last.half_width)
    assert present_level(history(0.95 * both)) == (*range(8), *range(14, 18))
    assert present_level(history(1.05 * both)) == (14, 15, 16, 17)


def test_a_level_begins_where_a_change_is_nearly_sure():
    """What one history of twenty would show by chance begins none."""
    found = []
    for step in range(60):
        history = of_points(*repeated((8, 0.0), (6, 0.002 * step)))
        found.append((len(segmentation(history).levels), len(present_level(history))))
    assert (1, 14) in found
    assert (2, 14) in found
    assert (2, 6) in found


@tried(60)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.floats(-0.5, 0.5)), min_size=1, max_size=4),
    st.floats(-5, 5),
    st.data(),
)
def test_the_level_is_there_and_begins_where_it_may(parts, shift, data):
    points = repeated(*parts)
    since = data.draw(st.integers(0, len(points) - 1))
    beside = data.draw(st.frozensets(st.integers(0, len(points) - 1)))
    found = present_level(of_points(*points), since, beside)
    assert found
    assert list(found) == sorted(set(found))
    assert since <= found[0]
    assert found[-1] < len(points)
    # A run that is slower by itself makes no level: nothing that came before is lost for that.
    slower = present_level(of_points(*points, min(points) - 3), since, beside)
    assert min(slower) <= max(found)
