"""Changes measured side by side in a history: its levels, sizes and places by hand."""

import itertools
import math

import pytest

from pytest_tfthreads.core.stats.change_points import (
    ChangePoint,
    Noise,
    Segment,
    Segmentation,
    Session,
    Shift,
)
from pytest_tfthreads.core.stats.estimates import student_t
from pytest_tfthreads.core.stats.known_changes import Known, with_known

NOISE = Noise(of_points=0.04, of_means=0.09, dof=12.0)


def guessed(bounds, changes):
    """A history of levels with these bounds; of each guessed change, `after` and `by`."""
    levels = [Segment(start, stop, float(start), 0.2) for start, stop in itertools.pairwise(bounds)]
    return Segmentation(
        tuple(levels),
        tuple(
            ChangePoint(old, new, *place, Shift(1.0, 0.1, 3.0))
            for old, new, place in zip(levels, levels[1:], changes, strict=False)
        ),
        NOISE,
    )


def sessions(*points):
    return [Session((point - 0.5, point + 0.5)) for point in points]


def of_noise(count):
    return student_t(0.975, 12.0) * 0.3 / math.sqrt(count)


def of_shift(shift):
    return student_t(0.975, shift.dof) * math.sqrt(shift.variance)


def segment(start, stop, log_speed, half_width):
    return Segment(start, stop, pytest.approx(log_speed), pytest.approx(half_width))


def test_levels_that_a_measured_change_joins():
    points = [0.0, 0.1, 0.55, 0.65, 2.0, 2.1, 2.2, 2.3]
    shift = Shift(0.5, 0.01, 5.0)
    found = with_known(
        guessed([0, 4, 8], [(2, 5)]), sessions(*points), [Known(0, 3, shift, is_change=True)]
    )
    # Without the step of 0.5 the first four are 0, 0.1, 0.05 and 0.15.
    uncertain = math.hypot(of_noise(4), of_shift(shift))
    assert found.levels == (
        segment(0, 2, 0.075, uncertain),
        segment(2, 4, 0.575, uncertain),
        segment(4, 8, 2.15, of_noise(4)),
    )
    first, second, third = found.levels
    assert found.changes == (
        ChangePoint(first, second, 0, 3, shift, is_measured=True),
        ChangePoint(
            second,
            third,
            2,
            5,
            Shift(pytest.approx(2.15 - 0.575), pytest.approx(0.09 * (1 / 2 + 1 / 4)), 12.0),
            is_measured=False,
        ),
    )
    assert found.noise == NOISE


def test_measured_changes_after_one_another_add_up():
    points = [0.0, 0.1, 1.0, 1.2, 1.1, 0.8, 0.9, 5.0, 5.0]
    up, down = Shift(1.0, 0.01, 5.0), Shift(-0.2, 0.04, 7.0)
    known = [Known(4, 5, down, is_change=True), Known(1, 2, up, is_change=True)]
    found = with_known(guessed([0, 7, 9], [(6, 7)]), sessions(*points), known)
    heights = [0.0, 0.1, 0.0, 0.2, 0.1, 0.0, 0.1]
    base = sum(heights) / 7
    uncertain = math.hypot(of_noise(7), of_shift(up), of_shift(down))
    assert found.levels == (
        segment(0, 2, base, uncertain),
        segment(2, 5, base + 1.0, uncertain),
        segment(5, 7, base + 0.8, uncertain),
        segment(7, 9, 5.0, of_noise(2)),
    )
    assert [(one.index, one.shift) for one in found.changes[:2]] == [(2, up), (5, down)]


def test_a_measured_change_may_follow_a_guessed_one():
    shift = Shift(0.5, 0.01, 5.0)
    points = [0.0, 0.2, 3.0, 3.2, 3.6, 3.6]
    found = with_known(
        guessed([0, 2, 6], [(1, 2)]), sessions(*points), [Known(3, 4, shift, is_change=True)]
    )
    uncertain = math.hypot(of_noise(4), of_shift(shift))
    assert found.levels == (
        segment(0, 2, 0.1, of_noise(2)),
        segment(2, 4, 3.1, uncertain),
        segment(4, 6, 3.6, uncertain),
    )
    assert [one.is_measured for one in found.changes] == [False, True]


@pytest.mark.parametrize(
    ("after", "by", "left"),
    [(2, 3, [4]), (2, 4, []), (3, 4, []), (3, 5, []), (4, 5, [4]), (0, 3, [4]), (0, 7, [])],
)
def test_a_guess_is_left_out_where_it_is_known_that_nothing_changed(after, by, left):
    none = Known(after, by, Shift(0.0, 0.01, 5.0), is_change=False)
    found = with_known(guessed([0, 4, 8], [(3, 4)]), sessions(*[0.0] * 4, *[1.0] * 4), [none])
    assert [one.index for one in found.changes] == left
    if not left:
        assert found.levels == (segment(0, 8, 0.5, of_noise(8)),)


def test_ends_are_as_far_apart_as_was_measured_about_a_level_of_its_own():
    points = [0.0, 0.1, -3.0, -3.1, -3.2, 0.6, 0.9, 1.5, 1.6]
    shift, next_shift = Shift(0.5, 0.01, 5.0), Shift(0.7, 0.02, 6.0)
    known = [Known(1, 5, shift, is_change=True), Known(6, 7, next_shift, is_change=True)]
    found = with_known(guessed([0, 2, 5, 9], [(0, 2), (4, 5)]), sessions(*points), known)
    base = (0.0 + 0.1 + 0.1 + 0.4 + 0.3 + 0.4) / 6
    uncertain = math.hypot(of_noise(6), of_shift(shift), of_shift(next_shift))
    assert found.levels == (
        segment(0, 2, base, uncertain),
        segment(2, 5, -3.1, of_noise(3)),
        segment(5, 7, base + 0.5, uncertain),
        segment(7, 9, base + 1.2, uncertain),
    )
    assert [(one.index, one.is_measured) for one in found.changes] == [
        (2, False),
        (5, False),
        (7, True),
    ]
    assert found.changes[0].shift.log_ratio == pytest.approx(-3.1 - base)


@pytest.mark.parametrize("beyond", [-1, 1])
def test_a_level_between_stays_from_where_it_is_certainly_beyond_both_ends(beyond):
    shift = Shift(0.0, 0.01, 5.0)
    limit = math.hypot(of_noise(2), of_noise(4), of_shift(shift))
    for size, left in ((0.99 * limit, []), (1.01 * limit, [2, 4])):
        points = [0.0, 0.0, beyond * size, beyond * size, 0.0, 0.0]
        found = with_known(
            guessed([0, 2, 4, 6], [(1, 2), (3, 4)]),
            sessions(*points),
            [Known(0, 5, shift, is_change=False)],
        )
        assert [one.index for one in found.changes] == left


@pytest.mark.parametrize(
    ("points", "index"),
    [
        ([0, 1, 1, 1, 1], 1),
        ([0, 0, 1, 1, 1], 2),
        ([0, 0, 0, 1, 1], 3),
        ([0, 0, 0, 0, 1], 4),
        ([0.0, 0.4, 0.9, 1.0, 1.0], 2),
    ],
)
def test_where_a_measured_change_lies_is_told_by_the_sessions_between(points, index):
    known = Known(0, 4, Shift(1.0, 0.01, 5.0), is_change=True)
    found = with_known(guessed([0, 5], []), sessions(*points), [known])
    assert [one.index for one in found.changes] == [index]


def test_sessions_outside_do_not_tell_where_a_measured_change_lies():
    known = Known(2, 4, Shift(1.0, 0.01, 5.0), is_change=True)
    for first, last in ((0, 0), (9, -9), (-9, 9)):
        points = [first, first, 0, 0.2, 1, last, last]
        found = with_known(guessed([0, 7], []), sessions(*points), [known])
        assert [one.index for one in found.changes] == [4]


def test_an_odd_session_does_not_tell_where_a_measured_change_lies():
    known = Known(0, 5, Shift(1.0, 0.01, 5.0), is_change=True)
    for odd in (-9, 9):
        points = [0, odd, 0, 1, 1, 1]
        found = with_known(guessed([0, 6], []), sessions(*points), [known])
        assert [one.index for one in found.changes] == [3]


def test_a_measured_change_bears_out_the_only_session_before_it():
    shift = Shift(2.0, 0.01, 5.0)
    known = Known(0, 1, shift, is_change=True)
    found = with_known(guessed([0, 4], []), sessions(-0.2, 2.0, 2.2, 2.0), [known])
    uncertain = math.hypot(of_noise(4), of_shift(shift))
    assert found.levels == (segment(0, 1, 0.0, uncertain), segment(1, 4, 2.0, uncertain))


@pytest.mark.parametrize(
    ("places", "kept"),
    [
        ([(0, 7), (3, 4)], [1]),
        ([(3, 4), (0, 7)], [0]),
        ([(0, 3), (3, 7)], [0, 1]),
        ([(0, 4), (4, 7)], [0, 1]),
        ([(3, 7), (0, 3)], [1, 0]),
        ([(0, 4), (3, 7)], [0]),
        ([(3, 7), (0, 4)], [0]),
        ([(2, 4), (3, 5)], [0]),
        ([(0, 3), (4, 7), (2, 5)], [0, 1]),
    ],
)
def test_of_those_about_the_same_sessions_the_narrower_counts_then_the_first(places, kept):
    known = [
        Known(*place, Shift(0.1 + number, 0.01, 5.0), is_change=True)
        for number, place in enumerate(places)
    ]
    found = with_known(guessed([0, 8], []), sessions(*[0.0] * 8), known)
    assert [one.shift for one in found.changes] == [
        known[number].shift for number in sorted(kept, key=lambda number: places[number])
    ]
