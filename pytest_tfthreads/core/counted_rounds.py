"""Several processes at once: which of their rounds count, and what these say of all together.

A round counts where all instances are at work. Instances begin a turn within a moment of each
other, and the fastest ends its rounds first: what lies before the last beginning or after the first
end was measured beside fewer neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pytest_tfthreads.core.contention import Contention, mean_of
from pytest_tfthreads.core.measurement import Sample

TOLERATED = 0.01
"""Share of its own length for which a round may lie outside."""


@dataclass(frozen=True)
class InstanceRounds:
    """What one instance measured, and when.

    `began_s`: of each round, by a clock that all instances share. `before`: rounds that its turns
    counted before the first of these.
    """

    sample: Sample
    began_s: tuple[float, ...]
    before: int = 0

    def __post_init__(self) -> None:
        if len(self.began_s) != len(self.sample.wall_s):
            raise ValueError(f"{len(self.began_s)} beginnings, {len(self.sample.wall_s)} rounds")

    @property
    def turns(self) -> dict[int, list[_Round]]:
        found: dict[int, list[_Round]] = {}
        clocks = zip(self.began_s, self.sample.wall_s, self.sample.cpu_s, strict=True)
        for number, one in enumerate(clocks, start=self.before):
            found.setdefault(number // self.sample.turn_rounds, []).append(_Round(*one))
        return found


@dataclass(frozen=True)
class Counted:
    """All instances together.

    `sample` has an entry for each turn, of as many calls as all instances make in one. `call_s`:
    seconds of a call, of each round that counts. `imbalance`: by which share the slowest instance
    makes fewer calls a second than the fastest. `together_s`: how much of a turn counts, of the
    instance of which the least does; the mean over the turns that count.
    """

    sample: Sample
    call_s: tuple[float, ...]
    imbalance: float
    together_s: float


@dataclass(frozen=True)
class _Round:
    began_s: float
    wall_s: float
    cpu_s: float

    @property
    def ended_s(self) -> float:
        return self.began_s + self.wall_s

    def share_within(self, low_s: float, high_s: float) -> float:
        """The share of it that lies between; 1 where all of it counts."""
        tolerated_s = TOLERATED * self.wall_s
        if low_s - tolerated_s <= self.began_s and self.ended_s <= high_s + tolerated_s:
            return 1.0
        common_s = min(self.ended_s, high_s) - max(self.began_s, low_s)
        return max(0.0, common_s / self.wall_s) if self.wall_s else 0.0


@dataclass(frozen=True)
class _Share:
    """What counts of an instance's turn: rounds (parts of some), and seconds of both clocks."""

    rounds: float
    wall_s: float
    cpu_s: float
    counted: tuple[_Round, ...]


def count(instances: Sequence[InstanceRounds]) -> Counted:
    """What instances that took the same turns say together.

    Raises `ValueError` where they were never at work at the same time.
    """
    samples = [one.sample for one in instances]
    turns = _common_turns(instances)
    shares = [_shares(turn) for turn in turns]
    found = [one for one in shares if one is not None]
    if not found:
        raise ValueError("the instances were in no turn at work at the same time")
    calls = [sample.iterations for sample in samples]
    # As many in every turn; fewer only in a single turn that came to its end early.
    rounds = min(map(len, turns[0]))
    rates = [[c * s.rounds / s.wall_s for c, s in zip(calls, turn, strict=True)] for turn in found]
    cpu_a_second = [sum(share.cpu_s / share.wall_s for share in turn) for turn in found]
    nominal = rounds * sum(calls)
    wall_s = tuple(nominal / sum(turn) for turn in rates)
    each = [fmean(one) for one in zip(*rates, strict=True)]
    return Counted(
        Sample(
            wall_s=wall_s,
            cpu_s=tuple(one * share for one, share in zip(wall_s, cpu_a_second, strict=True)),
            iterations=nominal,
            warmup_rounds=min(sample.warmup_rounds for sample in samples),
            setup_s=max(sample.setup_s for sample in samples),
            max_rss_bytes=max(sample.max_rss_bytes for sample in samples),
            voluntary_switches=sum(sample.voluntary_switches for sample in samples),
            involuntary_switches=sum(sample.involuntary_switches for sample in samples),
            cpus=tuple(sorted({cpu for sample in samples for cpu in sample.cpus})),
            ring=samples[0].ring,
            reference_wall_s=_mean([sample.reference_wall_s for sample in samples]),
            reference_cpu_s=_mean([sample.reference_cpu_s for sample in samples]),
            contention=_contention(samples),
            # The n-th turn of one member is compared with the n-th of another.
            turns_missed=tuple(place for place, one in enumerate(shares) if one is None),
        ),
        call_s=tuple(
            one.wall_s / iterations
            for turn in found
            for share, iterations in zip(turn, calls, strict=True)
            for one in share.counted
        ),
        imbalance=1 - min(each) / max(each),
        together_s=fmean(min(share.wall_s for share in turn) for turn in found),
    )


def _common_turns(
    instances: Sequence[InstanceRounds],
) -> list[list[list[_Round]]]:
    """Each instance's rounds, of the turns that all went through to the end.

    Where there are none, of the first turn in which all have rounds.
    """
    by_instance = [one.turns for one in instances]
    common = sorted(set.intersection(*(set(turns) for turns in by_instance)))
    if not common:
        raise ValueError("the instances have no turn in common")
    whole = [
        number
        for number in common
        if all(
            len(turns[number]) == one.sample.turn_rounds
            for one, turns in zip(instances, by_instance, strict=True)
        )
    ]
    return [[turns[number] for turns in by_instance] for number in whole or common[:1]]


def _shares(turn: Sequence[Sequence[_Round]]) -> list[_Share] | None:
    """What counts of each instance's rounds in a turn; `None` where one has nothing that does."""
    low_s = max(rounds[0].began_s for rounds in turn)
    high_s = min(rounds[-1].ended_s for rounds in turn)
    shares = [_share(rounds, low_s, high_s) for rounds in turn]
    return shares if all(share.wall_s > 0 for share in shares) else None


def _share(rounds: Sequence[_Round], low_s: float, high_s: float) -> _Share:
    within = [(one, one.share_within(low_s, high_s)) for one in rounds]
    counted = tuple(one for one, share in within if share == 1)
    if counted:
        within = [(one, 1.0) for one in counted]
    # Else its rounds are so much longer than those of the others that none lies between: parts of
    # rounds have to do.
    return _Share(
        rounds=sum(share for _, share in within),
        wall_s=sum(share * one.wall_s for one, share in within),
        cpu_s=sum(share * one.cpu_s for one, share in within),
        counted=counted or tuple(one for one, share in within if share > 0),
    )


def _contention(samples: Sequence[Sample]) -> Contention | None:
    """Who else was running; instances that share CPUs cannot be told from other programs."""
    cpus = [cpu for sample in samples for cpu in sample.cpus]
    if len(set(cpus)) < len(cpus):
        return None
    return mean_of(sample.contention for sample in samples)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None
