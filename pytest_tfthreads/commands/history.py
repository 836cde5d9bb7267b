"""`pytest-tfthreads history`: benchmarks over all saved runs, and when their speed changed."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_tfthreads.commands.axis import commits_of
from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.output import (
    Cell,
    bounds,
    check_page,
    print_csv,
    print_json,
    print_lines,
    tell,
    write_page,
)
from pytest_tfthreads.commands.parsers import Commands, add_command, add_formats
from pytest_tfthreads.commands.reading import read_all
from pytest_tfthreads.commands.saved import add_storage, read_summaries
from pytest_tfthreads.core.node_ids import close_names, matcher
from pytest_tfthreads.core.stats.change_points import Shift
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.history import html_page, text
from pytest_tfthreads.history.series import (
    VERSIONS,
    Run,
    in_order,
    lines_of,
    segmentations_of,
)
from pytest_tfthreads.history.side_by_side import read_kept
from pytest_tfthreads.history.timeline import (
    DatedChange,
    Timeline,
    line_words,
    run_name,
    unit_words,
)

_EXAMPLE = """\
examples:
  pytest-tfthreads history
  pytest-tfthreads history test_inference --html history.html
  pytest-tfthreads history '*small_ops*intra1-*' --csv > points.csv

Runs are put in the order of their commits, where the current directory is in a git repository that
has them, else of time.
Each test has a line for each machine (CPU model, CPUs and quota). If runs are independent, the
chance that any change is shown for code and machines that have not changed is 5 % for all lines
together. Steps that `releases` has measured side by side replace what saved runs say of them
(side_by_side).

--csv: level is that of the runs around; change, with its interval, stands in the first run of a new
level; others_taken is the share of the granted CPUs that other programs took while the run was
measured.

exit code: 0, or 2 where no saved run or test is found, or a library is missing
"""
_HTML = "--html"
_COLUMNS = (
    "test",
    "machine",
    "line",
    "metric",
    "unit",
    "run",
    "datetime",
    "commit",
    "dirty",
    "tags",
    *VERSIONS,
    "processes",
    "value",
    "low",
    "high",
    "level",
    "level_low",
    "level_high",
    "change",
    "change_low",
    "change_high",
    "side_by_side",
    "others_taken",
)


def add_to(commands: Commands) -> None:
    """Register the sub-command with its options."""
    parser = add_command(
        commands,
        "history",
        _history,
        help="show tests over all saved runs, and when their speed changed",
        description="Show tests over all saved runs and releases, and when their speed changed: by "
        "how much, between which commits, and which versions changed there.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "test",
        nargs="?",
        default="",
        metavar="TEST",
        help="a part of node ids, or a glob of * and ? (default: all tests)",
    )
    add_storage(parser)
    parser.add_argument(_HTML, type=Path, metavar="FILE", help="write it as a page, too")
    add_formats(parser, "all points and changes", "point")


def _history(options: argparse.Namespace) -> int:
    if options.html is not None:
        check_page(options.html, _HTML)
    saved = read_summaries(options, read_all)
    commits = commits_of(options)
    wanted = matcher(options.test)
    runs = [run for run in in_order(saved, commits.places) if any(map(wanted, run.points))]
    if not runs:
        raise CommandError(_not_found(options.test, saved))
    lines = lines_of(runs, wanted)
    kept = read_kept(options.storage)
    for problem in kept.problems:
        tell(f"left out: {problem}")
    found = segmentations_of(lines, lambda line, metric: [*kept.known(line, metric, runs)])
    timeline = Timeline(runs, list(zip(lines, found, strict=True)), commits)
    page = b""
    if options.html is not None:  # before anything is printed: a library may be missing
        page = html_page.render(timeline).encode("utf-8", errors="replace")
    with contextlib.ExitStack() as afterwards:  # also where nobody reads what is printed
        if options.html is not None:
            afterwards.callback(write_page, options.html, page, _HTML)
        if options.json:
            print_json(_json(timeline))
        elif options.csv:
            print_csv(_COLUMNS, _rows(timeline))
        else:
            print_lines(text.render(timeline))
    return 0


def _not_found(text: str, runs: Sequence[Run]) -> str:
    tests = {test for run in runs for test in run.points}
    close = close_names(text, tests)
    if close:
        return f"no saved test matches {text!r}; close to it: {', '.join(close)}"
    return f"no saved test matches {text!r}; `pytest-tfthreads history` shows all {len(tests)}"


def _json(timeline: Timeline) -> dict[str, Any]:
    return {
        "runs": [
            {
                "path": run.path,
                "datetime": run.datetime,
                "commit": run.commit,
                "dirty": run.dirty,
                "tags": list(timeline.commits.tags.get(run.commit or "", ())),
            }
            for run in timeline.runs
        ],
        "machines": {name: dict(machine) for machine, name in timeline.machines.items()},
        "lines": [
            {
                "test": line.test,
                "machine": timeline.machines[line.machine],
                "distinct": dict(line.distinct),
                "unit": line.unit,
                "points": [
                    {
                        "run": place,
                        **{metric: point.estimate(metric).to_json() for metric in METRICS},
                        "processes": len(point.speeds[METRICS[0]]),
                        "versions": dict(point.versions),
                        "others_taken": point.others_taken,
                    }
                    for place, point in line.points.items()
                ],
                "levels": {
                    metric: [
                        {
                            "first_run": line.runs[level.start],
                            "last_run": line.runs[level.stop - 1],
                            **level.speed.to_json(),
                        }
                        for level in segmentations[metric].levels
                    ]
                    for metric in METRICS
                },
            }
            for line, segmentations in timeline.lines
        ],
        "changes": [_json_of_change(found, timeline) for found in timeline.found],
    }


def _json_of_change(found: DatedChange, timeline: Timeline) -> dict[str, Any]:
    commits = found.commits
    return {
        "test": found.line.test,
        "machine": timeline.machines[found.line.machine],
        "distinct": dict(found.line.distinct),
        "metric": found.metric,
        "change": _shift(found.change.shift),
        "side_by_side": found.change.is_measured,
        "reference": None if found.reference is None else _shift(found.reference),
        "others_taken": None
        if found.others_taken is None
        else dict(zip(("before", "after"), found.others_taken, strict=True)),
        "after_run": found.earlier,
        "by_run": found.later,
        "likely_run": found.likely,
        "commits": {
            "after": timeline.runs[found.earlier].commit,
            "by": timeline.runs[found.later].commit,
            "count": None if commits is None else commits.count,
            "tags": [] if commits is None else list(commits.tags),
        },
        "versions": {name: {"before": old, "after": new} for name, old, new in found.versions},
    }


def _shift(shift: Shift) -> dict[str, float]:
    return {"value": shift.value, "low": shift.low, "high": shift.high}


def _rows(timeline: Timeline) -> Iterator[list[Cell]]:
    for line, segmentations in timeline.lines:
        letter = timeline.machines[line.machine]
        for metric in METRICS:
            segmentation = segmentations[metric]
            changes = {change.index: change for change in segmentation.changes}
            levels = [
                level for level in segmentation.levels for _ in range(level.start, level.stop)
            ]
            for index, (place, point) in enumerate(line.points.items()):
                run, change = timeline.runs[place], changes.get(index)
                yield [
                    line.test,
                    letter,
                    line_words(line, letter),
                    metric,
                    unit_words(line, metric),
                    run_name(run),
                    run.datetime,
                    run.commit,
                    run.dirty,
                    " ".join(timeline.commits.tags.get(run.commit or "", ())),
                    *(point.versions.get(name) for name in VERSIONS),
                    len(point.speeds[metric]),
                    *bounds(point.estimate(metric)),
                    *bounds(levels[index].speed),
                    *(
                        (None,) * 4
                        if change is None
                        else (
                            change.shift.value,
                            change.shift.low,
                            change.shift.high,
                            change.is_measured,
                        )
                    ),
                    point.others_taken,
                ]
