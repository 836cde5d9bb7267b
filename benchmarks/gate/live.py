"""How often the duet is right on a real repository whose changes are known.

    python benchmarks/gate/live.py [GATES] [--plain] [--beside=LOOPS] [OPTION …]

Makes a git repository with a small product and its tests, and for each kind of change GATES times
(default: 10) asks `pytest --tf-threads-duet=HEAD` whether the changed tree is slower; with --plain
a run of the baseline is saved first, and `pytest --benchmark-compare` is asked. With --beside so
many busy loops run beside all of this, the saved run too. OPTIONs go to pytest. Prints a table of
verdicts against what is true, and the seconds that a gate took for each test.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from contended import busy_loops

PRODUCT = """\
import contextlib
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

PRODUCTS = 40  # matrix products a step
BURN_SHARE = 0.0  # of a core, beside the work
LOCK = contextlib.nullcontext()

weights = tf.random.stateless_uniform((128, 128), seed=(1, 2)) * 0.1


@tf.function
def step(products):
    result = weights
    for _ in range(products):
        result = tf.nn.relu(tf.matmul(result, weights))
    return result


def work():
    return step(PRODUCTS)


def start_burning():
    if BURN_SHARE:
        threading.Thread(target=_burn, daemon=True).start()


def _burn():
    data = bytes(1 << 20)
    while True:
        begun_s = time.thread_time()
        hashlib.sha256(data)  # without the interpreter's lock
        time.sleep((time.thread_time() - begun_s) * (1 - BURN_SHARE) / BURN_SHARE)


pool = ThreadPoolExecutor(2)


def work_in_threads():
    return list(pool.map(_locked_step, range(2)))


def _locked_step(_):
    with LOCK:
        return step(40).numpy()
"""
TESTS = """\
import pytest

import product


@pytest.mark.tf_threads(1, 1)
def test_step(benchmark):
    benchmark(product.work)


@pytest.mark.tf_threads(1, 1, cpus=2)
def test_beside(benchmark):
    product.start_burning()
    benchmark(product.step, 40)


@pytest.mark.tf_threads(1, 2)
def test_threads(benchmark):
    benchmark(product.work_in_threads)
"""
SLOWER = {"throughput", "cpu_efficiency"}


@dataclass(frozen=True)
class Change:
    """An edit of the product, the test that finds it, and the metrics in which it is slower."""

    name: str
    old: str
    new: str
    test: str
    slower: frozenset[str] = frozenset()


CHANGES = (
    Change("unchanged", "", "", ""),
    *(
        Change(
            f"{share} % more work",
            "PRODUCTS = 40",
            f"PRODUCTS = {40 * (100 + share) // 100}",
            "test_step",
            frozenset(SLOWER),
        )
        for share in (5, 10, 20)
    ),
    Change(
        "burns 30 % of a core",
        "BURN_SHARE = 0.0",
        "BURN_SHARE = 0.3",
        "test_beside",
        frozenset({"cpu_efficiency"}),
    ),
    Change(
        "a lock",
        "contextlib.nullcontext()",
        "threading.Lock()",
        "test_threads",
        frozenset({"throughput"}),
    ),
)

Verdicts = Mapping[tuple[str, str], dict[str, Any]]  # by test and metric, as recorded


def main(gates: int, is_plain: bool, loops: int, options: Sequence[str]) -> None:
    """Ask in random order, and print the table."""
    question = ["--benchmark-compare" if is_plain else "--tf-threads-duet=HEAD", *options]
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory, busy_loops(loops):
        make_repository(Path(directory))
        if is_plain:
            save_baseline(Path(directory))
        rounds = [change for change in CHANGES for _ in range(gates)]
        random.Random(1).shuffle(rounds)
        for number, change in enumerate(rounds):
            begun_s = time.monotonic()
            judged = gate(Path(directory), change, question)
            tests = {test for test, _ in judged}
            seconds[change.name].append((time.monotonic() - begun_s) / len(tests))
            for (test, metric), verdict in judged.items():
                found[change.name, test, metric].append(verdict)
                told = f"{test} {metric}: {verdict['status']} {verdict['change']}"
                print(f"{number + 1}/{len(rounds)} {change.name}: {told}", file=sys.stderr)
    beside = f" beside {loops} busy loops" if loops else ""
    print(f"{gates} gates a change{beside}; load at the end {psutil.getloadavg()[0]:.1f}")
    print("| change | test | metric | meant to be | verdicts | median change | seconds a test |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for (name, test, metric), verdicts in sorted(found.items(), key=lambda one: order(one[0][0])):
        change = CHANGES[order(name)]
        truth = "slower" if metric in change.slower else "unchanged"
        counts = Counter(verdict["status"] for verdict in verdicts)
        told = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        size = median(verdict["change"]["value"] for verdict in verdicts if verdict["change"])
        print(
            f"| {name} | {test} | {metric} | {truth} | {told} | {100 * size:+.1f} % | "
            f"{median(seconds[name]):.0f} |"
        )


def order(name: str) -> int:
    """The place of a change in the list."""
    return [change.name for change in CHANGES].index(name)


def make_repository(top: Path) -> None:
    """The product at its baseline, committed."""
    (top / "src").mkdir()
    (top / "tests").mkdir()
    (top / "pytest.ini").write_text("[pytest]\npythonpath = src\n")
    (top / "src" / "product.py").write_text(PRODUCT)
    (top / "tests" / "test_product.py").write_text(TESTS)
    git = ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "baseline"]):
        subprocess.run([*git, *arguments], cwd=top, check=True)


def save_baseline(top: Path) -> None:
    """A saved run of the committed tree, as CI has one."""
    arguments = ["-m", "pytest", "-p", "no:cacheprovider", "-q", "--benchmark-save=baseline"]
    subprocess.run([sys.executable, *arguments], cwd=top, check=True, stdout=sys.stderr)


def gate(top: Path, change: Change, question: Sequence[str]) -> Verdicts:
    """Have the gate, asked by these options, judge the tests of the changed tree."""
    assert change.old in PRODUCT
    (top / "src" / "product.py").write_text(PRODUCT.replace(change.old, change.new, 1))
    out = Path(top / "out.json")
    arguments = [*question, f"--benchmark-json={out}", "-q", "-k", change.test]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=top,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if not out.exists():
        sys.exit(run.stdout + run.stderr)
    benchmarks = json.loads(out.read_text())["benchmarks"]
    out.unlink()
    return {
        (one["name"].partition("[")[0], verdict["metric"]): verdict
        for one in benchmarks
        for verdict in one["extra_info"]["tf_threads"]["verdicts"]
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("gates", nargs="?", type=int, default=10)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--beside", type=int, default=0, metavar="LOOPS")
    given, rest = parser.parse_known_args()
    main(given.gates, given.plain, given.beside, rest)
