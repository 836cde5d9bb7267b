"""How far the speed of unchanged code moves from one sitting to another, and so a new one.

A sitting is one run of the suite. Two sources of variance, both of the logarithm of a speed:
between sittings (the machine of the day: neighbours on the host, clock, memory layout of the
boot), which no number of processes removes, and between the processes of a sitting. A difference
of two sittings, the later of `n` processes and the earlier of `m`, then has the variance

    2 · between + within · (1/n + 1/m)

which gives a prediction interval for it (Welch-Satterthwaite degrees of freedom). Both sources
are moderated by a default (as in `noise`), because a handful of figures may agree by luck.

The default between processes depends on how long a process measured. A CPU of a shared machine
flips between two speeds, and a measurement much shorter than such a state is a single draw.

The constants were chosen by the rates of false alarms and of detection on recorded noise;
benchmarks/gate/replay.py prints them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pytest_tfthreads.core.statistics import LogRatio

BETWEEN = 0.07
"""Default spread (of a logarithm) between sittings: the upper end of what was measured on a shared
virtual machine, so that a single stored run can fail a gross regression on any machine."""
BETWEEN_CORRECTED = 0.04
"""The same after correction by a reference workload."""
BETWEEN_WEIGHT = 3.0
"""Degrees of freedom that the default counts for when a history speaks against it: enough for the
first few runs, little enough to let a quiet machine become sharp."""
BETWEEN_DOF = 20.0
"""Degrees of freedom of the default itself: it is meant as wide, not as a guess."""
WITHIN = 0.05
"""Default spread between processes that measured for long."""
STATE_SPREAD = 0.29
"""Spread of a CPU's log speed over two states that are a factor of 1.8 apart and equally common:
half of log(1.8). So much do processes differ that measured for no time at all."""
STATE_MEMORY_S = 0.25
"""After this time a CPU's state is forgotten by all but 1/e: half of a state's 0.5 s."""
WITHIN_DOF = 2.0
FLOOR = 0.01
"""Spread between sittings that is always believed possible, however quiet the history."""


@dataclass(frozen=True)
class Prediction(LogRatio):
    """The log ratio of two sittings' speeds, and how far unchanged code may move it.

    `between` and `within` are the two parts of its variance.
    """

    between: float
    within: float


def predict(
    now: Sequence[float],
    history: Sequence[Sequence[float]],
    default_between: float,
    measured_s: float = math.inf,
) -> Prediction:
    """From log speeds, one a process: the new sitting's, and those of stored ones, oldest first.

    The last stored sitting is the baseline. `default_between` is the spread between sittings
    before any history. `measured_s` is how long a process measured, in the shorter of the two
    sittings. Raises `ValueError` where a sitting has no process.
    """
    sittings = [*history, now]
    if len(sittings) < 2 or not all(sittings):
        raise ValueError("a prediction needs a new and a stored sitting of one process or more")
    squares = sum(_sum_of_squares(sitting) for sitting in sittings)
    within_dof = sum(len(sitting) - 1 for sitting in sittings) + WITHIN_DOF
    within = (squares + WITHIN_DOF * default_within(measured_s)) / within_dof
    between, between_dof = _between(history, within, default_between)

    of_sittings = 2 * between
    of_processes = within * (1 / len(now) + 1 / len(history[-1]))
    dof = (of_sittings + of_processes) ** 2 / (
        of_sittings**2 / between_dof + of_processes**2 / within_dof
    )
    return Prediction(
        log_ratio=fmean(now) - fmean(history[-1]),
        variance=of_sittings + of_processes,
        dof=dof,
        between=of_sittings,
        within=of_processes,
    )


def default_within(measured_s: float) -> float:
    """Variance between processes that each measured for so long, before any are seen."""
    return float(WITHIN**2 + STATE_SPREAD**2 * math.exp(-measured_s / STATE_MEMORY_S))


def _between(
    history: Sequence[Sequence[float]], within: float, default: float
) -> tuple[float, float]:
    """Variance between sittings, and its degrees of freedom.

    Learned from differences of *successive* sittings (von Neumann et al., "The mean square
    successive difference", 1941): that is what is predicted, and a release that once made the code
    faster counts once, not as a spread of all that came before and after.
    """
    if len(history) < 2:
        return default**2, BETWEEN_DOF
    steps = len(history) - 1
    means = [fmean(sitting) for sitting in history]
    differences = [later - earlier for earlier, later in itertools.pairwise(means)]
    of_processes = fmean(
        (1 / len(earlier) + 1 / len(later)) * within
        for earlier, later in itertools.pairwise(history)
    )
    learned = (fmean(one**2 for one in differences) - of_processes) / 2
    learned = max(learned, FLOOR**2)
    dof = 2 * steps**2 / (3 * steps - 1)  # successive differences share sittings
    # Spreads of machines differ by orders of magnitude, so logarithms are averaged. That of a
    # sample variance is too small by about 1/dof in the mean (Smyth 2004, see `noise`).
    log_learned = math.log(learned) + 1 / dof
    log_default = math.log(default**2)
    log_mean = (dof * log_learned + BETWEEN_WEIGHT * log_default) / (dof + BETWEEN_WEIGHT)
    return math.exp(log_mean), dof + BETWEEN_DOF


def _sum_of_squares(figures: Sequence[float]) -> float:
    mean = fmean(figures)
    return sum((figure - mean) ** 2 for figure in figures)
