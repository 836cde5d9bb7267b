"""Reports of pytest: in a line, of several processes, and of a process that gave none."""

import time

import pytest

from pytest_tfthreads.pytest_bridge import outcomes
from pytest_tfthreads.pytest_bridge.outcomes import in_a_line, merge, passed


def failed(text):
    return pytest.TestReport(
        nodeid="test_a.py::test_b",
        location=("test_a.py", 1, "test_b"),
        keywords={},
        outcome="failed",
        longrepr=text,
        when="call",
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("E   ValueError: no", "ValueError: no"),
        ("def x():\n>   y()\nE   TypeError: a\nE   b", "TypeError: a"),
        (
            'E     File "/tmp/x-9dv8/tree/lib/work.py", line 4\nE       syntax error\n'
            "E       ^\nE   SyntaxError: invalid syntax",
            "SyntaxError: invalid syntax (work.py, line 4)",
        ),
        (
            "crashed: it was killed\nafter 1 s\n--- stderr ---\nmuch",
            "crashed: it was killed after 1 s",
        ),
        ("", ""),
    ],
)
def test_why_a_phase_failed_in_a_line(text, line):
    assert in_a_line(failed(text)) == f"call failed: {line}"


def report(when, outcome="passed", took_s=0.0, of_subtest=False):
    found = pytest.TestReport("t", ("t.py", 1, "t"), {}, outcome, None, when, duration=took_s)
    if of_subtest:
        found.context = "i=1"
    return found


def test_time_of_a_phase_is_that_of_all_processes_and_of_a_part_of_the_call_its_own():
    def reports(took_s):
        return [
            report("setup", took_s=1),
            report("call", took_s=took_s / 4, of_subtest=True),
            report("call", "skipped", took_s=took_s / 2, of_subtest=True),
            report("call", took_s=took_s),
            report("teardown", took_s=2),
        ]

    one, other = reports(4.0), reports(8.0)
    assert [found.duration for found in merge([one, other])] == [2.0, 1.0, 2.0, 12.0, 4.0]


@pytest.mark.parametrize(
    ("outcome", "of_subtest", "has_passed"),
    [
        ("passed", False, True),
        ("skipped", False, False),
        ("failed", False, False),
        ("rerun", False, True),
        ("passed", True, True),
        ("skipped", True, True),
        ("failed", True, False),
    ],
)
def test_a_part_of_a_call_that_is_skipped_leaves_the_outcome_to_the_call(
    outcome, of_subtest, has_passed
):
    part = report("call", outcome, of_subtest=of_subtest)
    assert passed([report("setup"), part, report("call"), report("teardown")]) == has_passed


def test_a_clock_that_is_set_back_makes_no_duration_negative(request, monkeypatch):
    times_s = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(outcomes.ORIGINALS, "time", lambda: next(times_s))
    begun_s = time.monotonic() - 2.0
    reports = outcomes.failed(request.node, "crashed", begun_s)
    assert [one.when for one in reports] == ["setup", "call", "teardown"]
    assert [one.duration for one in reports] == [0, pytest.approx(2.0, abs=1.0), 0]
    for one in reports:
        assert one.stop - one.start == pytest.approx(one.duration, abs=1e-3)
