"""Which tests are benchmarks, as far as that is known before they run."""

from __future__ import annotations

from typing import Any

import pytest

_FIXTURE = "benchmark"


def is_missing(item: pytest.Item) -> bool:
    """Whether the item needs pytest-benchmark, but it does not run here at all."""
    return uses_benchmark(item) and not hasattr(item.config, "_benchmarksession")


def is_skipped(item: pytest.Item) -> bool:
    """Whether the item is a benchmark, and --benchmark-skip holds."""
    session = getattr(item.config, "_benchmarksession", None)
    return session is not None and session.skip and uses_benchmark(item)


def is_enabled(config: pytest.Config) -> bool:
    """Whether benchmarks are measured, and not only tried out (--benchmark-disable)."""
    off = config.getoption("benchmark_disable", False)
    return bool(config.getoption("benchmark_enable", False) or not off)


def measures(item: pytest.Item) -> bool:
    """Whether the item is to be measured, as far as its arguments and their fixtures say.

    Another item may ask for `benchmark` while it runs (`request.getfixturevalue`), as steps of
    pytest-bdd do; and this one may have a fixture of that name which is not pytest-benchmark's. So
    what was measured is decided by what its process recorded.
    """
    return uses_benchmark(item) and is_enabled(item.config)


def may_measure_directly(item: pytest.Item) -> bool:
    """Whether the item is to be measured, or has a `request` of its own to ask for `benchmark`.

    Steps of pytest-bdd do.
    """
    fixtures = getattr(item, "_fixtureinfo", None)
    could_ask = fixtures is not None and "request" in fixtures.argnames
    return measures(item) or (could_ask and is_enabled(item.config))


def may_measure(item: pytest.Item) -> bool:
    """Whether the item is to be measured, or could ask for `benchmark` while it runs.

    It could if it, or a fixture of the project that it uses, has `request`; fixtures of installed
    plugins nearly always have, and are not counted.
    """
    if may_measure_directly(item):
        return True
    fixtures = getattr(item, "_fixtureinfo", None)
    if fixtures is None or not is_enabled(item.config):
        return False
    return any(
        "request" in definition.argnames and _is_of_the_project(definition)
        for definitions in fixtures.name2fixturedefs.values()
        for definition in definitions
    )


def _is_of_the_project(fixture: Any) -> bool:
    """Whether a fixture is from a test's module or a conftest file, not from a plugin."""
    # Since 9.2 pytest warns of the public name.
    found = getattr(fixture, "_has_location", None)
    return bool(fixture.has_location if found is None else found)


def uses_benchmark(item: pytest.Item) -> bool:
    """Whether `benchmark` is among the fixtures of the item, its own or those of its fixtures."""
    return _FIXTURE in getattr(item, "fixturenames", ())
