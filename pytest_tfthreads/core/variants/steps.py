"""What a test's speeds at several variants say: each against the first, and against the one before.

Of N variants these are 2N - 3 ratios, and all that is asked: they alone are the family that is
tested, and for which intervals hold together. How sure each is follows from all variants that took
turns with each other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_tfthreads.core.gate.duet import BEYOND
from pytest_tfthreads.core.gate.verdict import Errors, status_of
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.stats.estimates import LogRatio
from pytest_tfthreads.core.stats.moderation import Contrast, Difference, Pair, contrasts
from pytest_tfthreads.core.sweep.comparison import Ratio, blocks, ring_differences, tested
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.variants.measured import MeasuredAt

Status = Literal["regression", "improvement", "no-change", "open"]


@dataclass(frozen=True)
class Change:
    """The speed at a variant over that at an earlier one, `since`, and what is certain of it.

    `ratio` has the interval that holds together with those of all other changes of its test and
    metric. `status`:

    - `regression`, `improvement`: by the rule of a duet, which is sure of a part of the tolerance
      and finds a change as large as the tolerance;
    - `no-change`: the whole interval is within the tolerance;
    - `open`: neither; more passes would tell.
    """

    since: str
    ratio: Ratio
    status: Status


@dataclass(frozen=True)
class Step:
    """A variant with its changes since the first and since the one before that was measured.

    None where it took no turns with that one. For the second variant both are the same.
    """

    name: str
    to_first: Change | None
    to_previous: Change | None


def steps(measured: MeasuredAt, tolerance: Mapping[str, float]) -> dict[str, tuple[Step, ...]]:
    """By metric, a step for each variant that was measured, but for the first of them.

    `tolerance` are shares by metric. Variants without a measurement are passed over.
    """
    speeds = {one.name: one.measurement for one in measured.variants if one.measurement is not None}
    observed = _observed(speeds)
    return {metric: _steps(list(speeds), observed[metric], tolerance[metric]) for metric in METRICS}


def _steps(
    names: list[str], observed: Mapping[Pair, list[Difference]], tolerance: float
) -> tuple[Step, ...]:
    known = contrasts(observed, len({*itertools.chain.from_iterable(observed)}))
    wanted = [
        pair
        for previous, name in itertools.pairwise(names)
        for pair in dict.fromkeys([(name, names[0]), (name, previous)])
    ]
    asked = {pair: known[pair] for pair in wanted if pair in known}
    changes = {
        pair: Change(pair[1], ratio, _status(asked[pair], ratio, tolerance))
        for pair, ratio in tested(asked).items()
    }
    return tuple(
        Step(name, changes.get((name, names[0])), changes.get((name, previous)))
        for previous, name in itertools.pairwise(names)
    )


def _status(contrast: Contrast, ratio: Ratio, tolerance: float) -> Status:
    one_sided = (1 - ratio.confidence) / 2
    log_ratio = LogRatio(contrast.log_ratio, contrast.variance, contrast.dof)
    by_duet = status_of(log_ratio, tolerance, Errors(one_sided, one_sided, one_sided), BEYOND)
    if by_duet == "regression":
        return "regression"
    if by_duet == "improvement":
        return "improvement"
    widest = abs(log_ratio.log_ratio) + log_ratio.half_width(1 - one_sided)
    return "no-change" if widest < -math.log1p(-tolerance) else "open"


def _observed(speeds: Mapping[str, Measurement]) -> dict[str, dict[Pair, list[Difference]]]:
    """By metric and by pair of a variant and an earlier one: a difference for each ring of both."""
    rings = {
        name: {one.ring: blocks(one, 1.0) for one in measurement.samples if one.ring is not None}
        for name, measurement in speeds.items()
    }
    observed: dict[str, dict[Pair, list[Difference]]] = {metric: {} for metric in METRICS}
    for earlier, later in itertools.combinations(speeds, 2):
        for ring in sorted(rings[earlier].keys() & rings[later].keys()):
            # A call is the same work at both, whatever number of items a variant gives for it.
            found = ring_differences(rings[later][ring], rings[earlier][ring])
            if found is not None:
                for metric, difference in zip(METRICS, found, strict=True):
                    observed[metric].setdefault((later, earlier), []).append(difference)
    return observed
