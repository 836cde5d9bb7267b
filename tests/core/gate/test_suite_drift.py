"""What saved runs of a whole suite say of the machine: whose figures count, and corrected how."""

import math

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.gate.correction import BY_BOTH, BY_WALL, EXPECTED, NOT
from pytest_tfthreads.core.gate.evidence import histories_of
from pytest_tfthreads.core.gate.suite_drift import corrected_history, drifts_of, machine_of
from pytest_tfthreads.core.saved_runs import StoredMeasurement, StoredRun
from pytest_tfthreads.core.stats.drift import suite_drift
from pytest_tfthreads.core.threads import Configuration

HERE = {"cpu": "x", "physical": 2, "logical": 4, "quota": None}
THERE = {**HERE, "cpu": "y"}


def measured(speed, reference_s=0.001, machine=HERE, cores=1.0, **fields):
    """One process of so many calls a second; the reference workload needs one core."""
    wall_s = 10 / speed
    known = {"reference_wall_s": reference_s, "reference_cpu_s": reference_s}
    return measurement(
        sample([wall_s], [cores * wall_s], iterations=10, **known), machine=machine, **fields
    )


def run(number, **tests):
    stored = {
        test: (StoredMeasurement(test, test, Configuration("1x1", "1", "1"), one),)
        for test, one in tests.items()
    }
    return StoredRun(f"{number:04}.json", f"2026-01-{number:02}", None, dirty=False, tests=stored)


def test_speeds_are_corrected_as_the_latest_run_can_be():
    plain, slow_day = measured(100, reference_s=None), measured(50, reference_s=0.002)
    day = measured(100, reference_s=0.001)
    correction, logs = corrected_history("throughput", [slow_day, day])
    assert correction == BY_WALL
    assert logs[0] == pytest.approx(logs[1])
    # A mean day of the two is what both are shown as.
    assert logs[0][0] == pytest.approx(math.log(100) - math.log(2) / 2)
    assert corrected_history("cpu_efficiency", [slow_day, day])[0] == BY_BOTH
    # Runs without the reference are left out where it counts, and all stay where it does not.
    assert len(corrected_history("throughput", [plain, day])[1]) == 1
    correction, logs = corrected_history("throughput", [slow_day, plain])
    assert correction == NOT
    assert logs == [(pytest.approx(math.log(50)),), (pytest.approx(math.log(100)),)]
    assert corrected_history("throughput", []) == (NOT, [])


def test_the_drift_is_that_of_the_suite_by_metric_and_correction():
    plain = [measured(100 * factor, None) for factor in (1, 1.05, 0.97)]
    other = [measured(100 * factor, None, cores=1 / factor) for factor in (1, 1.2, 0.9)]
    corrected = [measured(100 * factor) for factor in (1, 1.02, 0.99)]
    found = drifts_of([plain, corrected, other, [], [measured(3)]])
    expected = {
        ("throughput", NOT): (plain, other),
        ("cpu_efficiency", NOT): (plain, other),
        ("throughput", BY_WALL): (corrected,),
        ("cpu_efficiency", BY_BOTH): (corrected,),
    }
    assert found.keys() == expected.keys()
    for (metric, correction), histories in expected.items():
        series = [corrected_history(metric, history)[1] for history in histories]
        assert found[metric, correction] == suite_drift(series, EXPECTED[correction])
    assert found["throughput", NOT] != found["cpu_efficiency", NOT]


def test_histories_are_those_of_this_kind_of_machine():
    runs = [
        run(1, a=measured(100), b=measured(1, machine=THERE)),
        run(2, a=measured(101), b=measured(2, machine=THERE)),
        run(3, a=measured(7, machine=THERE), c=measured(5)),
    ]
    speeds = [
        [round(one.throughput.value) for one in history]
        for history in histories_of(runs, machine_of(measured(1)))
    ]
    assert speeds == [[100, 101], [5]]
    there = histories_of(runs, machine_of(measured(1, machine=THERE)))
    assert [len(history) for history in there] == [1, 2]
    assert histories_of([], machine_of(measured(1))) == []


def test_a_history_is_of_what_is_measured_now_and_no_longer_as_then():
    """The latest on this machine decides what can be compared."""
    runs = [
        run(1, a=measured(100)),
        run(2, a=measured(50, unit="words")),
        run(3, a=measured(51, unit="words")),
    ]
    (history,) = histories_of(runs, machine_of(measured(1)))
    assert [round(one.throughput.value) for one in history] == [50, 51]


def test_machines_are_of_one_kind_by_what_speeds_depend_on():
    assert machine_of(measured(1)) == machine_of(measured(2, machine={**HERE, "host": "h"}))
    for other in (THERE, {**HERE, "physical": 1}, {**HERE, "logical": 2}, {**HERE, "quota": 1.5}):
        assert machine_of(measured(1)) != machine_of(measured(1, machine=other))
    reordered = dict(reversed(HERE.items()))
    assert machine_of(measured(1)) == machine_of(measured(1, machine=reordered))
