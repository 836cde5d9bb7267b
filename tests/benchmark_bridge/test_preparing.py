"""What takes the place of parts of pytest-benchmark."""

import itertools

from pytest_tfthreads.benchmark_bridge.preparing import precision_s
from pytest_tfthreads.system.originals import ORIGINALS


def test_a_timers_precision_is_its_smallest_step_of_a_hundred():
    readings = itertools.accumulate(itertools.chain([2.0, 0.25], itertools.repeat(1.0)))
    assert precision_s(lambda: next(readings)) == 0.25
    assert next(readings) == 2 + 0.25 + 100


def test_a_coarse_timer_is_read_until_it_has_moved():
    readings = (number // 50 * 0.5 for number in itertools.count())
    assert precision_s(lambda: next(readings)) == 0.5


def test_a_timer_that_stands_still_has_no_precision(monkeypatch):
    seconds = itertools.count(step=0.1)
    monkeypatch.setattr(ORIGINALS, "monotonic", lambda: next(seconds))
    assert precision_s(lambda: 7.0) is None
