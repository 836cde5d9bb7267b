"""Verdicts as text."""

from dataclasses import replace

import pytest

from pytest_tfthreads.core.gate.verdict import Change, Verdict
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.report.verdicts import (
    failure_message,
    markdown,
    nothing_compared,
    open_verdicts,
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
        "loss", "Judged", "by", "Verdict",
    ]  # fmt: skip
    name, _, cells = lines[2].partition("  ")
    assert name.endswith("test_x[intra2-inter1]")
    assert cells.split() == [
        "2×1", "images/s", "1,000", "690", "−31", "%", "[−38,", "−24]", "from", "12", "%",
        "saved", "runs", "regression",
    ]  # fmt: skip
    assert lines[3].endswith("pass")
    text = "\n".join(lines)
    assert "1 regression, 1 pass" in text
    assert "parallelism −29 %" in text
    assert text.count("judged against 0001_x.json") == 1


@pytest.mark.parametrize(
    ("change", "judged_by", "is_said"),
    [
        (-0.27, "side by side", False),  # within the tolerance of 690 ÷ 1,000
        (-0.25, "side by side", True),
        (0.013, "side by side", True),
        (0.013, "saved runs", False),  # other words are for the correction
    ],
)
def test_a_change_that_is_not_that_of_the_two_speeds_is_explained(change, judged_by, is_said):
    one = verdict(change=Change(change, -0.9, 9.0), judged_by=judged_by)
    assert ("medians over neighbouring turns" in " ".join(render([one]))) is is_said
    # A verdict may come from a process of whom nothing is believed.
    nothing = replace(one, baseline=Estimate(0.0, None, None))
    assert ("medians over" in " ".join(render([nothing]))) is (judged_by == "side by side")


def test_a_baseline_of_one_metric_alone_says_of_which():
    speed = verdict(judged_against="the mean of 12 runs")
    efficiency = verdict(metric="cpu_efficiency", judged_against="the mean of 8 runs")
    text = "\n".join(render([speed, efficiency]))
    assert "judged against the mean of 12 runs (throughput)" in text
    assert "judged against the mean of 8 runs (CPU efficiency)" in text
    both = [verdict(metric=metric) for metric in ("throughput", "cpu_efficiency")]
    assert "commit abc)\n" in "\n".join([*render(both), ""])
    other = [verdict(test="b", metric=one.metric, judged_against="0002.json") for one in both]
    assert "(throughput" not in "\n".join(render([*both, *other]))


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
    assert max(map(len, lines)) <= 136
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
        ("a\nb\r\n\x1b[31m", "a b ?\\[31m"),
        ("@someone", "\\@someone"),
        ("back\\slash", "back\\\\slash"),
        ("$x$", "<span>$</span>x<span>$</span>"),
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
        "  1,000 → 690 images/s, change −31 % [−38, −24] (90 % interval), tolerated 5 %",
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


def test_what_failed_its_test_is_not_told_again():
    assert any("parallelism" in line for line in render([verdict("regression")]))
    assert not any(
        "parallelism" in line for line in render([verdict("regression")], {"regression"})
    )


def test_hints_name_their_tests_and_stand_once():
    many = [
        verdict("inconclusive", test=f"test_{number}", advice=("more runs",)) for number in range(9)
    ]
    (hint,) = [line for line in render(many) if "to decide" in line]
    assert hint.strip() == "to decide: more runs (test_0, test_1, test_2 and 6 more)"


def test_open_verdicts_are_counted():
    assert open_verdicts([verdict("pass")]) == []
    (line,) = open_verdicts([verdict("inconclusive"), verdict("pass"), verdict("no-baseline")])
    assert line.startswith("2 of 3 verdicts are open (1 inconclusive, 1 no-baseline)")


def test_who_judged_alone_says_so_once():
    both = [verdict("regression", test=name, no_duet="there is no git") for name in ("a", "b")]
    text = " ".join(" ".join(render(both)).split())
    assert text.count("not measured side by side: there is no git (a, b)") == 1
    message = failure_message(both[0])
    assert "judged by saved runs alone, against 0001_x.json" in message
    assert "not measured side by side: there is no git" in message


def test_change_as_measured_stands_beside_the_corrected_one():
    message = failure_message(verdict("regression", corrected=True, measured=-0.03))
    assert "as measured −3.0 %; corrected by the reference workload" in message
    assert "−31 % [−38, −24], measured −3.0 %" in " ".join(render([verdict(measured=-0.03)]))
    assert "measured" not in render([verdict(measured=-0.31)])[2]


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\x9bb", "a\ud800b", "a\u202eb", "a\x08b\rc"])
def test_nothing_of_a_text_acts_on_a_terminal(text):
    one = verdict("regression", test=text, reason=text, advice=(text,), judged_against=text)
    lines = [*failure_message(one).split("\n"), *render([one])]
    assert all(line.isprintable() for line in lines)
    assert failure_message(one).startswith("regression: throughput: a?")
