"""`pytest-tfthreads list`: the saved runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_tfthreads.commands.axis import commits_of
from pytest_tfthreads.commands.output import Cell, print_csv, print_json, print_lines
from pytest_tfthreads.commands.parsers import Commands, add_command, add_formats
from pytest_tfthreads.commands.reading import read_entries
from pytest_tfthreads.commands.saved import add_runs, read_summaries
from pytest_tfthreads.history.commits import Commits
from pytest_tfthreads.history.entries import Entry
from pytest_tfthreads.history.listing import render

_EXAMPLE = """\
examples:
  pytest-tfthreads list
  pytest-tfthreads list --csv | grep 2.21.0

The column Problems says how many tests had regressed or failed, and whether the run ended before
all its tests. Files that cannot be used are named on stderr.

exit code: 0, or 2 where nothing is saved, or a file that is named cannot be used
"""
_COLUMNS = (
    "number",
    "name",
    "datetime",
    "commit",
    "dirty",
    "tags",
    "machine",
    "tensorflow",
    "python",
    "tests",
    "regressed",
    "failed",
    "complete",
    "path",
)


def add_to(commands: Commands) -> None:
    """Register the sub-command with its options."""
    listing = add_command(
        commands,
        "list",
        _list,
        help="show the saved runs",
        description="Show the saved runs by time, oldest first: number, name, date, commit, "
        "machine, TensorFlow, how many tests, and what was odd.",
        epilog=_EXAMPLE,
    )
    add_runs(listing)
    add_formats(listing, "the runs", "run")


def _list(options: argparse.Namespace) -> int:
    runs = sorted(read_summaries(options, read_entries), key=lambda run: (run.moment, run.path))
    commits = commits_of(options)
    if options.json:
        print_json([_json(run, commits) for run in runs])
    elif options.csv:
        print_csv(_COLUMNS, (_row(run, commits) for run in runs))
    else:
        print_lines(render(runs, commits))
    return 0


def _json(run: Entry, commits: Commits) -> dict[str, Any]:
    return {
        "number": int(run.number) if run.number else None,
        "name": run.name,
        "datetime": run.datetime,
        "commit": run.commit,
        "dirty": run.dirty,
        "tags": list(commits.tags.get(run.commit or "", ())),
        "machines": [dict(machine) for machine in run.machines],
        "tensorflow": list(run.tensorflow),
        "python": list(run.python),
        "tests": run.tests,
        "regressed": sorted(run.regressed),
        "failed": sorted(run.failed),
        "complete": run.complete,
        "path": str(Path(run.path)),
    }


def _row(run: Entry, commits: Commits) -> list[Cell]:
    data = _json(run, commits)
    return [
        run.number,
        run.name,
        run.datetime,
        run.commit,
        run.dirty,
        " ".join(data["tags"]),
        "; ".join(value for machine in data["machines"] for value in machine.values()),
        " ".join(data["tensorflow"]),
        " ".join(data["python"]),
        run.tests,
        len(run.regressed),
        len(run.failed),
        run.complete,
        run.path,
    ]
