"""The smallest loss of speed that can be detected, by the rules of the gate and of a duet.

What is known is how far figures of unchanged code are apart. The rules are asked what they would
find if all that is to come spread so:

- side by side: duets are drawn that spread so, and judged look by look (`duet`). The processes of
  a pair that the doctor measures have one interpreter, so what a duet's several interpreters add is
  drawn as the rule expects it;
- against saved runs: by `drift`, with processes taken three by three for runs, and these over and
  over for a history. Runs of one session do not show how far the machine drifts from day to day, so
  this is the best that a history could bring.

A loss is detected where it is called a regression with 80 % probability. That depends on the
tolerance that is set: a loss that is hardly more than the tolerance is not reported. So the
smallest detectable loss is found with a tolerance near zero. With a tolerance as large as that
loss, the detectable loss is up to half as large again.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from pytest_tfthreads.core.gate.duet import (
    BETWEEN,
    INTERPRETERS,
    LOOKS,
    mean_ratio,
    status_by_looks,
)
from pytest_tfthreads.core.gate.verdict import POWER, Errors, detectable_loss, level_of_one
from pytest_tfthreads.core.stats.drift import Expected, predict
from pytest_tfthreads.core.stats.estimates import (
    Estimate,
    LogRatio,
    spread_of,
    spread_with_interval,
)

_NO_TOLERANCE = 1e-6
_STEP = 0.001  # of a tolerance, as people write it: 4.9 %
_PRECISION = 0.0003
_DUETS = 200
_SEED = 6


@dataclass(frozen=True)
class Limit:
    """What one way of comparing can detect, as shares of the speed; 95 % intervals.

    `smallest` is the smallest loss that is found at all, `at_tolerance` that which is found where
    the tolerance asked for is set. `set_tolerance` is the largest tolerance with which a loss of
    the one asked for is found; `None`: with none.
    """

    smallest: Estimate
    at_tolerance: Estimate
    set_tolerance: float | None


def duet_limit(logs: Sequence[float], tolerance: float, hypotheses: int) -> Limit:
    """Of a duet with all its looks, from the log ratio of each pair that was measured."""
    known = mean_ratio(logs, between=0.0)  # both processes of a pair were of one interpreter
    spread = spread_with_interval(known.sd * math.sqrt(len(logs)), known.dof)
    draw = random.Random(_SEED)  # noqa: S311  # nosec B311 # same figures, same limit
    noise = [[draw.gauss(0, 1) for _ in range(LOOKS[-1])] for _ in range(_DUETS)]
    luck = [[draw.gauss(0, BETWEEN) for _ in range(INTERPRETERS)] for _ in noise]
    # What the spread may be after these pairs: few of them know it badly, and a duet to come may
    # spread more.
    posterior = [
        spread.value * math.sqrt(known.dof / draw.gammavariate(known.dof / 2, 2)) for _ in noise
    ]

    def is_found(loss: float, set_tolerance: float, spreads: Sequence[float]) -> bool:
        shift = math.log1p(-loss)
        found = sum(
            status_by_looks(
                [
                    shift + lucky + own * one
                    for lucky, one in zip(itertools.cycle(dealt), duet, strict=False)
                ],
                set_tolerance,
                hypotheses,
            )
            == "regression"
            for own, duet, dealt in zip(spreads, noise, luck, strict=True)
        )
        return found >= POWER * _DUETS

    def smallest(set_tolerance: float) -> Estimate:
        def given(spreads: Sequence[float]) -> float:
            return _least(lambda loss: is_found(loss, set_tolerance, spreads))

        low, high = ([bound] * _DUETS for bound in _bounds(spread))
        return Estimate(given(posterior), given(low), given(high))

    return Limit(
        smallest(_NO_TOLERANCE),
        smallest(tolerance),
        _largest_tolerance(tolerance, lambda one: is_found(tolerance, one, posterior)),
    )


def saved_runs_limit(
    sessions: Sequence[Sequence[float]],
    runs: int,
    tolerance: float,
    hypotheses: int,
    expected: Expected,
    measured_s: float,
    times: int = 1,
) -> Limit:
    """Of the gate after so many runs, from log speeds of processes that measured for so long.

    `expected` is the drift between runs before any history. Each run has so many `times` the
    processes that were measured for it.
    """
    level = level_of_one(hypotheses)
    of_more = [of_more_processes(session, times) for session in sessions]

    def ratio(factor: float) -> LogRatio:
        endless = itertools.cycle(_scaled(of_more, factor))
        *history, now = itertools.islice(endless, runs + 1)
        return predict(now, history, expected, measured_s)

    # Processes of a pair met the same weather: together they count as one.
    figures = list(itertools.chain.from_iterable(sessions[: max(1, len(sessions) // 2)]))
    return _limit(ratio, figures, tolerance, Errors(level, level))


def of_more_processes(session: Sequence[float], times: int) -> list[float]:
    """A run of so many times the processes, which are as far apart as those of this one.

    The same figures again would be too close to each other: so many processes have a mean of their
    own, which is farther from them than the mean of a few is from those few. The mean stays where
    it is. Means of more processes are closer together, so this promises rather less.
    """
    processes = len(session)
    if times == 1 or processes == 1:
        return [*session] * times
    stretched = math.sqrt((times * processes - 1) / (times * (processes - 1)))
    mean = fmean(session)
    return [mean + stretched * (figure - mean) for figure in session] * times


def _limit(
    ratio: Callable[[float], LogRatio],
    figures: Sequence[float],
    tolerance: float,
    errors: Errors,
) -> Limit:
    """`ratio` is the rule's where all figures spread by a factor more than they did."""
    spread = spread_of(figures)
    factors = (1.0, *(bound / spread.value if spread.value else 1.0 for bound in _bounds(spread)))
    ratios = [ratio(factor) for factor in factors]

    def loss(set_tolerance: float) -> Estimate:
        return Estimate(*(detectable_loss(ratio, set_tolerance, errors) for ratio in ratios))

    return Limit(
        loss(_NO_TOLERANCE),
        loss(tolerance),
        _largest_tolerance(tolerance, lambda one: loss(one).value <= tolerance),
    )


def _least(is_found: Callable[[float], bool]) -> float:
    """The smallest share that is found, where all larger ones are too."""
    low, high = 0.0, 1.0
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high


def _largest_tolerance(asked: float, is_found: Callable[[float], bool]) -> float | None:
    """With which a loss of the one asked for is found, where with all smaller ones it is too."""
    low, high = 0, math.floor(asked / _STEP + _NO_TOLERANCE) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_found(middle * _STEP) else (low, middle)
    return low * _STEP if low else None


def _bounds(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def _scaled(groups: Sequence[Sequence[float]], factor: float) -> list[list[float]]:
    """Figures that spread by a factor more about the same mean."""
    mean = fmean(itertools.chain.from_iterable(groups))
    return [[mean + factor * (figure - mean) for figure in group] for group in groups]
