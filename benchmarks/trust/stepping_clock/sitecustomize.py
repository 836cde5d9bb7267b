"""Imported by each Python process of a run: its clock steps by up to a day, back and forth.

Whichever way the time of day is read: the package reads `time.clock_gettime` and `datetime.now`,
pytest and others `time.time`. Clocks that never step (`time.monotonic`, `time.perf_counter`) stay
as they are, and so do the times of files, which are the kernel's.
"""

from __future__ import annotations

import datetime
import random
import time

DAY_S = 86_400
ONE_IN = 10  # readings

_time, _time_ns = time.time, time.time_ns
_clock_gettime, _clock_gettime_ns = time.clock_gettime, time.clock_gettime_ns
_datetime = datetime.datetime
_draw = random.Random()
_ahead_s = 0


def _step() -> int:
    global _ahead_s
    if _draw.randrange(ONE_IN) == 0:
        _ahead_s = _draw.randint(-DAY_S, DAY_S)
    return _ahead_s


class _LikeAny(type):
    """What other modules made before, or C makes, is a datetime as well."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime)


class _Stepping(_datetime, metaclass=_LikeAny):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> _Stepping:
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> _Stepping:
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)


time.time = lambda: _time() + _step()
time.time_ns = lambda: _time_ns() + _step() * 10**9
time.clock_gettime = lambda clock: (
    _clock_gettime(clock) + (_step() if clock == time.CLOCK_REALTIME else 0)
)
time.clock_gettime_ns = lambda clock: (
    _clock_gettime_ns(clock) + (_step() * 10**9 if clock == time.CLOCK_REALTIME else 0)
)
datetime.datetime = _Stepping  # type: ignore[misc]
