"""Tests by what people type of their node ids."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable

_CLOSE_NAMES = 4
_LEAST_LIKENESS = 0.4


def matcher(text: str) -> Callable[[str], bool]:
    """Whether a node id has this in it, or matches it as a glob of `*` and `?`."""
    pattern = text.replace("[", "[[]")  # node ids have brackets of their own
    return lambda test: text in test or fnmatch.fnmatchcase(test, pattern)


def close_names(text: str, tests: Iterable[str]) -> list[str]:
    """The tests that may have been meant, best first."""
    short = text.lower().rsplit("::", 1)[-1]

    def likeness(test: str) -> float:
        names = (test.lower(), test.lower().rsplit("::", 1)[-1].partition("[")[0])
        return max(difflib.SequenceMatcher(None, short, name).ratio() for name in names)

    ranked = sorted((-likeness(test), test) for test in set(tests))
    return [test for rank, test in ranked[:_CLOSE_NAMES] if -rank >= _LEAST_LIKENESS]
