"""The suite of `twelve.py` by four pytest-xdist workers against one process.

    python benchmarks/xdist/compare.py [PAIRS]

Each of PAIRS rounds runs the suite three times in random order: `-n0`, `-n4`, and `-n4` with
`--tf-threads-pack`. Printed are the ratios to `-n0` of throughput (the geometric mean over tests,
and the test that is farthest from 1) and of the run's time, with Student's t interval over rounds.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from pytest_tfthreads.core.stats.estimates import Estimate, mean_of_ratios

SUITE = Path(__file__).parent / "twelve.py"
WAYS = {"-n0": ["-n0"], "-n4": ["-n4"], "-n4, packed": ["-n4", "--tf-threads-pack"]}


def run(options: list[str]) -> tuple[float, dict[str, float]]:
    """Seconds of the whole command, and throughput by test."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "out.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SUITE)]
        begun_s = time.monotonic()
        done = subprocess.run(
            [*command, f"--benchmark-json={file}", *options], capture_output=True, text=True
        )
        seconds = time.monotonic() - begun_s
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        benchmarks = json.loads(file.read_text())["benchmarks"]
    return seconds, {
        one["name"]: one["extra_info"]["tf_threads"]["throughput"]["value"] for one in benchmarks
    }


def main(pairs: int) -> None:
    """Measure and print."""
    seconds: dict[str, list[float]] = defaultdict(list)
    throughputs: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number in range(pairs):
        for way in random.Random(number).sample(list(WAYS), len(WAYS)):
            time_s, throughput = run(WAYS[way])
            seconds[way].append(time_s)
            throughputs[way].append(throughput)
            print(f"{number + 1}/{pairs} {way}: {time_s:.1f} s", file=sys.stderr)
    print(f"{pairs} rounds of 12 tests; ratios to -n0 [95 %]")
    for way in list(WAYS)[1:]:
        rounds = list(zip(throughputs[way], throughputs["-n0"], strict=True))
        by_test = {
            test: mean_of_ratios([now[test] / then[test] for now, then in rounds])
            for test in rounds[0][0]
        }
        overall = mean_of_ratios(
            [mean_of_ratios([now[test] / then[test] for test in now]).value for now, then in rounds]
        )
        times = zip(seconds[way], seconds["-n0"], strict=True)
        farthest = max(by_test, key=lambda test: max(by_test[test].value, 1 / by_test[test].value))
        print(
            f"{way}: throughput {shown(overall)}, farthest {farthest} {shown(by_test[farthest])}; "
            f"time {shown(mean_of_ratios([now / then for now, then in times]))}"
        )


def shown(ratio: Estimate) -> str:
    """With its interval, where there is one."""
    bounds = "" if ratio.low is None else f" [{ratio.low:.2f}, {ratio.high:.2f}]"
    return f"{ratio.value:.2f}{bounds}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
