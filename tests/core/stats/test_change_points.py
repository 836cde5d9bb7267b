"""Change points: what is found, how large, where; and that noise is left alone."""

import json
import math
import random
import sys

import pytest

from pytest_tfthreads.core.stats.change_points import (
    ENOUGH_SITTINGS,
    ChangesUnavailableError,
    Session,
    noise_of,
    segmentation,
)
from repository import RECORDINGS

RECORDED = RECORDINGS / "sessions.json"


def sessions(*levels, spread=0.03, seed=1, processes=3):
    """So many sessions of each log speed: (30, 0.0), (20, -0.1), …"""
    rng = random.Random(seed)
    return [
        Session(tuple(level + drift + rng.gauss(0, 0.01) for _ in range(processes)), 2.0)
        for count, level in levels
        for drift in [rng.gauss(0, spread) for _ in range(count)]
    ]


def test_a_change_with_its_size_and_place():
    found = segmentation(sessions((30, 5.0), (20, 5.0 + math.log(0.8))))
    (change,) = found.changes
    assert (change.after, change.index, change.by) == (29, 30, 30)
    assert -0.25 < change.shift.low < change.shift.value < change.shift.high < -0.15
    assert change.shift.low < -0.2 < change.shift.high
    before, after = found.levels
    assert (before.start, before.stop, after.start, after.stop) == (0, 30, 30, 50)
    assert before.speed.low < math.exp(5.0) < before.speed.high
    assert after.speed.low < 0.8 * math.exp(5.0) < after.speed.high
    assert 0.02 < found.spread < 0.04


def test_several_changes_also_a_regression_that_was_mended():
    found = segmentation(sessions((40, 0.0), (6, -0.3), (40, 0.0), (30, 0.2)))
    assert [change.index for change in found.changes] == [40, 46, 86]
    assert [round(change.shift.value, 1) for change in found.changes] == [-0.3, 0.3, 0.2]


def test_the_place_of_a_small_change_is_a_range_that_holds_it():
    ranges = []
    for seed in range(20):
        found = segmentation(sessions((40, 0.0), (40, 0.04), seed=seed))
        ranges += [(one.after, one.index, one.by) for one in found.changes]
    assert len(ranges) >= 15
    assert all(after < index <= by for after, index, by in ranges)
    assert sum(after < 40 <= by for after, _, by in ranges) >= len(ranges) - 2
    assert any(by - after > 1 for after, _, by in ranges)


@pytest.mark.parametrize("count", [5, 20, 100])
def test_unchanged_histories_show_almost_no_change(count):
    shown = [segmentation(sessions((count, 1.0), seed=seed)).changes for seed in range(40)]
    assert sum(map(bool, shown)) <= 2


def test_recorded_noise_shows_almost_no_change():
    cases = json.loads(RECORDED.read_text(encoding="utf-8"))["cases"]
    rng = random.Random(1)
    shown = 0
    for case in sorted(cases) * 4:
        rows = [rng.choice(list(cases[case]["unchanged"].values())) for _ in range(30)]
        shown += bool(
            segmentation(
                [Session(tuple(-math.log(one[0]) for one in rng.sample(row, 3)), 1) for row in rows]
            ).changes
        )
    assert shown <= 4


def test_times_in_which_neighbours_are_alike_are_no_changes():
    rng = random.Random(2)
    shown = 0
    for _ in range(20):
        points = [0.0]
        while len(points) < 100:
            points.append(0.5 * points[-1] + rng.gauss(0, 0.026))
        shown += bool(segmentation([Session((one,)) for one in points]).changes)
    assert shown <= 3


def test_one_odd_session_is_no_change_and_hides_none():
    history = sessions((20, 0.0), (20, -0.15))
    for index in (0, 7, 31, 39):
        history[index] = Session(tuple(one - 0.7 for one in history[index].log_speeds))
    assert [change.index for change in segmentation(history).changes] == [20]


def test_all_histories_together_err_by_their_share():
    """The smaller the error that a history is allowed, the larger a change it shows."""
    history = sessions((10, 0.0), (10, -0.07))
    errors = [0.5, 0.05, 1e-6, 1e-12]
    counts = [len(segmentation(history, error).changes) for error in errors]
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (1, 0)


@pytest.mark.parametrize("count", range(1, ENOUGH_SITTINGS))
def test_too_few_sessions_for_any_change(count):
    found = segmentation([Session((float(n),)) for n in range(count)])
    assert not found.changes
    assert len(found.levels) == 1
    assert found.levels[0].speed.low < found.levels[0].speed.value < found.levels[0].speed.high


def test_equal_sessions_have_the_least_spread_that_is_believed():
    found = segmentation([Session((1.0, 1.0))] * 50)
    assert not found.changes
    assert 0.009 < found.spread < 0.02


def test_noise_is_learned_but_not_from_changes_and_odd_sessions():
    quiet = noise_of(sessions((200, 0.0), spread=0.02))
    changed = noise_of(sessions((100, 0.0), (100, 1.0), spread=0.02))
    assert math.sqrt(quiet.of_points) == pytest.approx(0.021, rel=0.2)
    assert math.sqrt(changed.of_points) == pytest.approx(0.021, rel=0.3)
    assert noise_of(sessions((1, 0.0))).of_points > 0.07**2


def test_what_is_no_history():
    with pytest.raises(ValueError, match=r"^a history needs at least one session$"):
        segmentation([])
    for speeds in ((), (math.nan,), (1.0, math.inf)):
        with pytest.raises(ValueError, match="finite log speeds"):
            Session(speeds)


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures.detection", None)
    with pytest.raises(ChangesUnavailableError, match="pip install ruptures"):
        segmentation(sessions((10, 0.0)))
