"""Spreads between processes, estimated from all that a run has measured."""

import math
import random

import pytest

from pytest_tfthreads.core.stats.pooled_spread import Processes, pooled_spreads
from repository import program

intervals = program("sweep/intervals.py")


def processes(*logs, rings=None):
    return Processes(logs, [None] * len(logs) if rings is None else rings)


def drawn(rng, sd, rings=(1, 2, 3)):
    return processes(*(rng.gauss(0, sd) for _ in rings), rings=[*rings])


@pytest.mark.parametrize(
    ("kind", "metric", "runs"),
    [
        ("apart, 4 tests", "throughput", 80),
        ("apart, 4 tests, 2 processes", "CPU efficiency", 80),
        ("apart, 4 tests, unequal", "throughput", 80),
        ("in turns, 1 test × 6", "throughput", 150),
        ("in turns, 5 tests × 6", "CPU efficiency", 40),
        ("in turns, 20 tests × 1", "throughput", 40),
        ("in turns, 5 tests × 6, unequal", "CPU efficiency", 40),
        ("quiet, 5 tests × 6", "throughput", 30),
    ],
)
def test_intervals_on_recorded_noise_hold_the_truth_as_often_as_they_say(kind, metric, runs):
    found = intervals.coverage(intervals.KINDS[kind], metric, runs)
    # A margin for so few runs; benchmarks/sweep/intervals.py has the figures of a thousand.
    assert 0.92 < found.pooled < 0.985
    if found.noisy is not None:
        assert found.noisy > 0.83
    assert found.pooled_width < 1.1 * found.own_width


def test_many_tests_make_intervals_much_narrower():
    found = intervals.coverage(intervals.KINDS["in turns, 20 tests × 1"], "throughput", 30)
    assert found.pooled_width < 0.7 * found.own_width


def test_a_configuration_alone_has_what_its_own_processes_say():
    assert pooled_spreads([[processes(0.0, 0.1, 0.3)]]) == [[None]]
    assert pooled_spreads([]) == []


def test_a_single_process_has_no_spread_and_tells_nothing():
    alone, repeated = processes(0.0), processes(0.0, 0.1, 0.3)
    assert pooled_spreads([[alone, repeated], [alone]]) == [[None, None], [None]]
    (none, one), (other,) = pooled_spreads([[alone, repeated], [repeated]])
    assert none is None
    assert one == other


def test_configurations_that_met_the_same_noise_are_no_repetition_of_one_another():
    rings = [1, 2, 3]
    first = processes(0.0, 0.1, -0.05, rings=rings)
    second = processes(-0.05, 0.0, 0.1, rings=[3, 1, 2])  # written in another order
    third = processes(1.0, 1.1, 0.95, rings=rings)
    for spread in pooled_spreads([[first, second, third]])[0]:
        assert spread.sd == pytest.approx(math.sqrt(first.variance))
        assert spread.dof == pytest.approx(2, abs=0.01)


def test_without_rings_each_configuration_is_a_repetition():
    test = [processes(0.0, 0.1, -0.05) for _ in range(3)]
    for spread in pooled_spreads([test])[0]:
        assert spread.dof == pytest.approx(2 + 1 / (1 / 8 + 1 / 4))


def test_luck_is_mended_and_noise_of_one_configuration_stays_its_own():
    rng = random.Random(3)
    quiet = [[drawn(rng, 0.03)] for _ in range(12)]
    lucky, noisy = processes(0.0, 0.0001, 0.0), processes(0.0, 1.0, -1.0)
    found = pooled_spreads([*quiet, [lucky], [noisy]])
    (of_lucky,), (of_noisy,) = found[-2:]
    assert of_lucky.sd > 0.01
    assert of_noisy.sd > 0.9
    assert of_noisy.dof == pytest.approx(2, abs=0.1)


def test_tests_that_differ_in_noise_say_little_of_one_another():
    rng = random.Random(4)
    rings = range(20)  # so that each test's own noise is known
    alike = [[drawn(rng, 0.03, rings)] for _ in range(12)]
    unlike = [[drawn(rng, sd, rings)] for sd in (0.001, 0.01, 0.1) for _ in range(4)]
    few = [drawn(rng, 0.03)]
    (among_alike,), (among_unlike,) = (
        pooled_spreads([*others, few])[-1] for others in (alike, unlike)
    )
    assert among_alike.dof > 2 * among_unlike.dof


def test_speeds_that_are_exactly_equal_have_a_spread_all_the_same():
    equal = processes(1.0, 1.0, 1.0, rings=[1, 2, 3])
    for test in pooled_spreads([[equal, equal], [equal]]):
        for spread in test:
            assert 0 < spread.sd < 0.001
