"""How often unchanged histories show a change, and which changes are found.

    python benchmarks/history/rates.py [HISTORIES]

Recorded: a history of sessions of unchanged workloads on a noisy shared machine, three of the
recorded processes each, sessions drawn at random (there are six of each workload, so longer
histories repeat them). The slowed half of a history is of processes that really did so much extra
work, or, where none were recorded or none so many, of unchanged ones shifted.
Simulated: sessions of one figure, with independent noise (normal, or t with 3 degrees of freedom),
or with noise of which neighbours are correlated.

A change is found if there is one whose place, as given, holds the true one. Coverage: of its 95 %
interval, among those found. No TensorFlow is needed.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "gate"))
import recorded

from pytest_tfthreads.core.stats.change_points import Session, segmentation
from pytest_tfthreads.core.stats.estimates import FAMILYWISE_ERROR

SEED = 6
PROCESSES = 3
EXTRA_WORK = (0.05, 0.1, 0.2)
SLOWED = {0.05: "slower5", 0.1: "slower10", 0.2: "slower20"}
LENGTHS = (10, 30, 100, 1000)
MEASURED_S = 1.0

History = Callable[[random.Random, int, float], list[Session]]
"""So many sessions, the second half with so much extra work."""


@dataclass(frozen=True)
class Rates:
    """Shares of histories: with any change, with the true one; of those, with it in its interval.

    `changes` is the mean number of changes.
    """

    any_change: float
    changes: float
    found: float
    covered: float


def rates(draw: History, length: int, work: float, histories: int, error: float) -> Rates:
    rng = random.Random(SEED)
    log_ratio = -math.log1p(work)
    some = changes = found = covered = 0
    for _ in range(histories):
        result = segmentation(draw(rng, length, work), error)
        some += bool(result.changes)
        changes += len(result.changes)
        true = [one for one in result.changes if one.after < length // 2 <= one.by]
        if true:
            found += 1
            covered += true[0].shift.low <= math.expm1(log_ratio) <= true[0].shift.high
    return Rates(
        some / histories,
        changes / histories,
        found / histories,
        covered / found if found else math.nan,
    )


def of_recorded(cases: Sequence[str], metric: str) -> History:
    def draw(rng: random.Random, length: int, work: float) -> list[Session]:
        case = rng.choice(cases)
        return [
            Session(
                tuple(_log_speeds(rng, case, metric, work if n >= length // 2 else 0.0)), MEASURED_S
            )
            for n in range(length)
        ]

    return draw


def _log_speeds(rng: random.Random, case: str, metric: str, work: float) -> list[float]:
    figures = recorded.figures(case)
    slowed = figures.get(SLOWED.get(work, ""), {})
    sessions = slowed if work and len(slowed) > 1 else figures["unchanged"]
    shift = -math.log1p(work) if sessions is not slowed else 0.0
    column = 0 if metric == "throughput" else 1
    rows = sessions[rng.choice(list(sessions))]
    return [shift - math.log(row[column]) for row in rng.sample(rows, min(PROCESSES, len(rows)))]


def simulated(noise: Callable[[random.Random, int], list[float]]) -> History:
    def draw(rng: random.Random, length: int, work: float) -> list[Session]:
        shift = -math.log1p(work)
        return [
            Session((one + (shift if n >= length // 2 else 0.0),), MEASURED_S)
            for n, one in enumerate(noise(rng, length))
        ]

    return draw


def normal(spread: float) -> Callable[[random.Random, int], list[float]]:
    return lambda rng, length: [rng.gauss(0, spread) for _ in range(length)]


def heavy(spread: float) -> Callable[[random.Random, int], list[float]]:
    """Student's t with 3 degrees of freedom."""

    def one(rng: random.Random) -> float:
        return rng.gauss(0, spread) / math.sqrt(sum(rng.gauss(0, 1) ** 2 for _ in range(3)))

    return lambda rng, length: [one(rng) for _ in range(length)]


def alike(spread: float, correlation: float) -> Callable[[random.Random, int], list[float]]:
    def draw(rng: random.Random, length: int) -> list[float]:
        points = [rng.gauss(0, spread)]
        while len(points) < length:
            fresh = rng.gauss(0, spread * math.sqrt(1 - correlation**2))
            points.append(correlation * points[-1] + fresh)
        return points

    return draw


KINDS: tuple[tuple[str, History], ...] = (
    ("recorded without tf.data, wall", of_recorded(recorded.WITHOUT_TF_DATA, "throughput")),
    ("recorded without tf.data, CPU", of_recorded(recorded.WITHOUT_TF_DATA, "cpu_efficiency")),
    ("recorded, all 13 workloads, wall", of_recorded(recorded.ALL, "throughput")),
    ("normal, 3 %", simulated(normal(0.03))),
    ("normal, 7 %", simulated(normal(0.07))),
    ("heavy tails, 3 %", simulated(heavy(0.03))),
    ("neighbours alike 0.3, 3 %", simulated(alike(0.03, 0.3))),
    ("neighbours alike 0.6, 3 %", simulated(alike(0.03, 0.6))),
    ("neighbours alike 0.9, 3 %", simulated(alike(0.03, 0.9))),
)


def main(histories: int = 400) -> None:
    """Print the table."""
    print(
        f"{histories} histories a figure (a quarter of 1,000 runs), error {FAMILYWISE_ERROR} each,"
    )
    print(f"seed {SEED}; in %; changes: mean number in unchanged histories")
    columns = "  ".join(f"{f'+{100 * work:.0f} %':>6s} cover" for work in EXTRA_WORK)
    print(f"{'noise':34s} {'runs':>5s}  {'any':>5s} changes  {columns}")
    for name, draw in KINDS:
        for length in LENGTHS:
            count = histories if length < LENGTHS[-1] else histories // 4
            unchanged = rates(draw, length, 0.0, count, FAMILYWISE_ERROR)
            cells = []
            for work in EXTRA_WORK:
                slowed = rates(draw, length, work, count, FAMILYWISE_ERROR)
                cells.append(f"{100 * slowed.found:6.0f} {100 * slowed.covered:5.0f}")
            print(
                f"{name:34s} {length:5d}  {100 * unchanged.any_change:5.1f} "
                f"{unchanged.changes:7.3f}  {'  '.join(cells)}",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
