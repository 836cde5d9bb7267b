"""Verdicts as text."""

import pytest

from pytest_tfthreads.core.statistics import Estimate
from pytest_tfthreads.core.verdict import Change, Verdict, percent, signed_percent
from pytest_tfthreads.report.verdicts import (
    failure_message,
    markdown,
    nothing_compared,
    render,
    summary,
)


def verdict(status="pass", test="test_a.py::test_x[intra2-inter1]", **fields):
    known = {
        "test": test,
        "metric": "throughput",
        "status": status,
        "configuration": "2×1",
        "unit": "images",
        "now": Estimate(690.0, 650.0, 730.0),
        "tolerance": 0.05,
        "reason": "31 % slower: CPU work +2.0 %, parallelism −29 % (3.6 → 2.5 cores used)",
        "judged_against": "0001_x.json (2025-11-23, commit abc)",
        "baseline": Estimate(1000.0, 950.0, 1050.0),
        "change": Change(-0.31, -0.38, -0.24),
        "detectable": 0.123,
    }
    return Verdict(**{**known, **fields})


UNJUDGED = {"baseline": None, "change": None, "detectable": None, "judged_against": ""}


def test_table():
    lines = render([verdict("pass"), verdict("regression")])
    assert lines[0].split() == [
        "Test", "intra×inter", "Metric", "Baseline", "Now", "Change", "[interval]", "Finds", "a",
        "loss", "Verdict",
    ]  # fmt: skip
    name, _, cells = lines[2].partition("  ")
    assert name.endswith("test_x[intra2-inter1]")
    assert cells.split() == [
        "2×1", "units/s", "1,000", "690", "−31", "%", "[−38,", "−24]", "from", "12", "%",
        "regression",
    ]  # fmt: skip
    assert lines[3].endswith("pass")
    text = "\n".join(lines)
    assert "1 regression, 1 pass" in text
    assert "parallelism −29 %" in text
    assert text.count("judged against 0001_x.json") == 1


def test_narrow_whatever_the_names():
    long = "test_" + "y" * 200 + "[intraphysical-inter2]"
    lines = render(
        [
            verdict("not-comparable", test=long, metric="cpu_efficiency"),
            verdict(
                baseline=Estimate(123456789.0, None, None), change=Change(-0.05, -0.099, 0.099)
            ),
        ]
    )
    assert max(map(len, lines)) <= 120
    shown = lines[2].split()[0]  # the end, which tells configurations apart
    assert shown.startswith("…")
    assert long.endswith(shown[1:])


def test_advice_once():
    both = [verdict("inconclusive", test=name, advice=("more runs",)) for name in ("a", "b")]
    assert sum("more runs" in line for line in render(both)) == 1


def test_nothing_judged_is_said_loudly():
    lines = render([verdict("no-baseline", reason="no saved run", **UNJUDGED)])
    assert any("the gate judged nothing" in line for line in lines)
    assert any("no-baseline: no saved run (test_a.py" in line for line in lines)
    assert "judged nothing" in summary([])
    assert render([]) == []
    assert markdown([]) == ""


def test_corrected_changes_are_marked():
    assert any("reference workload" in line for line in render([verdict(corrected=True)]))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", "a\\|b"),
        ("<script>&", "&lt;script&gt;&amp;"),
        ("[x](http://y)", "\\[x\\]\\(http\\://y\\)"),
        ("`*_~#!", "\\`\\*\\_\\~\\#\\!"),
        ("a\nb\r\n\x1b[31m", "a b \\[31m"),
        ("@someone", "\\@someone"),
        ("back\\slash", "back\\\\slash"),
    ],
)
def test_markdown_escapes(name, shown):
    fields = {"test": name, "reason": name, "judged_against": name}
    text = markdown([verdict("regression", **fields)])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert rows[2].startswith(f"| {shown} | 2×1 |")
    assert f"judged against {shown}" in text
    assert "<script>" not in text


def test_failure_message():
    message = failure_message(verdict("regression", advice=("try this",)))
    assert message.splitlines() == [
        "regression: throughput: 31 % slower: CPU work +2.0 %, parallelism −29 % "
        "(3.6 → 2.5 cores used)",
        "  1,000 → 690 images/s, change −31 % [−38, −24] (90 % interval), tolerated 5.0 %",
        "  judged against 0001_x.json (2025-11-23, commit abc)",
        "  try this",
    ]
    message = failure_message(verdict("regression", rule="more than 3.5 %"))
    assert message.splitlines()[2:] == [
        "  more than 3.5 %",
        "  judged against 0001_x.json (2025-11-23, commit abc)",
    ]
    none = verdict("no-baseline", metric="cpu_efficiency", reason="no saved run", **UNJUDGED)
    assert failure_message(none) == "no-baseline: CPU efficiency: no saved run"


def test_a_duet_that_compared_nothing_says_so():
    none = verdict("no-baseline", **UNJUDGED)
    (line,) = nothing_compared([none, none])
    assert "not one test could be compared" in line
    assert nothing_compared([none, verdict("pass")]) == []
    assert nothing_compared([]) == []


def test_percent():
    assert [percent(x) for x in (0, 0.0314, 0.0996, 0.314)] == ["0.0 %", "3.1 %", "10 %", "31 %"]
    assert [signed_percent(x) for x in (-0.314, 0.02)] == ["−31 %", "+2.0 %"]
