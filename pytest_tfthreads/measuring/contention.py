"""Who else is running while a process measures: what the kernel counts, over its own turns.

Nothing is read within a round. The kernel's counters of the machine are read when a turn begins and
when it ends, for others run in between. What this process's own threads wait is read now and then:
while the process stands still they wait for nothing. A thread that ends takes its count with it, so
what it waited since the last reading is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.core.contention import Contention
from pytest_tfthreads.system.cpu_counters import (
    ROOT,
    TICK_S,
    Ticks,
    cpu_pressure_s,
    cpu_ticks,
    run_queue_delays_s,
)
from pytest_tfthreads.system.originals import ORIGINALS

EVERY_S = 0.1
"""Of own turns: threads are read no more often, and where no turn ends the machine neither."""


@dataclass(frozen=True)
class _Reading:
    wall_s: float
    cpu_s: float
    cpus: tuple[int, ...]
    ticks: Ticks | None
    pressure_s: float | None


class ContentionMeter:
    """Adds up what others took: `begin` with each turn, `round_over` after each of its rounds."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._begun: _Reading | None = None
        self._wall_s = 0.0
        self._granted_s = 0.0  # CPU-seconds that the CPUs had
        self._ticks = 0  # of whatever kind, that the kernel counted in that time
        self._others: float | None = 0.0
        self._stolen: float | None = 0.0
        self._pressure: float | None = 0.0
        self._delays: Mapping[str, float] | None = None
        self._waited_s = 0.0
        self._granted_at_threads_s = 0.0  # what of `_granted_s` the reading of threads covers
        self._unread_s = 0.0  # time of own turns since that reading

    def begin(self) -> None:
        """Rounds follow at once."""
        if self._begun is None and not self._wall_s:
            self._delays = run_queue_delays_s(self._root)
        self._begun = self._read()

    def round_over(self, ends_turn: bool) -> None:
        """A round has ended, and perhaps the turn; until `begin` nothing counts then."""
        begun = self._begun
        if begun is None or not (ends_turn or ORIGINALS.perf_counter() - begun.wall_s >= EVERY_S):
            return
        now = self._read()
        self._add(begun, now)
        self._begun = None if ends_turn else now

    def contention(self) -> Contention | None:
        """What was found; `None` where the kernel told nothing, or nothing was measured.

        Rounds since the last reading are left out: the test has gone on since. Where there has been
        no reading, the time until now counts.
        """
        if self._begun is not None and not self._wall_s:
            self._add(self._begun, self._read())
        if not self._wall_s:
            return None
        if not self._granted_at_threads_s:
            self._read_threads()
        if self._ticks <= 0:  # a sandbox may have the file, with figures that stand still
            self._others = self._stolen = None
        shares = (
            None if self._delays is None else self._waited_s / self._granted_at_threads_s,
            None if self._others is None else min(1.0, max(0.0, self._others / self._granted_s)),
            None if self._stolen is None else self._stolen / self._granted_s,
            None if self._pressure is None else self._pressure / self._wall_s,
        )
        return None if all(share is None for share in shares) else Contention(*shares)

    def _read(self) -> _Reading:
        cpus = tuple(sorted(ORIGINALS.sched_getaffinity(0)))
        return _Reading(
            ORIGINALS.perf_counter(),
            ORIGINALS.process_time(),
            cpus,
            cpu_ticks(self._root, cpus),
            cpu_pressure_s(self._root),
        )

    def _add(self, begun: _Reading, now: _Reading) -> None:
        wall_s = now.wall_s - begun.wall_s
        self._wall_s += wall_s
        self._granted_s += wall_s * len(begun.cpus)
        self._unread_s += wall_s
        others = stolen = pressure = None
        if begun.ticks is not None and now.ticks is not None:
            self._ticks += now.ticks.total - begun.ticks.total
            own_s = now.cpu_s - begun.cpu_s
            others = (now.ticks.busy - begun.ticks.busy) * TICK_S - own_s
            stolen = max(0, now.ticks.stolen - begun.ticks.stolen) * TICK_S
        if begun.pressure_s is not None and now.pressure_s is not None:
            pressure = max(0.0, now.pressure_s - begun.pressure_s)
        self._others = _sum(self._others, others)
        self._stolen = _sum(self._stolen, stolen)
        self._pressure = _sum(self._pressure, pressure)
        if self._unread_s >= EVERY_S:
            self._read_threads()

    def _read_threads(self) -> None:
        self._unread_s = 0.0
        self._granted_at_threads_s = self._granted_s
        before, now = self._delays, run_queue_delays_s(self._root)
        self._delays = now
        if before is None or now is None:
            self._delays = None
            return
        for thread, delay_s in now.items():
            had_s = before.get(thread, 0.0)
            # Less than before: another thread got the id of one that ended.
            self._waited_s += delay_s - had_s if delay_s >= had_s else delay_s


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
