"""Was it the code or the environment? All four combinations of two of each, side by side.

With `x` the log speed of a ring's processes, the code's effect is the mean of what the bad code
changes in either environment, and the environment's the mean of what the bad environment changes
for either code. Where the two add up, nothing is left; else the interaction says by how much more
both together change the speed. A ring is the sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_tfthreads.core.abreast import MeasuredPlaces, by_ring, differences
from pytest_tfthreads.core.gate.duet import BETWEEN, INTERPRETERS, mean_ratio
from pytest_tfthreads.core.stats.estimates import LogRatio
from pytest_tfthreads.core.tolerance import METRICS

LOOKS = (4, 8, 16)
"""Rings after which it is asked whether enough is known."""
WORTH_TELLING = 0.02
"""An effect (of a logarithm) that is surely smaller than this, or than a quarter of the whole
change, is none."""
_ERROR = 0.01  # of each look
# What the luck of four interpreters, one for each combination, adds to an effect, and to the
# interaction: means and sums of two pairs of them.
_HALF, _TWICE = BETWEEN / math.sqrt(2), BETWEEN * math.sqrt(2)

Cause = Literal["code", "environment", "both", "neither", "open"]


@dataclass(frozen=True)
class Combination:
    """One ring: logs of speed over that of the good code in the good environment."""

    both: float
    code: float  # the bad code in the good environment
    environment: float  # the good code in the bad environment


@dataclass(frozen=True)
class Effects:
    """What the code and the environment do, as logs of speed, bad over good."""

    whole: LogRatio
    code: LogRatio
    environment: LogRatio
    interaction: LogRatio

    @classmethod
    def of(cls, rings: Sequence[Combination]) -> Effects:
        """Raises `ValueError` where there is no ring."""

        def mean(logs: Sequence[float], between: float) -> LogRatio:
            return mean_ratio(logs, interpreters=INTERPRETERS, between=between)

        return cls(
            whole=mean([one.both for one in rings], BETWEEN),
            code=mean([(one.code + one.both - one.environment) / 2 for one in rings], _HALF),
            environment=mean([(one.environment + one.both - one.code) / 2 for one in rings], _HALF),
            interaction=mean([one.both - one.code - one.environment for one in rings], _TWICE),
        )

    @property
    def cause(self) -> Cause:
        """Which of the two made the difference, where that is sure."""
        least = max(WORTH_TELLING, abs(self.whole.log_ratio) / 4)
        code, environment = (_is_there(one, least) for one in (self.code, self.environment))
        if code is None or environment is None:
            return "open"
        if code and environment:
            return "both"
        return "code" if code else "environment" if environment else "neither"


def combinations(found: MeasuredPlaces) -> dict[str, list[Combination]]:
    """By metric, from places in the order: good code and environment, bad code in the good
    environment, good code in the bad environment, both bad.
    """
    result: dict[str, list[Combination]] = {metric: [] for metric in METRICS}
    for samples in by_ring(found):
        if samples.keys() != {0, 1, 2, 3}:
            continue
        logs = [differences(samples[index], samples[0]) for index in (3, 1, 2)]
        known = [one for one in logs if one is not None]
        if len(known) == len(logs):
            for which, metric in enumerate(METRICS):
                result[metric].append(Combination(*(one[which].log_ratio for one in known)))
    return result


def _is_there(effect: LogRatio, least: float) -> bool | None:
    """Surely an effect, surely none that matters, or neither is sure."""
    half_width = effect.half_width(1 - _ERROR / 2)
    low, high = effect.log_ratio - half_width, effect.log_ratio + half_width
    if -least < low and high < least:
        return False
    return True if low > 0 or high < 0 else None
