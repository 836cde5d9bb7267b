"""Saved runs as pytest-benchmark writes them, by the thousand, of a suite that never ran.

    python benchmarks/history/saved.py DIRECTORY [RUNS [CONFIGURATIONS]]

Each has three processes of 200 rounds a configuration. Speeds drift by 3 % from run to run and by
5 % from process to process; every tenth of the runs the code or TensorFlow changes the speed.
"""

from __future__ import annotations

import functools
import json
import math
import random
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

PROCESSES = 3
ROUNDS = 200
CHANGES = 10
MACHINE = {
    "cpu": "AMD EPYC 7B13",
    "physical": 4,
    "logical": 8,
    "quota": None,
    "onednn": "default",
    "python": "3.11.7",
    "plugin": "0.1.0",
}
_GRID = 0.01  # of a log speed: processes of one speed share the text of their rounds
_VARIANTS = 4
_ROUND_S = 0.0056
_HOLE = '"@@{}@@"'


def write(
    directory: Path, runs: int, configurations: int, seed: int = 1, commits: tuple[str, ...] = ()
) -> int:
    """Fill a storage; the number of bytes written. `commits`: ids, oldest first."""
    rng = random.Random(seed)
    folder = directory / "Linux-CPython-3.11-64bit"
    folder.mkdir(parents=True)
    steps = {
        configuration: [0.0, *(rng.choice([0, 0, -0.3, -0.1, 0.1, 0.2]) for _ in range(CHANGES))]
        for configuration in range(configurations)
    }
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    total = 0
    for number in range(runs):
        era = number * CHANGES // runs
        moment = start + timedelta(hours=3 * number)
        commit = commits[number * len(commits) // runs] if commits else f"{number // 2:040x}"
        text = _text(rng, moment, commit, era, {one: sum(steps[one][: era + 1]) for one in steps})
        path = folder / f"{number + 1:04}_nightly.json"
        path.write_text(text)
        total += len(text)
    return total


def _text(
    rng: random.Random, moment: datetime, commit: str, era: int, levels: dict[int, float]
) -> str:
    benchmarks = []
    rounds: list[str] = []
    for configuration, level in levels.items():
        drift = rng.gauss(0, 0.03)
        processes = []
        for _ in range(PROCESSES):
            log_speed = level + drift + rng.gauss(0, 0.05)
            processes.append(_process(len(rounds)))
            rounds.append(_rounds(round(log_speed / _GRID), rng.randrange(_VARIANTS)))
        benchmarks.append(_benchmark(configuration, era, processes))
    data = {
        "machine_info": {"node": "builder", "processor": "x86_64", "cpu": {"count": 8}},
        "commit_info": {"id": commit, "dirty": False, "branch": "main", "project": "suite"},
        "benchmarks": benchmarks,
        "datetime": moment.isoformat(),
        "version": "5.2.1",
        "tf_threads": {"seed": 1, "sweeps": [], "failed": [], "complete": True},
    }
    text = json.dumps(data, indent=4)
    for number, one in enumerate(rounds):
        text = text.replace(_HOLE.format(number), one)
    return text


def _benchmark(configuration: int, era: int, processes: list[dict[str, Any]]) -> dict[str, Any]:
    name = f"test_step_{configuration // 2}[intra{1 + configuration % 2}-inter1]"
    threads = 1 + configuration % 2
    numbers = ("min", "max", "mean", "stddev", "median", "iqr", "q1", "q3", "ld15iqr", "hd15iqr")
    return {
        "group": None,
        "name": name,
        "fullname": f"benchmarks/test_suite.py::{name}",
        "params": {"intra": str(threads), "inter": "1"},
        "param": name.partition("[")[2][:-1],
        "extra_info": {
            "tf_threads": {
                "schema": 1,
                "intra": threads,
                "inter": 1,
                "effective": {"intra": threads, "inter": 1},
                "cpus": list(range(threads)),
                "start": "fork",
                "items": 32,
                "unit": "images",
                "processes": processes,
                "machine": {**MACHINE, "tensorflow": f"2.{16 + era // 2}.0"},
                "flags": [],
            }
        },
        "options": {"disable_gc": False, "min_rounds": 5, "warmup": False},
        "stats": dict.fromkeys(numbers, 0.005632),
    }


def _process(number: int) -> dict[str, Any]:
    return {
        "wall_s": f"@@{number}@@",
        "cpu_s": f"@@{number}@@",
        "iterations": 8,
        "warmup_rounds": 50,
        "setup_s": 0.0712,
        "max_rss_bytes": 612_000_000,
        "voluntary_switches": 211,
        "involuntary_switches": 35,
        "cpus": [0],
        "ring": 0,
        "turn_rounds": 2,
        "reference_wall_s": 0.00171,
        "reference_cpu_s": 0.00170,
    }


@functools.cache
def _rounds(speed: int, variant: int) -> str:
    rng = random.Random(f"{speed} {variant}")
    mean_s = _ROUND_S * math.exp(-speed * _GRID)
    indent = " " * 28
    values = (mean_s * math.exp(rng.gauss(0, 0.05)) for _ in range(ROUNDS))
    return f"[\n{indent}" + f",\n{indent}".join(map(repr, values)) + f"\n{indent[4:]}]"


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[2:]]
    runs, tests = numbers + [1000, 8][len(numbers) :]
    print(write(Path(sys.argv[1]), runs, tests), "bytes")
