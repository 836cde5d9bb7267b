"""Which measurements may be compared, and what one measurement is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.trace import Trace

_FINGERPRINT = {
    "cpu": "CPU model",
    "physical": "physical CPUs granted",
    "logical": "logical CPUs granted",
    "quota": "CPU quota",
}
_KINSHIP = ("host", "python", "tensorflow")
"""What need not be the same; of several that may be compared, the one most alike is."""


@dataclass(frozen=True)
class History:
    """What one measurement is judged by: comparable measurements of its test, oldest first.

    The last is the baseline, and `baseline` says in words which that is; `trace` is what is known
    of its trace. With none, `problem` says why, and `status` is the verdict that follows.
    """

    measurements: tuple[Measurement, ...]
    baseline: str = ""
    problem: str = ""
    status: str = "no-baseline"
    trace: Trace | None = None


def why_not_comparable(now: Measurement, then: Measurement) -> str | None:
    """In words what differs so that speeds cannot be compared, or `None`.

    Clock readings and the versions of TensorFlow and Python may differ: releases are what people
    compare.
    """
    mine = {**fingerprint(now), **conditions(now)}
    theirs = {**fingerprint(then), **conditions(then)}
    differences = [
        f"{words}: {shown(value)} now, {shown(theirs[words])} then"
        for words, value in mine.items()
        if value != theirs[words]
    ]
    return "; ".join(differences) or None


def fingerprint(measurement: Measurement) -> dict[str, Any]:
    """What must be the same of two machines for speeds to be compared, in words."""
    return {words: measurement.machine.get(key) for key, words in _FINGERPRINT.items()}


def conditions(measurement: Measurement) -> dict[str, Any]:
    """What must be the same of two measurements of a test beside their machines, in words."""
    return {
        "CPUs of the test": len(measurement.cpus),
        "intra-op threads asked for": measurement.requested.intra,
        "inter-op threads asked for": measurement.requested.inter,
        "start of processes": measurement.start,
        "unit": measurement.unit,
        "items a call": measurement.items,
    }


def shown(value: object) -> str:
    """A value of `fingerprint` or `conditions` for people."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def kinship(now: Measurement, then: Measurement) -> int:
    """How many things are the same of the two that need not be."""
    return sum(now.machine.get(key) == then.machine.get(key) for key in _KINSHIP)
