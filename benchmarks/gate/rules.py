"""The rules that are replayed: the plugin's, and what people use instead.

A rule against saved runs takes a `Replay` and a metric and gives its verdict. The naive ones know
wall time only, and as pytest-benchmark keeps them: all rounds of all processes in one heap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean, median

import numpy
from recorded import Duet, Process, Replay
from scipy.stats import mannwhitneyu, ttest_ind

from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.gate.duet import LOOKS, is_decided, judge_duet
from pytest_tfthreads.core.gate.verdict import Policy, judge
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample

Rule = Callable[[Replay, str], str]

RESAMPLES = 500
_ROUNDS = 30
_ANY = Process(wall_s=1.0, cpu_s=1.0, reference_wall_s=1.0, reference_cpu_s=1.0)


def measurement(session: Sequence[Process], reference: bool, longer: float = 1.0) -> Measurement:
    """As if all rounds of a process had been one; `longer`: and that many times over."""
    return Measurement(
        requested=Pools(1, 1),
        effective=Pools(1, 1),
        cpus=(0,),
        start="fork",
        items=1,
        unit="calls",
        samples=tuple(
            Sample(
                wall_s=(one.wall_s * longer,),
                cpu_s=(one.cpu_s * longer,),
                iterations=round((len(one.rounds_s) or _ROUNDS) * longer),
                warmup_rounds=6,
                setup_s=0,
                max_rss_bytes=0,
                voluntary_switches=0,
                involuntary_switches=0,
                cpus=(0,),
                reference_wall_s=one.reference_wall_s / _ROUNDS if reference else None,
                reference_cpu_s=one.reference_cpu_s / _ROUNDS if reference else None,
            )
            for one in session
        ),
    )


def stored_rule(reference: bool, hypotheses: int, longer: float = 1.0) -> Rule:
    """The plugin's against saved runs, with and without the correction by a reference workload.

    `longer` pretends that processes measured so many times as long as they did.
    """

    def rule(replay: Replay, metric: str) -> str:
        history = History(tuple(measurement(one, reference, longer) for one in replay.history))
        now = measurement(replay.now, reference, longer)
        verdicts = judge("a test", now, history, Policy(), hypotheses)
        return next(one.status for one in verdicts if one.metric == metric)

    return rule


def duet(
    one: Duet, hypotheses: int, tolerance: float = 0.05, start: str = "fresh"
) -> tuple[str, str, int]:
    """The plugin's, side by side: verdicts on throughput and CPU efficiency, and pairs needed.

    `start`: as which processes are judged. Recorded pairs are drawn from several sessions, each
    with a random sign, so no luck of an interpreter is common to pairs of a duet: as with fresh
    processes, their scatter shows all of it.
    """
    policy = Policy({"throughput": tolerance, "cpu_efficiency": tolerance})
    now = replace(measurement([_ANY], reference=False), start=start)
    for pairs in LOOKS:
        wall, cpu = judge_duet(
            "a test", now, now, one.pairs[:pairs], one.stored, policy, hypotheses, "a revision"
        )
        if is_decided((wall, cpu), pairs):
            break
    return wall.status, cpu.status, pairs


def mean_rule(replay: Replay, metric: str) -> str:
    """`--benchmark-compare-fail=mean:5%`."""
    return _fails(fmean(_rounds_s(replay.now)) > 1.05 * fmean(_rounds_s(replay.then)))


def min_rule(replay: Replay, metric: str) -> str:
    """`--benchmark-compare-fail=min:5%`."""
    return _fails(min(_rounds_s(replay.now)) > 1.05 * min(_rounds_s(replay.then)))


def median_rule(replay: Replay, metric: str) -> str:
    """`--benchmark-compare-fail=median:10%`."""
    return _fails(median(_rounds_s(replay.now)) > 1.1 * median(_rounds_s(replay.then)))


def t_rule(replay: Replay, metric: str) -> str:
    """5 % slower and, at 1 %, Welch's t over all rounds."""
    now, then = _rounds_s(replay.now), _rounds_s(replay.then)
    p = ttest_ind(now, then, equal_var=False, alternative="greater").pvalue
    return _fails(p < 0.01 and fmean(now) > 1.05 * fmean(then))


def rank_rule(replay: Replay, metric: str) -> str:
    """5 % slower in the median and, at 1 %, Mann-Whitney's test over all rounds."""
    now, then = _rounds_s(replay.now), _rounds_s(replay.then)
    p = mannwhitneyu(now, then, alternative="greater").pvalue
    return _fails(p < 0.01 and median(now) > 1.05 * median(then))


def bootstrap_rule(replay: Replay, metric: str) -> str:
    """Surely (99 %) 5 % slower, by a bootstrap of processes and, within them, of rounds."""
    rng = numpy.random.default_rng(6)
    now, then = (_resampled_means(rng, session) for session in (replay.now, replay.then))
    return _fails(numpy.quantile(numpy.log(now / then), 0.01) > math.log(1.05))


def _resampled_means(rng: numpy.random.Generator, session: Sequence[Process]) -> numpy.ndarray:
    rounds_s = numpy.array([one.rounds_s for one in session])
    processes, rounds = rounds_s.shape
    picked = rng.integers(processes, size=(RESAMPLES, processes, 1))
    within = rng.integers(rounds, size=(RESAMPLES, processes, rounds))
    return rounds_s[picked, within].mean(axis=(1, 2))


def _rounds_s(session: Sequence[Process]) -> list[float]:
    return [round_s for one in session for round_s in one.rounds_s]


def _fails(failed: bool) -> str:
    return "regression" if failed else "pass"
