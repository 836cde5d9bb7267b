"""Do a sweep's intervals hold all together, and are noisy configurations told apart by luck?

    python benchmarks/sweep/interval_coverage.py [GROUPS]

Draws groups of configurations whose processes differ by normal noise, each by its own spread, and
asks the plugin's rule. Prints the share of groups in which every pair's interval holds the true
ratio (95 % are promised), where all configurations differ, and the share in which identical
configurations are told apart (5 % are allowed). The scatter within processes, which is to warn of
noise between them, is held small: so the rule has to learn all from the passes.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Sequence
from statistics import fmean

from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.stats.moderation import Difference
from pytest_tfthreads.core.sweep.comparison import separate

APART = 0.5
"""Distance (of a logarithm) of configurations that differ."""
SE = 0.004
"""Standard error of a ring's value by the scatter of its blocks."""
SEED = 8
PASSES = (1, 2, 3, 8)


def group(
    rng: random.Random, spreads: Sequence[float], passes: int, apart: float = 0.0
) -> dict[tuple[str, str], list[Difference]]:
    """Differences of all pairs of configurations, named by their place; one spread each."""
    logs = [
        [apart * place + rng.gauss(0, spread) for _ in range(passes)]
        for place, spread in enumerate(spreads)
    ]
    return {
        (str(one), str(other)): [
            Difference(a - b, SE) for a, b in zip(logs[one], logs[other], strict=True)
        ]
        for one, other in itertools.combinations(range(len(spreads)), 2)
    }


def coverage(count: int, spreads: Sequence[float], passes: int, seed: int = SEED) -> float:
    """Share of groups whose intervals all hold the truth."""
    rng = random.Random(seed)
    held = 0
    for _ in range(count):
        ratios = separate(group(rng, spreads, passes, APART))
        held += all(
            _holds(ratio.estimate, math.exp(APART * (int(one) - int(other))))
            for (one, other), ratio in ratios.items()
        )
    return held / count


def _holds(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


def false_separation(count: int, spreads: Sequence[float], passes: int, seed: int = SEED) -> float:
    """Share of groups of identical configurations in which any two are told apart."""
    rng = random.Random(seed)
    return fmean(
        any(ratio.distinct for ratio in separate(group(rng, spreads, passes)).values())
        for _ in range(count)
    )


def main(count: int) -> None:
    """Print both tables."""
    print(f"{count} groups a figure, seed {SEED}; passes {', '.join(map(str, PASSES))}")
    print("all intervals hold, %")
    for noise in (0.01, 0.03):
        for members in (3, 6, 8):
            found = [100 * coverage(count, [noise] * members, passes) for passes in PASSES]
            name = f"{members} configurations, noise {100 * noise:.0f} %"
            print(f"{name:44s} {' '.join(f'{one:6.1f}' for one in found)}", flush=True)
    print("identical configurations told apart, % of groups; one of them 4 times as noisy, or half")
    for members in (3, 6, 8):
        for noisy in sorted({1, members // 2}):
            spreads = [0.048] * noisy + [0.012] * (members - noisy)
            found = [100 * false_separation(count, spreads, passes) for passes in PASSES]
            name = f"{members} configurations, {noisy} noisy"
            print(f"{name:44s} {' '.join(f'{one:6.1f}' for one in found)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
