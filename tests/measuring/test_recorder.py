"""The clock and the warm-up, with calls of exact durations."""

import inspect
import itertools
import math
from types import SimpleNamespace

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pytest_tfthreads.core.layout import Layout, agree
from pytest_tfthreads.measuring.recorder import Recorder
from pytest_tfthreads.measuring.reference import Reference, UnavailableError
from pytest_tfthreads.measuring.steering import CalibrationPrecision, RoundPlan, WarmUp
from pytest_tfthreads.system.originals import ORIGINALS


class Clock:
    """Time that passes only when told to."""

    def __init__(self, monkeypatch):
        self.wall_s = 0.0
        self.cpu_s = 0.0
        monkeypatch.setattr(ORIGINALS, "perf_counter", lambda: self.wall_s)
        monkeypatch.setattr(ORIGINALS, "process_time", lambda: self.cpu_s)

    def pass_by(self, wall_s, cpu_s=None):
        self.wall_s += wall_s
        self.cpu_s += wall_s if cpu_s is None else cpu_s


class Watch:
    def __init__(self):
        self.calls = []
        self.traced = False

    def warm_up(self):
        self.calls.append("warm_up")

    def measure(self):
        self.calls.append("measure")

    def retraced(self):
        return self.traced


class FakeTurns:
    """Others who take turns: `layout` is what the group agrees on, instead of what one proposes."""

    def __init__(self):
        self.proposed = None
        self.layout = None
        self.own_rounds = 0
        self.rounds = 0
        self.rounds_a_turn = 2

    def ready(self, ready):
        self.proposed = ready
        return self.layout or agree([ready])

    def ready_for_own_rounds(self):
        self.own_rounds += 1

    def ends_with_this_round(self):
        return (self.rounds + 1) % self.rounds_a_turn == 0

    def round_over(self):
        self.rounds += 1


class FakeMeter:
    """Notes which rounds are its turns'."""

    def __init__(self, turns):
        self.calls = []
        self._turns = turns

    def begin(self):
        self.calls.append(("begin", self._turns.rounds))

    def round_over(self, ends_turn):
        self.calls.append(("ends" if ends_turn else "goes on", self._turns.rounds))


class Work:
    """A reference workload of an exact duration; `at_rounds`: after which rounds it ran."""

    def __init__(self, clock, turns):
        self.at_rounds = []
        self.call_s = 0.001
        self._clock = clock
        self._turns = turns

    def __call__(self):
        self._clock.pass_by(self.call_s, 2 * self.call_s)
        if self._turns.rounds + 1 not in self.at_rounds:
            self.at_rounds.append(self._turns.rounds + 1)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def turns():
    return FakeTurns()


@pytest.fixture
def work(clock, turns):
    return Work(clock, turns)


@pytest.fixture
def reference(work):
    return Reference(work)


@pytest.fixture
def meter(turns):
    return FakeMeter(turns)


@pytest.fixture
def recorder(clock, watch, turns, reference, meter):
    recorder = Recorder(watch, turns, reference, meter)
    recorder.beside(ORIGINALS.perf_counter)
    return recorder


PLAN = RoundPlan(min_round_s=0.005, budget_s=1.0)


def call(recorder, clock, wall_s, cpu_s=None):
    recorder()
    clock.pass_by(wall_s, cpu_s)
    recorder()


def benchmark(recorder, clock, durations_s, plan=PLAN, min_rounds=5):
    """pytest-benchmark's own fixture on a function of exact durations: (iterations, rounds)."""
    recorder.steer(plan)
    collected = []
    options = {
        "node": SimpleNamespace(name="test", nodeid="test", _nodeid="test"),
        "disable_gc": False,
        "timer": SimpleNamespace(target=recorder),
        "min_rounds": min_rounds,
        "min_time": plan.min_round_s,
        "max_time": plan.max_time_s,
        "precision": None,
        "confidence": None,
        "warmup": True,
        "warmup_iterations": WarmUp(recorder),
        "calibration_precision": CalibrationPrecision(recorder),
        "add_stats": collected.append,
        "logger": SimpleNamespace(debug=lambda *_, **__: None),
        "warner": None,
        "disabled": False,
        "cprofile": None,
        "cprofile_loops": None,
        "cprofile_dump": None,
    }
    known = inspect.signature(BenchmarkFixture).parameters
    fixture = BenchmarkFixture(**{name: options[name] for name in known if name in options})
    # It tries out how fine the timer is; a clock that stands still would hold it up.
    fixture._get_precision = lambda timer: min(timer() for _ in range(7)) + 1e-6
    durations = iter(durations_s)
    fixture(lambda: clock.pass_by(next(durations)))
    (metadata,) = collected
    return metadata.iterations, len(metadata.stats.data)


@pytest.mark.parametrize(
    ("call_s", "warmup_calls", "iterations", "rounds"),
    [
        (0.0001, 5000, 50, 200),
        (0.0013, 385, 4, 192),
        (0.004, 125, 2, 125),
        (0.006, 84, 1, 167),
        (0.03, 50, 1, 33),
        (0.1, 30, 1, 10),
        (0.4, 8, 1, 5),
        (2.0, 3, 1, 5),
        (20.0, 2, 1, 5),
    ],
)
def test_steady_functions(recorder, clock, call_s, warmup_calls, iterations, rounds):
    assert benchmark(recorder, clock, itertools.repeat(call_s)) == (iterations, rounds)
    assert recorder.warmup_calls == pytest.approx(warmup_calls, abs=3)
    assert recorder.all_flags() == (["unsettled"] if warmup_calls < 3 else [])
    walls, _ = recorder.rounds(rounds)
    assert walls == pytest.approx([call_s * iterations] * rounds)


def test_who_else_runs_is_asked_in_own_turns_alone(recorder, clock, meter):
    benchmark(recorder, clock, itertools.repeat(0.4), min_rounds=4)
    assert meter.calls == [
        ("begin", 0),
        ("goes on", 0),
        ("ends", 1),
        ("begin", 2),
        ("goes on", 2),
        ("ends", 3),
        ("begin", 4),
    ]


def test_first_call_that_traces_is_not_the_measure_of_the_others(recorder, clock):
    durations = itertools.chain([3.0], itertools.repeat(0.001))
    assert benchmark(recorder, clock, durations) == (5, 200)
    assert recorder.all_flags() == []


def test_short_waits_for_prefetched_elements_do_not_make_long_rounds(recorder, clock):
    durations = itertools.cycle([0.0, 0.0, 0.0, 0.0, 0.010])
    iterations, rounds = benchmark(recorder, clock, durations)
    assert iterations == 3
    assert rounds == pytest.approx(167, abs=3)


def test_shortest_calls_are_timed_by_the_round(recorder, clock, monkeypatch):
    reading_s = 1e-6

    def slow_clock():
        clock.wall_s += reading_s
        return clock.wall_s

    monkeypatch.setattr(ORIGINALS, "perf_counter", slow_clock)
    recorder.beside(slow_clock)
    iterations, rounds = benchmark(recorder, clock, itertools.repeat(1e-6))
    assert iterations * 1e-6 == pytest.approx(0.005, rel=0.15)
    assert rounds * iterations * 1e-6 == pytest.approx(1.0, rel=0.15)


def test_one_call_that_is_held_up_carries_no_weight(recorder, clock):
    durations = itertools.chain([1e-5] * 49_990, [0.010], itertools.repeat(1e-5))
    iterations, rounds = benchmark(recorder, clock, durations)
    assert iterations * rounds * 1e-5 == pytest.approx(1.0, rel=0.2)


def test_warm_up_goes_on_until_windows_agree(recorder, clock):
    falling = [0.02 * 0.97**step for step in range(80)]
    benchmark(recorder, clock, itertools.chain(falling, itertools.repeat(falling[-1])))
    assert recorder.warmup_calls > 80
    assert recorder.all_flags() == []


def test_warm_up_that_never_settles_ends_and_is_flagged(recorder, clock):
    growing = (0.001 * 1.01**step for step in itertools.count())
    _, rounds = benchmark(recorder, clock, growing, min_rounds=1)
    assert rounds >= 1
    assert recorder.all_flags() == ["unsettled"]


@pytest.mark.parametrize(("growth", "flags"), [(1.0, []), (1.01, ["unsettled"])])
def test_a_warm_up_that_is_cut_short_is_flagged_only_where_times_differ(
    recorder, clock, growth, flags
):
    plan = RoundPlan(min_round_s=0.005, budget_s=0.3, max_warmup_s=0.3)
    times = (0.001 * growth**step for step in itertools.count())
    benchmark(recorder, clock, times, plan, min_rounds=1)
    assert recorder.all_flags() == flags


def test_iterations_that_another_process_has_settled(recorder, clock):
    plan = RoundPlan(min_round_s=0.005, budget_s=1.0, iterations=7)
    assert benchmark(recorder, clock, itertools.repeat(0.001), plan) == (7, 143)


def test_the_users_budget(recorder, clock):
    plan = RoundPlan(min_round_s=0.02, budget_s=0.5, max_warmup_s=0.5)
    assert benchmark(recorder, clock, itertools.repeat(0.01), plan) == (2, 25)


def warm_up(recorder, clock):
    """A warm-up without a plan, as where the user has a timer of his own."""
    number = WarmUp(recorder)
    call(recorder, clock, 0.01)
    while number > 0:
        call(recorder, clock, 0.01)
    number / 1


def test_rounds_have_both_clocks(recorder, clock):
    warm_up(recorder, clock)
    for wall_s, cpu_s in ((9.0, 9.0), (1.0, 2.0), (3.0, 0.5)):
        call(recorder, clock, wall_s, cpu_s)
    walls, cpus = recorder.rounds(2)
    assert walls == pytest.approx((1.0, 3.0))
    assert cpus == pytest.approx((2.0, 0.5))
    assert recorder.warmup_calls == 50


def test_it_knows_when_rounds_began(recorder, clock):
    warm_up(recorder, clock)
    recorder.start_measuring()
    began_s = []
    for wall_s in (0.05, 0.3, 0.2):
        began_s.append(clock.wall_s)
        call(recorder, clock, wall_s)
        clock.pass_by(0.7)  # between rounds
    assert recorder.began_s(2) == pytest.approx(began_s[1:])


def test_retracing_while_measuring_is_flagged(recorder, clock, watch):
    watch.traced = True
    warm_up(recorder, clock)
    assert recorder.all_flags() == []
    call(recorder, clock, 1.0)
    watch.traced = False  # what the test does after its rounds is its own affair
    assert recorder.all_flags() == ["retraced"]


def test_own_timer_decides_what_pytest_benchmark_sees(recorder, clock):
    ticks = iter([10.0, 20.0])
    recorder.beside(lambda: next(ticks))
    assert recorder() == 10.0
    clock.pass_by(1.0)
    assert recorder() == 20.0
    assert recorder.rounds(1)[0] == (1.0,)


def test_group_agrees_on_the_layout(recorder, clock, turns):
    turns.layout = Layout(iterations=12, rounds=40)
    assert benchmark(recorder, clock, itertools.repeat(0.001)) == (12, 40)
    assert (turns.proposed.iterations, turns.proposed.budget_s) == (5, 1.0)
    assert turns.proposed.call_s == pytest.approx(0.001)


def test_each_measured_round_is_reported_and_nothing_else(recorder, clock, turns):
    _, rounds = benchmark(recorder, clock, itertools.repeat(0.006))
    assert turns.rounds == rounds
    assert turns.own_rounds == 0


def test_waiting_for_others_is_on_nobodys_time(recorder, clock, turns):
    turns.round_over = lambda: clock.pass_by(10.0, 0.1)
    _, rounds = benchmark(recorder, clock, itertools.repeat(0.006))
    assert recorder.rounds(rounds)[0] == pytest.approx([0.006] * rounds)
    assert recorder.rounds(rounds)[1] == pytest.approx([0.006] * rounds)


def test_own_timer_does_not_see_the_others_turns(recorder, clock, turns):
    own = [0.0]
    recorder.beside(lambda: own[0])
    warm_up(recorder, clock)
    assert turns.own_rounds == 1

    def others():
        own[0] += 100.0

    call(recorder, clock, 1.0)
    turns.round_over = others
    assert recorder() == 0.0
    own[0] += 1.0
    assert recorder() == 1.0


def test_pedantic_rounds_wait_for_their_turn(recorder, clock, turns):
    recorder.expect_own_rounds(lambda: True)
    turns.ready_for_own_rounds = lambda: clock.pass_by(50.0)
    for _ in range(3):
        call(recorder, clock, 1.0)
    assert turns.rounds == 3
    assert recorder.rounds(3)[0] == (1.0, 1.0, 1.0)


def test_reference_runs_where_turns_end_and_in_no_round(recorder, clock, turns, work, reference):
    _, rounds = benchmark(recorder, clock, itertools.repeat(0.006))
    assert work.at_rounds[:3] == [8, 16, 24]  # 48 ms of rounds, of turns of two
    walls, cpus = recorder.rounds(rounds)
    assert walls == pytest.approx([0.006] * rounds)
    assert cpus == pytest.approx([0.006] * rounds)
    assert reference.mean_s() == pytest.approx((0.001, 0.002))
    assert recorder.all_flags() == []


def test_reference_waits_for_no_end_of_a_long_turn(recorder, clock, turns, work):
    turns.rounds_a_turn = 32
    benchmark(recorder, clock, itertools.repeat(0.006))
    assert work.at_rounds[:4] == [14, 28, 32 + 10, 32 + 24]


def test_reference_of_an_instance_waits_for_the_end_of_every_turn(work, clock):
    """Before it, other instances may be at their rounds."""
    reference = Reference(work, math.inf)
    for rounds in range(20):
        reference.round_over(0.5, ends_turn=rounds == 9)
    assert reference.mean_s() is None  # measured too seldom for 10 s
    assert clock.wall_s == pytest.approx(12 * work.call_s)


def test_reference_between_long_rounds(recorder, clock, work, reference):
    _, rounds = benchmark(recorder, clock, itertools.repeat(0.1))
    assert work.at_rounds == list(range(1, rounds + 1))
    assert reference.mean_s() is not None


def test_reference_under_pedantic_and_an_own_timer(recorder, clock, work, reference):
    recorder.beside(lambda: 0.0)
    recorder.expect_own_rounds(lambda: True)
    for _ in range(40):
        call(recorder, clock, 0.02)
    assert work.at_rounds[:2] == [2, 4]
    assert reference.mean_s() == pytest.approx((0.001, 0.002))


def test_reference_that_cannot_run_is_flagged_and_tried_no_more(recorder, clock, reference, work):
    tried = []

    def fail():
        tried.append(True)
        if len(tried) > 20:
            raise UnavailableError

    reference._work = fail
    benchmark(recorder, clock, itertools.repeat(0.006))
    assert reference.mean_s() is None
    assert len(tried) == 21
    assert recorder.all_flags() == ["no-reference"]


def test_what_the_reference_raises_else_is_the_tests(recorder, clock, reference):
    def alarm():
        raise TimeoutError

    reference._work = alarm
    with pytest.raises(TimeoutError):
        benchmark(recorder, clock, itertools.repeat(0.006))


@pytest.mark.parametrize(
    ("rounds", "round_s"), [(5, 0.04), (2, 0.09), (12, 0.3)], ids=["few", "short", "far-apart"]
)
def test_too_few_calls_are_no_reference(reference, rounds, round_s):
    for _ in range(rounds):
        reference.round_over(round_s, ends_turn=False)
    assert reference.mean_s() is None


def test_reference_weighs_by_rounds_not_by_time(reference, work):
    """A machine at half its speed for half of the rounds, which is two thirds of the time."""
    for slowness in [1, 2] * 10:
        work.call_s = 0.001 * slowness
        for _ in range(40):
            reference.round_over(0.005 * slowness, ends_turn=False)
    wall_s, cpu_s = reference.mean_s()
    assert wall_s == pytest.approx(0.0015, rel=0.03)
    assert cpu_s == pytest.approx(0.003, rel=0.03)


def test_clock_that_stands_still_in_the_reference_is_no_reference(reference, work):
    work.call_s = 0.0
    for _ in range(20):
        reference.round_over(0.1, ends_turn=True)
    assert reference.mean_s() is None
