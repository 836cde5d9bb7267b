"""pytest-benchmark's options for one test, and which of them are the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

# pytest-benchmark's defaults; a value that differs was set by the user.
_STOCK_OPTIONS = {"min_time": 5e-6, "max_time": 1.0, "calibration_precision": 10}
_WARMUP_OPTIONS = {"warmup", "warmup_iterations"}


@dataclass(frozen=True)
class BenchmarkSettings:
    """pytest-benchmark's options for one test, and which of them are the user's own."""

    min_time_s: float
    max_time_s: float
    own: frozenset[str]
    own_timer: Callable[[], float] | None
    own_warmup: bool


def read_settings(item: pytest.Item) -> BenchmarkSettings | None:
    """What holds for this item's `benchmark`; None where pytest-benchmark is switched off."""
    session = getattr(item.config, "_benchmarksession", None)
    if session is None:
        return None
    from pytest_benchmark.timers import default_timer

    marker = item.get_closest_marker("benchmark")
    said = dict(marker.kwargs) if marker else {}
    timer = said.get("timer", session.options["timer"].target)
    options = {**session.options, **said}
    stock = {name for name, value in _STOCK_OPTIONS.items() if float(options[name]) == value}
    return BenchmarkSettings(
        min_time_s=float(options["min_time"]),
        max_time_s=float(options["max_time"]),
        own=frozenset(_STOCK_OPTIONS.keys() - stock),
        own_timer=None if timer is default_timer else timer,
        own_warmup=bool(session.options["warmup"]) or bool(said.keys() & _WARMUP_OPTIONS),
    )


def budget_s(item: pytest.Item) -> float:
    """For how long rounds of the item are to be measured, in each process; 0 if nobody knows."""
    try:
        settings = read_settings(item)
    except (TypeError, ValueError):  # an option that is no number: its own process will tell
        return 0.0
    return 0.0 if settings is None else settings.max_time_s


def override(item: pytest.Item, **options: Any) -> None:
    """Set options of this item's `benchmark`, whatever else says otherwise."""
    marker = item.get_closest_marker("benchmark")
    said = dict(marker.kwargs) if marker else {}
    item.add_marker(pytest.mark.benchmark(**{**said, **options}), append=False)
