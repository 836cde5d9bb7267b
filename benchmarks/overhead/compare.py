"""What the plugin costs, side by side with doing without it.

    python benchmarks/overhead/compare.py start [PAIRS]
        seconds from the order to the test's first call: a fork of the preloaded interpreter
        against a fresh process
    python benchmarks/overhead/compare.py bias [PAIRS]
        seconds a call: the plugin against a hand-written loop in a fresh process

Both alternate the two sides and print the ratio with its 95 % interval, a pair being the sample.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from pytest_tfthreads.core.stats.estimates import mean_of_ratios

HERE = Path(__file__).parent
CPU = min(os.sched_getaffinity(0))


def through_the_plugin(workload: str, *options: str, cpus: set[int] | None = None) -> dict:
    """`extra_info["tf_threads"]` of one workload; on these CPUs only, if given."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "out.json"
        run = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *(str(HERE / "measured.py"), "-k", workload, f"--benchmark-json={file}"),
                *options,
            ],
            capture_output=True,
            text=True,
            preexec_fn=None if cpus is None else lambda: os.sched_setaffinity(0, cpus),
        )
        if run.returncode:
            sys.exit(run.stdout + run.stderr)
        (benchmark,) = json.loads(file.read_text())["benchmarks"]
    recorded = benchmark["extra_info"]["tf_threads"]
    assert not recorded["flags"] or recorded["flags"] == ["fresh"], recorded["flags"]
    return recorded


def by_hand(workload: str) -> float:
    """Seconds a call."""
    script = [sys.executable, str(HERE / "by_hand.py"), workload, str(CPU)]
    return float(subprocess.run(script, check=True, capture_output=True, text=True).stdout)


def compare_start(pairs: int) -> None:
    forks, fresh = [], []
    for _ in range(pairs):
        processes = [
            through_the_plugin("small_function", f"--tf-threads-start={start}", *options)[
                "processes"
            ]
            for start, options in (
                ("fork", ("--tf-threads-processes=6",)),
                ("fresh", ("--tf-threads-processes=2",)),
            )
        ]
        forks.append(median(one["setup_s"] for one in processes[0]))
        fresh.append(median(one["setup_s"] for one in processes[1]))
    print(f"order to first call, {pairs} pairs (each side's median, then their range)")
    for name, seconds in (("fork", forks), ("fresh", fresh)):
        print(f"  {name:6}{median(seconds):7.3f} s  [{min(seconds):.3f}, {max(seconds):.3f}]")
    print_ratio("fresh / fork", [b / a for a, b in zip(forks, fresh, strict=True)])


def compare_bias(pairs: int) -> None:
    print(f"seconds a call, plugin / by hand, {pairs} pairs, 1 intra-op thread on CPU {CPU}")
    for workload in ("small_function", "matmul", "keras_step"):
        ratios = []
        for pair in range(pairs):
            # The side that goes first changes, so that a drift of the machine favours neither.
            sides = {}
            for side in ("plugin", "hand") if pair % 2 else ("hand", "plugin"):
                if side == "hand":
                    sides[side] = by_hand(workload)
                else:
                    recorded = through_the_plugin(workload, "--tf-threads-processes=1", cpus={CPU})
                    assert recorded["cpus"] == [CPU]
                    sides[side] = 1 / recorded["throughput"]["value"]
            ratios.append(sides["plugin"] / sides["hand"])
        print_ratio(workload, ratios)


def print_ratio(name: str, ratios: list[float]) -> None:
    estimate = mean_of_ratios(ratios)
    print(
        f"  {name:16}{estimate.value:7.3f}  [{estimate.low:.3f}, {estimate.high:.3f}]", flush=True
    )


if __name__ == "__main__":
    modes = {"start": compare_start, "bias": compare_bias}
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in modes:
        sys.exit(__doc__)
    modes[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) == 3 else 8)
