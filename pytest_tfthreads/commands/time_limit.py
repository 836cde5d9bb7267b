"""The time that a command may take, as its --budget says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TimeLimit:
    """`budget_s` seconds from now on, or any time (None)."""

    budget_s: float | None = None
    clock_s: Callable[[], float] = time.monotonic
    begun_s: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "begun_s", self.clock_s())

    def allows(self, seconds: float) -> bool:
        """Whether what takes so many seconds would end in time."""
        return self.budget_s is None or self.clock_s() - self.begun_s + seconds <= self.budget_s
