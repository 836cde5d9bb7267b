"""What the plugin measures of several instances, against as many processes started by hand.

    python benchmarks/instances/bias.py [RUNS]

Both sides are pinned to one CPU for each process, and take turns on the same CPUs. The processes
that are started by hand run a plain loop, and a fork, a barrier, a reference workload they have
not. Printed is the ratio of all calls a second, plugin ÷ by hand, with its 95 % interval. A run
counts once, with the median over its turns. A third side has the same loop in a test of pytest,
without the plugin: what the plugin adds to pytest, and what pytest itself costs, are printed too.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from pytest_tfthreads.core.stats.estimates import mean_of_ratios

HERE = Path(__file__).parent
INSTANCES = len(os.sched_getaffinity(0))
SECONDS = 2


def run(workload: str, runs: int) -> dict[str, list[float]]:
    """Of each run, the ratios that are printed, by what they compare."""
    with tempfile.TemporaryDirectory() as folder:
        file, rates_file = Path(folder) / "out.json", Path(folder) / "beside.json"
        finished = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "beside"),
                *(str(HERE.parent / "overhead" / "measured.py"), "-k", workload),
                *(f"--tf-threads=1x1x{INSTANCES}", f"--tf-threads-processes={runs}"),
                *(f"--benchmark-max-time={SECONDS}", f"--benchmark-json={file}"),
            ],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(HERE),
                "BESIDE": str(rates_file),
                "WORKLOAD": workload,
                "INSTANCES": str(INSTANCES),
            },
        )
        if finished.returncode:
            sys.exit(finished.stdout + finished.stderr)
        (benchmark,) = json.loads(file.read_text())["benchmarks"]
        beside = json.loads(rates_file.read_text())
    samples = benchmark["extra_info"]["tf_threads"]["processes"]
    found: dict[str, list[float]] = {}
    for sample, (by_hand, in_pytest) in zip(samples, beside, strict=True):
        plugin = rates(sample)
        for what, one, other in (
            ("plugin / by hand", plugin, by_hand),
            ("plugin / loop in a test", plugin, in_pytest),
            ("loop in a test / by hand", in_pytest, by_hand),
        ):
            found.setdefault(what, []).append(ratio(one, other))
    return found


def rates(sample: dict) -> list[float | None]:
    """Calls a second of all instances in each turn; None for a turn that does not count."""
    plugin: list[float | None] = [sample["iterations"] / wall_s for wall_s in sample["wall_s"]]
    for place in sorted(sample["turns_missed"]):
        plugin.insert(place, None)
    return plugin


def ratio(ones: list[float | None], others: list[float | None]) -> float:
    """The median over turns that both sides have."""
    both = [(one, other) for one, other in zip(ones, others, strict=False) if one and other]
    return math.exp(median(math.log(one / other) for one, other in both))


def main(runs: int) -> None:
    print(f"calls a second of {INSTANCES} processes, {runs} runs, in turns")
    for workload in ("small_function", "matmul"):
        for what, ratios in run(workload, runs).items():
            one = mean_of_ratios(ratios)
            figures = f"{one.value:7.3f}  [{one.low:.3f}, {one.high:.3f}]"
            print(f"  {workload:16}{what:26}{figures}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    main(int(sys.argv[1]) if len(sys.argv) == 2 else 6)
