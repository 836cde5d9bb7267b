"""Figures that have a line for each configuration: its estimates, or what was seen of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import stdev
from typing import Any

from pytest_tfthreads.core.measurement import Measurement, Sample
from pytest_tfthreads.core.statistics import Estimate
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.verdict import STATUSES, Verdict, percent
from pytest_tfthreads.report.console import number
from pytest_tfthreads.report.html.content import MeasuredCase, Subject
from pytest_tfthreads.report.html.words import (
    bounds,
    change,
    name_of,
    plot_text,
    seconds_of_a_call,
    time_unit,
)
from pytest_tfthreads.report.page import figure

_LINE_PX = 24
_VIOLIN_PX = 38
_FRAME_PX = 80
_MOST_ROUNDS = (
    100  # of a process, as quantiles: the shape of their distribution is all that is drawn
)
_OUTLYING = 0.005
_LEAST_BANDWIDTH = 0.002
_STATUS_MARKS = {
    "regression": ("--series-2", "triangle-left"),
    "improvement": ("--series-1", "triangle-right"),
    "pass": ("--series-3", "circle"),
    "inconclusive": ("--series-5", "diamond-open"),
}
_METRIC_NAMES = {"throughput": "throughput", "cpu_efficiency": "CPU efficiency"}

Layout = dict[str, Any]


def speeds(anchor: str, subject: Subject) -> list[str]:
    """Throughput and CPU efficiency with intervals, for configurations that are no grid."""
    unit = subject.cases[0].measurement.unit
    return [
        _estimates(
            f"{anchor}-throughput",
            subject,
            lambda one: one.throughput,
            f"Throughput, {unit}/s",
            "--series-1",
        ),
        _estimates(
            f"{anchor}-efficiency",
            subject,
            lambda one: one.cpu_efficiency,
            f"CPU efficiency, {unit}/CPU-s",
            "--series-3",
        ),
    ]


def taken_apart(anchor: str, subject: Subject) -> list[str]:
    """Wall time of a call, CPU work of a call, cores used: the first is the second ÷ the third."""
    longest_s = max(one.value for case in subject.cases for one in _call_s(case))
    scale, unit = time_unit(longest_s)
    granted = [len(case.measurement.cpus) for case in subject.cases]
    return [
        _estimates(
            f"{anchor}-wall",
            subject,
            lambda one: seconds_of_a_call(one)[0].scaled(1 / scale),
            f"Wall time of a call, {unit}",
            "--series-1",
        ),
        _estimates(
            f"{anchor}-cpu",
            subject,
            lambda one: seconds_of_a_call(one)[1].scaled(1 / scale),
            f"= CPU work of a call, CPU-{unit}",
            "--series-3",
        ),
        _estimates(
            f"{anchor}-cores",
            subject,
            lambda one: one.cores_used,
            "÷ cores used; upright: CPUs granted",
            "--series-4",
            limits=granted,
        ),
    ]


def distributions(anchor: str, subject: Subject) -> str:
    """Speeds of rounds and of processes, each against its configuration's throughput."""
    data: list[dict[str, Any]] = []
    everything: list[float] = []
    for case in reversed(subject.cases):
        name = plot_text(name_of(case))
        measurement = case.measurement
        middle = measurement.throughput.value
        rounds = [
            one / middle for sample in measurement.samples for one in _rounds(sample, measurement)
        ]
        everything += rounds
        data.append(
            {
                "type": "violin",
                "orientation": "h",
                "x": rounds,
                "y": [name] * len(rounds),
                "side": "positive",
                "points": False,
                "spanmode": "hard",
                "width": 1.5,
                "scalemode": "width",
                "bandwidth": _bandwidth(rounds),
                "line": {"color": "--series-1", "width": 1},
                "name": "rounds (density)",
                "legendgroup": "rounds",
                "showlegend": case is subject.cases[0],
                "hoverinfo": "skip",
            }
        )
    data.append(_processes(subject))
    everything += data[-1]["x"]
    low, high = _shown_range(everything)
    lines = len(subject.cases)
    return figure(
        f"{anchor}-rounds",
        data,
        {
            "height": _FRAME_PX + _VIOLIN_PX + _VIOLIN_PX * lines,
            "xaxis": {
                "title": {"text": "speed ÷ throughput of its configuration"},
                "range": [low, high],
            },
            "yaxis": _names(subject),
            "violinmode": "overlay",
            "legend": {"traceorder": "normal"},
            "shapes": [_vertical(1.0, "--faint", "dot")],
        },
        caption="Rounds and processes",
        details="Two humps: the machine, or the code, runs at two speeds. Processes that lie "
        "apart: each starts in a state of its own. "
        f"A round took {_span(subject)}.",
    )


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
            (name_of(case), 100 * math.expm1(getattr(pair, metric)))
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
                    "height": _height(subject),
                    "xaxis": {"title": {"text": "now against baseline, %"}},
                    "yaxis": _names(subject),
                    "shapes": [_vertical(0.0, "--faint", "solid")],
                },
                caption=f"Pairs of processes side by side: {_METRIC_NAMES[metric]}",
                details="A point for each pair; left of 0 is slower.",
            )
        )
    return figures


def _estimates(
    name: str,
    subject: Subject,
    estimate_of: Callable[[Measurement], Estimate],
    caption: str,
    colour: str,
    limits: Sequence[int] = (),
) -> str:
    cases = list(reversed(subject.cases))
    estimates = [estimate_of(case.measurement) for case in cases]
    names = [plot_text(name_of(case)) for case in cases]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "measured [95 %]",
            "x": [one.value for one in estimates],
            "y": names,
            "error_x": error_bars(estimates, colour),
            "marker": {"color": colour, "size": 8},
            "text": [f"{number(one.value)} {bounds(one)}" for one in estimates],
            "hovertemplate": "%{y}: %{text}<extra></extra>",
        }
    ]
    if limits:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "CPUs granted",
                "x": list(reversed(limits)),
                "y": names,
                "marker": {
                    "symbol": "line-ns-open",
                    "size": 14,
                    "color": "--ink",
                    "line": {"width": 2},
                },
                "hovertemplate": "%{y}: %{x} CPUs granted<extra></extra>",
            }
        )
    return figure(
        name,
        data,
        {
            "height": _height(subject),
            "xaxis": {"rangemode": "tozero"},
            "yaxis": _names(subject),
            "showlegend": False,
        },
        caption=caption,
    )


def error_bars(estimates: Sequence[Estimate], colour: str) -> Layout:
    """Of both directions; none where there is no interval."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [0 if one.high is None else one.high - one.value for one in estimates],
        "arrayminus": [0 if one.low is None else one.value - one.low for one in estimates],
        "color": colour,
        "thickness": 1.5,
        "width": 4,
    }


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
            "height": _height(subject) + 24,
            "showlegend": True,
            "xaxis": {"title": {"text": "change of speed, %"}},
            "yaxis": _names(subject),
            "shapes": [
                _vertical(0.0, "--faint", "solid"),
                *(_vertical(-100 * one, "--series-2", "dash") for one in tolerances),
            ],
        },
        caption=f"Change of {_METRIC_NAMES[metric]} against the baseline, 90 % intervals",
        details=f"Dashed: the loss that is tolerated, {', '.join(map(percent, tolerances))}.",
    )


def _processes(subject: Subject) -> dict[str, Any]:
    points = [
        (case, sample, sample.calls_a_second * case.measurement.items)
        for case in reversed(subject.cases)
        for sample in case.measurement.samples
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "a process",
        "x": [speed / case.measurement.throughput.value for case, _, speed in points],
        "y": [plot_text(name_of(case)) for case, _, _ in points],
        "text": [
            f"{number(speed)} {plot_text(case.measurement.unit)}/s on CPUs "
            f"{', '.join(map(str, sample.cpus))}"
            for case, sample, speed in points
        ],
        "hovertemplate": "%{y}: %{text}<extra>a process</extra>",
        "marker": {
            "color": "--series-2",
            "symbol": "line-ns-open",
            "size": 11,
            "line": {"width": 2},
        },
    }


def _rounds(sample: Sample, measurement: Measurement) -> list[float]:
    """Speeds of its rounds; of many, quantiles that lie evenly."""
    amount = sample.iterations * measurement.items
    speeds = sorted(amount / wall_s for wall_s in sample.wall_s if wall_s > 0)
    if len(speeds) <= _MOST_ROUNDS:
        return speeds
    return [
        speeds[(2 * nth + 1) * len(speeds) // (2 * _MOST_ROUNDS)] for nth in range(_MOST_ROUNDS)
    ]


def _bandwidth(values: Sequence[float]) -> float:
    """Half of what suits a single hump (Silverman's rule): two must not be taken for one."""
    spread = stdev(values) if len(values) > 1 else 0.0
    return max(0.5 * 1.06 * spread / math.pow(len(values), 0.2), _LEAST_BANDWIDTH)


def _shown_range(values: Sequence[float]) -> tuple[float, float]:
    """All but the rare ones that would squeeze the rest into a corner."""
    ordered = sorted(values)
    outside = int(_OUTLYING * len(ordered))
    low, high = ordered[outside], ordered[-1 - outside]
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin


def _span(subject: Subject) -> str:
    walls = [
        sum(sample.wall_s) / len(sample.wall_s)
        for case in subject.cases
        for sample in case.measurement.samples
    ]
    low, high = min(walls), max(walls)
    scale, unit = time_unit(high)
    shortest, longest = (f"{one / scale:.2g}" for one in (low, high))
    return f"{shortest} {unit}" if shortest == longest else f"{shortest} to {longest} {unit}"


def _call_s(case: MeasuredCase) -> tuple[Estimate, Estimate]:
    return seconds_of_a_call(case.measurement)


def _height(subject: Subject) -> int:
    return _FRAME_PX + _LINE_PX * len(subject.cases)


def _names(subject: Subject) -> Layout:
    """The axis of configurations, the first at the top."""
    names = [plot_text(name_of(case)) for case in reversed(subject.cases)]
    return {"type": "category", "categoryorder": "array", "categoryarray": names, "ticks": ""}


def _vertical(x: float, colour: str, dash: str) -> Mapping[str, Any]:
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": colour, "dash": dash, "width": 1.5},
        "layer": "below",
    }
