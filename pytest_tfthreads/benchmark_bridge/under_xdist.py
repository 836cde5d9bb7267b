"""What pytest-benchmark would do beside pytest-xdist, and is kept from, or made to do later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_tfthreads.benchmark_bridge.benchmark_items import uses_benchmark

_ONLY = pytest.StashKey[bool]()
UNMEASURED = (
    "--benchmark-only: pytest-benchmark measures nothing under pytest-xdist; mark tests with "
    "@pytest.mark.tf_threads, or leave -n (--numprocesses, --dist, --tx) out"
)


def hold_only(config: pytest.Config) -> None:
    """Keep --benchmark-only from pytest-benchmark, which refuses it beside pytest-xdist.

    To be called under pytest-xdist before pytest-benchmark is configured; `return_only` gives it
    back. With --benchmark-disable the refusal is right.
    """
    held = config.getoption("benchmark_only", False)
    if held and (config.getoption("benchmark_enable") or not config.getoption("benchmark_disable")):
        config.option.benchmark_only = False
        config.stash[_ONLY] = True


def return_only(config: pytest.Config) -> None:
    """Have --benchmark-only hold, from now on, if `hold_only` held it."""
    session = getattr(config, "_benchmarksession", None)
    if session is not None and config.stash.get(_ONLY, False):
        config.option.benchmark_only = session.only = True
        session.skip = False


def was_held(config: pytest.Config) -> bool:
    """Whether --benchmark-only is given where pytest-benchmark measures nothing."""
    return config.stash.get(_ONLY, False)


def skip_unmeasured(items: Sequence[pytest.Item]) -> None:
    """Skip benchmarks that pytest-benchmark would not measure, though --benchmark-only is given."""
    for item in items:
        if uses_benchmark(item) and was_held(item.config):
            item.add_marker(pytest.mark.skip(reason=UNMEASURED))


def warn_of_no_measurements(config: pytest.Config, unmeasured: Sequence[pytest.Item]) -> None:
    """Let pytest-benchmark say that pytest-xdist disables benchmarks only where it is so.

    `unmeasured` are the items of which that may be true. Releases before 5.3 say it before tests
    are collected.
    """
    session = getattr(config, "_benchmarksession", None)
    if session is not None and not any(map(uses_benchmark, unmeasured)):
        session.xdist_benchmark_found = False


def leave_files_to_the_controller(config: pytest.Config) -> None:
    """Have pytest-benchmark's session of a pytest-xdist worker write nothing.

    Some releases measure `benchmark.pedantic` there in tests without the marker, and the worker
    would write that over what the controller writes.
    """
    session: Any = getattr(config, "_benchmarksession", None)
    if session is not None:
        session.json = session.save = session.autosave = session.histogram = None
