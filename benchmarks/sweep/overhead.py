"""What a sweep takes beyond what it measures: 20 configurations, 3 processes each.

    python benchmarks/sweep/overhead.py [FRESH]

One small test is swept over 2 x 10 configurations. Prints the wall time of the run over the sum of
its warm-ups and measured rounds. Beside it: the wall time of one process of the sweep over that of
a fresh process with a loop written by hand, which warms up and measures as long (the median of
FRESH of them, default 6, half before the sweep and half after it).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

OVERHEAD = Path(__file__).parents[1] / "overhead"
sys.path.insert(0, str(OVERHEAD))

import where  # noqa: E402

TEST = """\
import pytest
from workloads import WORKLOADS


@pytest.mark.tf_threads(intra=[1, 2], inter=list(range(1, 11)))
def test_step(benchmark):
    benchmark(WORKLOADS["small_function"]())
"""
MEASURED = ("first call, warm-up, calibration", "measured rounds")


def fresh_s() -> float:
    """Wall seconds of a fresh process with a loop written by hand."""
    cpu = min(os.sched_getaffinity(0))
    began_s = time.monotonic()
    subprocess.run(
        [sys.executable, str(OVERHEAD / "by_hand.py"), "small_function", str(cpu)],
        check=True,
        capture_output=True,
    )
    return time.monotonic() - began_s


def main(fresh: int = 6) -> None:
    by_hand_s = [fresh_s() for _ in range(fresh // 2)]
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        project.mkdir()
        (project / "conftest.py").write_text(f"import sys\nsys.path.append({str(OVERHEAD)!r})\n")
        (project / "test_step.py").write_text(TEST)
        swept = where.run(project, ())
    by_hand_s += [fresh_s() for _ in range(fresh - len(by_hand_s))]
    measured_s = sum(swept.by_kind[kind] for kind in MEASURED)
    of_one_s = swept.whole_s / swept.processes
    print(f"sweep: {swept.whole_s:.1f} s, {swept.processes} processes, {of_one_s:.2f} s each")
    print(f"  warm-ups and measured rounds: {measured_s:.1f} s")
    print(f"  the whole over these: {swept.whole_s / measured_s:.2f}")
    print(f"  of which once a run: {swept.whole_s - swept.tests_s:.1f} s")
    for kind in where.KINDS:
        if kind not in MEASURED:
            print(f"  {swept.by_kind[kind] / measured_s:6.1%} of these  {kind}")
    by_hand = median(by_hand_s)
    print(
        f"a fresh process by hand: {by_hand:.2f} s; the sweep's over it: {of_one_s / by_hand:.2f}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
