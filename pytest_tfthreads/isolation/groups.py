"""All configurations of one test: who is measured with whom, until enough is known."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import pytest

from pytest_tfthreads import benchmark_bridge, collection
from pytest_tfthreads.attempts import Attempts
from pytest_tfthreads.core.comparison import Candidate
from pytest_tfthreads.core.duet import is_decided
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.pairs import Duet
from pytest_tfthreads.core.passes import plan_rings
from pytest_tfthreads.core.search import NOTHING_KNOWN, SearchCost, look_back, next_look
from pytest_tfthreads.core.threads import Case, ThreadConfig, ThreadCount
from pytest_tfthreads.core.verdict import Verdict
from pytest_tfthreads.gate import Gate
from pytest_tfthreads.isolation.duets import Duets
from pytest_tfthreads.isolation.orders import is_interactive
from pytest_tfthreads.isolation.profiles import Profiles
from pytest_tfthreads.isolation.progress import Progress
from pytest_tfthreads.isolation.results import IsolatedRun, MeasuredTest, Results
from pytest_tfthreads.isolation.rings import Rings
from pytest_tfthreads.isolation.sides import Baseline, Here, Side
from pytest_tfthreads.options import Settings
from pytest_tfthreads.process.launcher import Launcher
from pytest_tfthreads.process.leases import Leases
from pytest_tfthreads.process.machine import Machine
from pytest_tfthreads.process.preloaded import Home
from pytest_tfthreads.ticker import Ticker
from pytest_tfthreads.xdist_bridge import roles

_NO_BENCHMARK = (
    "pytest-benchmark is switched off (by -p no:benchmark, or by --codspeed, which replaces it), "
    "and a tf_threads test measures with it: leave that option out, or deselect this test."
)
# Of the time to measure, where a search only looks around: a third of the rounds tells 10 %.
_GLANCE = 0.3
_ONE_THREAD = ThreadConfig(ThreadCount("1"), ThreadCount("1"))


class Isolation:
    """Runs marked items in processes of their own."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        leases: Leases,
        ticker: Ticker,
        attempts: Attempts,
    ) -> None:
        self._config = config
        self._settings = settings
        self._ticker = ticker
        self._machine = Machine.read()
        self._launcher = Launcher(
            settings.start,
            leases,
            run=roles.shared_run(config),
            shares_terminal=is_interactive(config),
        )
        self._rings = Rings(
            config, settings, self._machine, self._launcher, leases, ticker, attempts
        )
        self._results = Results(self._machine, leases, settings.pack)
        self._here = Here(Home.here(str(config.invocation_params.dir)))
        self._baseline: Baseline | None = None
        self._profiles: Profiles | None = None
        self._found_to_measure: set[str] = set()  # tests whose arguments do not say so
        if settings.profile is not None and not self._rings.are_interactive:
            self._profiles = Profiles(self._rings, settings.profile.directory)

    @property
    def home(self) -> Home:
        """Where the current side's interpreters run."""
        return self._here.home

    def prepare(self, case: Case) -> None:
        """Start the interpreters that this case needs, without waiting for them."""
        for side in (self._here, self._baseline):
            if side is not None:
                self._launcher.prepare(side.home, case.env)

    def compare_with(self, baseline: Baseline) -> None:
        """From now on, run every test that measures side by side with this; it is ours to close."""
        self._baseline = baseline
        self._here = replace(self._here, roots=baseline.roots)

    def close(self) -> None:
        self._launcher.close()
        if self._baseline is not None:
            self._baseline.close()

    def run(self, group: Sequence[pytest.Item], gate: Gate | None = None) -> dict[str, IsolatedRun]:
        """Run the configurations of one test, each in as many processes as its measurement takes.

        All of a pass are alive at once and take turns. Of each item, the first process that does
        not pass decides what is reported, and is its last; a test that measures nothing runs
        once, and is the only one of its group that is run. What is measured is judged by the gate,
        if there is one; before it fails a test, more processes are measured. The answer is by node
        id; an item is missing where the session ends before it, or where it is yet to be run.
        """
        members = [self._progress(item, self._here) for item in group]
        if not self._measures(group[0]):
            first = members[0]
            with self._ticker.test(_title(group[:1]), [group[0].nodeid], budget_s=0):
                self._ticker.expect(processes=1, passes=1)
                self._rings.run(0, [first])
            if first.uses_benchmark and benchmark_bridge.is_enabled(self._config):
                self._found_to_measure.add(collection.group_of(group[0]))
            if not first.goes_on:
                return self._results_of([first], None, {}, gate)
            # It measures, which nobody could know. Beside others it has to be measured in turns
            # with them from its first process on.
            if len(group) > 1 or self._baseline is not None:
                members[0] = self._progress(group[0], self._here)
        with self._ticker.test(
            _title(group), [item.nodeid for item in group], benchmark_bridge.budget_s(group[0])
        ):
            return self._run(members, gate)

    def _measures(self, item: pytest.Item) -> bool:
        """Whether the item is to be measured, as far as is known by now."""
        return (
            benchmark_bridge.measures(item) or collection.group_of(item) in self._found_to_measure
        )

    def _run(self, members: Sequence[Progress], gate: Gate | None) -> dict[str, IsolatedRun]:
        for one in members:
            if benchmark_bridge.is_missing(one.item):
                one.fail(_NO_BENCHMARK, time.time())
        cost = None
        duets: dict[str, Duet] = {}
        if gate is not None and self._baseline is not None:
            for one in members:
                if one.goes_on:
                    duets[one.item.nodeid] = self._duet(one, self._baseline, gate)
                self._end_early(members)
        elif self._settings.search and len(members) > 1:
            cost = self._search(members)
        else:
            self._sweep(members)
        if gate is not None and self._baseline is None:
            self._look_again(members, gate)
        return self._results_of(members, cost, duets, gate)

    def _results_of(
        self,
        members: Sequence[Progress],
        cost: SearchCost | None,
        duets: Mapping[str, Duet],
        gate: Gate | None,
    ) -> dict[str, IsolatedRun]:
        """By node id, of those that were run; each is judged by the rule that it was run for."""
        runs = {}
        for one in members:
            duet = duets.get(one.item.nodeid)
            measured = self._results.measured(one, cost, duet)
            if measured is not None and gate is not None:
                verdicts = self._verdicts(one, measured.measurement, gate, duet)
                measured = replace(measured, verdicts=verdicts)
            if measured is not None:
                measured = self._traced(one, measured, duet, gate)
            if one.has_reports:
                mistake = duet.problem if duet is not None and duet.is_mistake else ""
                runs[one.item.nodeid] = IsolatedRun(
                    one.reports(),
                    measured,
                    one.ending,
                    mistake,
                    measures=self._measures(one.item),
                    raised=one.raised,
                    states=one.states,
                )
        return runs

    def _traced(
        self, member: Progress, measured: MeasuredTest, duet: Duet | None, gate: Gate | None
    ) -> MeasuredTest:
        """A test that was measured, with its traces, if they are wanted of it."""
        wanted = self._settings.profile
        has_regressed = any(verdict.status == "regression" for verdict in measured.verdicts)
        if self._profiles is None or wanted is None or not wanted.holds_for(has_regressed):
            return measured
        then = None
        if has_regressed and duet is not None and duet.baseline is not None and self._baseline:
            then = self._progress(member.item, self._baseline)
        taken = self._profiles.take(self._progress(member.item, self._here), then)
        traces = taken.traces
        if then is None and gate is not None and traces.now is not None:
            stored = gate.stored_trace(measured.nodeid, measured.measurement)
            traces = replace(traces, baseline=stored)
        unwritten = (*measured.unwritten, *taken.unwritten)
        return replace(measured, traces=traces, unwritten=unwritten)

    def _progress(self, item: pytest.Item, side: Side) -> Progress:
        return Progress(self._config, self._settings, self._machine, item, side)

    def _duet(self, member: Progress, baseline: Side, gate: Gate) -> Duet:
        """Run a test beside its baseline."""
        if self._rings.are_interactive:
            self._sweep([member])
            problem = "with --pdb or --trace a test is not run side by side"
            return Duet(baseline.title, problem=problem)

        def has_enough(duet: Duet) -> bool:
            measurement = self._results.measurement(member)
            return measurement is not None and is_decided(
                self._verdicts(member, measurement, gate, duet), len(duet.pairs)
            )

        return Duets(self._rings, self._results, self._ticker).run(
            now=member,
            then=self._progress(member.item, baseline),
            looks=self._settings.looks,
            seed=self._seed([member]),
            has_enough=has_enough,
        )

    def _verdicts(
        self, member: Progress, measurement: Measurement, gate: Gate, duet: Duet | None = None
    ) -> tuple[Verdict, ...]:
        test = collection.nodeid_of(member.item)
        if self._baseline is None:
            return gate.judge(test, measurement, member.case)
        assert duet is not None, f"{test} was measured without its baseline"
        return gate.judge_duet(test, measurement, member.case, duet)

    def _search(self, members: Sequence[Progress]) -> SearchCost | None:
        """Measure what it takes to find a good configuration; the others are skipped."""
        begun_s = time.monotonic()
        grid = [one.requested for one in members]
        processes = [one.processes for one in members]
        full_s: list[float] = []  # a process
        standing, rings = NOTHING_KNOWN, 0
        self._ticker.expect(processes=None, passes=None)
        while (look := next_look(grid, self._machine.counts, processes, standing)) is not None:
            plan = plan_rings(
                [1] * len(look.members), self._settings.group, 0, f"{self._seed(members)} {rings}"
            )
            if any(members[index].is_cut_off for index in look.members):
                break  # by -x
            for ring in plan:
                # The shared one and the hub are in several, and may have failed in one before.
                chosen = [members[look.members[place]] for place in ring]
                taking_part = [one for one in chosen if one.goes_on]
                if not taking_part:
                    continue
                ring_begun_s = time.monotonic()
                self._rings.run(rings, taking_part, _GLANCE if look.is_glance else 1.0)
                rings += 1
                if not look.is_glance:
                    full_s.append((time.monotonic() - ring_begun_s) / len(taking_part))
            self._end_early(members)
            standing = look_back(standing, look, *self._found(members))
            if any(not members[index].goes_on for index in standing.alive):
                break  # by -x
        run = sum(len(one.runs) for one in members)
        for one in members:
            if not one.has_reports:
                one.skip("the search for a good configuration did without it")
        if not full_s:
            return None
        return SearchCost(
            configurations=sum(bool(one.runs) for one in members),
            grid_configurations=len(members),
            processes=run,
            grid_processes=sum(processes),
            seconds=time.monotonic() - begun_s,
            grid_s=fmean(full_s) * sum(processes),
        )

    def _found(self, members: Sequence[Progress]) -> tuple[dict[int, Candidate], list[int]]:
        """Configurations by number: what was measured of them, and those that cannot be."""
        candidates = {
            index: candidate
            for index, one in enumerate(members)
            if (candidate := self._results.candidate(one)) is not None
        }
        failed = [
            index
            for index, one in enumerate(members)
            if one.has_reports and index not in candidates
        ]
        return candidates, failed

    def _seed(self, members: Sequence[Progress]) -> str:
        return f"{self._settings.seed} {collection.group_of(members[0].item)}"

    def _sweep(self, members: Sequence[Progress]) -> None:
        settings = self._settings
        rings = plan_rings(
            [one.processes - len(one.runs) for one in members],
            limit=settings.group,
            shared=_shared(members),
            seed=self._seed(members),
        )
        before = max(len(one.runs) for one in members)
        for number, ring in enumerate(rings):
            taking_part = [members[index] for index in ring if members[index].goes_on]
            self._ticker.expect(
                sum(members[index].goes_on for later in rings[number:] for index in later),
                passes=max(one.processes for one in members),
            )
            if taking_part:
                self._rings.run(before + number, taking_part)
                self._end_early(members)

    def _look_again(self, members: Sequence[Progress], gate: Gate) -> None:
        """Measure more processes of what the gate would fail, until it would not, or enough were.

        All that took turns with the suspicious ones do so again, so that they meet what they met
        before; those that were left out of a search are not dragged in.
        """
        taking_part = [one for one in members if one.measured_runs and one.goes_on]
        number = sum(len(one.runs) for one in members)  # beyond those of all rings before
        while taking_part:
            suspicious = [one for one in taking_part if self._is_suspicious(one, gate)]
            if not suspicious:
                return
            more = max(
                min(one.processes, self._settings.most(one.processes) - len(one.runs))
                for one in suspicious
            )
            rings = plan_rings(
                [more] * len(taking_part),
                limit=self._settings.group,
                shared=_shared(taking_part),
                seed=f"{self._seed(members)} {number}",
            )
            for place, ring in enumerate(rings):
                chosen = [taking_part[index] for index in ring if taking_part[index].goes_on]
                self._ticker.expect(
                    sum(map(len, rings[place:])), max(len(one.runs) for one in suspicious) + more
                )
                if any(one in suspicious for one in chosen):
                    self._rings.run(number, chosen)
                    self._end_early(members)
                number += 1
            taking_part = [one for one in taking_part if one.goes_on]

    def _is_suspicious(self, member: Progress, gate: Gate) -> bool:
        """Whether it would fail for its speed, and more processes may yet speak for it."""
        measurement = self._results.measurement(member)
        if measurement is None or len(member.runs) >= self._settings.most(member.processes):
            return False
        verdicts = self._verdicts(member, measurement, gate)
        return any(verdict.change is not None for verdict in gate.failing(verdicts))

    def _end_early(self, members: Sequence[Progress]) -> None:
        """Whatever comes after that which will end the session: pytest.exit(), -x, --maxfail."""
        session = members[0].item.session
        maxfail = self._config.getoption("maxfail")
        failed = session.testsfailed
        for index, one in enumerate(members):
            failed += one.counts_as_failed
            if one.ending is not None or (maxfail and failed >= maxfail):
                for later in members[index + 1 :]:
                    later.goes_on = False


def _title(group: Sequence[pytest.Item]) -> str:
    """What is measured together, for people."""
    if len(group) == 1:
        return collection.nodeid_of(group[0])
    return f"{collection.group_of(group[0])}, {len(group)} configurations"


def _shared(members: Sequence[Progress]) -> int:
    """The configuration that all rings have among them: one thread each, if it is there."""
    threads = [one.case.threads for one in members]
    return threads.index(_ONE_THREAD) if _ONE_THREAD in threads else 0
