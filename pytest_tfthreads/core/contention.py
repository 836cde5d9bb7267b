"""Who else was running while a process measured: shares of the time of the CPUs granted to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from pytest_tfthreads.core.decode import NotNegative
from pytest_tfthreads.core.format import percent

CONTENDED = 0.05
"""The share of its CPUs that others held back from a measurement, from which on it is flagged. Also
the difference between shares that others took, from which on a verdict tells of it."""
_WORTH_TELLING = 0.02


@dataclass(frozen=True)
class Contention:
    """Shares of the time of the CPUs granted to a process, in its own turns; `None`: not known.

    `runqueue_share`: its threads were ready and had no CPU. They may have waited for each other:
    with more threads than CPUs the share can exceed 1. `others_share`: other programs ran, those
    too that the test has started. `steal_share`: the hypervisor gave the CPUs to other machines.
    `pressure_share`: of the time itself, and of the whole machine: any thread waited for a CPU.
    """

    runqueue_share: NotNegative | None = None
    others_share: NotNegative | None = None
    steal_share: NotNegative | None = None
    pressure_share: NotNegative | None = None

    @property
    def held_back(self) -> float | None:
        """The share of the CPUs that others held back from the process; `None`: not known.

        Threads that waited while no other program ran waited for each other, and programs that
        ran while no thread waited took nothing. So of the two the smaller one counts.
        """
        if self.others_share is None:  # threads may have waited for each other
            return self.steal_share
        waited = self.others_share if self.runqueue_share is None else self.runqueue_share
        return min(waited, self.others_share) + (self.steal_share or 0.0)

    @property
    def taken(self) -> float | None:
        """The share of the CPUs that others used, whether threads waited or not; `None`: not known.

        Time that the hypervisor took is never that of a program.
        """
        if self.others_share is None:
            return None
        return min(1.0, self.others_share + (self.steal_share or 0.0))

    @property
    def is_contended(self) -> bool:
        """Whether others held back so much that the measurement is flagged."""
        return self.held_back is not None and self.held_back >= CONTENDED

    def words(self) -> str:
        """Who took how much: "other programs took 38 % of the granted CPUs"; empty for nobody."""
        granted = " of the granted CPUs"
        told = []
        if self.others_share is not None and self.others_share >= _WORTH_TELLING:
            told.append(f"other programs took {percent(self.others_share)}{granted}")
        if self.steal_share is not None and self.steal_share >= _WORTH_TELLING:
            of = " of them" if told else granted
            told.append(f"the hypervisor gave {percent(self.steal_share)}{of} to other machines")
        return ", and ".join(told)


def mean_of(contentions: Iterable[Contention | None]) -> Contention | None:
    """Of several processes; a share that one of them does not know is not known."""
    known = list(contentions)
    if not known or any(one is None for one in known):
        return None
    found = [one for one in known if one is not None]
    return Contention(
        _mean([one.runqueue_share for one in found]),
        _mean([one.others_share for one in found]),
        _mean([one.steal_share for one in found]),
        _mean([one.pressure_share for one in found]),
    )


def _mean(shares: list[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return fmean(known) if len(known) == len(shares) else None
