"""The hooks that every run of pytest has; `watch` brings in the others when a test is marked.

Nothing is imported here that a run without marked tests does not need. In a measuring process only
the fixtures and the tests' ids are ours.

The other hooks are in `hooks`, in `benchmark_bridge.saving` and in `xdist_bridge.distribution`
(pytest-xdist's controller).
"""

from __future__ import annotations

import linecache
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tfthreads import hookspecs
from pytest_tfthreads.names import (
    CASE_FIXTURE,
    COVERAGE_PLUGIN,
    MARKER,
    MEASURING_PLUGIN,
    PROCESS_ATTRIBUTE,
    SNAPSHOTS_PLUGIN,
    SYRUPY,
    WATCH_PLUGIN,
)
from pytest_tfthreads.pytest_bridge.options import MARKER_HELP, add_options, is_for_command
from pytest_tfthreads.pytest_bridge.settled_options import note_options
from pytest_tfthreads.watch import Watch, settings_of

if TYPE_CHECKING:
    from pytest_tfthreads.core.threads import Case, ThreadsInForce
    from pytest_tfthreads.hooks.fixtures import TfBenchmark
    from pytest_tfthreads.measuring.session import MeasuringSession


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, None, None]:
    note_options(config)
    if is_for_command(config):
        from pytest_tfthreads.pytest_bridge.for_command import settle_for_command

        settle_for_command(config)
    yield


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER_HELP)
    # pytest-benchmark, which is the last to be configured, then loads the run to compare with.
    if config.getoption("benchmark_compare", None):
        from pytest_tfthreads.benchmark_bridge.storage_location import tell_any_location
        from pytest_tfthreads.benchmark_bridge.storage_reading import leave_out_unfit_files

        tell_any_location()
        leave_out_unfit_files()
    measuring: MeasuringSession | None = config.pluginmanager.get_plugin(MEASURING_PLUGIN)
    if measuring is None:
        watch = Watch(config)
        config.pluginmanager.register(watch, WATCH_PLUGIN)
        watch.start()
        return
    if config.pluginmanager.hasplugin(SYRUPY):
        from pytest_tfthreads.hooks.snapshots import SentSnapshots

        config.pluginmanager.register(SentSnapshots(), SNAPSHOTS_PLUGIN)
    coverage = measuring.sent.order.call.coverage
    if coverage is not None:
        from pytest_tfthreads.pytest_bridge.coverage_data import SentCoverage

        config.pluginmanager.register(SentCoverage(coverage), COVERAGE_PLUGIN)


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if _is_marked(metafunc.definition):
        from pytest_tfthreads.pytest_bridge import collection

        collection.parametrize(metafunc, settings_of(metafunc.config).configs)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, None]:
    outcome = yield
    # pytest's mark of a unittest.TestCase, of whose methods it does not ask `pytest_generate_tests`
    if getattr(collector, "nofuncargs", False) and outcome.excinfo is None:
        report = outcome.get_result()
        if isinstance(collector, pytest.Class) and report.passed:
            _configure_methods(collector, report)


def _configure_methods(collector: pytest.Class, report: pytest.CollectReport) -> None:
    """One test for each configuration of a marked method of a unittest.TestCase."""
    items = report.result or []
    is_marked = any(map(_is_marked, items))
    if not is_marked and not _knows_marker(collector):
        return
    from pytest_tfthreads.pytest_bridge import unittest_methods

    lost = unittest_methods.lost_marker(items)
    if lost:
        report.outcome, report.longrepr, report.result = "failed", lost, []
    elif is_marked:
        configs = settings_of(collector.config).configs
        report.result = list(unittest_methods.configured(items, configs))


def _knows_marker(collector: pytest.Class) -> bool:
    """Whether the module of a class has our marker, or its name in the source."""
    module = collector.getparent(pytest.Module)
    if module is None:
        return False
    objects = vars(module.obj).values()
    if any(isinstance(one, pytest.MarkDecorator) and one.name == MARKER for one in objects):
        return True
    return any(MARKER in line for line in linecache.getlines(str(module.path)))


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    if _is_marked(item) and (watch := _assign_case(item)) is not None:
        watch.saw(item)


@pytest.hookimpl(hookwrapper=True)  # before all that look at marked tests
def pytest_collection_finish(session: pytest.Session) -> Generator[None, Any, None]:
    # Plugins and conftest files may mark tests when all are collected.
    late, watch = [], None
    for item in session.items:
        if _is_marked(item):
            from pytest_tfthreads.pytest_bridge import collection

            if not collection.is_assigned(item):
                watch = _assign_case(item)
                late.append(item)
    if watch is not None:
        watch.saw_late(session, late)
    yield


def _is_marked(node: Any) -> bool:
    """Whether a test, or what it is in, has our marker.

    `get_closest_marker` says the same, but takes more than twice as long, and each test of every
    suite is looked at three times.
    """
    while node is not None:
        for mark in node.own_markers:
            if mark.name == MARKER:
                return True
        node = node.parent
    return False


def _assign_case(item: pytest.Item) -> Watch | None:
    """Note under which configuration a marked test runs; who is to be told of it, if anyone."""
    from pytest_tfthreads.pytest_bridge import collection

    collection.assign_case(item, settings_of(item.config).configs)
    watch: Watch | None = item.config.pluginmanager.get_plugin(WATCH_PLUGIN)
    return watch


@pytest.fixture(name=CASE_FIXTURE)
def _case(request: pytest.FixtureRequest) -> Case:
    case: Case = request.param
    return case


@pytest.fixture(scope="session")
def tf_threads(pytestconfig: pytest.Config) -> ThreadsInForce:
    """The configuration in force: intra, inter (counted threads) and cpus (CPU numbers).

    The type is `pytest_tfthreads.ThreadsInForce`.
    """
    from pytest_tfthreads.hooks.fixtures import threads_in_force

    return threads_in_force(pytestconfig)


@pytest.fixture
def tf_benchmark(
    tf_threads: ThreadsInForce, benchmark: Any, pytestconfig: pytest.Config
) -> TfBenchmark:
    """Benchmark a step with throughput in your unit: (step, *args, items=1, unit="calls").

    Beside pytest-benchmark's own `benchmark`, whose arguments and options keep their meaning:
    `tf_benchmark.pedantic`, and `tf_benchmark.dataset` for tf.data pipelines. The type is
    `pytest_tfthreads.TfBenchmark`.
    """
    from pytest_tfthreads.hooks.fixtures import benchmark_with_unit

    return benchmark_with_unit(pytestconfig, benchmark, tf_threads)


@pytest.fixture(scope="session")
def tf_threads_process(pytestconfig: pytest.Config) -> int:
    """The number of this measuring process among those that run at once, from 1; 0 elsewhere."""
    number: int = getattr(pytestconfig, PROCESS_ATTRIBUTE, 0)
    return number
