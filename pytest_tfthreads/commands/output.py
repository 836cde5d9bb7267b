"""What commands print and write, for people and for other programs."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pytest_tfthreads.commands.errors import CommandError, OutputError
from pytest_tfthreads.core.format import one_line, printable_lines
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.system.files import why_unwritable, write_file

Cell = str | float | bool | None
"""What a CSV file holds: numbers in full, true or false, nothing where there is none."""


def print_lines(lines: Iterable[str]) -> None:
    """Nothing in them can act on a terminal."""
    _print(printable_lines("\n".join(lines)) + "\n")


def tell(what: str) -> None:
    """A line for people on stderr, such as how far the command is."""
    complain(f"pytest-tfthreads: {one_line(what)}")


def complain(line: str) -> None:
    """Print to stderr, which may be closed or full, or have nobody who reads it any more.

    That is no reason to lose what was found.
    """
    if sys.stderr is not None:  # else `print` would take stdout in its place
        with contextlib.suppress(OSError):
            print(line, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    _print(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Each row in one line, the names of the columns in the first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(cell) for cell in row])
    _print(text.getvalue())


def check_page(path: Path, option: str) -> None:
    """Before anything is read: raises `CommandError` for a page that cannot be written."""
    if why := why_unwritable(path):
        raise CommandError(f"{path} cannot be written: {why}; {_mend(option)}")


def write_page(path: Path, page: bytes, option: str) -> None:
    """Raises `CommandError`, which names the option."""
    try:
        write_file(path, page)
    except OSError as error:
        raise CommandError(f"{path} was not written: {error.strerror}; {_mend(option)}") from error


def _mend(option: str) -> str:
    return f"mend that, or name another file with {option}"


def flush() -> None:
    """Have all that was printed come to where it goes, or raise as the functions that print."""
    _print("")


def _print(text: str) -> None:
    """Raises `OutputError` where stdout does not take it, and `BrokenPipeError` as ever."""
    if sys.stdout is None:  # closed before Python began
        if text:
            raise OutputError("stdout is closed")
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"stdout cannot be written: {error.strerror}") from error


def bounds(estimate: Estimate | None) -> tuple[Cell, Cell, Cell]:
    """Value, low and high as cells."""
    if estimate is None:
        return None, None, None
    return estimate.value, estimate.low, estimate.high


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return one_line(cell) if isinstance(cell, str) else repr(cell)
