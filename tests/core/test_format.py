"""Figures, intervals, units and texts as they are written everywhere."""

import pytest

from pytest_tfthreads.core.format import (
    bounds,
    clock,
    duration,
    hundredths,
    metric_name,
    metric_unit,
    milliseconds,
    number,
    one_line,
    percent,
    plural,
    printable,
    ranges,
    round_percent,
    signed_percent,
    small_percent,
    tenths,
    whole,
    with_bounds,
)
from pytest_tfthreads.core.gate.verdict import Change
from pytest_tfthreads.core.stats.change_points import Shift
from pytest_tfthreads.core.stats.estimates import Estimate


def test_numbers_have_the_digits_that_matter():
    assert [number(one) for one in (0.12345, 1.5, 999.96, 1234.5)] == [
        "0.1235",
        "1.5",
        "1000",
        "1,234",
    ]
    assert [write(2.567) for write in (whole, tenths, hundredths)] == ["3", "2.6", "2.57"]


def test_percent_of_every_kind():
    assert [percent(one) for one in (0, 0.0314, 0.0996, 0.314)] == [
        "0.0 %",
        "3.1 %",
        "10 %",
        "31 %",
    ]
    assert [signed_percent(one) for one in (-0.314, 0.02, -1e-12)] == ["−31 %", "+2.0 %", "+0.0 %"]
    assert [small_percent(one) for one in (0.31, 0.00031)] == ["31 %", "0.031 %"]
    assert [round_percent(one) for one in (0.05, 0.125, 0.7 * 0.05)] == ["5 %", "12.5 %", "3.5 %"]


@pytest.mark.parametrize(
    ("found", "write", "shown"),
    [
        (Estimate(1234.5, 1200.4, 1300), number, "1,234 [1,200, 1,300]"),
        (Estimate(1.234, 1.1, 1.4), hundredths, "1.23 [1.10, 1.40]"),
        (Estimate(0.042, 0.031, 0.123), percent, "4.2 % [3.1, 12]"),
        (Change(-0.31, -0.38, -0.24), signed_percent, "−31 % [−38, −24]"),
        (Shift(0.0, 0.0, 5.0), signed_percent, "+0.0 % [+0.0, +0.0]"),
        (Estimate(2, None, None), number, "2 [–]"),
        (Estimate(2, 1, None), number, "2 [1, –]"),
    ],
    ids=["speed", "ratio", "share", "change", "shift", "single process", "open above"],
)
def test_a_figure_and_its_interval_are_written_one_way(found, write, shown):
    assert with_bounds(found, write) == shown
    assert shown.endswith(f" {bounds(found, write)}")


def test_durations():
    shown = {
        1234: "1,234 s",
        2: "2 s",
        0.9999: "1,000 ms",
        0.0123: "12.3 ms",
        4e-6: "4 µs",
        5e-8: "50 ns",
    }
    assert {seconds: duration(seconds) for seconds in shown} == shown
    assert (milliseconds(0.0123), milliseconds(None)) == ("12.3", "–")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (5.4, "0:05"), (59.6, "1:00"), (725, "12:05"), (3725, "1:02:05")],
)
def test_times_that_are_left_are_shown_as_on_a_clock(seconds, shown):
    assert clock(seconds) == shown


def test_cpus_and_counts():
    assert ranges((0, 1, 2, 8)) == "0-2,8"
    assert ranges((3, 0, 1, 8)) == "0-1,3,8"
    assert ranges(()) == ""
    assert (plural(1, "CPU"), plural(2, "CPU")) == ("1 CPU", "2 CPUs")


def test_metrics_have_names_and_units():
    assert [metric_name(one) for one in ("throughput", "cpu_efficiency", "other")] == [
        "throughput",
        "CPU efficiency",
        "other",
    ]
    assert metric_unit("throughput", "images") == "images/s"
    assert metric_unit("cpu_efficiency") == "units/CPU-s"
    assert metric_unit("other", "images") == "other"


def test_no_text_can_act_on_a_terminal():
    assert printable("a\x1b[2Jb\t c\r\n") == "a?[2Jb  c  "
    assert one_line("a\x1b[2Jb\t c\r\n") == "a?[2Jb c"
    assert printable("試験 ×") == "試験 ×"
