"""Telling pytest which file to collect, whatever the file's path looks like."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# pytest takes what follows one of them in an argument for the name of a test.
_SEPARATORS = ("::", "[")


@dataclass(frozen=True)
class Target:
    """The argument for pytest; `file`: of what the argument covers, only this is to be collected.

    `file` is None where the argument alone says it.
    """

    argument: str
    file: Path | None = None

    @classmethod
    def of(cls, path: str, own_part: str, invocation_dir: str) -> Target:
        """`path` and `invocation_dir` are absolute; `own_part` is empty, or begins with `::`."""
        if _is_plain(path):
            return cls(path + own_part)
        relative = os.path.relpath(path, invocation_dir)
        if _is_plain(relative):
            return cls(relative + own_part)
        above = os.path.dirname(relative)
        while not _is_plain(above):
            above = os.path.dirname(above)
        return cls(above or os.curdir, Path(path))

    def leaves_out(self, path: Path) -> bool:
        """Whether a file or directory is neither the file to collect nor on the way to it."""
        return self.file is not None and path != self.file and path not in self.file.parents


def _is_plain(path: str) -> bool:
    return not any(separator in path for separator in _SEPARATORS)
