"""How long a run will still take: learned from its processes so far, or else from their budget."""

from __future__ import annotations

from dataclasses import dataclass

AROUND_S = 1.5
"""Expected time of a process beside its rounds, before one has run: start, set-up, warm-up."""


@dataclass(frozen=True)
class Pace:
    """`processes` took `seconds` together; `expected_s` is what one was expected to take.

    The expectation counts for one process, so that the first of them does not decide alone.
    """

    expected_s: float
    processes: int = 0
    seconds: float = 0.0

    @classmethod
    def of_budget(cls, budget_s: float) -> Pace:
        """Before anything has run: processes whose rounds are to take `budget_s` seconds."""
        return cls(AROUND_S + budget_s)

    @property
    def process_s(self) -> float:
        """Seconds a process."""
        return (self.expected_s + self.seconds) / (1 + self.processes)

    def after(self, processes: int, seconds: float) -> Pace:
        """With these processes, which took so long together, known too."""
        return Pace(self.expected_s, self.processes + processes, self.seconds + seconds)


def left_s(pace: Pace, running: int, running_s: float, later: int) -> float:
    """Seconds until all is done: `running` processes, for `running_s` by now, and `later` ones.

    Those that already took longer than expected are taken to end at once.
    """
    return max(0.0, running * pace.process_s - running_s) + later * pace.process_s
