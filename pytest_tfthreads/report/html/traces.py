"""Which ops take the time, as traces say: now, and beside the baseline."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

from pytest_tfthreads.core.format import NOTHING, milliseconds
from pytest_tfthreads.core.op_profile import OpProfile, Trace, Traces
from pytest_tfthreads.report.html.content import MeasuredCase, Subject
from pytest_tfthreads.report.html.elements import (
    bullets,
    element,
    markup,
    name_cell,
    number_cell,
    table,
)
from pytest_tfthreads.report.html.words import name_of, plot_text
from pytest_tfthreads.report.page import figure

_TOP = 8
_OUTSIDE = "outside of ops"
_LINE_PX = 34
_FRAME_PX = 100
_SHOWN = 24  # letters of an op's name in a figure; the table has all


def traced(anchor: str, subject: Subject) -> str:
    """HTML; nothing where no trace was to be taken."""
    cases = [(case, case.traces) for case in subject.cases if case.traces is not None]
    parts = [markup(_list(cases))] if any(traces.now for _, traces in cases) else []
    for place, (case, traces) in enumerate(cases):
        if traces.now is not None and traces.baseline is not None:
            then, now = traces.baseline.profile, traces.now.profile
            parts.append(_bars(f"{anchor}-ops-{place}", name_of(case), now, then))
            parts.append(markup(_side_by_side(name_of(case), now, traces.baseline)))
    problems = [
        f"{name_of(case)}: {problem}" for case, traces in cases for problem in traces.problems
    ]
    if problems:
        parts.append(markup(bullets(problems)))
    return "\n".join(parts)


def _list(cases: list[tuple[MeasuredCase, Traces]]) -> Element:
    rows = []
    for case, traces in cases:
        if traces.now is None:
            continue
        profile = traces.now.profile
        ops = ", ".join(f"{one.op} {milliseconds(one.self_s)}" for one in profile.ops[:_TOP])
        rows.append(
            element(
                "tr",
                name_cell(name_of(case)),
                number_cell(milliseconds(profile.wall_s)),
                number_cell(milliseconds(profile.outside_s)),
                element("td", ops or NOTHING),
                element("td", _link(traces, traces.now)),
            )
        )
    headers: list[Element | str] = [
        "intra×inter",
        element("th", "In all", class_="number"),
        element("th", "Outside of ops", class_="number"),
        "The ops' own time",
        "Trace, for TensorBoard",
    ]
    return table("Under the profiler, ms a call", headers, rows)


def _link(traces: Traces, trace: Trace) -> Element | str:
    """To its directory, which is on the machine that measured."""
    shown = f"{trace.path} on {traces.host}"
    try:
        address = PurePosixPath(traces.directory, trace.path or "").as_uri()
    except ValueError:  # no path from the root, or one that no file can have
        return shown
    return element("a", shown, href=address)


def _side_by_side(name: str, now: OpProfile, baseline: Trace) -> Element:
    then = baseline.profile
    rows = [
        element(
            "tr", name_cell(op), number_cell(milliseconds(mine)), number_cell(milliseconds(theirs))
        )
        for op, mine, theirs in (
            *((op, now.self_s(op), then.self_s(op)) for op in _top(now, then)),
            (_OUTSIDE, now.outside_s, then.outside_s),
            ("in all", now.wall_s, then.wall_s),
        )
    ]
    headers: list[Element | str] = [
        "Op",
        element("th", "Now", class_="number"),
        element("th", "Baseline", class_="number"),
    ]
    return table(f"{name}: ms a call, baseline: {baseline.title}", headers, rows)


def _bars(name: str, configuration: str, now: OpProfile, then: OpProfile) -> str:
    ops = [*_top(now, then), _OUTSIDE]
    data: list[dict[str, Any]] = []
    for label, profile, colour in (
        ("baseline", then, "--series-1"),
        ("now", now, "--series-2"),
    ):
        seconds = [*(profile.self_s(op) for op in ops[:-1]), profile.outside_s]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": label,
                "x": [0 if wall_s is None else 1000 * wall_s for wall_s in seconds],
                "y": list(range(len(ops))),
                "marker": {"color": colour},
                "hovertemplate": "%{x:.3g} ms<extra>%{fullData.name}</extra>",
            }
        )
    return figure(
        name,
        data,
        {
            "height": _FRAME_PX + _LINE_PX * len(ops),
            "barmode": "group",
            "bargap": 0.3,
            "showlegend": True,
            "legend": {"traceorder": "reversed"},
            "xaxis": {"title": {"text": "own time, ms a call"}},
            "yaxis": {
                "tickvals": list(range(len(ops))),
                "ticktext": [_short(op) for op in ops],
                "autorange": "reversed",
                "showgrid": False,
            },
        },
        caption=f"{configuration}: ops with the most time of their own, now and in the baseline",
        details="Times under the profiler: to be compared with each other only.",
    )


def _top(now: OpProfile, then: OpProfile) -> list[str]:
    """Of both, those with the most time first."""
    found = dict.fromkeys(one.op for profile in (now, then) for one in profile.ops[:_TOP])
    return sorted(
        found, key=lambda op: max(now.self_s(op) or 0.0, then.self_s(op) or 0.0), reverse=True
    )


def _short(op: str) -> str:
    return plot_text(op if len(op) <= _SHOWN else f"{op[: _SHOWN - 1]}…")
