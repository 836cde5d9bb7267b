"""Saved runs as a list has them: what each is, and how many tests were measured, where, with what.

A list of thousands of runs needs none of their figures, and is kept in the index without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_tfthreads.core.decode import Count, DecodeError, decode, encode
from pytest_tfthreads.core.json_text import loads
from pytest_tfthreads.history.series import Facts, Run, RunOrigin, name_of
from pytest_tfthreads.system.run_index import Form


@dataclass(frozen=True)
class Entry(RunOrigin):
    """A saved run without its points.

    `regressed`: tests, by node id. `tests`: how many were measured. `machines` and versions: with
    which its tests were measured, as a rule one.
    """

    regressed: frozenset[str]
    tests: Count
    machines: tuple[Facts, ...]
    tensorflow: tuple[str, ...]
    python: tuple[str, ...]


def entry_of(run: Run) -> Entry:
    """A run as a list has it."""
    points = run.all_points
    return Entry(
        path=run.path,
        name=run.name,
        number=run.number,
        datetime=run.datetime,
        commit=run.commit,
        dirty=run.dirty,
        complete=run.complete,
        failed=run.failed,
        regressed=run.regressed,
        tests=len(run.points),
        machines=tuple(dict.fromkeys(point.machine for point in points)),
        tensorflow=_known([point.versions.get("tensorflow") for point in points]),
        python=_known([point.versions.get("python") for point in points]),
    )


def _known(versions: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(version for version in versions if version))


def _from_json(path: str, data: Any) -> Entry:
    if not isinstance(data, dict):
        raise DecodeError("is no entry")
    return decode(Entry, {**data, **name_of(path)})


ENTRIES: Form[Entry] = Form("list", encode, _from_json, loads)
