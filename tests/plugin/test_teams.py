"""Several instances of a configuration at once, in real processes."""

import json
import os
from functools import partial

import pytest

from pytest_tfthreads.cli import main
from pytest_tfthreads.engine.team import MemoryReadings, Team
from pytest_tfthreads.runner import executor

SHORT = "--benchmark-max-time=0.05"
NUMBER = """
import json, os, time

number = int(os.environ.get("PYTEST_TFTHREADS_PROCESS", 0))

def log(name, value):
    with open(f"{name}-{number}", "w") as file:
        json.dump(value, file)
"""


def logs(suite, name):
    """What each process wrote, in the order of their numbers."""
    files = sorted(suite.path.glob(f"{name}-*"), key=lambda file: int(file.name.split("-")[-1]))
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_instances_have_cpus_of_their_own_and_move_on_together(suite, capsys):
    suite.write(
        NUMBER
        + """
from exact_time import sleep

@pytest.mark.tf_threads(1, 1, instances=[1, 2])
def test_pinned(benchmark, tmp_path):
    cpus = []
    def work():
        sleep(0.02)
        cpus.append(sorted(os.sched_getaffinity(0)))
    benchmark.pedantic(work, rounds=32)
    log("pinned", [cpus, str(tmp_path)])

@pytest.mark.tf_threads(1, 1, instances=2)
def test_nothing(tf_threads):
    log("nothing", number)
"""
    )
    result, found = suite.results("-v")
    result.assert_outcomes(passed=3, warnings=1)
    logged = logs(suite, "pinned")
    assert len({path for _, path in logged}) == 3
    # The last is the second instance of one of two members.
    for cpus, _ in logged:
        assert len(cpus) == 32
        assert {len(one) for one in cpus} == {1}
        assert len({*map(tuple, cpus)}) > 1, "it moves on"
    # A call of one instance is made in the same turn as that of the other with its number.
    second = [cpus for cpus, _ in logged][-1]
    disjoint = [
        all(set(one).isdisjoint(other) for one, other in zip(cpus, second, strict=True))
        for cpus, _ in logged[:-1]
    ]
    assert any(disjoint)
    team = found["test_pinned[intra1-inter1-x2]"]["extra_info"]["tf_threads"]
    assert team["instances"] == 2
    assert not set(team["instance_cpus"][0]) & set(team["instance_cpus"][1])
    assert team["max_pss_bytes"] > 1 << 20
    assert team["latency"]["median_s"] <= team["latency"]["p99_s"]
    (sample,) = team["processes"]
    # On a busy machine the two may miss each other in a turn.
    assert len(sample["wall_s"]) + len(sample["turns_missed"]) == 4
    assert (sample["iterations"], sample["turn_rounds"]) == (16, 1)
    assert len(logs(suite, "nothing")) == 1
    result.stdout.fnmatch_lines(
        [
            "*PytestWarning: a test that measures nothing runs in one process, *instances*",
            "Test * Instances  CPUs *",
            "test_pinned*-x1[]] * 1×1 * 1 * 1 *",
            "test_pinned*-x2[]] * 1×1 * 2 * 2 *",
            "Of several instances * A call, median * 99th percentile *",
            "test_pinned*-x2[]] * MiB",
            "*for cpus in * taskset -c *",
        ]
    )
    # What the saved file says of the three answers, and what is deployed of them.
    (sweep,) = json.loads((suite.path / "out.json").read_text())["tf_threads"]["sweeps"]
    advice = sweep["recommendation"]
    figures = {
        one.removeprefix("test_pinned[").removesuffix("]"): row["extra_info"]["tf_threads"]
        for one, row in found.items()
    }
    calls_a_second = {one: figures[one]["throughput"]["value"] for one in figures}
    assert advice["front"][0] == max(calls_a_second, key=calls_a_second.__getitem__)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ending:
        main(["recommend", "out.json", "--format=json"])
    assert ending.value.code in (None, 0)
    deployed = json.loads(capsys.readouterr().out)
    best = figures[advice["best"]]
    assert [one["cpus"] for one in deployed["instances"]] == best.get(
        "instance_cpus", [best["cpus"]]
    )


def test_the_instance_that_fails_is_named_and_none_is_left(suite):
    suite.write(
        NUMBER
        + """
def work():
    work.calls += 1
    if number > 1 and work.calls > 20:
        work.fail()

work.calls = 0

def pedantic(benchmark):
    log(f"pid-{benchmark.name}", os.getpid())
    benchmark.pedantic(work, rounds=60)

team = pytest.mark.tf_threads(1, 1, instances=2)

@team
def test_crash(benchmark):
    work.fail = os.abort
    pedantic(benchmark)

@pytest.mark.tf_threads(1, 1, instances=2, timeout=15)
def test_hang(benchmark):
    work.fail = lambda: time.sleep(1000)
    pedantic(benchmark)

@team
def test_raise(benchmark):
    work.fail = lambda: 1 / 0
    pedantic(benchmark)

@team
def test_late(benchmark):
    benchmark.pedantic(lambda: None, rounds=16)
    assert number == 1, "only the first"

@team
def test_skip(benchmark):
    if number > 1:
        pytest.skip("the second is not for this")
    benchmark.pedantic(lambda: None, rounds=16)
"""
    )
    result, found = suite.results(SHORT)
    result.assert_outcomes(failed=4, skipped=1)
    assert found == {}
    result.stdout.fnmatch_lines(
        [
            "crashed: instance 2 of 2: *SIGABRT*",
            "timed-out: instance 2 of 2: *",
            "E *ZeroDivisionError*",
            "instance 2 of 2",
            "E *only the first*",
            "instance 2 of 2",
        ]
    )
    pids = logs(suite, "pid")
    assert len(pids) == 6
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_instances_that_do_not_fit_into_memory_are_not_started(suite, monkeypatch):
    suite.write(
        NUMBER
        + """
@pytest.mark.tf_threads(1, 1, instances=3)
def test_large(benchmark):
    log("large", number)
    benchmark.pedantic(lambda: None, rounds=16)
"""
    )
    readings = MemoryReadings(private=lambda pid: 3 << 30, left=lambda: 5 << 30)
    monkeypatch.setattr(executor, "Team", partial(Team, readings=readings))
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["too-little-memory: 3 instances do not fit into memory: *"])
    assert len(logs(suite, "large")) == 1
