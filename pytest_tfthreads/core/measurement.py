"""What one process measured (`Sample`), and what several of them say together (`Measurement`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Annotated, Any

from pytest_tfthreads.core.contention import Contention, mean_of
from pytest_tfthreads.core.decode import (
    FLATTENED,
    LARGEST,
    Count,
    DecodeError,
    NotNegative,
    Plain,
    Renamed,
    Within,
    decode,
    encode,
)
from pytest_tfthreads.core.stats.estimates import Estimate, Spread, mean_of_ratios

SCHEMA = 1
_OF_TEAMS = (
    "instances",
    "instance_cpus",
    "instance_nodes",
    "latency",
    "imbalance",
    "max_pss_bytes",
)


@dataclass(frozen=True)
class Pools:
    """Sizes of TensorFlow's two thread pools."""

    intra: Count
    inter: Count


TENSORFLOWS_CHOICE = Pools(0, 0)
"""As requested, where nothing is: TensorFlow's default."""


@dataclass(frozen=True)
class Sample:
    """One measuring process: its rounds in order, warm-up left out.

    A round is `iterations` calls of the measured function; `wall_s` and `cpu_s` are seconds a
    round, CPU time being that of all threads of the process. Processes of one test whose samples
    have the same `ring` took turns of `turn_rounds` rounds: their n-th turns followed each other.
    `reference_wall_s` and `reference_cpu_s` are mean seconds a call of a fixed reference workload
    that was measured between the rounds: how fast the machine was. `None`: there was none.
    `contention` is who else was running in its turns. `None`: the kernel does not tell.
    `turns_missed` are the places, among its turns, of those that gave no rounds.
    """

    wall_s: tuple[NotNegative, ...]
    cpu_s: tuple[NotNegative, ...]
    iterations: Count
    warmup_rounds: Count
    setup_s: NotNegative
    max_rss_bytes: Count
    voluntary_switches: Count
    involuntary_switches: Count
    cpus: tuple[Count, ...]
    ring: Count | None = None  # None: it took no turns
    turn_rounds: Count = 1
    reference_wall_s: NotNegative | None = None
    reference_cpu_s: NotNegative | None = None
    contention: Contention | None = None
    turns_missed: tuple[Count, ...] = ()

    def __post_init__(self) -> None:
        if not self.wall_s or len(self.wall_s) != len(self.cpu_s):
            raise ValueError(f"{len(self.wall_s)} wall and {len(self.cpu_s)} CPU times a round")
        if self.iterations < 1:
            raise ValueError(f"{self.iterations} iterations a round")
        if self.turn_rounds < 1:
            raise ValueError(f"{self.turn_rounds} rounds a turn")
        if sum(self.wall_s) <= 0 or sum(self.cpu_s) <= 0:
            raise ValueError("a clock did not move in any round: measure for longer (max_time)")
        for reference_s in (self.reference_wall_s, self.reference_cpu_s):
            if reference_s is not None and reference_s < 1 / LARGEST:  # of which no speed comes
                raise ValueError(f"{reference_s} s a call of the reference workload")

    @property
    def calls(self) -> int:
        return len(self.wall_s) * self.iterations

    # Totals, not medians: a CPU that flips between two speeds makes a median flip too (between
    # processes the mean spreads less), and with totals wall = CPU work ÷ cores used is exact.
    @property
    def calls_a_second(self) -> float:
        return self.calls / sum(self.wall_s)

    @property
    def calls_a_cpu_second(self) -> float:
        return self.calls / sum(self.cpu_s)

    @property
    def cores_used(self) -> float:
        return sum(self.cpu_s) / sum(self.wall_s)

    def condensed(self) -> Sample:
        """All rounds as a single one: every total is as it was, and what no total holds is gone."""
        return replace(
            self,
            wall_s=(sum(self.wall_s),),
            cpu_s=(sum(self.cpu_s),),
            iterations=self.calls,
            ring=None,
            turn_rounds=1,
            turns_missed=(),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the fields."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sample:
        """Raises `DecodeError`."""
        return decode(cls, data)


@dataclass(frozen=True)
class Latency:
    """Seconds of a call as one caller sees it, over the rounds of all instances that count.

    The time of a round is shared evenly by its `calls_a_round`.
    """

    median_s: NotNegative
    p99_s: NotNegative
    calls_a_round: Count

    @classmethod
    def of(cls, calls_s: Sequence[float], calls_a_round: int) -> Latency:
        """`calls_s`: seconds of a call, of each round that counts; at least one."""
        # The smallest of them that is not below 99 %.
        p99_s = sorted(calls_s)[math.ceil(0.99 * len(calls_s)) - 1]
        return cls(median(calls_s), p99_s, calls_a_round)


@dataclass(frozen=True)
class Spreads:
    """How far processes are apart in each figure, by all that their run measured."""

    throughput: Spread
    cpu_efficiency: Spread
    cores_used: Spread


@dataclass(frozen=True)
class Measurement:
    """One configuration of one test, measured in one or more processes.

    `requested` is the request with symbols resolved (0: TensorFlow's choice), `effective` what
    TensorFlow really ran with, or `None` where the platform does not let it be counted.
    `flags` name what was odd.

    Where several `instances` ran at once, a sample is of all of them together: `cpus` are the first
    one's, `instance_cpus` those of each, `instance_nodes` the NUMA node of each where the machine
    has several (`None`: its CPUs are of more than one), `imbalance` the share by which the slowest
    made fewer calls a second than the fastest, `max_pss_bytes` the memory of all, pages that they
    share counted once.

    `data_threads` is the size of the private pool of the tf.data pipeline that was measured (0: it
    had none), or `None` where no pipeline was, or an older version measured it.
    `spreads` are there where intervals are made from more than the samples (`core.pooling`).
    """

    requested: Annotated[Pools, FLATTENED]
    effective: Pools | None
    cpus: tuple[Count, ...]
    start: str
    items: NotNegative
    unit: str
    samples: Annotated[tuple[Sample, ...], Renamed("processes")]
    machine: Mapping[str, Plain] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    instances: Annotated[int, Within(1)] = 1
    instance_cpus: tuple[tuple[Count, ...], ...] = ()
    instance_nodes: tuple[Count | None, ...] = ()
    latency: Latency | None = None
    imbalance: NotNegative | None = None
    max_pss_bytes: Count | None = None
    spreads: Spreads | None = None
    data_threads: Count | None = None

    @property
    def throughputs(self) -> list[float]:
        """Units a second, one a process."""
        return [self.items * sample.calls_a_second for sample in self.samples]

    @property
    def cpu_efficiencies(self) -> list[float]:
        """Units a CPU-second, one a process."""
        return [self.items * sample.calls_a_cpu_second for sample in self.samples]

    @property
    def throughput(self) -> Estimate:
        """Units a second."""
        return mean_of_ratios(
            self.throughputs, spread=None if self.spreads is None else self.spreads.throughput
        )

    @property
    def cpu_efficiency(self) -> Estimate:
        """Units a CPU-second."""
        return mean_of_ratios(
            self.cpu_efficiencies,
            spread=None if self.spreads is None else self.spreads.cpu_efficiency,
        )

    @property
    def cores_used(self) -> Estimate:
        """CPU-seconds a second of wall time."""
        return mean_of_ratios(
            [sample.cores_used for sample in self.samples],
            spread=None if self.spreads is None else self.spreads.cores_used,
        )

    @property
    def utilization(self) -> float:
        """Share of the granted CPUs that was used."""
        return self.cores_used.value / len(self.granted)

    @property
    def granted(self) -> frozenset[int]:
        """The CPUs of all instances."""
        return frozenset(itertools.chain(self.cpus, *self.instance_cpus))

    @property
    def contention(self) -> Contention | None:
        """Who else was running while it was measured; `None` where a process does not know."""
        return mean_of(sample.contention for sample in self.samples)

    def check(self) -> None:
        """Raises `DecodeError` where each value may be fine, and yet nothing comes out of them."""
        if not self.cpus:
            raise DecodeError("is empty, not a CPU or more", "cpus")
        if self.instances > 1 and (
            len(self.instance_cpus) != self.instances or not all(self.instance_cpus)
        ):
            raise DecodeError(f"are not of {self.instances} instances", "instance_cpus")
        if len(self.instance_nodes) not in (0, self.instances):
            raise DecodeError(f"are not of {self.instances} instances", "instance_nodes")
        try:
            figures = (self.throughput, self.cpu_efficiency, self.cores_used)
        except (ValueError, ArithmeticError) as error:  # no process, say, or 1e-320 s
            raise DecodeError(f"are impossible: {error}", "processes") from error
        bounds = [
            one for each in figures for one in (each.value, each.low, each.high) if one is not None
        ]
        if min(bounds) < 1.001 / LARGEST or max(bounds) > LARGEST / 1.001:  # where they are cut off
            raise DecodeError(
                "are impossible: they give a speed of 0, or without bounds", "processes"
            )

    def condensed(self) -> Measurement:
        """The same figures without the single rounds."""
        return replace(self, samples=tuple(sample.condensed() for sample in self.samples))

    def to_json(self) -> dict[str, Any]:
        """As it is recorded: with the figures that follow from it, which are not read again."""
        fields = encode(self)
        if self.instances == 1:
            for name in _OF_TEAMS:
                del fields[name]
        for name in ("spreads", "data_threads"):
            if fields[name] is None:
                del fields[name]
        return {
            "schema": SCHEMA,
            **fields,
            "throughput": self.throughput.to_json(),
            "cpu_efficiency": self.cpu_efficiency.to_json(),
            "cores_used": self.cores_used.to_json(),
            "utilization": self.utilization,
            "contention": encode(self.contention),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Measurement:
        """Raises `DecodeError`."""
        return decode(cls, data)
