"""Several processes of one configuration that run at the same time: one member of a ring."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pytest_tfthreads.core.counted_rounds import InstanceRounds, count
from pytest_tfthreads.core.format import mebibytes
from pytest_tfthreads.core.layout import Layout, Ready
from pytest_tfthreads.engine.failure import Failure
from pytest_tfthreads.engine.interleaving import Cpus, CpuSets
from pytest_tfthreads.engine.measuring_process import Launched, MeasuringProcess, wait_for_all
from pytest_tfthreads.engine.reply import FINISHED
from pytest_tfthreads.system import memory
from pytest_tfthreads.system.originals import ORIGINALS

# Reading a process's memory takes some milliseconds.
_MEMORY_EVERY_S = 1.0
# Instances begin and end within some tenths of a millisecond of each other, on an idle machine.
_BRIEF_S = 0.01


@dataclass(frozen=True)
class MemoryReadings:
    """`taken(pid)`: bytes of a process, shared pages in parts; `private(pid)`: those that it shares
    with no other process; `left()`: bytes for more processes.

    `None` where the kernel does not tell.
    """

    taken: Callable[[int], int | None] = memory.proportional_bytes
    private: Callable[[int], int | None] = memory.private_bytes
    left: Callable[[], int | None] = memory.available_bytes


@dataclass(frozen=True)
class TeamLaunched(Launched):
    """What several instances came to: the reply is the first one's, its sample of all together.

    `cpus`: of each instance when it was started. `call_s`: seconds of a call, of each round that
    counts. `max_pss_bytes`: of all together; `None` where the kernel does not tell.
    """

    cpus: tuple[Cpus, ...]
    call_s: tuple[float, ...]
    imbalance: float
    max_pss_bytes: int | None


class Team:
    """Instances of one configuration: set up one by one, sent on together in each turn.

    It runs only inside `set_up` and `take_turn`; in between all stand still. `result` is there once
    it has gone: a `TeamLaunched` if all have measured, else what the first came to that did not.
    """

    def __init__(
        self, processes: Sequence[MeasuringProcess], readings: MemoryReadings = MemoryReadings()
    ) -> None:
        self.result: Launched | Failure | None = None
        self._processes = processes
        self._readings = readings
        self._cpus: tuple[Cpus, ...] = ()
        self._max_pss_bytes: int | None = None
        self._next_reading_s = 0.0

    def set_up(self, sets: CpuSets) -> Ready | None:
        self._cpus = self._sets(sets)
        found = []
        for number, (process, cpus) in enumerate(zip(self._processes, self._cpus, strict=True)):
            found.append(process.set_up_on(cpus))
            if process.result is not None:  # it has nothing to measure, or has failed
                self._end(number)
                return None
            if number == 0:
                self.result = self._refusal()
                if self.result is not None:
                    self.abandon()
                    return None
        self._read_memory()
        ready = [one for one in found if one is not None]
        if not ready:
            return None
        return Ready(
            iterations=max(one.iterations for one in ready),
            call_s=max(one.call_s for one in ready),
            budget_s=max(one.budget_s for one in ready),
        )

    def take_turn(self, sets: CpuSets, layout: Layout | None) -> bool:
        if self.result is not None:
            return False
        for process, cpus in zip(self._processes, self._sets(sets), strict=True):
            process.send_on(cpus, layout)
        wait_for_all(self._processes)
        # One that is lost is explained before the others are waited for: its end is the team's.
        for number in sorted(
            range(self._size), key=lambda number: not self._processes[number].is_lost
        ):
            process = self._processes[number]
            if not process.wait() and not _has_measured(process.result):
                self._end(number)
                return False
        if any(process.result is None for process in self._processes):
            self._read_memory()
            return True
        self.result = self._together()
        return False

    def abandon(self) -> None:
        for process in self._processes:
            process.abandon()

    @property
    def _size(self) -> int:
        return len(self._processes)

    def _sets(self, sets: CpuSets) -> tuple[Cpus, ...]:
        return sets(self._size, self._processes[0].cpu_count)

    def _name(self, number: int) -> str:
        return f"instance {number + 1} of {self._size}"

    # -- memory -------------------------------------------------------------------------

    def _refusal(self) -> Failure | None:
        """Why the others must not be started: there is no memory for them."""
        pid = self._processes[0].pid
        own = None if pid is None else self._readings.private(pid)
        left = self._readings.left()
        others = self._size - 1
        if own is None or left is None or own * others <= left:
            return None
        return Failure(
            "too-little-memory",
            f"{self._size} instances do not fit into memory: the first has {mebibytes(own)} of its "
            f"own, the other {others} would take {mebibytes(own * others)}, and {mebibytes(left)} "
            "are left on this machine or in its cgroup. Ask for fewer instances, use a smaller "
            "batch, or give the machine or its cgroup more memory.",
        )

    def _read_memory(self) -> None:
        """While all stand still, now and then."""
        if ORIGINALS.monotonic() < self._next_reading_s:
            return
        taken = [
            None if process.pid is None else self._readings.taken(process.pid)
            for process in self._processes
        ]
        known = [one for one in taken if one is not None]
        if len(known) == len(taken):
            self._max_pss_bytes = max(self._max_pss_bytes or 0, sum(known))
        self._next_reading_s = ORIGINALS.monotonic() + _MEMORY_EVERY_S

    # -- its end ------------------------------------------------------------------------

    def _end(self, number: int) -> None:
        """The team comes to what this instance came to."""
        result = self._processes[number].result
        assert result is not None
        if isinstance(result, Failure):
            result = replace(result, message=f"{self._name(number)}: {result.message}")
        else:
            result = self._named(result, number)
        self.result = result
        self.abandon()

    def _named(self, launched: Launched, number: int) -> Launched:
        """Where it failed, its message and its reports say whose they are."""
        reply, name = launched.reply, self._name(number)
        return replace(
            launched,
            reply=replace(
                reply,
                message=f"{name}: {reply.message}" if reply.message else "",
                reports=tuple(
                    {**report, "sections": [*report.get("sections", ()), ["tf_threads", name]]}
                    if report.get("outcome") == "failed"
                    else report
                    for report in reply.reports
                ),
            ),
        )

    def _together(self) -> Launched | Failure:
        launched = [one.result for one in self._processes if isinstance(one.result, Launched)]
        for number, one in enumerate(launched):
            if _has_failed(one):
                return self._named(one, number)
        replies = [one.reply for one in launched]
        try:
            counted = count(
                [
                    InstanceRounds(reply.sample, reply.began_s, reply.rounds_before)
                    for reply in replies
                    if reply.sample is not None
                ]
            )
        except ValueError as error:
            return Failure(
                "never-together",
                f"Nothing of {self._size} instances can be counted: {error}. Their rounds are too "
                "short, or too few: more calls a round (pedantic's iterations), more rounds, or a "
                "longer --benchmark-max-time.",
            )
        first = launched[0]
        return TeamLaunched(
            first.sent,
            replace(
                first.reply,
                sample=counted.sample,
                began_s=(),
                flags=(
                    *_distinct(reply.flags for reply in replies),
                    *(["brief-turns"] if counted.together_s < _BRIEF_S else []),
                ),
                states=tuple(itertools.chain(*(reply.states for reply in replies))),
            ),
            first.fresh_reason,
            cpus=self._cpus,
            call_s=counted.call_s,
            imbalance=counted.imbalance,
            max_pss_bytes=self._max_pss_bytes,
        )


def _has_measured(result: Launched | Failure | None) -> bool:
    return isinstance(result, Launched) and result.reply.sample is not None


def _has_failed(launched: Launched) -> bool:
    """Whether the test failed, though it had measured."""
    reply = launched.reply
    return reply.outcome != FINISHED or any(
        report.get("outcome") == "failed" for report in reply.reports
    )


def _distinct(flags: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(itertools.chain(*flags)))
