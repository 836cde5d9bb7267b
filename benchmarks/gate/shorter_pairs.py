"""Would a duet decide sooner if its processes measured for a shorter time? A replay of its rule.

    python benchmarks/gate/shorter_pairs.py [DUETS]

Recorded pairs of unchanged processes are judged as if they had ended after a share of their rounds:
of a random workload without tf.data, drawn with replacement and with a random sign, none of them
stored, in a suite of `SUITE` verdicts. Extra work is a shift. Prints by share the spread of a pair
(standard deviation, median over workloads), what unchanged code gets, how often 5 % more work is
found, and how many pairs and seconds both take. A pair takes `BESIDE_S` beside its measured rounds:
start, warm-up and turns, as `python benchmarks/overhead/where.py` printed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Sequence
from statistics import fmean, median, stdev

import rules
from recorded import WITHOUT_TF_DATA, Duet, recording
from rules import LOOKS

from pytest_tfthreads.core.gate.pairs import Pair

BESIDE_S = 2.2
SUITE = 26  # hypotheses
MORE_WORK = 1.05
SEED = 4
SHARES = (0.125, 0.25, 0.5, 1)  # of the rounds, in the order of the recording
_PAIRS = recording("shortened_pairs.json")

Drawn = Sequence[tuple[str, int, int]]
"""Of each pair the workload, the number, and the sign."""


def draw(rng: random.Random) -> Drawn:
    """Which pairs a duet consists of."""
    case = rng.choice(WITHOUT_TF_DATA)
    numbers = range(len(_PAIRS[case]["pairs"]))
    return [(case, rng.choice(numbers), rng.choice((-1, 1))) for _ in range(LOOKS[-1])]


def recorded(case: str, number: int, share: float) -> list[float]:
    """The log ratios of a pair by wall and by CPU time, from this share of its rounds."""
    found: list[float] = _PAIRS[case]["pairs"][number][SHARES.index(share)]
    return found


def duet_of(drawn: Drawn, share: float) -> Duet:
    """The pairs from this share of their rounds."""
    pairs = [
        Pair(*(sign * one for one in recorded(case, number, share))) for case, number, sign in drawn
    ]
    return Duet(pairs, [])


def spread(share: float, metric: int) -> float:
    """Standard deviation between the pairs of a workload: the median over workloads."""
    spreads = []
    for case in WITHOUT_TF_DATA:
        numbers = range(len(_PAIRS[case]["pairs"]))
        spreads.append(stdev(recorded(case, number, share)[metric] for number in numbers))
    return median(spreads)


def seconds(drawn: Sequence[Drawn], pairs: Sequence[int], share: float) -> float:
    """Mean seconds of these duets, each after so many pairs."""
    rounds_s = [_PAIRS[one[0][0]]["rounds_s"] for one in drawn]
    return fmean(
        count * (BESIDE_S + 2 * share * whole_s)
        for count, whole_s in zip(pairs, rounds_s, strict=True)
    )


def row(drawn: Sequence[Drawn], share: float) -> str:
    """One line of the table."""
    duets = [duet_of(one, share) for one in drawn]
    unchanged = [rules.duet(one, SUITE) for one in duets]
    slowed = [rules.duet(one.slower(MORE_WORK), SUITE) for one in duets]
    cells = [
        f"{100 * share:g} %",
        " / ".join(f"{100 * spread(share, metric):.1f}" for metric in (0, 1)),
        f"{_percent('regression' in one[:2] for one in unchanged):.2f}",
        f"{_percent(one[:2] == ('pass', 'pass') for one in unchanged):.1f}",
        " / ".join(
            f"{_percent(one[metric] == 'regression' for one in slowed):.0f}" for metric in (0, 1)
        ),
    ]
    for results in (unchanged, slowed):
        pairs = [one[2] for one in results]
        cells.append(f"{fmean(pairs):.1f}, {seconds(drawn, pairs, share):.0f} s")
    return f"| {' | '.join(cells)} |"


def _percent(found: Iterable[bool]) -> float:
    return 100 * fmean(found)


def main(count: int) -> None:
    """Print the table."""
    rng = random.Random(SEED)
    drawn = [draw(rng) for _ in range(count)]
    print(
        "| share of the rounds | spread of a pair, wall / CPU, % | unchanged fails, % "
        "| passes in both, % | finds 5 % more work, wall / CPU, % | pairs, time: unchanged "
        "| pairs, time: 5 % more work |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for share in SHARES:
        print(row(drawn, share), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
