"""Saved runs through the index: what is kept of a file, and what is wrong with a file, as texts."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pytest_tfthreads import __version__
from pytest_tfthreads.core.decode import DecodeError, decode
from pytest_tfthreads.core.saved_runs import BaselineError, Loads, NotOursError, StoredRun, read_run
from pytest_tfthreads.system.file_index import read_through_index

_SCHEMA = 8
"""Of all forms. To be raised with every change of what a form holds, or of how files are read."""
_VERSIONS = f"{_SCHEMA}, pytest-tfthreads {__version__}, Python {platform.python_version()}"
"""Python's is among them because the last bits of a sum, and errors in JSON, are Python's."""

_Run = TypeVar("_Run")


@dataclass(frozen=True)
class Form(Generic[_Run]):
    """What of a saved run is kept, without the file's name: as JSON's values, and back.

    `from_json` gets the path as the caller has it, and raises `ValueError`. `loads` reads the text.
    """

    name: str
    to_json: Callable[[_Run], Any]
    from_json: Callable[[str, Any], _Run]
    loads: Loads = json.loads


@dataclass(frozen=True)
class _Kept:
    """Either is there: what is kept of a run, or what is wrong with the file.

    `is_ours`: the file is no use, though nothing is wrong with it, where this is false.
    """

    run: Any = None
    problem: str | None = None
    is_ours: bool = True


def read_indexed(
    form: Form[_Run],
    paths: Sequence[Path],
    read: Callable[[Sequence[Path]], Sequence[_Run | BaselineError]],
) -> list[_Run | BaselineError]:
    """What `read` makes of the files, of those that were read before without reading them again."""

    def to_text(path: Path, found: _Run | BaselineError) -> str | None:
        if not isinstance(found, BaselineError):
            return json.dumps({"run": form.to_json(found)}, separators=(",", ":"))
        start, problem = f"{path}: ", str(found)
        # That a file cannot be opened is not in the file.
        if isinstance(found.__cause__, OSError) or not problem.startswith(start):
            return None
        is_ours = not isinstance(found, NotOursError)
        return json.dumps({"problem": problem.removeprefix(start), "is_ours": is_ours})

    def from_text(path: Path, text: str) -> _Run | BaselineError:
        kept = decode(_Kept, form.loads(text))
        if kept.problem is not None:
            kind = BaselineError if kept.is_ours else NotOursError
            return kind(f"{path}: {kept.problem}")
        return form.from_json(str(path), kept.run)

    return read_through_index(f"{form.name} {_VERSIONS}", paths, read, to_text, from_text)


def read_condensed(paths: Sequence[Path]) -> list[StoredRun | BaselineError]:
    """Each run without its single rounds: all that is needed to judge by; or what is wrong."""
    return read_indexed(_CONDENSED, paths, _read)


def _read(paths: Sequence[Path]) -> list[StoredRun | BaselineError]:
    found: list[StoredRun | BaselineError] = []
    for path in paths:
        try:
            found.append(read_run(path).condensed())
        except BaselineError as error:
            found.append(error)
    return found


def _unnamed(run: StoredRun) -> Any:
    return replace(run, label="").to_json()


def _named(path: str, data: Any) -> StoredRun:
    if not isinstance(data, dict):
        raise DecodeError("is no saved run")
    return replace(StoredRun.from_json(data), label=path)


_CONDENSED = Form("condensed", _unnamed, _named)
