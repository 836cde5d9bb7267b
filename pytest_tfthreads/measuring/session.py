"""The pytest session in a measuring process: one item, quiet, its reports collected as data."""

from __future__ import annotations

import math
import os
import stat
import sys
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from pytest_tfthreads.benchmark_bridge import (
    benchmark_fixture,
    benchmark_settings,
    extracting,
    preparing,
)
from pytest_tfthreads.core.benchmark_record import BenchmarkRecord
from pytest_tfthreads.core.layout import MIN_ROUND_S
from pytest_tfthreads.core.measurement import Pools, Sample
from pytest_tfthreads.core.op_profile import TraceResult
from pytest_tfthreads.core.threads import ThreadsInForce
from pytest_tfthreads.engine import reply as replies
from pytest_tfthreads.engine.order import Order, SentOrder
from pytest_tfthreads.engine.protocol import Connection, MessageKind
from pytest_tfthreads.engine.reply import (
    CodePlace,
    Outcome,
    RaisedError,
    RecordedWarning,
    Reply,
)
from pytest_tfthreads.measuring import clean_ups, distributions, runtime
from pytest_tfthreads.measuring.contention import ContentionMeter
from pytest_tfthreads.measuring.recorder import Recorder, peak_memory_bytes
from pytest_tfthreads.measuring.reference import OVERDUE_S, Reference
from pytest_tfthreads.measuring.steering import (
    MAX_WARMUP_S,
    CalibrationPrecision,
    RoundPlan,
    WarmUp,
)
from pytest_tfthreads.measuring.target import Target
from pytest_tfthreads.measuring.tracing import TRACE_S, TracedRounds, TracingRecorder
from pytest_tfthreads.measuring.turns import Turns
from pytest_tfthreads.names import MEASURING_PLUGIN, PROCESS_ATTRIBUTE
from pytest_tfthreads.pytest_bridge import collection, interruption, outcomes, raised
from pytest_tfthreads.pytest_bridge.settled_options import settle_options
from pytest_tfthreads.system.originals import ORIGINALS

# What the pytest process does for the whole run, and one measuring process must not do again.
_OPTIONS_OF_THE_RUN: dict[str, Any] = {
    "lf": False,
    "failedfirst": False,
    "newfirst": False,
    "cacheclear": False,
    "stepwise": False,
    "stepwise_skip": False,
    "stepwise_reset": False,
    "maxfail": 0,
    "keyword": "",
    "markexpr": "",
    "deselect": None,
    "numprocesses": None,
    "dist": "no",
    "distload": False,  # -d
    "tx": [],
    "log_file": os.devnull,
    "xmlpath": None,
    "pastebin": None,
    "htmlpath": None,  # pytest-html
    "report_log": None,  # pytest-reportlog
    "json_report": False,  # pytest-json-report
    "ignore_unknown_dependency": True,  # pytest-dependency, which asks in the pytest process
}
_MACHINERY = {"_pytest", "pluggy", "importlib", "<frozen importlib._bootstrap>"}
_OWN_DIRECTORY = Path(__file__).parents[1]
_RUN_AGAIN = (
    "A plugin runs this test again in the same process, where it cannot be measured once more: "
    "caches are warm, and functions traced. Have it run again by pytest-rerunfailures or flaky, "
    "which makes each run a measurement of its own, or leave the other plugin out."
)
_PLUGINS_OF_THE_RUN = (
    *("lfplugin", "nfplugin"),  # they write what failed to pytest's cache
    "_cov",  # pytest-cov, whose `no_cover` fails under --no-cov
)


class Told:
    """What is to be told of one item: it grows while the item runs."""

    def __init__(self) -> None:
        self.outcome: Outcome = replies.NOT_COLLECTED
        self.message = self.reason = ""
        self.exit_code: int | None = None
        self.interrupted_at: tuple[CodePlace, ...] = ()
        self.reports: list[dict[str, Any]] = []
        self.warnings: list[RecordedWarning] = []
        self.other_ids: list[str] = []  # of the same test, where it has none of this id
        self.raised: dict[str, tuple[RaisedError, ...]] = {}
        self.states: list[Mapping[str, Any]] = []
        self.fixture: object = None  # pytest-benchmark's, however the test came by it
        self.off_turn_s = 0.0  # until the end of the latest subtest
        self.off_turn_before_s = 0.0  # until the end of the latest of set-up, call and teardown


class MeasuringSession:
    """The plugin that turns a pytest session into the run of one order."""

    __name__ = MEASURING_PLUGIN  # pytest registers it under this name

    def __init__(
        self, sent: SentOrder, connection: Connection, own_runtime: runtime.Runtime
    ) -> None:
        order = sent.order
        self.sent = sent
        self._call, self._to_run, self._terms = order.call, order.item, order.terms
        self._runtime = own_runtime
        self._target = self._target_of(order)
        self._turns = Turns(connection, order.terms.rounds_a_turn)
        # In the midst of a turn it would run beside the rounds of other instances.
        overdue_s = OVERDUE_S if order.terms.instances == 1 else math.inf
        self._reference = Reference(runtime.ReferenceProduct(), overdue_s)
        self._contention = ContentionMeter()
        self._traced: TracedRounds | None = None
        if order.terms.traces is None:
            self.recorder = Recorder(
                runtime.RetraceWatch(), self._turns, self._reference, self._contention
            )
        else:
            self._traced = TracedRounds(runtime.Profiler(order.terms.traces))
            self.recorder = TracingRecorder(runtime.RetraceWatch(), self._turns, self._traced)
        self._connection = connection
        self._item: pytest.Item | None = None
        self._first_call_s: float | None = None
        self._told = Told()
        self._problems: list[Problem] = []  # for which the item was not collected
        self._has_lent_captures = False
        self._options: dict[str, Any] = {}  # to be recorded instead of what we gave
        self._benchmark: BenchmarkRecord | None = None
        self._sample: Sample | None = None
        self._began_s: tuple[float, ...] = ()
        self._rounds_before = 0
        self._has_called_benchmark = False

    @staticmethod
    def _target_of(order: Order) -> Target:
        """What is to be collected."""
        return Target.of([order.item.path], order.item.own_part, order.call.invocation_dir)

    def _basetemp(self) -> str | None:
        """A directory of this process alone."""
        below = self._call.basetemp
        return below and os.path.join(below, f"tfthreads{self._terms.serial}")

    def effective(self) -> Pools | None:
        return self._runtime.pools

    def reply(self) -> Reply:
        told = self._told
        problems = self._problems_of_item() if told.outcome == replies.NOT_COLLECTED else []
        return Reply(
            outcome=told.outcome,
            message=told.message or "\n".join(problem.text for problem in problems),
            reason=told.reason or next((problem.reason for problem in problems), ""),
            other_ids=tuple(told.other_ids),
            exit_code=told.exit_code,
            reports=tuple(told.reports),
            warnings=tuple(told.warnings),
            benchmark=None if self._sample is None else self._benchmark,
            sample=self._sample,
            began_s=self._began_s,
            rounds_before=self._rounds_before,
            items=self.recorder.items,
            unit=self.recorder.unit,
            data_threads=self.recorder.data_threads,
            effective=self._runtime.pools,
            runtime=runtime.describe(),
            flags=tuple(self.recorder.all_flags()),
            modules=_modules(self._call.roots) if self._call.roots else {},
            trace=None if self._traced is None else self._result_of(self._traced),
            uses_benchmark=told.fixture is not None,
            raised=told.raised,
            interrupted_at=told.interrupted_at,
            states=tuple(told.states),
        )

    def ended_with(self, error: Exception) -> bool:
        """Tell what was raised when pytest's session had ended; False: there is no report for it.

        The test has run, and pytest looks then for what it has left behind.
        """
        reports = self._told.reports
        if self._told.outcome != replies.FINISHED or not reports:
            return False
        text = f"raised at the end of the test's process:\n{Problem.of(error).text}"
        for report in reports:
            if report["outcome"] == "failed":  # the reason may be the same
                report["sections"] = [*report["sections"], ("tf_threads", text)]
                return True
        reports[-1] |= {"outcome": "failed", "longrepr": text}
        return True

    def _problems_of_item(self) -> Sequence[Problem]:
        """Why the item was not collected."""
        return self._problems

    def _result_of(self, traced: TracedRounds) -> TraceResult:
        return traced.result(None if self._benchmark is None else self._benchmark.iterations)

    # -- the session ------------------------------------------------------------------

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_cmdline_parse(
        self, pluginmanager: pytest.PytestPluginManager
    ) -> Generator[None, Any, None]:
        clean_ups.take_over(pluginmanager)
        outcome = yield
        if outcome.excinfo is None:  # else pytest's own wrapper would open the file, and empty it
            outcome.get_result().option.debug = None

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(
        self, early_config: pytest.Config
    ) -> Generator[None, Any, None]:
        distributions.take_back()  # pytest has found its plugins
        # As early as any conftest file may look for it.
        setattr(early_config, PROCESS_ATTRIBUTE, self._terms.process)
        outcome = yield
        if outcome.excinfo is not None:
            self._problems.append(Problem.of(outcome.excinfo[1]))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, Any, None]:
        settle_options(config, self._call.options)
        settle_options(config, _OPTIONS_OF_THE_RUN)
        config.option.basetemp = self._basetemp()
        config.args = list(self._target.arguments)
        if self._call.workerinput is not None:
            config.workerinput = dict(self._call.workerinput)  # type: ignore[attr-defined]
            # Plugins that find themselves in a worker leave there what only its controller reads.
            config.workeroutput = {}  # type: ignore[attr-defined]
        preparing.prepare_options(config)
        outcome = yield
        if outcome.excinfo is not None and not self._problems:
            self._problems.append(Problem.of(outcome.excinfo[1]))

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return True if self._target.leaves_out(collection_path) else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        # The directories above are collected, so that their conftest files are loaded, and the file
        # is about to be imported.
        if isinstance(collector, pytest.File) and not self._runtime.is_started:
            self._start_runtime(collector)

    def _start_runtime(self, file: pytest.File) -> None:
        """Have TensorFlow configured by who implements the hook, then start and verify it."""
        threads = ThreadsInForce(self._terms.intra, self._terms.inter, self.sent.cpus)
        try:
            file.ihook.pytest_tfthreads_configure(config=file.config, tf_threads=threads)
            self._runtime.start()
        except runtime.MisconfiguredError as error:
            self._told.outcome, self._told.message = replies.MISCONFIGURED, str(error)
        except pytest.skip.Exception as skipped:
            self._told.outcome, self._told.message = replies.SKIPPED, str(skipped)
        except pytest.exit.Exception:  # pytest ends the session for it
            raise
        except (Exception, pytest.fail.Exception, SystemExit) as error:
            self._told.outcome = replies.CONFIGURE_FAILED
            problem = Problem.of(error)
            self._told.reason, self._told.message = problem.reason, problem.text
        else:
            return
        raise file.session.Failed(replies.CONFIGURE_FAILED)  # nothing more is to be collected

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        for name in _PLUGINS_OF_THE_RUN:
            if config.pluginmanager.hasplugin(name):
                config.pluginmanager.unregister(name=name)
        reporter = config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            config.pluginmanager.unregister(reporter)
            quiet = _Quiet(config, open(os.devnull, "w"))  # noqa: SIM115 - as long as we
            quiet._tw.hasmarkup = self._call.colors
            quiet._tw.fullwidth = self._call.terminal_width
            config.pluginmanager.register(quiet, "terminalreporter")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # Before plugins that select by position, which have selected in the pytest process.
        self._item = next((item for item in items if item.nodeid == self._to_run.nodeid), None)
        if self._item is None:
            self._told.other_ids = self._other_ids(items)

    def _other_ids(self, items: Iterable[pytest.Item]) -> list[str]:
        """Of the configurations of the test, none of which has the id that is to run."""
        return [
            item.nodeid
            for item in items
            if self._to_run.own_part == collection.own_part_of(item) != ""
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if self._item is None:
            return True
        self._lay_out(self._item)
        self._run(self._item, None)
        return True

    def _run(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Run an item, and keep the fixtures that `nextitem` shares with it."""
        self._told.outcome = replies.FINISHED
        manager = item.config.pluginmanager
        left_out = [manager.get_plugin(name) for name in self._to_run.left_out]
        # Those run the test again, elsewhere, or in another way, in the pytest process: there, each
        # of their attempts is a measurement of its own.
        run = manager.subset_hook_caller("pytest_runtest_protocol", remove_plugins=left_out)
        run(item=item, nextitem=nextitem)
        states = item.config.hook.pytest_tfthreads_send_state(config=item.config, item=item)
        self._told.states = [state for state in states if state]

    def _lay_out(self, item: pytest.Item) -> None:
        """Give `benchmark` our clock, warm-up and rounds; what the user says keeps its meaning."""
        try:
            settings = benchmark_settings.read_settings(item)
        except (TypeError, ValueError):  # an option that is no number: the fixture itself will tell
            return
        if settings is None:
            return
        options: dict[str, Any] = {}
        if self._traced is not None:
            # However the test wants to be timed, rounds are to come after a warm-up, and be few.
            settings = replace(
                settings,
                max_time_s=2 * TRACE_S,  # so that they go on until there are enough
                own=settings.own - {"calibration_precision"},
                own_timer=None,
                own_warmup=False,
            )
            options["min_rounds"] = 1
        recorder = self.recorder
        recorder.expect_own_rounds(lambda: benchmark_fixture.is_pedantic(self._told.fixture))
        min_round_s = settings.min_time_s if "min_time" in settings.own else MIN_ROUND_S
        options |= {"timer": recorder, "min_time": min_round_s}
        if settings.own_timer is not None:
            recorder.beside(settings.own_timer)
        if not settings.own_warmup:
            options |= {"warmup": True, "warmup_iterations": WarmUp(recorder)}
            self._options["warmup"] = True
            if settings.own_timer is None and "calibration_precision" not in settings.own:
                plan = RoundPlan(
                    min_round_s=min_round_s,
                    budget_s=settings.max_time_s * self._terms.budget_share,
                    max_warmup_s=settings.max_time_s
                    if "max_time" in settings.own
                    else MAX_WARMUP_S,
                    iterations=self._terms.iterations,
                )
                recorder.steer(plan)
                options["max_time"] = plan.max_time_s
                options["calibration_precision"] = CalibrationPrecision(recorder)
                self._options["max_time"] = settings.max_time_s
        benchmark_settings.override(item, **options)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self) -> Generator[None, Any, None]:
        outcome = yield
        if outcome.excinfo is None and benchmark_fixture.is_fixture(outcome.get_result()):
            self._told.fixture = outcome.get_result()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, None, None]:
        yield
        if call.excinfo is not None:
            self._told.raised[call.when] = raised.describe(call.excinfo.value)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        # pytest captures into files that die with this process: lend them to who has to explain
        # a crash.
        if self._has_lent_captures:
            return
        self._has_lent_captures = True
        lent = [fd for fd in (1, 2) if _is_file(fd)]  # a plugin may have put anything there
        if lent and item.config.getoption("capture", "no") == "fd":
            self._say("capturing", {}, lent)

    def _say(self, kind: MessageKind, body: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        self._connection.send(kind, body, fds)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, None]:
        if self._has_called_benchmark:
            pytest.fail(_RUN_AGAIN, pytrace=False)
        self._first_call_s = ORIGINALS.monotonic()
        outcome = yield
        self._has_called_benchmark = benchmark_fixture.was_called(self._told.fixture)
        if self._traced is not None:
            self._traced.finish()
        if outcome.excinfo is None:
            self._take_sample(item)
        if self._sample is not None and (problem := self._look_again()):
            outcome.force_exception(pytest.fail.Exception(problem, pytrace=False))

    def _look_again(self) -> str:
        """Why the test must not count, for it has changed what was asked for; nothing if it may."""
        try:
            if not self._runtime.verify_again():
                self.recorder.flags.append("unverified")
        except runtime.MisconfiguredError as error:
            return f"{replies.MISCONFIGURED}: {error}"
        return ""

    def _take_sample(self, item: pytest.Item) -> None:
        record = extracting.extract(item.config, self._options)
        if record is None or self._first_call_s is None:
            return
        wall_s, cpu_s = self.recorder.rounds(record.rounds)
        switches = self.recorder.switches()
        reference_wall_s, reference_cpu_s = self._reference.mean_s() or (None, None)
        self._benchmark = record
        if self._terms.instances > 1:
            self._began_s = self.recorder.began_s(record.rounds)
            self._rounds_before = max(0, self._turns.rounds - record.rounds)
        # Raises, and so fails the test, where the rounds were too short for this machine's clocks.
        self._sample = Sample(
            wall_s=wall_s,
            cpu_s=cpu_s,
            iterations=record.iterations,
            warmup_rounds=self.recorder.warmup_calls,
            setup_s=self._first_call_s - self.sent.ordered_at_s,
            max_rss_bytes=peak_memory_bytes(),
            voluntary_switches=switches.voluntary,
            involuntary_switches=switches.involuntary,
            cpus=self.sent.cpus,
            ring=self._terms.ring if self._turns.took_part else None,
            turn_rounds=self._terms.rounds_a_turn or 1,
            reference_wall_s=reference_wall_s,
            reference_cpu_s=reference_cpu_s,
            contention=self._contention.contention(),
        )

    # -- what is told -----------------------------------------------------------------

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        assert self._item is not None
        if outcomes.is_of_subtest(report):  # each takes a part of the call's time
            off_turn_s, self._told.off_turn_s = self._told.off_turn_s, self._turns.off_turn_s
            report.duration = max(0.0, report.duration - (self._turns.off_turn_s - off_turn_s))
        elif report.when is not None:  # turns are taken where the benchmark is called
            before_s = self._told.off_turn_before_s
            self._told.off_turn_before_s = self._told.off_turn_s = self._turns.off_turn_s
            report.duration = max(0.0, report.duration - (self._turns.off_turn_s - before_s))
        self._told.reports.append(outcomes.serialized(self._item.config, report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            told = f"{report.nodeid}: {outcomes.reason_of(report)}"
            self._problems.append(Problem(told, report.longreprtext, report.nodeid))

    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        if when != "runtest":  # the pytest process collected the same module itself
            return
        category = warning_message.category
        self._told.warnings.append(
            RecordedWarning(
                message=str(warning_message.message),
                module=str(category.__module__),
                category=category.__qualname__,
                filename=str(warning_message.filename),
                lineno=warning_message.lineno,
                nodeid=nodeid,
            )
        )

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if isinstance(excinfo.value, pytest.exit.Exception):
            self._told.outcome = replies.SESSION_EXIT
            self._told.message = str(excinfo.value.msg)
            code = excinfo.value.returncode
            self._told.exit_code = None if code is None else int(code)
        else:
            self._told.outcome = replies.INTERRUPTED
            self._told.message = str(excinfo.value)
            self._told.interrupted_at = interruption.places_of(
                excinfo, None if self._item is None else self._item.path
            )

    def pytest_internalerror(
        self, excrepr: object, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> None:
        self._told.outcome = replies.outcome_of_error(excinfo.value)
        self._told.message, self._told.reason = str(excrepr), _in_a_line(excinfo.value)
        if isinstance(excinfo.value, SystemExit) and self._item is None:
            # Later releases of pytest let it pass where they import a module, whose doing it is.
            self._told.outcome = replies.NOT_COLLECTED
            module = self._to_run.path
            since_module = excinfo.getrepr(
                style="short", tbfilter=lambda info: info.traceback.cut(path=module)
            )
            self._told.message = str(since_module)

    def pytest_enter_pdb(self) -> None:
        if not self._call.interactive:
            pytest.fail(
                "a breakpoint was reached, but a tf_threads test runs in a process of its own, "
                "without the terminal; run with --pdb (or --trace), which hands it over, "
                "or with -p no:tfthreads to debug here",
                pytrace=False,
            )


class _Quiet(TerminalReporter):  # type: ignore[misc]
    """Writes to nowhere, and has no summary.

    Plugins import for their summaries what the run itself does not need, up to half a second's
    worth. pytest-xdist's workers have none either.
    """

    def pytest_sessionfinish(self) -> None:  # type: ignore[override]
        """Ends without asking for `pytest_terminal_summary`."""


@dataclass(frozen=True)
class Problem:
    """Why items cannot be run, in a line and in full: those whose ids begin with `nodeid`."""

    reason: str
    text: str
    nodeid: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Problem:
        """What a conftest file, a plugin or pytest raised."""
        cause = error.__cause__
        if type(error).__name__ == "ConftestImportFailure" and cause is not None:
            error = cause
        if isinstance(error, pytest.UsageError):  # pytest's own words for the user
            return cls(_in_a_line(error), str(error))
        shown = pytest.ExceptionInfo.from_exception(error).getrepr(
            style="short", tbfilter=_of_users
        )
        return cls(_in_a_line(error), str(shown))


def _of_users(info: pytest.ExceptionInfo[BaseException]) -> Any:
    """The traceback without pytest's frames and ours, if anything is left of it then."""
    return info.traceback.filter(lambda entry: _is_of_users(Path(entry.path))) or info.traceback


def _is_of_users(path: Path) -> bool:
    return _MACHINERY.isdisjoint(path.parts) and not path.is_relative_to(_OWN_DIRECTORY)


def _in_a_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    name = "" if isinstance(error, pytest.UsageError) else f"{type(error).__name__}: "
    return f"{name}{lines[0].strip() if lines else ''}".removesuffix(": ")


def _is_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:  # it is closed
        return False


def _modules(roots: Sequence[str]) -> dict[str, str]:
    """Files of the modules that are imported: those below the roots, and all at the top level.

    A namespace package has no file, and what is right below it counts as at the top.
    """
    files = {}
    for name, module in list(sys.modules.items()):
        # Not getattr: a lazy module would be imported by it.
        file = getattr(module, "__dict__", {}).get("__file__")
        if not isinstance(file, str):
            continue
        real = os.path.realpath(file)
        if _is_at_top(name) or any(real.startswith(os.path.join(root, "")) for root in roots):
            files[name] = real
    return files


def _is_at_top(name: str) -> bool:
    above = sys.modules.get(name.rpartition(".")[0])
    return getattr(above, "__dict__", {}).get("__file__") is None
