"""Estimates that carry their interval. The process is the sample, a round is not.

Rounds of one process share its memory layout, its CPUs' state and its caches, so they are not
independent; an interval made from rounds is far too narrow. Every interval here is made from one
figure per process.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Annotated

from pytest_tfthreads.core.decode import LARGEST, NotNegative, Within

FAMILYWISE_ERROR = 0.05
"""How often all that is tested together (a suite of unchanged code, the pairs of a sweep, unchanged
histories) may show any difference that is not there."""
SIGMA_OF_MAD = 1.4826
"""Standard deviation of a normal distribution, over its median absolute deviation."""
_LARGEST_LOG = math.log(LARGEST)


@dataclass(frozen=True)
class Estimate:
    """A figure >= 0 with its confidence interval; no bounds where one sample gives none."""

    value: NotNegative
    low: NotNegative | None
    high: NotNegative | None

    @property
    def inverse(self) -> Estimate:
        """Of 1 / figure."""
        return Estimate(
            1 / self.value,
            None if self.high is None else 1 / self.high,
            None if not self.low else 1 / self.low,
        )

    def scaled(self, factor: float) -> Estimate:
        """Of figure × factor (positive)."""
        low, high = (None if one is None else one * factor for one in (self.low, self.high))
        return Estimate(self.value * factor, low, high)

    def to_json(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Spread:
    """Standard deviation (of a logarithm) between processes, and its degrees of freedom."""

    sd: NotNegative
    dof: Annotated[float, Within(1)]


@dataclass(frozen=True)
class LogRatio:
    """Log of the ratio of two speeds, with the variance and degrees of freedom of its error."""

    log_ratio: float
    variance: float
    dof: float

    @property
    def sd(self) -> float:
        return math.sqrt(self.variance)

    def half_width(self, probability: float) -> float:
        """Distance (of a logarithm) that the error exceeds in one direction this rarely.

        As a probability not to exceed it: 0.95 for a distance exceeded in 5 % of cases.
        """
        return student_t(probability, self.dof) * self.sd

    def p_value(self, log_bound: float) -> float:
        """One-sided: of a log ratio as low as this, were the true one `log_bound`."""
        statistic = (self.log_ratio - log_bound) / self.sd
        tail = student_p(statistic, self.dof) / 2
        return tail if statistic < 0 else 1 - tail


def from_log(log: float) -> float:
    """The figure of which this is the logarithm, 1e-300 at the least and 1e300 at the most.

    The interval of two processes that have little in common reaches beyond any number.
    """
    return min(math.exp(max(-_LARGEST_LOG, min(log, _LARGEST_LOG))), LARGEST)


def change_from_log(log: float) -> float:
    """The relative change (-0.31: 31 % less) of a figure with this log ratio; at most 1e300."""
    return min(math.expm1(min(log, _LARGEST_LOG)), LARGEST)


def mean_of_ratios(
    figures: Sequence[float], confidence: float = 0.95, spread: Spread | None = None
) -> Estimate:
    """Geometric mean of one positive figure a process, with Student's t interval of its logarithm.

    Speeds and their noise are multiplicative (a slow CPU state makes everything slower by a
    factor), hence the logarithm: mean ± t(dof) · s / √n there, then back. `s` is `spread`, where
    more is known than the figures tell (`pooled_spread`), else their own, with n - 1 degrees of
    freedom. A single figure has no interval.
    Raises `ValueError` on no figures or one that is not positive and finite.
    """
    if not figures:
        raise ValueError("an estimate needs at least one figure")
    if not all(math.isfinite(figure) and figure > 0 for figure in figures):
        raise ValueError(f"figures must be positive and finite: {list(figures)}")
    logs = [math.log(figure) for figure in figures]
    mean = fmean(logs)
    if len(logs) == 1:
        return Estimate(from_log(mean), None, None)
    if spread is None:
        dof = len(logs) - 1
        # statistics.stdev is exact, by fractions, and as slow: this is called for each saved test.
        spread = Spread(math.sqrt(sum((log - mean) ** 2 for log in logs) / dof), dof)
    half_width = student_t(0.5 + confidence / 2, spread.dof) * spread.sd / math.sqrt(len(logs))
    return Estimate(*map(from_log, (mean, mean - half_width, mean + half_width)))


def spread_of(figures: Sequence[float]) -> Estimate:
    """Standard deviation of figures that are normally distributed, with its interval.

    Raises `ValueError` on fewer than two.
    """
    if len(figures) < 2:
        raise ValueError(f"{len(figures)} figures have no spread")
    return spread_with_interval(stdev(figures), len(figures) - 1)


def spread_with_interval(
    spread: float, degrees_of_freedom: float, confidence: float = 0.95
) -> Estimate:
    """A standard deviation that is known with so many degrees of freedom: its χ² interval."""
    from scipy.special import chdtri  # not at the top: see `student_t`

    tail = (1 - confidence) / 2
    low, high = (
        spread * math.sqrt(degrees_of_freedom / float(chdtri(degrees_of_freedom, p)))
        for p in (tail, 1 - tail)
    )
    return Estimate(spread, low, high)


def sum_of_squares(figures: Sequence[float]) -> float:
    """About their mean."""
    mean = fmean(figures)
    return sum((figure - mean) ** 2 for figure in figures)


def moderated_variance(own: float, own_dof: float, prior: float, prior_dof: float) -> float:
    """A sample variance, drawn towards what is expected by the weight of their degrees of freedom.

    The logarithm of a sample variance is too small by about 1/dof in the mean: G. K. Smyth, "Linear
    models and empirical Bayes methods for assessing differential expression in microarray
    experiments" (2004).
    """
    return log_mean(own * math.exp(1 / own_dof), own_dof, prior, prior_dof)


def log_mean(one: float, weight: float, other: float, other_weight: float) -> float:
    """Weighted mean of logarithms: spreads of machines differ by orders of magnitude."""
    logs = weight * math.log(one) + other_weight * math.log(other)
    return math.exp(logs / (weight + other_weight))


@functools.lru_cache(maxsize=1024)
def student_t(probability: float, degrees_of_freedom: float) -> float:
    """Quantile of Student's t distribution."""
    # Not at the top: SciPy takes 0.1 s and starts threads, which `pytest --help` must not pay for.
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, probability))


def student_p(statistic: float, degrees_of_freedom: float) -> float:
    """Two-sided probability that Student's t is at least as far from zero."""
    from scipy.special import stdtr

    return 2 * float(stdtr(degrees_of_freedom, -abs(statistic)))


def share_spent(looks: Sequence[int], spent: Sequence[float], count: int) -> float:
    """Of every error that several looks share, what the look after `count` may spend.

    `spent` has the share of each of the `looks`; between two of them, it is that of the later one.
    """
    return next((one for look, one in zip(looks, spent, strict=True) if count <= look), spent[-1])


def holm(p_values: Sequence[float], error: float = FAMILYWISE_ERROR) -> list[float]:
    """The level at which Holm's step-down test (1979) tests each: rejected if p <= level.

    The smallest p is tested at error/m, the next at error/(m - 1), and so on; the first that is
    not rejected ends the test, and its level is that of all which follow.
    """
    levels = [0.0] * len(p_values)
    level, rejected = error, True
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if rejected:
            level = error / (len(p_values) - rank)
            rejected = p_values[index] <= level
        levels[index] = level
    return levels
