"""Is unchanged code, measured here, steady enough for a regression of some size to be found?

Pairs of processes of the same code take turns (`Trial`), and the rules of the gate and of a duet
are asked what they would find if all processes to come spread as these did (`limits`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from pytest_tfthreads.core.gate.correction import (
    EXPECTED,
    NOT,
    anchor_of,
    correction_of,
    has_reference,
    log_speeds,
)
from pytest_tfthreads.core.gate.duet import LOOKS
from pytest_tfthreads.core.gate.pairs import pair_of
from pytest_tfthreads.core.measurement import Sample
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.doctor.minimum_effect import Limit, duet_limit, saved_runs_limit

SAVED_RUNS = (1, 3, 10, 30)
"""Lengths of a history that are looked at."""
PROCESSES = (3, 6, 12)
"""Processes a run: the default, and what more of them would bring."""
LEAST_PAIRS = LOOKS[0]
"""Fewer pairs say too little of their spread."""


@dataclass(frozen=True)
class Trial:
    """Unchanged code in pairs of processes that took turns: the first and the second of each.

    Raises `ValueError` where there are too few pairs, or two that took no turns with each other.
    """

    pairs: tuple[tuple[Sample, Sample], ...]

    def __post_init__(self) -> None:
        if len(self.pairs) < LEAST_PAIRS:
            raise ValueError(f"{len(self.pairs)} pairs; at least {LEAST_PAIRS} are needed")
        self.pair_logs("throughput")

    @property
    def is_corrected(self) -> bool:
        """Whether every process ran the reference workload, by which the gate corrects."""
        return all(map(has_reference, self.pairs))

    @property
    def measured_s(self) -> float:
        """How long a process measured."""
        return fmean(sum(sample.wall_s) for pair in self.pairs for sample in pair)

    def correction(self, metric: str) -> str:
        """How the gate corrects such processes."""
        return correction_of(metric, *self.pairs)

    def pair_logs(self, metric: str) -> list[float]:
        """Of each pair the log ratio of its speeds, as a duet takes it."""
        return [getattr(pair_of(*pair), metric) for pair in self.pairs]

    def sessions(self, metric: str) -> list[list[float]]:
        """Log speeds of runs of three processes each, all of one side, in the order of time."""
        correction = self.correction(metric)
        anchor = (
            None if correction == NOT else anchor_of([one for pair in self.pairs for one in pair])
        )
        logs = [
            list(log_speeds([pair[side] for pair in self.pairs], metric, correction, anchor))
            for side in (0, 1)
        ]
        size = LEAST_PAIRS
        return [
            side[start : start + size]
            for side in logs
            for start in range(len(side) % size, len(side), size)
        ]


@dataclass(frozen=True)
class Enough:
    """A history with which losses of the tolerance are found: runs of so many processes."""

    runs: int
    processes: int
    limits: Mapping[str, Limit]


@dataclass(frozen=True)
class Fitness:
    """Which losses can be detected, in a suite of `tests` tests, for each metric.

    `saved_runs` is by the length of the history, with the default number of processes. `enough` is
    the shortest history with which a loss of the tolerance is found in both metrics, with as few
    processes as will do; `None`: there is none.
    """

    tolerance: Mapping[str, float]
    tests: int
    duet: Mapping[str, Limit]
    saved_runs: Mapping[int, Mapping[str, Limit]]
    enough: Enough | None

    @property
    def is_fit_for_duet(self) -> bool:
        return _is_fit(self.duet)

    @property
    def is_fit_for_saved_runs(self) -> bool:
        return self.enough is not None

    @property
    def is_uncertain(self) -> bool:
        """Whether side by side may be fit or not, as far as the measured pairs tell."""
        intervals = [
            (limit.smallest, self.tolerance[metric]) for metric, limit in self.duet.items()
        ]
        return any((one.low or 0) <= share < (one.high or 1) for one, share in intervals)

    @property
    def detectable_tolerance(self) -> float:
        """The smallest tolerance, in whole percent, for which side by side would be fit."""
        return math.ceil(100 * max(one.smallest.value for one in self.duet.values())) / 100


def fitness(trial: Trial, tolerance: Mapping[str, float], tests: int) -> Fitness:
    """What the rules can detect. Raises `ValueError` where there are no tests."""
    hypotheses = len(METRICS) * tests
    by_processes = {
        processes: {
            runs: by_saved_runs(trial, runs, processes, tolerance, hypotheses)
            for runs in SAVED_RUNS
        }
        for processes in PROCESSES
    }
    enough = (
        Enough(runs, processes, limits[runs])
        for processes, limits in by_processes.items()
        if (runs := _runs_needed(limits)) is not None
    )
    return Fitness(
        tolerance=tolerance,
        tests=tests,
        duet=by_duet(trial, tolerance, hypotheses),
        saved_runs=by_processes[PROCESSES[0]],
        enough=next(enough, None),
    )


def by_duet(trial: Trial, tolerance: Mapping[str, float], hypotheses: int) -> dict[str, Limit]:
    """Limits of a duet, by metric."""
    return {
        metric: duet_limit(trial.pair_logs(metric), tolerance[metric], hypotheses)
        for metric in METRICS
    }


def by_saved_runs(
    trial: Trial, runs: int, processes: int, tolerance: Mapping[str, float], hypotheses: int
) -> dict[str, Limit]:
    """Limits of the gate where so many runs of so many processes are saved, by metric."""
    return {
        metric: saved_runs_limit(
            trial.sessions(metric),
            runs,
            tolerance[metric],
            hypotheses,
            EXPECTED[trial.correction(metric)],
            trial.measured_s,
            times=processes // LEAST_PAIRS,
        )
        for metric in METRICS
    }


def _runs_needed(limits: Mapping[int, Mapping[str, Limit]]) -> int | None:
    """The shortest history that is enough, as are all longer ones.

    A single run knows nothing of this machine's drift. Where that is larger than the default, more
    runs make the rule less sure, and rightly so.
    """
    return next(
        (runs for runs in limits if all(_is_fit(limits[more]) for more in limits if more >= runs)),
        None,
    )


def _is_fit(limits: Mapping[str, Limit]) -> bool:
    return all(limit.set_tolerance is not None for limit in limits.values())
