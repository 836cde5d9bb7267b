"""What is to be measured at several variants of the code, and what was: files between processes.

A command writes a `Plan` into a directory of its own and starts pytest, which leaves a file there
for each test that it has measured, a `MeasuredAt`. Each file is whole as soon as it is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pytest_tfthreads.core.decode import Count, DecodeError, Within, decode, encode
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.threads import Configuration

CURRENT = "."
"""Names the current tree, with what is not committed."""
_PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """The variants of the code, in the order in which they follow each other, and the passes.

    A variant is `CURRENT`, a revision as git understands it, or `python=PATH`, another environment.
    A pass is one process of each variant. Raises `ValueError` where there are not two variants, or
    one is there twice.
    """

    variants: tuple[str, ...]
    passes: Annotated[int, Within(1)]

    def __post_init__(self) -> None:
        if len(self.variants) < 2:
            raise ValueError(f"{len(self.variants)} variants: at least two can be compared")
        twice = sorted({one for one in self.variants if self.variants.count(one) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")

    def to_text(self) -> str:
        return json.dumps(encode(self))

    @classmethod
    def read(cls, directory: Path) -> Plan:
        """The plan in a directory. Raises `DecodeError`, and `OSError` where it cannot be read."""
        path = plan_in(directory)
        return decode(cls, _parsed(path), str(path))


@dataclass(frozen=True)
class AtVariant:
    """A test at one variant: its measurement, or the `problem` that it has there.

    `name` is the variant's in the plan, `commit` the full id that was checked out (None: the
    current tree's code), and `python` the version of the interpreter. `notes` are for the reader.
    """

    name: str
    title: str
    commit: str | None
    python: str
    measurement: Measurement | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MeasuredAt:
    """One configuration of one test at all variants of the plan, in its order.

    Samples of different variants with the same `ring` took turns with each other.
    """

    nodeid: str
    group: str  # of all configurations of its test
    configuration: Configuration  # its own among them
    variants: tuple[AtVariant, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the fields."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "") -> MeasuredAt:
        """Raises `DecodeError`, which begins with `where` the data is."""
        decoded = decode(cls, data, where)
        for one in decoded.variants:
            if one.measurement is not None:
                try:
                    one.measurement.check()
                except DecodeError as error:
                    raise error.within("measurement").within(where) from error
        return decoded


def plan_in(directory: Path) -> Path:
    """The file of the plan."""
    return directory / _PLAN


def result_in(directory: Path, number: Count) -> Path:
    """The file of the test that is the `number`-th of its run."""
    return directory / f"measured-{number:06}.json"


def results_in(directory: Path) -> list[MeasuredAt]:
    """All that was measured, in the order of the run.

    Raises `DecodeError`, and `OSError` where a file cannot be read.
    """
    paths = sorted(directory.glob("measured-*.json"))
    return [MeasuredAt.from_json(_parsed(path), path.name) for path in paths]


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DecodeError(f"is no JSON: {error}", str(path)) from error
