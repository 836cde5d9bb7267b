"""What is being measured, in a line, while it is."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from pytest_tfthreads.core.format import clock, printable


@dataclass(frozen=True)
class Doing:
    """What a run is at.

    `test` is the test in words, `number` which pass of how many (`passes`; None: nobody knows);
    with no number a trace is being taken. `phase` says instead what a test that measures nothing is
    at.
    `left_s` are seconds until the test is done, and `all_left_s` until all tests are.
    """

    test: str
    number: int | None
    passes: int | None = None
    left_s: float | None = None
    all_left_s: float | None = None
    phase: str = ""


def line(doing: Doing) -> str:
    """The test comes last: what does not fit into a narrow terminal is the end of its name."""
    what = "trace" if doing.number is None else f"pass {doing.number}"
    told = [doing.phase or what + ("" if doing.passes is None else f" of {doing.passes}")]
    if doing.left_s is not None:
        all_left = "" if doing.all_left_s is None else f" (all: {clock(doing.all_left_s)})"
        told.append(f"about {clock(doing.left_s)} left{all_left}")
    # Nothing in a name may move the cursor.
    test = printable(doing.test)
    return f"tf_threads: {', '.join(told)}: {test}"


def fitted(text: str, columns: int) -> str:
    """The text in so many columns at most."""
    if _columns(text) <= columns:
        return text
    text, end = text[:columns], "..."[:columns]  # each character is counted again and again
    while _columns(text) > columns - len(end):
        text = text[:-1]
    return text + end


def _columns(text: str) -> int:
    # A combining character may take no column of its own; a line that is too short does no harm.
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
