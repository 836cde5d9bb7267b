"""How long the gate may measure, and where that time goes.

Tests are reported in order, so what to do with a test is decided before the next ones have been
measured. Every test gets its first look; so the first looks of the tests to come are reserved. A
first look side by side may use all that is left beside that. Further looks also leave a first look
side by side to as many of the tests to come as their share was so far, and are taken only where
they are likely to decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pytest_tfthreads.core.eta import Pace

_SYNTAX = re.compile(r"(\d+(?:\.\d+)?)([sm]?)")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0}
_PROCESSES_A_PAIR = 2


def parse_budget(text: str) -> float:
    """Seconds, from "600", "90s" or "10m"; raises `ValueError`."""
    found = _SYNTAX.fullmatch(text.strip())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not seconds:
        raise ValueError(f"{text!r} is no time; write seconds or minutes, such as 600 or 10m")
    return seconds


@dataclass
class Budget:
    """Of one process that measures: `total_s` seconds, or without a limit.

    `first_looks` is how many processes the first looks of all its tests take, and `tests` how many
    tests these are; `process_s` is what a process is expected to take before any has told.
    """

    total_s: float | None = None
    first_looks: float = 0.0
    tests: float = 0.0
    process_s: float = 0.0
    first_pairs: int = 3
    spent_s: float = 0.0
    _pace: Pace | None = field(default=None, init=False)
    _begun_processes: int = field(default=0, init=False)
    _begun: int = field(default=0, init=False)
    _opened: int = field(default=0, init=False)

    @property
    def pair_s(self) -> float:
        """Seconds a pair of processes, as those so far took."""
        return _PROCESSES_A_PAIR * self._process_s

    @property
    def expected_s(self) -> float:
        """Seconds for the first looks that are still to come."""
        return max(0.0, self.first_looks - self._begun_processes) * self._process_s

    def begin(self, processes: int, tests: int) -> None:
        """The first look of so many tests begins; it is no longer reserved."""
        self._begun_processes += processes
        self._begun += tests

    def spend(self, processes: int, seconds: float) -> None:
        """So many processes took so long together."""
        self.spent_s += seconds
        self._pace = self._so_far.after(processes, seconds)

    def open(self) -> None:
        """The first look has left a test open."""
        self._opened += 1

    def allows_first(self, pairs: int) -> bool:
        """Whether there is time to begin a duet."""
        return self._has(pairs * self.pair_s + self.expected_s)

    def allows_processes(self, count: int) -> bool:
        """Whether there is time for so many processes more, without a duet."""
        return self._has(count * self._process_s + self.expected_s)

    def allows_more(self, pairs: int) -> bool:
        """Whether there is time for so many further pairs of a test."""
        to_come = max(0.0, self.tests - self._begun) * self._opened / max(1, self._begun)
        others_s = to_come * self.first_pairs * self.pair_s
        return self._has(pairs * self.pair_s + self.expected_s + others_s)

    def _has(self, seconds: float) -> bool:
        return self.total_s is None or self.spent_s + seconds <= self.total_s

    @property
    def _so_far(self) -> Pace:
        return self._pace or Pace(self.process_s)

    @property
    def _process_s(self) -> float:
        return self._so_far.process_s
