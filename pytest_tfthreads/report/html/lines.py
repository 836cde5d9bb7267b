"""What figures with a line for each configuration have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.report.html.content import Subject
from pytest_tfthreads.report.html.words import name_of, plot_text

_LINE_PX = 24
_FRAME_PX = 80
_LEAST_PX = 130  # below it plotly puts titles on top of ticks

Layout = dict[str, Any]


def error_bars(estimates: Sequence[Estimate], colour: str) -> Layout:
    """Of both directions; none where there is no interval."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [
            0 if estimate.high is None else estimate.high - estimate.value for estimate in estimates
        ],
        "arrayminus": [
            0 if estimate.low is None else estimate.value - estimate.low for estimate in estimates
        ],
        "color": colour,
        "thickness": 1.5,
        "width": 4,
    }


def height(subject: Subject) -> int:
    return max(_FRAME_PX + _LINE_PX * len(subject.cases), _LEAST_PX)


def name_axis(subject: Subject) -> Layout:
    """The axis of configurations, the first at the top."""
    names = [plot_text(name_of(case)) for case in reversed(subject.cases)]
    return {"type": "category", "categoryorder": "array", "categoryarray": names, "ticks": ""}


def vertical(x: float, colour: str, dash: str) -> Mapping[str, Any]:
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
