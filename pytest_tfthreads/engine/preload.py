"""Which of the project's modules an interpreter is to import ahead of its forks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Preload:
    """`modules` are to be imported, in this order. `keep_out`: modules that must not be, not even
    by another one: tests, and what pytest rewrites when it imports it.
    """

    modules: tuple[str, ...]
    keep_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preloaded:
    """`modules` are imported; `left_out` has the others, with the reason.

    `problem`: why the interpreter cannot be used any more, though all that it has imported had
    passed; or nothing.
    """

    modules: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
