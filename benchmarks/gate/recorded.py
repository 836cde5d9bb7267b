"""Recorded noise: sessions of processes, pairs of processes, and what is drawn from them.

All from recordings/; each file says in "about" what it holds.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from pytest_tfthreads.core.gate.pairs import Pair

_DATA = Path(__file__).parents[2] / "recordings"
SITTINGS = 6
STORED_PAIRS = 5
"""So many of a case's recorded pairs are saved runs in a replay; the others are measured anew."""


def recording(name: str) -> dict[str, Any]:
    """What a file holds, by case."""
    cases: dict[str, Any] = json.loads((_DATA / name).read_text(encoding="utf-8"))["cases"]
    return cases


_FIGURES = recording("sessions.json")
_ROUNDS = recording("session_rounds.json")
_PAIRS = recording("unchanged_pairs.json")


def figures(case: str) -> dict[str, dict[str, list[list[float]]]]:
    """Of a case by variant and session: a row a process, in the order of `Process`' fields."""
    of_case: dict[str, dict[str, list[list[float]]]] = _FIGURES[case]
    return of_case


ALL = sorted(_FIGURES)
WITHOUT_TF_DATA = [case for case in ALL if not case.startswith("tfdata")]


@dataclass(frozen=True)
class Process:
    """Sums over its rounds, of the reference workload too, and the wall time of each round."""

    wall_s: float
    cpu_s: float
    reference_wall_s: float
    reference_cpu_s: float
    rounds_s: tuple[float, ...] = ()

    def slower(self, factor: float) -> Process:
        return replace(
            self,
            wall_s=self.wall_s * factor,
            cpu_s=self.cpu_s * factor,
            rounds_s=tuple(one * factor for one in self.rounds_s),
        )

    def first(self, rounds: int) -> Process:
        """As if it had ended after so many rounds; CPU time is taken to be wall time."""
        rounds_s = self.rounds_s[:rounds]
        return replace(self, wall_s=sum(rounds_s), cpu_s=sum(rounds_s), rounds_s=rounds_s)


@dataclass(frozen=True)
class Replay:
    """One new session and the stored ones before it, oldest first."""

    now: list[Process]
    history: list[list[Process]]

    @property
    def then(self) -> list[Process]:
        return self.history[-1]

    def slower(self, factor: float) -> Replay:
        """The same, with a synthetic slowdown of the new session."""
        return Replay([one.slower(factor) for one in self.now], self.history)

    def first(self, rounds: int) -> Replay:
        """The same, measured for so many rounds only."""
        return Replay(
            [one.first(rounds) for one in self.now],
            [[one.first(rounds) for one in session] for session in self.history],
        )

    def scaled(self, noise: float) -> Replay:
        """The same on a machine that is this much noisier (rounds apart): about the mean of all."""
        names = ("wall_s", "cpu_s", "reference_wall_s", "reference_cpu_s")
        everyone = [one for session in (self.now, *self.history) for one in session]
        means = {name: fmean(math.log(getattr(one, name)) for one in everyone) for name in names}

        def scale(one: Process) -> Process:
            scaled = {
                name: math.exp(mean + noise * (math.log(getattr(one, name)) - mean))
                for name, mean in means.items()
            }
            return replace(one, rounds_s=(), **scaled)

        return Replay(
            [scale(one) for one in self.now],
            [[scale(one) for one in session] for session in self.history],
        )


def draw(
    rng: random.Random,
    stored: int,
    processes: int,
    variant: str = "unchanged",
    cases: Sequence[str] = ALL,
) -> Replay:
    """A random case and session in which the variant was recorded, and `stored` other sessions."""
    case = rng.choice([name for name in cases if variant in _FIGURES[name]])
    session = rng.choice(list(_FIGURES[case][variant]))
    others = [str(one) for one in range(SITTINGS) if str(one) != session]
    now = _some(rng, case, variant, session, processes)
    return Replay(
        now,
        [_some(rng, case, "unchanged", one, processes) for one in rng.sample(others, stored)],
    )


def draw_suite(
    rng: random.Random, session: int, stored: int, processes: int, cases: Sequence[str] = ALL
) -> list[Replay]:
    """Unchanged code of all cases, measured in one session, and in the same `stored` others."""
    others = rng.sample([str(one) for one in range(SITTINGS) if one != session], stored)
    return [
        Replay(
            _some(rng, case, "unchanged", str(session), processes),
            [_some(rng, case, "unchanged", other, processes) for other in others],
        )
        for case in cases
    ]


def _some(
    rng: random.Random, case: str, variant: str, session: str, processes: int
) -> list[Process]:
    figures = _FIGURES[case][variant][session]
    rounds = _ROUNDS[case].get(variant, {}).get(session, [()] * len(figures))
    picked = rng.sample(range(len(figures)), min(processes, len(figures)))
    return [
        replace(Process(*figures[n]), rounds_s=tuple(one / 1e5 for one in rounds[n]))
        for n in picked
    ]


@dataclass(frozen=True)
class Duet:
    """Pairs of one case to be measured one after the other, and those of earlier saved runs."""

    pairs: list[Pair]
    stored: list[list[Pair]]

    def slower(self, factor: float) -> Duet:
        """The same, with a synthetic slowdown of the candidate."""
        by = -math.log(factor)
        return Duet(
            [Pair(one.throughput + by, one.cpu_efficiency + by) for one in self.pairs], self.stored
        )


def draw_duet(
    rng: random.Random, pairs: int, stored: bool, cases: Sequence[str] = WITHOUT_TF_DATA
) -> Duet:
    """Of a random case: some of its recorded pairs are stored, the others drawn with replacement.

    With a random sign, for who is the candidate is arbitrary.
    """
    rows = _PAIRS[rng.choice(cases)]["pairs"]
    known = rng.sample(range(len(rows)), STORED_PAIRS)
    others = [n for n in range(len(rows)) if n not in known]

    def pair(row: Sequence[float]) -> Pair:
        sign = rng.choice((-1, 1))
        return Pair(sign * row[0], sign * row[4])  # medians by wall and by CPU time

    return Duet(
        [pair(rows[n]) for n in rng.choices(others, k=pairs)],
        [[pair(rows[n]) for n in known]] if stored else [],
    )
