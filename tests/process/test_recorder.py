"""The clock and the warm-up, with calls of exact durations."""

import pytest

from pytest_tfthreads.measuring import recorder as recorder_module
from pytest_tfthreads.measuring.recorder import Recorder, WarmUp


class Clock:
    """Time that passes only when told to."""

    def __init__(self, monkeypatch):
        self.wall_s = 0.0
        self.cpu_s = 0.0
        monkeypatch.setattr(recorder_module, "perf_counter", lambda: self.wall_s)
        monkeypatch.setattr(recorder_module, "process_time", lambda: self.cpu_s)

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


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def recorder(clock, watch):
    recorder = Recorder(watch)
    recorder.beside(recorder_module.perf_counter)
    return recorder


def call(recorder, clock, wall_s, cpu_s=None):
    recorder()
    clock.pass_by(wall_s, cpu_s)
    recorder()


def warm_up(recorder, clock, durations_s):
    """As pytest-benchmark does: one call, then more as long as the number is not reached."""
    number = WarmUp(recorder)
    for _ in range(7):  # it tries the timer's precision first
        recorder()
    durations = iter(durations_s)
    call(recorder, clock, next(durations))
    calls = 1
    while calls < number:
        call(recorder, clock, next(durations))
        calls += 1
    number / 10  # noqa: B018 - what pytest-benchmark does when rounds begin
    return calls


def test_warm_up_of_a_steady_function_takes_half_a_second(recorder, clock):
    assert warm_up(recorder, clock, [0.001] * 2000) == pytest.approx(501, abs=1)
    assert recorder.all_flags() == []


def test_warm_up_of_a_slow_function_takes_50_calls(recorder, clock):
    assert warm_up(recorder, clock, [0.1] * 2000) == 50


def test_warm_up_goes_on_until_windows_agree(recorder, clock):
    falling = [0.1 * 0.97**step for step in range(150)]
    calls = warm_up(recorder, clock, [*falling, *[falling[-1]] * 1000])
    assert calls > 150


def test_warm_up_that_pytest_benchmark_ends_is_flagged(recorder, clock, watch):
    number = WarmUp(recorder)
    call(recorder, clock, 0.001)
    assert 0 < number
    number / 1  # noqa: B018
    assert recorder.all_flags() == ["unsettled"]
    assert watch.calls == ["warm_up", "measure"]


def test_rounds_have_both_clocks(recorder, clock):
    warm_up(recorder, clock, [0.001] * 2000)
    for wall_s, cpu_s in ((9.0, 9.0), (1.0, 2.0), (3.0, 0.5)):
        call(recorder, clock, wall_s, cpu_s)
    walls, cpus = recorder.rounds(2)
    assert walls == pytest.approx((1.0, 3.0))
    assert cpus == pytest.approx((2.0, 0.5))
    assert recorder.warmup_calls == pytest.approx(501, abs=1)


def test_retracing_while_measuring_is_flagged(recorder, clock, watch):
    watch.traced = True
    warm_up(recorder, clock, [0.001] * 2000)
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
