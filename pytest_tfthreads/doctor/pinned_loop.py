"""A fixed loop in a process of its own, pinned to one CPU after the other: how fast each is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter, process_time

from pytest_tfthreads.doctor.cpu_speed import Loop
from pytest_tfthreads.engine.interpreter import module_path
from pytest_tfthreads.names import ONLY_NAMED_PATHS
from pytest_tfthreads.system import linux

_BOOT = (
    f"{ONLY_NAMED_PATHS}"
    "import json; cpus, seconds, parent, sys.path[:] = json.loads(sys.argv[1]);"
    "from pytest_tfthreads.doctor.pinned_loop import main; main(cpus, seconds, parent)"
)
# About a millisecond: long against the clocks' resolution, short against the half second for which
# a shared CPU keeps its speed.
_ADDITIONS = 20_000
# A visit is long enough for a CPU that was idle to reach its speed, where all get two visits so.
_LONGEST_VISIT_S = 0.02
_SHORTEST_VISIT_S = 0.003
_STARTING_S = 0.1
_GRACE_S = 60


class LoopError(Exception):
    """The loop could not be run; the message says why."""


def run_processes(cpus: Sequence[int], seconds: float, processes: int) -> list[list[Loop]]:
    """Run the loop in so many processes, one after the other, for so long in all.

    Each visits the CPUs in turn, and begins one further on. Raises `LoopError`.
    """
    each_s = max(0.0, seconds / processes - _STARTING_S)
    return [
        _run_process([*cpus[number % len(cpus) :], *cpus[: number % len(cpus)]], each_s)
        for number in range(processes)
    ]


def _run_process(cpus: Sequence[int], seconds: float) -> list[Loop]:
    boot = json.dumps([list(cpus), seconds, os.getpid(), list(module_path())])
    try:
        run = subprocess.run(
            [sys.executable, "-c", _BOOT, boot],
            capture_output=True,
            check=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=seconds + _GRACE_S,
        )
        return [Loop(*fields) for fields in json.loads(run.stdout)]
    except subprocess.CalledProcessError as error:
        words = (error.stderr or "").strip().splitlines()
        raise LoopError(f"the pinned loop failed: {words[-1] if words else error}") from error
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired) as error:
        raise LoopError(f"the pinned loop failed: {error}") from error


def main(cpus: Sequence[int], seconds: float, parent_pid: int) -> None:
    """Entry of the process: every CPU is visited once at least. Prints the loops as JSON."""
    linux.die_with_parent(parent_pid)
    visit_s = min(_LONGEST_VISIT_S, max(_SHORTEST_VISIT_S, seconds / (2 * len(cpus))))
    loops: list[Loop] = []
    end_s = perf_counter() + seconds
    while True:
        for cpu in cpus:
            try:
                linux.pin([cpu])
            except linux.UnmovableError as error:
                sys.exit(str(error))
            _run_loop(cpu)  # the first one after a move finds cold caches
            visit_end_s = perf_counter() + visit_s
            loops.append(_run_loop(cpu))
            while perf_counter() < visit_end_s:
                loops.append(_run_loop(cpu))
        if perf_counter() >= end_s:
            break
    json.dump([[loop.cpu, loop.wall_s, loop.cpu_s] for loop in loops], sys.stdout)


def _run_loop(cpu: int) -> Loop:
    wall_s, cpu_s = perf_counter(), process_time()
    total = 0
    for number in range(_ADDITIONS):
        total += number
    return Loop(cpu, perf_counter() - wall_s, process_time() - cpu_s)
