"""Is unchanged code failed by `--benchmark-compare` where other programs come and go?

    python benchmarks/gate/contended.py [BUILDS [OPTION …]]

Makes four tests of two threads each (small ops, dense layers, convolutions, a tf.data pipeline). A
baseline is saved beside 0, 1 and 2 busy loops. Then unchanged code is judged by each of the three
baselines beside 0, 1 and 2 busy loops, BUILDS times (default: 10). Prints for each of the 9
combinations how many builds failed and what the verdicts were. OPTIONs go to pytest, for all runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = """\
import pytest
import tensorflow as tf

pytestmark = pytest.mark.tf_threads(intra=2, inter=1)


def test_small_ops(benchmark):
    @tf.function
    def step(x):
        for _ in range(50):
            x = tf.nn.relu(x + 1.0)
        return x

    x = tf.ones((8, 8))
    benchmark(lambda: step(x).numpy())


def test_dense(benchmark):
    model = tf.keras.Sequential([tf.keras.layers.Dense(256, activation="relu") for _ in range(4)])
    step = tf.function(model)
    x = tf.ones((64, 256))
    benchmark(lambda: step(x).numpy())


def test_convolutions(benchmark):
    kernel = tf.ones((3, 3, 16, 16)) / 144
    step = tf.function(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"))
    x = tf.ones((8, 48, 48, 16))
    benchmark(lambda: step(x).numpy())


def test_pipeline(tf_benchmark):
    numbers = tf.data.Dataset.range(100_000).map(lambda n: tf.cast(n, tf.float32) ** 0.5)
    tf_benchmark.dataset(numbers.batch(256).prefetch(2), batches=20, threads=2)
"""
LOADS = (0, 1, 2)
_BUSY = "while True: pass"


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many other programs, each of which wants a CPU."""
    loops = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def run(top: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The benchmarks of a run of pytest; ends the program where there are none."""
    out = top / "out.json"
    out.unlink(missing_ok=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *arguments,
            f"--benchmark-json={out}",
        ],
        cwd=top,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if not out.exists() or not (text := out.read_text()):
        sys.exit(done.stdout + done.stderr)
    benchmarks: list[dict[str, Any]] = json.loads(text)["benchmarks"]
    return benchmarks


def main(builds: int, options: Sequence[str]) -> None:
    """Print a line for each combination."""
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        (top / "test_it.py").write_text(TESTS)
        for load in LOADS:
            with busy_loops(load):
                run(top, [f"--benchmark-save=beside{load}", *options])
        print("| saved beside | judged beside | builds that failed | verdicts |")
        print("| --- | --- | --- | --- |")
        for saved in LOADS:
            for load in LOADS:
                print(f"| {saved} | {load} | {judged(top, saved, load, builds, options)} |")
                sys.stdout.flush()


def judged(top: Path, saved: int, load: int, builds: int, options: Sequence[str]) -> str:
    """Of unchanged code: builds that failed, and verdicts by their number."""
    failed, verdicts = 0, Counter[str]()
    for _ in range(builds):
        with busy_loops(load):
            found = run(top, [f"--benchmark-compare={saved + 1:04}", *options])
        statuses = [
            verdict["status"]
            for one in found
            for verdict in one["extra_info"]["tf_threads"]["verdicts"]
        ]
        failed += "regression" in statuses
        verdicts.update(statuses)
    told = ", ".join(f"{count} {status}" for status, count in verdicts.most_common())
    return f"{failed} of {builds} | {told}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10, sys.argv[2:])
