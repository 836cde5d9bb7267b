"""The same commits, judged by this plugin and by other tools: false alarms, losses found, seconds.

    pip install asv pyperf
    python benchmarks/peers/compare.py [BUILDS] [--tools=NAME;...]

Makes a git repository with a small product. For each kind of change a build is a new commit, and
each tool is asked BUILDS times (default: 10) whether the changed code is slower than the first
commit, in random order. Prints how many builds of each kind a tool failed, and the median seconds
of a build. What a tool measures once, and compares with for ever, is not counted in these seconds.

Each tool is used as its documentation recommends for two commits on one machine:

- pytest-benchmark: a saved run, then `--benchmark-compare-fail`, by the mean and by the minimum.
- pyperf: two files of its runner, then `compare_to`; a significant change of 5 % or more fails.
- asv: `asv continuous` makes an environment for each commit, which takes a package index. In an
  existing environment the nearest is to `run` each commit, then to `compare`; a significant change
  by a factor of 1.05 fails.
- This plugin: the plain `--benchmark-compare` with one saved run, and `--tf-threads-duet`.

pytest-codspeed (5.0) measures wall time locally, but compares runs only in its hosted service.

All have one intra-op and one inter-op thread: this plugin by its marker, the others by
TensorFlow's environment variables.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import asv_tool
import psutil

PRODUCT = """\
import tensorflow as tf

PRODUCTS = 40  # matrix products a step

weights = tf.random.stateless_uniform((128, 128), seed=(1, 2)) * 0.1


@tf.function
def step(products):
    result = weights
    for _ in range(products):
        result = tf.nn.relu(tf.matmul(result, weights))
    return result


def work():
    return step(PRODUCTS).numpy()
"""
FILES = {
    "src/product.py": PRODUCT,
    "pytest.ini": "[pytest]\npythonpath = src\n",
    ".gitignore": f"{asv_tool.KEPT}\n.benchmarks\n__pycache__\n*.json\n!asv.conf.json\n",
    "marked/test_product.py": """\
import pytest

import product


@pytest.mark.tf_threads(1, 1)
def test_step(benchmark):
    benchmark(product.work)
""",
    "plain/test_product.py": """\
import product


def test_step(benchmark):
    benchmark(product.work)
""",
    "perf/step.py": """\
import pyperf

import product

pyperf.Runner().bench_func("step", product.work)
""",
    **asv_tool.files("product.work", 0.05),
}
CHANGES = {"unchanged": 40, "5 % more work": 42, "10 % more work": 44, "20 % more work": 48}
REGRESSED = ("Performance has regressed", "regression: ")  # pytest-benchmark's words, and ours
GIT = ("git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")


@dataclass(frozen=True)
class Tool:
    """`save` measures the first commit once; `fails` judges the commit that is checked out."""

    name: str
    save: Callable[[Path], None]
    fails: Callable[[Path], bool]


def main(builds: int, names: list[str]) -> None:
    tools = [tool for tool in TOOLS if not names or tool.name in names]
    failed: Counter[tuple[str, str]] = Counter()
    seconds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        make_repository(top)
        for tool in tools:
            tool.save(top)
        judged = [(change, tool) for change in CHANGES for tool in tools for _ in range(builds)]
        random.Random(1).shuffle(judged)
        for number, (change, tool) in enumerate(judged):
            commit(top, PRODUCT.replace("= 40", f"= {CHANGES[change]}"), f"build {number}")
            began_s = time.monotonic()
            fails = tool.fails(top)
            seconds[tool.name].append(time.monotonic() - began_s)
            failed[tool.name, change] += fails
            told = f"{number + 1}/{len(judged)} {tool.name}, {change}: {'fails' if fails else '-'}"
            print(f"{told}, {seconds[tool.name][-1]:.0f} s", file=sys.stderr)
    print(f"{builds} builds of each kind; load at the end {psutil.getloadavg()[0]:.1f}")
    print(f"| tool | {' | '.join(CHANGES)} | seconds a build |")
    print(f"| --- |{' --- |' * len(CHANGES)} --- |")
    for tool in tools:
        counts = " | ".join(f"{failed[tool.name, change]} of {builds}" for change in CHANGES)
        print(f"| {tool.name} | {counts} | {median(seconds[tool.name]):.0f} |")


# -- the repository ------------------------------------------------------------------------


def make_repository(top: Path) -> None:
    for name, text in FILES.items():
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text(text)
    run(top, *GIT, "init", "-q")
    commit(top, PRODUCT, "the first commit")
    run(top, *GIT, "tag", "first")


def commit(top: Path, product: str, message: str) -> None:
    (top / "src" / "product.py").write_text(product)
    run(top, *GIT, "add", "-A")
    run(top, *GIT, "commit", "-q", "--allow-empty", "-m", message)


def run(top: Path, *command: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    paths = {"PYTHONPATH": str(top / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=top, capture_output=True, text=True, env={**os.environ, **threads, **paths}
    )
    if done.returncode and not may_fail:
        sys.exit(f"{command}\n{done.stdout}{done.stderr}")
    return done


# -- the tools -----------------------------------------------------------------------------


def pytest(top: Path, *arguments: str) -> bool:
    """Whether a run of pytest fails for its benchmarks. Any other end ends this program."""
    done = run(
        top, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments,
        may_fail=True,
    )  # fmt: skip
    told = done.stdout + done.stderr
    has_regressed = any(words in told for words in REGRESSED)
    if done.returncode and not has_regressed:
        sys.exit(told)
    return has_regressed


def pytest_benchmark(field: str) -> Tool:
    def save(top: Path) -> None:
        pytest(top, "plain", "-p", "no:tfthreads", f"--benchmark-save={field}")

    def fails(top: Path) -> bool:
        (saved,) = (top / ".benchmarks").rglob(f"*_{field}.json")
        return pytest(
            top, "plain", "-p", "no:tfthreads",
            f"--benchmark-compare={saved.name.partition('_')[0]}",
            f"--benchmark-compare-fail={field}:5%",
        )  # fmt: skip

    return Tool(f"pytest-benchmark, {field}:5%", save, fails)


def save_plain(top: Path) -> None:
    pytest(top, "marked", "--benchmark-storage=own", "--benchmark-save=first")


def plain_fails(top: Path) -> bool:
    return pytest(top, "marked", "--benchmark-storage=own", "--benchmark-compare")


def duet_fails(top: Path) -> bool:
    return pytest(top, "marked", "--tf-threads-duet=first")


def perf(top: Path, out: str) -> None:
    (top / out).unlink(missing_ok=True)
    inherited = "--inherit-environ=PYTHONPATH,TF_NUM_INTRAOP_THREADS,TF_NUM_INTEROP_THREADS"
    run(top, sys.executable, "perf/step.py", "-q", inherited, "-o", out)


def perf_fails(top: Path) -> bool:
    perf(top, "now.json")
    compare = ("-m", "pyperf", "compare_to", "--min-speed=5", "first.json", "now.json")
    return "slower" in run(top, sys.executable, *compare).stdout


def asv_run(top: Path) -> None:
    asv_tool.measure(top, run(top, "git", "rev-parse", "HEAD").stdout.strip())


def asv_save(top: Path) -> None:
    asv_tool.prepare(top)
    asv_run(top)


def asv_fails(top: Path) -> bool:
    asv_run(top)
    return asv_tool.compared(top, "first", "HEAD", 1.05) == "slower"


TOOLS = (
    pytest_benchmark("mean"),
    pytest_benchmark("min"),
    Tool("pyperf", lambda top: perf(top, "first.json"), perf_fails),
    Tool("asv", asv_save, asv_fails),
    Tool("pytest-tfthreads, --benchmark-compare", save_plain, plain_fails),
    Tool("pytest-tfthreads, --tf-threads-duet", lambda _: None, duet_fails),
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("builds", nargs="?", type=int, default=10)
    parser.add_argument("--tools", default="", help=", ".join(tool.name for tool in TOOLS))
    options = parser.parse_args()
    main(options.builds, [name for name in options.tools.split(";") if name])
