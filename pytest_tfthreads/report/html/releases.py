"""What was found over releases, as a page: a line over them for each test, and what changed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

from pytest_tfthreads.core.format import (
    NOTHING,
    bounds,
    metric_name,
    number,
    one_line,
    signed_percent,
)
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.variants.released import Changed, Over, TestOver
from pytest_tfthreads.core.variants.steps import Change
from pytest_tfthreads.report.html.elements import (
    bullets,
    element,
    folded,
    markup,
    name_cell,
    number_cell,
    table,
)
from pytest_tfthreads.report.html.words import badge, file_and_name, plot_text
from pytest_tfthreads.report.page import Section, figure, layout_over_places, page
from pytest_tfthreads.report.releases import (
    STATUS_WORDS,
    changed_words,
    note_of,
    shift_of,
    speed_of,
    subjects,
    summary,
    tolerated,
)

_SERIES = ("--series-1", "--series-2")
_MARKS = ("circle", "square")
_HEIGHT_PX = 380
_ASIDE = 0.08  # of two lines, that their intervals do not hide each other
_HOW = (
    "Each release is compared with the first and with the one before it, from processes that took "
    "turns on the same CPUs. The line shows the change since the first release; its intervals hold "
    "together for all figures of a test and metric (95 %). A step is the change since the release "
    "before."
)


def render(over: Over, failing: Sequence[tuple[str, str]]) -> str:
    """The document. Raises `LibraryMissingError` without plotly."""
    sections = [
        Section("steps", "Steps", _steps(over, failing)),
        *(
            Section(f"test-{place}", name, _of_test(over, test, f"test-{place}"), kicker=file)
            for place, test in enumerate(over.tests, start=1)
            for file, name in [file_and_name(test.nodeid)]
        ),
        Section("changed", "What changed", _changed(over)),
    ]
    return page("Releases side by side", sections, lead=markup(element("p", _HOW)))


def _steps(over: Over, failing: Sequence[tuple[str, str]]) -> str:
    """A row for each test and metric, a column for each release after the first."""
    releases = [one.name for one in over.releases[1:]]
    rows = []
    for place, test in enumerate(over.tests, start=1):
        link = element("a", test.nodeid, href=f"#test-{place}")
        for metric in METRICS:
            cells = [element("th", link, scope="row"), element("td", metric_name(metric))]
            for name in releases:
                step = test.step(metric, name)
                cells.append(_step_cell(None if step is None else step.to_previous))
            rows.append(element("tr", *cells))
    parts = [table("Change since the release before", ["Test", "Metric", *releases], rows)]
    failed = [f"{nodeid}: {word} at {over.releases[-1].name}" for nodeid, word in failing]
    parts.append(bullets([*failed, *summary(over)]))
    return markup(*parts)


def _step_cell(change: Change | None) -> Element:
    if change is None:
        return element("td", NOTHING)
    shift = shift_of(change)
    return element(
        "td",
        badge(STATUS_WORDS[change.status]),
        element("br"),
        f"{signed_percent(shift.value)} ",
        element("small", bounds(shift, signed_percent)),
        class_="number",
    )


def _of_test(over: Over, test: TestOver, anchor: str) -> str:
    notes = [
        f"{release.name}: {note}"
        for place, release in enumerate(over.releases)
        if (note := note_of(test, place))
    ]
    parts = [_figure(over, test, f"{anchor}-line")] if test.is_compared else []
    boxed = _speeds(over, test)
    parts.append(markup(folded(boxed) if test.is_compared else boxed))
    if notes:
        parts.append(markup(bullets(notes)))
    return "\n".join(parts)


def _figure(over: Over, test: TestOver, name: str) -> str:
    first = _first(over, test)
    data: list[dict[str, Any]] = []
    for index, metric in enumerate(METRICS):
        found = [
            (place, None if step is None else step.to_first)
            for place, release in enumerate(over.releases)
            for step in [test.step(metric, release.name)]
        ]
        changes = {place: change for place, change in found if change is not None}
        shifts = {place: shift_of(change) for place, change in changes.items()}
        places = [first, *shifts]
        colour = _SERIES[index]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": metric_name(metric),
                "x": [place + (index - 0.5) * _ASIDE for place in places],
                "y": [0.0, *(100 * one.value for one in shifts.values())],
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [0, *(100 * (one.high - one.value) for one in shifts.values())],
                    "arrayminus": [0, *(100 * (one.value - one.low) for one in shifts.values())],
                    "color": colour,
                    "thickness": 1.5,
                    "width": 4,
                },
                "line": {"color": colour, "width": 2},
                "marker": {"color": colour, "symbol": _MARKS[index], "size": 8},
                "text": [
                    plot_text(over.releases[first].name),
                    *(
                        f"{plot_text(over.releases[place].name)}: {shifts[place]} "
                        f"since {plot_text(change.since)}"
                        for place, change in changes.items()
                    ),
                ],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    layout = layout_over_places(
        _HEIGHT_PX,
        len(over.releases),
        {place: plot_text(one.name) for place, one in enumerate(over.releases)},
        {
            "title": {"text": f"change since {plot_text(over.releases[first].name)}, %"},
            "zeroline": True,
        },
    )
    details = f"Tolerated from one release to the next: {tolerated(over)}."
    return figure(name, data, layout, caption="Speed over releases", details=details)


def _first(over: Over, test: TestOver) -> int:
    """The place of the release that changes since the first begin at.

    One before it may have been measured, and have dropped out.
    """
    several = itertools.chain.from_iterable(test.steps.values())
    since = next((step.to_first.since for step in several if step.to_first is not None), None)
    if since is None:
        return next(place for place, at in enumerate(test.at) if at.measurement)
    return [one.name for one in over.releases].index(since)


def _speeds(over: Over, test: TestOver) -> Element:
    rows = []
    for release, at in zip(over.releases, test.at, strict=True):
        cells = [name_cell(release.name), number_cell(str(len(at.samples)))]
        for metric in METRICS:
            speed = speed_of(at, metric)
            step = test.step(metric, release.name)
            to_first = None if step is None else step.to_first
            cells.append(
                number_cell(NOTHING)
                if speed is None
                else number_cell(number(speed.value), bounds(speed))
            )
            shift = None if to_first is None else shift_of(to_first)
            cells.append(
                number_cell(NOTHING)
                if shift is None
                else number_cell(signed_percent(shift.value), bounds(shift, signed_percent))
            )
            cells.append(_step_cell(None if step is None else step.to_previous))
        rows.append(element("tr", *cells))
    unit = next((at.measurement.unit for at in test.at if at.measurement), "units")
    headers = ["Release", "Processes"]
    for metric, per in zip(METRICS, ("s", "CPU-s"), strict=True):
        name = metric_name(metric)
        headers += [f"{name[:1].upper() + name[1:]}, {unit}/{per}", "Since the first", "Step"]
    return table("Speeds, and changes with intervals that hold together (95 %)", headers, rows)


def _changed(over: Over) -> str:
    rows = []
    for one in over.changed:
        listed = _lines([*_shown(one), *subjects(one.commits)])
        rows.append(element("tr", name_cell(f"{one.earlier} → {one.later}"), listed))
    return markup(table("From one release to the next", ["Step", "Changed"], rows))


def _shown(changed: Changed) -> list[str]:
    return [", ".join(changed_words(changed))]


def _lines(lines: Sequence[str]) -> Element:
    children: list[Element | str] = []
    for line in map(one_line, lines):
        children += [element("br"), line] if children else [line]
    return element("td", *children)
