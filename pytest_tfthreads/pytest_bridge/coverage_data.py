"""Coverage of marked tests: collected in measuring processes, added to that of the run.

pytest-cov is switched off in a measuring process, for it would trace the rounds. There coverage.py
collects with the options of the run, and stands still from the first round of a benchmark to the
last. What it has collected comes to the session that collected the test, and into its data before
pytest-cov saves them; so it does with `coverage run -m pytest`.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Generator, Mapping
from typing import Any

import pytest

from pytest_tfthreads.benchmark_bridge import benchmark_fixture
from pytest_tfthreads.engine.interpreter import COVERAGE_VARIABLES

_STATE = "coverage"
_OPTIONS = (  # of the run, which pytest-cov may have set beside the configuration file
    *("branch", "concurrency", "context", "cover_pylib", "include", "omit"),
    *("relative_files", "source", "source_pkgs"),
)


def options_of_run(config: pytest.Config) -> Mapping[str, Any] | None:
    """How a measuring process is to collect, as plain data; None where nobody collects."""
    collecting = _collecting()
    if collecting is None:
        return None
    file = getattr(collecting.config, "config_file", None)
    options = {name: collecting.get_option(f"run:{name}") for name in _OPTIONS}
    return {
        "config_file": os.path.abspath(file) if file else None,
        "options": options,
        "variables": {name: os.environ[name] for name in COVERAGE_VARIABLES if name in os.environ},
        "by_test": config.getoption("cov_context", None) == "test",
    }


class SentCoverage:
    """The hooks in a measuring process."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        import coverage

        os.environ.update(told["variables"])  # for what the test starts
        self._coverage = coverage.Coverage(
            data_file=None, config_file=told["config_file"] or False, messages=False
        )
        for name, value in told["options"].items():
            self._coverage.set_option(f"run:{name}", value)
        # Most of the sources are imported in the pytest process, which warns where they are not.
        self._coverage._warn_unimported_source = False
        self._coverage._warn_no_data = False
        self._coverage._warn_preimported_source = False
        self._by_test = told["by_test"]
        self._coverage.start()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self) -> Generator[None, Any, None]:
        outcome = yield
        if outcome.excinfo is None and benchmark_fixture.is_fixture(outcome.get_result()):
            benchmark_fixture.surround(
                outcome.get_result(), self._coverage.stop, self._coverage.start
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._switch(item, "setup")

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        self._switch(item, "run")
        # As pytest-cov's marker and fixture of this name do.
        is_left_out = item.get_closest_marker("no_cover") is not None or "no_cover" in getattr(
            item, "fixturenames", ()
        )
        if is_left_out:
            self._coverage.stop()
        yield
        if is_left_out:
            self._coverage.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        self._switch(item, "teardown")

    def pytest_tfthreads_send_state(self) -> Mapping[str, Any]:
        self._coverage.stop()
        collected = self._coverage.get_data()
        sent = base64.b64encode(collected.dumps()).decode("ascii")
        # Each test sends its own, where several share the process. What is erased would not be told
        # anew whether it holds branches, and then count as without.
        collected.erase()
        collected._has_arcs = collected._has_lines = False
        self._coverage.start()
        return {_STATE: sent}

    def _switch(self, item: pytest.Item, when: str) -> None:
        if self._by_test:
            self._coverage.switch_context(f"{item.nodeid}|{when}")


class ReceivedCoverage:
    """The hooks in the process that collected the test."""

    def __init__(self) -> None:
        self._received: list[bytes] = []

    def pytest_tfthreads_receive_state(self, state: Mapping[str, Any]) -> None:
        if _STATE in state:
            self._received.append(base64.b64decode(state[_STATE]))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Generator[None, None, None]:
        yield  # pytest-cov saves after this
        collecting = _collecting()
        if collecting is None or not self._received:
            return
        from coverage import CoverageData

        for received in self._received:
            sent = CoverageData(no_disk=True)
            sent.loads(received)
            _add(sent, collecting.get_data())
            if hasattr(sent, "close"):  # coverage.py 7.4 has none
                sent.close()


def _add(sent: Any, data: Any) -> None:
    """Add to the `coverage.CoverageData` of the run what another has, context by context.

    What comes by `CoverageData.update` is missing in the hash by which coverage.py knows copies of
    a file, and leaves them out: of two workers of pytest-xdist, one would be taken for the other.
    """
    for context in sent.measured_contexts():
        sent.set_query_context(context)
        data.set_context(context)
        for file in sent.measured_files():
            if sent.has_arcs():
                data.add_arcs({file: sent.arcs(file) or ()})
            else:
                data.add_lines({file: sent.lines(file) or ()})
            if tracer := sent.file_tracer(file):
                data.add_file_tracers({file: tracer})
    data.set_context(None)


def _collecting() -> Any:
    """The coverage.Coverage that collects in this process, if there is one."""
    module = sys.modules.get("coverage")
    return None if module is None else module.Coverage.current()
