"""Lines over releases that were measured side by side, and tables of their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from pytest_tfthreads.core.format import (
    NOTHING,
    bounds,
    metric_name,
    one_line,
    signed_percent,
    with_bounds,
)
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.variants.course import Course, CourseChange
from pytest_tfthreads.report.html.content import Subject
from pytest_tfthreads.report.html.elements import element, markup, table
from pytest_tfthreads.report.html.lines import error_bars
from pytest_tfthreads.report.html.words import badge, moment, name_of, plot_text
from pytest_tfthreads.report.page import figure, layout_over_places
from pytest_tfthreads.report.releases import STATUS_WORDS, tolerated

_STEPS = "Change since the release before"
_SERIES = dict(zip(METRICS, ("--series-1", "--series-2"), strict=True))
_MARKS = dict(zip(METRICS, ("circle", "square"), strict=True))
_HEIGHT_PX = 380
_ASIDE = 0.08  # of two lines, that their intervals do not hide each other
_HOW = (
    "Measured side by side by pytest-tfthreads releases, apart from this run: the latest call in "
    "which a step of the test was decided. The intervals of a line hold together (95 %), and a "
    "step that is no longer open is certain."
)

Courses = Mapping[str, Course]
"""By metric, those of one test."""


def lines(name: str, courses: Courses, caption: str = "Speed over releases") -> str:
    """The figure of a test: a line for each metric, with intervals."""
    one = next(iter(courses.values()))
    tolerance = tolerated({metric: course.tolerance for metric, course in courses.items()})
    layout = layout_over_places(
        _HEIGHT_PX,
        len(one.releases),
        {place: plot_text(one_line(release)) for place, release in enumerate(one.releases)},
        {
            "title": {"text": f"change since {plot_text(one_line(one.first))}, %"},
            "zeroline": True,
        },
    )
    details = f"Tolerated from one release to the next: {tolerance}."
    data = [_line(metric, course) for metric, course in courses.items()]
    return figure(name, data, layout, caption=caption, details=details)


def steps(
    of: str, heads: Sequence[tuple[Element | str, Courses]], releases: Sequence[str]
) -> Element:
    """A row for each head and metric, a column for each release after the first.

    `of`: what the heads name, such as "Test".
    """
    later = releases[1:]
    rows = []
    for head, courses in heads:
        for metric in METRICS:
            course = courses.get(metric)
            cells = [element("th", head, scope="row"), element("td", metric_name(metric))]
            for name in later:
                point = None if course is None else course.point(name)
                cells.append(step_cell(None if point is None else point.to_previous))
            rows.append(element("tr", *cells))
    return table(_STEPS, [of, "Metric", *map(one_line, later)], rows)


def step_cell(change: CourseChange | None) -> Element:
    """What is certain of a change, and its size."""
    if change is None:
        return element("td", NOTHING)
    return element(
        "td",
        badge(STATUS_WORDS[change.status]),
        element("br"),
        f"{signed_percent(change.value)} ",
        element("small", bounds(change, signed_percent)),
        class_="number",
    )


def of_subject(anchor: str, subject: Subject) -> str:
    """Of all its configurations that were measured over releases; empty where none was."""
    measured = [(case, case.over) for case in subject.cases if case.over is not None]
    if not measured:
        return ""
    figures = [
        lines(
            f"{anchor}-releases-{place}",
            over.courses,
            f"{name_of(case)} over releases, {moment(over.when)}",
        )
        for place, (case, over) in enumerate(measured, start=1)
    ]
    by_releases: dict[tuple[str, ...], list[tuple[Element | str, Courses]]] = {}
    for case, over in measured:
        by_releases.setdefault(over.releases, []).append((name_of(case), over.courses))
    return "\n".join(
        [
            markup(element("p", _HOW)),
            f'<div class="figures">\n{"".join(figures)}</div>',
            markup(
                *(
                    steps("Configuration", heads, releases)
                    for releases, heads in by_releases.items()
                )
            ),
        ]
    )


def _line(metric: str, course: Course) -> dict[str, Any]:
    places = {name: place for place, name in enumerate(course.releases)}
    found = [(one.name, one.to_first) for one in course.points]
    changes = {name: change for name, change in found if change is not None}
    names = [course.first, *changes]
    sizes = [Estimate(0.0, 0.0, 0.0)] + [
        Estimate(100 * one.value, 100 * one.low, 100 * one.high) for one in changes.values()
    ]
    colour = _SERIES[metric]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": metric_name(metric),
        "x": [places[name] + ([*_SERIES].index(metric) - 0.5) * _ASIDE for name in names],
        "y": [one.value for one in sizes],
        "error_y": error_bars(sizes, colour),
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "symbol": _MARKS[metric], "size": 8},
        "text": [
            plot_text(course.first),
            *(
                f"{plot_text(name)}: {with_bounds(change, signed_percent)} "
                f"since {plot_text(change.since)}"
                for name, change in changes.items()
            ),
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
