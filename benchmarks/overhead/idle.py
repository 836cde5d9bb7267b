"""What the plugin costs where nothing is marked, side by side with a pytest that has it not.

    python benchmarks/overhead/idle.py [PAIRS] [SCENARIO ...]

Runs pytest with pytest-benchmark, with the plugin and with `-p no:tfthreads`, in alternating order,
and prints CPU seconds of each (pytest's own, and those of its workers), the difference, and the
ratio with its 95 % interval, a pair being the sample. Scenarios: start (one test), help, collect
(2,000 trivial tests), run (the same), workers (the same under -n2, where pytest-xdist is
installed). `test`, after these, is the difference of run and start, for each test.
"""

from __future__ import annotations

import importlib.util
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from pytest_tfthreads.core.stats.estimates import mean_of_ratios

TESTS = 2000
WITHOUT = ("-p", "no:tfthreads")
NO_XDIST = ("-p", "no:xdist")
SCENARIOS = {
    "start": ("one.py", *NO_XDIST),
    "help": ("--help", *NO_XDIST),
    "collect": ("many.py", "--collect-only", *NO_XDIST),
    "run": ("many.py", *NO_XDIST),
    "workers": ("many.py", "-n2"),
}


def cpu_s(folder: Path, *args: str) -> float:
    """CPU seconds of one run of pytest, with those of its workers."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    before_s = _children_s()
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stdout + run.stderr)
    return _children_s() - before_s


def _children_s() -> float:
    """CPU seconds of all children so far; `os.times` would count them in hundredths."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def compare(folder: Path, args: tuple[str, ...], pairs: int) -> tuple[list[float], list[float]]:
    """CPU seconds with the plugin and without, pair by pair."""
    sides: tuple[list[float], list[float]] = [], []
    for more in (WITHOUT, ()):  # bytecode is written, files are read
        cpu_s(folder, *args, *more)
    for pair in range(pairs):
        order = (0, 1) if pair % 2 else (1, 0)
        for side in order:
            sides[side].append(cpu_s(folder, *args, *(WITHOUT if side else ())))
    return sides


def main(pairs: int, names: list[str]) -> None:
    differences_s = {}
    print(f"CPU seconds, medians of {pairs} pairs; ratio with / without, 95 % interval")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "one.py").write_text("def test(): pass\n")
        tests = "".join(f"def test_{number}(): pass\n" for number in range(TESTS))
        (folder / "many.py").write_text(tests)
        (folder / "pytest.ini").write_text("[pytest]\n")
        for name in names:
            with_it, without = compare(folder, SCENARIOS[name], pairs)
            differences_s[name] = median(a - b for a, b in zip(with_it, without, strict=True))
            ratio = mean_of_ratios([a / b for a, b in zip(with_it, without, strict=True)])
            print(
                f"  {name:8}{median(with_it):7.3f} with {median(without):7.3f} without "
                f"{1e3 * differences_s[name]:+7.1f} ms   "
                f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
            )
    if {"run", "start"} <= differences_s.keys():
        each_s = (differences_s["run"] - differences_s["start"]) / TESTS
        print(f"  test    {1e6 * each_s:+7.1f} µs each")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    count = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 10
    known = [
        name
        for name in SCENARIOS
        if name != "workers" or importlib.util.find_spec("xdist") is not None
    ]
    main(count, arguments or known)
