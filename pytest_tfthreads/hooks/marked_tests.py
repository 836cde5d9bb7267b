"""Takes marked tests out of pytest's hands, and reports what has become of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import pytest

from pytest_tfthreads.benchmark_bridge import (
    benchmark_items,
    benchmark_settings,
    comparing,
    under_xdist,
)
from pytest_tfthreads.core.abreast import Selected
from pytest_tfthreads.core.eta import Pace
from pytest_tfthreads.core.gate.verdict import Verdict
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.hooks.leasing import Leasing
from pytest_tfthreads.hooks.session_results import SessionResults
from pytest_tfthreads.pytest_bridge import collection, outcomes
from pytest_tfthreads.pytest_bridge.attempts import Attempt, Attempts
from pytest_tfthreads.pytest_bridge.collection import case_of
from pytest_tfthreads.pytest_bridge.gate import Gate, is_asked_for
from pytest_tfthreads.pytest_bridge.options import Settings, is_interactive
from pytest_tfthreads.pytest_bridge.progress_line import ProgressLine
from pytest_tfthreads.pytest_bridge.project_modules import modules_to_preload
from pytest_tfthreads.pytest_bridge.raised import rebuilt
from pytest_tfthreads.pytest_bridge.whose_tests import is_ours, runs_here
from pytest_tfthreads.report.verdicts import expectation, failure_message
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.repository import Repository
from pytest_tfthreads.runner import traces
from pytest_tfthreads.runner.abreast import Abreast
from pytest_tfthreads.runner.baseline import (
    check_baseline,
    open_baseline,
    open_place,
    open_saved_commit,
)
from pytest_tfthreads.runner.executor import Executor
from pytest_tfthreads.runner.group import Isolation
from pytest_tfthreads.runner.measurements import IsolatedRun
from pytest_tfthreads.runner.on_demand import BaselinesOnDemand
from pytest_tfthreads.runner.payload import Attached, PreloadedVariant, attach
from pytest_tfthreads.runner.variants import OpenVariant
from pytest_tfthreads.system.machine import Machine
from pytest_tfthreads.system.originals import ORIGINALS
from pytest_tfthreads.xdist_bridge import roles
from pytest_tfthreads.xdist_bridge.briefing import MEASURES, read_briefing
from pytest_tfthreads.xdist_bridge.distribution import Distribution

_WORTH_PRELOADING = 3  # processes


class MarkedTests:
    """The hooks of a process that collects tests: pytest, or a worker of pytest-xdist.

    Where pytest only distributes (`distribution`), it tells its workers what they judge by.
    `executor_on` makes what runs the processes, when the first marked test needs it.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        leasing: Leasing,
        progress: ProgressLine,
        results: SessionResults,
        distribution: Distribution | None,
        executor_on: Callable[[Machine], Executor],
    ) -> None:
        self._config = config
        self._settings = settings
        self._leasing = leasing
        self._progress = progress
        self._results = results
        self._distribution = distribution
        self._executor_on = executor_on
        self._isolation: Isolation | None = None
        self._sharing_another: set[str] = set()  # tests that run in a process that is there
        self._planned: list[str] = []  # how long the gate will take, in words
        self._runs: dict[str, IsolatedRun] = {}  # of items that are not reported yet
        self._groups: collection.Groups | None = None
        self._gate: Gate | None = None
        self._abreast: Abreast | None = None  # a command that asks what is measured
        self._saw_marked = False
        self._preloaded: list[PreloadedVariant] = []  # as far as it was told
        self._attempts = Attempts(config)
        self._briefing = read_briefing(config)
        if self._briefing is not None:
            comparing.leave_comparing_to_the_controller(config)
        if distribution is not None:
            distribution.before_measuring = results.check_places
        if distribution is not None or roles.is_worker(config):
            under_xdist.hold_only(config)

    def isolation(self) -> Isolation:
        if self._isolation is None:
            machine = Machine.read()
            self._isolation = Isolation(
                self._config,
                self._settings,
                machine,
                self._executor_on(machine),
                self._leasing.leases(),
                self._progress,
                self._attempts,
            )
        return self._isolation

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        under_xdist.return_only(self._config)
        if self._distribution is not None and self._is_judging():
            # The workers judge, out of sight; here it is said what they judge by, or cannot.
            gate = Gate.open(self._config, self._settings.policy, hypotheses=0)
            self._results.add_notes(gate.notes)
            self._distribution.baseline = gate.to_text()
            if self._settings.duet:
                self._results.add_notes(check_baseline(self._settings.duet, gate, self._config))

    def saw_marked(self, item: pytest.Item) -> None:
        """A marked test was collected."""
        self._saw_marked = True
        if self._isolation is None and not _may_deselect(item):
            self._prepare_first([item])

    @pytest.hookimpl(tryfirst=True)  # what is told comes before pytest-xdist tells of its tests
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._prepare_first(session.items)
        if roles.is_worker(self._config):
            unmeasured = [item for item in session.items if case_of(item) is None]
            under_xdist.skip_unmeasured(unmeasured)
            if self._saw_marked:
                under_xdist.warn_of_no_measurements(self._config, unmeasured)
                under_xdist.leave_files_to_the_controller(self._config)
            else:
                comparing.return_comparing(self._config)
        to_run = [
            item for item in session.items if case_of(item) is not None and not runs_here(item)
        ]
        if not self._config.getoption("collectonly"):
            if self._settings.abreast is not None:
                to_run = self._serve(self._settings.abreast, session)
            if to_run:
                self._sharing_another = self.isolation().plan_sharing(to_run)
            measuring = [item for item in to_run if benchmark_items.may_measure(item)]
            if measuring and self._abreast is None:
                self._check_places(measuring[0])
            self._progress.plan(self._foreseen(session.items))
        self._preload(to_run, session.items)
        if self._is_judging():
            # Which tests measure is known for certain only when they have.
            hypotheses = len(METRICS) * sum(map(benchmark_items.may_measure, to_run))
            self._gate = Gate.open(self._config, self._settings.policy, hypotheses)
            self._results.add_notes(self._gate.notes)
            must_judge = bool(to_run) or "no-baseline" in self._settings.policy.fail_on
            if self._gate.mistake and must_judge:
                raise pytest.UsageError(self._gate.mistake)
        is_measured = to_run and benchmark_items.is_enabled(self._config)
        if self._gate is not None and is_measured:
            self._plan(to_run)
            self._make_baseline_ready(self._gate, to_run)
        if self._settings.configs and not any(map(case_of, session.items)):
            session.config.issue_config_time_warning(
                pytest.PytestWarning(
                    "--tf-threads has nothing to configure: no selected test is marked with "
                    "@pytest.mark.tf_threads"
                ),
                stacklevel=2,
            )

    def pytest_report_collectionfinish(self) -> list[str]:
        return self._planned

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        if not is_ours(item):
            return None
        self._attempts.run(item, nextitem, lambda: self._attempt(item, nextitem))
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if is_ours(item):
            pytest.fail(
                f"{item.nodeid}: another plugin, or a conftest.py, runs this test in the pytest "
                "process, before pytest-tfthreads is asked. A tf_threads test is measured in "
                "processes of its own: leave that plugin's pytest_runtest_protocol out for it, "
                "or implement it without tryfirst=True in a plugin or the topmost conftest.py",
                pytrace=False,
            )

    def _check_places(self, first: pytest.Item) -> None:
        """Before anything is measured: raises `pytest.UsageError` for files that cannot come."""
        if (wish := self._settings.profile) is not None:
            traces.check_directory(wish.directory, wish.option)
        if self._briefing is None:
            self._results.check_places()
        else:  # the files are the controller's
            self._briefing.tell(MEASURES, first.nodeid)

    def _preload(self, to_run: Sequence[pytest.Item], collected: Sequence[pytest.Item]) -> None:
        """Have the modules that these items use imported once, instead of in each process."""
        wish = self._settings.preload
        if self._config.getoption("collectonly") or not (wish.is_auto or wish.names):
            return
        # In the trial and for good: what few processes gain by it is less than what it takes.
        if not wish.names and sum(self._foreseen(to_run).values()) < _WORTH_PRELOADING:
            return
        modules = modules_to_preload(to_run, collected, self._config, wish)
        if to_run and modules.modules:
            self.isolation().preload(modules)

    def _serve(self, descriptor: int, session: pytest.Session) -> list[pytest.Item]:
        """Have tests measured as the command asks that has started this run; all others are left.

        Returns those that are to be run: marked ones that may measure. What is marked by mistake is
        left to fail.
        """
        to_run, wanted, others = [], [], []
        for item in session.items:
            if not (is_ours(item) and benchmark_items.may_measure(item)):
                others.append(item)
                continue
            to_run.append(item)
            if case_of(item) is not None:
                wanted.append(item)
        config, isolation = self._config, self.isolation()
        try:
            roots = [str(Repository.holding(config.rootpath).top)]
        except RevisionError:  # two environments need no repository
            roots = []
        modules = [item.path for item in wanted]
        self._abreast = Abreast(
            descriptor,
            lambda place: self._opened(
                f"making {place.title} ready", lambda: open_place(place, config, here, modules)
            ),
            isolation.leave,
            self._settings.group,
        )
        here = isolation.measure_for(self._abreast, roots)
        self._abreast.collected([_selected(item) for item in wanted])
        session.items[:] = to_run
        if others:
            config.hook.pytest_deselected(items=others)
        return wanted

    def _is_judging(self) -> bool:
        return is_asked_for(self._config, self._settings)

    @pytest.hookimpl(tryfirst=True)  # what goes wrong is told before the summary
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self._isolation is not None:
            self._isolation.end_shared()
        if self._abreast is not None:
            self._abreast.end(int(exitstatus))
        # pytest-xdist waits for a worker until here, and then for ten seconds: on a busy machine
        # less than it takes to remove a checkout.
        if roles.is_worker(self._config):
            self.pytest_unconfigure()

    def pytest_unconfigure(self) -> None:
        if self._isolation is not None:
            self._isolation.close()

    def _prepare_first(self, items: Sequence[pytest.Item]) -> None:
        """Import TensorFlow in the background, for the first test that will need it."""
        if self._config.getoption("collectonly"):
            return
        for item in items:
            case = case_of(item)
            if case is not None and not runs_here(item):
                self.isolation().prepare(case)
                return

    def _plan(self, items: Sequence[pytest.Item]) -> None:
        """Settle how long the gate may measure, and say how long it will."""
        measuring = [item for item in items if benchmark_items.measures(item)]
        foreseen = self._foreseen(measuring)
        process_s = fmean(
            Pace.of_budget(benchmark_settings.budget_s(item)).process_s
            for item in measuring or items
        )
        briefing = read_briefing(self._config)
        budget = self.isolation().plan(
            foreseen,
            process_s,
            workers=roles.count_of_workers(self._config),
            copies=1 if briefing is None else briefing.copies,
        )
        if not foreseen:
            return
        looks = self._settings.looks
        if self._settings.duet is not None:
            pairs = looks[-1] - looks[0]
        else:
            pairs = looks[-1] if self._settings.duet_if_open else 0
        self._planned = [
            expectation(
                len(foreseen),
                budget.expected_s,
                len(foreseen) * pairs * budget.pair_s,
                budget.total_s,
            )
        ]

    def _foreseen(self, items: Sequence[pytest.Item]) -> dict[str, int]:
        """How many processes each item takes, if nothing is suspicious."""
        settings = self._settings
        ours = [item for item in items if case_of(item) is not None and not runs_here(item)]
        whole = roles.gets_whole_groups(self._config) and not is_interactive(self._config)
        aliases = self.isolation().aliases(ours) if whole and ours else set()
        traces = bool(settings.profile and settings.profile.holds_for(has_regressed=False))
        processes = {}
        for item in ours:
            case = case_of(item)
            assert case is not None
            count = case.processes or settings.processes
            if not benchmark_items.measures(item):
                count = int(item.nodeid not in self._sharing_another)
            elif self._abreast is not None:  # nobody knows how many there will be elsewhere
                count = 1
            elif item.nodeid in aliases:
                count = 0
            elif settings.duet:
                count = 2 * max(count, settings.looks[0]) + traces
            else:
                count += traces
            processes[item.nodeid] = count
        return processes

    def _make_baseline_ready(self, gate: Gate, items: Sequence[pytest.Item]) -> None:
        """Have these tests run side by side with what the user wants, or with it if need be."""
        wanted, modules = self._settings.duet, [item.path for item in items]
        config, home = self._config, self.isolation().home
        if wanted is None:
            if self._settings.duet_if_open:
                self.isolation().compare_if_open(
                    BaselinesOnDemand(
                        lambda commit: self._opened(
                            f"making commit {commit:.12} ready",
                            lambda: open_saved_commit(commit, config, home, modules),
                        ),
                        self.isolation().leave,
                    )
                )
            return
        baseline = open_baseline(wanted, gate, config, home, modules)
        self.isolation().compare_with(baseline)
        self._results.add_notes(baseline.notes)
        self._prepare_first(items)

    def _opened(self, purpose: str, make: Callable[[], OpenVariant]) -> OpenVariant:
        """Checkouts and environments take CPUs and disks, so nobody measures meanwhile."""
        with self._leasing.leases().shared(purpose):
            return make()

    def _group(self, item: pytest.Item) -> list[pytest.Item]:
        """The item and all other selected configurations of its test, to be measured with it."""
        config = self._config
        if self._abreast is not None or is_interactive(config):
            return [item]
        if not roles.gets_whole_groups(config):  # the others may be run elsewhere
            return [item]
        if self._groups is None:
            self._groups = collection.Groups(item.session.items)
        members = {
            other.nodeid: other
            for other in self._groups.from_here(item)
            if other.nodeid not in self._runs and not runs_here(other)
        }
        if self._settings.group == 1 or self._settings.duet:
            return self.isolation().same_as(item, list(members.values()))
        return list(members.values())

    def _attempt(self, item: pytest.Item, nextitem: pytest.Item | None) -> Attempt:
        """What became of the item, which is measured now if it was not with others before."""
        mistake = collection.mistake_of(item)
        if mistake is not None:
            reports = outcomes.failed(item, mistake, ORIGINALS.monotonic())
            self._runs[item.nodeid] = IsolatedRun(reports)
        if item.nodeid not in self._runs:
            self._runs |= self.isolation().run(self._group(item), self._gate, nextitem)
        run = self._runs.pop(item.nodeid)
        preloaded = self.isolation().preloaded()
        if run.reports and preloaded != self._preloaded:
            self._preloaded = preloaded
            attach(run.reports[0], Attached(preloaded=tuple(preloaded)))
        if self._abreast is not None and self._abreast.has_gone:
            item.session.shouldstop = "the command that asks what is measured has gone"
        if run.ending is not None:
            raise run.ending
        for state in run.states:
            item.ihook.pytest_tfthreads_receive_state(config=self._config, item=item, state=state)
        reports = run.reports
        raised = {when: rebuilt(described) for when, described in run.raised.items()}
        if run.measured is not None:
            called = [report for report in reports if report.when == "call"][-1]
            self._fail_by(run.measured.verdicts, run.mistake, called)
            attach(called, Attached(run.measured))
        elif run.measures:
            for report in reports:
                if report.failed:
                    attach(report, Attached(has_failed=True))
        elif self._settings.profile and self._settings.profile.holds_for(has_regressed=False):
            attach(reports[0], Attached(is_untraced=True))
        return Attempt(reports, raised)

    def _fail_by(
        self, verdicts: Sequence[Verdict], mistake: str, called: pytest.TestReport
    ) -> None:
        """Fail the call of a test for its speed, or because its baseline is none."""
        gate = self._gate
        failing = [] if gate is None else [failure_message(one) for one in gate.failing(verdicts)]
        if mistake:
            failing = [f"--tf-threads-duet: {mistake}"]
        if failing:
            called.outcome = "failed"
            vars(called).pop("wasxfail", None)  # the mark expects an error, and no loss of speed
            called.longrepr = "\n".join(failing)


def _selected(item: pytest.Item) -> Selected:
    process_s = Pace.of_budget(benchmark_settings.budget_s(item)).process_s
    return Selected(collection.nodeid_of(item), process_s)


def _may_deselect(item: pytest.Item) -> bool:
    """Whether options may leave a collected item out, so that it is too early to prepare for it."""
    return any(
        item.config.getoption(name, None)
        for name in ("keyword", "markexpr", "deselect", "lf", "stepwise")
    )
