"""A history as a page: what changed, all lines, and a figure for each test and metric."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_tfthreads.core.contention import CONTENDED
from pytest_tfthreads.core.format import (
    metric_name,
    one_line,
    percent,
    signed_percent,
    with_bounds,
)
from pytest_tfthreads.core.stats.change_points import Segmentation, Shift
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.history.series import Line, Point, Run
from pytest_tfthreads.history.text import no_change
from pytest_tfthreads.history.timeline import (
    DatedChange,
    Timeline,
    commit_words,
    commits_words,
    line_words,
    machine_words,
    others_words,
    run_name,
    unit_words,
    versions_words,
)
from pytest_tfthreads.report.html.elements import element, markup, table
from pytest_tfthreads.report.page import Section, figure, layout_over_places, page

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Variables of page.css: they follow the colour scheme.
_COLOURS = ("--series-1", "--series-2", "--series-3", "--series-4", "--series-5")
# One more than there are colours, so that thirty lines are told apart.
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")
_MOST_TICKS = 12
_MOST_INTERVALS = 500
"""Points of a line beyond which their intervals would hide all else; each still tells its own."""
_HEIGHT_PX = 440
_BREAKABLE = 40
_HOW_TO_READ = (
    "Intervals are of 95 %. A change that was measured side by side has that size, whatever saved "
    "runs say; its band is green. Any other lies between the two runs with 95 % confidence. The "
    "reference workload is measured beside each test. Where the reference workload moves too, the "
    "machine or TensorFlow has changed, not the code. What other programs, and processes that the "
    "test starts, took of the granted CPUs stands there where it changed: that alone can make a "
    "test slower or faster."
)
_SHORT_ID = 7

DrawnLine = tuple[Line, Mapping[str, Segmentation]]


def render(timeline: Timeline) -> str:
    """The document. Raises `LibraryMissingError` without plotly."""
    tests = [
        (test, list(lines))
        for test, lines in itertools.groupby(timeline.lines, key=lambda one: one[0].test)
    ]
    sections = [
        Section("changes", "What changed", _changes(timeline)),
        Section("lines", "All lines", _lines(timeline)),
        *(
            Section(f"test-{index}", one_line(test), _figures(timeline, f"test-{index}", lines))
            for index, (test, lines) in enumerate(tests)
        ),
        Section("machines", "Machines", _machines(timeline)),
        Section("runs", "Runs", _runs(timeline)),
    ]
    return page(
        "History of speed",
        sections,
        without_figures="All points are in what `pytest-tfthreads history --csv` prints.",
    )


def _changes(timeline: Timeline) -> str:
    if not timeline.found:
        return markup(element("p", no_change(timeline)))
    same: dict[tuple[str, str, int, int, int], list[DatedChange]] = {}
    for found in timeline.found:
        name = line_words(found.line, timeline.machines[found.line.machine])
        place = (found.earlier, found.later, found.likely)
        same.setdefault((found.line.test, name, *place), []).append(found)
    rows = [
        [
            [_change(one) for one in group]
            + [_shift(one.reference, "reference") for one in group[:1] if one.reference]
            + [*dict.fromkeys(map(others_words, group))],
            [test, f"line {name}"],
            [
                timeline.title(timeline.runs[earlier]),
                timeline.title(timeline.runs[later]),
                f"most likely from {run_name(timeline.runs[likely])}",
            ],
            [commits_words(group[0], timeline), *versions_words(group[0]).split(", ")],
        ]
        for (test, name, earlier, later, likely), group in same.items()
    ]
    return (
        markup(element("p", _HOW_TO_READ))
        + "\n"
        + _table(
            "Changes, oldest first",
            ["Change", "Test", "Between these runs", "Commits and versions"],
            rows,
        )
    )


def _change(found: DatedChange) -> str:
    words = _shift(found.change.shift, unit_words(found.line, found.metric))
    return f"{words}, measured side by side" if found.change.is_measured else words


def _shift(shift: Shift, of: str) -> str:
    return f"{with_bounds(shift, signed_percent)} {of}"


def _lines(timeline: Timeline) -> str:
    rows = []
    for line, segmentations in timeline.lines:
        for metric in METRICS:
            levels = segmentations[metric].levels
            rows.append(
                [
                    line.test,
                    line_words(line, timeline.machines[line.machine]),
                    unit_words(line, metric),
                    str(len(line.points)),
                    with_bounds(levels[0].speed),
                    with_bounds(levels[-1].speed),
                    str(len(segmentations[metric].changes)),
                ]
            )
    return _table(
        "Tests over all runs",
        ["Test", "Line", "Metric", "Runs", "At first [95 %]", "Now [95 %]", "Changes"],
        rows,
    )


def _figures(timeline: Timeline, anchor: str, lines: Sequence[DrawnLine]) -> str:
    parts = []
    for metric in METRICS:
        name = metric_name(metric)
        parts.append(markup(element("h3", name[:1].upper() + name[1:])))
        parts.append(_figure(timeline, f"{anchor}-{metric}", lines, metric))
    return "\n".join(parts)


def _figure(timeline: Timeline, name: str, lines: Sequence[DrawnLine], metric: str) -> str:
    data: list[dict[str, Any]] = []
    for index, (line, segmentations) in enumerate(lines):
        words = line_words(line, timeline.machines[line.machine])
        colour = _COLOURS[index % len(_COLOURS)]
        data += [
            _points(timeline, line, metric, colour, words, _SYMBOLS[index % len(_SYMBOLS)]),
            _band(line, segmentations[metric], colour, words),
            _levels(line, segmentations[metric], colour, words),
        ]
    tests = {line.test for line, _ in lines}
    found = [one for one in timeline.found if one.metric == metric and one.line.test in tests]
    units = dict.fromkeys(unit_words(line, metric) for line, _ in lines)
    values, texts = _ticks(timeline, [line for line, _ in lines])
    layout = layout_over_places(
        _HEIGHT_PX,
        len(timeline.runs),
        dict(zip(values, texts, strict=True)),
        {"title": {"text": html.escape(", ".join(units))}, "separatethousands": True},
    )
    layout["xaxis"]["title"] = {"text": "saved runs, by commit and time", "standoff": 12}
    layout["shapes"] = [_place(one) for one in found]
    layout["annotations"] = [_size(one) for one in found]
    about = ", ".join(dict.fromkeys(line.test for line, _ in lines))
    return figure(name, data, layout, label=f"{metric_name(metric)} of {about}")


def _points(
    timeline: Timeline, line: Line, metric: str, colour: str, words: str, symbol: str
) -> dict[str, Any]:
    estimates = [point.estimate(metric) for point in line.points.values()]
    few = len(estimates) <= _MOST_INTERVALS
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(f"{words}: runs"),
        "legendgroup": words,
        "x": list(line.runs),
        "y": [_short(estimate.value) for estimate in estimates],
        "marker": {"color": colour, "symbol": symbol, "size": 6 if few else 3},
        "opacity": 1.0 if few else 0.4,
        "text": [
            _hover(timeline, timeline.runs[place], point, metric)
            for place, point in line.points.items()
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
    if few:
        trace["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [
                _short((estimate.high or estimate.value) - estimate.value) for estimate in estimates
            ],
            "arrayminus": [
                _short(estimate.value - (estimate.low or estimate.value)) for estimate in estimates
            ],
            "thickness": 1,
            "width": 0,
        }
    return trace


def _levels(line: Line, segmentation: Segmentation, colour: str, words: str) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str | None] = []
    for level in segmentation.levels:
        x += [*_ends(line, level.start, level.stop), None]
        y += [_short(level.speed.value)] * 2 + [None]
        text += [html.escape(with_bounds(level.speed))] * 2 + [None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": html.escape(f"{words}: levels [95 %]"),
        "legendgroup": words,
        "x": x,
        "y": y,
        "text": text,
        "line": {"color": colour, "width": 3},
        "hovertemplate": "level %{text}<extra></extra>",
    }


def _band(line: Line, segmentation: Segmentation, colour: str, words: str) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    for level in segmentation.levels:
        start, stop = _ends(line, level.start, level.stop)
        low, high = (_short(one or 0.0) for one in (level.speed.low, level.speed.high))
        x += [start, stop, stop, start, start, None]
        y += [low, low, high, high, low, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "legendgroup": words,
        "showlegend": False,
        "hoverinfo": "skip",
        "x": x,
        "y": y,
        "fill": "toself",
        "fillcolor": colour,
        "opacity": 0.2,
        "line": {"width": 0, "color": colour},
    }


def _ends(line: Line, start: int, stop: int) -> tuple[float, float]:
    """Where a level is drawn: a single run would be a dot, so half a run on either side."""
    return line.runs[start] - 0.5, line.runs[stop - 1] + 0.5


def _place(found: DatedChange) -> dict[str, Any]:
    """Where the change may lie, as a band; of another colour if it was measured side by side."""
    return {
        "type": "rect",
        "layer": "below",
        "xref": "x",
        "yref": "paper",
        "x0": found.earlier,
        "x1": found.later,
        "y0": 0,
        "y1": 1,
        "fillcolor": "--series-3" if found.change.is_measured else "--faint",
        "opacity": 0.25,
        "line": {"width": 0},
    }


def _size(found: DatedChange) -> dict[str, Any]:
    return {
        "xref": "x",
        "yref": "paper",
        "x": (found.earlier + found.later) / 2,
        "y": 1,
        "yanchor": "top",
        "showarrow": False,
        "textangle": -90,
        "text": html.escape(
            with_bounds(found.change.shift, signed_percent)
            + (" side by side" if found.change.is_measured else "")
        ),
    }


def _ticks(timeline: Timeline, lines: Sequence[Line]) -> tuple[list[int], list[str]]:
    """Places and their words: tags and changes of versions, and other runs between them."""
    points = dict(sorted((place, one) for line in lines for place, one in line.points.items()))
    words: dict[int, list[str]] = {}
    previous: Point | None = None
    tagged: set[str] = set()
    for place, point in points.items():
        run = timeline.runs[place]
        # All runs of a tagged commit have the tag: the first of them is enough.
        tags = [tag for tag in timeline.commits.tags.get(run.commit or "", ()) if tag not in tagged]
        tagged.update(tags)
        versions = _versions(previous, point)
        if tags or versions:
            words[place] = [*tags, *versions]
        previous = point
    chosen: list[int] = []
    # What is news comes first; nothing so near to a tick that their words would meet.
    apart = len(timeline.runs) / _MOST_TICKS
    for place in (*_spread(list(words)), min(points), max(points), *_spread(list(points))):
        near = apart / 2 if place in words else apart
        if all(abs(place - other) >= near for other in chosen):
            chosen.append(place)
    chosen.sort()
    return chosen, [_tick(timeline.runs[place], words.get(place, ())) for place in chosen]


def _tick(run: Run, words: Sequence[str]) -> str:
    """What is new with this run, or which it is."""
    where = f"{run.commit[:_SHORT_ID] if run.commit else run_name(run)} {run.datetime[:10]}"
    return html.escape(one_line(", ".join(words) or where))


def _versions(previous: Point | None, point: Point) -> list[str]:
    """Versions that are new with this run. Nothing is new with the first run."""
    if previous is None:
        return []
    names = (("tensorflow", "TensorFlow"), ("python", "Python"))
    return [
        f"{words} {point.versions[name]}"
        for name, words in names
        if name in point.versions and previous.versions.get(name) != point.versions[name]
    ]


def _spread(places: Sequence[int]) -> Sequence[int]:
    """No more of them than are shown, evenly."""
    if len(places) <= _MOST_TICKS:
        return places
    return [places[index * len(places) // _MOST_TICKS] for index in range(_MOST_TICKS)]


def _hover(timeline: Timeline, run: Run, point: Point, metric: str) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in point.versions.items())
    lines = [
        f"{with_bounds(point.estimate(metric))}, {len(point.speeds[metric])} processes",
        timeline.title(run),
        versions,
    ]
    if point.others_taken is not None and point.others_taken >= CONTENDED:
        lines.append(f"other programs took {percent(point.others_taken)} of the granted CPUs")
    if point.regressed:
        lines.append("judged a regression when it was saved")
    return "<br>".join(html.escape(one_line(line)) for line in lines if line)


def _machines(timeline: Timeline) -> str:
    return _table(
        "Machines by letter",
        ["Line", "Machine"],
        [[name, machine_words(machine)] for machine, name in timeline.machines.items()],
    )


def _runs(timeline: Timeline) -> str:
    rows = [
        [run_name(run), run.datetime, commit_words(run, timeline.commits)] for run in timeline.runs
    ]
    return _table("All saved runs, in their order", ["Run", "Date", "Commit"], rows)


def _table(
    caption: str, headers: Sequence[str], rows: Iterable[Sequence[str | Sequence[str]]]
) -> str:
    """A cell is text, or several lines of text. The first cell is the heading of its row."""
    return markup(table(caption, headers, (element("tr", *_cells(row)) for row in rows)))


def _cells(row: Sequence[str | Sequence[str]]) -> Iterator[Element]:
    for column, content in enumerate(row):
        lines = [content] if isinstance(content, str) else content
        children: list[Element | str] = []
        for line in filter(None, map(one_line, lines)):
            # Figures stay beside their intervals and units; a long line may be broken.
            shown = line if len(line) > _BREAKABLE else element("span", line, class_="whole")
            children += [element("br"), shown] if children else [shown]
        if column == 0:
            yield element("th", *children, scope="row")
        else:
            yield element("td", *children)


def _short(value: float) -> float:
    """As many digits as can be seen."""
    return float(f"{value:.6g}")
