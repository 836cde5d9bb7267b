"""Try marked tests beside other plugins; docs/how-to/other-plugins.md says what came of it.

    python tests/other_plugins/table.py            # prints the table
    python tests/other_plugins/table.py --write    # and puts it into the document

Run by hand or nightly, in an environment that has this project and its `test` dependency group. The
other plugins are installed by pip into a temporary directory; the environment stays as it is.
TensorFlow is the suite's fake one. Ends with 1 if a plugin did not do what its row says.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "how-to" / "other-plugins.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
# In one call, and without what they depend on, which would replace the environment's own pytest.
NEEDED = [
    *("dill", "filelock", "tblib", "parse", "parse-type", "gherkin-official", "Mako", "six"),
    *("freezegun", "python-dateutil"),
]

HEAD = """
import pathlib, random
import pytest

pytestmark = pytest.mark.benchmark(warmup=False, max_time=0.01)
marked = pytest.mark.tf_threads(1, 1)

def attempt():
    file = pathlib.Path("attempts")
    count = len(file.read_text()) if file.exists() else 0
    file.write_text("." * (count + 1))
    return count
"""
AGAIN = """
@marked
def test_one(benchmark):
    benchmark(int)
    assert attempt() == 1
"""
PLAIN = """
@marked
def test_one(benchmark):
    benchmark(int)
"""


@dataclass
class Run:
    """What a run of pytest left: its output, and the names of benchmarks."""

    directory: Path
    text: str
    errors: str
    benchmarks: list[str]

    def has(self, *outcomes: str) -> bool:
        last = self.text.strip().splitlines()[-1]
        return all(re.search(rf"\b{outcome}\b", last) for outcome in outcomes)


Pytest = Callable[..., Run]


@dataclass
class Trial:
    """A plugin: its distribution, what is shown, and whether it is so."""

    distribution: str
    shows: str
    source: str
    holds: Callable[[Pytest], bool]


def once(*args: str, outcomes: tuple[str, ...], rows: int) -> Callable[[Pytest], bool]:
    def holds(pytest: Pytest) -> bool:
        run = pytest(*args)
        return run.has(*outcomes) and len(run.benchmarks) == rows

    return holds


def same_numbers(pytest: Pytest) -> bool:
    first = pytest()
    seed = re.search(r"--randomly-seed=(\d+)", first.text)
    assert seed is not None, first.text
    drawn = sorted((first.directory / "drawn").read_text().split())
    (first.directory / "drawn").unlink()
    again = pytest(f"--randomly-seed={seed[1]}")
    return again.has("2 passed") and drawn == sorted(
        (first.directory / "drawn").read_text().split()
    )


def snapshots(pytest: Pytest) -> bool:
    written = pytest("--snapshot-update")
    kept = pytest()
    return "2 snapshots generated" in written.text and "2 snapshots passed" in kept.text


def retried(pytest: Pytest) -> bool:
    run = pytest("--retries=1")
    is_told = "where it cannot be measured once more" in run.text
    return is_told and run.has("1 failed", "1 passed") and len(run.benchmarks) == 1


TRIALS = [
    Trial(
        "pytest-rerunfailures",
        "Each attempt is a measurement; the last one is recorded and judged",
        AGAIN,
        once("--reruns=1", outcomes=("1 passed", "1 rerun"), rows=1),
    ),
    Trial(
        "flaky",
        "Each attempt is a measurement; the last one is recorded and judged",
        AGAIN,
        once("--force-flaky", outcomes=("1 passed",), rows=1),
    ),
    Trial(
        "pytest-retry",
        "Runs a test again in the same process: measured only if the first attempt failed before "
        "its benchmark; else the test fails and says so",
        AGAIN
        + "\n@marked\ndef test_two(benchmark):\n    assert attempt() == 2\n    benchmark(int)",
        retried,
    ),
    Trial(
        "pytest-forked",
        "`--forked` and the marker are ignored for marked tests, which have a process of their own",
        PLAIN,
        once("--forked", outcomes=("1 passed",), rows=1),
    ),
    Trial(
        "pytest-isolate",
        "`--isolate` and its limits are ignored for marked tests; use `--tf-threads-timeout`",
        PLAIN,
        once("--isolate", outcomes=("1 passed",), rows=1),
    ),
    Trial(
        "pytest-repeat",
        "Each repetition is a test of its own",
        PLAIN,
        once("--count=2", outcomes=("2 passed",), rows=2),
    ),
    Trial(
        "pytest-randomly",
        "The seed of the run holds in measuring processes, with the same numbers when it is given "
        "again",
        """
def draw(name):
    with open("drawn", "a") as file:
        file.write(f"{name}:{random.random()} ")

@marked
def test_marked():
    draw("marked")

def test_unmarked():
    draw("unmarked")
""",
        same_numbers,
    ),
    Trial(
        "syrupy",
        "Snapshots of marked tests are written by the run, and count as used",
        """
@marked
def test_marked(snapshot):
    assert {"a": 1} == snapshot

def test_unmarked(snapshot):
    assert {"b": 1} == snapshot
""",
        snapshots,
    ),
    Trial(
        "pytest-dependency",
        "Tests depend on marked ones, and marked ones on others",
        """
@marked
@pytest.mark.dependency()
def test_first(benchmark):
    benchmark(int)

@pytest.mark.dependency(depends=["test_first[intra1-inter1]"])
def test_second():
    assert False

@marked
@pytest.mark.dependency(depends=["test_second"])
def test_third(benchmark):
    benchmark(int)
""",
        once(outcomes=("1 passed", "1 failed", "1 skipped"), rows=1),
    ),
    Trial(
        "pytest-bdd",
        "A step may ask for `benchmark`",
        """
from pytest_bdd import scenario, when

pathlib.Path("it.feature").write_text(
    "Feature: Speed\\n  Scenario: Work\\n    When work is done\\n"
)

@marked
@scenario("it.feature", "Work")
def test_work():
    pass

@when("work is done")
def _(benchmark):
    benchmark(int)
""",
        once(outcomes=("1 passed",), rows=1),
    ),
    Trial(
        "pytest-freezer",
        "Time stands still for the test (freezegun), and not for the measurement",
        """
import datetime

@marked
@pytest.mark.freeze_time("2020-02-02")
def test_one(benchmark):
    assert benchmark(datetime.date.today) == datetime.date(2020, 2, 2)
""",
        once(outcomes=("1 passed",), rows=1),
    ),
    Trial(
        "pyfakefs",
        "Files are made up for the test, and not for what looks at its process",
        """
@marked
def test_one(benchmark, fs):
    fs.create_file("/made/up", contents="x")
    assert benchmark(pathlib.Path("/made/up").read_text) == "x"
    assert not pathlib.Path("/proc/self").exists()
""",
        once(outcomes=("1 passed",), rows=1),
    ),
    Trial(
        "pytest-mock",
        "What is mocked is so for the test alone",
        """
@marked
def test_one(benchmark, mocker):
    for name in ("os.getpid", "os.listdir", "builtins.open", "time.monotonic", "json.dumps"):
        mocker.patch(name, side_effect=RuntimeError(name))
    benchmark(int)
""",
        once(outcomes=("1 passed",), rows=1),
    ),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"into {DOCUMENT.relative_to(ROOT)}")
    parser.add_argument("names", nargs="*", help="only these plugins (distributions)")
    options = parser.parse_args()
    trials = [one for one in TRIALS if not options.names or one.distribution in options.names]
    rows, has_failed = [], False
    with tempfile.TemporaryDirectory() as text:
        installed = Path(text) / "plugins"
        distributions = [one.distribution for one in trials]
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
        subprocess.run([*pip, str(installed), *distributions, *NEEDED], check=True)
        found = {
            one.metadata["Name"].lower().replace("_", "-"): one
            for one in metadata.distributions(path=[str(installed)])
        }
        for number, trial in enumerate(trials):
            directory = Path(text) / f"trial{number}"
            directory.mkdir()
            (directory / "test_it.py").write_text(HEAD + trial.source)
            runs: list[Run] = []
            distribution = found[trial.distribution]
            (entry,) = distribution.entry_points.select(group="pytest11")
            holds = trial.holds(_runner(directory, installed, entry.name, runs))
            has_failed |= not holds
            seen = trial.shows if holds else "**does not work**"
            rows.append(f"| {trial.distribution} | {distribution.version} | {seen} |")
            print(rows[-1], flush=True)
            if not holds:
                print(*(run.text + run.errors for run in runs), sep="\n", file=sys.stderr)
    used = ", ".join(f"{name} {metadata.version(name)}" for name in ("pytest", "pytest-benchmark"))
    table = [
        f"With {used}:",
        "",
        "| plugin | version | beside marked tests |",
        "| --- | --- | --- |",
    ]
    if options.write and not options.names:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        text = "\n".join([*table, *rows])
        DOCUMENT.write_text(f"{before}{BEGIN}{text}\n{END}{after}")
    return int(has_failed)


def _runner(directory: Path, installed: Path, name: str, runs: list[Run]) -> Pytest:
    """Runs pytest with this plugin; `runs` gets what each run left."""

    def run(*args: str) -> Run:
        runs.append(_run(directory, installed, name, args))
        return runs[-1]

    return run


def _run(directory: Path, installed: Path, name: str, args: tuple[str, ...]) -> Run:
    file = directory / "out.json"
    file.unlink(missing_ok=True)
    fakes = [str(ROOT / "tests" / name) for name in ("fake_tensorflow", "fake_cpuinfo")]
    path = os.pathsep.join([*fakes, str(installed), str(ROOT)])
    options = ["-p", "no:cacheprovider", "--tf-threads-processes=1", "--tf-threads-timeout=60"]
    plugins = ["-p", "benchmark", "-p", "pytest_tfthreads.plugin", "-p", name]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, "--benchmark-json=out.json", *args],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    told = file.read_text() if file.exists() else ""
    names = [one["name"] for one in json.loads(told)["benchmarks"]] if told else []
    return Run(directory, run.stdout, run.stderr, names)


if __name__ == "__main__":
    sys.exit(main())
