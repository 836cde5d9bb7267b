"""Figures of what became of the speed since the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_tfthreads.core.format import metric_name, round_percent
from pytest_tfthreads.core.gate.verdict import STATUSES, Verdict
from pytest_tfthreads.core.stats.estimates import Estimate, change_from_log
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.report.html.content import MeasuredCase, Subject
from pytest_tfthreads.report.html.lines import error_bars, height, name_axis, vertical
from pytest_tfthreads.report.html.words import change, name_of, plot_text
from pytest_tfthreads.report.page import figure

_TITLE_PX = 20
_STATUS_MARKS = {
    "regression": ("--series-2", "triangle-left"),
    "improvement": ("--series-1", "triangle-right"),
    "pass": ("--series-3", "circle"),
    "inconclusive": ("--series-5", "diamond-open"),
}


def changes(anchor: str, subject: Subject) -> list[str]:
    """Changes against the baseline with their intervals, for each metric that was judged."""
    figures = []
    for metric in METRICS:
        judged = [
            (case, verdict)
            for case in reversed(subject.cases)
            for verdict in case.verdicts
            if verdict.metric == metric and verdict.change is not None
        ]
        if judged:
            figures.append(_changes_of(f"{anchor}-change-{metric}", metric, judged, subject))
    return figures


def pairs(anchor: str, subject: Subject) -> list[str]:
    """What each pair of processes of a duet says."""
    figures = []
    for metric, colour in zip(METRICS, ("--series-1", "--series-3"), strict=True):
        points = [
            (name_of(case), 100 * change_from_log(getattr(pair, metric)))
            for case in reversed(subject.cases)
            for pair in case.pairs
        ]
        if not points:
            continue
        figures.append(
            figure(
                f"{anchor}-pairs-{metric}",
                [
                    {
                        "type": "scatter",
                        "mode": "markers",
                        "x": [x for _, x in points],
                        "y": [plot_text(name) for name, _ in points],
                        "marker": {"color": colour, "symbol": "circle-open", "size": 9},
                        "hovertemplate": "%{y}: %{x:.2f} %<extra></extra>",
                    }
                ],
                {
                    "height": height(subject) + _TITLE_PX,
                    "xaxis": {"title": {"text": "now against baseline, %"}},
                    "yaxis": name_axis(subject),
                    "shapes": [vertical(0.0, "--faint", "solid")],
                },
                caption=f"Pairs of processes side by side: {metric_name(metric)}",
                details="A point for each pair; left of 0 is slower.",
            )
        )
    return figures


def _changes_of(
    name: str, metric: str, judged: Sequence[tuple[MeasuredCase, Verdict]], subject: Subject
) -> str:
    data = []
    for status in STATUSES:
        found = [(case, one) for case, one in judged if one.status == status]
        if not found:
            continue
        colour, symbol = _STATUS_MARKS.get(status, ("--faint", "x"))
        shown = [one.change for _, one in found if one.change is not None]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": status,
                "x": [100 * one.value for one in shown],
                "y": [plot_text(name_of(case)) for case, _ in found],
                "error_x": error_bars(
                    [Estimate(100 * one.value, 100 * one.low, 100 * one.high) for one in shown],
                    colour,
                ),
                "marker": {"color": colour, "symbol": symbol, "size": 10},
                "text": [" ".join(change(one)) for _, one in found],
                "hovertemplate": "%{y}: %{text}<extra>%{fullData.name}</extra>",
            }
        )
    tolerances = sorted({one.tolerance for _, one in judged})
    return figure(
        name,
        data,
        {
            "height": height(subject) + 2 * _TITLE_PX,
            "showlegend": True,
            "xaxis": {"title": {"text": "change of speed, %"}},
            "yaxis": name_axis(subject),
            "shapes": [
                vertical(0.0, "--faint", "solid"),
                *(vertical(-100 * tolerance, "--series-2", "dash") for tolerance in tolerances),
            ],
        },
        caption=f"Change of {metric_name(metric)} against the baseline, with intervals",
        details=f"Dashed: the loss that is tolerated, {', '.join(map(round_percent, tolerances))}.",
    )
