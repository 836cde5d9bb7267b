"""Imported by each Python process of a run: its clock steps by up to a day, back and forth.

Clocks that never step (`time.monotonic`, `time.perf_counter`) stay as they are.
"""

import random
import time

DAY_S = 86_400
ONE_IN = 100  # readings

_time, _time_ns = time.time, time.time_ns
_draw = random.Random()
_ahead_s = 0


def _step() -> int:
    global _ahead_s
    if _draw.randrange(ONE_IN) == 0:
        _ahead_s = _draw.randint(-DAY_S, DAY_S)
    return _ahead_s


time.time = lambda: _time() + _step()
time.time_ns = lambda: _time_ns() + _step() * 10**9
