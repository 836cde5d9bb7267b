"""The machine of the day, as far as the reference workload tells it."""

import math

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.gate.correction import (
    BY_BOTH,
    BY_WALL,
    NOT,
    Anchor,
    anchor_of,
    correction_of,
    log_speeds,
    stands_for_test,
    wall_time_lost,
)
from pytest_tfthreads.core.gate.suite_drift import drifts_of
from pytest_tfthreads.core.gate.verdict import Policy, judge

CALLS = 1000


def process(speed=100.0, cores=1.0, wall=0.001, cpu=0.001):
    """`wall` and `cpu` are the reference workload's, in seconds a call."""
    wall_s = CALLS / speed
    return sample(
        (wall_s,),
        (cores * wall_s,),
        iterations=CALLS,
        reference_wall_s=wall,
        reference_cpu_s=cpu,
    )


def measured(**fields):
    return measurement(*(process(**fields) for _ in range(3)))


def verdicts(now, then, hypotheses=2, runs=10):
    return judge("t", now, History((then,) * runs, "a run"), Policy(), hypotheses)


def test_what_the_correction_is():
    alike = [process(cores=1.0, wall=0.001, cpu=0.001)]
    alone = [process(cores=1.0, wall=0.001, cpu=0.002)]  # on one core, the reference on two
    none = [process(wall=None, cpu=None)]
    assert stands_for_test(alike)
    assert not stands_for_test(alone)
    assert correction_of("throughput", alike, alike) == BY_WALL
    assert correction_of("throughput", alike, alone) == BY_BOTH
    assert correction_of("cpu_efficiency", alike, alike) == BY_BOTH
    assert correction_of("throughput", alike, none) == NOT


@pytest.mark.parametrize(
    ("wall", "cpu", "by_wall", "by_both"),
    [
        (1.2, 1.2, 1.2, 1.2),  # a slower CPU
        (1.2, 1.1, 1.2, 1.1),
        (1.3, 1.0, 1.3, 1.0),  # a neighbour
        (1.0, 1.3, 1.0, 1.0),  # a thread of the test that burns CPU
        (0.8, 1.1, 0.8, 1.0),
        (0.8, 0.9, 0.8, 0.9),
    ],
)
def test_two_clocks(wall, cpu, by_wall, by_both):
    anchor = anchor_of([process()])
    now = [process(wall=0.001 * wall, cpu=0.001 * cpu)]
    for correction, factor in ((BY_WALL, by_wall), (BY_BOTH, by_both)):
        (found,) = log_speeds(now, "throughput", correction, anchor)
        assert found == pytest.approx(math.log(100 * factor))
    assert wall_time_lost(now, anchor) == pytest.approx(math.log(wall / by_both))


def test_no_correction_without_an_anchor():
    with pytest.raises(ValueError, match="without an anchor"):
        log_speeds([process()], "throughput", BY_WALL)
    assert log_speeds([process()], "throughput") == (pytest.approx(math.log(100)),)
    assert anchor_of([process(wall=1.0, cpu=1.0)]) == Anchor(0.0, 0.0)


# Live: a baseline that was saved beside another program, judged when that had gone. Unchanged code;
# throughput, CPU efficiency, and the reference's speed, now / then.
GONE = {
    "dense layers, one core of two": (1.005, 1.001, 1.33, 0.99, 0.99),
    "convolutions": (1.41, 0.94, 1.63, 1.0, 1.5),
    "small ops, one core of two": (0.81, 0.84, 1.38, 0.99, 0.96),
    "tf.data": (1.16, 0.98, 1.04, 1.6, 1.9),
}


@pytest.mark.parametrize("name", GONE)
@pytest.mark.parametrize("runs", [1, 5])
def test_a_neighbour_that_has_gone_makes_no_regression(name, runs):
    throughput, _, reference, cores_then, cores_now = GONE[name]
    then = measured(speed=100, cores=cores_then, wall=0.001 * reference, cpu=0.002)
    now = measured(speed=100 * throughput, cores=cores_now, wall=0.001, cpu=0.002)
    for verdict in verdicts(now, then, hypotheses=8, runs=runs):
        assert verdict.status != "regression", verdict


def test_the_other_way_round_too():
    """A neighbour that has come is taken out where the reference suffers as the test does."""
    then = measured(speed=100, cores=2.0, wall=0.001, cpu=0.002)
    now = measured(speed=66, cores=1.32, wall=0.0015, cpu=0.002)
    throughput, efficiency = verdicts(now, then)
    assert (throughput.status, efficiency.status) == ("pass", "inconclusive")
    assert throughput.change.value == pytest.approx(-0.01, abs=0.002)
    assert "as measured the change is −34 %" in throughput.reason


def test_a_loss_by_the_correction_alone_is_open_and_said_so():
    then = measured(speed=100, wall=0.002, cpu=0.002)
    now = measured(speed=100, wall=0.001, cpu=0.001)
    throughput, efficiency = verdicts(now, then)
    assert throughput.change.value == pytest.approx(-0.5)
    assert (throughput.status, efficiency.status) == ("inconclusive", "inconclusive")
    assert "without the correction for the machine's speed the change is +0.0 %" in (
        throughput.reason
    )
    # What was lost as measured too is a regression.
    slower = measured(speed=90, wall=0.001, cpu=0.001)
    assert [one.status for one in verdicts(slower, then)] == ["regression"] * 2


def test_a_gain_by_the_correction_alone_is_no_improvement():
    then = measured(speed=100, wall=0.001, cpu=0.001)
    now = measured(speed=100, wall=0.002, cpu=0.002)
    assert [one.status for one in verdicts(now, then)] == ["pass", "pass"]


def test_burnt_cpu_is_found_although_the_reference_shows_it():
    """The clock of the process: a burner makes the reference's CPU time longer, too."""
    then = measured(speed=100, cores=1.0, wall=0.001, cpu=0.001)
    now = measured(speed=100, cores=2.0, wall=0.001, cpu=0.002)
    assert [one.status for one in verdicts(now, then)] == ["pass", "regression"]


# -- the drift of the suite -----------------------------------------------------------------------


def history(*speeds):
    return [measured(speed=speed) for speed in speeds]


def test_tests_that_drift_teach_each_other():
    steady = [history(100, 100.5, 99.5, 100.2) for _ in range(6)]
    wild = [history(100, 80, 105, 85) for _ in range(6)]
    now = measured(speed=88)
    own = History(tuple(steady[0]), "a run")
    alone, beside_steady, beside_wild = (
        judge("t", now, own, Policy(), 26, drifts)[0]
        for drifts in ({}, drifts_of(steady), drifts_of(wild))
    )
    assert beside_steady.detectable < alone.detectable < beside_wild.detectable
    assert (beside_steady.status, beside_wild.status) == ("regression", "inconclusive")


def test_no_drift_from_single_runs():
    assert drifts_of([history(100), [], history(90)]) == {}


@pytest.mark.parametrize("missing", ["wall", "cpu"])
def test_a_reference_has_both_clocks(missing):
    half = [process(**{missing: None})]
    assert correction_of("throughput", half, [process()]) == NOT
    assert correction_of("throughput", [process()], half) == NOT


def test_the_reference_stands_from_its_limit_on():
    assert stands_for_test([process(speed=1000, cores=0.7)])
    assert not stands_for_test([process(speed=1000, cores=0.699)])
