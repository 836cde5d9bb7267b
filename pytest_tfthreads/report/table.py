"""Rows as a table of text."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_tfthreads.report.text import one_line


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> list[str]:
    """Lines: the headers, a rule, the rows. `right`: columns of figures, aligned to the right."""
    cells = [list(headers), *([_fit(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _fit(cell: str) -> str:
    return cell if cell.isprintable() else one_line(cell)
