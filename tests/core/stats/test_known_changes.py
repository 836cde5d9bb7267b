"""Histories of saved runs in which some changes were measured side by side."""

import math
import random

import pytest

from pytest_tfthreads.core.stats.change_points import Session, Shift, segmentation
from pytest_tfthreads.core.stats.known_changes import Known, with_known


def sessions_of(*levels, each=10, spread=0.01, seed=1):
    draw = random.Random(seed)
    return [
        Session((math.log(level) + draw.gauss(0, spread),)) for level in levels for _ in range(each)
    ]


def known(after, by, change, *, is_change=True):
    return Known(after, by, Shift(math.log1p(change), 1e-6, 10), is_change)


def test_a_change_that_saved_runs_only_seem_to_show_is_left_out():
    sessions = sessions_of(100, 70)
    found = segmentation(sessions)
    assert [one.index for one in found.changes] == [10]
    now = with_known(found, sessions, [known(9, 10, 0.001, is_change=False)])
    assert now.changes == ()
    (level,) = now.levels
    assert (level.start, level.stop) == (0, 20)
    assert level.log_speed == pytest.approx(math.log(math.sqrt(100 * 70)), abs=0.01)
    # Elsewhere it says nothing of this change.
    for other in ((3, 9), (10, 14)):
        elsewhere = with_known(found, sessions, [known(*other, 0.0, is_change=False)])
        assert [one.index for one in elsewhere.changes] == [10]


def test_a_change_has_the_size_that_was_measured():
    sessions = sessions_of(100, 70)
    found = segmentation(sessions)
    now = with_known(found, sessions, [known(8, 11, -0.10)])
    (change,) = now.changes
    assert change.is_measured
    assert (change.after, change.by) == (8, 11)
    assert 9 <= change.index <= 11
    assert change.shift.value == pytest.approx(-0.10)
    old, new = now.levels
    assert new.log_speed - old.log_speed == pytest.approx(math.log(0.9))


def test_a_change_is_found_that_saved_runs_cannot_see():
    sessions = sessions_of(100, 97, spread=0.05)
    assert segmentation(sessions).changes == ()
    (change,) = with_known(segmentation(sessions), sessions, [known(9, 10, -0.03)]).changes
    assert (change.index, change.after, change.by) == (10, 9, 10)
    # A single saved run of each release is enough.
    two = sessions_of(100, 97, each=1)
    (change,) = with_known(segmentation(two), two, [known(0, 1, -0.03)]).changes
    assert change.shift.value == pytest.approx(-0.03)


def test_changes_elsewhere_stay_and_all_joined_sessions_tell_the_levels():
    sessions = sessions_of(100, 95, 60)
    found = segmentation(sessions)
    steps = [known(9, 10, -0.05), known(24, 25, 0.0, is_change=False)]
    now = with_known(found, sessions, steps)
    assert [(one.index, one.is_measured) for one in now.changes] == [(10, True), (20, False)]
    first, second, third = now.levels
    assert second.log_speed - first.log_speed == pytest.approx(math.log(0.95))
    assert first.log_speed == pytest.approx(math.log(100), abs=0.01)
    assert third.log_speed == pytest.approx(math.log(60), abs=0.01)
    guess = now.changes[1].shift
    assert guess.low < 60 / 95 - 1 < guess.high


@pytest.mark.parametrize("after", [0, 9])
def test_a_loss_that_was_mended_again_stays_between_ends_that_are_alike(after):
    sessions = sessions_of(100, 78, 100)
    found = segmentation(sessions)
    now = with_known(found, sessions, [known(after, 20, 0.0, is_change=False)])
    assert [(one.index, one.is_measured) for one in now.changes] == [(10, False), (20, False)]
    first, dip, last = now.levels
    assert first.log_speed == last.log_speed == pytest.approx(math.log(100), abs=0.01)
    assert dip.log_speed == pytest.approx(math.log(78), abs=0.01)


def test_a_loss_below_both_ends_of_a_measured_change_stays():
    sessions = sessions_of(100, 70, 90)
    now = with_known(segmentation(sessions), sessions, [known(9, 20, -0.12)])
    assert [(one.index, one.is_measured) for one in now.changes] == [(10, False), (20, False)]
    first, dip, last = now.levels
    assert last.log_speed - first.log_speed == pytest.approx(math.log(0.88))
    assert dip.log_speed == pytest.approx(math.log(70), abs=0.01)


def test_levels_between_the_ends_of_what_is_known_are_left_out():
    sessions = sessions_of(100, 95, 90)
    found = segmentation(sessions)
    assert [one.index for one in found.changes] == [10, 20]
    assert with_known(found, sessions, [known(9, 20, 0.0, is_change=False)]).changes == ()
    (change,) = with_known(found, sessions, [known(9, 20, -0.10)]).changes
    assert change.is_measured
    # A level that is no lower than the ends belongs to the end that it follows.
    sessions = sessions_of(100, 90, 70, 80)
    found = segmentation(sessions)
    assert [one.index for one in found.changes] == [10, 20, 30]
    now = with_known(found, sessions, [known(9, 30, 0.0, is_change=False)])
    assert [one.index for one in now.changes] == [20, 30]


def test_an_odd_session_stays_out_of_its_level_whatever_is_known_elsewhere():
    sessions = sessions_of(100, 90)
    sessions[4] = Session((math.log(50),))
    found = segmentation(sessions)
    assert [one.index for one in found.changes] == [10]
    now = with_known(found, sessions, [known(17, 18, 0.0, is_change=False)])
    assert now == found


def test_of_two_that_overlap_the_narrower_counts():
    sessions = sessions_of(100, 100, each=4)
    wide, narrow = known(0, 7, -0.2), known(3, 4, -0.1)
    (change,) = with_known(segmentation(sessions), sessions, [wide, narrow]).changes
    assert change.shift == narrow.shift
    both = [known(0, 3, -0.1), known(3, 7, 0.1)]  # they meet in a session, and overlap not
    assert len(with_known(segmentation(sessions), sessions, both).changes) == 2


def test_without_any_the_history_is_as_it_was():
    sessions = sessions_of(100, 70)
    found = segmentation(sessions)
    assert with_known(found, sessions, []) is found
