"""JSON by the gigabyte: saved runs hold every round.

For commands that read them all, and not for a run of pytest: orjson kills a process that imports it
twice, as one does in which pytester runs pytest.
"""

from __future__ import annotations

import json
from typing import Any


def loads(text: str) -> Any:
    """As `json.loads`, but some ten times as fast where orjson is installed.

    Integers beyond 64 bits, which nobody has written in earnest, may come as floats. Raises
    `ValueError`, and `RecursionError` for brackets nested by the thousand.
    """
    try:
        from orjson import loads as quick
    except ImportError:
        return json.loads(text)
    try:
        return quick(text)
    except ValueError:
        # It refuses what Python writes and reads, such as NaN; and it words errors otherwise.
        return json.loads(text)
