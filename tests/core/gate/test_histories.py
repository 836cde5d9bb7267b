"""Whole suites and lasting losses: a few draws, generous limits; benchmarks/gate/replay.py."""

import random

import pytest


@pytest.mark.parametrize("reference", [True, False], ids=["corrected", "plain"])
def test_whole_suites_of_unchanged_code_seldom_fail(replay, reference):
    """With each test's own drift and the wide default forgotten soon, 15 % of plain ones did."""
    cases = replay.WITHOUT_TF_DATA
    rates = replay.histories.suite_rates(60, 5, 3, cases, reference, seed=3)
    assert rates.any_regression <= 0.09


def test_a_lasting_loss_is_found_sooner_or_later(replay):
    """Compared with the latest run alone, 32 % were found, all of them in the first run."""
    weather = replay.histories.WEATHERS[0]
    found = replay.histories.found_within(random.Random(2), weather, 0.2, 12, 8)
    assert sum(one <= 1 for one in found) >= 4
    assert sum(one <= 8 for one in found) >= 10


def test_unchanged_code_stays_unfailed(replay):
    weather = replay.histories.WEATHERS[0]
    found = replay.histories.found_within(random.Random(2), weather, 0.0, 12, 8)
    assert all(one > 8 for one in found)


def test_a_step_that_was_accepted_does_not_blind(replay):
    """Squared and not clipped, it was taken for drift: 5 to 8 % were found."""
    weather = replay.histories.WEATHERS[1]
    assert replay.histories.found_after_step(random.Random(2), weather, 0.2, 6, 0.2, 16) >= 0.6
