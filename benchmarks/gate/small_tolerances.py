"""How often does a duet find small losses, where interpreters have luck? By simulation.

    python benchmarks/gate/small_tolerances.py [DUETS]

Pairs of processes are drawn: normal, with a standard deviation of `WITHIN` of a pair, on top of the
luck of the interpreters that they are forked from (`BETWEEN` of the rule). Each side has so many
interpreters in turn as the product has, or one. The duet's rule judges them look by look, for a
suite of `SUITE` tests with both metrics. Prints how often unchanged code fails (promised: see the
column), how often losses are found, and how many pairs a loss of the size of the tolerance takes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from statistics import fmean

from pytest_tfthreads.core.gate.duet import (
    BETWEEN,
    BEYOND,
    INTERPRETERS,
    LOOKS,
    errors_of_look,
    mean_ratio,
)
from pytest_tfthreads.core.gate.verdict import level_of_one, status_of

WITHIN = (0.005, 0.010, 0.015)
TOLERANCES = (0.01, 0.02, 0.03, 0.05)
LOSSES = (0.0, 0.01, 0.02, 0.03, 0.05)
SUITE = 26  # hypotheses
SEED = 9


def duet(
    rng: random.Random, loss: float, within: float, tolerance: float, interpreters: int, known: bool
) -> tuple[str, int]:
    """The verdict, and the pairs it took; the rule has `known` that there is luck, or not."""
    luck = [rng.gauss(0, BETWEEN) for _ in range(interpreters)]
    logs: list[float] = []
    status = "inconclusive"
    for look in LOOKS:
        logs += [
            luck[number % interpreters] + rng.gauss(0, within) - loss
            for number in range(len(logs), look)
        ]
        ratio = mean_ratio(logs, interpreters=interpreters, between=BETWEEN if known else 0.0)
        status = status_of(ratio, tolerance, errors_of_look(look, SUITE), BEYOND)
        if status != "inconclusive":
            break
    return status, len(logs)


def _share(found: Iterable[str]) -> float:
    return 100 * fmean(one == "regression" for one in found)


def main() -> None:
    duets = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    promised = 100 * level_of_one(SUITE)
    for title, interpreters, known in (
        ("one interpreter a side, taken for none", 1, False),
        ("one interpreter a side, its luck in the variance", 1, True),
        (f"{INTERPRETERS} interpreters a side, as it is", INTERPRETERS, True),
    ):
        print(f"{title} (false alarms promised: {promised:.2f} %)")
        print(
            f"{'within':>8}{'tolerance':>11}{'false, %':>10}"
            + "".join(f"{f'{100 * loss:.0f} % found':>11}" for loss in LOSSES[1:])
            + f"{'pairs':>8}"
        )
        for within in WITHIN:
            for tolerance in TOLERANCES:
                rng = random.Random(SEED)
                cells = []
                pairs = 0.0
                for loss in LOSSES:
                    drawn = [
                        duet(rng, loss, within, tolerance, interpreters, known)
                        for _ in range(duets)
                    ]
                    cells.append(_share(status for status, _ in drawn))
                    if loss == tolerance:
                        pairs = fmean(count for _, count in drawn)
                print(
                    f"{100 * within:7.1f}%{100 * tolerance:10.0f}%{cells[0]:10.2f}"
                    + "".join(f"{one:11.0f}" for one in cells[1:])
                    + f"{pairs:8.1f}"
                )


if __name__ == "__main__":
    main()
