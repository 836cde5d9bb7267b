"""Where the seconds of a run go: by kind, of a sweep and of a duet.

    python benchmarks/overhead/where.py [RUNS]

Makes a git repository with four tests, and runs a sweep of four configurations and a duet of
unchanged code RUNS times each (default: 1). Each measuring process notes when its steps begin.
Prints, for each kind of step, its seconds and its share of the run, medians over the runs. Seconds
in which a process stood still are counted where another one ran. The first line of each run has the
seconds of a test, without what a run has only once: before its first process (pytest starts, and
interpreters import TensorFlow) and after its last.

This file is also the plugin that takes the notes (`-p where`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

NOTES = "WHERE_NOTES"  # names the file of the notes
PRODUCT = """\
import tensorflow as tf


def small_ops():
    x = tf.random.stateless_uniform((32, 32), seed=(1, 1))
    return tf.function(lambda: tf.nn.relu(x @ x + 1.0))


def convolutions():
    images = tf.random.stateless_uniform((8, 64, 64, 8), seed=(1, 1))
    kernel = tf.random.stateless_normal((3, 3, 8, 8), seed=(1, 2))
    return tf.function(lambda: tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME")))


def dense_layers():
    x = tf.random.stateless_uniform((64, 256), seed=(1, 1))
    return tf.function(lambda: tf.nn.relu(tf.nn.relu(x @ tf.transpose(x)) @ x))


def pipeline():
    numbers = tf.data.Dataset.range(1 << 40).map(lambda x: x * 2, num_parallel_calls=2)
    elements = iter(numbers.batch(256).prefetch(2))
    return lambda: next(elements)
"""
TESTS = """\
import product
import pytest


@pytest.mark.parametrize("workload", ["small_ops", "convolutions", "dense_layers", "pipeline"])
@pytest.mark.tf_threads(intra=2, inter=1)
def test_step(benchmark, workload):
    benchmark(getattr(product, workload)())
"""
TEST_COUNT = 4
RUNS = {
    "sweep of 4 configurations, 3 processes each": ("--tf-threads=1x1,2x1,1x2,2x2",),
    "duet of unchanged code": ("--tf-threads-duet=HEAD",),
}
KINDS = (
    "order, fork, TensorFlow's runtime",
    "pytest starts, collects",
    "fixtures set up",
    "first call, warm-up, calibration",
    "measured rounds",
    "between the rounds: reference, stops",
    "fixtures torn down, reply",
    "no process runs: imports ahead, hand-overs, verdicts",
)

_steps_s: dict[str, float] = {}  # when a step began, and how long this process had stood still


# -- the plugin, in measuring processes ----------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    _steps_s["pytest"] = time.monotonic()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _steps_s["setup"] = time.monotonic()
    session = _measuring_session(item.config)
    if session is None:
        return
    recorder, begin = session.recorder, session.recorder.start_measuring

    def noted() -> None:
        begin()
        _steps_s["rounds"] = time.monotonic()
        _steps_s["still"] = session._turns.off_turn_s

    recorder.start_measuring = noted


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_runtest_call():
    _steps_s["call"] = time.monotonic()
    yield
    _steps_s["called"] = time.monotonic()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    session = _measuring_session(config)
    if session is None or session._sample is None:
        return
    at, still_s = _steps_s, session._turns.off_turn_s
    rounds_s = sum(session._sample.wall_s)
    ended_s = time.monotonic()
    by_kind = (
        at["pytest"] - session.sent.ordered_at_s,
        at["setup"] - at["pytest"],
        at["call"] - at["setup"],
        at["rounds"] - at["call"] - at["still"],
        rounds_s,
        at["called"] - at["rounds"] - (still_s - at["still"]) - rounds_s,
        ended_s - at["called"],
    )
    with open(os.environ[NOTES], "a") as notes:
        notes.write(json.dumps((session.sent.ordered_at_s, ended_s, by_kind)) + "\n")


def _measuring_session(config: pytest.Config):
    from pytest_tfthreads.names import MEASURING_PLUGIN

    return config.pluginmanager.getplugin(MEASURING_PLUGIN)


# -- the command ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Seconds of one run: the whole, from its first process to its last, and by kind of step."""

    whole_s: float
    tests_s: float
    processes: int
    by_kind: dict[str, float]


def run(project: Path, options: tuple[str, ...]) -> Run:
    notes = project.parent / "notes"
    notes.write_text("")
    environment = os.environ | {NOTES: str(notes), "PYTHONPATH": str(Path(__file__).parent)}
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "where", *options],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    whole_s = time.monotonic() - began_s
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    processes = [json.loads(line) for line in notes.read_text().splitlines()]
    by_kind = dict.fromkeys(KINDS, 0.0)
    for _, _, seconds in processes:
        for kind, some_s in zip(KINDS, seconds, strict=False):
            by_kind[kind] += some_s
    by_kind[KINDS[-1]] = whole_s - sum(by_kind.values())
    tests_s = max(ended for _, ended, _ in processes) - min(began for began, _, _ in processes)
    return Run(whole_s, tests_s, len(processes), by_kind)


def make(project: Path) -> None:
    (project / "tests").mkdir(parents=True)
    (project / "product.py").write_text(PRODUCT)
    (project / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (project / "tests/test_steps.py").write_text(TESTS)
    git = ("git", "-C", str(project), "-c", "user.name=x", "-c", "user.email=x@example.org")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "Add tests")):
        subprocess.run([*git, *words], check=True)
    (project / "product.py").write_text(f"{PRODUCT}# the other side has no comment here\n")


def main(runs: int = 1) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        make(project)
        for name, options in RUNS.items():
            found = [run(project, options) for _ in range(runs)]
            whole_s, tests_s = (
                median(getattr(one, field) for one in found) for field in ("whole_s", "tests_s")
            )
            processes = median(one.processes for one in found)
            print(
                f"{name}: {whole_s:.1f} s, of them {tests_s / TEST_COUNT:.1f} s a test and "
                f"{whole_s - tests_s:.1f} s once; {processes:g} processes"
            )
            for kind in KINDS:
                seconds = median(one.by_kind[kind] for one in found)
                print(f"  {seconds:7.1f} s  {seconds / whole_s:4.0%}  {kind}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
