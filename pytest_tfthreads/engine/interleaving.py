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

# After so many rounds of each member the CPU sets move on, so that none keeps the lucky one.
ROUNDS_A_SET = 8
# One that is measured alone stops only to move on: its first round on another CPU is up to a fifth
# slower, for its caches are cold. Some 0.2 s of rounds, within the half second of a CPU's speed.
ROUNDS_ALONE = 32


class Interleaved(Protocol):
    """One process of a group. Off turn it is stopped with all its threads, or gone."""

    @property
    def cpus_wanted(self) -> int:
        """The size of its CPU set."""

    def set_up(self, cpus: Cpus) -> Ready | None:
        """Start on these CPUs and run until the rounds can begin.

        None: the process has ended, or it lays out its rounds itself. `take_turn` shows which: the
        second kind waits for its turn all the same.
        """

    def take_turn(self, cpus: Cpus, layout: Layout | None) -> bool:
        """Run for one turn on these CPUs; False when it has gone, finished or not."""

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
    cpu_set: Callable[[int, int], Cpus],
    between: Callable[[], None] = lambda: None,
) -> None:
    """Set the members up one by one, in this order, and have them take turns until all have gone.

    `cpu_set(size, place)` gives the CPUs of a member at a place of the rotation. A member that
    crashes, hangs or finishes leaves the ring; the others go on. Whatever happens, none is left.
    `between` is called after each lap, while all stand still.
    """
    try:
        ready = [member.set_up(cpu_set(member.cpus_wanted, ring.place(0))) for member in members]
        warm = [one for one in ready if one is not None]
        layout = agree(warm) if warm else None
        taking_turns, lap = list(members), 0
        while taking_turns:
            place = ring.place(lap)
            taking_turns = [
                member
                for member in taking_turns
                if member.take_turn(cpu_set(member.cpus_wanted, place), layout)
            ]
            lap += 1
            between()
    finally:
        for member in members:
            member.abandon()
