"""How unsure a comparison is where other programs ran beside one side and not beside the other.

Saved runs were measured at another time, and so in other company. Other programs hold CPUs back,
which costs the wall time of threads that wait for them. They also share caches, and threads that
wait for work spin where a CPU is free, so that CPU time changes too, up or down. By how much
depends on the test, so nothing is corrected: the comparison is less sure, and more so the more the
company differs. Side by side both revisions have the same company.
"""

from __future__ import annotations

import math

from pytest_tfthreads.core.contention import CONTENDED, Contention

EFFICIENCY_SPREAD = 1.0
"""Spread of the log of CPU efficiency for each whole of the CPUs that others took more or less: the
root mean square over four tests beside busy loops (1.4, 1.1, 0.8 and 0.5)."""
THROUGHPUT_SPREAD = 1.4
"""Spread of the log of throughput for each unit of the log of the CPUs' share that others did not
hold back: the root mean square over the same tests (1.6, 1.3, 1.2 and 1.3)."""
_LEAST_LEFT = 0.02
"""Others never hold back all: the process had some time, or nothing would have been measured."""


def spread_by_others(metric: str, now: Contention | None, then: Contention | None) -> float:
    """Spread of the log ratio of a speed now / then that others may have made.

    Of CPU efficiency by what others took; of throughput by what others held back, for a test whose
    threads never wait (one that sleeps, say) loses none to busy neighbours. 0 where that is the
    same now and then, and where one of the two does not know what others took.
    """
    taken = _taken(now, then)
    if now is None or then is None or taken is None:
        return 0.0
    if metric == "cpu_efficiency":
        return EFFICIENCY_SPREAD * abs(taken[0] - taken[1])
    left_now, left_then = (max(_LEAST_LEFT, 1 - (one.held_back or 0.0)) for one in (now, then))
    return THROUGHPUT_SPREAD * abs(math.log(left_now / left_then))


def differ(now: Contention | None, then: Contention | None) -> bool:
    """Whether others took so much more or less now than then that a verdict is to say so."""
    taken = _taken(now, then)
    return taken is not None and abs(taken[0] - taken[1]) >= CONTENDED


def _taken(now: Contention | None, then: Contention | None) -> tuple[float, float] | None:
    """The shares of the CPUs that others took; `None` where one of them is not known."""
    if now is None or then is None or now.taken is None or then.taken is None:
        return None
    return now.taken, then.taken
