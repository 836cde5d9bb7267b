"""What it saves that four pytest-xdist workers share one preloaded interpreter.

    python benchmarks/xdist/preload.py [PAIRS]

Each of PAIRS rounds does two things twice, in random order: with one interpreter for all workers,
and with one for each.

- preloading: four processes ask at once for an interpreter, as workers do. Seconds until all have
  one that is ready, and the memory of the interpreters.
- suite: `twelve.py` with `-n4`. Seconds of the whole command, and the most memory that all its
  processes had. Workers have interpreters of their own where each has a variable of its own in its
  environment.

Memory is proportional set size: a page that several processes share is counted once. Printed are
means and ratios with Student's t interval over rounds.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import psutil

from pytest_tfthreads.core.stats.estimates import Estimate, mean_of_ratios

SUITE = Path(__file__).parent / "twelve.py"
WORKERS = 4
OWN = """
import os
if name := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["INTERPRETER_OF"] = name
"""
ASK = """
import os, sys
from pytest_tfthreads.engine.interpreter import Home, Interpreter
interpreter = Interpreter(Home.here(os.getcwd()), (), True, None, sys.argv[1])
interpreter.wait_until_ready()
print("ready", flush=True)
sys.stdin.read()
interpreter.close()
"""
LOOK_S = 0.2


def memory_mb(processes: Iterable[psutil.Process]) -> float:
    """Of those that are still there."""
    total = 0
    for one in processes:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 1e6


def preload(is_shared: bool) -> tuple[float, float]:
    """Seconds until all are ready, and MB of all interpreters."""
    name = str(time.time_ns())
    begun_s = time.monotonic()
    workers = [
        psutil.Popen(
            [sys.executable, "-c", ASK, name if is_shared else f"{name} {number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(WORKERS)
    ]
    for worker in workers:
        if worker.stdout.readline() != b"ready\n":
            sys.exit("a worker has no interpreter")
    seconds = time.monotonic() - begun_s
    most = memory_mb(child for worker in workers for child in worker.children(recursive=True))
    for worker in workers:
        worker.communicate()
    return seconds, most


def suite(is_shared: bool) -> tuple[float, float]:
    """Seconds of the whole command, and the most MB that its processes had."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
        (Path(folder) / "own_interpreters.py").write_text(OWN)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SUITE)]
        command += [f"-n{WORKERS}", "--tf-threads-processes=1", "--benchmark-max-time=0.2"]
        begun_s = time.monotonic()
        process = psutil.Popen(
            [*command, *([] if is_shared else ["-p", "own_interpreters"])],
            env={**os.environ, "PYTHONPATH": folder},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        most = 0.0
        while process.poll() is None:
            most = max(most, memory_mb([process, *process.children(recursive=True)]))
            time.sleep(LOOK_S)
        seconds = time.monotonic() - begun_s
        if process.wait():
            output.seek(0)
            sys.exit(output.read())
    return seconds, most


def main(pairs: int) -> None:
    """Measure and print."""
    for what in (preload, suite):
        found: dict[bool, list[tuple[float, float]]] = defaultdict(list)
        for number in range(pairs):
            for is_shared in random.Random(number).sample([True, False], 2):
                found[is_shared].append(what(is_shared))
                seconds, most = found[is_shared][-1]
                way = "shared" if is_shared else "one each"
                print(f"{what.__name__} {way}: {seconds:.1f} s, {most:.0f} MB", file=sys.stderr)
        print(f"{what.__name__}, {WORKERS} workers, {pairs} rounds [95 %]")
        for place, unit in enumerate(("s", "MB")):
            shared, own = ([one[place] for one in found[way]] for way in (True, False))
            ratio = mean_of_ratios([a / b for a, b in zip(shared, own, strict=True)])
            print(
                f"  {unit:2s}  shared {shown(mean_of_ratios(shared))}, one each "
                f"{shown(mean_of_ratios(own))}, ratio {shown(ratio, 2)}"
            )


def shown(estimate: Estimate, digits: int = 0) -> str:
    """With its interval, where there is one."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
