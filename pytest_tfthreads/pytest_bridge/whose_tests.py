"""Which tests are run in measuring processes, and which by pytest itself."""

from __future__ import annotations

import pytest

from pytest_tfthreads.benchmark_bridge import benchmark_items
from pytest_tfthreads.pytest_bridge.collection import case_of, mistake_of


def is_ours(item: pytest.Item) -> bool:
    """Whether the item is marked, and to be run in measuring processes (or known to be wrong)."""
    is_marked = case_of(item) is not None or mistake_of(item) is not None
    return is_marked and not runs_here(item)


def runs_here(item: pytest.Item) -> bool:
    """Items that pytest would not run need no process to be skipped in."""
    config = item.config
    if config.getoption("setuponly", False) or config.getoption("setupplan", False):
        return True
    has_skips = config.pluginmanager.hasplugin("skipping")
    if has_skips and item.get_closest_marker("skip") is not None:
        return True
    return benchmark_items.is_skipped(item)
