"""A measured test, on its way from a worker of pytest-xdist to whoever keeps the results."""

import json

import pytest

from pytest_tfthreads.core.benchmark_record import BenchmarkRecord
from pytest_tfthreads.core.decode import DecodeError
from pytest_tfthreads.core.gate.verdict import Change, Verdict
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.op_profile import OpProfile, Trace, Traces
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.sweep.search import SearchCost
from pytest_tfthreads.core.threads import Configuration
from pytest_tfthreads.runner.measurements import MeasuredTest

NAME = "test_x[intra2-inter1]"
SPEED = Estimate(10.0, 9.0, 11.0)
FULL = MeasuredTest(
    nodeid=f"test_it.py::{NAME}",
    name=NAME,
    group="test_it.py::test_x",
    configuration=Configuration("intra2-inter1", "2", "1"),
    param="intra2-inter1",
    params={"intra": "2", "inter": "1", "size": [1, None]},
    record=BenchmarkRecord((0.1,), 1, None, {"warmup": True}, {"note": "x"}, (("a", 1, "f", 2),)),
    measurement=Measurement(
        requested=Pools(2, 1),
        effective=Pools(2, 1),
        cpus=(0, 1),
        start="fork",
        items=64,
        unit="images",
        samples=(Sample((0.1,), (0.2,), 1, 50, 1.5, 1 << 30, 0, 0, (0, 1), ring=3),),
        machine={"cpu": "Model X", "quota": None},
        flags=("quota",),
    ),
    note="not forked: threads run",
    search=SearchCost(2, 9, 6, 27, 10.0, 45.0),
    verdicts=(
        Verdict(
            test=NAME,
            metric="throughput",
            status="pass",
            configuration="intra 2, inter 1",
            unit="images",
            now=SPEED,
            tolerance=0.05,
            reason="within it",
            baseline=SPEED,
            change=Change(0.0, -0.01, 0.01),
            detectable=-0.03,
        ),
    ),
    duet={"against": "abc", "pairs": [{"throughput": 0.0, "cpu_efficiency": 0.0}]},
    traces=Traces("/traces", "host", Trace("the current tree", "x", OpProfile(1, 0.1, 0.0, ()))),
    unwritten=("a file",),
)


def test_a_measured_test_arrives_as_it_was_sent():
    assert MeasuredTest.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("measurement", "processes", 0, "cpu_s"), [], "measurement.processes[0] is impossible"),
        (("verdicts", 0, "status"), "fine", "verdicts[0].status is 'fine'"),
        (("record", "iterations"), None, "record.iterations is None"),
        (("configuration", "intra"), "many", "configuration is impossible: intra: unknown symbol"),
        (("traces", "now", "calls"), -1, "traces.now.calls is -1"),
        (("search", "seconds"), "10", "search.seconds is '10'"),
    ],
)
def test_what_is_no_measured_test_is_refused_by_the_name_of_its_field(path, value, place):
    data = json.loads(json.dumps(FULL.to_json()))
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(DecodeError) as caught:
        MeasuredTest.from_json(data)
    assert str(caught.value).startswith(f"tf_threads of a report.{place}")
