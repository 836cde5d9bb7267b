"""The time that a command may take, as its --budget says."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pytest_tfthreads.core.format import clock


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
        return self.budget_s is None or seconds <= self.left_s

    @property
    def spent_s(self) -> float:
        """Seconds since it began."""
        return self.clock_s() - self.begun_s

    @property
    def left_s(self) -> float:
        """Seconds until it ends; below 0 where they are over; without end for any time."""
        return math.inf if self.budget_s is None else self.budget_s - self.spent_s

    def too_short_for(self, what: str, seconds: float) -> str:
        """In words, that `what` takes more seconds than are left; only where there is a budget."""
        assert self.budget_s is not None
        return (
            f"{what} takes about {clock(seconds)}, and {clock(max(0.0, self.left_s))} of the "
            f"budget of {clock(self.budget_s)} is left"
        )
