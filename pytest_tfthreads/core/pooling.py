"""The intervals of a run's measurements, made from what all of them say of the noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from pytest_tfthreads.core.hosts import Host
from pytest_tfthreads.core.measurement import Measurement, Sample, Spreads
from pytest_tfthreads.core.stats.estimates import Spread
from pytest_tfthreads.core.stats.pooled_spread import Processes, pooled_spreads

_FIGURES: tuple[Callable[[Sample], float], ...] = (
    lambda sample: sample.calls_a_second,
    lambda sample: sample.calls_a_cpu_second,
    lambda sample: sample.cores_used,
)  # in the order of the fields of `Spreads`


def pooled(measured: Sequence[tuple[Hashable, Measurement]]) -> list[Measurement]:
    """All measurements of a run, in their order, with the spreads of which intervals are made.

    Each with its test, whose configurations are drawn together more than other tests are.
    Measurements of different hosts say nothing of one another.
    """
    result = [measurement for _, measurement in measured]
    hosts: dict[Host, dict[Hashable, list[int]]] = {}
    for place, (test, measurement) in enumerate(measured):
        hosts.setdefault(Host.of(measurement), {}).setdefault(test, []).append(place)
    for tests in hosts.values():
        found = (
            _spreads([[result[place] for place in places] for places in tests.values()], figure)
            for figure in _FIGURES
        )
        places = itertools.chain(*tests.values())
        for place, throughput, cpu_efficiency, cores_used in zip(places, *found, strict=True):
            if throughput is not None and cpu_efficiency is not None and cores_used is not None:
                spreads = Spreads(throughput, cpu_efficiency, cores_used)
                result[place] = replace(result[place], spreads=spreads)
    return result


def _spreads(
    tests: Sequence[Sequence[Measurement]], figure: Callable[[Sample], float]
) -> list[Spread | None]:
    found = pooled_spreads(
        [
            [
                Processes(
                    [math.log(figure(sample)) for sample in measurement.samples],
                    [sample.ring for sample in measurement.samples],
                )
                for measurement in test
            ]
            for test in tests
        ]
    )
    return [*itertools.chain(*found)]
