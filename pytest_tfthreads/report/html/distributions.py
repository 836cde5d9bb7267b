"""Rounds and processes as distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pytest_tfthreads.core.format import number, time_unit
from pytest_tfthreads.core.measurement import Measurement, Sample
from pytest_tfthreads.report.html.content import Subject
from pytest_tfthreads.report.html.lines import name_axis, vertical
from pytest_tfthreads.report.html.words import name_of, plot_text
from pytest_tfthreads.report.page import figure

_VIOLIN_PX = 38
# Of a process, as quantiles: only the shape of their distribution is drawn.
_MOST_ROUNDS = 100
_OUTLYING = 0.005
_LEAST_BANDWIDTH = 0.002
_FRAME_PX = 80


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
                "y0": name,
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
            "yaxis": name_axis(subject),
            "violinmode": "overlay",
            "legend": {"traceorder": "normal"},
            "shapes": [vertical(1.0, "--faint", "dot")],
        },
        caption="Rounds and processes",
        details="Two humps: the machine, or the code, runs at two speeds. Processes that lie "
        "apart: each starts in a state of its own. "
        f"A round took {_span(subject)}.",
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
    mean = sum(values) / len(values)
    spread = math.hypot(*(value - mean for value in values)) / math.sqrt(max(1, len(values) - 1))
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
