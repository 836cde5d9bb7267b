"""Results of several hosts: told apart, and each with its own history."""

import json
from dataclasses import replace

import pytest

from builders import measurement
from pytest_tfthreads.core.gate.evidence import history_of, pairs_of
from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import Policy, Verdict, judge
from pytest_tfthreads.core.hosts import Host, by_host
from pytest_tfthreads.core.measurement import Pools, Sample
from pytest_tfthreads.core.op_profile import OpProfile, OpTime, Trace, Traces
from pytest_tfthreads.core.saved_runs import StoredRun, parse_run
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.report.console import Row, render

TEST = "test_a.py::test_x[intra1-inter1]"
SAMPLE = Sample((0.5, 1.5), (1.0, 2.0), 10, 50, 0.1, 1 << 20, 3, 4, (0,), 0, 2, 0.01, 0.01)
PROFILE = OpProfile(10, 0.2, 0.1, (OpTime("MatMul", 2.0, 0.1),))
BIG = {
    "host": "farm-1",
    "cpu": "Model X",
    "physical": 2,
    "logical": 4,
    "quota": None,
    "python": "3.11.7",
    "tensorflow": "2.21.0",
}
SMALL = {**BIG, "host": "farm-2", "cpu": "Model Y", "physical": 1, "logical": 1, "quota": 0.5}


def measured(machine, seconds=1.0):
    one = replace(SAMPLE, wall_s=tuple(seconds * wall_s for wall_s in SAMPLE.wall_s))
    return measurement(
        one, one, requested=Pools(1, 1), effective=Pools(1, 1), cpus=(0,), items=4, machine=machine
    )


def row(measurement, worker="", **fields):
    ours = {**measurement.to_json(), **({"test": TEST} if worker else {}), **fields}
    return {"name": "x", "fullname": f"{TEST}{worker}", "extra_info": {"tf_threads": ours}}


def saved(*rows, label="x.json"):
    data = {"machine_info": {}, "datetime": "2025-11-23", "benchmarks": list(rows)}
    return parse_run(json.dumps(data), label)


def test_a_host_in_words():
    assert Host.of(measured(BIG)).title == (
        "farm-1: Model X, 4 CPUs of 2 cores, Python 3.11.7, TensorFlow 2.21.0"
    )
    assert "1 CPU of 1 core, quota 0.5," in Host.of(measured(SMALL)).title
    assert "\x1b" not in Host.of(measured({**BIG, "host": "\x1b[2J"})).title


def test_a_table_is_by_host_where_there_are_several():
    rows = [Row("a", measured(BIG)), Row("b", measured(SMALL)), Row("c", measured(BIG))]
    lines = [line.split(":")[0].split()[:2] for line in render(rows)[2:]]
    assert [one[-1] if one[0] == "on" else one[0] for one in lines] == [
        "farm-1", "a", "c", "farm-2", "b",
    ]  # fmt: skip
    assert not any(line.startswith("on ") for line in render(rows[::2]))
    other_python = measured({**BIG, "python": "3.13.0"})
    assert len(by_host([measured(BIG), other_python], lambda one: one)) == 2


def test_a_run_holds_what_several_hosts_measured():
    run = saved(row(measured(BIG), "@gw0"), row(measured(SMALL, 3), "@gw1"))
    assert [one.measurement for one in run.tests[TEST]] == [measured(BIG), measured(SMALL, 3)]
    assert [one.name for one in run.tests[TEST]] == [f"{TEST}@gw0", f"{TEST}@gw1"]
    for machine, seconds in ((BIG, 1), (SMALL, 3)):
        history = history_of([run], TEST, measured(machine))
        assert history.measurements == (measured(machine, seconds),)


def test_the_baseline_is_the_latest_of_that_kind_of_host():
    runs = [
        saved(row(measured(BIG)), label="1"),
        saved(row(measured(SMALL)), label="2"),
        saved(row(measured(BIG, 2)), label="3"),
        saved(row(measured(SMALL, 2)), label="4"),
    ]
    history = history_of(runs, TEST, measured(BIG))
    assert history.measurements == (measured(BIG), measured(BIG, 2))
    assert history.baseline.startswith("3 ")


def test_of_several_like_it_the_one_most_alike_is_the_baseline():
    others = ({**BIG, "python": "3.13.0"}, BIG, {**BIG, "host": "farm-3"})
    rows = [row(measured(one, 1 + place), f"@gw{place}") for place, one in enumerate(others)]
    for place, one in enumerate(others):
        (found,) = history_of([saved(*rows)], TEST, measured(one)).measurements
        assert found == measured(one, 1 + place)


def test_what_regressed_on_one_host_is_a_baseline_on_another():
    old = saved(row(measured(BIG)), label="old")
    now = Estimate(1, None, None)
    verdict = Verdict(TEST, "throughput", "regression", "1×1", "images", now, 0.05, "slower")
    regressed = {"verdicts": [verdict.to_json()]}
    run = saved(row(measured(BIG), "@gw0"), row(measured(SMALL), "@gw1", **regressed), label="new")
    assert run.has_regressed
    assert [one.has_regressed for one in run.tests[TEST]] == [False, True]
    assert history_of([old, run], TEST, measured(BIG)).baseline.startswith("new ")
    also_small = saved(row(measured(SMALL)), label="small")
    assert history_of([also_small, run], TEST, measured(SMALL)).baseline.startswith("small ")


@pytest.mark.parametrize("machine", [BIG, SMALL])
def test_what_is_sent_to_workers_judges_as_the_file_does(machine):
    more = {
        "duet": {"against": "main", "pairs": [{"throughput": 0.1, "cpu_efficiency": 0.2}]},
        "profile": Traces("traces", "farm-1", Trace("now", None, PROFILE)).to_json(),
    }
    rows = row(measured(BIG), "@gw0", **more), row(measured(SMALL, 3), "@gw1", **more)
    run = replace(saved(*rows), failed=frozenset({"y"}), complete=False, commit="abc", dirty=True)
    sent = StoredRun.from_json(json.loads(json.dumps(run.condensed().to_json())))
    now = measured(machine, 1.2)
    assert judge(TEST, now, history_of([sent], TEST, now), Policy(), 2) == judge(
        TEST, now, history_of([run], TEST, now), Policy(), 2
    )
    assert history_of([sent], TEST, now).trace.profile == PROFILE
    assert pairs_of([sent], TEST, now) == [(Pair(0.1, 0.2),)]
    assert sent == run.condensed() != run


def test_single_rounds_are_not_sent():
    long = replace(SAMPLE, wall_s=(0.01,) * 1000, cpu_s=(0.01,) * 1000)
    short = replace(measured(BIG), samples=(long,)).condensed()
    assert len(json.dumps(short.to_json())) < 1500
    assert short.samples[0].calls_a_second == long.calls_a_second
