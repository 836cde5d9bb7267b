"""How long the commands take that look at all saved runs, without the index and with it.

    python benchmarks/history/load.py [RUNS [CONFIGURATIONS [REPEATS]]]

Writes the runs (by default 5,000 of a suite of 8 configurations, some 2.6 GB) into a temporary
directory, reads them once so that they are in the page cache, and times each command: without the
index, while the index is made (once, from nothing), and with the index. It checks that all three
print the same. The gate's reading is that of --benchmark-compare: finding and reading the saved
runs to judge by, without the start of pytest.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import saved

from pytest_tfthreads.system.file_index import NO_INDEX_VARIABLE, SETTLED_NS

_GATE = """
import sys, time
from pathlib import Path
from pytest_tfthreads.core.storage import ENOUGH_FOR_DRIFT, Storage
from pytest_tfthreads.system.run_index import read_condensed
start_s = time.perf_counter(), time.process_time()
storage = Storage(Path(sys.argv[-1]), next(Path(sys.argv[-1]).iterdir()).name)
runs = []
for files in (storage.of_this_kind(), *storage.of_other_kinds()):
    runs += read_condensed(files[-ENOUGH_FOR_DRIFT:])
end_s = time.perf_counter(), time.process_time()
print(end_s[0] - start_s[0], end_s[1] - start_s[1], file=sys.stderr)
print(runs)
"""
_COMMAND = ("-m", "pytest_tfthreads")
COMMANDS = (
    ("list", (*_COMMAND, "list")),
    ("history of one test", (*_COMMAND, "history", "test_step_0[intra1")),
    ("history of all", (*_COMMAND, "history")),
    ("history of all, --html", (*_COMMAND, "history", "--html", "{}/history.html")),
    ("report", (*_COMMAND, "report", "-o", "{}/report.html")),
    ("the gate's reading", ("-c", _GATE)),
)


def main(runs: int = 5000, configurations: int = 8, repeats: int = 3) -> None:
    """Print a line for each command and state of the index."""
    with tempfile.TemporaryDirectory() as name:
        storage, cache = Path(name) / "storage", Path(name) / "cache"
        size = saved.write(storage, runs, configurations)
        cache.mkdir(mode=0o700)
        print(
            f"{runs} runs of {configurations} configurations, {size / 1e6:.0f} MB, "
            f"{len(os.sched_getaffinity(0))} CPUs",
            flush=True,
        )
        for path in storage.glob("*/*.json"):
            path.read_bytes()
        time.sleep(SETTLED_NS / 1e9)  # what was written just now is not kept
        for words, arguments in COMMANDS:
            command = [sys.executable, *(one.format(name) for one in arguments)]
            command += ["--storage", str(storage)]
            shutil.rmtree(cache / "pytest-tfthreads", ignore_errors=True)
            outputs = set()
            for state, switch, times in (
                ("without the index", "1", repeats),
                ("while it is made", "", 1),
                ("with the index", "", repeats),
            ):
                environment = {
                    **os.environ,
                    NO_INDEX_VARIABLE: switch,
                    "XDG_CACHE_HOME": str(cache),
                }
                costs = []
                for _ in range(times):
                    wall_s, cpu_s, output = _run(command, environment)
                    costs.append((wall_s, cpu_s))
                    outputs.add(output)
                wall, cpu = (
                    " ".join(f"{one:.2f}" for one in sorted(each))
                    for each in zip(*costs, strict=True)
                )
                print(f"{words:24s} {state:18s} {wall} s, of CPU time {cpu} s", flush=True)
            if len(outputs) > 1:
                raise SystemExit(f"{words}: the index changed what is printed")
        kept = sum(one.stat().st_size for one in cache.glob("*/*"))
        print(f"the last index: {kept / 1e6:.1f} MB")


def _run(command: list[str], environment: dict[str, str]) -> tuple[float, float, bytes]:
    """Wall and CPU time of a command in seconds, and its output."""
    start_s, before_s = time.perf_counter(), _children_s()
    result = subprocess.run(command, env=environment, capture_output=True, check=True)
    wall_s, cpu_s = time.perf_counter() - start_s, _children_s() - before_s
    if _GATE in command:
        wall_s, cpu_s = map(float, result.stderr.split())
    return wall_s, cpu_s, result.stdout


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
