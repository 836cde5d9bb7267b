"""What is installed, read once in an interpreter for all its forks.

pytest reads it whenever it starts, to find its plugins and the modules whose asserts it rewrites:
of all that a fork does until its test is collected, that was nearly half. Nothing is kept beyond
one run, and tests read for themselves.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib.metadata import Distribution
from typing import Any

_PLUGINS = "pytest11"
_find = importlib.metadata.distributions
_read: dict[str, Distribution] = {}


def read() -> None:
    """Read what pytest asks for, in the interpreter."""
    kinds: dict[type, type] = {}
    for found in _find():
        if place := _place_of(found):
            kind = type(found)
            if kind not in kinds:
                kinds[kind] = _reading_once(kind)
            found.__class__ = kinds[kind]
            if any(one.group == _PLUGINS for one in found.entry_points):
                for file in found.files or ():
                    str(file)  # which the path then keeps
            _read[place] = found


def lend() -> None:
    """Who asks for distributions gets those that were read, until they are taken back."""
    if _read:
        importlib.metadata.distributions = _distributions


def take_back() -> None:
    # A plugin may have put another function there meanwhile.
    if importlib.metadata.distributions is _distributions:
        importlib.metadata.distributions = _find


def _distributions(**context: Any) -> Iterable[Distribution]:
    return _find(**context) if context else _known()


def _known() -> Iterator[Distribution]:
    for found in _find():
        yield _read.get(_place_of(found), found)


def _place_of(found: Distribution) -> str:
    """Where it was read from; nothing if it is of a kind that does not tell."""
    return str(getattr(found, "_path", ""))


def _reading_once(kind: type[Distribution]) -> type[Distribution]:
    """Of this kind, but files and entry points are read once.

    The kind is not always Python's own: importlib_metadata finds others, once it is imported.
    """

    class Once(kind):  # type: ignore[valid-type, misc]
        @cached_property
        def entry_points(self) -> Any:
            return super().entry_points

        @cached_property
        def files(self) -> Any:
            return super().files

    return Once
