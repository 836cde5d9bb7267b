"""How sure a difference is that a handful of passes measured.

With three passes a pair's own variance has two degrees of freedom: alone it separates nothing
once many pairs are tested, and now and then it is far too small by luck. So it is moderated, as
in G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential expression
in microarray experiments" (2004). Configurations differ in noise, so it is not the variances of
pairs that are drawn together, but those of the configurations that they are made of: a pair's is
the sum of two, so all pairs of a configuration tell its variance, by least squares, and a ridge
draws them towards their mean. Last comes what is to be expected before any pass was repeated.

The constants were chosen by the rates of false and of true separations on recorded noise;
benchmarks/sweep/false_separation.py prints them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from pytest_tfthreads.core.stats.estimates import SIGMA_OF_MAD, sum_of_squares

FLOOR = 0.01
"""Spread (of a logarithm) between processes that no number of rounds removes."""
WITHIN_WEIGHT = 2.0
"""How far the variance seen within processes stands for more between them: it lets the rule
follow the machine, with a single pass too."""
UNREPEATED = 0.026
"""The same where most pairs were measured in a single pass, which says nothing of its own."""
UNREPEATED_DOF = 4.0
ALIKE = 6.0
"""Pairs that the likeness of configurations' variances counts for, beside those of each."""
FEW_MEMBERS = 6
"""Configurations from which on their number makes variances no surer."""
_PASS_DOF = (0.4, 1.5)  # degrees of freedom of a repeated pass: with few members, and more
_EXPECTED_DOF = (0.6, 0.8)  # the same of the expected variance
BLOCK_SPREAD = 0.02
"""The least spread that is believed of single blocks: a handful may agree by luck."""

_MEDIAN_SE = math.sqrt(math.pi / 2)  # of its median, against that of its mean

IdPair = tuple[str, str]
"""Ids of two members that are compared."""


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
    spread = SIGMA_OF_MAD * median(abs(log - middle) for log in logs)
    return Difference(middle, median_se(spread, len(logs)))


def median_se(spread: float, blocks: int) -> float:
    """Standard error of the median of independent, normal blocks of this spread."""
    return _MEDIAN_SE * max(spread, BLOCK_SPREAD) / math.sqrt(blocks)


def expected_variance(differences: Sequence[Difference], floor: float = FLOOR) -> float:
    """Variance of one ring's log ratio, from what is known without repetition."""
    return floor**2 + WITHIN_WEIGHT * fmean(one.se**2 for one in differences)


def contrasts(
    observed: Mapping[IdPair, Sequence[Difference]], members: int
) -> dict[IdPair, Contrast]:
    """Each pair's mean over its rings, with a moderated variance.

    `observed` has the differences of every pair that shared a ring, `members` is the number of
    configurations that the pairs are made of.
    """
    dofs = {pair: len(differences) - 1 for pair, differences in observed.items()}
    passes_dof = sum(dofs.values()) / len(observed) if observed else 0.0
    of_members = _variances(observed, dofs) if passes_dof else {}
    many = min(1.0, (members - 1) / (FEW_MEMBERS - 1))
    is_repeated = passes_dof >= 1
    own_dof = passes_dof * (_PASS_DOF[0] + many * _PASS_DOF[1]) if is_repeated else passes_dof
    expected_dof = _EXPECTED_DOF[0] + many * _EXPECTED_DOF[1] if is_repeated else UNREPEATED_DOF
    dof = own_dof + expected_dof

    result = {}
    for pair, differences in observed.items():
        expected = expected_variance(differences, FLOOR if is_repeated else UNREPEATED)
        own = sum(of_members[member] for member in pair) if of_members else 0.0
        variance = (own_dof * own + expected_dof * expected) / dof
        result[pair] = Contrast(
            log_ratio=fmean(one.log_ratio for one in differences),
            variance=variance / len(differences),
            dof=dof,
            rings=len(differences),
        )
    return result


def _variances(
    observed: Mapping[IdPair, Sequence[Difference]], dofs: Mapping[IdPair, int]
) -> dict[str, float]:
    """Of each member, so that the sums of two are as near as can be to the variances of pairs."""
    from scipy.linalg import solve  # not at the top: see `statistics.student_t`

    members = list(dict.fromkeys(itertools.chain.from_iterable(observed)))
    places = {member: place for place, member in enumerate(members)}
    squares = {
        pair: sum_of_squares([one.log_ratio for one in differences])
        for pair, differences in observed.items()
    }
    mean = sum(squares.values()) / sum(dofs.values()) / 2
    ridge = ALIKE * sum(dofs.values()) / len(observed)
    matrix = [[ridge * (row == column) for column in members] for row in members]
    sides = [ridge * mean] * len(members)
    for pair, dof in dofs.items():
        one, other = (places[member] for member in pair)
        for row, column in itertools.product((one, other), repeat=2):
            matrix[row][column] += dof
        sides[one] += squares[pair]
        sides[other] += squares[pair]
    found = solve(matrix, sides, assume_a="pos")
    return {member: max(0.0, float(one)) for member, one in zip(members, found, strict=True)}
