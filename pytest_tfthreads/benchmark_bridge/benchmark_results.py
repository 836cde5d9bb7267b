"""Adds measurements to pytest-benchmark's session, for its table, files and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_tfthreads.core.benchmark_record import BenchmarkRecord

EXTRA_INFO = "tf_threads"
# Times of single rounds, which our table does not have.
_COLUMNS_BESIDE_OURS = ("min", "median", "max", "stddev", "rounds", "iterations")


def holds_only_ours(config: pytest.Config) -> bool:
    """Whether tests were measured, and all of them with the marker."""
    session = getattr(config, "_benchmarksession", None)
    benchmarks = [] if session is None else session.benchmarks
    return bool(benchmarks) and all(
        EXTRA_INFO in (benchmark.extra_info or {}) for benchmark in benchmarks
    )


def shorten_table(config: pytest.Config) -> None:
    """Leave out of pytest-benchmark's table what ours says, unless its columns were asked for.

    Releases whose default is not `None` do not tell whether they were; their table stays as it is.
    """
    session = getattr(config, "_benchmarksession", None)
    if session is not None and config.getoption("benchmark_columns", ()) is None:
        session.columns = list(_COLUMNS_BESIDE_OURS)


def add(
    config: pytest.Config,
    nodeid: str,
    name: str,
    param: str | None,
    params: Mapping[str, Any],
    record: BenchmarkRecord,
    tf_threads: Mapping[str, Any],
) -> dict[str, Any]:
    """Add a measurement to pytest-benchmark's session, as if it had been measured here.

    Returns what will be written of `tf_threads`: it can be changed until then.
    """
    from pytest_benchmark.stats import Metadata

    written = dict(tf_threads)
    profile = record.cprofile
    metadata = Metadata(
        SimpleNamespace(
            name=name,
            fullname=nodeid,
            group=record.group,
            param=param,
            params=dict(params),
            extra_info={**record.extra_info, EXTRA_INFO: written},
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
    # Under --keep-duplicates a test is measured several times, and the last time counts: in a saved
    # run each test is there once.
    benchmarks = config._benchmarksession.benchmarks  # type: ignore[attr-defined]
    benchmarks[:] = [one for one in benchmarks if one.fullname != nodeid]
    benchmarks.append(metadata)
    return written
