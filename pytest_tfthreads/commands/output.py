"""What commands print, for people and for other programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from pytest_tfthreads.core.statistics import Estimate
from pytest_tfthreads.report.text import one_line, printable

Cell = str | float | bool | None
"""What a CSV file holds: numbers in full, true or false, nothing where there is none."""


def print_lines(lines: Iterable[str]) -> None:
    """Nothing in them can act on a terminal."""
    print("\n".join(printable(line) for text in lines for line in text.split("\n")))


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, allow_nan=False))


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Each row in one line, the names of the columns in the first."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(cell) for cell in row])


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
