"""How unsure a comparison with saved runs is where other programs ran.

Saved runs were measured at another time, and so in other company. Other programs hold CPUs back,
which costs the wall time of threads that wait for them. They also change what work costs, up or
down: caches are shared, threads that wait for work spin where a CPU is free, and CPUs of which none
is idle may be faster. By how much depends on the test and on the machine, so nothing is corrected:
the comparison is less sure, and more so the more the company differs. Beside others speeds also
scatter more from one run to the next, which a few saved runs have not taught. Side by side both
revisions have the same company, but for the moments in which one of them waits (`held_back_more`).
"""

from __future__ import annotations

import math
from statistics import fmean

from pytest_tfthreads.core.contention import CONTENDED, Contention
from pytest_tfthreads.core.measurement import Measurement, Sample

WORK_SPREAD = 1.0
"""Spread of the log of what work costs, for each whole of the CPUs that others took more or less:
the root mean square over four tests beside busy loops (1.4, 1.1, 0.8 and 0.5 of CPU efficiency; all
four did less beside them). On another day two of the tests did more: 0.7 and 0.3 of throughput that
nobody held back."""
THROUGHPUT_SPREAD = 1.4
"""Spread of the log of throughput for each unit of the log of the CPUs' share that others did not
hold back: the root mean square over the same tests (1.6, 1.3, 1.2 and 1.3)."""
ENOUGH_RUNS = 10
"""Saved runs from which on more of them teach little."""
_LEAST_LEFT = 0.02
"""Others never hold back all: the process had some time, or nothing would have been measured."""


def spread_by_others(
    metric: str,
    now: Contention | None,
    then: Contention | None,
    cores_used: float,
    waits_are_corrected: bool,
) -> float:
    """Spread of the log ratio of a speed now / then that others may have made.

    What work costs may have changed with what others took, and throughput with it, as far as the
    threads work: a test that sleeps has no work that could cost more, and `cores_used` tells.
    Throughput also changes with what others held back, unless a reference workload that waited as
    much has corrected that. 0 where company is the same now and then, and where one of the two does
    not know what others took.
    """
    taken = _taken(now, then)
    if now is None or then is None or taken is None:
        return 0.0
    work = WORK_SPREAD * abs(taken[0] - taken[1])
    if metric == "cpu_efficiency":
        return work
    work *= min(1.0, cores_used)
    if waits_are_corrected:
        return work
    left_now, left_then = (max(_LEAST_LEFT, 1 - (one.held_back or 0.0)) for one in (now, then))
    return max(work, THROUGHPUT_SPREAD * abs(math.log(left_now / left_then)))


def scatter_beside_others(
    metric: str, now: Contention | None, then: Contention | None, cores_used: float, runs: int
) -> float:
    """Spread of the log ratio of a speed now / then that company makes, even where it is the same.

    A tf.data pipeline with two threads took 2.8 times the CPU time for its elements where another
    program left it both CPUs now and then; beside as much company as then it once took 1.8 times
    the time. That is as much as company ever makes (`WORK_SPREAD`, of the CPUs that others took
    where they took more). It counts as long as saved runs have not taught how far speeds scatter
    here: in full beside one run, no more from `ENOUGH_RUNS` on.
    """
    taken = _taken(now, then)
    if taken is None:
        return 0.0
    untaught = max(0.0, 1 - (runs - 1) / (ENOUGH_RUNS - 1))
    work = WORK_SPREAD * max(taken) * math.sqrt(untaught)
    return work if metric == "cpu_efficiency" else work * min(1.0, cores_used)


def held_back_more(now: Measurement, then: Measurement, pairs: int) -> float:
    """How much more others held `now` back than `then`, side by side, as a log of throughput.

    Threads that wait for a CPU would have used it: of processes that took turns, pair by pair,
    throughput = CPU efficiency × cores used, and without others the cores used would have been
    those that were used and those that were held back. Above 0: `now` was held back more. 0 where
    the measurements are not `contended`, where a process does not know, and where others took more
    beside one side: these may be processes that the code itself has started.
    """
    known = [one for one in (now.contention, then.contention) if one is not None]
    if len(known) < len((now, then)) or not any(one.is_contended for one in known):
        return 0.0
    if differ(*known):
        return 0.0
    both = [
        [_hindrance(sample, len(side.granted)) for sample in side.samples[:pairs]]
        for side in (now, then)
    ]
    # A side may have fewer processes than pairs were asked for: one did not measure.
    return fmean(mine - theirs for mine, theirs in zip(*both, strict=False))


def _hindrance(sample: Sample, cpus: int) -> float:
    """Log of the throughput that a process would have had without others, over that it had."""
    held_back = 0.0 if sample.contention is None else sample.contention.held_back or 0.0
    held = held_back * cpus
    without = math.log1p(held / sample.cores_used)
    # Wall time cannot shrink by more than was waited: a test may also sleep.
    return without if held >= 1 else min(without, -math.log1p(-held))


def differ(now: Contention | None, then: Contention | None) -> bool:
    """Whether others took so much more or less now than then that a verdict is to say so."""
    taken = _taken(now, then)
    return taken is not None and abs(taken[0] - taken[1]) >= CONTENDED


def _taken(now: Contention | None, then: Contention | None) -> tuple[float, float] | None:
    """The shares of the CPUs that others took; `None` where one of them is not known."""
    if now is None or then is None or now.taken is None or then.taken is None:
        return None
    return now.taken, then.taken
