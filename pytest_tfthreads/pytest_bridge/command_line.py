"""Where more options can be said on a command line of pytest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_END_OF_OPTIONS = "--"  # what follows is read as files, whatever it looks like


def with_options(arguments: Sequence[str], options: Iterable[str]) -> tuple[str, ...]:
    """The arguments and after them these options, but before a `--` that ends the user's own."""
    place = len(arguments)
    if _END_OF_OPTIONS in arguments:
        place = arguments.index(_END_OF_OPTIONS)
    return (*arguments[:place], *options, *arguments[place:])
