"""Saved runs that pytest-benchmark reads by itself, before any test."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_tfthreads.core.file_reading import check_fit


def leave_out_unfit_files() -> None:
    """Have pytest-benchmark warn of what is no file, or too large, and read the others.

    A named pipe among the saved runs would hold it up for ever, and a device would take all memory.
    """
    from pytest_benchmark.storage.file import FileStorage

    load = getattr(FileStorage.load, "__wrapped__", FileStorage.load)  # it may be done already
    FileStorage.load = _of_fit_files(load)


def _of_fit_files(load: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(load)
    def load_fit(storage: Any, *names: str) -> Iterator[Any]:
        return load(_FitFiles(storage), *names)

    return load_fit


class _FitFiles:
    """A storage in which only those files are found that can be read."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def query(self, *names: str) -> list[Path]:
        return [file for file in self._storage.query(*names) if self._is_fit(file)]

    def _is_fit(self, file: Path) -> bool:
        try:
            check_fit(file)
        except OSError as error:
            logger = self._storage.logger
            warn = logger.warning if hasattr(logger, "warning") else logger.warn  # version 4
            warn(f"Failed to load {file}: {error}")
            return False
        return True
