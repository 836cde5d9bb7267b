"""How long the commands take that look at all saved runs.

    python benchmarks/history/load.py [RUNS [CONFIGURATIONS [REPEATS]]]

Writes the runs (by default 5,000 of a suite of 8 configurations, some 2.4 GB) into a temporary
directory, reads them once so that they are in the page cache, and times each command.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import saved

COMMANDS = (
    ("list", ["list"]),
    ("history of one test", ["history", "test_step_0[intra1"]),
    ("history of all", ["history"]),
    ("history of all, --html", ["history", "--html", "{}/history.html"]),
)


def main(runs: int = 5000, configurations: int = 8, repeats: int = 3) -> None:
    """Print a line for each command."""
    with tempfile.TemporaryDirectory() as name:
        storage = Path(name) / "storage"
        size = saved.write(storage, runs, configurations)
        print(
            f"{runs} runs of {configurations} configurations, {size / 1e6:.0f} MB, "
            f"{len(os.sched_getaffinity(0))} CPUs",
            flush=True,
        )
        for path in storage.glob("*/*.json"):
            path.read_bytes()
        for words, arguments in COMMANDS:
            costs = [
                _cost(storage, [one.format(name) for one in arguments]) for _ in range(repeats)
            ]
            wall_s, cpu_s = (
                " ".join(f"{one:.1f}" for one in sorted(each)) for each in zip(*costs, strict=True)
            )
            print(f"{words:24s} {wall_s} s, of CPU time {cpu_s} s", flush=True)


def _cost(storage: Path, arguments: list[str]) -> tuple[float, float]:
    """Wall and CPU time of a command, in seconds."""
    start_s, before_s = time.perf_counter(), _children_s()
    subprocess.run(
        [sys.executable, "-m", "pytest_tfthreads", *arguments, "--storage", str(storage)],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start_s, _children_s() - before_s


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
