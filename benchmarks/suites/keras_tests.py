"""What marking a real suite costs: Keras' own tests, unmarked and marked, in turns.

    python benchmarks/suites/keras_tests.py [PAIRS] [EXPRESSION]

Fetches the sdist of the Keras that is installed (with pip), copies some of its tests into two
directories, and marks those of one by a line at the end of each file: one configuration, nothing is
measured. Each pair runs both, in alternating order. Prints wall seconds and CPU seconds (pytest's
and those of all its processes), and the ratios marked / unmarked with their 95 % intervals, a pair
being the sample. EXPRESSION is pytest's -k.

Then a benchmark of a project with many modules is measured with and without preloading: how long
after its order a process makes its first call. Close other programs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from pytest_tfthreads.core.stats.estimates import mean_of_ratios

TESTS = "keras/src/layers/core"
FILES = ("dense_test.py", "embedding_test.py", "identity_test.py", "masking_test.py")
# The others of these files convert or export models, for seconds each.
SHORT = "not int8 and not int4 and not export and not quant and not gptq and not awq"
MARK = """
import pytest as _pytest

pytestmark = _pytest.mark.tf_threads(intra=1, inter=1)
"""
FIRST_CALL = """
import product
import pytest

@pytest.mark.tf_threads(intra=1, inter=1)
def test_first_call(benchmark):
    benchmark(product.part0.Part, 1)
"""
MODULES = 400  # of the project, each with a class or two


def fetch(folder: Path) -> Path:
    """The directory of Keras' tests, unpacked below this folder."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "keras"]
    name = f"keras=={version('keras')}"
    subprocess.run([*pip, "-d", str(folder), name], check=True)
    (archive,) = folder.glob("keras-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder)
    return folder / archive.name.removesuffix(".tar.gz") / TESTS


@dataclass(frozen=True)
class Run:
    """One run of pytest: seconds, and its outcomes in words."""

    wall_s: float
    cpu_s: float
    outcomes: str


def run(folder: Path, *args: str) -> Run:
    """Ends this program where a test fails."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    begun = os.times()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    ended = os.times()
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    cpu_s = sum(ended[2:4]) - sum(begun[2:4])  # of children that were waited for, and theirs
    outcomes = re.sub(r",? \d+ warnings?| in .*", "", done.stdout.splitlines()[-1])
    return Run(ended.elapsed - begun.elapsed, cpu_s, outcomes)


def main(pairs: int, expression: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        source = fetch(Path(place))
        sides = (Path(place, "unmarked"), Path(place, "marked"))
        for side, addition in zip(sides, ("", MARK), strict=True):
            side.mkdir()
            (side / "pytest.ini").write_text("[pytest]\n")
            for name in FILES:
                (side / name).write_text((source / name).read_text() + addition)
        compare(sides, pairs, expression)
        first_call(Path(place, "first"), pairs)


def compare(sides: tuple[Path, Path], pairs: int, expression: str) -> None:
    for side in sides:  # bytecode is written, files are read
        run(side, "-k", expression)
    runs: tuple[list[Run], list[Run]] = [], []
    for pair in range(pairs):
        for number in (0, 1) if pair % 2 else (1, 0):
            runs[number].append(run(sides[number], "-k", expression))
    outcomes = {one.outcomes for one in (*runs[0], *runs[1])}
    tests = int(re.match(r"\d+", min(outcomes))[0])  # type: ignore[index]
    print(f"{TESTS}: {' and '.join(sorted(outcomes))}; medians of {pairs} pairs")
    for kind in ("wall_s", "cpu_s"):
        unmarked, marked = ([getattr(one, kind) for one in side] for side in runs)
        ratio = mean_of_ratios([a / b for a, b in zip(marked, unmarked, strict=True)])
        each_s = median(a - b for a, b in zip(marked, unmarked, strict=True)) / tests
        print(
            f"  {kind:6} {median(marked):6.1f} marked {median(unmarked):6.1f} unmarked "
            f"{each_s:+.2f} each   ratio {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
            flush=True,
        )


def first_call(folder: Path, pairs: int) -> None:
    """From the order to the first call, of a project with many modules."""
    package = folder / "product"
    package.mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (package / "__init__.py").write_text(
        "".join(f"from product import part{number}\n" for number in range(MODULES))
    )
    for number in range(MODULES):
        methods = "".join(f"    def m{one}(self, x):\n        return x\n" for one in range(40))
        (package / f"part{number}.py").write_text(
            f"import dataclasses\n\n@dataclasses.dataclass\nclass Part:\n    x: int\n{methods}"
        )
    (folder / "test_first.py").write_text(FIRST_CALL)
    setup_s: dict[str, list[float]] = {"off": [], "auto": []}
    for pair in range(pairs + 1):
        for how in ("off", "auto") if pair % 2 else ("auto", "off"):
            arguments = [f"--tf-threads-preload={how}", "--benchmark-json=out.json"]
            run(folder, *arguments, "--benchmark-max-time=0.05")
            (measured,) = json.loads((folder / "out.json").read_text())["benchmarks"]
            processes = measured["extra_info"]["tf_threads"]["processes"]
            if pair:  # the first one writes bytecode
                setup_s[how].append(median(one["setup_s"] for one in processes))
    ratio = mean_of_ratios([a / b for a, b in zip(setup_s["auto"], setup_s["off"], strict=True)])
    print(f"order to first call, a project of {MODULES} modules")
    print(
        f"  {median(setup_s['auto']):.3f} s preloaded, {median(setup_s['off']):.3f} s not"
        f"   ratio {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
    )


if __name__ == "__main__":
    arguments = sys.argv[1:]
    count = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 5
    main(count, arguments[0] if arguments else SHORT)
