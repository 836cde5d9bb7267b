"""Telling pytest which files to collect, whatever their paths look like."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# pytest takes what follows one of them in an argument for the name of a test.
_SEPARATORS = ("::", "[")


@dataclass(frozen=True)
class Target:
    """The arguments for pytest; `files`: of what they cover, only these are to be collected.

    `files` is empty where the arguments alone say it.
    """

    arguments: tuple[str, ...]
    files: frozenset[Path] = frozenset()

    @classmethod
    def of(cls, paths: Sequence[str], own_part: str, invocation_dir: str) -> Target:
        """`paths` and `invocation_dir` are absolute; `own_part` is empty, or begins with `::`.

        `own_part` is for a single path.
        """
        arguments, is_said = [], True
        for path in paths:
            named = _named(path, invocation_dir)
            is_said = is_said and named is not None
            arguments.append(_covering(path, invocation_dir) if named is None else named + own_part)
        files = () if is_said else map(Path, paths)
        return cls(tuple(dict.fromkeys(arguments)), frozenset(files))

    def leaves_out(self, path: Path) -> bool:
        """Whether a file or directory is neither a file to collect nor on the way to one."""
        return bool(self.files) and not any(
            path == one or path in one.parents for one in self.files
        )


def _named(path: str, invocation_dir: str) -> str | None:
    """The argument that names this path; None where pytest would misread it."""
    relative = os.path.relpath(path, invocation_dir)
    return next((one for one in (path, relative) if _is_plain(one)), None)


def _covering(path: str, invocation_dir: str) -> str:
    """The nearest directory above the path that pytest would not misread."""
    above = os.path.dirname(os.path.relpath(path, invocation_dir))
    while not _is_plain(above):
        above = os.path.dirname(above)
    return above or os.curdir


def _is_plain(path: str) -> bool:
    return not any(separator in path for separator in _SEPARATORS)
