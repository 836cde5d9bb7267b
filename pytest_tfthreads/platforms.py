"""The one place that knows where tests can be measured: on Linux."""

from __future__ import annotations

import sys


def can_measure() -> bool:
    """Whether this platform has what measuring processes rest on.

    Affinity masks, record locks that end with their process, `/proc`, and signals that stop a
    process with all its threads: all else is imported only where this holds.
    """
    return sys.platform == "linux"
