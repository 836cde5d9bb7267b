"""Several processes as one member of a ring: fakes of exact times."""

from dataclasses import replace

import pytest

from pytest_tfthreads.core.benchmark_record import BenchmarkRecord
from pytest_tfthreads.core.layout import Layout, Ready
from pytest_tfthreads.core.measurement import Sample
from pytest_tfthreads.engine import team as team_module
from pytest_tfthreads.engine.failure import Failure
from pytest_tfthreads.engine.interleaving import Ring, run_interleaved
from pytest_tfthreads.engine.measuring_process import Launched
from pytest_tfthreads.engine.order import ItemToRun, Order, PytestCall, SentOrder, Terms
from pytest_tfthreads.engine.reply import Reply
from pytest_tfthreads.engine.team import MemoryReadings, Team, TeamLaunched

TURN = 8
GB = 1 << 30
ORDER = Order(
    PytestCall(args=(), argv=("pytest",), invocation_dir="/", sys_path=()),
    ItemToRun("test_x.py::test_x", "/test_x.py", "::test_x"),
    Terms(intra=1, inter=1, cpu_count=2, instances=3),
)
PLENTY = MemoryReadings(taken=lambda pid: GB, left=lambda: 100 * GB)


def failed(message):
    return Reply("finished", reports=({"outcome": "failed", "longrepr": message, "sections": []},))


class FakeProcess:
    """Rounds of `round_s` in turns that begin together; `ends`: what it comes to, and when.

    `ends` is ("setting up" or a turn's number, its result).
    """

    cpu_count = 2

    def __init__(self, log, name, round_s=0.01, turns=3, ends=(None, None), states=(), flags=()):
        self.log, self.name, self.round_s, self.turns = log, name, round_s, turns
        self.ends_at, self.end = ends
        self.states, self.flags = states, flags
        self.result = None
        self.turn = 0
        self.is_abandoned = False
        self.pid = None

    def _come_to(self, end):
        self.result = end if isinstance(end, Failure) else Launched(self.sent, end, "")

    def set_up_on(self, cpus):
        self.log.append(("set up", self.name, cpus))
        self.pid = 100
        self.sent = SentOrder(ORDER, "fork", cpus, 0.0)
        if self.ends_at == "setting up":
            self._come_to(self.end)
            return None
        return Ready(1, self.round_s, 1.0)

    def send_on(self, cpus, layout):
        if self.result is None:
            self.log.append(("send", self.name, cpus))
            self.turn += 1

    @property
    def is_lost(self):
        return self.result is None and self.turn == self.ends_at

    def wait(self):
        if self.result is not None:
            return False
        self.log.append(("wait", self.name))
        if self.is_lost:
            self._come_to(self.end)
        elif self.turn == self.turns:
            self._come_to(self._measured())
        return self.result is None

    def _measured(self):
        rounds = self.turns * TURN
        clock = (self.round_s,) * rounds
        began_s = tuple(
            turn + place * self.round_s for turn in range(self.turns) for place in range(TURN)
        )
        sample = Sample(clock, clock, 1, 1, 0.1, 1, 0, 0, self.sent.cpus, ring=5, turn_rounds=TURN)
        benchmark = BenchmarkRecord(clock, 1, None, {}, {})
        return Reply(
            "finished",
            sample=sample,
            benchmark=benchmark,
            began_s=began_s,
            states=self.states,
            flags=self.flags,
        )

    def abandon(self):
        self.is_abandoned = True
        self.pid = None


@pytest.fixture
def log():
    return []


@pytest.fixture(autouse=True)
def _at_rest(monkeypatch, log):
    monkeypatch.setattr(team_module, "wait_for_all", lambda processes: log.append(("all",)))


def team_sets(instances, size, place):
    return tuple(
        tuple((place + nth * size + one) % 8 for one in range(size)) for nth in range(instances)
    )


def run(processes, readings=PLENTY):
    team = Team(processes, readings)
    run_interleaved([team], Ring(TURN), team_sets)
    assert all(process.is_abandoned for process in processes)
    return team.result


def test_all_are_set_up_one_by_one_and_sent_on_before_any_is_waited_for(log):
    run([FakeProcess(log, name, turns=2) for name in "abc"])
    assert log == [
        ("set up", "a", (0, 1)),
        ("set up", "b", (2, 3)),
        ("set up", "c", (4, 5)),
        *(("send", "a", (0, 1)), ("send", "b", (2, 3)), ("send", "c", (4, 5)), ("all",)),
        *(("wait", "a"), ("wait", "b"), ("wait", "c")),
        # All sets move on together.
        *(("send", "a", (1, 2)), ("send", "b", (3, 4)), ("send", "c", (5, 6)), ("all",)),
        *(("wait", "a"), ("wait", "b"), ("wait", "c")),
    ]


def test_what_all_have_measured_is_one_sample(log):
    first = FakeProcess(log, "a", 0.01, states=({"of": "a"},), flags=("unsettled",))
    second = FakeProcess(log, "b", 0.02, states=({"of": "b"},), flags=("unsettled", "retraced"))
    result = run([first, second])
    assert isinstance(result, TeamLaunched)
    assert result.reply.sample.calls_a_second == pytest.approx(150)
    assert (result.reply.sample.ring, result.reply.sample.turn_rounds) == (5, 1)
    assert result.reply.benchmark == first.result.reply.benchmark
    assert result.reply.states == ({"of": "a"}, {"of": "b"})
    assert result.reply.flags == ("unsettled", "retraced")
    assert result.cpus == ((0, 1), (2, 3))
    assert result.imbalance == pytest.approx(0.5)
    assert set(result.call_s) == {0.01, 0.02}
    assert result.max_pss_bytes == 2 * GB


def test_its_rounds_are_agreed_upon_as_those_of_its_slowest_instance(log):
    team = Team([FakeProcess(log, "a", 0.01), FakeProcess(log, "b", 0.03)], PLENTY)
    assert team.set_up(lambda instances, size: team_sets(instances, size, 0)) == Ready(1, 0.03, 1.0)


@pytest.mark.parametrize("when", ["setting up", 2])
def test_one_that_fails_ends_all_and_says_which_it_was(log, when):
    crash = Failure("crashed", "The measuring process was killed by SIGSEGV.")
    processes = [
        FakeProcess(log, "a"),
        FakeProcess(log, "b", ends=(when, crash)),
        FakeProcess(log, "c"),
    ]
    result = run(processes)
    assert str(result).startswith("crashed: instance 2 of 3: The measuring process was killed")
    assert result.is_by_test
    if when == 2:  # explained before the others, which may go on for long, are waited for
        assert log[-1] == ("wait", "b")


def test_a_test_that_fails_in_one_instance_is_reported_as_that_one_s(log):
    result = run([FakeProcess(log, "a"), FakeProcess(log, "b", ends=(2, failed("AssertionError")))])
    assert result.reply.sample is None
    assert result.reply.reports[0]["sections"] == [["tf_threads", "instance 2 of 2"]]


def test_a_test_that_fails_after_it_has_measured(log):
    one, other = FakeProcess(log, "a"), FakeProcess(log, "b")
    measured = other._measured

    def fails():
        return replace(measured(), reports=failed("late").reports)

    other._measured = fails
    result = run([one, other])
    assert not isinstance(result, TeamLaunched)
    assert result.reply.reports[0]["sections"] == [["tf_threads", "instance 2 of 2"]]


def test_a_test_that_measures_nothing_is_run_once(log):
    passed = Reply("finished", reports=({"outcome": "passed"},))
    result = run([FakeProcess(log, "a", ends=("setting up", passed)), FakeProcess(log, "b")])
    assert result.reply == passed
    assert [entry[:2] for entry in log] == [("set up", "a")]


def test_where_memory_is_too_little_no_other_instance_is_started(log):
    processes = [FakeProcess(log, name) for name in "abc"]
    result = run(processes, MemoryReadings(private=lambda pid: 2 * GB, left=lambda: 3 * GB))
    assert result.kind == "too-little-memory"
    assert not result.is_by_test
    for figure in (
        "has 2,048 MiB of its own",
        "other 2 would take 4,096 MiB",
        "3,072 MiB are left",
    ):
        assert figure in result.message
    assert [entry[:2] for entry in log] == [("set up", "a")]


@pytest.mark.parametrize("readings", [(None, GB), (GB, None), (GB, 2 * GB)])
def test_memory_that_suffices_or_is_not_told_stops_nobody(log, readings):
    taken, left = readings
    result = run(
        [FakeProcess(log, name) for name in "abc"],
        MemoryReadings(taken=lambda pid: taken, private=lambda pid: taken, left=lambda: left),
    )
    assert isinstance(result, TeamLaunched)
    assert result.max_pss_bytes == (None if taken is None else 3 * taken)


def test_instances_that_were_never_at_work_at_once_measured_nothing(log):
    one, other = FakeProcess(log, "a", turns=1), FakeProcess(log, "b", turns=1)
    measured = other._measured

    def later():
        reply = measured()
        return replace(reply, began_s=tuple(at + 0.5 for at in reply.began_s))

    other._measured = later
    assert run([one, other]).kind == "never-together"


@pytest.mark.parametrize(("round_s", "flags"), [(0.0012, ("brief-turns",)), (0.0013, ())])
def test_instances_that_are_at_work_together_for_a_moment_only_are_flagged(log, round_s, flags):
    """A turn has eight rounds, and counts from 10 ms on."""
    result = run([FakeProcess(log, name, round_s) for name in "ab"])
    assert result.reply.flags == flags


def test_a_team_takes_turns_with_a_single_process(log):
    class Single:
        turns = 0

        def set_up(self, sets):
            self.cpus = [sets(1, 2)]
            return Ready(1, 0.01, 1.0)

        def take_turn(self, sets, layout):
            assert layout == Layout(1, 100)
            self.cpus.append(sets(1, 2))
            self.turns += 1
            return self.turns < 3

        def abandon(self):
            pass

    single = Single()
    team = Team([FakeProcess(log, name) for name in "ab"], PLENTY)
    run_interleaved([team, single], Ring(TURN), team_sets)
    assert isinstance(team.result, TeamLaunched)
    assert single.turns == 3
