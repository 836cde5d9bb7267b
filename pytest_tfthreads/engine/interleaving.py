"""Processes that are to be compared take turns: one runs, the others are stopped.

A shared machine changes its speed by half within a second, so what is measured one after the
other is compared against the weather. In turns of some ten milliseconds all meet the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pytest_tfthreads.core.layout import Layout, Ready, agree

Cpus = tuple[int, ...]
CpuSets = Callable[[int, int], tuple[Cpus, ...]]
"""For so many processes that run at once, of so many CPUs each: the CPUs of each of them."""

# After so many rounds of each member the CPU sets move on, so that none keeps the lucky one.
ROUNDS_A_SET = 8
# One that is measured alone stops only to move on: its first round on another CPU is up to a fifth
# slower, for its caches are cold. Some 0.2 s of rounds, within the half second of a CPU's speed.
ROUNDS_ALONE = 32
# In a ring with several instances at once: at both ends of a turn a round of some instances does
# not count, because others are not at work.
ROUNDS_OF_TEAMS = 8


class Interleaved(Protocol):
    """A member of a group. Off turn it is stopped with all its threads, or gone."""

    def set_up(self, sets: CpuSets) -> Ready | None:
        """Start on CPUs of these sets and run until the rounds can begin.

        None: the process has ended, or it lays out its rounds itself. `take_turn` shows which: the
        second kind waits for its turn all the same.
        """

    def take_turn(self, sets: CpuSets, layout: Layout | None) -> bool:
        """Run for one turn on CPUs of these sets; False when it has gone, finished or not."""

    def abandon(self) -> None:
        """Kill it if it is still there."""


@dataclass(frozen=True)
class Ring:
    """How the members of a group take turns."""

    rounds_a_turn: int  # rounds that a member runs before the next has its turn
    first_set: int = 0  # place in the rotation over the machine's CPUs at which the ring starts

    def place(self, lap: int) -> int:
        """The place in the rotation at which a lap (a turn of each member) is run."""
        return self.first_set + lap // max(1, ROUNDS_A_SET // self.rounds_a_turn)


def run_interleaved(
    members: Sequence[Interleaved],
    ring: Ring,
    team_sets: Callable[[int, int, int], tuple[Cpus, ...]],
    between: Callable[[], None] = lambda: None,
) -> None:
    """Set the members up one by one, in this order, and have them take turns until all have gone.

    `team_sets(instances, size, place)` gives the CPUs of so many processes at a place of the
    rotation; the members ask for as many as they are. A member that crashes, hangs or finishes
    leaves the ring; the others go on. Whatever happens, none is left. `between` is called after
    each lap, while all stand still.
    """
    try:
        sets = _sets_at(team_sets, ring.place(0))
        ready = [member.set_up(sets) for member in members]
        warm = [one for one in ready if one is not None]
        layout = agree(warm) if warm else None
        taking_turns, lap = list(members), 0
        while taking_turns:
            sets = _sets_at(team_sets, ring.place(lap))
            taking_turns = [member for member in taking_turns if member.take_turn(sets, layout)]
            lap += 1
            between()
    finally:
        for member in members:
            member.abandon()


def _sets_at(team_sets: Callable[[int, int, int], tuple[Cpus, ...]], place: int) -> CpuSets:
    return lambda instances, size: team_sets(instances, size, place)
