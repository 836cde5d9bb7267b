"""Figures and configurations in words, as the whole report writes them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from xml.etree.ElementTree import Element

from pytest_tfthreads.core.comparison import Ratio
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.statistics import Estimate
from pytest_tfthreads.core.threads import ThreadCount
from pytest_tfthreads.core.verdict import STATUSES, Verdict, signed_percent
from pytest_tfthreads.report.console import number
from pytest_tfthreads.report.html.content import MeasuredCase
from pytest_tfthreads.report.html.elements import element
from pytest_tfthreads.report.sweep import label

NOTHING = "–"
_SYMBOLS = {"regression": "▼", "improvement": "▲", "pass": "✓"}
_CLASSES = {"regression": "worse", "improvement": "better", "pass": "fine"}
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def bounds(estimate: Estimate) -> str:
    """Its interval."""
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"[{number(estimate.low)}, {number(estimate.high)}]"


def with_bounds(estimate: Estimate) -> str:
    return f"{number(estimate.value)} {bounds(estimate)}"


def times(ratio: Ratio) -> str:
    """1.23 [1.10, 1.37]."""
    estimate = ratio.estimate
    if ratio.rings == 0:  # with itself
        return "1"
    low, high = (NOTHING if one is None else f"{one:.2f}" for one in (estimate.low, estimate.high))
    return f"{estimate.value:.2f} [{low}, {high}]"


def name_of(case: MeasuredCase) -> str:
    return label(case.candidate)


def file_and_name(test: str) -> tuple[str, str]:
    """Of a node id; no file where it names none."""
    file, _, name = test.partition("::")
    return (file, name) if name else ("", file)


def pool(asked: ThreadCount, counted: int) -> str:
    """4, or physical (4)."""
    return asked.text if asked.text == str(counted) else f"{asked.text} ({counted})"


def plot_text(text: str) -> str:
    """For plotly, which takes some tags for markup."""
    return html.escape(text, quote=False)


def change(verdict: Verdict) -> tuple[str, str]:
    """The change of speed, and its interval."""
    found = verdict.change
    if found is None:
        return NOTHING, ""
    low, high = (signed_percent(one).removesuffix(" %") for one in (found.low, found.high))
    return signed_percent(found.value), f"[{low}, {high}]"


def worst(verdicts: Sequence[Verdict]) -> str:
    """The status that a reader has to know first; empty where nothing was judged."""
    return min((one.status for one in verdicts), key=STATUSES.index, default="")


def badge(status: str, more: str = "") -> Element:
    """A verdict that is told from others by its words and its sign, not only by its colour."""
    words = " ".join(filter(None, (_SYMBOLS.get(status, "?"), status, more)))
    return element("span", words, class_=f"badge {_CLASSES.get(status, 'open')}")


def seconds_of_a_call(measurement: Measurement) -> tuple[Estimate, Estimate]:
    """Wall and CPU seconds."""
    wall, cpu = (
        speed.scaled(1 / measurement.items).inverse
        for speed in (measurement.throughput, measurement.cpu_efficiency)
    )
    return wall, cpu


def time_unit(seconds: float) -> tuple[float, str]:
    """The unit in which so long a time is written, and its seconds."""
    return next((one for one in _TIMES if seconds >= one[0]), _TIMES[-1])


def moment(text: str) -> str:
    """A time as files have it, to the minute; left alone where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return " ".join((f"{found:%Y-%m-%d %H:%M}", found.tzname() or "")).rstrip()


def metric(verdict: Verdict) -> str:
    return verdict.metric.replace("_", " ").replace("cpu", "CPU")
