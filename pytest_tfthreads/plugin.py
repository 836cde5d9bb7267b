"""The hooks: a table of contents. In a measuring process only the fixtures and the tests' ids are ours."""  # noqa: E501

from __future__ import annotations

import functools
import os
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_tfthreads import benchmark_bridge, collection, outcomes
from pytest_tfthreads.collection import CASE_FIXTURE, case_of
from pytest_tfthreads.core.search import SearchCost
from pytest_tfthreads.core.sweep import Sweep
from pytest_tfthreads.core.threads import Case
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.fixtures import tf_benchmark, tf_threads
from pytest_tfthreads.gate import Gate
from pytest_tfthreads.isolation.groups import Isolation
from pytest_tfthreads.isolation.results import IsolatedRun, MeasuredTest
from pytest_tfthreads.options import MARKER, Settings, add_options, read_settings
from pytest_tfthreads.process.protocol import MEASURING_PLUGIN
from pytest_tfthreads.report import console, sweep
from pytest_tfthreads.report import verdicts as report_verdicts

__all__ = ["tf_benchmark", "tf_threads"]

_SETTINGS = pytest.StashKey[Settings]()
_REPORT_ATTRIBUTE = "tf_threads"


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    config.stash[_SETTINGS] = read_settings(config)
    if not config.pluginmanager.hasplugin(MEASURING_PLUGIN):
        config.pluginmanager.register(Controller(config), "tfthreads-controller")


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


class Controller:
    """The hooks of the pytest process, which hands marked tests on."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._isolation: Isolation | None = None
        self._runs: dict[str, IsolatedRun] = {}  # of items that are not reported yet
        self._groups: dict[str, list[pytest.Item]] = {}
        self._measured: list[MeasuredTest] = []
        self._gate: Gate | None = None

    @property
    def isolation(self) -> Isolation:
        if self._isolation is None:
            self._isolation = Isolation(self._config, self._config.stash[_SETTINGS])
        return self._isolation

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if self._isolation is None and collection.is_marked(item) and not _may_deselect(item):
            self._prepare_first([item])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._prepare_first(session.items)
        to_judge = sum(
            case_of(item) is not None and benchmark_bridge.measures(item) and not _runs_here(item)
            for item in session.items
        )
        policy = self._config.stash[_SETTINGS].policy
        self._gate = Gate.open(self._config, policy, hypotheses=len(METRICS) * to_judge)
        if self._config.stash[_SETTINGS].configs and not any(map(case_of, session.items)):
            session.config.issue_config_time_warning(
                pytest.PytestWarning(
                    "--tf-threads has nothing to configure: no selected test is marked with "
                    "@pytest.mark.tf_threads"
                ),
                stacklevel=2,
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        mistake = collection.mistake_of(item)
        if (case_of(item) is None and mistake is None) or _runs_here(item):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(item, nextitem, mistake):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = getattr(report, _REPORT_ATTRIBUTE, None)
        if data is None or hasattr(self._config, "workerinput"):
            return  # pytest-xdist carries the report on to the process that keeps the results
        measured = MeasuredTest.from_json(data)
        self._measured.append(measured)
        benchmark_bridge.add(
            self._config,
            nodeid=measured.nodeid,
            name=measured.name,
            param=measured.param,
            params=measured.params,
            record=measured.record,
            tf_threads={
                **measured.measurement.to_json(),
                "verdicts": [verdict.to_json() for verdict in measured.verdicts],
            },
        )

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, object, None]:
        yield  # pytest-benchmark's table first, even if it raises: a wrapper goes on all the same
        if not self._measured:
            self._write_verdicts(terminalreporter)
            return
        rows = [console.Row(one.name, one.measurement) for one in self._measured]
        notes = list(dict.fromkeys(one.note for one in self._measured if one.note))
        terminalreporter.ensure_newline()
        terminalreporter.section("tf_threads", sep="-", yellow=True)
        for line in console.render(rows, notes):
            terminalreporter.write_line(line)
        self._write_verdicts(terminalreporter)
        for group in self._sweeps:
            terminalreporter.write_line("")
            for line in sweep.render(group):
                terminalreporter.write_line(line)
        if self._sweeps:
            seed = self._config.stash[_SETTINGS].seed
            terminalreporter.write_line(f"Same order of set-up again: --tf-threads-seed={seed}")

    def _write_verdicts(self, terminalreporter: pytest.TerminalReporter) -> None:
        verdicts = [verdict for one in self._measured for verdict in one.verdicts]
        lines = report_verdicts.render(verdicts)
        if self._gate is not None:
            lines = lines or [report_verdicts.summary(verdicts)]
            lines += [f"  {note}" for note in self._gate.notes]
        for line in ["", *lines] if lines else []:
            terminalreporter.write_line(line)
        summary_file = os.environ.get("GITHUB_STEP_SUMMARY")
        if verdicts and summary_file:
            with open(summary_file, "a", encoding="utf-8") as file:
                file.write(report_verdicts.markdown(verdicts))

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        # Called once for each file that is written: the same each time.
        output_json[benchmark_bridge.EXTRA_INFO] = {
            "seed": self._config.stash[_SETTINGS].seed,
            "sweeps": [one.to_json() for one in self._sweeps],
        }

    @functools.cached_property
    def _sweeps(self) -> list[Sweep]:
        """Of each test that was measured under several configurations; once all have been."""
        groups: dict[str, dict[str, MeasuredTest]] = {}
        for one in self._measured:  # under --keep-duplicates the last time counts
            groups.setdefault(one.group, {})[one.case] = one
        return [
            Sweep.of(name, [one.candidate for one in members.values()], _search_cost(members))
            for name, members in groups.items()
            if len(members) > 1
        ]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A gate that judged nothing fails, where a missing baseline is to fail."""
        if self._gate is None or hasattr(self._config, "workerinput"):
            return
        if "no-baseline" in self._config.stash[_SETTINGS].policy.fail_on and (
            session.exitstatus == pytest.ExitCode.OK
            and not any(one.verdicts for one in self._measured)
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        if self._isolation is not None:
            self._isolation.close()

    def _prepare_first(self, items: Sequence[pytest.Item]) -> None:
        """Import TensorFlow in the background, for the first test that will need it."""
        if self._config.getoption("collectonly"):
            return
        for item in items:
            collection.assign_cases([item], self._config.stash[_SETTINGS].configs)
            case = case_of(item)
            if case is not None and not _runs_here(item):
                self.isolation.prepare(case)
                return

    def _group(self, item: pytest.Item) -> list[pytest.Item]:
        """The item and all other selected configurations of its test, to be measured with it."""
        config = self._config
        one_by_one = config.stash[_SETTINGS].group == 1 or config.getoption("usepdb")
        if one_by_one or not benchmark_bridge.measures(item):
            return [item]
        if hasattr(config, "workerinput"):  # pytest-xdist may run the others elsewhere
            return [item]
        if not self._groups:
            for one in item.session.items:
                if case_of(one) is not None:
                    self._groups.setdefault(collection.group_of(one), []).append(one)
        group = self._groups[collection.group_of(item)]
        while group and group[0] is not item:  # those before it have had their turn
            del group[0]
        members = {
            other.nodeid: other
            for other in group
            if other.nodeid not in self._runs and not _runs_here(other)
        }
        return list(members.values()) if item.nodeid in members else [item]

    def _reports(
        self, item: pytest.Item, nextitem: pytest.Item | None, mistake: str | None
    ) -> Sequence[pytest.TestReport]:
        if mistake is not None:
            self._runs[item.nodeid] = IsolatedRun(outcomes.failed(item, mistake, time.time()))
        if item.nodeid not in self._runs:
            self._runs |= self.isolation.run(self._group(item))
        run = self._runs.pop(item.nodeid)
        if run.ending is not None:
            raise run.ending
        reports = run.reports
        if run.measured is not None:
            called = next(report for report in reports if report.when == "call")
            measured = self._judged(item, run.measured, called)
            setattr(called, _REPORT_ATTRIBUTE, measured.to_json())
        # Fixtures of tests that ran here before, which this item shares a module or class with,
        # may end with it.
        call = pytest.CallInfo.from_call(
            lambda: item.session._setupstate.teardown_exact(nextitem), when="teardown"
        )
        if call.excinfo is not None:
            reports[-1] = item.ihook.pytest_runtest_makereport(item=item, call=call)
        return reports

    def _judged(
        self, item: pytest.Item, measured: MeasuredTest, called: pytest.TestReport
    ) -> MeasuredTest:
        """With its verdicts, of which some may fail its call."""
        case = case_of(item)
        if self._gate is None or case is None:
            return measured
        verdicts = self._gate.judge(measured.nodeid, measured.measurement, case)
        failing = self._gate.failing(verdicts)
        if failing:
            called.outcome = "failed"
            called.longrepr = "\n".join(map(report_verdicts.failure_message, failing))
        return replace(measured, verdicts=verdicts)


def _search_cost(members: Mapping[str, MeasuredTest]) -> SearchCost | None:
    return next(iter(members.values())).search


def _may_deselect(item: pytest.Item) -> bool:
    """Whether options may leave a collected item out, so that it is too early to prepare for it."""
    return any(
        item.config.getoption(name, None)
        for name in ("keyword", "markexpr", "deselect", "lf", "stepwise")
    )


def _runs_here(item: pytest.Item) -> bool:
    """Items that pytest would not run need no process to be skipped in."""
    config = item.config
    if config.getoption("setuponly") or config.getoption("setupplan"):
        return True
    if item.get_closest_marker("skip") is not None:
        return True
    return benchmark_bridge.is_skipped(item)
