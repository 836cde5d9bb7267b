"""The table that follows pytest-benchmark's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_tfthreads.core.format import (
    NOTHING,
    duration,
    hundredths,
    mebibytes,
    percent,
    printable,
    with_bounds,
)
from pytest_tfthreads.core.hosts import by_host
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.report.table import aligned, rule, table

FLAGS = {
    "oversubscribed": "more threads than CPUs granted",
    "fewer-cpus": "the marker asks for more CPUs than this process may use",
    "contended": "other programs or virtual machines held back its CPUs for part of the time",
    "numa": "its CPUs are of several NUMA nodes: part of the memory is slower for each thread",
    "quota": (
        "a cgroup quota is below the CPUs granted to all instances together, so the processes are "
        "throttled"
    ),
    "fresh": "measured in a fresh process, which forked results are not compared with",
    "unverified": "TensorFlow's threads could not be counted apart from others, or more came",
    "retraced": "a tf.function was traced again while measuring",
    "unsettled": (
        "times had not settled when the warm-up ended (raise --benchmark-max-time, if it is set: "
        "it bounds the warm-up too)"
    ),
    "unlimited-dataset": "tf.data's own pool is limited by the CPUs granted only; give threads=",
    "glance": "a search looked at it for a part of the time only, and left it behind",
    "crowded-pool": "tf.data's own pool has more threads than CPUs granted; give the marker cpus=",
    "brief-turns": (
        "the instances were at work together for less than 10 ms a turn: their rounds are short "
        "(give pedantic more iterations)"
    ),
    "no-turns": "measured in one go: its own warm-up leaves no place for turns with the others",
    "no-reference": "no reference workload ran: no correction for the machine's speed",
    "no-lease": "CPUs cannot be leased here: other runs may have measured or computed beside it",
    "xdist": "CPUs cannot be leased here, and other pytest-xdist workers ran beside it",
    "packed": "others may have been measured beside it, on CPUs of their own",
}
"""What each flag of a measurement means."""

_INSTANCES = "Instances"
_HEADERS = (
    "Test",
    "intra×inter",
    _INSTANCES,
    "CPUs",
    "Throughput [95 %]",
    "a CPU-second [95 %]",
    "Cores used",
    "Flags",
)
_OF_INSTANCES = (
    "Of several instances",
    "A call, median",
    "99th percentile",
    "Slowest behind fastest",
    "Memory of all",
)


@dataclass(frozen=True)
class Row:
    """One measured configuration of one test."""

    name: str
    measurement: Measurement
    same_as: str = ""  # id of the configuration as which it was measured


def render(
    rows: Sequence[Row], notes: Sequence[str] = (), not_shown: Sequence[Row] = ()
) -> list[str]:
    """Lines of text: a table, by host if there are several, what its flags mean, and notes.

    `not_shown` are measurements that have a line elsewhere; of them only the flags are told.
    """
    return [
        *(_table(rows) if rows else []),
        *_instances(rows),
        *(f"  {line}" for line in _flags(rows, not_shown)),
        *(f"  {printable(note)}" for note in notes),
    ]


def _flags(rows: Sequence[Row], not_shown: Sequence[Row]) -> Iterator[str]:
    for flag, meaning in FLAGS.items():
        others = [row for row in not_shown if flag in row.measurement.flags]
        if others:
            many = "s" if len(others) > 1 else ""
            yield f"{flag} ({len(others)} configuration{many}; -v shows which): {meaning}"
        elif any(flag in row.measurement.flags for row in rows):
            yield f"{flag}: {meaning}"


def _table(rows: Sequence[Row]) -> list[str]:
    groups = by_host(rows, lambda row: row.measurement)
    cells = [_HEADERS, *(_cells(row) for group in groups.values() for row in group)]
    if not any(row.measurement.instances > 1 for row in rows):
        at = _HEADERS.index(_INSTANCES)
        cells = [one[:at] + one[at + 1 :] for one in cells]
    header, *measured = aligned(cells, range(1, len(cells[0]) - 1))
    lines = [header, rule([header, *measured])]
    remaining = iter(measured)
    for host, group in groups.items():
        if len(groups) > 1:
            lines.append(f"on {host.title}")
        lines += itertools.islice(remaining, len(group))
    return lines


def _cells(row: Row) -> tuple[str, ...]:
    measurement = row.measurement
    pools = measurement.effective or measurement.requested
    return (
        row.name,
        f"{pools.intra}×{pools.inter}",
        str(measurement.instances),
        str(len(measurement.granted)),
        f"{with_bounds(measurement.throughput)} {measurement.unit}/s",
        with_bounds(measurement.cpu_efficiency),
        f"{hundredths(measurement.cores_used.value)} ({percent(measurement.utilization)})",
        ", ".join([*([f"same as {row.same_as}"] if row.same_as else []), *measurement.flags]),
    )


def _instances(rows: Sequence[Row]) -> list[str]:
    """What there is to say of several instances beside their speed; nothing without any."""
    cells = [_cells_of_instances(row) for row in rows if row.measurement.instances > 1]
    return ["", *table(_OF_INSTANCES, cells, range(1, len(_OF_INSTANCES))), ""] if cells else []


def _cells_of_instances(row: Row) -> tuple[str, ...]:
    measurement = row.measurement
    latency, memory = measurement.latency, measurement.max_pss_bytes
    return (
        row.name,
        NOTHING if latency is None else duration(latency.median_s),
        NOTHING if latency is None else duration(latency.p99_s),
        NOTHING if measurement.imbalance is None else percent(measurement.imbalance),
        NOTHING if memory is None else mebibytes(memory),
    )
