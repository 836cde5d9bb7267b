"""A run of pytest that a command has started to have tests measured, and nothing else of them.

The project's own options (`addopts`) are for its ordinary runs: some of them would have the tests
measured elsewhere, or not at all, or would write files that hold nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

_AS_IF_NOT_GIVEN: dict[str, Any] = {
    # pytest's: whatever becomes of a test in the current tree, the next ones are measured too
    "maxfail": 0,
    "stepwise": False,
    "stepwise_skip": False,
    "stepwise_reset": False,
    # pytest-xdist's
    "numprocesses": None,
    "tx": [],
    "dist": "no",
    "distload": False,
    # pytest-benchmark's
    "benchmark_skip": False,
    "benchmark_only": False,
    "benchmark_disable": False,
    "benchmark_save": None,
    "benchmark_autosave": False,
    "benchmark_json": None,
    "benchmark_histogram": None,
    "benchmark_compare": [],
    "benchmark_compare_fail": [],
}
# The test's process has the time that it is given; the conversation about it takes much longer.
_WITHOUT = "timeout"


def settle_for_command(config: pytest.Config) -> None:
    """Take out of this run what does not go with it; to be called before plugins are configured."""
    for name, value in _AS_IF_NOT_GIVEN.items():
        if hasattr(config.option, name):
            setattr(config.option, name, value)
    if config.pluginmanager.hasplugin(_WITHOUT):
        config.pluginmanager.unregister(name=_WITHOUT)
