"""What was found over releases, as a page: a line over them for each test, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
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
from pytest_tfthreads.core.variants.course import courses_of
from pytest_tfthreads.core.variants.released import Changed, Over, TestOver
from pytest_tfthreads.report.html.elements import (
    bullets,
    element,
    folded,
    markup,
    name_cell,
    number_cell,
    table,
)
from pytest_tfthreads.report.html.over_releases import Courses, lines, step_cell, steps
from pytest_tfthreads.report.html.words import file_and_name
from pytest_tfthreads.report.page import Section, page
from pytest_tfthreads.report.releases import changed_words, note_of, speed_of, subjects, summary

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
    heads = [
        (element("a", test.nodeid, href=f"#test-{place}"), courses_of(over, test))
        for place, test in enumerate(over.tests, start=1)
    ]
    parts = [steps("Test", heads, [one.name for one in over.releases])]
    failed = [f"{nodeid}: {word} at {over.releases[-1].name}" for nodeid, word in failing]
    parts.append(bullets([*failed, *summary(over)]))
    return markup(*parts)


def _of_test(over: Over, test: TestOver, anchor: str) -> str:
    notes = [
        f"{release.name}: {note}"
        for place, release in enumerate(over.releases)
        if (note := note_of(test, place))
    ]
    courses = courses_of(over, test)
    parts = [lines(f"{anchor}-line", courses)] if courses else []
    boxed = _speeds(over, test, courses)
    parts.append(markup(folded(boxed) if courses else boxed))
    if notes:
        parts.append(markup(bullets(notes)))
    return "\n".join(parts)


def _speeds(over: Over, test: TestOver, courses: Courses) -> Element:
    rows = []
    for release, at in zip(over.releases, test.at, strict=True):
        cells = [name_cell(release.name), number_cell(str(len(at.samples)))]
        for metric in METRICS:
            speed = speed_of(at, metric)
            point = courses[metric].point(release.name) if courses else None
            to_first = None if point is None else point.to_first
            cells.append(
                number_cell(NOTHING)
                if speed is None
                else number_cell(number(speed.value), bounds(speed))
            )
            cells.append(
                number_cell(NOTHING)
                if to_first is None
                else number_cell(signed_percent(to_first.value), bounds(to_first, signed_percent))
            )
            cells.append(step_cell(None if point is None else point.to_previous))
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
