"""Estimates and their intervals."""

import math
import random

import pytest

from pytest_tfthreads.core.stats.estimates import mean_of_ratios, student_t


def test_student_t_against_a_table():
    assert student_t(0.975, 2) == pytest.approx(4.3027, abs=1e-4)
    assert student_t(0.975, 9) == pytest.approx(2.2622, abs=1e-4)


def test_mean_and_interval_of_known_figures():
    estimate = mean_of_ratios([1.0, math.e**2])
    assert estimate.value == pytest.approx(math.e)
    # s = √2, √n = √2: half a width of t(.975, 1) = 12.706 in the logarithm
    assert math.log(estimate.high) == pytest.approx(1 + 12.7062, abs=1e-3)
    assert math.log(estimate.low) == pytest.approx(1 - 12.7062, abs=1e-3)


def test_one_process_has_no_interval():
    estimate = mean_of_ratios([5.0])
    assert estimate.value == pytest.approx(5)
    assert estimate.low is None
    assert estimate.high is None


def test_interval_covers_the_truth_as_often_as_it_says():
    random.seed(7)
    runs = 2000
    covered = 0
    for _ in range(runs):
        estimate = mean_of_ratios([math.exp(random.gauss(math.log(100), 0.1)) for _ in range(3)])
        covered += estimate.low <= 100 <= estimate.high
    assert 0.935 < covered / runs < 0.965


@pytest.mark.parametrize("figures", [[], [1, 0], [1, -1], [1, math.nan], [math.inf]])
def test_impossible_figures(figures):
    with pytest.raises(ValueError, match="figure"):
        mean_of_ratios(figures)
