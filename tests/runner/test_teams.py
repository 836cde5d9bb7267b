"""Several instances of a configuration, from the marker to the results; no process runs."""

import contextlib
from types import SimpleNamespace

import pytest

from pytest_tfthreads import __version__
from pytest_tfthreads.engine.interleaving import Ring
from pytest_tfthreads.runner.executor import Batch, Job, ProcessExecutor
from pytest_tfthreads.runner.orders import Orders
from pytest_tfthreads.system.machine import Machine
from pytest_tfthreads.xdist_bridge.briefing import Briefing

SUITE = """
@pytest.mark.tf_threads(1, 1, instances=[1, 2])
def test_it(benchmark): pass
"""
EIGHT = tuple((cpu, str(cpu)) for cpu in range(8))  # CPUs, each with a core of its own


def test_each_instance_has_an_order_and_what_is_its_own(scripted):
    scripted.write(SUITE)
    scripted.run(processes=2).assert_outcomes(passed=2)
    first, second = scripted.executor.batches
    counts = sorted(len(job.orders) for job in first.jobs)
    assert counts == [1, 2]
    terms = [order.terms for job in first.jobs for order in job.orders]
    assert len({one.process for one in terms}) == 3
    assert len({one.serial for one in terms}) == 3
    assert {one.ring for one in terms} == {0}
    assert {
        (len(job.orders), order.terms.instances) for job in first.jobs for order in job.orders
    } == {
        (1, 1),
        (2, 2),
    }
    # The ends of a turn are lost where instances have to be at work at once.
    assert {one.rounds_a_turn for one in terms} == {8}
    # Calls a round are as settled before, not as many as all instances make in a turn.
    assert {job.order.terms.iterations for job in second.jobs} == {1}


def test_a_ring_of_single_processes_is_as_before(scripted):
    scripted.write(SUITE.replace("[1, 2]", "1").replace("(1, 1", "([1, 2], 1"))
    scripted.run().assert_outcomes(passed=2)
    (batch,) = scripted.executor.batches
    assert {job.order.terms.rounds_a_turn for job in batch.jobs} == {2}
    assert all(not job.others for job in batch.jobs)


def test_what_is_recorded_of_a_team(scripted):
    scripted.write(SUITE)
    scripted.run(processes=2).assert_outcomes(passed=2)
    rows = {one["name"]: one["extra_info"]["tf_threads"] for one in scripted.saved["benchmarks"]}
    alone, team = rows["test_it[intra1-inter1-x1]"], rows["test_it[intra1-inter1-x2]"]
    assert "instances" not in alone
    assert team["instances"] == 2
    assert team["instance_cpus"] == [[0], [1]]
    assert team["latency"] == {"median_s": 0.01, "p99_s": 0.01, "calls_a_round": 1}
    assert team["imbalance"] == pytest.approx(0.1)
    assert team["max_pss_bytes"] == 1 << 30
    assert team["throughput"]["value"] == pytest.approx(4 * alone["throughput"]["value"])
    # What one process would be granted is each instance's.
    assert team["utilization"] == pytest.approx(0.5)


def test_with_a_debugger_one_instance_runs_and_nothing_is_recorded(scripted):
    scripted.write(SUITE)
    scripted.run("--pdb").assert_outcomes(passed=2)
    assert all(not job.others for batch in scripted.executor.batches for job in batch.jobs)
    assert [one["name"] for one in scripted.saved["benchmarks"]] == ["test_it[intra1-inter1-x1]"]


def test_processes_of_all_workers_have_numbers_of_their_own():
    """By which tests choose ports: no two processes that are alive at once may have the same."""
    numbers = []
    for worker in range(3):
        config = SimpleNamespace(workerinput={"workercount": 3}, stash=pytest.Stash())
        Briefing(__version__, 1, worker, True, 1, None, None).send_to(config)
        orders = Orders(config, SimpleNamespace(group=4), None, None)
        numbers += [orders._number(place, nth) for place in range(4) for nth in range(5)]
    assert len(set(numbers)) == len(numbers)
    alone = Orders(SimpleNamespace(stash=pytest.Stash()), SimpleNamespace(group=4), None, None)
    assert [alone._number(place) for place in range(4)] == [1, 2, 3, 4]


@pytest.mark.parametrize("quota", [None, 1.5])
def test_instances_that_use_more_than_the_quota_together_are_flagged(scripted, monkeypatch, quota):
    machine = Machine("x", EIGHT, quota)
    monkeypatch.setattr(Machine, "read", lambda: machine)
    scripted.write(SUITE)
    scripted.run().assert_outcomes(passed=2)
    flagged = {
        one["name"]: "quota" in one["extra_info"]["tf_threads"]["flags"]
        for one in scripted.saved["benchmarks"]
    }
    assert flagged == {
        "test_it[intra1-inter1-x1]": False,
        "test_it[intra1-inter1-x2]": quota is not None,
    }


class FreeLeases:
    """Nobody else has CPUs; `offered` are those of the latest lease."""

    @contextlib.contextmanager
    def packed(self, purpose, count, cpus):
        self.offered = cpus
        yield cpus[:count]


def packing(machine, leases):
    return ProcessExecutor(None, SimpleNamespace(pack=True), machine, None, leases, None)


def batch_of(cpus, *others):
    """Jobs with so many CPUs for each process, and so many other instances."""
    order = SimpleNamespace(
        terms=SimpleNamespace(cpu_count=cpus), call=SimpleNamespace(interactive=False)
    )
    jobs = tuple(Job(order, None, None, None, others=(order,) * n) for n in others)
    return Batch(jobs, Ring(8), "a test", 1)


def test_where_runs_are_packed_the_cpus_of_all_instances_are_leased():
    processes = packing(Machine("x", EIGHT, None), FreeLeases())
    with processes._leased(batch_of(2, 0, 2)) as leased:
        assert len(leased.core_of) == 6
        sets = leased.team_sets(3, 2, 0)
    assert len({cpu for cpus in sets for cpu in cpus}) == 6


@pytest.mark.parametrize(
    ("quota", "cpus", "offered"), [(None, 1, 8), (2, 1, 2), (2.5, 1, 2), (2.5, 3, 3), (0.5, 1, 1)]
)
def test_where_runs_are_packed_all_together_use_no_more_than_the_quota(quota, cpus, offered):
    leases = FreeLeases()
    for _ in range(2):  # all processes of this host get the same ones
        with packing(Machine("x", EIGHT, quota), leases)._leased(batch_of(cpus, 0)) as leased:
            assert len(leased.core_of) == cpus
        first = leases.offered[0]
        assert first % offered == 0
        assert leases.offered == tuple(range(first, first + offered))


def test_containers_that_share_a_machine_do_not_all_begin_at_the_same_cpu(monkeypatch):
    firsts = set()
    for name in (f"{number:012x}" for number in range(20)):
        monkeypatch.setattr("platform.node", lambda name=name: name)
        leases = FreeLeases()
        with packing(Machine("x", EIGHT, 2), leases)._leased(batch_of(1, 0)):
            firsts.add(leases.offered[0])
    assert firsts == {0, 2, 4, 6}
