"""How often a bisection that is certain is right, on simulated histories with a known truth.

python benchmarks/releases/simulated.py [--bisections 1000] [--loss 0.05] [--commits 64]

For pairs of processes that spread by 1, 2 and 3 %: how many bisections end with a certain commit,
how many of these are right, and what they take. One process of 20 spreads four times as much, and
commits differ by 0.3 % without a change of anybody's. Interpreters that run the same code differ by
0.8 %: each end has several in turn, and each candidate one.
"""

import argparse
import random

from pytest_tfthreads.commands.bisect import AT_ONCE, MOST_RINGS, PASSES
from pytest_tfthreads.core.bisection import (
    LOOKS,
    Posterior,
    Reading,
    RingReadings,
    Stretch,
    ends_are_alike,
    ends_differ,
)
from pytest_tfthreads.core.gate.duet import BETWEEN, INTERPRETERS
from pytest_tfthreads.core.stats.moderation import Difference

BLOCK_SE = 0.003
COMMIT_SPREAD = 0.003
ODD_SHARE, ODD_FACTOR = 0.05, 4


def ring(draw, speeds, luck, candidates, spread, number):
    """Both ends and these candidates, a process each: the ring of this number."""

    def process(position, dealt=0):
        factor = ODD_FACTOR if draw.random() < ODD_SHARE else 1
        return luck[position][dealt] + speeds[position] + draw.gauss(0, factor * spread / 2**0.5)

    dealt = number % INTERPRETERS
    good, bad = process(0, dealt), process(-1, dealt)
    readings = []
    for position in candidates:
        speed = process(position)
        ends = (Difference(speed - end, BLOCK_SE) for end in (good, bad))
        readings.append(Reading(position, *ends))
    return RingReadings(Difference(bad - good, BLOCK_SE), tuple(readings))


def bisect(draw, commits, place, loss, spread):
    """The culprit (None: the ends were not told apart), the rings and the processes."""
    speeds = [draw.gauss(0, COMMIT_SPREAD) - loss * (at >= place) for at in range(commits + 1)]
    luck = [
        [draw.gauss(0, BETWEEN / 2**0.5) for _ in range(INTERPRETERS)] for _ in range(commits + 1)
    ]
    rings: list[RingReadings] = []

    def measure(candidates, count):
        for _ in range(count):
            rings.append(ring(draw, speeds, luck, candidates, spread, len(rings)))

    while not ends_differ(rings):
        if len(rings) >= LOOKS[-1] or ends_are_alike(rings):
            return None, len(rings), 2 * len(rings)
        due = next(look for look in LOOKS if look > len(rings)) - len(rings)
        measure((), due)
    while True:
        posterior = Posterior(commits, rings)
        if posterior.culprit.is_certain or len(rings) >= MOST_RINGS:
            break
        candidates = posterior.candidates(AT_ONCE)
        measure(candidates, PASSES)
    return posterior.culprit, len(rings), sum(2 + len(one.readings) for one in rings)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bisections", type=int, default=1000)
    parser.add_argument("--loss", type=float, default=0.05)
    parser.add_argument("--commits", type=int, default=64)
    options = parser.parse_args()
    print("spread of pairs  not told apart  certain  right  rings  processes")
    for spread in (0.01, 0.02, 0.03):
        draw = random.Random(1)
        same = certain = right = rings = processes = 0
        for _ in range(options.bisections):
            place = draw.randint(1, options.commits)
            culprit, some_rings, some = bisect(draw, options.commits, place, options.loss, spread)
            rings, processes = rings + some_rings, processes + some
            same += culprit is None
            if culprit is not None and culprit.is_certain:
                certain += 1
                right += culprit.where == Stretch(place - 1, place)
        mean = [count / options.bisections for count in (rings, processes)]
        print(
            f"{spread:15.0%}  {same:14}  {certain:7}  {right:5}  {mean[0]:5.1f}  {mean[1]:9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
