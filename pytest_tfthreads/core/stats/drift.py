"""How far the speed of unchanged code moves from one session to another, and so a new one.

A session is one run of the suite. Two sources of variance, both of the logarithm of a speed:
between sessions (the machine of the day: neighbours on the host, clock, memory layout of the
boot), which no number of processes removes, and between the processes of a session. A new session
of `n` processes is compared with the mean of `k` saved ones, the present level (`level`), of `m`
processes each. The difference then has the variance

    between · (1 + 1/k) + within · (1/n + 1/(k · m))

which gives a prediction interval for it (Welch-Satterthwaite degrees of freedom). Both sources
are moderated (as in `noise`), because a handful of figures may agree by luck: `between` by that of
the suite's tests together, and this by a default.

The default between processes depends on how long a process measured. A CPU of a shared machine
flips between two speeds, and a measurement much shorter than such a state is a single draw.

The constants were chosen by the rates of false alarms and of detection on recorded noise;
benchmarks/gate/replay.py prints them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from pytest_tfthreads.core.stats.estimates import (
    SIGMA_OF_MAD,
    LogRatio,
    log_mean,
    moderated_variance,
    sum_of_squares,
)


@dataclass(frozen=True)
class Expected:
    """The drift that is expected before any history: a spread (of a logarithm) between sessions.

    `weight`: the degrees of freedom that it counts for when saved runs speak against it. `tests`:
    the most tests that the suite's drift counts for, for tests of one session share its weather.
    """

    spread: float
    weight: float
    tests: float


UNCORRECTED = Expected(0.11, 24.0, 1.0)
"""Of speeds as measured. One session of the six that were recorded was slower than the others in
nearly every test: however well a few saved runs agree, the next may be such a one."""
CORRECTED = Expected(0.04, 4.0, 2.0)
"""After correction by the wall time of the reference workload (`correction`)."""
AGREED = Expected(0.08, 8.0, 1.0)
"""After correction by what both clocks of the reference workload agree on: threads that wait for
work spin where a CPU is free, which nothing tells from work."""
EXPECTED_DOF = 20.0
"""Degrees of freedom of what is expected: it is meant as wide, not as a guess."""
SUITE_WEIGHT = 4.0
"""Degrees of freedom that the drift of the suite counts for beside that of a test's own runs."""
WITHIN = 0.05
"""Default spread between processes that measured for long."""
STATE_SPREAD = 0.29
"""Spread of a CPU's log speed over two states that are a factor of 1.8 apart and equally common:
half of log(1.8). So much do processes differ that measured for no time at all."""
STATE_MEMORY_S = 0.25
"""After this time a CPU's state is forgotten by all but 1/e: half of a state's 0.5 s."""
WITHIN_DOF = 2.0
FLOOR = 0.01
"""Spread between sessions that is always believed possible, however quiet the history."""
_CLIP = 4.0  # standard deviations beyond which a difference counts no more for the noise


@dataclass(frozen=True)
class Drift:
    """Variance between sessions, and its degrees of freedom."""

    variance: float
    dof: float


@dataclass(frozen=True)
class Prediction(LogRatio):
    """The log ratio of a session's speed to a level, and how far unchanged code may move it.

    `between` and `within` are the two parts of its variance.
    """

    between: float
    within: float


def predict(
    now: Sequence[float],
    history: Sequence[Sequence[float]],
    expected: Expected,
    measured_s: float = math.inf,
    level: Sequence[int] | None = None,
    suite: Drift | None = None,
) -> Prediction:
    """From log speeds, one a process: the new session's, and those of stored ones, oldest first.

    The stored sessions of the indices `level` are what is compared with: by default all.
    `expected` is the drift before any history, and `suite` that of the suite's tests
    (`suite_drift`), if it is known. `measured_s` is how long a process measured,
    in the shortest of the sessions that are compared. Raises `ValueError` where a session has no
    process, or there is none to compare with.
    """
    sessions = [*history, now]
    chosen = [history[index] for index in (range(len(history)) if level is None else level)]
    if not chosen or not all(sessions):
        raise ValueError("a prediction needs a new and a stored session of one process or more")
    squares = sum(sum_of_squares(session) for session in sessions)
    within_dof = sum(len(session) - 1 for session in sessions) + WITHIN_DOF
    within = (squares + WITHIN_DOF * default_within(measured_s)) / within_dof
    between = _moderated(learned_drift(history, within), suite or expected_drift(expected))

    share = 1 / len(chosen)
    of_sessions = between.variance * (1 + share)
    of_processes = within * (1 / len(now) + share * fmean(1 / len(one) for one in chosen))
    dof = (of_sessions + of_processes) ** 2 / (
        of_sessions**2 / between.dof + of_processes**2 / within_dof
    )
    return Prediction(
        log_ratio=fmean(now) - fmean(fmean(session) for session in chosen),
        variance=of_sessions + of_processes,
        dof=dof,
        between=of_sessions,
        within=of_processes,
    )


def default_within(measured_s: float) -> float:
    """Variance between processes that each measured for so long, before any are seen."""
    return float(WITHIN**2 + STATE_SPREAD**2 * math.exp(-measured_s / STATE_MEMORY_S))


def semivariance(points: Sequence[float]) -> float:
    """Half the mean square of successive differences, those far beyond the others clipped.

    A few steps or odd sessions so do not count as noise (von Neumann et al., "The mean square
    successive difference", 1941).
    """
    squares = [(later - earlier) ** 2 for earlier, later in itertools.pairwise(points)]
    # Of equal points too, a difference is not the first sign of noise.
    typical = max(SIGMA_OF_MAD**2 * median(squares), 2 * FLOOR**2)
    return fmean(min(square, _CLIP**2 * typical) for square in squares) / 2


def dof_of_steps(steps: int) -> float:
    """Degrees of freedom of so many successive differences: neighbours share a session."""
    return 2 * steps**2 / (3 * steps - 1)


def learned_drift(history: Sequence[Sequence[float]], within: float) -> Drift | None:
    """What the stored sessions of one test say of their drift; `None`: one session says nothing.

    `within` is the variance between processes, whose share is taken out.
    """
    if len(history) < 2:
        return None
    of_points = within * fmean(1 / len(session) for session in history)
    learned = semivariance([fmean(session) for session in history]) - of_points
    return Drift(max(learned, FLOOR**2), dof_of_steps(len(history) - 1))


def expected_drift(expected: Expected) -> Drift:
    """Before any history."""
    return Drift(expected.spread**2, expected.weight)


def suite_drift(histories: Iterable[Sequence[Sequence[float]]], expected: Expected) -> Drift | None:
    """The drift of a suite's tests together, from the log speeds of each; `None`: nothing is known.

    What is expected takes part, for the tests of a few sessions may agree by luck.
    """
    known = [
        drift
        for history in histories
        if (drift := learned_drift(history, _within(history))) is not None
    ]
    if not known:
        return None
    total = sum(one.dof for one in known)
    variance = sum(one.dof * one.variance for one in known) / total
    dof = total / len(known) * min(expected.tests, len(known))
    prior = expected_drift(expected)
    moderated = log_mean(variance, dof, prior.variance, prior.dof)
    return Drift(moderated, max(prior.dof, SUITE_WEIGHT))


def _moderated(own: Drift | None, prior: Drift) -> Drift:
    """A test's own drift, drawn towards that of its suite, or what is expected."""
    if own is None:
        return Drift(prior.variance, EXPECTED_DOF)
    moderated = moderated_variance(own.variance, own.dof, prior.variance, prior.dof)
    return Drift(moderated, own.dof + EXPECTED_DOF)


def _within(history: Sequence[Sequence[float]]) -> float:
    """Variance between the processes of a test, as far as its own sessions tell it."""
    dof = sum(len(session) - 1 for session in history) + WITHIN_DOF
    squares = sum(sum_of_squares(session) for session in history)
    return (squares + WITHIN_DOF * WITHIN**2) / dof
