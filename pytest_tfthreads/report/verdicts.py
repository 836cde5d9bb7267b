"""What the gate says: verdicts → text for a terminal, for a failed test, and for GitHub."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence

from pytest_tfthreads.core.format import (
    NOTHING,
    clock,
    metric_name,
    metric_unit,
    number,
    one_line,
    percent,
    plural,
    printable_lines,
    round_percent,
    signed_percent,
    whole,
    with_bounds,
)
from pytest_tfthreads.core.gate.verdict import (
    SIDE_BY_SIDE,
    STATUSES,
    Verdict,
    judged_nothing,
)
from pytest_tfthreads.report.table import aligned, rule

_WIDTH = 118
_TABLE_WIDTH = 136
_HEADERS = (
    "Test",
    "intra×inter",
    "Metric",
    "Baseline",
    "Now",
    "Change [interval]",
    "Finds a loss",
    "Judged by",
    "Verdict",
)
_FIGURES = (1, *range(3, len(_HEADERS) - 2))
_EXPLAINED = ("regression", "improvement")  # of inconclusive ones the table says it all
_OPEN = ("inconclusive", "not-comparable", "no-baseline")
_MOST_TESTS = 3  # that are named beside a piece of advice
_WORTH_TELLING = 0.01  # between a change as measured and as corrected
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~@:.-])")


def render(verdicts: Sequence[Verdict], told: Collection[str] = ()) -> list[str]:
    """Lines of text: a table, worst first, then the reasons and what would help; none of none.

    `told` are verdicts whose reasons the reader has from the tests that they failed.
    """
    if not verdicts:
        return []
    ordered = _worst_first(verdicts)
    rows = [_HEADERS, *(_cells(verdict) for verdict in ordered)]
    lines = aligned(rows, _FIGURES, width=_TABLE_WIDTH)
    lines.insert(1, rule(lines))
    for sentence in _notes(ordered, told):
        lines += textwrap.wrap(
            one_line(sentence), _WIDTH, initial_indent="  ", subsequent_indent="    "
        )
    return lines


def markdown(verdicts: Sequence[Verdict], place: str = "") -> str:
    """The same for a GitHub step summary; text from tests and files cannot become markup.

    `place`: where all of them were measured, for the heading; empty for none.
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
    lines = [f"{verdict.status}: {metric_name(verdict.metric)}: {verdict.reason}"]
    if verdict.baseline is not None:
        lines.append(
            f"  {number(verdict.baseline.value)} → {number(verdict.now.value)} "
            f"{metric_unit(verdict.metric, verdict.unit)}, "
            f"change {_interval(verdict)} ({_confidence(verdict)} % interval), tolerated "
            f"{round_percent(verdict.tolerance)}"
        )
    if verdict.measured is not None:
        lines.append(
            f"  as measured {signed_percent(verdict.measured)}; corrected by the reference "
            "workload measured beside the test"
        )
    if verdict.rule:
        lines.append(f"  {verdict.rule}")
    if verdict.judged_against:
        by = "by saved runs alone, " if verdict.no_duet else ""
        lines.append(f"  judged {by}against {verdict.judged_against}")
    if verdict.no_duet:
        lines.append(f"  not measured side by side: {verdict.no_duet}")
    lines += [f"  {advice}" for advice in verdict.advice]
    return printable_lines("\n".join(lines))


def _confidence(verdict: Verdict) -> str:
    return "" if verdict.change is None else whole(100 * verdict.change.confidence)


def expectation(tests: int, first_s: float, open_s: float, budget_s: float | None) -> str:
    """How long the gate will measure, said before it does.

    `first_s` is for the first measurements, `open_s` for all others if every verdict stays open.
    """
    text = (
        f"tf_threads: {plural(tests, 'test')} to judge, about {clock(first_s)} for the first "
        "measurements"
    )
    if budget_s is not None and first_s > budget_s:
        return f"{text}, which is more than --tf-threads-budget ({clock(budget_s)}) has"
    if budget_s is not None:
        open_s = min(open_s, budget_s - first_s)
    if open_s <= 0:
        return text
    limit = "" if budget_s is None else f" within --tf-threads-budget ({clock(budget_s)})"
    return f"{text}, and up to {clock(open_s)} more{limit} where verdicts stay open"


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line of counts; it says so when nothing was judged."""
    if judged_nothing(verdicts):
        why = (
            "no measurement has a baseline to compare with" if verdicts else "no test was measured"
        )
        return f"the gate judged nothing: {why}"
    return summary_of(verdicts)


def summary_of(verdicts: Sequence[Verdict]) -> str:
    """How many there are of each status, worst first."""
    counts = {status: sum(verdict.status == status for verdict in verdicts) for status in STATUSES}
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


def _notes(ordered: Sequence[Verdict], told: Collection[str] = ()) -> list[str]:
    """The count, each reason worth reading, then each piece of advice and each baseline once."""
    notes = [summary(ordered)]
    notes += [
        f"{one.status}: {one.test} {metric_name(one.metric)}: {one.reason}"
        for one in ordered
        if one.status in _EXPLAINED and one.status not in told
    ]
    unjudged: dict[tuple[str, str], dict[str, None]] = {}
    for one in ordered:
        if one.change is None:
            unjudged.setdefault((one.status, one.reason), {})[one.test] = None
    notes += [f"{key[0]}: {key[1]} ({', '.join(tests)})" for key, tests in unjudged.items()]
    for verdict_status, words in (("inconclusive", "to decide"), ("improvement", "improved")):
        advice = _tests_by_text(
            (piece, one.test)
            for one in ordered
            if one.status == verdict_status
            for piece in one.advice
        )
        notes += [f"{words}: {piece} ({tests})" for piece, tests in advice.items()]
    lonely = _tests_by_text((one.no_duet, one.test) for one in ordered if one.no_duet)
    notes += [f"not measured side by side: {why} ({tests})" for why, tests in lonely.items()]
    notes += _baselines(ordered)
    if any(verdict.corrected for verdict in ordered):
        notes.append("changes are corrected by the reference workload measured beside each test")
    if any(map(_differs_from_its_figures, ordered)):
        notes.append(
            "changes side by side are medians over neighbouring turns; Baseline and Now are of all "
            "rounds of these pairs, with what disturbed one side, and may differ by more or less"
        )
    return notes


def _baselines(verdicts: Sequence[Verdict]) -> list[str]:
    """What was judged against what: each baseline once, with its metric where it is not of both."""
    metrics: dict[str, dict[str, None]] = {}
    for one in verdicts:
        if one.judged_against:
            metrics.setdefault(one.judged_against, {})[metric_name(one.metric)] = None
    of_all = {metric_name(one.metric) for one in verdicts}
    return [
        f"judged against {baseline}"
        if len(metrics) == 1 or set(its) == of_all
        else f"judged against {baseline} ({', '.join(its)})"
        for baseline, its in metrics.items()
    ]


def _differs_from_its_figures(verdict: Verdict) -> bool:
    """Whether the change of a duet is another one, for the reader, than that of its two speeds."""
    if verdict.change is None or verdict.baseline is None or verdict.judged_by != SIDE_BY_SIDE:
        return False
    before = verdict.baseline.value
    expected = before * (1 + verdict.change.value)
    return abs(verdict.now.value - expected) > verdict.tolerance * before


def open_verdicts(verdicts: Sequence[Verdict]) -> list[str]:
    """A line that says how many verdicts decide nothing; none if all do."""
    left = [verdict for verdict in verdicts if verdict.status in _OPEN]
    if not left:
        return []
    return [
        f"{len(left)} of {len(verdicts)} verdicts are open ({summary_of(left)}): a loss is "
        "neither found nor ruled out there"
    ]


def _tests_by_text(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each text once, with the tests that it is about."""
    tests: dict[str, dict[str, None]] = {}
    for text, test in pairs:
        tests.setdefault(text, {})[test] = None
    return {text: _named(list(of_it)) for text, of_it in tests.items()}


def _named(tests: Sequence[str]) -> str:
    more = len(tests) - _MOST_TESTS
    shown = ", ".join(tests[:_MOST_TESTS])
    return f"{shown} and {more} more" if more > 0 else shown


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return (
        one_line(verdict.test),
        verdict.configuration,
        metric_unit(verdict.metric, one_line(verdict.unit)),
        NOTHING if verdict.baseline is None else number(verdict.baseline.value),
        number(verdict.now.value),
        _change(verdict),
        NOTHING if verdict.detectable is None else f"from {percent(verdict.detectable)}",
        NOTHING if verdict.change is None else verdict.judged_by,
        verdict.status,
    )


def _markdown_row(cells: Sequence[str], escape: bool = True) -> str:
    return f"| {' | '.join(_escaped(cell) if escape else cell for cell in cells)} |"


def _escaped(text: str) -> str:
    escaped = _MARKDOWN.sub(r"\\\1", html.escape(one_line(text), quote=False))
    # GitHub makes math of what is between two of them, and a backslash does not keep it from that.
    # This is how its docs write one that is a dollar.
    return escaped.replace("$", "<span>$</span>")


def _change(verdict: Verdict) -> str:
    """The change with its interval, and as measured where that is something else."""
    text, change, measured = _interval(verdict), verdict.change, verdict.measured
    if change is None or measured is None or abs(change.value - measured) < _WORTH_TELLING:
        return text
    return f"{text}, measured {signed_percent(measured)}"


def _interval(verdict: Verdict) -> str:
    change = verdict.change
    return NOTHING if change is None else with_bounds(change, signed_percent)
