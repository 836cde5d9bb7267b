"""A pytest plugin: as many processes started by hand take turns with the instances measured.

There are two sets of them: of one, each process runs its loop in a test of pytest. The calls a
second of each set in each turn go to the file that the environment variable BESIDE names: a list
for each run of the instances, with a list for each set.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pytest_tfthreads.runner import executor

OVERHEAD = Path(__file__).parents[1] / "overhead"
ROUND_S = 0.0055  # that of the plugin, or a little more
RATES: list[list[list[float | None]]] = []
conduct = executor.run_interleaved


def run_interleaved(members, ring, *args):
    sets = [
        ByHand(options, os.environ["WORKLOAD"], ring.rounds_a_turn)
        for options in ((), ("--in-pytest",))
    ]
    conduct([*members, *sets], ring, *args)
    RATES.append([by_hand.rates() for by_hand in sets])


def pytest_configure():
    executor.run_interleaved = run_interleaved


def pytest_unconfigure():
    executor.run_interleaved = conduct
    Path(os.environ["BESIDE"]).write_text(json.dumps(RATES))


class ByHand:
    """A member of a ring, as the engine has them."""

    def __init__(self, options: Sequence[str], workload: str, rounds_a_turn: int) -> None:
        self._options = options
        self._workload = workload
        self._rounds_a_turn = rounds_a_turn
        self._processes: list[subprocess.Popen] = []
        self._windows: list[tuple[float, float]] = []
        self._answers: list[str] = []

    def set_up(self, sets):
        script = [sys.executable, str(Path(__file__).with_name("plain_loop.py")), self._workload]
        for (cpu,) in self._sets(sets):
            process = subprocess.Popen(
                [*script, str(cpu), *self._options],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(OVERHEAD), "PYTHONHASHSEED": "0"},
            )
            self._processes.append(process)
            assert process.stdout is not None
            while (line := process.stdout.readline()) != "ready\n":
                assert line, "a process started by hand has ended"
            process.send_signal(signal.SIGSTOP)

    def take_turn(self, sets, layout):
        for process, cpus in zip(self._processes, self._sets(sets), strict=True):
            for task in os.listdir(f"/proc/{process.pid}/task"):
                os.sched_setaffinity(int(task), cpus)
        for process in self._processes:
            process.send_signal(signal.SIGCONT)
        begun_s = time.perf_counter()
        time.sleep(self._rounds_a_turn * ROUND_S)
        self._windows.append((begun_s, time.perf_counter()))
        for process in self._processes:
            process.send_signal(signal.SIGSTOP)
        return len(self._windows) < math.ceil(layout.rounds / self._rounds_a_turn)

    def abandon(self):
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
                process.send_signal(signal.SIGCONT)
            lines = process.communicate()[0].splitlines()
            self._answers += [line for line in lines if line.startswith("[")]

    def rates(self) -> list[float | None]:
        """Calls a second of all together, in each turn; None where one has not come to a round.

        Until it is stopped: of a round that was cut off, half is taken for done. To leave it out
        would leave out the longest, and so what took a CPU away.
        """
        loops = [json.loads(answer) for answer in self._answers]
        found: list[float | None] = []
        for low_s, high_s in self._windows:
            rates = []
            for iterations, rounds in loops:
                begun_s = [begun for begun, ended in rounds if low_s <= begun and ended <= high_s]
                if begun_s:
                    rates.append(iterations * (len(begun_s) + 0.5) / (high_s - begun_s[0]))
            found.append(sum(rates) if len(rates) == len(loops) else None)
        return found

    def _sets(self, sets):
        return sets(int(os.environ["INSTANCES"]), 1)
