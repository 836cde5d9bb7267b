"""The hooks: a table of contents. In a measuring process only the fixtures and the tests' ids are ours."""  # noqa: E501

from __future__ import annotations

import functools
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from pytest_tfthreads import __version__, benchmark_bridge, collection, outcomes
from pytest_tfthreads.collection import CASE_FIXTURE, case_of
from pytest_tfthreads.core.threads import Case
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.verdict import Verdict
from pytest_tfthreads.findings import Findings
from pytest_tfthreads.fixtures import tf_benchmark, tf_threads
from pytest_tfthreads.gate import Gate
from pytest_tfthreads.isolation.baseline import check_baseline, open_baseline
from pytest_tfthreads.isolation.groups import Isolation
from pytest_tfthreads.isolation.results import IsolatedRun, MeasuredTest
from pytest_tfthreads.options import (
    MARKER,
    REGRESSED,
    Settings,
    add_options,
    read_settings,
)
from pytest_tfthreads.process.protocol import MEASURING_PLUGIN
from pytest_tfthreads.report.annotations import Place
from pytest_tfthreads.report.html.content import RunContent
from pytest_tfthreads.report.verdicts import failure_message
from pytest_tfthreads.report_file import ReportFile
from pytest_tfthreads.sharing import Sharing
from pytest_tfthreads.ticker import Ticker
from pytest_tfthreads.xdist_bridge import roles
from pytest_tfthreads.xdist_bridge.briefing import MARKED, REFUSED, VERSION, read_briefing
from pytest_tfthreads.xdist_bridge.distribution import Distribution

__all__ = ["tf_benchmark", "tf_threads"]

_SETTINGS = pytest.StashKey[Settings]()
_REPORT_ATTRIBUTE = "tf_threads"
_FAILED_ATTRIBUTE = "tf_threads_failed"  # true on reports of tests that were to be measured
_UNTRACED_ATTRIBUTE = "tf_threads_untraced"  # true on one of a test that could not be traced


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    settings = read_settings(config)
    seed = roles.seed_of_run(config, settings.seed)
    config.stash[_SETTINGS] = replace(settings, seed=seed)
    if not config.pluginmanager.hasplugin(MEASURING_PLUGIN):
        ticker = Ticker(config)
        sharing = Sharing(config, config.stash[_SETTINGS].lease_timeout_s, ticker)
        config.pluginmanager.register(sharing, "tfthreads-sharing")
        config.pluginmanager.register(Controller(config, sharing, ticker), "tfthreads-controller")


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

    def __init__(self, config: pytest.Config, sharing: Sharing, ticker: Ticker) -> None:
        self._config = config
        self._sharing = sharing
        self._ticker = ticker
        self._isolation: Isolation | None = None
        self._runs: dict[str, IsolatedRun] = {}  # of items that are not reported yet
        self._settings = config.stash[_SETTINGS]
        self._groups: collection.Groups | None = None
        self._findings = Findings()
        self._saw_marked = False
        self._gate: Gate | None = None
        self._notes: list[str] = []
        self._session: pytest.Session | None = None
        self._saving: benchmark_bridge.Saving | None = None
        self._finished = 0
        self._all_collected = True
        if self._settings.report is not None and not roles.is_worker(config):
            report_file = ReportFile(self._settings.report, self._content)
            config.pluginmanager.register(report_file, "tfthreads-report")
        self._distribution: Distribution | None = None
        if roles.is_controller(config):
            self._distribution = Distribution(config, self._settings.seed, sharing.show_waiting)
            config.pluginmanager.register(self._distribution, "tfthreads-distribution")
        self._briefing = read_briefing(config)
        if self._briefing is not None:
            self._briefing.tell(VERSION, __version__)
            benchmark_bridge.leave_comparing_to_the_controller(config)
        if self._distribution is not None or roles.is_worker(config):
            benchmark_bridge.hold_only(config)

    @property
    def isolation(self) -> Isolation:
        if self._isolation is None:
            self._isolation = Isolation(
                self._config, self._settings, self._sharing.leases, self._ticker
            )
        return self._isolation

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        self._saving = benchmark_bridge.Saving(self._config)
        benchmark_bridge.return_only(self._config)
        if self._distribution is not None and self._is_judging:
            # The workers judge, out of sight; here it is said what they judge by, or cannot.
            gate = Gate.open(self._config, self._settings.policy, hypotheses=0)
            self._notes += gate.notes
            self._distribution.baseline = gate.to_text()
            if self._settings.duet:
                check_baseline(self._settings.duet, gate, self._config)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if not collection.is_marked(item):
            return
        if not self._saw_marked and self._briefing is not None:
            self._briefing.tell(MARKED, item.nodeid)
        self._saw_marked = True
        if self._isolation is None and not _may_deselect(item):
            self._prepare_first([item])

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collection(self) -> Generator[None, Any, None]:
        outcome = yield
        if self._briefing is not None and outcome.excinfo is not None:
            error = outcome.excinfo[1]
            if isinstance(error, pytest.UsageError):  # which pytest-xdist would not show
                self._briefing.tell(REFUSED, str(error))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._all_collected &= not report.failed

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._prepare_first(session.items)
        if roles.is_worker(self._config):
            unmeasured = [item for item in session.items if case_of(item) is None]
            benchmark_bridge.skip_unmeasured(unmeasured)
            benchmark_bridge.warn_of_no_measurements(self._config, unmeasured)
            if self._saw_marked:
                benchmark_bridge.leave_files_to_the_controller(self._config)
        to_judge = [
            item
            for item in session.items
            if case_of(item) is not None
            and benchmark_bridge.measures(item)
            and not _runs_here(item)
        ]
        if not self._config.getoption("collectonly"):
            self._ticker.plan(self._foreseen(session.items))
        if self._is_judging:
            hypotheses = len(METRICS) * len(to_judge)
            self._gate = Gate.open(self._config, self._settings.policy, hypotheses)
            self._notes += self._gate.notes
        if self._gate is not None and self._settings.duet and to_judge:
            self._compare_with_baseline(self._settings.duet, self._gate, to_judge)
        if self._settings.configs and not any(map(case_of, session.items)):
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
        if roles.is_worker(self._config):
            return  # pytest-xdist carries the report on to the process that keeps the results
        if hasattr(report, _FAILED_ATTRIBUTE):
            self._findings.add_failure(report.nodeid, outcomes.in_a_line(report))
        if hasattr(report, _UNTRACED_ATTRIBUTE):
            self._findings.add_untraced(report.nodeid)
        data = getattr(report, _REPORT_ATTRIBUTE, None)
        if data is None:
            return
        measured = MeasuredTest.from_json(data)
        place = _place(self._config.rootpath, report.location)
        if self._distribution is None:
            self._record(measured, place)
            return
        if worker := self._distribution.worker_to_name(report):
            measured = measured.by(worker)
        self._distribution.in_order(report, functools.partial(self._record, measured, place))

    def _record(self, measured: MeasuredTest, place: Place) -> None:
        """Add it to what this run has found."""
        self._findings.add(measured, place)
        benchmark_bridge.add(
            self._config,
            nodeid=measured.fullname,
            name=measured.name,
            param=measured.param,
            params=measured.params,
            record=measured.record,
            tf_threads=measured.recorded,
        )

    def pytest_runtest_logfinish(self) -> None:
        self._finished += 1

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, object, None]:
        yield  # pytest-benchmark's table first, even if it raises: a wrapper goes on all the same
        lines = self._findings.measurements()
        if self._must_judge:
            notes = [f"  {note}" for note in self._notes]
            lines += [*([""] if lines else []), *self._findings.judgement(), *notes]
            _append_to_step_summary(self._findings.judgement_as_markdown())
        lines += self._findings.advice(self._settings.seed)
        if traces := [*self._findings.traces(), *self._why_no_traces()]:
            lines += ["", *traces]
        if self._measured_nothing_asked_for:
            lines.append(benchmark_bridge.UNMEASURED)
        elif self._distribution is not None and self._findings.has_measurements:
            lines.append("Under pytest-xdist marked tests are measured, and no others.")
        if lines:
            terminalreporter.ensure_newline()
            terminalreporter.section("tf_threads", sep="-", yellow=True)
        for line in [*lines, *self._annotations]:
            terminalreporter.write_line(line)

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        # Called once for each file that is written: the same each time.
        output_json[benchmark_bridge.EXTRA_INFO] = self._findings.to_json(
            self._settings.seed, self._is_complete
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """What fails a run that no test failed.

        A gate that judged nothing, where a missing baseline is to fail; a run that
        pytest-benchmark would have refused, if it measured nothing; and a file that could not be
        written.
        """
        if session.exitstatus != pytest.ExitCode.OK:
            return
        if self._measured_nothing_asked_for or (
            self._saving is not None and self._saving.has_failed
        ):
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif (
            "no-baseline" in self._settings.policy.fail_on
            and self._must_judge
            and not self._findings.verdicts
            and not roles.is_worker(self._config)
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _content(self) -> RunContent:
        """For the report, as this run ends."""
        return self._findings.content(
            RunContent(
                when=datetime.now(timezone.utc).isoformat(),
                source=f"tests of {self._config.rootpath.name}",
                commit=benchmark_bridge.commit_of(self._config),
                complete=self._is_complete,
                notes=tuple(self._notes),
            )
        )

    @property
    def _is_judging(self) -> bool:
        """Whether measurements are compared with others, saved or side by side."""
        if self._config.getoption("collectonly"):
            return False
        return benchmark_bridge.compares(self._config) or self._settings.duet is not None

    @property
    def _measured_nothing_asked_for(self) -> bool:
        held = benchmark_bridge.was_held(self._config) and not roles.is_worker(self._config)
        return held and not self._findings.has_measurements

    @property
    def _must_judge(self) -> bool:
        """Whether somebody waits for verdicts: not in suites that have nothing of ours."""
        if not self._is_judging:
            return False
        asked = self._saw_marked or "no-baseline" in self._settings.policy.fail_on
        return asked or bool(self._findings.verdicts)

    @property
    def _is_complete(self) -> bool:
        """Whether all selected tests were run to their end, in whatever process."""
        session = self._session
        return session is not None and (
            self._all_collected and self._finished >= session.testscollected
        )

    def _why_no_traces(self) -> list[str]:
        wanted = self._settings.profile
        if wanted is None or not self._findings.has_measurements:
            return []
        if self._config.getoption("usepdb") or self._config.getoption("trace"):
            return ["--tf-threads-profile: no traces are taken with --pdb or --trace"]
        if wanted.only_regressed and not self._is_judging:
            return [
                f"--tf-threads-profile: no traces: nothing is known to have {REGRESSED} without "
                "--benchmark-compare or --tf-threads-duet"
            ]
        return []

    @property
    def _annotations(self) -> list[str]:
        if os.environ.get("GITHUB_ACTIONS") != "true" or not self._must_judge:
            return []
        return self._findings.judgement_as_annotations(self._settings.policy, self._notes)

    def pytest_unconfigure(self) -> None:
        if self._isolation is not None:
            self._isolation.close()

    def _prepare_first(self, items: Sequence[pytest.Item]) -> None:
        """Import TensorFlow in the background, for the first test that will need it."""
        if self._config.getoption("collectonly"):
            return
        for item in items:
            collection.assign_cases([item], self._settings.configs)
            case = case_of(item)
            if case is not None and not _runs_here(item):
                self.isolation.prepare(case)
                return

    def _foreseen(self, items: Sequence[pytest.Item]) -> dict[str, int]:
        """How many processes each item takes, if nothing is suspicious."""
        settings = self._settings
        traces = bool(settings.profile and settings.profile.holds_for(has_regressed=False))
        processes = {}
        for item in items:
            case = case_of(item)
            if case is None or _runs_here(item):
                continue
            count = case.processes or settings.processes
            if not benchmark_bridge.measures(item):
                count = 1
            elif settings.duet:
                count = 2 * max(count, settings.looks[0]) + traces
            else:
                count += traces
            processes[item.nodeid] = count
        return processes

    def _compare_with_baseline(self, wanted: str, gate: Gate, items: Sequence[pytest.Item]) -> None:
        """Have these tests run side by side with the baseline that the user wants."""
        baseline = open_baseline(
            wanted, gate, self._config, self.isolation.home, [item.path for item in items]
        )
        self.isolation.compare_with(baseline)
        self._notes += baseline.notes
        self._prepare_first(items)

    def _group(self, item: pytest.Item) -> list[pytest.Item]:
        """The item and all other selected configurations of its test, to be measured with it."""
        config = self._config
        one_by_one = self._settings.group == 1 or config.getoption("usepdb") or self._settings.duet
        if one_by_one or not benchmark_bridge.measures(item):
            return [item]
        if not roles.gets_whole_groups(config):  # the others may be run elsewhere
            return [item]
        if self._groups is None:
            self._groups = collection.Groups(item.session.items)
        members = {
            other.nodeid: other
            for other in self._groups.from_here(item)
            if other.nodeid not in self._runs and not _runs_here(other)
        }
        return list(members.values())

    def _reports(
        self, item: pytest.Item, nextitem: pytest.Item | None, mistake: str | None
    ) -> Sequence[pytest.TestReport]:
        if mistake is not None:
            self._runs[item.nodeid] = IsolatedRun(outcomes.failed(item, mistake, time.time()))
        if item.nodeid not in self._runs:
            self._runs |= self.isolation.run(self._group(item), self._gate)
        run = self._runs.pop(item.nodeid)
        if run.ending is not None:
            raise run.ending
        reports = run.reports
        if run.measured is not None:
            called = next(report for report in reports if report.when == "call")
            self._fail_by(run.measured.verdicts, run.mistake, called)
            setattr(called, _REPORT_ATTRIBUTE, run.measured.to_json())
        elif benchmark_bridge.measures(item):
            for report in reports:
                if report.failed:
                    setattr(report, _FAILED_ATTRIBUTE, True)
        elif self._settings.profile and self._settings.profile.holds_for(has_regressed=False):
            setattr(reports[0], _UNTRACED_ATTRIBUTE, True)
        # Fixtures of tests that ran here before, which this item shares a module or class with,
        # may end with it.
        call = pytest.CallInfo.from_call(
            lambda: item.session._setupstate.teardown_exact(nextitem), when="teardown"
        )
        if call.excinfo is not None:
            reports[-1] = item.ihook.pytest_runtest_makereport(item=item, call=call)
        return reports

    def _fail_by(
        self, verdicts: Sequence[Verdict], mistake: str, called: pytest.TestReport
    ) -> None:
        """Fail the call of a test for its speed, or because its baseline is none."""
        failing = [failure_message(one) for one in verdicts if self._settings.policy.fails(one)]
        if mistake:
            failing = [f"--tf-threads-duet: {mistake}"]
        if failing:
            called.outcome = "failed"
            called.longrepr = "\n".join(failing)


def _append_to_step_summary(markdown: str) -> None:
    """What GitHub Actions shows of a job."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path and markdown:
        with open(path, "a", encoding="utf-8") as file:
            file.write(markdown)


def _place(rootdir: Path, location: tuple[str, int | None, str]) -> Place:
    """Where a test is, for GitHub: seen from the top of the repository, or else from rootdir."""
    file, line, _ = location
    path = (rootdir / file).resolve()
    workspace = os.environ.get("GITHUB_WORKSPACE")
    if workspace and path.is_relative_to(Path(workspace).resolve()):
        file = str(path.relative_to(Path(workspace).resolve()))
    return Place(file, None if line is None else line + 1)


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
