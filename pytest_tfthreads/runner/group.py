"""All configurations of one test: who is measured with whom, until enough is known."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from pytest_tfthreads.benchmark_bridge import benchmark_items, benchmark_settings
from pytest_tfthreads.core.abreast import Begun
from pytest_tfthreads.core.gate.budget import Budget
from pytest_tfthreads.core.gate.duet import INTERPRETERS, is_decided
from pytest_tfthreads.core.gate.pairs import Duet
from pytest_tfthreads.core.gate.two_rules import pairs_wanted, with_advice
from pytest_tfthreads.core.gate.verdict import Verdict
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.sweep.search import SearchCost
from pytest_tfthreads.core.threads import Case
from pytest_tfthreads.engine.interpreter import Home
from pytest_tfthreads.engine.preload import Preload
from pytest_tfthreads.pytest_bridge import collection
from pytest_tfthreads.pytest_bridge.attempts import Attempts
from pytest_tfthreads.pytest_bridge.gate import Gate
from pytest_tfthreads.pytest_bridge.options import BASELINES_COMMIT, Settings
from pytest_tfthreads.pytest_bridge.progress_line import ProgressLine
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.runner.abreast import Abreast
from pytest_tfthreads.runner.baseline import current_commit, saved_commit
from pytest_tfthreads.runner.duet import Duets
from pytest_tfthreads.runner.executor import Executor
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.measurements import IsolatedRun, MeasuredTest, Results
from pytest_tfthreads.runner.on_demand import BaselinesOnDemand
from pytest_tfthreads.runner.orders import Orders
from pytest_tfthreads.runner.payload import PreloadedVariant
from pytest_tfthreads.runner.rings import Rings
from pytest_tfthreads.runner.sharing import Sharing
from pytest_tfthreads.runner.strategies.common import end_early, seed_of
from pytest_tfthreads.runner.strategies.look_again import look_again
from pytest_tfthreads.runner.strategies.search import search
from pytest_tfthreads.runner.strategies.side_by_side import (
    Beside,
    SideBySide,
    duet_verdicts,
    end_by,
    judged,
)
from pytest_tfthreads.runner.strategies.sweep import sweep
from pytest_tfthreads.runner.traces import Profiles
from pytest_tfthreads.runner.variants import CurrentTree, OpenVariant, Variant
from pytest_tfthreads.system.leases.leases import Leases
from pytest_tfthreads.system.machine import Machine
from pytest_tfthreads.system.originals import ORIGINALS

_OFF = "--tf-threads-duet=off keeps to the saved runs"
_WITHOUT_OFF = "; without it this is measured side by side with the baseline's commit"
_SNAPSHOT = "snapshot"  # syrupy's fixture
_NO_BENCHMARK = (
    "pytest-benchmark is switched off (by -p no:benchmark, or by --codspeed, which replaces it), "
    "and a tf_threads test measures with it: leave that option out, or deselect this test."
)


class Isolation:
    """Runs marked items in processes of their own, which the executor starts; it is ours to close.

    What is measured with what, and until when, is decided by the strategies.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        machine: Machine,
        executor: Executor,
        leases: Leases,
        progress: ProgressLine,
        attempts: Attempts,
    ) -> None:
        self._config = config
        self._settings = settings
        self._progress = progress
        self._machine = machine
        self._executor = executor
        orders = Orders(config, settings, machine, attempts)
        self._orders = orders
        self._budget = Budget()
        self._rings = Rings(settings, orders, executor, progress, self._budget)
        self._sharing = Sharing(config, settings, machine, orders, executor)
        self._results = Results(machine, leases, settings.pack)
        self._here = CurrentTree(Home.here(str(config.invocation_params.dir)))
        self._baseline: OpenVariant | None = None  # of every test
        self._on_demand: BaselinesOnDemand | None = None  # of what saved runs do not settle
        self._abreast: Abreast | None = None  # a command that asks what is measured
        self._profiles: Profiles | None = None
        self._foreseen: dict[str, int] = {}  # first looks for which time is reserved
        self._ended: dict[str, str] = {}  # duets that the budget ended, and what would help
        self._found_to_measure: set[str] = set()  # tests whose arguments do not say so
        if settings.profile is not None and not self._rings.are_interactive:
            wish = settings.profile
            self._profiles = Profiles(self._rings, wish.directory, wish.option)

    @property
    def home(self) -> Home:
        """Where the current side's interpreters run."""
        return self._here.home

    def prepare(self, case: Case) -> None:
        """Start the interpreters that this case needs, without waiting for them."""
        if self._baseline is None:
            self._executor.prepare(self._here.home, case.env)
            return
        deals = range(1 if self._settings.start == "fresh" else INTERPRETERS)
        for deal, variant in itertools.product(deals, (self._here, self._baseline)):
            self._executor.prepare(replace(variant.home, deal=deal), case.env)

    def preload(self, modules: Preload) -> None:
        """Have interpreters import these before their next forks."""
        self._orders.preload = modules

    def preloaded(self) -> list[PreloadedVariant]:
        """What they have imported so far."""
        variants: list[Variant] = [self._here]
        if self._baseline is not None:
            variants.append(self._baseline)
        elif self._on_demand is not None:
            variants += self._on_demand.made
        titles = {variant.home: variant.title for variant in reversed(variants)}
        found = []
        for (dealt, env), one in self._executor.preloaded.items():
            if dealt.deal and not one.problem:  # as the first one of the home
                continue
            home = replace(dealt, deal=0)
            variables = [f"{name}={value}" for name, value in env]
            title = [] if home == self._here.home else [titles.get(home, home.python)]
            where = ", ".join([*title, *variables])
            found.append(PreloadedVariant(where, one.modules, one.left_out, one.problem))
        return found

    def compare_with(self, baseline: OpenVariant) -> None:
        """From now on, run every test that measures side by side with this; it is ours to close."""
        self._baseline = baseline
        self._here = replace(self._here, roots=baseline.roots)

    def measure_for(self, abreast: Abreast, roots: Sequence[str]) -> CurrentTree:
        """From now on, measure tests wherever a command asks; `abreast` is ours to close.

        `roots`: directories of the current tree, whose modules are listed. Returns that tree as the
        place that it is too.
        """
        self._abreast = abreast
        self._here = replace(self._here, roots=tuple(roots))
        return self._here

    def leave(self, variant: Variant) -> None:
        """End the interpreters of a place that is not needed any more."""
        if variant.home != self._here.home:
            self._executor.release(variant.home)

    def plan(
        self, foreseen: Mapping[str, int], process_s: float, workers: int, copies: int
    ) -> Budget:
        """What the gate may spend of its budget, of which each of the `workers` has its share.

        `foreseen` is how many processes the first look of each test takes, by node id, and
        `process_s` how long one is expected to take. Each test is run by `copies` of the workers.
        """
        self._foreseen = dict(foreseen)
        total_s = self._settings.budget_s
        self._budget.total_s = None if total_s is None else total_s / workers
        self._budget.first_looks = sum(foreseen.values()) * copies / workers
        self._budget.tests = len(foreseen) * copies / workers
        self._budget.process_s = process_s
        self._budget.first_pairs = self._settings.looks[0]
        return self._budget

    def compare_if_open(self, baselines: BaselinesOnDemand) -> None:
        """From now on, run what saved runs do not settle side by side with this; ours to close."""
        self._on_demand = baselines

    def plan_sharing(self, items: Sequence[pytest.Item]) -> set[str]:
        """Settle which of these tests, all that are run in processes here, share a process.

        Returns the node ids of those that share one and do not begin it.
        """
        self._sharing.plan(items, self._here)
        shared = {item.nodeid for item in items if self._sharing.shares(item)}
        return shared - self._sharing.first_ones

    def end_shared(self) -> None:
        """Let processes that tests share end; what goes wrong is a warning of this session."""
        self._sharing.end()

    def close(self) -> None:
        self._executor.close()
        for one in (self._baseline, self._on_demand, self._abreast):
            if one is not None:
                one.close()

    def same_as(self, item: pytest.Item, group: Sequence[pytest.Item]) -> list[pytest.Item]:
        """Those of a group that are the same configuration as this member, which comes first."""
        key = self._sameness(self._item_run(item, self._here))
        others = (self._item_run(other, self._here) for other in group if other is not item)
        return [item, *(one.item for one in others if self._sameness(one) == key)]

    def aliases(self, items: Sequence[pytest.Item]) -> set[str]:
        """Node ids of items that share the measurement of one before them, if all are run here."""
        seen: set[object] = set()
        found = set()
        for item in items:
            key = collection.group_of(item), self._sameness(self._item_run(item, self._here))
            if key in seen:
                found.add(item.nodeid)
            seen.add(key)
        return found

    def _sameness(self, item_run: ItemRun) -> object:
        """Equal for those configurations of a test that are one on this machine.

        Not for tests with syrupy's snapshots: these go by the test's own name.
        """
        case, item = item_run.case, item_run.item
        return (
            item_run.requested,
            self._orders.granted(item_run),
            item_run.instances,
            case.env,
            case.processes,
            case.timeout_s,
            item.nodeid if _SNAPSHOT in getattr(item, "fixturenames", ()) else "",
        )

    def _measured_once(self, item_runs: Sequence[ItemRun]) -> list[ItemRun]:
        """The first of those that are the same configuration, with the others as its aliases."""
        distinct: dict[object, ItemRun] = {}
        for one in item_runs:
            first = distinct.setdefault(self._sameness(one), one)
            if first is not one:
                first.aliases.append(one)
        return list(distinct.values())

    def run(
        self,
        group: Sequence[pytest.Item],
        gate: Gate | None = None,
        nextitem: pytest.Item | None = None,
    ) -> dict[str, IsolatedRun]:
        """Run the configurations of one test, each in as many processes as its measurement takes.

        All of a pass are alive at once and take turns. Of each item, the first process that does
        not pass decides what is reported, and is its last; a test that measures nothing runs
        once, and is the only one of its group that is run; its process may be shared, also with
        `nextitem`, which pytest runs next. What is measured is judged by the gate, if there is one;
        before it fails a test, more processes are measured. The answer is by node id; an item is
        missing where the session ends before it, or where it is yet to be run.
        """
        item_runs = [self._item_run(item, self._here) for item in group]
        if not self._measures(group[0]):
            first = item_runs[0]
            with self._progress.test(_title(group[:1]), [group[0].nodeid], budget_s=0):
                is_shared = self._run_shared(first, nextitem)
                if not is_shared:
                    self._progress.expect(processes=1, passes=1)
                    self._rings.run(0, [first])
            measures = first.uses_benchmark and benchmark_items.is_enabled(self._config)
            if measures:
                self._found_to_measure.add(collection.group_of(group[0]))
            if not first.goes_on and not (measures and is_shared):
                return self._results_of([first], None, {}, gate, {})
            # It measures, which nobody could know. Beside others it has to be measured in turns
            # with them from its first process on; and a shared process measures nothing.
            if (
                is_shared
                or len(group) > 1
                or self._baseline is not None
                or self._abreast is not None
            ):
                item_runs[0] = self._item_run(group[0], self._here)
        self._sharing.end()
        with self._progress.test(
            _title(group), [item.nodeid for item in group], benchmark_settings.budget_s(group[0])
        ):
            return self._run(item_runs, gate)

    def _run_for(self, abreast: Abreast, here: ItemRun) -> IsolatedRun:
        """As a command asks; this run of pytest records nothing of it.

        One process in the current tree comes first: it makes the test's reports, tells whether it
        measures, and which modules it has there.
        """
        begun_s, process_s = ORIGINALS.monotonic(), 0.0
        if here.goes_on:
            self._rings.expect(processes=1, passes=None)
            process_s = self._rings.run(0, [here])
        nodeid = collection.nodeid_of(here.item)
        if here.ending is None and (here.problem or here.samples):
            abreast.run(
                Begun(
                    nodeid,
                    process_s,
                    start_s=max(0.0, ORIGINALS.monotonic() - begun_s - process_s),
                    problem=here.problem,
                ),
                here.runs[-1].reply.modules if here.runs else {},
                lambda variant: self._item_run(here.item, variant),
                self._results.measured_so_far,
                self._rings,
                seed_of(self._settings, [here]),
            )
        return IsolatedRun(
            here.reports(),
            ending=here.ending,
            measures=bool(here.samples),
            raised=here.raised,
            states=here.states,
        )

    def _run_shared(self, first: ItemRun, nextitem: pytest.Item | None) -> bool:
        """Run a test that measures nothing in a process that it shares; False: it has to be alone.

        Then no shared process is left.
        """
        if self._sharing.shares(first.item):
            self._progress.expect(processes=None, passes=None)
            if self._sharing.run(first, nextitem):
                return True
        self._sharing.end()
        return False

    def _measures(self, item: pytest.Item) -> bool:
        """Whether the item is to be measured, as far as is known by now."""
        return benchmark_items.measures(item) or collection.group_of(item) in self._found_to_measure

    def _run(self, of_items: Sequence[ItemRun], gate: Gate | None) -> dict[str, IsolatedRun]:
        # Nothing is reserved for tests that nobody knew to measure, and for those that a plugin has
        # run again.
        foreseen = [
            self._foreseen.pop(one.item.nodeid)
            for one in of_items
            if one.item.nodeid in self._foreseen
        ]
        self._budget.begin(sum(foreseen), len(foreseen))
        item_runs = self._measured_once(of_items)
        for one in item_runs:
            if benchmark_items.is_missing(one.item):
                one.fail(_NO_BENCHMARK, ORIGINALS.monotonic())
        if self._abreast is not None:
            return {one.item.nodeid: self._run_for(self._abreast, one) for one in item_runs}
        cost = None
        duets: dict[str, Duet] = {}
        beside: dict[str, Beside] = {}
        if gate is not None and self._baseline is not None:
            for one in item_runs:
                if one.goes_on:
                    duet = self._duet(one, self._baseline, gate)
                    duets |= {name.item.nodeid: duet for name in one.names}
                end_early(item_runs)
        elif self._settings.search and len(item_runs) > 1:
            cost = search(
                item_runs, self._rings, self._results, self._settings, self._machine.counts
            )
        else:
            sweep(item_runs, self._rings, self._settings)
        if gate is not None and self._baseline is None:
            beside = self._side_by_side(item_runs, gate)
            compared = {nodeid for nodeid, one in beside.items() if one.is_compared}
            look_again(
                item_runs,
                self._rings,
                self._settings,
                lambda one: (
                    one.item.nodeid not in compared
                    and any(self._would_fail(name, one, gate) for name in one.names)
                ),
                self._budget.allows_processes,
            )
        for one in item_runs:
            for alias in one.aliases:
                alias.share(one)
        return self._results_of(item_runs, cost, duets, gate, beside)

    def _side_by_side(self, item_runs: Sequence[ItemRun], gate: Gate) -> dict[str, Beside]:
        """What saved runs do not settle, beside their commit."""
        if self._on_demand is None:
            if self._settings.duet_if_open:
                return {}
            return {
                name.item.nodeid: Beside(why=self._why_off(one, gate))
                for one in item_runs
                for name in one.names
            }
        return SideBySide(
            self._rings,
            self._results,
            self._settings,
            self._on_demand,
            self._here,
            lambda: self._current_commit,
            lambda item_run, variant: self._item_run(item_run.item, variant),
            self._budget,
        ).run(item_runs, gate)

    def _why_off(self, item_run: ItemRun, gate: Gate) -> str:
        measured = self._results.measurement(item_run)
        if measured is None:
            return _OFF
        try:
            saved_commit(gate, collection.nodeid_of(item_run.item), measured, current=None)
        except RevisionError:
            return _OFF
        return _OFF + _WITHOUT_OFF

    @functools.cached_property
    def _current_commit(self) -> str | None:
        return current_commit(self._config)

    def _results_of(
        self,
        item_runs: Sequence[ItemRun],
        cost: SearchCost | None,
        duets: Mapping[str, Duet],
        gate: Gate | None,
        besides: Mapping[str, Beside],
    ) -> dict[str, IsolatedRun]:
        """By node id, of those that were run; each is judged by the rule that it was run for."""
        runs: dict[str, IsolatedRun] = {}
        for item_run in (name for one in item_runs for name in one.names):
            if item_run.is_cut_short:
                continue
            first = item_run.measured_as
            duet = duets.get(item_run.item.nodeid)
            measured = self._results.measured(item_run, cost, duet)
            if measured is not None and duet is not None:
                is_of_saved_run = self._settings.duet == BASELINES_COMMIT
                measured = replace(measured, duet_of_saved_run=is_of_saved_run)
            if measured is not None and gate is not None:
                beside = besides.get(item_run.item.nodeid)
                verdicts = self._verdicts(item_run, measured.measurement, gate, duet, beside)
                notes = self._orders.notes
                if beside is not None and beside.duet is not None:
                    measured = replace(measured, duet=beside.duet.to_json())
                    notes += beside.notes
                elif self._baseline is not None:
                    notes += tuple(self._baseline.notes)
                measured = replace(measured, verdicts=verdicts, notes=notes)
            if measured is not None:
                known = None if first is None else runs[first.item.nodeid].measured
                if known is not None and known.traces is not None:
                    measured = replace(measured, traces=known.traces)
                else:
                    beside = besides.get(item_run.item.nodeid)
                    variant = self._baseline or (None if beside is None else beside.baseline)
                    measured = self._traced(item_run, measured, gate, variant)
            if item_run.has_reports:
                mistake = duet.problem if duet is not None and duet.is_mistake else ""
                runs[item_run.item.nodeid] = IsolatedRun(
                    item_run.reports(),
                    measured,
                    item_run.ending,
                    mistake,
                    measures=self._measures(item_run.item),
                    raised=item_run.raised,
                    states=item_run.states,
                )
        return runs

    def _traced(
        self,
        item_run: ItemRun,
        measured: MeasuredTest,
        gate: Gate | None,
        variant: OpenVariant | None,
    ) -> MeasuredTest:
        """A test that was measured, with its traces, if they are wanted of it.

        `variant`: the baseline that it ran beside.
        """
        wanted = self._settings.profile
        has_regressed = any(verdict.status == "regression" for verdict in measured.verdicts)
        if self._profiles is None or wanted is None or not wanted.holds_for(has_regressed):
            return measured
        then = None
        if has_regressed and variant is not None and (measured.duet or {}).get("baseline"):
            then = self._item_run(item_run.item, variant)
        taken = self._profiles.take(self._item_run(item_run.item, self._here), then)
        traces = taken.traces
        if then is None and gate is not None and traces.now is not None:
            stored = gate.stored_trace(measured.nodeid, measured.measurement)
            traces = replace(traces, baseline=stored)
        unwritten = (*measured.unwritten, *taken.unwritten)
        return replace(measured, traces=traces, unwritten=unwritten)

    def _item_run(self, item: pytest.Item, variant: Variant) -> ItemRun:
        return ItemRun(self._config, self._settings, self._machine, item, variant)

    def _duet(self, item_run: ItemRun, baseline: Variant, gate: Gate) -> Duet:
        """Run a test beside its baseline."""
        if self._rings.are_interactive:
            sweep([item_run], self._rings, self._settings)
            problem = "with --pdb or --trace a test is not run side by side"
            return Duet(baseline.title, problem=problem)

        def has_enough(duet: Duet) -> bool:
            measurement = self._results.measurement(item_run)
            if measurement is None:
                return False
            verdicts = duet_verdicts(item_run, measurement, gate, duet)
            done = len(duet.pairs)
            if is_decided(verdicts, done):
                return True
            why = end_by(self._budget, pairs_wanted(verdicts, verdicts), done, self._settings.looks)
            self._ended |= {one.item.nodeid: why for one in item_run.names}
            return bool(why)

        duet = Duets(self._rings, self._results).run(
            now=item_run,
            then=self._item_run(item_run.item, baseline),
            looks=self._settings.looks,
            seed=seed_of(self._settings, [item_run]),
            has_enough=has_enough,
        )
        if duet.ended:
            self._ended |= {one.item.nodeid: duet.ended for one in item_run.names}
        return duet

    def _verdicts(
        self,
        item_run: ItemRun,
        measurement: Measurement,
        gate: Gate,
        duet: Duet | None = None,
        beside: Beside | None = None,
    ) -> tuple[Verdict, ...]:
        test = collection.nodeid_of(item_run.item)
        if self._baseline is None:
            return judged(test, measurement, item_run, gate, beside)
        assert duet is not None, f"{test} was measured without its baseline"
        verdicts: tuple[Verdict, ...] = gate.judge_duet(test, measurement, item_run.case, duet)
        if self._settings.duet == BASELINES_COMMIT:
            named = gate.judge(test, measurement, item_run.case)[0].named
            verdicts = tuple(replace(verdict, named=named) for verdict in verdicts)
        advice = self._ended.get(item_run.item.nodeid, "")
        return with_advice(verdicts, advice) if advice else verdicts

    def _would_fail(self, item_run: ItemRun, measured: ItemRun, gate: Gate) -> bool:
        """Whether it would fail for its speed, as far as that is `measured` under some name."""
        measurement = self._results.measurement(measured)
        if measurement is None:
            return False
        verdicts = self._verdicts(item_run, measurement, gate)
        return any(verdict.change is not None for verdict in gate.failing(verdicts))


def _title(group: Sequence[pytest.Item]) -> str:
    """What is measured together, for people."""
    if len(group) == 1:
        return collection.nodeid_of(group[0])
    return f"{collection.group_of(group[0])}, {len(group)} configurations"
