"""What a run has measured, as it comes in: to pytest-benchmark's session, the summary, the exit code."""  # noqa: E501

from __future__ import annotations

import functools
import os
from collections.abc import Generator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from pytest_tfthreads.benchmark_bridge import benchmark_results, comparing, under_xdist
from pytest_tfthreads.benchmark_bridge.saving import saving_of, why_unwritable
from pytest_tfthreads.core.decode import DecodeError
from pytest_tfthreads.core.format import printable_lines
from pytest_tfthreads.hooks.html_report import HtmlReport
from pytest_tfthreads.hooks.leasing import Leasing
from pytest_tfthreads.hooks.run_results import RunResults
from pytest_tfthreads.pytest_bridge import outcomes
from pytest_tfthreads.pytest_bridge.gate import is_asked_for
from pytest_tfthreads.pytest_bridge.options import REGRESSED, Settings, is_interactive
from pytest_tfthreads.report.annotations import SourcePlace
from pytest_tfthreads.report.html.content import RunContent
from pytest_tfthreads.runner.measurements import MeasuredTest
from pytest_tfthreads.runner.payload import Attached, attached_to
from pytest_tfthreads.xdist_bridge import roles
from pytest_tfthreads.xdist_bridge.distribution import Distribution


class SessionResults:
    """The hooks of the process that keeps the results; in workers of pytest-xdist they keep none.

    `distribution`: where this process is their controller.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        leasing: Leasing,
        distribution: Distribution | None,
    ) -> None:
        self._config = config
        self._settings = settings
        self._leasing = leasing
        self._distribution = distribution
        self._run_results = RunResults()
        self._recorded: list[dict[str, Any]] = []  # what files will hold, in the same order
        self._notes: list[str] = []
        self._unwritten: dict[str, None] = {}  # files that could not be written, in words
        self._saw_marked = False
        self._session: pytest.Session | None = None
        self._ended = 0  # tests that were run to their end here
        self._ended_in_workers: set[tuple[object, ...]] = set()
        self._to_be_run_again: set[tuple[object, ...]] = set()
        self._all_collected = True
        if settings.report is not None and not roles.is_worker(config):
            report_file = HtmlReport(settings.report, self._content)
            config.pluginmanager.register(report_file, "tfthreads-report")

    def add_notes(self, notes: Sequence[str]) -> None:
        """What is to be said below the verdicts."""
        self._notes += notes

    def check_places(self) -> None:
        """Before anything is measured: raises `pytest.UsageError` for files that cannot come."""
        if found := why_unwritable(self._config):
            raise pytest.UsageError("\n".join(found))

    def saw_marked(self) -> None:
        """There are marked tests, here or in a worker of pytest-xdist."""
        self._saw_marked = True
        self._guard()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        # Where this is registered in the midst of a collection: some of it may have failed before.
        self._all_collected = not session.testsfailed

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._all_collected &= not report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if roles.is_worker(self._config):
            return  # pytest-xdist carries the report on to the process that keeps the results
        self._note_end(report)
        try:
            found = attached_to(report)
        except DecodeError as error:
            report.outcome = "failed"
            report.longrepr = (
                f"{report.nodeid}: what was measured did not arrive: {error}. The report of this "
                "test holds something else under the name `tf_threads`: look for a plugin or a "
                "conftest.py that sets this attribute of reports."
            )
            found = Attached(has_failed=True)
        self._run_results.add_preloaded(found.preloaded)
        if not outcomes.is_final(report):
            return  # the test is run again, and only its last run is a result
        if found.has_failed:
            worker = self._distribution.worker_to_name(report) if self._distribution else ""
            why = outcomes.in_a_line(report)
            self._run_results.add_failure(report.nodeid, why, worker or "")
        if found.is_untraced:
            self._run_results.add_untraced(report.nodeid)
        measured = found.measured
        if measured is None:
            return
        self._guard()  # under pytest-xdist nothing is collected here
        self._unwritten |= dict.fromkeys(measured.unwritten)
        place = _place(self._config.rootpath, report.location)
        if self._distribution is None:
            self._record(measured, place)
            return
        if worker := self._distribution.worker_to_name(report):
            measured = measured.by(worker)
        self._distribution.in_order(report, functools.partial(self._record, measured, place))

    def _guard(self) -> None:
        if not roles.is_worker(self._config):
            saving_of(self._config).guard()

    def _record(self, measured: MeasuredTest, place: SourcePlace) -> None:
        """Add it to what this run has found."""
        self._run_results.add(measured, place)
        self._recorded.append(
            benchmark_results.add(
                self._config,
                nodeid=measured.fullname,
                name=measured.name,
                param=measured.param,
                params=measured.params,
                record=measured.record,
                tf_threads=measured.recorded,
            )
        )

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, None]:
        # Once for each test, however often a plugin runs it.
        outcome = yield
        self._ended += outcome.excinfo is None

    def _note_end(self, report: pytest.TestReport) -> None:
        """Of a test that a worker runs, perhaps several times."""
        key = getattr(report, "worker_id", None), getattr(report, "item_index", None)
        if None in key:
            return
        if report.when == "setup":  # of an attempt before, the teardown may not have been reported
            self._to_be_run_again.discard(key)
        if not outcomes.is_final(report):
            self._to_be_run_again.add(key)
        if report.when != "teardown":
            return
        if key in self._to_be_run_again:
            self._to_be_run_again.remove(key)
        else:
            self._ended_in_workers.add(key)

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int
    ) -> Generator[None, object, None]:
        if benchmark_results.holds_only_ours(self._config):
            benchmark_results.shorten_table(self._config)
            self._summarize(terminalreporter, exitstatus)
            yield
        else:
            yield  # even if pytest-benchmark raises: a wrapper goes on all the same
            self._summarize(terminalreporter, exitstatus)
        if self._must_judge():  # the last line of all, so that nobody takes open for passed
            for line in self._run_results.open_verdicts():
                terminalreporter.write_line(line)
        if self._session is not None:  # the histogram comes with pytest-benchmark's table
            self._fail_if_unwritten(self._session)

    def _summarize(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        """Write what was measured, judged and recommended."""
        verbose = self._config.get_verbosity() > 0
        lines = self._run_results.measurements(verbose=verbose)
        # Of a run that was refused, pytest's error is all that there is to say.
        was_refused = exitstatus == pytest.ExitCode.USAGE_ERROR and not lines
        was_interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        if self._must_judge() and not was_refused:
            notes = [f"  {note}" for note in self._all_notes()]
            judgement = self._run_results.judgement(
                self._settings.policy,
                was_interrupted=was_interrupted,
                failures_are_shown=self._config.getoption("tbstyle", "auto") != "no",
            )
            lines += [*([""] if lines else []), *judgement, *notes]
        lines += self._run_results.advice(self._settings.seed, verbose=verbose)
        if traces := [*self._run_results.traces(), *self._why_no_traces()]:
            lines += ["", *traces]
        if self._settings.duet:
            lines += self._run_results.lack_of_comparisons()
        if self._measured_nothing_asked_for():
            lines.append(under_xdist.UNMEASURED)
        elif self._distribution is not None and self._run_results.has_measurements:
            lines.append("Under pytest-xdist marked tests are measured, and no others.")
        lines += self._run_results.preloaded(self._settings.preload.names, verbose=verbose)
        lines += [*self._leasing.warnings(), *self._unwritten]
        if lines:
            terminalreporter.ensure_newline()
            terminalreporter.section("tf_threads", sep="-", yellow=True)
        annotations = [] if was_refused else self._annotations(was_interrupted)
        for line in [*map(printable_lines, lines), *annotations]:
            terminalreporter.write_line(line)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        if not self._saw_marked:
            return  # a suite that has nothing of ours
        # Called once for each file that is written: the same each time.
        for recorded, one in zip(self._recorded, self._run_results.measured, strict=True):
            recorded.update(one.recorded)
        output_json[benchmark_results.EXTRA_INFO] = self._run_results.to_json(
            self._settings.seed, self._is_complete()
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """What fails a run that no test failed.

        A gate that judged nothing, where a missing baseline is to fail; and a run that
        pytest-benchmark would have refused, if it measured nothing.
        """
        if self._must_judge() and not roles.is_worker(self._config):
            self._append_to_step_summary(self._run_results.judgement_as_markdown())
        self._fail_if_unwritten(session)
        if _has_ended_badly(session):
            return
        if self._measured_nothing_asked_for():
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif (
            self._must_judge()
            and self._settings.policy.fails_run(self._run_results.verdicts)
            and not roles.is_worker(self._config)
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _fail_if_unwritten(self, session: pytest.Session) -> None:
        """A failed test outweighs a file that could not be written."""
        if _has_ended_badly(session) or roles.is_worker(self._config):
            return
        saving = saving_of(self._config)
        if saving.is_broken:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        elif self._unwritten or saving.has_failed:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _append_to_step_summary(self, markdown: str) -> None:
        """What GitHub Actions shows of a job."""
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if not path or not markdown:
            return
        try:
            with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(markdown)
        except OSError as error:
            message = (
                f"GITHUB_STEP_SUMMARY: {path} was not written: {error.strerror}; mend that, or "
                "take the variable out of the environment"
            )
            self._unwritten[message] = None

    def _all_notes(self) -> list[str]:
        """What is to be said below the verdicts, by this process and by those that measured."""
        return list(dict.fromkeys([*self._notes, *self._run_results.notes_of_judgement]))

    def _content(self) -> RunContent:
        """For the report, as this run ends."""
        # Not at the top: most runs write none.
        from pytest_tfthreads.history.over_releases import with_releases

        content = self._run_results.content(
            RunContent(
                when=datetime.now(timezone.utc).isoformat(),
                source=f"tests of {self._config.rootpath.name}",
                commit=comparing.commit_of(self._config),
                complete=self._is_complete(),
                notes=(*self._all_notes(), *self._leasing.warnings()),
            )
        )
        storage = comparing.storage_of(self._config)
        return content if storage is None else with_releases(content, storage)

    def _measured_nothing_asked_for(self) -> bool:
        held = under_xdist.was_held(self._config) and not roles.is_worker(self._config)
        return held and not self._run_results.has_measurements

    def _must_judge(self) -> bool:
        """Whether somebody waits for verdicts: not in suites that have nothing of ours."""
        if not is_asked_for(self._config, self._settings):
            return False
        asked = self._saw_marked or "no-baseline" in self._settings.policy.fail_on
        return asked or bool(self._run_results.verdicts)

    def _is_complete(self) -> bool:
        """Whether all selected tests were run to their end, in whatever process."""
        if self._session is None or not self._all_collected:
            return False
        copies = 1 if self._distribution is None else self._distribution.copies
        ended = self._ended + len(self._ended_in_workers)
        return ended >= copies * self._session.testscollected

    def _why_no_traces(self) -> list[str]:
        wanted = self._settings.profile
        if wanted is None or not self._run_results.has_measurements:
            return []
        if is_interactive(self._config):
            return ["--tf-threads-profile: no traces are taken with --pdb or --trace"]
        if wanted.only_regressed and not is_asked_for(self._config, self._settings):
            return [
                f"--tf-threads-profile: no traces: nothing is known to have {REGRESSED} without "
                "--benchmark-compare or --tf-threads-duet"
            ]
        return []

    def _annotations(self, was_interrupted: bool) -> list[str]:
        if os.environ.get("GITHUB_ACTIONS") != "true" or not self._must_judge():
            return []
        if was_interrupted and not self._run_results.verdicts:
            return []
        return self._run_results.judgement_as_annotations(self._settings.policy, self._notes)


def _place(rootdir: Path, location: tuple[str, int | None, str]) -> SourcePlace:
    """Where a test is, for GitHub: seen from the top of the repository, or else from rootdir."""
    file, line, _ = location
    path = Path(os.path.realpath(rootdir / file))  # `resolve` raises on a loop of links
    workspace = os.environ.get("GITHUB_WORKSPACE")
    if workspace and path.is_relative_to(os.path.realpath(workspace)):
        file = str(path.relative_to(os.path.realpath(workspace)))
    return SourcePlace(file, None if line is None else line + 1)


def _has_ended_badly(session: pytest.Session) -> bool:
    # A session that pytester makes for a plugin's own test may have no exit status.
    return getattr(session, "exitstatus", pytest.ExitCode.OK) != pytest.ExitCode.OK
