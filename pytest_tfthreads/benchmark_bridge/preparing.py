"""Prepares pytest-benchmark in a measuring process: it is to do what is done there, and quickly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_tfthreads.benchmark_bridge.cprofile_dump import hold_dump
from pytest_tfthreads.system.originals import ORIGINALS

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
_TIMER_STEPS = 100


def preload() -> None:
    """Import here what pytest-benchmark imports when a session begins, so that no fork has to."""
    import pytest_benchmark.storage.file  # noqa: F401


def leave_git_alone() -> None:
    """Keep pytest-benchmark from asking git, five times over, for the name of an autosaved file.

    It does so whenever it adds its options, and a measuring process saves nothing.
    """
    from pytest_benchmark import plugin

    plugin.get_tag = lambda *_: "unused"


def try_timers_briefly() -> None:
    """Keep pytest-benchmark from trying out its timer for a second, as it does before 5.3.

    That second would pass in every measuring process, on a CPU that is busy all the while.
    """
    from pytest_benchmark import fixture

    fixture.compute_timer_precision = precision_s


def precision_s(timer: Callable[[], float]) -> float | None:
    """The smallest of a hundred steps of a timer; None if it stands still for a second."""
    deadline_s = ORIGINALS.monotonic() + 1.0
    steps_s: list[float] = []
    before_s = timer()
    while len(steps_s) < _TIMER_STEPS and ORIGINALS.monotonic() < deadline_s:
        now_s = timer()
        if now_s > before_s:
            steps_s.append(now_s - before_s)
        before_s = now_s
    return min(steps_s, default=None)


def prepare_options(config: pytest.Config) -> None:
    """Leave to the pytest process what is done once a run, and profiles to `cprofile_dump`."""
    hold_dump(config)
    for name, value in _OPTIONS_OF_THE_RUN.items():
        if hasattr(config.option, name):
            setattr(config.option, name, value)
