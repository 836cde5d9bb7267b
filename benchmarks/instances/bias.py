"""What the plugin measures of several instances, against as many processes started by hand.

    python benchmarks/instances/bias.py [RUNS]

Both sides are pinned to one CPU for each process, and take turns on the same CPUs. The processes
that are started by hand run a plain loop, and a fork, a barrier, a reference workload they have
not. Printed is the ratio of all calls a second, plugin ÷ by hand, with its 95 % interval. A run
counts once, with the median over its turns.
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


def run(workload: str, runs: int) -> list[float]:
    """Of each run, plugin ÷ by hand."""
    with tempfile.TemporaryDirectory() as folder:
        file, beside = Path(folder) / "out.json", Path(folder) / "beside.json"
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
                "BESIDE": str(beside),
                "WORKLOAD": workload,
                "INSTANCES": str(INSTANCES),
            },
        )
        if finished.returncode:
            sys.exit(finished.stdout + finished.stderr)
        (benchmark,) = json.loads(file.read_text())["benchmarks"]
        by_hand = json.loads(beside.read_text())
    samples = benchmark["extra_info"]["tf_threads"]["processes"]
    return [ratio(*both) for both in zip(samples, by_hand, strict=True)]


def ratio(sample: dict, by_hand: list[float | None]) -> float:
    """The median over turns that both sides have."""
    plugin: list[float | None] = [sample["iterations"] / wall_s for wall_s in sample["wall_s"]]
    for place in sorted(sample["turns_missed"]):
        plugin.insert(place, None)
    logs = [
        math.log(one / other) for one, other in zip(plugin, by_hand, strict=False) if one and other
    ]
    return math.exp(median(logs))


def main(runs: int) -> None:
    print(f"calls a second of {INSTANCES} processes, plugin / by hand, {runs} runs, in turns")
    for workload in ("small_function", "matmul"):
        estimate = mean_of_ratios(run(workload, runs))
        print(
            f"  {workload:16}{estimate.value:7.3f}  [{estimate.low:.3f}, {estimate.high:.3f}]",
            flush=True,
        )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    main(int(sys.argv[1]) if len(sys.argv) == 2 else 6)
