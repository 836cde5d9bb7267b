"""The hooks: a table of contents. In a measuring process only the fixtures and the tests' ids are ours."""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_tfthreads import collection, hookspecs
from pytest_tfthreads.attempts import CONTROLLER
from pytest_tfthreads.collection import CASE_FIXTURE
from pytest_tfthreads.controller import Controller
from pytest_tfthreads.core.threads import Case
from pytest_tfthreads.fixtures import tf_benchmark, tf_threads, tf_threads_process
from pytest_tfthreads.isolation.executor import Executor, Processes
from pytest_tfthreads.keeper import Keeper
from pytest_tfthreads.options import MARKER, Settings, add_options, read_settings
from pytest_tfthreads.process.launcher import Launcher
from pytest_tfthreads.process.machine import Machine
from pytest_tfthreads.process.protocol import MEASURING_PLUGIN
from pytest_tfthreads.resolved import note_options
from pytest_tfthreads.sharing import Sharing
from pytest_tfthreads.snapshots import SYRUPY, ReceivedSnapshots, SentSnapshots
from pytest_tfthreads.ticker import Ticker
from pytest_tfthreads.xdist_bridge import roles
from pytest_tfthreads.xdist_bridge.distribution import Distribution

__all__ = ["tf_benchmark", "tf_threads", "tf_threads_process"]

_SETTINGS = pytest.StashKey[Settings]()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Iterator[None]:
    note_options(config)
    yield


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    settings = read_settings(config)
    settings = replace(settings, seed=roles.seed_of_run(config, settings.seed))
    config.stash[_SETTINGS] = settings
    is_measuring = config.pluginmanager.hasplugin(MEASURING_PLUGIN)
    if not is_measuring:
        _register_plugins(config, settings)
    if config.pluginmanager.hasplugin(SYRUPY):
        snapshots = SentSnapshots() if is_measuring else ReceivedSnapshots()
        config.pluginmanager.register(snapshots, "tfthreads-snapshots")


def _register_plugins(config: pytest.Config, settings: Settings) -> None:
    ticker = Ticker(config)
    sharing = Sharing(config, settings.lease_timeout_s, ticker)
    config.pluginmanager.register(sharing, "tfthreads-sharing")
    distribution = None
    if roles.is_controller(config):
        distribution = Distribution(
            config, settings.seed, sharing.show_waiting, sharing.add_unleased
        )
        config.pluginmanager.register(distribution, "tfthreads-distribution")
    keeper = Keeper(config, settings, sharing, distribution)
    controller = Controller(
        config,
        settings,
        sharing,
        ticker,
        keeper,
        distribution,
        lambda machine: executor_of(config, settings, machine, sharing, ticker),
    )
    config.pluginmanager.register(controller, CONTROLLER)
    config.pluginmanager.register(keeper, "tfthreads-keeper")


def executor_of(
    config: pytest.Config, settings: Settings, machine: Machine, sharing: Sharing, ticker: Ticker
) -> Executor:
    """What runs this session's measuring processes."""
    launcher = Launcher(settings.start, sharing.leases, roles.shared_run(config))
    return Processes(config, settings, machine, launcher, sharing.leases, ticker)


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    collection.parametrize(metafunc, metafunc.config.stash[_SETTINGS].configs)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    collection.assign_cases(items, config.stash[_SETTINGS].configs)


@pytest.fixture(name=CASE_FIXTURE)
def _case(request: pytest.FixtureRequest) -> Case:
    case: Case = request.param
    return case
