"""Releases with known steps and simulated noise: how often each is called what it is.

python benchmarks/releases/simulated_steps.py [--runs 500] [--seed 1]

Each run compares one test at 6 releases, whose steps are −5, 0, +3, −10 and 0 %, in the looks that
`pytest-tfthreads releases` takes without a budget. A process has a speed of its own; one of 20
spreads four times as much as the others. A second table has releases without any change: how many
runs call any step a regression or an improvement.
"""

import argparse
import itertools
import math
import random
from collections import Counter

from pytest_tfthreads.commands.releases_run import Comparing
from pytest_tfthreads.core.abreast import AtPlace, Begun, Collected, MeasuredPlaces, Place, Selected
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.variants.released import Release

STEPS = (-0.05, 0.0, 0.03, -0.10, 0.0)
TOLERANCE = {"throughput": 0.05, "cpu_efficiency": 0.05}
SPREADS = (0.01, 0.02, 0.03)
ODD, ODD_FACTOR = 0.05, 4.0
POOLS = Pools(1, 1)
STATUSES = ("regression", "improvement", "no-change", "open")


class Simulated:
    """A run of pytest with one test, whose processes take no time."""

    def __init__(self, steps, spread, draw):
        speeds = itertools.accumulate((1.0, *steps), lambda speed, step: speed * (1 + step))
        self.speeds = dict(enumerate(speeds))
        self.spread = spread
        self.draw = draw
        self.rings = 0

    @property
    def collected(self):
        return Collected((Selected("t", 1.0),), 16)

    def __iter__(self):
        yield Begun("t", 1.0)

    def measure(self, places, passes):
        samples: dict[Place, list[Sample]] = {place: [] for place in places}
        for _ in range(passes):
            self.rings += 1
            for place in places:
                spread = self.spread / math.sqrt(2)  # of a pair it is `self.spread`
                if self.draw.random() < ODD:
                    spread *= ODD_FACTOR
                wall_s = 0.01 * math.exp(self.draw.gauss(0, spread))
                wall_s /= self.speeds[int(place.commit)]
                samples[place].append(
                    Sample((wall_s,) * 4, (wall_s,) * 4, 1, 5, 0.1, 1, 1, 1, (0,), self.rings, 1)
                )
        return MeasuredPlaces(
            tuple(
                AtPlace(
                    measurement=Measurement(
                        POOLS, POOLS, (0,), "fork", 1, "calls", tuple(samples[one])
                    )
                )
                for one in places
            )
        )


def compared(steps, spread, draw):
    """The test at its releases."""
    releases = [Release(f"v{place}", Place(str(place))) for place in range(len(steps) + 1)]
    comparing = Comparing(releases, TOLERANCE, None, lambda line: None)
    comparing.run(Simulated(steps, spread, draw))
    (test,) = comparing.tests
    return test


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("| spread of pairs | true step | " + " | ".join(STATUSES) + " | passes |")
    print("| --- | --- | " + " | ".join("--:" for _ in STATUSES) + " | --: |")
    for spread in SPREADS:
        draw = random.Random(options.seed)
        found: Counter[tuple[float, str]] = Counter()
        passes = []
        for _ in range(options.runs):
            test = compared(STEPS, spread, draw)
            passes.append(test.passes)
            for place, step in enumerate(test.steps["throughput"]):
                found[STEPS[place], step.to_previous.status] += 1
        for true in sorted(set(STEPS)):
            count = STEPS.count(true) * options.runs
            shares = (f"{100 * found[true, status] / count:.1f} %" for status in STATUSES)
            mean = sum(passes) / len(passes)
            print(f"| {spread:.0%} | {true:+.0%} | {' | '.join(shares)} | {mean:.1f} |")
    print("\n| spread of pairs | runs without a change in which any step is called one |")
    print("| --- | --: |")
    for spread in SPREADS:
        draw = random.Random(options.seed)
        wrong = sum(
            any(
                step.to_previous.status in ("regression", "improvement")
                for several in compared((0.0,) * len(STEPS), spread, draw).steps.values()
                for step in several
            )
            for _ in range(options.runs)
        )
        print(f"| {spread:.0%} | {wrong} of {options.runs} |")


if __name__ == "__main__":
    main()
