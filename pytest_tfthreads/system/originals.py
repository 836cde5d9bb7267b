"""Functions of Python as they were before a test could put others in their place.

unittest.mock replaces them where they are defined, freezegun and pyfakefs in all modules that refer
to them. What a measuring process needs while a test runs is kept in an object, where none of these
looks for it.
"""

from __future__ import annotations

import os
import sys
import time


class Originals:
    """Under their own names."""

    def __init__(self) -> None:
        self.exit_at_once = os._exit
        self.getpid = os.getpid
        self.listdir = os.listdir
        self.open = open
        self.monotonic = time.monotonic
        self.perf_counter = time.perf_counter
        self.process_time = time.process_time
        if sys.platform == "linux":
            self.sched_getaffinity = os.sched_getaffinity


ORIGINALS = Originals()
