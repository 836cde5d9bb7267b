"""How far two identical configurations seem to be apart: in turns, and one after the other.

    python benchmarks/sweep/spread.py [PAIRS]

Each of PAIRS runs measures every workload of `twins.py` twice, in one process each, in turns; and
then once more one right after the other. Of identical configurations every ratio should be 1:
printed is the standard deviation of its logarithm, for throughput and for CPU efficiency, with
the 95 % interval of the quotient of the two deviations (F distribution).
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median, stdev

from scipy.stats import f as f_distribution

HERE = Path(__file__).parent
METRICS = {"throughput": "wall_s", "CPU efficiency": "cpu_s"}


def measure(*options: str) -> dict[str, list[dict]]:
    """The processes of both twins, by workload."""
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
        )
        if run.returncode:
            sys.exit(run.stdout + run.stderr)
        twins: dict[str, list[dict]] = defaultdict(list)
        for benchmark in json.loads(file.read_text())["benchmarks"]:
            name = benchmark["name"].partition("[")[0].removeprefix("test_")
            twins[name] += benchmark["extra_info"]["tf_threads"]["processes"]
    return twins


def blocks(process: dict, times: str) -> list[float]:
    seconds, size = process[times], process["turn_rounds"]
    return [
        sum(seconds[start : start + size]) / process["iterations"]
        for start in range(0, len(seconds) - size + 1, size)
    ]


def ratio_in_turns(first: dict, second: dict, times: str) -> float:
    assert first["ring"] == second["ring"] is not None
    pairs = zip(blocks(first, times), blocks(second, times), strict=True)
    return median(math.log(b / a) for a, b in pairs)


def ratio_one_after_the_other(first: dict, second: dict, times: str) -> float:
    a, b = (
        sum(process[times]) / len(process[times]) / process["iterations"]
        for process in (first, second)
    )
    return math.log(b / a)


def main(pairs: int) -> None:
    in_turns, apart = defaultdict(list), defaultdict(list)
    for number in range(pairs):
        seed = f"--tf-threads-seed={number}"
        for into, ratio, group in (
            (in_turns, ratio_in_turns, 2),
            (apart, ratio_one_after_the_other, 1),
        ):
            for workload, twins in measure(f"--tf-threads-group={group}", seed).items():
                for metric, times in METRICS.items():
                    into[workload, metric].append(ratio(*twins, times))
    quantile = f_distribution.ppf(0.975, pairs - 1, pairs - 1)
    print(f"standard deviation of the ratio of identical configurations, {pairs} pairs")
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
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    main(int(sys.argv[1]) if len(sys.argv) == 2 else 10)
