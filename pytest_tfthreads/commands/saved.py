"""Which saved runs a command is about: files that are named, or all of a storage."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.core.baseline import BaselineError, StoredRun, read_run

_STORAGE = ".benchmarks"
_FILE_SCHEME = "file://"


def add_runs(parser: argparse.ArgumentParser) -> None:
    """The arguments from which `read_runs` takes its files."""
    parser.add_argument(
        "runs",
        nargs="*",
        type=Path,
        metavar="RUN",
        help="files of --benchmark-save or --benchmark-json (default: all of --storage)",
    )
    parser.add_argument(
        "--storage",
        type=_directory,
        default=Path(_STORAGE),
        metavar="DIR",
        help=f"pytest-benchmark's storage (--benchmark-storage), by default {_STORAGE}",
    )


def read_runs(options: argparse.Namespace) -> list[StoredRun]:
    """All the runs, oldest first.

    A file that is named must be of use; of a storage, those that are not are told on stderr.
    Raises `BaselineError`, and `CommandError` where there is none.
    """
    if options.runs:
        runs = [read_run(path) for path in options.runs]
    else:
        runs = []
        for path in sorted(options.storage.glob("*/*.json")):
            try:
                runs.append(read_run(path))
            except BaselineError as error:
                print(f"pytest-tfthreads: left out: {error}", file=sys.stderr)
        if not runs:
            raise CommandError(
                f"there is no saved run in {options.storage}; make one with --benchmark-save, name "
                "files, or the directory with --storage"
            )
    return sorted(runs, key=lambda run: run.datetime)


def _directory(text: str) -> Path:
    return Path(text.removeprefix(_FILE_SCHEME))
