"""The fixed loop in real processes."""

import os

import pytest

from pytest_tfthreads.doctor import pinned_loop
from pytest_tfthreads.doctor.pinned_loop import LoopError, run_processes


def test_every_cpu_in_every_process():
    cpus = sorted(os.sched_getaffinity(0))[:2]
    processes = run_processes(cpus, 0.3, 2)
    assert len(processes) == 2
    for number, loops in enumerate(processes):
        assert {loop.cpu for loop in loops} == set(cpus)
        assert loops[0].cpu == cpus[number % len(cpus)]
        assert all(loop.wall_s > 0 and loop.cpu_s >= 0 for loop in loops)


def test_a_process_that_fails(monkeypatch):
    with pytest.raises(LoopError, match="loop failed: CPUs 99999: none of them may be used"):
        run_processes([99_999], 0.1, 1)
    monkeypatch.setattr(pinned_loop.sys, "executable", "/nowhere/python")
    with pytest.raises(LoopError, match="No such file"):
        run_processes([0], 0.1, 1)
