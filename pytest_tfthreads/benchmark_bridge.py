"""The only module that touches pytest-benchmark's private parts; tox tests the versions it knows.

In a measuring process it sets the defaults of the `benchmark` fixture and reads what it measured;
in the pytest process it adds measurements to pytest-benchmark's session, from where its table,
its files and its comparisons take them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_FIXTURE = "benchmark"
EXTRA_INFO = "tf_threads"

# A round of 5 ms or a little more: long against the clocks' resolution, short against the half
# second for which a shared CPU keeps its speed.
MIN_ROUND_S = 0.005
# pytest-benchmark estimates the calls a round from a first time of at least
# min_time * 5 / calibration_precision, and multiplies by ten below it; with its default of 10 a
# "round of 5 ms" may take 25 ms.
_CALIBRATION_PRECISION = 1000

_STOCK_OPTIONS = {"min_time": 5e-6, "calibration_precision": 10}

# What pytest-benchmark's session does once for the whole run, in the pytest process.
_OPTIONS_OF_THE_RUN: dict[str, Any] = {
    "benchmark_save": None,
    "benchmark_autosave": None,
    "benchmark_json": None,
    "benchmark_compare": [],
    "benchmark_compare_fail": None,
    "benchmark_histogram": [],
    "benchmark_group_by": "group",  # by param:intra, which only the pytest process adds
}


@dataclass(frozen=True)
class BenchmarkRecord:
    """What one use of the `benchmark` fixture left; `data` are seconds a call, one for each round."""

    data: tuple[float, ...]
    iterations: int
    group: str | None
    options: Mapping[str, Any]
    extra_info: Mapping[str, Any]
    cprofile: tuple[tuple[Any, ...], ...] | None

    @property
    def rounds(self) -> int:
        return len(self.data)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BenchmarkRecord:
        profile = data["cprofile"]
        return cls(
            data=tuple(data["data"]),
            iterations=data["iterations"],
            group=data["group"],
            options=data["options"],
            extra_info=data["extra_info"],
            cprofile=None if profile is None else tuple(tuple(row) for row in profile),
        )


# -- in the measuring process ---------------------------------------------------------------------


def prepare_options(config: pytest.Config) -> None:
    """Leave to the pytest process what is done once for the whole run."""
    for name, value in _OPTIONS_OF_THE_RUN.items():
        if hasattr(config.option, name):
            setattr(config.option, name, value)


def set_defaults(
    item: pytest.Item, use_timer: Callable[[Callable[[], float]], Any], warmup: int
) -> None:
    """Give `benchmark` our timer and defaults, through its marker; what the user says stays.

    `use_timer` is told the user's own timer, if any, and returns the one to read.
    """
    session = getattr(item.config, "_benchmarksession", None)
    if session is None:
        return
    from pytest_benchmark.timers import default_timer

    marker = item.get_closest_marker("benchmark")
    said = dict(marker.kwargs) if marker else {}
    options: dict[str, Any] = {}
    if _is_stock(session.options, "min_time"):
        options["min_time"] = MIN_ROUND_S
    if not session.options["warmup"] and not said.keys() & {"warmup", "warmup_iterations"}:
        options |= {"warmup": True, "warmup_iterations": warmup}
    timer = said.get("timer", session.options["timer"].target)
    # Not for a timer of the user's, which may be coarse: a round lasts at least its resolution
    # times this number.
    if timer is default_timer and _is_stock(session.options, "calibration_precision"):
        options["calibration_precision"] = _CALIBRATION_PRECISION
    item.add_marker(
        pytest.mark.benchmark(**{**options, **said, "timer": use_timer(timer)}), append=False
    )


def extract(config: pytest.Config) -> BenchmarkRecord | None:
    """What the item measured; None if it measured nothing (no fixture, disabled, failed)."""
    session = getattr(config, "_benchmarksession", None)
    measured = [one for one in session.benchmarks if one and not one.has_error] if session else []
    if not measured:
        return None
    metadata = measured[-1]
    profile = metadata.cprofile_stats
    return BenchmarkRecord(
        data=tuple(metadata.stats.data),
        iterations=metadata.iterations,
        group=metadata.group,
        options={
            name: int(value) if type(value) not in (bool, float) and isinstance(value, int) else value
            for name, value in metadata.as_dict(include_data=False, stats=False)["options"].items()
        },
        extra_info=metadata.extra_info,
        cprofile=None
        if profile is None
        else tuple((*function, *figures[:4]) for function, figures in profile.stats.items()),
    )


# -- in the pytest process ------------------------------------------------------------------------


def joined(records: Sequence[BenchmarkRecord]) -> BenchmarkRecord:
    """The rounds of all processes as one record; all else is the first one's."""
    return replace(records[0], data=tuple(itertools.chain(*(one.data for one in records))))


def is_missing(item: pytest.Item) -> bool:
    """Whether the item needs pytest-benchmark, but it does not run here at all."""
    return _uses_benchmark(item) and not hasattr(item.config, "_benchmarksession")


def is_skipped(item: pytest.Item) -> bool:
    """Whether the item is a benchmark, and --benchmark-skip holds."""
    session = getattr(item.config, "_benchmarksession", None)
    return session is not None and session.skip and _uses_benchmark(item)


def _uses_benchmark(item: pytest.Item) -> bool:
    return _FIXTURE in getattr(item, "fixturenames", ())


def add(
    config: pytest.Config,
    nodeid: str,
    name: str,
    param: str | None,
    params: Mapping[str, Any],
    record: BenchmarkRecord,
    tf_threads: Mapping[str, Any],
) -> None:
    """Add a measurement to pytest-benchmark's session, as if it had been measured here."""
    from pytest_benchmark.stats import Metadata

    profile = record.cprofile
    metadata = Metadata(
        SimpleNamespace(
            name=name,
            fullname=nodeid,
            group=record.group,
            param=param,
            params=dict(params),
            extra_info={**record.extra_info, EXTRA_INFO: dict(tf_threads)},
            cprofile_stats=None
            if profile is None
            else SimpleNamespace(
                stats={tuple(row[:3]): (*row[3:], {}) for row in profile}, total_tt=0
            ),
            has_error=False,
        ),
        iterations=record.iterations,
        options=dict(record.options),
    )
    for seconds in record.data:
        metadata.update(seconds * record.iterations)
    config._benchmarksession.benchmarks.append(metadata)  # type: ignore[attr-defined]


def _is_stock(options: Mapping[str, Any], name: str) -> bool:
    return math.isclose(float(options[name]), _STOCK_OPTIONS[name])
