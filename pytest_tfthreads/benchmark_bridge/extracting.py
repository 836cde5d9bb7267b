"""Reads what pytest-benchmark has measured in a measuring process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_tfthreads.benchmark_bridge.cprofile_dump import dump
from pytest_tfthreads.core.benchmark_record import BenchmarkRecord


def extract(config: pytest.Config, options: Mapping[str, Any]) -> BenchmarkRecord | None:
    """What the item measured; None if it measured nothing (no fixture, disabled, failed).

    `options` are recorded instead of those that pytest-benchmark was given. The file of
    --benchmark-cprofile-dump is written, if it can be.
    """
    session = getattr(config, "_benchmarksession", None)
    measured = (
        [benchmark for benchmark in session.benchmarks if benchmark and not benchmark.has_error]
        if session
        else []
    )
    if not measured:
        return None
    metadata = measured[-1]
    profile = metadata.cprofile_stats
    return BenchmarkRecord(
        data=tuple(metadata.stats.data),
        iterations=metadata.iterations,
        group=metadata.group,
        options={**metadata.as_dict(include_data=False, stats=False)["options"], **options},
        extra_info=metadata.extra_info,
        cprofile=None
        if profile is None
        else tuple((*function, *figures[:4]) for function, figures in profile.stats.items()),
        unwritten=dump(config, metadata),
    )
