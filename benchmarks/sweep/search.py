"""What --tf-threads-search finds, and in what share of the time, against the full grid.

    python benchmarks/sweep/search.py [--grid=SPEC] [TEST …]

For each test, the full grid and then the search over it, in two runs of pytest. SPEC is that of
--tf-threads; by default it has 20 configurations of two axes. Printed is the throughput of the
configuration that the search recommends over that of the grid's fastest, both as the full grid has
measured them (interval: 95 % for all pairs of the grid together), and the seconds of the two.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_tfthreads.core.decode import decode
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.sweep.comparison import Candidate, compare
from pytest_tfthreads.core.threads import Configuration

BENCHMARKS = Path(__file__).parents[1]
GRID = "intra=1,2,3,4,8;inter=1,2,3,4"
TESTS = (
    "test_small_ops.py::test_independent_matmul_chains",
    "test_small_ops.py::test_small_convolutions",
    "test_matmul.py::test_matmul",
    "test_train_step.py::test_train_step",
    "test_inference.py::test_inference",
)


def run(test: str, grid: str, *options: str) -> tuple[dict, float]:
    """What was recorded, and the seconds that it took."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "out.json"
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(str(BENCHMARKS / test), grid, f"--benchmark-json={file}", "-k", "not 1-intra"),
            *options,
        ]
        begun_s = time.monotonic()
        finished = subprocess.run(command, capture_output=True, text=True)
        seconds = time.monotonic() - begun_s
        if finished.returncode:
            sys.exit(finished.stdout + finished.stderr)
        return json.loads(file.read_text()), seconds


def candidates(recorded: dict) -> list[Candidate]:
    found = []
    for benchmark in recorded["benchmarks"]:
        recorded_one = benchmark["extra_info"]["tf_threads"]
        threads = decode(Configuration, recorded_one["configuration"]).threads
        measurement = Measurement.from_json(recorded_one)
        found.append(Candidate(threads.id, threads, measurement))
    return found


def main(tests: list[str], spec: str) -> None:
    for test in tests:
        grid, grid_s = run(test, spec)
        searched, search_s = run(test, spec, "--tf-threads-search")
        (sweep,) = searched["tf_threads"]["sweeps"]
        found = sweep["recommendation"]["best"]
        comparison = compare(candidates(grid))
        fastest = max(comparison.compared, key=comparison.log_throughput)
        ratio = comparison.throughput(found, fastest)
        interval = ratio.estimate
        cost = sweep["search"]
        print(
            f"{test.partition('::')[2]}: found {found}, fastest {fastest}, throughput "
            f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}] of it"
            f"{', told apart' if ratio.distinct else ''}; {cost['configurations']} of "
            f"{cost['grid_configurations']} configurations, {cost['processes']} of "
            f"{cost['grid_processes']} processes, {search_s:.0f} of {grid_s:.0f} s "
            f"({search_s / grid_s:.0%}; estimated {cost['seconds'] / cost['grid_s']:.0%})",
            flush=True,
        )


if __name__ == "__main__":
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--grid", default=GRID, metavar="SPEC")
    options.add_argument("tests", nargs="*", default=TESTS)
    given = options.parse_args()
    main(given.tests, f"--tf-threads={given.grid}")
