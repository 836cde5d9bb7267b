"""Is unchanged code failed by `--benchmark-compare` where other programs come and go?

    python benchmarks/gate/contended.py [RUNS [--live=BUILDS] [OPTION …]]

Makes a git repository with four tests of two threads each (small ops, dense layers, convolutions, a
tf.data pipeline). RUNS times (default: 10) it saves a run beside 0, 1 and 2 busy loops. Then every
run is judged by every other one, as `--benchmark-compare=NUMBER --tf-threads-duet=off` judges: by
saved runs alone. Prints for each of the 9 combinations how many builds failed, the verdicts, and
how far the speeds had moved; and the same again with what is recorded of other programs left out.

With --live, unchanged code is also judged BUILDS times for each combination by the command itself,
which measures side by side what the saved run leaves open. OPTIONs go to pytest, for all runs.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.gate.verdict import Policy, Verdict, judge
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.saved_runs import read_run
from pytest_tfthreads.core.tolerance import METRICS

PRODUCT = """\
import tensorflow as tf


def small_ops():
    @tf.function
    def step(x):
        for _ in range(50):
            x = tf.nn.relu(x + 1.0)
        return x

    x = tf.ones((8, 8))
    return lambda: step(x).numpy()


def dense():
    model = tf.keras.Sequential([tf.keras.layers.Dense(256, activation="relu") for _ in range(4)])
    step = tf.function(model)
    x = tf.ones((64, 256))
    return lambda: step(x).numpy()


def convolutions():
    kernel = tf.ones((3, 3, 16, 16)) / 144
    step = tf.function(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"))
    x = tf.ones((8, 48, 48, 16))
    return lambda: step(x).numpy()


def numbers():
    found = tf.data.Dataset.range(100_000).map(lambda n: tf.cast(n, tf.float32) ** 0.5)
    return found.batch(256).prefetch(2)
"""
TESTS = """\
import product
import pytest

pytestmark = pytest.mark.tf_threads(intra=2, inter=1)


def test_small_ops(benchmark):
    benchmark(product.small_ops())


def test_dense(benchmark):
    benchmark(product.dense())


def test_convolutions(benchmark):
    benchmark(product.convolutions())


def test_pipeline(tf_benchmark):
    tf_benchmark.dataset(product.numbers(), batches=20, threads=2)
"""
FILES = {
    "src/product.py": PRODUCT,
    "tests/test_it.py": TESTS,
    "pytest.ini": "[pytest]\npythonpath = src\n",
    ".gitignore": ".benchmarks\n__pycache__\nout.json\n",
}
LOADS = (0, 1, 2)
_BUSY = """\
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""

Run = Mapping[str, Measurement]
"""By test."""


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


def main(runs: int, builds: int, options: Sequence[str]) -> None:
    """Save the runs, and print the tables."""
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        make_repository(top)
        for number in range(runs):
            for load in LOADS:
                with busy_loops(load):
                    run(top, [f"--benchmark-save=beside{load}", *options])
            print(f"{number + 1} of {runs} runs beside each load", file=sys.stderr)
        saved = {load: saved_runs(top, load) for load in LOADS}
        print_company(saved)
        print("\nBy saved runs alone")
        print_verdicts(saved)
        print("\nThe same, as if nobody had recorded other programs")
        print_verdicts({load: list(map(unaware, of_load)) for load, of_load in saved.items()})
        if builds:
            print("\nBy the command, which measures side by side what is open")
            print_live(top, builds, options)


def make_repository(top: Path) -> None:
    """The product and its tests, committed."""
    for name, text in FILES.items():
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text(text)
    git = ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *arguments], cwd=top, check=True)


def saved_runs(top: Path, load: int) -> list[Run]:
    """The runs that were saved beside this load, oldest first."""
    found = sorted(top.glob(f".benchmarks/*/*_beside{load}.json"))
    return [
        {test: several[-1].measurement for test, several in read_run(path).tests.items()}
        for path in found
    ]


def unaware(one: Run) -> Run:
    """Without what was recorded of other programs."""
    return {
        test: replace(
            measured,
            samples=tuple(replace(sample, contention=None) for sample in measured.samples),
        )
        for test, measured in one.items()
    }


def print_company(saved: Mapping[int, Sequence[Run]]) -> None:
    """What others took while each test was measured."""
    print("| busy loops | test | others took (held back) of its CPUs, % |")
    print("| --- | --- | --- |")
    for load, runs in saved.items():
        for test in runs[0]:
            shares = [one[test].contention for one in runs]
            told = [
                "?"
                if one is None or one.taken is None or one.held_back is None
                else f"{100 * one.taken:.0f} ({100 * one.held_back:.0f})"
                for one in shares
            ]
            print(f"| {load} | {test.partition('::')[2]} | {', '.join(told)} |")


def print_verdicts(saved: Mapping[int, Sequence[Run]]) -> None:
    """Of every run judged by every other: builds that failed, verdicts, and changes as measured."""
    print("| saved beside | judged beside | builds that failed | verdicts | mean change, % |")
    print("| --- | --- | --- | --- | --- |")
    for then_load, then_runs in saved.items():
        for now_load, now_runs in saved.items():
            builds = [
                judged(now, then) for now in now_runs for then in then_runs if now is not then
            ]
            failed = sum(any(one.status == "regression" for one in each) for each in builds)
            verdicts = [one for each in builds for one in each]
            moved = ", ".join(
                f"{metric} {_mean_change(verdicts, metric):+.0f}" for metric in METRICS if builds
            )
            told = counts(one.status for one in verdicts)
            print(f"| {then_load} | {now_load} | {failed} of {len(builds)} | {told} | {moved} |")


def judged(now: Run, then: Run) -> list[Verdict]:
    """As the plugin judges a run by one saved run."""
    hypotheses = len(METRICS) * len(now)
    return [
        verdict
        for test, measured in now.items()
        for verdict in judge(
            test, measured, History((then[test],), named="chosen"), Policy(), hypotheses
        )
    ]


def _mean_change(verdicts: Sequence[Verdict], metric: str) -> float:
    """As measured, in percent."""
    logs = [
        math.log(one.now.value / one.baseline.value)
        for one in verdicts
        if one.metric == metric and one.baseline is not None
    ]
    return 100 * math.expm1(fmean(logs))


def counts(statuses: Iterator[str]) -> str:
    return ", ".join(f"{count} {status}" for status, count in Counter(statuses).most_common())


@dataclass
class _Builds:
    """What the builds of one combination came to."""

    failed: int = 0
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def print_live(top: Path, builds: int, options: Sequence[str]) -> None:
    """Of the command itself: builds that failed, and verdicts by the rule that judged.

    The combinations take turns, one build each, so that a machine which changes during the trial
    changes for all of them. Why a build failed is told on stderr. Ends the program where a build
    measured nothing side by side of what was open.
    """
    found = {(saved, load): _Builds() for saved in LOADS for load in LOADS}
    for number in range(builds):
        for (saved, load), of_both in found.items():
            _build(top, saved, load, of_both, options)
        failed = sum(of_both.failed for of_both in found.values())
        told = f"{number + 1} of {builds} builds of each combination, {failed} failed so far"
        print(told, file=sys.stderr, flush=True)
    print("| saved beside | judged beside | builds that failed | verdicts | seconds a build |")
    print("| --- | --- | --- | --- | --- |")
    for (saved, load), of_both in found.items():
        told = counts(f"{one['status']} ({one['judged_by']})" for one in of_both.verdicts)
        took = f"{median(of_both.seconds):.0f}"
        print(f"| {saved} | {load} | {of_both.failed} of {builds} | {told} | {took} |")


def _build(top: Path, saved: int, load: int, of_both: _Builds, options: Sequence[str]) -> None:
    begun_s = time.monotonic()
    with busy_loops(load):
        found = run(top, [f"--benchmark-compare={saved + 1:04}", *options])
    of_both.seconds.append(time.monotonic() - begun_s)
    verdicts = [verdict for one in found for verdict in one["extra_info"]["tf_threads"]["verdicts"]]
    problems = {one["no_duet"] for one in verdicts} - {""}
    if problems and all(one["judged_by"] == "saved runs" for one in verdicts):
        sys.exit(f"not measured side by side: {', '.join(sorted(problems))}")
    regressions = [one for one in verdicts if one["status"] == "regression"]
    for one in regressions:
        told = f"{one['test']}, {one['judged_by']}: {one['reason']}"
        print(f"saved beside {saved}, judged beside {load}: {told}", file=sys.stderr, flush=True)
    of_both.failed += bool(regressions)
    of_both.verdicts += verdicts


def _given(arguments: Sequence[str]) -> tuple[int, int, list[str]]:
    runs = int(arguments[0]) if arguments else 10
    live = [one for one in arguments[1:] if one.startswith("--live=")]
    builds = int(live[-1].partition("=")[2]) if live else 0
    return runs, builds, [one for one in arguments[1:] if one not in live]


if __name__ == "__main__":
    main(*_given(sys.argv[1:]))
