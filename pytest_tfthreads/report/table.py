"""Rows as a table of text."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_tfthreads.core.format import one_line

_BETWEEN = "  "
_LEAST_WIDTH = 12
_LONGEST_NAME = 100


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> list[str]:
    """Lines: the headers, a rule, the rows. `right`: columns of figures, aligned to the right."""
    header, *lines = aligned([headers, *rows], right)
    return [header, rule([header, *lines]), *lines]


def rule(lines: Sequence[str]) -> str:
    """A line as long as the longest of these."""
    return "-" * max(map(len, lines))


def aligned(
    rows: Sequence[Sequence[str]], right: Sequence[int] = (), *, width: int | None = None
) -> list[str]:
    """A line for each row, with columns as wide as their widest cells.

    `right`: columns of figures, aligned to the right. The first column has names: beyond 100
    characters they are cut, if they still differ then. `width`: characters that a line may have;
    the first column is then cut, down to 12 characters.
    """
    cells = [[_fit(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if _differ([row[0] for row in cells], _LONGEST_NAME):
        widths[0] = min(widths[0], _LONGEST_NAME)
    if width is not None:
        others = sum(widths[1:]) + len(_BETWEEN) * (len(widths) - 1)
        widths[0] = max(_LEAST_WIDTH, min(widths[0], width - others))
    return [
        _BETWEEN.join(
            _padded(cell, columns, column in right)
            for column, (cell, columns) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _differ(names: Sequence[str], columns: int) -> bool:
    """Whether different names stay different when they are cut."""
    return len({_cut(name, columns) for name in names}) == len(set(names))


def _cut(cell: str, columns: int) -> str:
    # Of a long name the end is kept: it tells the configurations apart.
    return cell if len(cell) <= columns else "…" + cell[len(cell) - columns + 1 :]


def _padded(cell: str, columns: int, is_right: bool) -> str:
    shown = _cut(cell, columns)
    return shown.rjust(columns) if is_right else shown.ljust(columns)


def _fit(cell: str) -> str:
    return cell if cell.isprintable() else one_line(cell)
