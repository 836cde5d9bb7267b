"""How far processes are from one another, estimated from all that a run has measured.

Three processes give a standard deviation with two degrees of freedom: by luck it is a fifth of the
true one or twice as much, and the interval made of it with it. The other configurations of the
test and the other tests of the run were measured by the same machine at the same time, so they say
what is to be expected. A configuration's own variance is drawn towards that, as in G. K. Smyth,
"Linear models and empirical Bayes methods for assessing differential expression in microarray
experiments" (2004).

Two things keep such intervals from being too narrow. Configurations that took turns met the same
state of the machine, so their variances are one another's repetition: degrees of freedom are
counted from the variances between and within rings (F. E. Satterthwaite, "An approximate
distribution of estimates of variance components", 1946). And a configuration may be much noisier
than all others: the less likely its variance is among theirs, the less it is drawn (B. Phipson et
al., "Robust hyperparameter estimation protects against hypervariable genes and improves power to
detect differential expression", 2016).

The constants were chosen by the coverage on recorded noise; benchmarks/sweep/intervals.py prints
it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pytest_tfthreads.core.stats.estimates import Spread, sum_of_squares

ALIKE = 8.0
"""Degrees of freedom that the other configurations of a test count for at most."""
UNLIKE_TESTS = 0.4
"""Variance of the logarithm of variances from test to test, before any are seen."""
UNLIKE_TESTS_WEIGHT = 4.0
"""Tests that this expectation counts for."""
LEAST_UNLIKE_TESTS = 0.1
"""Tests always differ as much as this, however well a few of them agree."""
RARE = 1 / 4
"""A variance so much above the others that it would be found rarer than this is drawn less."""
FLOOR = 0.001
"""Spread (of a logarithm) below which tests are alike: clocks are no finer."""


@dataclass(frozen=True)
class Processes:
    """Log figures of one configuration, one a process.

    `rings` has the ring of each process; `None`: it took turns with nobody.
    """

    logs: Sequence[float]
    rings: Sequence[int | None]

    @property
    def dof(self) -> int:
        return len(self.logs) - 1

    @property
    def variance(self) -> float:
        return sum_of_squares(self.logs) / self.dof


@dataclass(frozen=True)
class _Variance:
    value: float
    dof: float


def pooled_spreads(tests: Sequence[Sequence[Processes]]) -> list[list[Spread | None]]:
    """Of each configuration of each test of a run, in their order.

    `None` where there is a single process, which may have measured for less time than the others,
    and where no other configuration was measured in several.
    """
    repeated = [[one for one in test if one.dof > 0] for test in tests]
    if sum(map(len, repeated)) < 2:
        return [[None] * len(test) for test in tests]
    of_tests = [_of_test(test) if test else None for test in repeated]
    run = _Run([one for one in of_tests if one is not None])
    places = itertools.count()
    result: list[list[Spread | None]] = []
    for test, others, of_test in zip(tests, repeated, of_tests, strict=True):
        if of_test is None:
            result.append([None] * len(test))
            continue
        elsewhere = run.without(next(places))
        spreads = (
            _drawn(one, [_beside(place, others, of_test), elsewhere])
            for place, one in enumerate(others)
        )
        result.append([next(spreads) if one.dof > 0 else None for one in test])
    return result


def _drawn(own: Processes, expectations: Sequence[_Variance | None]) -> Spread:
    """Its own variance, drawn towards what is expected."""
    expected = [one for one in expectations if one is not None]
    dof = sum(one.dof for one in expected)
    if not dof:
        return Spread(math.sqrt(own.variance), own.dof)
    variance = sum(one.dof * one.value for one in expected) / dof
    dof *= min(1.0, _chance(own.variance / variance, own.dof, dof) / RARE)
    total = own.dof + dof
    return Spread(math.sqrt((own.dof * own.variance + dof * variance) / total), total)


def _beside(place: int, test: Sequence[Processes], of_test: _Variance) -> _Variance | None:
    """What the other configurations of a test say of the one at this place."""
    others = [*test[:place], *test[place + 1 :]]
    more = of_test.dof - test[place].dof
    if not others or more <= 0:
        return None
    variance = sum(one.dof * one.variance for one in others) / sum(one.dof for one in others)
    return _Variance(max(variance, FLOOR**2), 1 / (1 / ALIKE + 1 / more))


def _of_test(test: Sequence[Processes]) -> _Variance:
    """Variance of a test's configurations together, and what that is worth."""
    by_rings: dict[object, list[Processes]] = {}
    for one in test:
        shares = None not in one.rings and len(set(one.rings)) == len(one.rings)
        key = frozenset(one.rings) if shares else id(one)
        by_rings.setdefault(key, []).append(one)
    found = [_of_rings(members) for members in by_rings.values()]
    dof = sum(one.dof for one in found)
    return _Variance(sum(one.dof * one.value for one in found) / dof, dof)


def _of_rings(members: Sequence[Processes]) -> _Variance:
    """Of configurations that were in the same rings."""
    dof, count = members[0].dof, len(members)
    variance = fmean(one.variance for one in members)
    if count == 1:
        return _Variance(variance, dof)
    by_ring = [dict(zip(one.rings, one.logs, strict=True)) for one in members]
    between = sum_of_squares([fmean(one[ring] for one in by_ring) for ring in by_ring[0]]) / dof
    within = max(variance - between, 0.0)
    error = between**2 / dof + within**2 / (dof * (count - 1))
    return _Variance(variance, variance**2 / error if error else dof)


class _Run:
    """Tests of a run: what all but one of them say of that one."""

    def __init__(self, tests: Sequence[_Variance]) -> None:
        from scipy.special import polygamma, psi  # not at the top: see `estimates.student_t`

        halves = [one.dof / 2 for one in tests]
        # The expectation and the variance of a sample variance's logarithm, beside the true one's.
        self._logs = [
            math.log(max(one.value, FLOOR**2)) - float(psi(half)) + math.log(half)
            for one, half in zip(tests, halves, strict=True)
        ]
        self._errors = [float(polygamma(1, half)) for half in halves]
        self._sum, self._squares = sum(self._logs), sum(log**2 for log in self._logs)
        self._error = sum(self._errors)

    def without(self, test: int) -> _Variance | None:
        """By all tests but this one; `None` where there is no other."""
        from scipy.special import psi

        count = len(self._logs) - 1
        if not count:
            return None
        mean = (self._sum - self._logs[test]) / count
        squares = max(self._squares - self._logs[test] ** 2 - count * mean**2, 0.0)
        error = (self._error - self._errors[test]) / count
        unlike = max(
            (squares - (count - 1) * error + UNLIKE_TESTS_WEIGHT * UNLIKE_TESTS)
            / (count - 1 + UNLIKE_TESTS_WEIGHT),
            LEAST_UNLIKE_TESTS,
        )
        half = _inverse_trigamma(unlike)
        variance = math.exp(mean + float(psi(half)) - math.log(half))
        # Variance v of a log variance is what 2/v degrees of freedom have, about.
        return _Variance(variance, 1 / (1 / (2 * half) + (unlike + error) / count / 2))


def _chance(ratio: float, dof: float, other_dof: float) -> float:
    """That the ratio of two estimates of one variance is as large as this."""
    from scipy.special import fdtrc

    return float(fdtrc(dof, other_dof, ratio))


def _inverse_trigamma(value: float) -> float:
    """By Newton's method, from below, as in the appendix of Smyth (2004)."""
    from scipy.special import polygamma

    found = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, found))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, found))
        found += step
        if abs(step) < 1e-8 * found:
            break
    return found
