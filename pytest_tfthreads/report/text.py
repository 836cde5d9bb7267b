"""Text from tests and files, made fit to be shown."""

from __future__ import annotations


def one_line(text: str) -> str:
    """In one line, and without what a terminal may act on."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """The same, but its spaces stay: a line of a table."""
    return "".join(one if one.isprintable() else " " for one in text)
