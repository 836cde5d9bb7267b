"""What pytest's command line says, and where more can be said on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

_END_OF_OPTIONS = "--"  # what follows is read as files, whatever it looks like


def with_options(arguments: Sequence[str], options: Iterable[str]) -> tuple[str, ...]:
    """The arguments and after them these options, but before a `--` that ends the user's own."""
    place = len(arguments)
    if _END_OF_OPTIONS in arguments:
        place = arguments.index(_END_OF_OPTIONS)
    return (*arguments[:place], *options, *arguments[place:])


def is_interactive(config: pytest.Config) -> bool:
    """Whether tests have the terminal to themselves, for a debugger."""
    return bool(config.getoption("usepdb", False) or config.getoption("trace", False))
