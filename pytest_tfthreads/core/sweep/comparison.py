"""Which configurations of one test differ: paired by turns, tested by Holm over all pairs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.stats.estimates import (
    FAMILYWISE_ERROR,
    Estimate,
    from_log,
    holm,
    student_p,
    student_t,
)
from pytest_tfthreads.core.stats.moderation import (
    Contrast,
    Difference,
    IdPair,
    contrasts,
    difference,
)
from pytest_tfthreads.core.sweep.teams import Placement
from pytest_tfthreads.core.threads import Configuration, ThreadConfig


@dataclass(frozen=True)
class Candidate:
    """One configuration of a test; `id` is its `Case.id`.

    `same_as`: the id of another one, which this is another name of on the machine that measured.
    The measurement is that one's. `own_terms`: where they are not those that the id says.
    """

    id: str
    threads: ThreadConfig
    measurement: Measurement
    same_as: str = ""
    own_terms: str | None = None

    @classmethod
    def of(
        cls, configuration: Configuration, measurement: Measurement, same_as: str = ""
    ) -> Candidate:
        """A configuration as it is stored, with what was measured of it."""
        return cls(
            configuration.id, configuration.threads, measurement, same_as, configuration.terms
        )

    @property
    def terms(self) -> str:
        """Its environment and CPUs, as far as the marker says something of them; else empty."""
        return self.suffix if self.own_terms is None else self.own_terms

    @property
    def suffix(self) -> str:
        """What its id says beside the threads (environment, CPUs, …); empty where nothing."""
        return self.id.removeprefix(self.threads.id)

    @property
    def pools(self) -> Pools:
        """As counted where they could be, else as requested (0: TensorFlow's choice)."""
        return self.measurement.effective or self.measurement.requested

    @property
    def instances(self) -> int:
        """How many ran at once."""
        return self.measurement.instances

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Where each of several instances ran; empty of a single one."""
        measurement = self.measurement
        nodes = measurement.instance_nodes or (None,) * len(measurement.instance_cpus)
        return tuple(map(Placement, measurement.instance_cpus, nodes))

    @property
    def call_s(self) -> float:
        """Seconds of a call as one caller sees it: the median over all rounds."""
        if self.measurement.latency is not None:
            return self.measurement.latency.median_s
        return median(
            wall_s / sample.iterations
            for sample in self.measurement.samples
            for wall_s in sample.wall_s
        )


@dataclass(frozen=True)
class Ratio:
    """The first configuration's figure over the second's; `distinct` if they can be told apart.

    The intervals of all pairs hold together, so each is at Bonferroni's level (`confidence`).
    Holm's test, which tells pairs apart, sees more: where it does, the interval ends at 1.
    `through` names the configuration that links two
    which never took turns with each other.
    """

    estimate: Estimate
    distinct: bool
    confidence: float
    rings: int
    through: str | None = None

    @property
    def inverse(self) -> Ratio:
        return replace(self, estimate=self.estimate.inverse)

    @property
    def above(self) -> bool:
        """Told apart, and the first is the larger."""
        return self.distinct and self.estimate.value > 1


@dataclass(frozen=True)
class Comparison:
    """All pairs of one test's configurations.

    `compared` are the ids that can all be compared with one another, in the order given;
    `not_compared` those left out, for they took turns with none of them.
    """

    compared: tuple[str, ...]
    not_compared: tuple[str, ...]
    wall: Mapping[IdPair, Mapping[int, Difference]]  # by pair and ring
    throughput_ratios: Mapping[IdPair, Ratio]
    cpu_efficiency_ratios: Mapping[IdPair, Ratio]
    balance_ratios: Mapping[IdPair, Ratio]

    def throughput(self, first: str, second: str) -> Ratio:
        """Items a second of the first over those of the second."""
        return _ratio(self.throughput_ratios, first, second)

    def cpu_efficiency(self, first: str, second: str) -> Ratio:
        """Items a CPU-second of the first over those of the second."""
        return _ratio(self.cpu_efficiency_ratios, first, second)

    def balance(self, first: str, second: str) -> Ratio:
        """Geometric mean of throughput and CPU efficiency of the first over the second's."""
        return _ratio(self.balance_ratios, first, second)

    def log_throughput(self, one: str) -> float:
        """Log of its throughput over the geometric mean of all compared."""
        return fmean(
            math.log(self.throughput(one, other).estimate.value) for other in self.compared
        )

    def log_cpu_efficiency(self, one: str) -> float:
        """Log of its CPU efficiency over the geometric mean of all compared."""
        return fmean(
            math.log(self.cpu_efficiency(one, other).estimate.value) for other in self.compared
        )


def compare(candidates: Sequence[Candidate]) -> Comparison:
    """Compare all pairs that shared a ring, or that a third configuration links.

    A ring's value for a pair is the median, over blocks of a turn each, of the log ratio of
    seconds an item; the ring is the sample. Throughput, CPU efficiency and their mean answer
    three questions, and each has a family of its own.
    The order in which members are set up and take turns has to be balanced over the rings by who
    measures: its effect, 1 % where it was seen, is one that no number of rings averages away.
    Raises `ValueError` where two candidates have the same id.
    """
    ids = [candidate.id for candidate in candidates]
    if len(set(ids)) < len(ids):
        raise ValueError(f"two candidates have the same id: {ids}")
    wall: dict[IdPair, dict[int, Difference]] = {}
    cpu: dict[IdPair, dict[int, Difference]] = {}
    for a, b in itertools.combinations(candidates, 2):
        rings_a, rings_b = _by_ring(a.measurement), _by_ring(b.measurement)
        for ring in sorted(rings_a.keys() & rings_b.keys()):
            found = ring_differences(rings_a[ring], rings_b[ring])
            if found is None:
                continue
            for times, one in zip((wall, cpu), found, strict=True):
                times.setdefault((a.id, b.id), {})[ring] = one
    # Errors add up in full: wall and CPU time are slowed down together.
    balance = {
        pair: [
            Difference((one.log_ratio + other.log_ratio) / 2, (one.se + other.se) / 2)
            for one, other in ((one, cpu[pair][ring]) for ring, one in rings.items())
        ]
        for pair, rings in wall.items()
    }
    compared = _mutually_linked(ids, wall)
    return Comparison(
        compared=compared,
        not_compared=tuple(one for one in ids if one not in compared),
        wall=wall,
        throughput_ratios=separate({pair: [*rings.values()] for pair, rings in wall.items()}),
        cpu_efficiency_ratios=separate({pair: [*rings.values()] for pair, rings in cpu.items()}),
        balance_ratios=separate(balance),
    )


def separate(observed: Mapping[IdPair, Sequence[Difference]]) -> dict[IdPair, Ratio]:
    """Ratio and decision for every pair that shared a ring or has a common partner.

    All of them are tested together: the fastest is picked by the data, so testing the pairs with it
    alone would be selection.
    """
    members = list(dict.fromkeys(itertools.chain.from_iterable(observed)))
    direct = contrasts(observed, len(members))
    pairs: dict[IdPair, Contrast] = {}
    for pair in itertools.combinations(members, 2):
        contrast = _directed(direct, *pair) or _linked(direct, *pair, members)
        if contrast is not None:
            pairs[pair] = contrast
    return tested(pairs, FAMILYWISE_ERROR)


def tested(pairs: Mapping[IdPair, Contrast], familywise_error: float) -> dict[IdPair, Ratio]:
    """Ratio and decision for each of the pairs, which are tested together, and no others.

    Holm's step-down test (1979), family-wise at `familywise_error`. Holm's levels make no
    intervals that hold together; Bonferroni's do.
    """

    def p_value(pair: IdPair) -> float:
        return student_p(pairs[pair].log_ratio / math.sqrt(pairs[pair].variance), pairs[pair].dof)

    p_values = [p_value(pair) for pair in pairs]
    ratios: dict[IdPair, Ratio] = {}
    error = familywise_error / max(1, len(pairs))
    for (pair, one), p, level in zip(
        pairs.items(), p_values, holm(p_values, familywise_error), strict=True
    ):
        half_width = student_t(1 - error / 2, one.dof) * math.sqrt(one.variance)
        low, high = one.log_ratio - half_width, one.log_ratio + half_width
        distinct = p <= level
        if distinct:
            low, high = (max(low, 0.0), high) if one.log_ratio > 0 else (low, min(high, 0.0))
        estimate = Estimate(*(from_log(bound) for bound in (one.log_ratio, low, high)))
        ratios[pair] = Ratio(estimate, distinct, 1 - error, one.rings, one.through)
    return ratios


def ring_differences(
    first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]]
) -> tuple[Difference, Difference] | None:
    """By wall and by CPU time, of the `blocks` of two members of a ring.

    `None` where there is no block in which both clocks of both members moved.
    """
    pairs = [
        (one, other) for one, other in zip(first, second, strict=False) if min(*one, *other) > 0
    ]
    if not pairs:
        return None
    wall, cpu = (
        difference([one[unit] for one, _ in pairs], [other[unit] for _, other in pairs])
        for unit in (0, 1)
    )
    return wall, cpu


def _by_ring(measurement: Measurement) -> dict[int, list[tuple[float, float]]]:
    return {
        sample.ring: blocks(sample, measurement.items)
        for sample in measurement.samples
        if sample.ring is not None
    }


def blocks(sample: Sample, items: float) -> list[tuple[float, float]]:
    """Wall and CPU seconds an item of every full turn, or of the only one begun; 0 if missed."""
    size = min(sample.turn_rounds, len(sample.wall_s))
    amount = size * sample.iterations * items
    found = [
        (
            sum(sample.wall_s[start : start + size]) / amount,
            sum(sample.cpu_s[start : start + size]) / amount,
        )
        for start in range(0, len(sample.wall_s) - size + 1, size)
    ]
    for place in sorted(sample.turns_missed):
        found.insert(place, (0.0, 0.0))
    return found


def _directed(direct: Mapping[IdPair, Contrast], first: str, second: str) -> Contrast | None:
    if (first, second) in direct:
        return direct[first, second]
    if (second, first) in direct:
        one = direct[second, first]
        return Contrast(-one.log_ratio, one.variance, one.dof, one.rings)
    return None


def _linked(
    direct: Mapping[IdPair, Contrast], first: str, second: str, members: Sequence[str]
) -> Contrast | None:
    """By the member that shared the most rings with both: a choice that no speed influences."""
    best: Contrast | None = None
    for member in members:
        one, other = _directed(direct, first, member), _directed(direct, member, second)
        if one is None or other is None:
            continue
        rings = min(one.rings, other.rings)
        if best is None or rings > best.rings:
            best = Contrast(
                log_ratio=one.log_ratio + other.log_ratio,
                variance=one.variance + other.variance,
                dof=min(one.dof, other.dof),
                rings=rings,
                through=member,
            )
    return best


def _mutually_linked(ids: Sequence[str], shared: Mapping[IdPair, object]) -> tuple[str, ...]:
    """Candidates all of which can be compared with one another: the best linked first."""
    partners = {
        one: {other for other in ids if (one, other) in shared or (other, one) in shared}
        for one in ids
    }
    chosen: list[str] = []
    for one in sorted(ids, key=lambda one: -len(partners[one])):
        if partners[one] and all(
            other in partners[one] or partners[one] & partners[other] for other in chosen
        ):
            chosen.append(one)
    return tuple(one for one in ids if one in chosen)


def _ratio(ratios: Mapping[IdPair, Ratio], first: str, second: str) -> Ratio:
    if first == second:
        return Ratio(Estimate(1.0, 1.0, 1.0), distinct=False, confidence=1.0, rings=0)
    if (first, second) in ratios:
        return ratios[first, second]
    return ratios[second, first].inverse
