"""Spreads between processes by hand: what the other configurations of a test and of a run say."""

import math
from statistics import fmean, variance

import pytest
from scipy.optimize import brentq
from scipy.special import polygamma, psi

from pytest_tfthreads.core.stats.estimates import Spread
from pytest_tfthreads.core.stats.pooled_spread import (
    ALIKE,
    FLOOR,
    LEAST_UNLIKE_TESTS,
    UNLIKE_TESTS,
    UNLIKE_TESTS_WEIGHT,
    Processes,
    pooled_spreads,
)

EULER = 0.5772156649015329


def processes(*logs, rings=None):
    return Processes(logs, [None] * len(logs) if rings is None else rings)


ALONE = processes(0.7)
TWO = processes(0.0, 0.2)
THREE = processes(0.0, 0.1, -0.05)
FOUR = processes(1.0, 1.1, 1.2, 1.15)
ONE_APART = processes(0.0, 1.0, 2.0)  # of variance 1


def drawn(own, *expected):
    """Of three processes with this variance; `expected` has variances and degrees of freedom."""
    dof = sum(one for _, one in expected)
    value = sum(one * dof for one, dof in expected) / dof
    # F with 2 and d degrees of freedom exceeds x with the probability (1 + 2x / d) ** (-d / 2).
    rarity = (1 + 2 * own / value / dof) ** (-dof / 2)
    dof *= min(1.0, 4 * rarity)
    return Spread(
        pytest.approx(math.sqrt((2 * own + dof * value) / (2 + dof))), pytest.approx(2 + dof)
    )


def of_tests(*known):
    """What tests of these variances and degrees of freedom say of another test."""
    logs = [math.log(value) - psi(dof / 2) + math.log(dof / 2) for value, dof in known]
    error = fmean(polygamma(1, dof / 2) for _, dof in known)
    more = len(logs) - 1
    apart = variance(logs) if more else 0.0
    unlike = (more * (apart - error) + UNLIKE_TESTS_WEIGHT * UNLIKE_TESTS) / (
        more + UNLIKE_TESTS_WEIGHT
    )
    unlike = max(unlike, LEAST_UNLIKE_TESTS)
    half = brentq(lambda one: polygamma(1, one) - unlike, 0.01, 100, xtol=1e-13)
    value = math.exp(fmean(logs) + psi(half) - math.log(half))
    return value, 1 / (1 / (2 * half) + (unlike + error) / len(logs) / 2)


def own(one):
    return variance(one.logs)


def test_what_the_others_of_a_test_say():
    beside = (own(TWO) + 3 * own(FOUR)) / 4
    ((two, alone, three, four),) = pooled_spreads([[TWO, ALONE, THREE, FOUR]])
    assert alone is None
    assert three == drawn(own(THREE), (beside, 1 / (1 / ALIKE + 1 / 4)))
    assert two.dof < three.dof < four.dof


@pytest.mark.parametrize(("other", "dof"), [(TWO, 1), (THREE, 2), (FOUR, 3)])
def test_what_a_single_other_one_says(other, dof):
    ((one, none, _),) = pooled_spreads([[ONE_APART, ALONE, other]])
    assert one == drawn(1.0, (own(other), 1 / (1 / 8 + 1 / dof)))
    assert none is None


def test_others_that_agree_are_believed_to_differ_by_the_clock_all_the_same():
    three = processes(0.0, 0.001, 0.002)
    ((one, _),) = pooled_spreads([[three, processes(1.0, 1.0, 1.0)]])
    assert one == drawn(1e-6, (FLOOR**2, 1.6))
    (one,), _ = pooled_spreads([[three], [processes(1.0, 1.0, 1.0)]])
    assert one == drawn(1e-6, of_tests((FLOOR**2, 2)))


def test_of_rings_that_were_shared_only_what_differs_within_them_counts_again():
    first = processes(0.0, 1.0, 2.0, rings=[1, 2, 3])
    second = processes(1.0, 0.0, 2.0, rings=[3, 1, 2])
    # The rings' means are 0, 1.5 and 1.5: of the variance 1, 3/4 are between rings, 1/4 within.
    dof = 1 / ((3 / 4) ** 2 / 2 + (1 / 4) ** 2 / 2)
    expected = drawn(1.0, (1.0, 1 / (1 / 8 + 1 / (dof - 2))))
    assert pooled_spreads([[first, second]]) == [[expected, expected]]
    # A third one that repeats the first: the means are 0, 4/3 and 5/3.
    between = sum((one - 1) ** 2 for one in (0, 4 / 3, 5 / 3)) / 2
    dof = 1 / (between**2 / 2 + (1 - between) ** 2 / 4)
    expected = drawn(1.0, (1.0, 1 / (1 / 8 + 1 / (dof - 2))))
    assert pooled_spreads([[first, second, first]]) == [[expected] * 3]


def test_those_that_met_exactly_the_same_say_nothing_of_one_another():
    same = processes(0.0, 1.0, 2.0, rings=[1, 2, 3])
    assert pooled_spreads([[same, same]]) == [[Spread(1.0, 2)] * 2]


@pytest.mark.parametrize(
    ("rings", "other_rings"),
    [
        ([None, None, None], [None, None, None]),
        ([None, 1, 2], [None, 1, 2]),
        ([1, 1, 2], [1, 1, 2]),
        ([1, 2, 3], [4, 5, 6]),
        ([1, 2, 3], [None, None, None]),
    ],
)
def test_without_the_same_rings_each_is_a_repetition(rings, other_rings):
    test = [processes(*ONE_APART.logs, rings=one) for one in (rings, other_rings)]
    expected = drawn(1.0, (1.0, 1 / (1 / 8 + 1 / 2)))
    assert pooled_spreads([test]) == [[expected, expected]]


def test_what_another_test_says():
    (one,), (other,) = pooled_spreads([[ONE_APART], [THREE]])
    half = brentq(lambda one: polygamma(1, one) - 0.4, 1, 10, xtol=1e-13)
    dof = 1 / (1 / (2 * half) + (0.4 + math.pi**2 / 6) / 2)
    factor = math.exp(EULER + psi(half) - math.log(half))
    assert one == drawn(1.0, (own(THREE) * factor, dof))
    assert other == drawn(own(THREE), (factor, dof))


@pytest.mark.parametrize(
    "others",
    [
        [TWO, FOUR, processes(0.0, 0.01, 0.02, 0.0, 0.03)],
        [processes(0.0, 0.01), FOUR, processes(0.0, 5.0, -5.0, 9.0)],
        [processes(*[0.0, 0.1, -0.1] * 7)] * 3,
        [processes(0.0, 0.1, -0.1)] * 3,
        [THREE, processes(0.0, 0.1, -0.1)],
    ],
    ids=["some", "far apart", "alike for certain", "alike by luck", "two"],
)
def test_what_the_other_tests_of_a_run_say(others):
    known = [(own(one), len(one.logs) - 1) for one in others]
    (one,), *_ = pooled_spreads([[ONE_APART], *([other] for other in others)])
    assert one == drawn(1.0, of_tests(*known))
    *_, (one,) = pooled_spreads([*([other] for other in others), [THREE]])
    assert one == drawn(own(THREE), of_tests(*known))


def test_both_are_told_together_and_tests_of_single_processes_tell_nothing():
    run = [[ALONE, ALONE], [THREE, ALONE, TWO], [], [ALONE], [ONE_APART]]
    first, (three, none, two), empty, last, (apart,) = pooled_spreads(run)
    assert (first, none, empty, last) == ([None, None], None, [], [None])
    beside = (own(TWO), 1 / (1 / 8 + 1))
    assert three == drawn(own(THREE), beside, of_tests((1.0, 2)))
    assert two.dof > 1
    together = (2 * own(THREE) + own(TWO)) / 3
    assert apart == drawn(1.0, of_tests((together, 3)))


def test_the_rarer_a_variance_is_among_the_others_the_less_it_is_drawn():
    found = []
    for factor in (1.0, 10.0, 100.0):
        wild = processes(*(factor * one for one in THREE.logs))
        ((*_, one),) = pooled_spreads([[processes(*THREE.logs), processes(*THREE.logs), wild]])
        assert one == drawn(own(wild), (own(THREE), 1 / (1 / 8 + 1 / 4)))
        found.append(one.dof)
    assert found[0] == pytest.approx(2 + 8 / 3)
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(2, abs=0.01)
