"""How far two identical configurations seem to be apart: in turns, and one after the other.

    python benchmarks/sweep/spread.py [PAIRS] [INSTANCES]

Each of PAIRS runs measures every workload of `twins.py` twice, in one process each, in turns; and
then once more one right after the other. With INSTANCES each of the two is a team of so many, with
one thread an instance. Of identical configurations every ratio should be 1: printed is the standard
deviation of its logarithm, for throughput and for CPU efficiency, with the 95 % interval of the
quotient of the two deviations (F distribution).
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median, stdev

from scipy.stats import f as f_distribution

from pytest_tfthreads.core.measurement import Sample
from pytest_tfthreads.core.sweep.comparison import blocks

HERE = Path(__file__).parent
METRICS = ("throughput", "CPU efficiency")  # of wall seconds, of CPU seconds


def measure(instances: int, *options: str) -> dict[str, list[Sample]]:
    """The processes of both twins, or their teams, by workload."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "out.json"
        run = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *(str(HERE / "twins.py"), "--tf-threads-processes=1", f"--benchmark-json={file}"),
                *options,
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "INSTANCES": str(instances)},
        )
        if run.returncode:
            sys.exit(run.stdout + run.stderr)
        twins: dict[str, list[Sample]] = defaultdict(list)
        for benchmark in json.loads(file.read_text())["benchmarks"]:
            name = benchmark["name"].partition("[")[0].removeprefix("test_")
            recorded = benchmark["extra_info"]["tf_threads"]["processes"]
            twins[name] += [Sample.from_json(one) for one in recorded]
    return twins


def ratio_in_turns(first: Sample, second: Sample, metric: str) -> float:
    assert first.ring == second.ring is not None
    unit = METRICS.index(metric)
    pairs = [
        (one[unit], other[unit])
        for one, other in zip(blocks(first, 1), blocks(second, 1), strict=True)
        if one[0] and other[0]  # a turn that instances of a team missed has no time
    ]
    return median(math.log(b / a) for a, b in pairs)


def ratio_one_after_the_other(first: Sample, second: Sample, metric: str) -> float:
    a, b = (
        1 / (one.calls_a_second if metric == "throughput" else one.calls_a_cpu_second)
        for one in (first, second)
    )
    return math.log(b / a)


def main(pairs: int = 10, instances: int = 1) -> None:
    in_turns: dict[tuple[str, str], list[float]] = defaultdict(list)
    apart: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(pairs):
        seed = f"--tf-threads-seed={number}"
        for into, ratio, group in (
            (in_turns, ratio_in_turns, 2),
            (apart, ratio_one_after_the_other, 1),
        ):
            found = measure(instances, f"--tf-threads-group={group}", seed)
            for workload, twins in found.items():
                for metric in METRICS:
                    first, second = twins
                    into[workload, metric].append(ratio(first, second, metric))
    quantile = f_distribution.ppf(0.975, pairs - 1, pairs - 1)
    each = f", {instances} instances each" if instances > 1 else ""
    print(f"standard deviation of the ratio of identical configurations, {pairs} pairs{each}")
    print(f"{'':34}in turns  one after the other  quotient [95 %]")
    for key, ratios in in_turns.items():
        turns_sd, apart_sd = stdev(ratios), stdev(apart[key])
        quotient = apart_sd / turns_sd
        low, high = quotient / math.sqrt(quantile), quotient * math.sqrt(quantile)
        print(
            f"{key[0]:16}{key[1]:16}{turns_sd:10.1%}{apart_sd:21.1%}"
            f"{quotient:10.1f} [{low:.1f}, {high:.1f}]"
        )


if __name__ == "__main__":
    if len(sys.argv) > 3:
        sys.exit(__doc__)
    main(*map(int, sys.argv[1:]))
