"""What is shown of a measurement while it runs, and how long it will still take."""

import pytest

from pytest_tfthreads.core.eta import AROUND_S, Pace, left_s
from pytest_tfthreads.report.live import Doing, fitted, line


def test_before_anything_ran_the_budget_tells():
    pace = Pace.of_budget(1.0)
    assert left_s(pace, running=2, running_s=0, later=4) == pytest.approx(6 * (AROUND_S + 1))


def test_what_ran_soon_outweighs_the_budget():
    pace = Pace.of_budget(1.0).after(4, 40.0).after(5, 50.0)
    assert pace.process_s == pytest.approx((AROUND_S + 1 + 90) / 10)
    assert left_s(pace, running=1, running_s=2.0, later=0) == pytest.approx(pace.process_s - 2)


def test_processes_that_take_too_long_do_not_eat_up_the_time_of_later_ones():
    pace = Pace.of_budget(1.0)
    assert left_s(pace, running=2, running_s=1000, later=3) == pytest.approx(3 * pace.process_s)
    assert left_s(pace, running=2, running_s=1000, later=0) == 0


def test_the_line_tells_what_is_known():
    test = "test_it.py::test_x, 4 configurations"
    assert line(Doing(test, 2, 3, 42, 370)) == (
        "tf_threads: pass 2 of 3, about 0:42 left (all: 6:10): test_it.py::test_x, 4 configurations"
    )
    assert line(Doing(test, 2, 3, 42)) == f"tf_threads: pass 2 of 3, about 0:42 left: {test}"
    assert line(Doing("a\x1b[2Jb\r\n", 7)) == "tf_threads: pass 7: a?[2Jb  "


def test_a_line_fits_into_any_terminal():
    assert fitted("short", 5) == "short"
    assert fitted("longer", 5) == "lo..."
    assert fitted("試験試験", 8) == "試験試験"
    assert fitted("試験試験", 7) == "試験..."
    assert fitted("試験試験", 6) == "試..."
    assert [fitted("longer", columns) for columns in (2, 1, 0)] == ["..", ".", ""]
