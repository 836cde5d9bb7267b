"""Configurations, verdicts and times as the whole HTML report writes them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from xml.etree.ElementTree import Element

from pytest_tfthreads.core.format import NOTHING, bounds, signed_percent
from pytest_tfthreads.core.gate.verdict import STATUSES, Verdict
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.threads import ThreadCount
from pytest_tfthreads.report.html.content import MeasuredCase
from pytest_tfthreads.report.html.elements import element
from pytest_tfthreads.report.sweep import label

_SYMBOLS = {"regression": "▼", "improvement": "▲", "pass": "✓", "no change": "✓"}
_CLASSES = {
    "regression": "worse",
    "improvement": "better",
    "pass": "fine",
    "no change": "fine",
}


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
    return signed_percent(found.value), bounds(found, signed_percent)


def worst(verdicts: Sequence[Verdict]) -> str:
    """The status that a reader has to know first; empty where nothing was judged."""
    return min((verdict.status for verdict in verdicts), key=STATUSES.index, default="")


def badge(status: str, more: str = "") -> Element:
    """A verdict; its word and its sign show which one, not only its colour."""
    words = " ".join(filter(None, (_SYMBOLS.get(status, "?"), status, more)))
    return element("span", words, class_=f"badge {_CLASSES.get(status, 'open')}")


def seconds_of_a_call(measurement: Measurement) -> tuple[Estimate, Estimate]:
    """Wall and CPU seconds."""
    wall, cpu = (
        speed.scaled(1 / measurement.items).inverse
        for speed in (measurement.throughput, measurement.cpu_efficiency)
    )
    return wall, cpu


def moment(text: str) -> str:
    """A time as files have it, to the minute; left alone where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return " ".join((f"{found:%Y-%m-%d %H:%M}", found.tzname() or "")).rstrip()
