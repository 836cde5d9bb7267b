"""Which verdicts fail a test, as people list them."""

from __future__ import annotations

from collections.abc import Sequence

FAIL_ON_NOTHING = "none"
"""Written instead of a list, where verdicts are only told."""


def parse_failing(text: str, known: Sequence[str]) -> frozenset[str]:
    """Those of the list "regression,no-baseline"; raises `ValueError` where one is not `known`."""
    if text.strip() == FAIL_ON_NOTHING:
        return frozenset()
    found = frozenset(one.strip() for one in text.split(","))
    if unknown := sorted(found - set(known)):
        raise ValueError(
            f"{', '.join(map(repr, unknown))} is none of {', '.join((*known, FAIL_ON_NOTHING))}"
        )
    return found
