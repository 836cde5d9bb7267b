"""A storage that lies outside of the current directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def tell_any_location() -> None:
    """Have pytest-benchmark name such a storage by its whole path.

    Where the saved run is of another machine, pytest-benchmark warns and names the storage, by its
    path from the current directory. Of a storage elsewhere there is no such path, and pytest would
    end with an INTERNALERROR before a test is run.
    """
    from pytest_benchmark.storage.file import FileStorage

    FileStorage.location = property(_location)


def _location(storage: Any) -> str:
    path, here = Path(storage.path), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
