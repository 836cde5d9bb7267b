"""Figures of estimates with a line for each configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytest_tfthreads.core.format import time_unit, with_bounds
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.report.html.content import MeasuredCase, Subject
from pytest_tfthreads.report.html.lines import error_bars, height, name_axis
from pytest_tfthreads.report.html.words import name_of, plot_text, seconds_of_a_call
from pytest_tfthreads.report.page import figure


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
    granted = [len(case.measurement.granted) for case in subject.cases]
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
            "x": [estimate.value for estimate in estimates],
            "y": names,
            "error_x": error_bars(estimates, colour),
            "marker": {"color": colour, "size": 8},
            "text": [with_bounds(estimate) for estimate in estimates],
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
            "height": height(subject),
            "xaxis": {"rangemode": "tozero"},
            "yaxis": name_axis(subject),
            "showlegend": False,
        },
        caption=caption,
    )


def _call_s(case: MeasuredCase) -> tuple[Estimate, Estimate]:
    return seconds_of_a_call(case.measurement)
