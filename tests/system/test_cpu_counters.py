"""Kernels made of files."""

import pytest

from pytest_tfthreads.system.cpu_counters import (
    Ticks,
    cpu_pressure_s,
    cpu_ticks,
    run_queue_delays_s,
)

PRESSURE = (
    "some avg10=1.00 avg60=0.00 avg300=0.00 total=2500000\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"
)


@pytest.fixture
def write(tmp_path):
    def write(files):
        for name, text in files.items():
            file = tmp_path / "proc" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return write


def test_ticks_are_of_the_cpus_that_are_asked_for(write):
    root = write(
        {
            "stat": "cpu  99 9 9 9 9 9 9 9 9 9\n"
            "cpu0 10 1 2 100 20 3 4 5 0 0\n"
            "cpu1 1 0 0 1000 0 0 0 1 0 0\n"
            "cpu10 7777 0 0 0 0 0 0 0 0 0\n"
            "intr 5 0\n"
        }
    )
    assert cpu_ticks(root, (0, 1)) == Ticks(busy=21, stolen=6, total=1147)
    assert cpu_ticks(root, (1,)) == Ticks(busy=1, stolen=1, total=1002)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("cpu  1 1 1 1 1 1 1 1\ncpu0 1 1 1 1 1 1 1 1\n", id="another-cpu"),
        pytest.param("cpu3 1 1 1 1 1 1 1\n", id="before-steal-time"),
        pytest.param("cpu3 a b c d e f g h\n", id="no-numbers"),
        pytest.param("", id="empty"),
    ],
)
def test_no_ticks_where_the_kernel_does_not_tell_them(write, text):
    assert cpu_ticks(write({"stat": text}), (3,)) is None


def test_pressure(write):
    assert cpu_pressure_s(write({"pressure/cpu": PRESSURE})) == pytest.approx(2.5)
    assert cpu_pressure_s(write({"pressure/cpu": "some avg10=1.00\n"})) is None


def test_delays_of_all_threads(write):
    root = write(
        {
            "self/task/7/schedstat": "500 1000000000 3\n",
            "self/task/8/schedstat": "0 2000000000 1\n",
            "self/task/9/comm": "it has just ended",
        }
    )
    assert run_queue_delays_s(root) == pytest.approx({"7": 1.0, "8": 2.0})


def test_no_delays_where_the_kernel_counts_none(write):
    assert run_queue_delays_s(write({"self/task/7/schedstat": "0 0 0\n"})) is None
    assert run_queue_delays_s(write({"self/task/7/schedstat": "something else\n"})) is None


def test_nothing_where_nothing_is(tmp_path):
    assert cpu_ticks(tmp_path, (0,)) is None
    assert cpu_pressure_s(tmp_path) is None
    assert run_queue_delays_s(tmp_path) is None
