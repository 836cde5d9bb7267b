"""How often the intervals of throughput and CPU efficiency hold the truth, and how wide they are.

    python benchmarks/sweep/intervals.py [RUNS]

Draws runs from recorded noise and asks the plugin's rule; beside it Student's t of each
configuration's own processes.

- *apart*: runs of recorded processes (recordings/sessions.json), which took no turns. Of the eight
  processes that a session has of a configuration some are measured, and the mean of the others is
  the truth; the interval is widened by that mean's own error. A workload is a test, its numbers of
  threads are configurations.
- *in turns*: sweeps drawn from recorded pairs that took turns (recordings/pair_totals.json). What a
  pair had in common is that of a ring; half its difference, of another pair, is a process's own.
  Truth is the mean of all pairs of a session.
- *quiet*: the same without what is common, as on a machine of its own.

"unequal": one configuration of each test has four times the noise of the others.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from pytest_tfthreads.core.stats.estimates import Spread, student_t
from pytest_tfthreads.core.stats.pooled_spread import Processes, pooled_spreads

DATA = Path(__file__).parents[2] / "recordings"
SESSIONS = json.loads((DATA / "sessions.json").read_text(encoding="utf-8"))["cases"]
PAIRS = json.loads((DATA / "pair_totals.json").read_text(encoding="utf-8"))["cases"]
WORKLOADS = ("conv", "keras", "matmul512", "smallop")
METRICS = {"throughput": 0, "CPU efficiency": 1}  # and their columns
NOISIER = 4.0
SEED = 8


@dataclass(frozen=True)
class Configuration:
    """What was measured of it, its true log figure, and how well that is known.

    `error` is the standard error of the truth's own, in units of a process's deviation.
    """

    processes: Processes
    truth: float = 0.0
    error: float = 0.0
    is_noisy: bool = False


Run = list[list[Configuration]]  # the configurations of each test
Draw = Callable[[random.Random, str], Run]


def apart(workloads: Sequence[str], processes: int = 3, unequal: bool = False) -> Draw:
    """A run of recorded processes."""

    def draw(rng: random.Random, metric: str) -> Run:
        session = rng.choice("012345")
        run = []
        for workload in workloads:
            cases = [case for case in SESSIONS if case.startswith(f"{workload}-")]
            noisy = rng.choice(cases) if unequal else None
            run.append(
                [recorded(rng, metric, case, session, processes, case == noisy) for case in cases]
            )
        return run

    return draw


def recorded(
    rng: random.Random, metric: str, case: str, session: str, processes: int, is_noisy: bool
) -> Configuration:
    rows = SESSIONS[case]["unchanged"][session]
    scale = NOISIER if is_noisy else 1.0
    logs = [scale * math.log(row[METRICS[metric]]) for row in rng.sample(rows, len(rows))]
    measured, others = logs[:processes], logs[processes:]
    return Configuration(
        Processes(measured, [None] * processes),
        fmean(others),
        1 / math.sqrt(len(others)),
        is_noisy,
    )


def in_turns(
    tests: int, members: int, processes: int = 3, unequal: bool = False, quiet: bool = False
) -> Draw:
    """A run of sweeps, or of single measurements where there is one member."""

    def draw(rng: random.Random, metric: str) -> Run:
        run = []
        for test in range(tests):
            pairs = deviations(rng.choice(CASES), metric)
            rings = range(test * processes, (test + 1) * processes)
            common = [
                0.0 if quiet else rng.choice((-1, 1)) * (one + other) / 2
                for one, other in rng.sample(pairs, processes)
            ]
            noisy = rng.randrange(members) if unequal else None
            configurations = []
            for member in range(members):
                own = [
                    rng.choice((-1, 1)) * (one - other) / 2
                    for one, other in rng.sample(pairs, processes)
                ]
                scale = NOISIER if member == noisy else 1.0
                logs = [scale * (a + b) for a, b in zip(common, own, strict=True)]
                configurations.append(
                    Configuration(Processes(logs, [*rings]), is_noisy=member == noisy)
                )
            run.append(configurations)
        return run

    return draw


CASES = [case for case in PAIRS if not case.startswith("tfdata")]


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Of deviations from means."""
    products = sum(a * b for a, b in zip(one, other, strict=True))
    return products / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def deviations(case: str, metric: str) -> list[tuple[float, float]]:
    """Log times of both processes of each recorded pair, from their means in its session."""
    found = []
    for rows in PAIRS[case].values():
        sides = []
        for side in (0, 2):
            logs = [math.log(row[side + METRICS[metric]]) for row in rows]
            mean, factor = fmean(logs), math.sqrt(len(logs) / (len(logs) - 1))
            sides.append([factor * (log - mean) for log in logs])
        found += [*zip(*sides, strict=True)]
    return found


@dataclass(frozen=True)
class Found:
    """Shares of intervals that hold the truth, and the median of their half widths."""

    own: float
    own_width: float
    pooled: float
    pooled_width: float
    noisy: float | None


def coverage(draw: Draw, metric: str, runs: int, seed: int = SEED) -> Found:
    """By Student's t of each configuration alone, and by the plugin's rule."""
    rng = random.Random(seed)
    own, pooled = [], []
    for _ in range(runs):
        run = draw(rng, metric)
        found = pooled_spreads([[one.processes for one in test] for test in run])
        for test, spreads in zip(run, found, strict=True):
            for one, spread in zip(test, spreads, strict=True):
                alone = Spread(math.sqrt(one.processes.variance), one.processes.dof)
                own.append(_held(one, alone))
                pooled.append((*_held(one, spread or alone), one.is_noisy))
    noisy = [held for held, _, is_noisy in pooled if is_noisy]
    return Found(
        fmean(held for held, _ in own),
        median(width for _, width in own),
        fmean(held for held, *_ in pooled),
        median(width for _, width, _ in pooled),
        fmean(noisy) if noisy else None,
    )


def _held(one: Configuration, spread: Spread) -> tuple[bool, float]:
    """Whether its interval holds the truth; half its width, without the truth's own error."""
    logs = one.processes.logs
    width = student_t(0.975, spread.dof) * spread.sd
    widened = width * math.hypot(1 / math.sqrt(len(logs)), one.error)
    return abs(fmean(logs) - one.truth) <= widened, math.expm1(width / math.sqrt(len(logs)))


KINDS = {
    "apart, 4 tests": apart(WORKLOADS),
    "apart, 5 tests, one is tf.data": apart([*WORKLOADS, "tfdata"]),
    "apart, 4 tests, 2 processes": apart(WORKLOADS, 2),
    "apart, 4 tests, 5 processes": apart(WORKLOADS, 5),
    "apart, 4 tests, unequal": apart(WORKLOADS, unequal=True),
    "in turns, 1 test × 6": in_turns(1, 6),
    "in turns, 2 tests × 6": in_turns(2, 6),
    "in turns, 5 tests × 6": in_turns(5, 6),
    "in turns, 20 tests × 4": in_turns(20, 4),
    "in turns, 5 tests × 1": in_turns(5, 1),
    "in turns, 20 tests × 1": in_turns(20, 1),
    "in turns, 5 tests × 6, 8 processes": in_turns(5, 6, 8),
    "in turns, 1 test × 6, unequal": in_turns(1, 6, unequal=True),
    "in turns, 5 tests × 6, unequal": in_turns(5, 6, unequal=True),
    "quiet, 1 test × 6": in_turns(1, 6, quiet=True),
    "quiet, 5 tests × 6": in_turns(5, 6, quiet=True),
    "quiet, 5 tests × 6, unequal": in_turns(5, 6, unequal=True, quiet=True),
}


def main(runs: int) -> None:
    """Print a line for each kind of run and metric."""
    print(f"{runs} runs a line, seed {SEED}. Intervals that hold the truth, % (promised: 95);")
    print("in brackets the median of their half widths, %; 'noisy': those of noisy configurations")
    for metric in METRICS:
        shared = median(correlation(*zip(*deviations(case, metric), strict=True)) for case in CASES)
        print(
            f"correlation of processes that took turns, median of workloads: {metric} {shared:.2f}"
        )
    for name, draw in KINDS.items():
        for metric in METRICS:
            found = coverage(draw, metric, runs)
            noisy = "" if found.noisy is None else f", noisy {100 * found.noisy:.1f}"
            print(
                f"{name:35s} {metric:14s} own {100 * found.own:5.1f} "
                f"({100 * found.own_width:4.1f}), pooled {100 * found.pooled:5.1f} "
                f"({100 * found.pooled_width:4.1f}){noisy}",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
