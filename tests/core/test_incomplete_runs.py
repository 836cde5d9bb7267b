"""What saved runs tell of tests that failed, and of a run that ended early."""

import json

import pytest

from pytest_tfthreads.core.gate.evidence import history_of
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.saved_runs import (
    BaselineError,
    StoredMeasurement,
    StoredRun,
    parse_run,
)
from pytest_tfthreads.core.threads import Configuration

SAMPLE = Sample((0.5, 1.5), (1.0, 2.0), 10, 50, 0.1, 1 << 20, 3, 4, (0,))
MEASUREMENT = Measurement(
    requested=Pools(1, 1),
    effective=Pools(1, 1),
    cpus=(0,),
    start="fork",
    items=4,
    unit="images",
    samples=(SAMPLE, SAMPLE),
    machine={"cpu": "Model X", "physical": 2, "logical": 4, "quota": None},
)


def parse(**fields):
    ours = {"fullname": "test_measured", "extra_info": {"tf_threads": MEASUREMENT.to_json()}}
    data = {"machine_info": {}, "datetime": "2025-11-23", "benchmarks": [ours], **fields}
    return parse_run(json.dumps(data), "x.json")


def run(label, measured=(), **fields):
    configuration = Configuration("intra1-inter1", "1", "1")
    tests = {
        test: (StoredMeasurement(test, test, configuration, MEASUREMENT),) for test in measured
    }
    return StoredRun(label, "2025-11-23", None, False, tests, **fields)


def problem(*runs, **kwargs):
    return history_of(runs, "test_x", MEASUREMENT, **kwargs).problem


def test_marks_are_read():
    stored = parse(tf_threads={"failed": ["test_x", "test_y"], "complete": False})
    assert stored.failed == {"test_x", "test_y"}
    assert not stored.complete


@pytest.mark.parametrize("about", [None, {}, {"seed": 3, "sweeps": [], "later": 1}])
def test_files_without_marks(about):
    stored = parse(tf_threads=about)
    assert (stored.failed, stored.complete) == (frozenset(), True)
    assert parse().complete


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (3, "tf_threads is 3, not an object"),
        ([], "tf_threads is a list, not an object"),
        ({"failed": None}, r"tf_threads\.failed is None, not a list"),
        ({"failed": "test_x"}, "failed is 'test_x', not a list"),
        ({"failed": ["test_x", 3]}, r"failed\[1\] is 3, not text"),
        ({"complete": None}, "complete is None, not true or false"),
        ({"complete": 1}, "complete is 1, not true or false"),
    ],
)
def test_wrong_marks_are_named(about, message):
    with pytest.raises(BaselineError, match=message) as caught:
        parse(tf_threads=about)
    assert str(caught.value).startswith("x.json: ")


def test_a_test_that_failed_then():
    failed = run("2.json", failed=frozenset({"test_x"}))
    expected = "the test failed when 2.json (2025-11-23) was saved"
    assert problem(failed) == problem(run("1.json"), failed) == expected
    assert problem(run("1.json", ["test_x"]), failed, named=True) == expected
    # Another run has it, and that is the baseline.
    history = history_of([run("1.json", ["test_x"]), failed], "test_x", MEASUREMENT)
    assert history.baseline == "1.json (2025-11-23)"


def test_a_run_that_was_named_answers_for_itself_only():
    failed = run("1.json", failed=frozenset({"test_x"}))
    expected = "the test was not measured in 2.json (2025-11-23)"
    assert problem(failed, run("2.json"), named=True) == expected
    assert problem(failed, run("2.json", complete=False), named=True) == (
        f"{expected}, which ended early"
    )
