"""A marked test in the pytest process: its phases, and the plugins that run it as they like.

pytest's runner, or whichever plugin stands before it, runs the test's phases (setup, call,
teardown). Only the phases are not what they are elsewhere: the first one has measuring processes
run the whole test, and each of the three brings what those processes reported and raised.

A plugin that runs failed tests again, or a recipe in a conftest.py that does, implements
`pytest_runtest_protocol` and has the phases run more than once. This happens in the pytest process,
and there only. So each attempt is a measurement of its own, and the plugin sees what it would see
without us.

Other plugins and conftest.py files have their hooks of phases called in the measuring processes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_tfthreads.names import MARKED_TESTS_PLUGIN
from pytest_tfthreads.pytest_bridge.raised import for_report

PROTOCOL = "pytest_runtest_protocol"
_PHASES = ("pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown")
_RUNNER = "runner"  # pytest's own
# Plugins that run a test in a fork of this process, where nothing can be measured. A marked test
# has a process of its own, so it needs none of theirs.
_FORKING = ("pytest_forked", "pytest_isolate")
# Plugins that decide about a test by what became of others, and so have to see all of them.
_FOLLOWING = ("pytest_dependency",)


@dataclass(frozen=True)
class Attempt:
    """What became of one run of a test.

    `reports` in order; of each phase the last one is the phase's own, others (of subtests) come
    before. `raised`: by phase, what the test raised there.
    """

    reports: Sequence[pytest.TestReport]
    raised: Mapping[str, BaseException]

    def report(self, when: str) -> pytest.TestReport | None:
        """The phase's own report; None where the test did not come to that phase."""
        return next((report for report in reversed(self.reports) if report.when == when), None)

    def other_reports(self, when: str) -> list[pytest.TestReport]:
        """Those within the phase."""
        return [report for report in self.reports if report.when == when][:-1]

    def to_raise(self, when: str) -> BaseException | None:
        """What the phase is to raise here."""
        report = self.report(when)
        if when in self.raised or report is None:
            return self.raised.get(when)
        # A strict xfail that passes has failed and raised nothing; all others stand for a failure
        # of the measuring process, or for one of the measurement.
        return None if str(report.longrepr).startswith("[XPASS") else for_report(report)


class Attempts:
    """Lets the plugins of one session run marked tests as they would without us."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._running = ""  # the plugin that is running a test now

    @property
    def left_out(self) -> tuple[str, ...]:
        """Plugins (by name) whose way of running a test is not for measuring processes.

        A conftest.py may do something else before each test, and is left out only for a test that
        it runs here.
        """
        return tuple(
            protocol.plugin_name
            for protocol in _protocols(self._config)
            if protocol.plugin_name != _RUNNER
            and (not _is_conftest(protocol) or protocol.plugin_name == self._running)
        )

    def run(
        self, item: pytest.Item, nextitem: pytest.Item | None, attempt: Callable[[], Attempt]
    ) -> None:
        """Have this item run by the first that wants to: a plugin, a conftest.py, pytest itself.

        `attempt` has the item run in measuring processes, once.
        """
        arguments = {"item": item, "nextitem": nextitem}
        for protocol in _protocols(self._config):
            if _is_of(protocol.plugin, _FORKING):
                continue
            self._running = protocol.plugin_name
            phases = _Phases(item, attempt, protocol.plugin_name)
            running = () if protocol.plugin_name == _RUNNER else (protocol.plugin,)
            try:
                with _led_to(phases, item, running):
                    result = protocol.function(*(arguments[name] for name in protocol.argnames))
            finally:
                self._running = ""
            if result is not None:
                return


class _Phases:
    """Stands for pytest's own implementations of a test's phases, for one item."""

    def __init__(self, item: pytest.Item, attempt: Callable[[], Attempt], running: str) -> None:
        self._item = item
        self._attempt = attempt
        self._running = running
        self._pid = os.getpid()
        self._current: Attempt | None = None
        self._expected: BaseException | None = None  # which the phase's own report tells of

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(self) -> None:
        if os.getpid() != self._pid:
            pytest.fail(
                f"{self._item.nodeid}: the plugin {self._running} runs tests in forks of pytest, "
                "where a tf_threads test cannot be measured (and needs not be: it has a process of "
                f"its own). Switch that plugin off for it, or altogether: -p no:{self._running}",
                pytrace=False,
            )
        self._current = None
        self._current = self._attempt()
        self._end("setup")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_call(self) -> None:
        self._end("call")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, nextitem: pytest.Item | None) -> None:
        # Fixtures of tests that ran here before, which this item shares a module or class with,
        # may end with it.
        self._item.session._setupstate.teardown_exact(nextitem)
        self._end("teardown")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> pytest.TestReport:
        report = None if self._current is None else self._current.report(call.when)
        error = None if call.excinfo is None else call.excinfo.value
        if call.when == "teardown":
            self._current = None
        if report is None or error is not self._expected:  # of the plugin's, or of a fixture here
            return pytest.TestReport.from_item_and_call(self._item, call)
        return report

    def _end(self, when: str) -> None:
        self._expected = None
        if self._current is None:
            return
        for report in self._current.other_reports(when):
            self._item.ihook.pytest_runtest_logreport(report=report)
        self._expected = self._current.to_raise(when)
        if self._expected is not None:
            raise self._expected


class _Relay:
    """An item's hooks while it is run: for its phases, those of a few plugins and ours alone."""

    def __init__(self, hooks: Any, of_phases: Any) -> None:
        self._hooks = hooks
        self._of_phases = of_phases

    def __getattr__(self, name: str) -> Any:
        if name in _PHASES or name == "pytest_runtest_makereport":
            return self._of_phases(name)
        if name == "pytest_exception_interact":  # it was called where the exception was raised
            return lambda **_: []
        return getattr(self._hooks, name)


@contextlib.contextmanager
def _led_to(phases: _Phases, item: pytest.Item, running: Sequence[object]) -> Iterator[None]:
    """While the item is run, its phases are ours; `running`: the plugin that runs it, if any."""
    manager = item.config.pluginmanager
    session: Any = item.session
    hooks_of = session.gethookproxy

    def of_phases(name: str) -> Any:
        others = [
            plugin
            for plugin in manager.get_plugins()
            if plugin is not phases and plugin not in running and not _is_of(plugin, _FOLLOWING)
        ]
        return manager.subset_hook_caller(name, remove_plugins=others)

    manager.register(phases, "tfthreads-phases")
    session.gethookproxy = lambda path: _Relay(hooks_of(path), of_phases)
    try:
        yield
    finally:
        del session.gethookproxy
        manager.unregister(phases)


def _protocols(config: pytest.Config) -> list[Any]:
    """Who would run a test, in the order in which they are asked; one is pytest's own runner."""
    return [
        implementation
        for implementation in reversed(getattr(config.hook, PROTOCOL).get_hookimpls())
        if not (implementation.hookwrapper or implementation.wrapper)
        and implementation.plugin_name != MARKED_TESTS_PLUGIN
    ]


def _is_conftest(protocol: Any) -> bool:
    return str(protocol.plugin_name).endswith("conftest.py")


def _is_of(plugin: object, packages: Sequence[str]) -> bool:
    """Whether a plugin is (in) one of these packages, under whatever name it is registered."""
    module = getattr(plugin, "__name__", None) or type(plugin).__module__
    return str(module).partition(".")[0] in packages
