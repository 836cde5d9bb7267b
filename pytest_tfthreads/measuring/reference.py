"""How fast the machine is while a test is measured: fixed work, timed between the test's rounds.

A shared CPU keeps its speed for about half a second, so the work is run several times within that,
where it costs the rounds least: before the process stops at its turn's end, when its caches go cold
in any case. In a long turn it does not wait for the end.
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_tfthreads.system.originals import ORIGINALS

# After so much time in rounds: at a turn's end, or anywhere.
DUE_S = 0.04
OVERDUE_S = 0.08
# With fewer measurements, or longer gaps between them, the rounds in between are not covered.
MIN_TIMES = 3
MAX_APART_S = 0.25
# The first call finds cold caches. It is a tenth slower, but counts: what is measured for twice as
# long is held up by other processes more evenly, and so follows the machine better.
_CALLS_AT_A_TIME = 2
# The very first calls load kernels, and take ever larger blocks from the allocator.
_FIRST_CALLS = 10


class UnavailableError(RuntimeError):
    """The reference workload cannot run here."""


class Reference:
    """Times `work` between rounds; both clocks, mean seconds a call.

    `work` raises `UnavailableError` where it cannot run: then `is_unavailable`, and no more is
    tried.
    """

    def __init__(self, work: Callable[[], None], overdue_s: float = OVERDUE_S) -> None:
        """`overdue_s`: in rounds, after which it is run in the midst of a turn."""
        self._overdue_s = overdue_s
        self.is_unavailable = False
        self._work = work
        self._times = 0
        self._rounds = 0
        self._rounds_s = 0.0
        self._waiting_rounds = 0
        self._waiting_s = 0.0
        self._wall_s = 0.0
        self._cpu_s = 0.0

    def leave_out(self) -> None:
        """Do not run the work: something else would disturb it, or be disturbed."""
        self.is_unavailable = True

    def round_over(self, wall_s: float, ends_turn: bool) -> None:
        """A round of `wall_s` seconds has ended: run the work if it is time to."""
        self._waiting_rounds += 1
        self._waiting_s += wall_s
        if self._waiting_s < (DUE_S if ends_turn else self._overdue_s) or self.is_unavailable:
            return
        try:
            wall_s, cpu_s = self._measured()
        except UnavailableError:
            self.is_unavailable = True
            return
        # This stands for the rounds before it, of which there are fewer where the machine is slow.
        self._wall_s += wall_s * self._waiting_rounds
        self._cpu_s += cpu_s * self._waiting_rounds
        self._times += 1
        self._rounds += self._waiting_rounds
        self._rounds_s += self._waiting_s
        self._waiting_rounds, self._waiting_s = 0, 0.0

    def mean_s(self) -> tuple[float, float] | None:
        """Wall and CPU seconds a call; `None` where measured too seldom, or a clock stood still."""
        if (
            self.is_unavailable
            or self._times < max(MIN_TIMES, self._rounds_s / MAX_APART_S)
            or min(self._wall_s, self._cpu_s) <= 0
        ):
            return None
        return self._wall_s / self._rounds, self._cpu_s / self._rounds

    def _measured(self) -> tuple[float, float]:
        for _ in range(0 if self._times else _FIRST_CALLS):
            self._work()
        wall_s, cpu_s = ORIGINALS.perf_counter(), ORIGINALS.process_time()
        for _ in range(_CALLS_AT_A_TIME):
            self._work()
        return (
            (ORIGINALS.perf_counter() - wall_s) / _CALLS_AT_A_TIME,
            (ORIGINALS.process_time() - cpu_s) / _CALLS_AT_A_TIME,
        )
