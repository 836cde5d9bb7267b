"""Several instances at once: which configuration for which aim, and how to start them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """A configuration by the two figures between which people choose.

    `throughput`: items a second of all instances together. `call_s`: seconds of a call as one
    caller sees it.
    """

    id: str
    throughput: float
    call_s: float


def pareto_front(figures: Sequence[Figures]) -> tuple[Figures, ...]:
    """Those that none beats in both figures: most throughput first, the shortest call last.

    One beats another that is at least as good in both, and better in one. Of those with the same
    figures the first stays.
    """
    front: list[Figures] = []
    for one in sorted(figures, key=lambda one: (-one.throughput, one.call_s)):
        if not front or one.call_s < front[-1].call_s:
            front.append(one)
    return tuple(front)


@dataclass(frozen=True)
class Placement:
    """Where one instance runs. `node`: its NUMA node, where there are several to choose from."""

    cpus: tuple[int, ...]
    node: int | None = None


def launch_lines(
    placements: Sequence[Placement], variables: Sequence[str], command: str
) -> tuple[str, ...]:
    """Lines of a shell that start all instances and wait for them.

    `variables` are NAME=VALUE, set for each. Where nodes matter, an instance gets the memory of its
    node, too (numactl); else `taskset` pins it.
    """
    words = [shlex.quote(variable) for variable in variables]
    if any(one.node is not None for one in placements):
        return (
            *(
                " ".join((*words, "numactl", *_numa_options(one), command, "&"))
                for one in placements
            ),
            "wait",
        )
    sets = " ".join(_numbers(one.cpus) for one in placements)
    start = " ".join((*words, "taskset", "-c", '"$cpus"', command, "&"))
    return (f"for cpus in {sets}; do {start} done; wait",)


def _numa_options(one: Placement) -> tuple[str, ...]:
    options = (f"--physcpubind={_numbers(one.cpus)}",)
    return options if one.node is None else (*options, f"--membind={one.node}")


def _numbers(cpus: Sequence[int]) -> str:
    return ",".join(map(str, cpus))
