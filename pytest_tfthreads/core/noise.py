"""How sure a difference is that a handful of passes measured.

With three passes a pair's own variance has two degrees of freedom: alone it separates nothing
once many pairs are tested, and now and then it is far too small by luck. So it is moderated, as
in G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential expression
in microarray experiments" (2004): a weighted mean of the pair's own variance, that of the other
pairs of its group, and what is to be expected before any pass was repeated.

The constants were chosen by the rates of false and of true separations on recorded noise;
benchmarks/sweep/false_separation.py prints them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import TypeVar

FLOOR = 0.01
"""Spread (of a logarithm) between processes that no number of rounds removes."""
WITHIN_WEIGHT = 2.0
"""How far the variance seen within processes stands for more between them: it lets the rule
follow the machine, with a single pass too."""
EXPECTED_DOF = 4.0
"""Degrees of freedom that the expected variance counts for."""
POOL_DOF = 8.0
"""The most degrees of freedom that the group's other pairs count for: configurations differ in
noise, so however many others must not drown a noisy pair's own passes."""
BLOCK_SPREAD = 0.02
"""The least spread that is believed of single blocks: a handful may agree by luck."""

_SIGMA_OF_MAD = 1.4826  # of a normal distribution
_MEDIAN_SE = math.sqrt(math.pi / 2)  # of its median, against that of its mean

Key = TypeVar("Key")


@dataclass(frozen=True)
class Difference:
    """What one ring says of two of its members.

    `log_ratio` is log(speed of the first / speed of the second), `se` the standard error that the
    scatter of its blocks alone gives it: a lower bound, for blocks of one process are no
    independent samples.
    """

    log_ratio: float
    se: float


@dataclass(frozen=True)
class Contrast:
    """A mean log ratio over rings with the variance of that mean."""

    log_ratio: float
    variance: float
    dof: float
    rings: int
    through: str | None = None  # the shared member that links a pair without a common ring


def difference(first_s: Sequence[float], second_s: Sequence[float]) -> Difference:
    """Paired by block: seconds an item of two members whose n-th blocks were neighbours in time.

    Raises `ValueError` where there is no block of both.
    """
    logs = [math.log(b / a) for a, b in zip(first_s, second_s, strict=False)]
    if not logs:
        raise ValueError("no block was measured in both members")
    middle = median(logs)
    spread = _SIGMA_OF_MAD * median(abs(log - middle) for log in logs)
    return Difference(middle, median_se(spread, len(logs)))


def median_se(spread: float, blocks: int) -> float:
    """Standard error of the median of independent, normal blocks of this spread."""
    return _MEDIAN_SE * max(spread, BLOCK_SPREAD) / math.sqrt(blocks)


def expected_variance(differences: Sequence[Difference]) -> float:
    """Variance of one ring's log ratio, from what is known without repetition."""
    return FLOOR**2 + WITHIN_WEIGHT * fmean(one.se**2 for one in differences)


def contrasts(observed: Mapping[Key, Sequence[Difference]], members: int) -> dict[Key, Contrast]:
    """Each pair's mean over its rings, with a moderated variance.

    `observed` has the differences of every pair that shared a ring, `members` is the number of
    configurations that the pairs are made of.
    """
    squares = {pair: _sum_of_squares(differences) for pair, differences in observed.items()}
    dofs = {pair: len(differences) - 1 for pair, differences in observed.items()}
    all_squares, all_dof = sum(squares.values()), sum(dofs.values())
    # Pairs share members: k of them are worth k - 1 independent differences, one being the pair's.
    independent_dof = (members - 2) * all_dof / len(observed) if observed else 0.0

    result = {}
    for pair, differences in observed.items():
        others_dof = all_dof - dofs[pair]
        pool = (all_squares - squares[pair]) / others_dof if others_dof else 0.0
        pool_dof = min(POOL_DOF, independent_dof) if others_dof else 0.0
        expected = EXPECTED_DOF * expected_variance(differences)
        dof = dofs[pair] + pool_dof + EXPECTED_DOF
        variance = (squares[pair] + pool_dof * pool + expected) / dof
        result[pair] = Contrast(
            log_ratio=fmean(one.log_ratio for one in differences),
            variance=variance / len(differences),
            dof=dof,
            rings=len(differences),
        )
    return result


def _sum_of_squares(differences: Sequence[Difference]) -> float:
    mean = fmean(one.log_ratio for one in differences)
    return sum((one.log_ratio - mean) ** 2 for one in differences)
