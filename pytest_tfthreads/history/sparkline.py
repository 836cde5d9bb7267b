"""A course of speeds in a few characters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

_BLOCKS = "▁▂▃▄▅▆▇█"
_NOTHING = " "
_LEAST_RANGE = math.log(1.2)
"""Of a logarithm from the lowest block to the highest: noise must not look like a landslide."""


def sparkline(log_speeds: Mapping[int, float], places: int, width: int) -> str:
    """Means of log speeds over `width` equal stretches of `places`; blank where there is none."""
    columns: dict[int, list[float]] = {}
    width = min(width, places)
    for place, log_speed in log_speeds.items():
        columns.setdefault(place * width // places, []).append(log_speed)
    means = {column: fmean(values) for column, values in columns.items()}
    low, high = min(means.values()), max(means.values())
    middle, extent = (low + high) / 2, max(high - low, _LEAST_RANGE)
    last = len(_BLOCKS) - 1

    def block(mean: float) -> str:
        return _BLOCKS[min(last, int(((mean - middle) / extent + 0.5) * len(_BLOCKS)))]

    return "".join(block(means[column]) if column in means else _NOTHING for column in range(width))
