"""A history for a terminal: a sparkline for each line, and the changes by their place."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import fmean

from pytest_tfthreads.core.format import NOTHING, number, plural, signed_percent, with_bounds
from pytest_tfthreads.core.stats.change_points import ENOUGH_SITTINGS, Segmentation
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.history.series import VERSIONS, Line
from pytest_tfthreads.history.sparkline import sparkline
from pytest_tfthreads.history.timeline import (
    DatedChange,
    Timeline,
    commits_words,
    line_words,
    machine_words,
    others_words,
    run_name,
    unit_words,
    versions_words,
)
from pytest_tfthreads.report.table import table

_HEADERS = ("Test", "Line", "Runs", "Metric", "At first", "Now [95 %]", "Course", "Changes")
_FIGURES = (2, 4, 5)
_COURSE_WIDTH = 24
_MOST_CHANGES = 3
_MOST_RELEASES = 6
_REFERENCE = (
    "reference: how the workload moved that is measured beside each test; what moves it is the "
    "machine, or TensorFlow"
)
_OTHERS = (
    "other programs: what they, and processes that the test starts, took of the granted CPUs "
    "before and after the change; that alone can make a test slower or faster"
)


def render(timeline: Timeline) -> list[str]:
    """Lines of text: runs and machines, the table, then each place of change with what changed."""
    lines = _about(timeline)
    rows = []
    for line, segmentations in timeline.lines:
        rows += [_row(timeline, line, metric, segmentations[metric]) for metric in METRICS]
    lines += ["", *table(_HEADERS, rows, _FIGURES), ""]
    if not timeline.found:
        return [*lines, no_change(timeline)]
    lines.append("Changes [95 %], oldest first")
    for _, group in itertools.groupby(timeline.found, key=lambda one: (one.earlier, one.later)):
        lines += _place(timeline, list(group))
    if any(found.reference is not None for found in timeline.found):
        lines.append(_REFERENCE)
    if any(map(others_words, timeline.found)):
        lines.append(_OTHERS)
    return lines


def _about(timeline: Timeline) -> list[str]:
    runs = timeline.runs
    lines = [f"{plural(len(runs), 'saved run')}: {timeline.title(runs[0])}"]
    if len(runs) > 1:
        lines[0] += f" to {timeline.title(runs[-1])}"
    for machine, letter in timeline.machines.items():
        lines.append(f"machine {letter}: {machine_words(machine)}")
    lines += [_releases(timeline, name) for name in ("tensorflow", "python")]
    if not timeline.commits.places:
        lines.append("git knows of no commits here: runs are ordered by time")
    else:
        unknown = sum(run.commit not in timeline.commits.places for run in runs)
        if unknown:
            lines.append(f"{unknown} of them at commits that git does not know: ordered by time")
    return lines


def _releases(timeline: Timeline, name: str) -> str:
    """From which run on each version was measured: "TensorFlow 2.20.0, from 0007_main 2.21.0"."""
    steps: list[str] = []
    latest = ""
    points = {place: one for line, _ in timeline.lines for place, one in line.points.items()}
    for place in sorted(points):
        version = points[place].versions.get(name, "unknown")
        if version != latest:
            start = f"from {run_name(timeline.runs[place])} " if steps else ""
            steps.append(f"{start}{version}")
            latest = version
    if len(steps) > _MOST_RELEASES:
        steps = [f"{len(steps) - _MOST_RELEASES} others", *steps[-_MOST_RELEASES:]]
    return f"{VERSIONS[name]} {', '.join(steps)}"


def _row(timeline: Timeline, line: Line, metric: str, segmentation: Segmentation) -> list[str]:
    speeds = {
        place: fmean(map(math.log, point.speeds[metric])) for place, point in line.points.items()
    }
    first = metric == METRICS[0]
    changes = [signed_percent(change.shift.value) for change in segmentation.changes]
    if len(changes) > _MOST_CHANGES:
        changes = [f"{len(changes) - _MOST_CHANGES} more", *changes[-_MOST_CHANGES:]]
    return [
        line.test if first else "",
        line_words(line, timeline.machines[line.machine]) if first else "",
        str(len(line.points)) if first else "",
        unit_words(line, metric),
        number(segmentation.levels[0].speed.value),
        with_bounds(segmentation.levels[-1].speed),
        sparkline(speeds, len(timeline.runs), _COURSE_WIDTH),
        ", ".join(changes) or NOTHING,
    ]


def _place(timeline: Timeline, group: Sequence[DatedChange]) -> list[str]:
    one = group[0]
    earlier, later = timeline.runs[one.earlier], timeline.runs[one.later]
    lines = [
        f"  between {timeline.title(earlier)} and {timeline.title(later)}",
        f"      {commits_words(one, timeline)}",
    ]
    for versions in dict.fromkeys(map(versions_words, group)):
        if versions:
            lines.append(f"      {versions}")
    rows = [
        [
            with_bounds(found.change.shift, signed_percent),
            unit_words(found.line, found.metric),
            f"{found.line.test}, {line_words(found.line, timeline.machines[found.line.machine])}",
            _reference(found),
            others_words(found),
            _how(timeline, found),
        ]
        for found in group
    ]
    return [*lines, *(f"    {row}" for row in table([""] * len(rows[0]), rows, (0,))[2:])]


def _reference(found: DatedChange) -> str:
    shift = found.reference
    return "" if shift is None else f"reference {with_bounds(shift, signed_percent)}"


def _how(timeline: Timeline, found: DatedChange) -> str:
    if found.change.is_measured:
        return "measured side by side"
    return "" if _is_plain(found) else _likely(timeline, found)


def _is_plain(found: DatedChange) -> bool:
    change = found.change
    return change.after == change.index - 1 and change.by == change.index


def _likely(timeline: Timeline, found: DatedChange) -> str:
    return f"most likely from {timeline.title(timeline.runs[found.likely])}"


def no_change(timeline: Timeline) -> str:
    """Why no change is shown: too few runs, or none that stands out."""
    longest = max(len(line.points) for line, _ in timeline.lines)
    if longest < ENOUGH_SITTINGS:
        return (
            f"No change can be found yet: that takes {ENOUGH_SITTINGS} runs of a test on one "
            f"machine, and there {'is' if longest == 1 else 'are'} {longest}."
        )
    return "No change stands out from the noise."
