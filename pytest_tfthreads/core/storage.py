"""pytest-benchmark's directory of saved runs: which files are in it, and which a name means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.core.saved_runs import BaselineError

ENOUGH_FOR_DRIFT = 30
"""Saved runs that are read: more of them teach a machine's drift no better, and take time."""
_NUMBERED = "[0-9][0-9][0-9][0-9]_*.json"
_IN_A_GLOB = frozenset("*?[")
_MOST_CHOICES = 5


@dataclass(frozen=True)
class Storage:
    """`root` holds a directory for each kind of machine and Python, and files perhaps.

    `own` is the name of the directory in which runs of this process are saved, where that is known.
    """

    root: Path
    own: str | None = None

    def of_this_kind(self) -> list[Path]:
        """The numbered runs of this process's kind, oldest first."""
        return [path for path in self._numbered() if self._is_own(path)]

    def of_other_kinds(self) -> list[list[Path]]:
        """The same of each other directory."""
        directories: dict[Path, list[Path]] = {}
        for path in self._numbered():
            if not self._is_own(path):
                directories.setdefault(path.parent, []).append(path)
        return [*directories.values()]

    def before(self, run: Path) -> list[Path]:
        """The numbered runs of its directory with lower numbers than this one, oldest first.

        `run` may be named by another path than the storage has for it, such as a relative one.
        """
        numbered = self._numbered()
        place = run.parent.resolve()
        known = [path for path in numbered if path.name == run.name]
        own = next((path for path in known if path.parent.resolve() == place), None)
        if own is None:
            return []
        earlier = [path for path in numbered if path.name < own.name]
        if self._is_own(own):
            return [path for path in earlier if self._is_own(path)]
        return [path for path in earlier if path.parent == own.parent]

    def every_run(self) -> list[Path]:
        """All files, directory by directory."""
        return sorted([*self.root.glob("*.json"), *self.root.glob("*/*.json")])

    def find(self, text: str) -> list[Path]:
        """What pytest-benchmark means by it: a file, or a number or a glob, with or without the
        name of a directory before (`0001`, `*/0001`, `Linux-CPython-3.12-64bit/0001`).

        Without a directory this process's own is meant, or, if nothing is there, all others. One
        path at least. Raises `BaselineError` where there is none, or a number is in several
        directories.
        """
        if not text.strip():
            raise BaselineError(f"the name of a saved run is empty; {self._what_there_is()}")
        path = Path(text)
        if os.path.isdir(path):  # path.is_dir() raises where it may not look
            raise BaselineError(f"{text} is a directory, no saved run; {self._what_there_is()}")
        *directory, name = path.parts
        if (
            os.path.isfile(path)
            or len(directory) > 1
            or path.is_absolute()
            or name.endswith(".json")
        ):
            return [path]
        try:
            files = f"{name.rstrip('*')}*.json"
            found = self._within(directory[0], files) if directory else self._anywhere(files)
        except (OSError, ValueError, NotImplementedError):  # no glob or name that there can be
            found = []
        if not directory:
            found = [one for one in found if self._is_own(one)] or found
        if not found:
            raise BaselineError(
                f"no saved run in {self.root} matches {text!r}; {self._what_there_is()}"
            )
        choices = [self._name_of(one) for one in found]
        if not _IN_A_GLOB & set(name) and len({one.parent for one in found}) > 1:
            raise BaselineError(
                f"{text!r} is in several directories of {self.root}: name it by {_listed(choices)}"
            )
        return found

    def _within(self, directories: str, files: str) -> list[Path]:
        found = (path for one in self.root.glob(directories) for path in one.glob(files))
        return sorted(found, key=_by_number)

    def _anywhere(self, files: str) -> list[Path]:
        return sorted([*self._within("*", files), *self.root.glob(files)], key=_by_number)

    def _numbered(self) -> list[Path]:
        return self._anywhere(_NUMBERED)

    def _is_own(self, path: Path) -> bool:
        return path.parent == self.root or path.parent.name == self.own

    def _name_of(self, path: Path) -> str:
        """By which `find` finds it, and no other."""
        if path.parent == self.root:
            return str(path)
        number = path.name.partition("_")[0]
        return number if path.parent.name == self.own else f"{path.parent.name}/{number}"

    def _what_there_is(self) -> str:
        numbered = self._numbered()
        if not numbered:
            return f"{self.root} holds none; make one with --benchmark-save"
        latest = [self._name_of(path) for path in numbered[-_MOST_CHOICES:]]
        return f"name one by its file or its number, such as {_listed(latest)}"


def looks_like_tests(text: str) -> bool:
    """Whether this is the path or node id of tests, which an option before it may have taken."""
    path = text.partition("::")[0]
    return bool(path) and not path.endswith(".json") and os.path.exists(path)


def _by_number(path: Path) -> tuple[str, Path]:
    return path.name, path.parent


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
