"""What the gate says: verdicts → text for a terminal, for a failed test, and for GitHub."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Sequence

from pytest_tfthreads.core.verdict import (
    STATUSES,
    Verdict,
    judged_nothing,
    percent,
    signed_percent,
)
from pytest_tfthreads.report.console import number
from pytest_tfthreads.report.text import one_line

_NOTHING = "–"
_WIDTH = 118
_HEADERS = (
    "Test",
    "intra×inter",
    "Metric",
    "Baseline",
    "Now",
    "Change [interval]",
    "Finds a loss",
    "Verdict",
)
_LEFT_ALIGNED = (0, 2, len(_HEADERS) - 1)
_METRICS = {"throughput": "units/s", "cpu_efficiency": "units/CPU-s"}
_EXPLAINED = ("regression", "improvement")  # of inconclusive ones the table says it all
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~@:.-])")


def render(verdicts: Sequence[Verdict]) -> list[str]:
    """Lines of text: a table, worst first, then the reasons and what would help; none of none."""
    if not verdicts:
        return []
    ordered = _worst_first(verdicts)
    rows = [_HEADERS, *(_cells(verdict) for verdict in ordered)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADERS))]
    widths[0] = max(12, min(widths[0], _WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1)))
    lines = [_aligned(row, widths) for row in rows]
    lines.insert(1, "-" * max(len(line) for line in lines))
    for sentence in _notes(ordered):
        lines += textwrap.wrap(sentence, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines


def markdown(verdicts: Sequence[Verdict], place: str = "") -> str:
    """The same for a GitHub step summary; text from tests and files cannot become markup.

    `place`: where all of them were measured, if that is to be told.
    """
    if not verdicts:
        return ""
    ordered = _worst_first(verdicts)
    where = f" on {_escaped(place)}" if place else ""
    lines = [f"### Speed against the baseline{where}", ""]
    lines += [_markdown_row(_HEADERS), _markdown_row(["---"] * len(_HEADERS), escape=False)]
    lines += [_markdown_row(_cells(verdict)) for verdict in ordered]
    lines += ["", *(f"- {_escaped(sentence)}" for sentence in _notes(ordered)), ""]
    return "\n".join(lines)


def failure_message(verdict: Verdict) -> str:
    """Why a test fails: the fact against the limit, what it was judged by, what to do."""
    lines = [f"{verdict.status}: {_metric(verdict)}: {verdict.reason}"]
    if verdict.baseline is not None:
        lines.append(
            f"  {number(verdict.baseline.value)} → {number(verdict.now.value)} {_unit(verdict)}, "
            f"change {_change(verdict)} ({_confidence(verdict)} % interval), tolerated "
            f"{percent(verdict.tolerance)}"
        )
    if verdict.rule:
        lines.append(f"  {verdict.rule}")
    if verdict.judged_against:
        lines.append(f"  judged against {verdict.judged_against}")
    lines += [f"  {advice}" for advice in verdict.advice]
    return "\n".join(lines)


def _confidence(verdict: Verdict) -> str:
    return "" if verdict.change is None else f"{100 * verdict.change.confidence:.0f}"


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line of counts; it says so when nothing was judged."""
    if judged_nothing(verdicts):
        return "the gate judged nothing: no measurement has a baseline to compare with"
    counts = {status: sum(one.status == status for one in verdicts) for status in STATUSES}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def nothing_compared(verdicts: Sequence[Verdict]) -> list[str]:
    """A line that says so where verdicts of a duet were wanted, and every one was impossible."""
    if not verdicts or any(verdict.change is not None for verdict in verdicts):
        return []
    return [
        "--tf-threads-duet: not one test could be compared with the other side. This run says "
        "nothing of a change in speed; the reasons stand above, below the table of verdicts."
    ]


def _worst_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda verdict: STATUSES.index(verdict.status))


def _notes(ordered: Sequence[Verdict]) -> list[str]:
    """The count, each reason worth reading, then each piece of advice and each baseline once."""
    notes = [summary(ordered)]
    notes += [
        f"{one.status}: {one.test} {_metric(one)}: {one.reason}"
        for one in ordered
        if one.status in _EXPLAINED
    ]
    unjudged: dict[tuple[str, str], dict[str, None]] = {}
    for one in ordered:
        if one.change is None:
            unjudged.setdefault((one.status, one.reason), {})[one.test] = None
    notes += [f"{key[0]}: {key[1]} ({', '.join(tests)})" for key, tests in unjudged.items()]
    for verdict_status, words in (("inconclusive", "to decide"), ("improvement", "improved")):
        advice = dict.fromkeys(
            piece for one in ordered if one.status == verdict_status for piece in one.advice
        )
        notes += [f"{words}: {piece}" for piece in advice]
    notes += [
        f"judged against {baseline}"
        for baseline in dict.fromkeys(one.judged_against for one in ordered)
        if baseline
    ]
    if any(verdict.corrected for verdict in ordered):
        notes.append("changes are corrected by the reference workload measured beside each test")
    return notes


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return (
        one_line(verdict.test),
        verdict.configuration,
        _METRICS.get(verdict.metric, verdict.metric),
        _NOTHING if verdict.baseline is None else number(verdict.baseline.value),
        number(verdict.now.value),
        _change(verdict),
        _NOTHING if verdict.detectable is None else f"from {percent(verdict.detectable)}",
        verdict.status,
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = []
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        # Of a long name the end is kept: it tells the configurations apart.
        shown = cell if len(cell) <= width else "…" + cell[len(cell) - width + 1 :]
        padded.append(shown.ljust(width) if column in _LEFT_ALIGNED else shown.rjust(width))
    return "  ".join(padded).rstrip()


def _markdown_row(cells: Sequence[str], escape: bool = True) -> str:
    return f"| {' | '.join(_escaped(cell) if escape else cell for cell in cells)} |"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", html.escape(one_line(text), quote=False))


def _metric(verdict: Verdict) -> str:
    return verdict.metric.replace("_", " ").replace("cpu", "CPU")


def _unit(verdict: Verdict) -> str:
    return f"{verdict.unit}/{'s' if verdict.metric == 'throughput' else 'CPU-s'}"


def _change(verdict: Verdict) -> str:
    change = verdict.change
    if change is None:
        return _NOTHING
    low, high = (signed_percent(one).removesuffix(" %") for one in (change.low, change.high))
    return f"{signed_percent(change.value)} [{low}, {high}]"
