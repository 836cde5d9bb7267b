"""Verdicts as workflow commands of GitHub Actions."""

import re

import pytest

from pytest_tfthreads.core.gate.verdict import Change, Policy, Verdict
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.report.annotations import SourcePlace, render

PLACE = SourcePlace("tests/test_a.py", 7)


def verdict(status, test="tests/test_a.py::test_x", metric="throughput", **fields):
    known = {
        "test": test,
        "metric": metric,
        "status": status,
        "configuration": "2×1",
        "unit": "images",
        "now": Estimate(690.0, 650.0, 730.0),
        "tolerance": 0.05,
        "reason": "31 % slower",
        "judged_against": "0001_x.json (2025-11-23, commit abc)",
        "baseline": Estimate(1000.0, 950.0, 1050.0),
        "change": Change(-0.31, -0.38, -0.24),
    }
    return Verdict(**{**known, **fields})


def unjudged(status, **fields):
    known = {"baseline": None, "change": None, "judged_against": "", "reason": "no saved run"}
    return verdict(status, **{**known, **fields})


def rendered(*verdicts, policy=Policy(), notes=()):  # noqa: B008 - it is frozen
    return render([(one, PLACE) for one in verdicts], policy, notes)


def on_lines_of_their_own(*verdicts):
    judged = [(one, SourcePlace("tests/test_a.py", line)) for line, one in enumerate(verdicts, 1)]
    return render(judged, Policy())


def unescaped(text):
    for code, plain in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, plain)
    return text


def parsed(line):
    """Kind, properties and message as GitHub's runner takes them out of a line."""
    kind, properties, message = re.fullmatch(r"::(\w+) (.*?)::(.*)", line).groups()
    pairs = dict(pair.split("=", 1) for pair in properties.split(","))
    return kind, {name: unescaped(value) for name, value in pairs.items()}, unescaped(message)


def test_a_verdict_that_fails_its_test_is_an_error():
    (line,) = rendered(verdict("regression", advice=("try this",)))
    assert line == (
        "::error file=tests/test_a.py,line=7,title=regression%3A tests/test_a.py%3A%3Atest_x::"
        "regression: throughput: 31 %25 slower%0A  1,000 → 690 images/s, change −31 %25 [−38, −24] "
        "(90 %25 interval), tolerated 5 %25%0A  judged against 0001_x.json "
        "(2025-11-23, commit abc)%0A  try this"
    )


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        ("regression", []),
        ("inconclusive", []),
        ("pass", []),
        ("improvement", ["notice"]),
        ("no-baseline", ["warning"]),
        ("not-comparable", ["warning"]),
    ],
)
def test_verdicts_that_fail_no_test(status, kinds):
    one = unjudged(status) if kinds == ["warning"] else verdict(status)
    lines = rendered(verdict("pass"), one, policy=Policy(fail_on=frozenset()))
    assert [parsed(line)[0] for line in lines] == kinds


@pytest.mark.parametrize("status", ["inconclusive", "no-baseline", "not-comparable"])
def test_verdicts_that_fail_if_they_are_to(status):
    one = verdict(status) if status == "inconclusive" else unjudged(status)
    policy = Policy(fail_on=frozenset({status}))
    (line,) = rendered(verdict("pass"), one, policy=policy)
    kind, properties, message = parsed(line)
    assert (kind, properties["title"]) == ("error", f"{status}: tests/test_a.py::test_x")
    assert one.reason in message


def test_a_gate_that_judged_nothing():
    kind, properties, message = parsed(rendered(notes=["x.json: cut off", "y.json: older"])[0])
    assert (kind, properties) == ("warning", {"title": "nothing was judged"})
    assert message.startswith("the gate judged nothing: ")
    assert message.endswith("\nx.json: cut off\ny.json: older")
    fails = Policy(fail_on=frozenset({"no-baseline"}))
    assert parsed(rendered(policy=fails)[0])[0] == "error"
    other_machine = rendered(unjudged("not-comparable"), policy=fails)
    assert [parsed(line)[0] for line in other_machine] == ["error", "warning"]
    # Both metrics of a test say the same: once is enough.
    lines = rendered(unjudged("no-baseline"), unjudged("no-baseline", metric="cpu_efficiency"))
    assert [parsed(line)[2].partition(":")[0] for line in lines] == [
        "the gate judged nothing",
        "no saved run",
    ]


def test_worst_first():
    lines = rendered(verdict("improvement"), unjudged("no-baseline"), verdict("regression"))
    assert [parsed(line)[0] for line in lines] == ["error", "warning", "notice"]


@pytest.mark.parametrize(
    "text",
    [
        "test_x[a,line=1::b]",
        "x\n::error::injected",
        "x\r\n::stop-commands::token",
        "100%0A::warning::%25%3A",
        "%",
        "::",
        "ü → ×",
    ],
)
def test_no_text_can_end_a_command_or_begin_one(text):
    one = verdict("regression", test=text, reason=text, advice=(text,))
    (line,) = render([(one, SourcePlace(text, 3))], Policy())
    assert len(line.splitlines()) == 1
    kind, properties, message = parsed(line)
    assert kind == "error"
    assert properties == {"file": text, "line": "3", "title": f"regression: {text}"}
    shown = text.replace("\r", " ")  # a failed test's terminal would go back to the line's start
    assert message.startswith(f"regression: throughput: {shown}\n")
    assert message.endswith(shown)


def test_a_test_without_a_line():
    (line,) = render([(verdict("regression"), SourcePlace("a.py"))], Policy())
    assert parsed(line)[1].keys() == {"file", "title"}


@pytest.mark.parametrize(("status", "kind"), [("regression", "error"), ("improvement", "notice")])
def test_as_many_as_github_shows(status, kind):
    ten = [verdict(status, test=f"test_{number}") for number in range(10)]
    assert len(on_lines_of_their_own(*ten)) == 10
    lines = on_lines_of_their_own(*ten, verdict(status, test="test_10"), verdict("pass"))
    assert len(lines) == 10
    assert {parsed(line)[0] for line in lines} == {kind}
    assert parsed(lines[-1])[1] == {"title": f"2 more {kind}s"}
    assert [
        parsed(line)[1]["title"].endswith(f"test_{number}") for number, line in enumerate(lines[:9])
    ] == [True] * 9


def test_many_tests_of_one_line_are_one_annotation_with_all_of_them():
    many = [verdict("regression", test=f"test_a[{number}]") for number in range(12)]
    (error, warning) = rendered(*many, unjudged("no-baseline", test="test_a[new]"))
    kind, properties, message = parsed(error)
    assert (kind, properties["title"]) == ("error", "regression: 12 tests")
    assert all(one.test in message for one in many)
    assert message.count("31 % slower") == 1  # what all have in common is said once
    assert parsed(warning)[1]["title"] == "no-baseline: test_a[new]"


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\x9bb", "a\ud800b", "a\u202eb", "a\x08b"])
def test_nothing_of_a_text_acts_on_the_terminal_that_shows_the_output(text):
    one = verdict("regression", test=text, reason=text, advice=(text,))
    (line,) = render([(one, SourcePlace(text, 3))], Policy())
    assert line.isprintable()
    assert "a?" in line
