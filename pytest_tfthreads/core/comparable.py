"""Which measurements may be compared, and what one measurement is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.op_profile import Trace

_FINGERPRINT = {
    "cpu": "CPU model",
    "physical": "physical CPUs granted",
    "logical": "logical CPUs granted",
    "quota": "CPU quota",
}
SOFTWARE = {"tensorflow": "TensorFlow", "python": "Python", "onednn": "oneDNN"}
"""What may change a speed without a change of the code: where its version is recorded, its name."""
_KINSHIP = ("host", "python", "tensorflow")
"""What need not be the same; of several that may be compared, the one most alike is."""


@dataclass(frozen=True)
class History:
    """What one measurement is judged by: comparable measurements of its test, oldest first.

    `titles` are those of their runs, `baseline` that of the last, and `trace` is what is known of
    its trace. Those of the present level (`level`) are the baseline, which begins with `since` at
    the earliest; `beside` are those that were measured side by side with their baselines without a
    regression. If the user named a run, the last alone is the baseline, and `named` is its time.
    With no measurement, `problem` says why, and `status` is the verdict that follows.
    """

    measurements: tuple[Measurement, ...]
    baseline: str = ""
    problem: str = ""
    status: str = "no-baseline"
    trace: Trace | None = None
    titles: tuple[str, ...] = ()
    named: str = ""
    since: int = 0
    beside: frozenset[int] = frozenset()

    def words_of(self, members: Sequence[int]) -> str:
        """The runs of these measurements, for people."""
        if not self.titles or not members:
            return self.baseline
        first, last = self.titles[members[0]], self.titles[members[-1]]
        return first if first == last else f"the mean of {len(members)} runs, {first} to {last}"


def why_not_comparable(now: Measurement, then: Measurement) -> str | None:
    """What differs so that speeds cannot be compared, as a sentence, or `None`.

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
    """What must be the same of two machines for speeds to be compared, by name."""
    return {words: measurement.machine.get(key) for key, words in _FINGERPRINT.items()}


def conditions(measurement: Measurement) -> dict[str, Any]:
    """What must be the same of two measurements of a test beside their machines, by name."""
    return {
        "instances at once": measurement.instances,
        "CPUs of the test": len(measurement.granted),
        "intra-op threads asked for": measurement.requested.intra,
        "inter-op threads asked for": measurement.requested.inter,
        "start of processes": measurement.start,
        "unit": measurement.unit,
        "items a call": measurement.items,
    }


def shown(value: object) -> str:
    """A value of `fingerprint` or `conditions` for people."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def is_of_this_python(now: Measurement, then: Measurement) -> bool:
    """Whether both ran under one feature release of Python, such as 3.12."""
    mine, theirs = (one.machine.get("python") for one in (now, then))
    return _feature_release(mine) == _feature_release(theirs)


def _feature_release(version: object) -> object:
    return version.split(".")[:2] if isinstance(version, str) else version


def changed_software(now: Measurement, then: Measurement) -> str:
    """Such as "TensorFlow 2.20.0 → 2.21.0"; nothing where all versions are the same, or unknown.

    Of Python another feature release counts, and no patch release.
    """
    versions = {
        words: (then.machine.get(key), now.machine.get(key)) for key, words in SOFTWARE.items()
    }
    return ", ".join(
        f"{words} {before} → {after}"
        for words, (before, after) in versions.items()
        if before and after and _feature(words, before) != _feature(words, after)
    )


def _feature(words: str, version: object) -> object:
    return _feature_release(version) if words == SOFTWARE["python"] else version


def kinship(now: Measurement, then: Measurement) -> int:
    """How many things are the same of the two that need not be."""
    return sum(now.machine.get(key) == then.machine.get(key) for key in _KINSHIP)
