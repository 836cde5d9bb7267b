"""What a history needs of a saved run, as it is kept in the index: short, and quick to read.

Most of a point says how it was measured, which is the same of many tests and runs. So that stands
once in a run, and as a text of its own: equal texts are decoded once.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pytest_tfthreads.core.decode import DecodeError, NotNegative, Renamed, Within, decode, encode
from pytest_tfthreads.core.json_text import loads
from pytest_tfthreads.core.stats.estimates import Spread
from pytest_tfthreads.history.series import Facts, Point, Run, name_of
from pytest_tfthreads.system.run_index import Form

_Speed = Annotated[float, Within(5e-324)]  # a logarithm of it is taken
_THROUGHPUT, _EFFICIENCY = "throughput", "cpu_efficiency"


@dataclass(frozen=True)
class _How:
    """What a point says beside its figures."""

    machine: Facts
    conditions: Facts
    place: Facts
    unit: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class _Figures:
    """A point; `how` is an index."""

    how: Annotated[int, Within(0), Renamed("h")]
    throughput: Annotated[tuple[_Speed, ...], Renamed("t")]
    cpu_efficiency: Annotated[tuple[_Speed, ...], Renamed("c")]
    measured_s: Annotated[NotNegative, Renamed("s")]
    regressed: Annotated[bool, Renamed("x")] = False
    reference_speeds: Annotated[tuple[_Speed, ...], Renamed("r")] = ()
    spreads: Annotated[Mapping[str, Spread], Renamed("w")] = field(default_factory=dict)
    others_taken: Annotated[NotNegative | None, Renamed("o")] = None

    def __post_init__(self) -> None:
        if not 0 < len(self.throughput) == len(self.cpu_efficiency):
            raise ValueError("there are not as many speeds of each kind")


@dataclass(frozen=True)
class _Run:
    datetime: str
    commit: str | None
    dirty: bool
    complete: bool
    failed: frozenset[str]
    hows: tuple[str, ...]
    points: Mapping[str, tuple[_Figures, ...]]


def _to_json(run: Run) -> Any:
    hows: dict[str, int] = {}
    points = {
        test: tuple(
            _Figures(
                hows.setdefault(_text(point), len(hows)),
                point.speeds[_THROUGHPUT],
                point.speeds[_EFFICIENCY],
                point.measured_s,
                point.regressed,
                point.reference_speeds,
                point.spreads,
                point.others_taken,
            )
            for point in several
        )
        for test, several in run.points.items()
    }
    return encode(
        _Run(run.datetime, run.commit, run.dirty, run.complete, run.failed, tuple(hows), points)
    )


def _from_json(path: str, data: Any) -> Run:
    kept = decode(_Run, data)
    hows = [_how(text) for text in kept.hows]
    return Run(
        **name_of(path),
        datetime=kept.datetime,
        commit=kept.commit,
        dirty=kept.dirty,
        complete=kept.complete,
        failed=kept.failed,
        points={
            test: tuple(_point(hows, figures) for figures in several)
            for test, several in kept.points.items()
        },
    )


def _point(hows: list[_How], figures: _Figures) -> Point:
    if figures.how >= len(hows):
        raise DecodeError(f"is {figures.how}, of {len(hows)}", "h")
    how = hows[figures.how]
    return Point(
        machine=how.machine,
        conditions=how.conditions,
        place=how.place,
        unit=how.unit,
        versions=how.versions,
        speeds={_THROUGHPUT: figures.throughput, _EFFICIENCY: figures.cpu_efficiency},
        measured_s=figures.measured_s,
        regressed=figures.regressed,
        reference_speeds=figures.reference_speeds,
        spreads=figures.spreads,
        others_taken=figures.others_taken,
    )


def _text(point: Point) -> str:
    how = _How(point.machine, point.conditions, point.place, point.unit, point.versions)
    return json.dumps(encode(how), separators=(",", ":"))


@functools.lru_cache(maxsize=4096)
def _how(text: str) -> _How:
    return decode(_How, json.loads(text))


HISTORY: Form[Run] = Form("history", _to_json, _from_json, loads)
