"""All that takes part in a run with marked tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_tfthreads.engine.launcher import Launcher
from pytest_tfthreads.hooks.leasing import Leasing
from pytest_tfthreads.hooks.marked_tests import MarkedTests
from pytest_tfthreads.hooks.session_results import SessionResults
from pytest_tfthreads.hooks.snapshots import ReceivedSnapshots
from pytest_tfthreads.names import COVERAGE_PLUGIN, MARKED_TESTS_PLUGIN, SNAPSHOTS_PLUGIN, SYRUPY
from pytest_tfthreads.pytest_bridge.coverage_data import ReceivedCoverage
from pytest_tfthreads.pytest_bridge.options import Settings, is_interactive
from pytest_tfthreads.pytest_bridge.progress_line import ProgressLine
from pytest_tfthreads.runner.executor import Executor, ProcessExecutor
from pytest_tfthreads.system.leases.leases import Leases
from pytest_tfthreads.system.machine import Machine
from pytest_tfthreads.xdist_bridge import roles
from pytest_tfthreads.xdist_bridge.distribution import Distribution


class Parts:
    """The plugins of one run, in a process that collects tests or that distributes them."""

    def __init__(
        self, config: pytest.Config, settings: Settings, distribution: Distribution | None
    ) -> None:
        settings = replace(settings, seed=roles.seed_of_run(config, settings.seed))
        progress = ProgressLine(config)
        self._manager = config.pluginmanager
        self.leasing = Leasing(config, settings.lease_timeout_s, progress, distribution)
        self.results = SessionResults(config, settings, self.leasing, distribution)
        self.marked_tests = MarkedTests(
            config,
            settings,
            self.leasing,
            progress,
            self.results,
            distribution,
            lambda machine: executor_of(config, settings, machine, self.leasing.leases(), progress),
        )

    def register(self, session: pytest.Session | None) -> None:
        """Have pytest call them. What a `session` that has started has told others, tell them."""
        self._manager.register(self.marked_tests, MARKED_TESTS_PLUGIN)
        self._manager.register(self.results, "tfthreads-results")
        self._manager.register(ReceivedCoverage(), COVERAGE_PLUGIN)
        if self._manager.hasplugin(SYRUPY):
            self._manager.register(ReceivedSnapshots(), SNAPSHOTS_PLUGIN)
        if session is not None:
            self.marked_tests.pytest_sessionstart()
            self.results.pytest_sessionstart(session)

    def share(self, is_collecting: bool) -> None:
        """From the first marked test on, what computes here waits for processes that measure."""
        self._manager.register(self.leasing, "tfthreads-leasing")
        if is_collecting:
            self.leasing.collect()


def executor_of(
    config: pytest.Config,
    settings: Settings,
    machine: Machine,
    leases: Leases,
    progress: ProgressLine,
) -> Executor:
    """What runs the measuring processes of this run."""
    launcher = Launcher(
        settings.start,
        leases,
        run=roles.shared_run(config),
        shares_terminal=is_interactive(config),
    )
    return ProcessExecutor(config, settings, machine, launcher, leases, progress)
