"""Who else was running, with kernels made of files and clocks that pass only when told to."""

import shutil

import pytest

from pytest_tfthreads.measuring import contention as contention_module
from pytest_tfthreads.measuring.contention import EVERY_S, ContentionMeter
from pytest_tfthreads.system.cpu_counters import TICK_S
from pytest_tfthreads.system.originals import ORIGINALS


class Kernel:
    """Two CPUs of a machine; other programs run on the first."""

    def __init__(self, root, monkeypatch):
        self.root = root
        self.wall_s = self.cpu_s = 100.0
        self.busy_s = self.stolen_s = 0.0
        self.waiting_s = 5.0
        self.delays_s = {}
        self.hidden = set()
        monkeypatch.setattr(ORIGINALS, "perf_counter", lambda: self.wall_s)
        monkeypatch.setattr(ORIGINALS, "process_time", lambda: self.cpu_s)
        monkeypatch.setattr(ORIGINALS, "sched_getaffinity", lambda pid: {0, 1})

    def run(self, wall_s, own=0.0, others=0.0, stolen=0.0, waiting=0.0, **delays):
        """Time passes; shares of one CPU, and of each thread's time."""
        self.wall_s += wall_s
        self.cpu_s += own * wall_s
        self.busy_s += (own + others) * wall_s
        self.stolen_s += stolen * wall_s
        self.waiting_s += waiting * wall_s
        for thread, share in delays.items():
            self.delays_s[thread] = self.delays_s.get(thread, 0.0) + share * wall_s
        self.write()

    def write(self):
        proc = self.root / "proc"
        shutil.rmtree(proc, ignore_errors=True)
        busy, stolen = round(self.busy_s / TICK_S), round(self.stolen_s / TICK_S)
        files = {
            "stat": f"cpu0 {busy} 0 0 5 0 0 0 {stolen} 0 0\ncpu1 0 0 0 5 0 0 0 0 0 0\n",
            "pressure/cpu": f"some avg10=0.00 total={round(self.waiting_s * 1e6)}\n",
        }
        for thread, delay_s in self.delays_s.items():
            files[f"self/task/{thread[1:]}/schedstat"] = f"1 {round(delay_s * 1e9)} 1\n"
        for name, text in files.items():
            if name.split("/")[0] not in self.hidden:
                (proc / name).parent.mkdir(parents=True, exist_ok=True)
                (proc / name).write_text(text)


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    return Kernel(tmp_path, monkeypatch)


def shares(found):
    return (
        found.runqueue_share,
        found.others_share,
        found.steal_share,
        found.pressure_share,
    )


def measured(kernel, *turns):
    """Turns of a second, each with a second before in which others have theirs."""
    meter = ContentionMeter(kernel.root)
    for turn in turns:
        kernel.run(1.0, others=2.0, stolen=1.0, waiting=1.0, t1=0.0)
        meter.begin()
        kernel.run(0.5, **turn)
        meter.round_over(ends_turn=False)
        kernel.run(0.5, **turn)
        meter.round_over(ends_turn=True)
    return meter.contention()


def test_own_turns_alone_count(kernel):
    turn = {"own": 1.2, "others": 0.6, "stolen": 0.2, "waiting": 0.7, "t1": 0.1, "t2": 0.5}
    found = measured(kernel, turn, turn, turn)
    assert shares(found) == pytest.approx((0.3, 0.3, 0.1, 0.7), abs=0.01)


def test_what_was_before_the_first_turn_does_not_count(kernel):
    kernel.run(50.0, others=1.0, waiting=1.0, t1=1.0)
    found = measured(kernel, {"own": 1.0, "t1": 0.0})
    assert shares(found) == pytest.approx((0.0, 0.0, 0.0, 0.0), abs=0.001)


def test_threads_that_come_and_go(kernel):
    meter = ContentionMeter(kernel.root)
    kernel.run(1.0, t1=0.0, t2=1.0)
    meter.begin()
    kernel.run(2 * EVERY_S, t1=0.5, t2=0.5)
    meter.round_over(ends_turn=False)
    del kernel.delays_s["t2"]  # it ends, and the id is another thread's
    kernel.run(2 * EVERY_S, t1=0.5, t2=0.5, t3=1.0)
    meter.round_over(ends_turn=False)
    del kernel.delays_s["t3"]
    kernel.run(2 * EVERY_S, t1=0.5)
    meter.round_over(ends_turn=True)
    waited = 1.0 + 2.0 + 0.5
    assert meter.contention().runqueue_share == pytest.approx(waited / (3 * 2))


def test_short_turns_read_the_machine_each_and_the_threads_seldom(kernel, monkeypatch):
    read = contention_module.run_queue_delays_s
    readings = []
    monkeypatch.setattr(
        contention_module, "run_queue_delays_s", lambda root: readings.append(1) or read(root)
    )
    meter = ContentionMeter(kernel.root)
    turns = 50
    for _ in range(turns):
        kernel.run(1.0, others=2.0, t1=0.0)
        meter.begin()
        kernel.run(0.01, own=1.0, others=1.0, t1=0.5)
        meter.round_over(ends_turn=True)
    found = meter.contention()
    assert found.others_share == pytest.approx(0.5, abs=0.02)
    assert found.runqueue_share == pytest.approx(0.25)
    assert len(readings) <= 1 + turns * 0.01 / EVERY_S


def test_what_the_test_does_after_its_rounds_does_not_count(kernel):
    meter = ContentionMeter(kernel.root)
    kernel.run(1.0, t1=0.0)
    meter.begin()
    kernel.run(1.0, own=1.0, t1=0.0)
    meter.round_over(ends_turn=False)
    kernel.run(5.0, others=1.0, t1=1.0)
    assert shares(meter.contention()) == pytest.approx((0.0, 0.0, 0.0, 0.0), abs=0.001)


def test_rounds_too_few_to_be_read_between_are_read_at_the_end(kernel):
    meter = ContentionMeter(kernel.root)
    kernel.run(1.0, t1=0.0)
    meter.begin()
    kernel.run(EVERY_S / 2, own=1.0, others=1.0, t1=0.5)
    meter.round_over(ends_turn=False)
    assert meter.contention().runqueue_share == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("hidden", "known"),
    [
        ({"pressure"}, (0.25, 0.5, 0.0, None)),
        ({"stat"}, (0.25, None, None, 0.5)),
        ({"self"}, (None, 0.5, 0.0, 0.5)),
    ],
)
def test_what_the_kernel_hides_is_not_known(kernel, hidden, known):
    kernel.hidden = hidden
    turn = {"own": 1.0, "others": 1.0, "waiting": 0.5, "t1": 0.5}
    assert shares(measured(kernel, turn, turn)) == pytest.approx(known, abs=0.01)


def test_a_file_that_goes_meanwhile_is_not_known(kernel):
    meter = ContentionMeter(kernel.root)
    kernel.run(1.0, t1=0.0)
    meter.begin()
    kernel.hidden = {"stat", "self"}
    kernel.run(1.0, own=1.0, waiting=0.5)
    meter.round_over(ends_turn=True)
    assert shares(meter.contention()) == (None, None, None, pytest.approx(0.5))


def test_nothing_is_known_where_the_kernel_tells_nothing(kernel):
    kernel.hidden = {"stat", "self", "pressure"}
    assert measured(kernel, {"own": 1.0}) is None
    assert ContentionMeter(kernel.root).contention() is None


def test_figures_that_stand_still_tell_of_nobody(kernel):
    """A sandbox may show such."""
    kernel.run(10.0, own=1.0, others=1.0)
    stat = (kernel.root / "proc/stat").read_text()
    write = kernel.write

    def write_all_else():
        write()
        (kernel.root / "proc/stat").write_text(stat)

    kernel.write = write_all_else
    found = measured(kernel, {"own": 1.0, "others": 1.0, "waiting": 0.5, "t1": 0.5})
    assert (found.others_share, found.steal_share) == (None, None)
    assert found.runqueue_share == pytest.approx(0.25)
