"""Reports of pytest in a line."""

import pytest

from pytest_tfthreads.pytest_bridge.outcomes import in_a_line


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
