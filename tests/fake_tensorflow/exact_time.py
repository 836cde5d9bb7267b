"""Sleeps that last exactly as long as they should, by the clocks that a measuring process reads.

On a busy machine a sleep of 5 ms may last 300, and what is said of it is about that machine. Here
`sleep` moves the clocks and does not wait, so a verdict hangs on what the test asked for alone.
Importing this module puts the clocks in place, in measuring processes and nowhere else.
"""

import os
import random
import sys
from types import SimpleNamespace

_STEP_S = 1e-6  # of a reading: clocks never stand still
_CPU_S = 50e-6  # of a call that sleeps
# Of processes and of their calls, so that intervals have a width.
_PROCESSES_DIFFER_BY, _CALLS_DIFFER_BY = 0.001, 0.005

_now = SimpleNamespace(wall_s=0.0, cpu_s=0.0, random=None, pid=None, speed=1.0)


def sleep(seconds):
    """Let the clocks of this process go on by so much, give or take half a percent."""
    if _now.pid != os.getpid():  # each fork is a process of its own
        _now.pid, _now.random = os.getpid(), random.Random(os.getpid())
        _now.speed = _now.random.gauss(1.0, _PROCESSES_DIFFER_BY)
    _now.wall_s += seconds * _now.speed * max(0.9, _now.random.gauss(1.0, _CALLS_DIFFER_BY))
    _now.cpu_s += _CPU_S * _now.speed * max(0.9, _now.random.gauss(1.0, _CALLS_DIFFER_BY))


def wall_ns():
    """The clock of this process."""
    return round(_now.wall_s * 1e9)


def _wall_s():
    _now.wall_s += _STEP_S
    return _now.wall_s


def _cpu_s():
    _now.cpu_s += _STEP_S
    return _now.cpu_s


def _put_in_place():
    from pytest_tfthreads.measuring import contention
    from pytest_tfthreads.system.originals import ORIGINALS

    ORIGINALS.perf_counter, ORIGINALS.process_time = _wall_s, _cpu_s
    # The kernel's clocks know nothing of these.
    contention.ContentionMeter.contention = lambda self: None


def _is_measuring():
    main = getattr(sys.modules["__main__"], "main", None)
    return getattr(main, "__module__", "").startswith("pytest_tfthreads.measuring.")


if _is_measuring():
    _put_in_place()
