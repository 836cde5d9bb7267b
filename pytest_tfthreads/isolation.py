"""One marked test: work orders out, pytest's reports and a measurement back."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import pytest

from pytest_tfthreads import benchmark_bridge, collection, outcomes
from pytest_tfthreads.core.comparison import Candidate
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.passes import plan_rings
from pytest_tfthreads.core.search import NOTHING_KNOWN, SearchCost, look_back, next_look
from pytest_tfthreads.core.threads import Case, ThreadConfig, ThreadCount, to_spec
from pytest_tfthreads.options import Settings
from pytest_tfthreads.process import protocol
from pytest_tfthreads.process.failure import DESCRIPTORS_CLOSED, Failure, preload_failure
from pytest_tfthreads.process.launcher import Launcher
from pytest_tfthreads.process.lockstep import ROUNDS_A_SET, Ring, conduct
from pytest_tfthreads.process.machine import Machine
from pytest_tfthreads.process.member import Launched
from pytest_tfthreads.process.protocol import Reply, WorkOrder

_NO_BENCHMARK = (
    "pytest-benchmark is switched off (by -p no:benchmark, or by --codspeed, which replaces it), "
    "and a tf_threads test measures with it: leave that option out, or deselect this test."
)
_HEADLINES = {
    protocol.MISCONFIGURED: "The configuration is not in force:",
    protocol.NOT_COLLECTED: (
        "The measuring process could not collect this test, though pytest did here. Its module "
        "must collect the same tests whatever CPUs and threads it is given."
    ),
    protocol.DESCRIPTORS_CLOSED: DESCRIPTORS_CLOSED,
    protocol.INTERNAL_ERROR: (
        "pytest, a plugin or pytest-tfthreads itself broke down in the measuring process; the "
        "test is not to blame."
    ),
}
"""Outcomes without a test run, in words."""
# Of the time to measure, where a search only looks around: a third of the rounds tells 10 %.
_GLANCE = 0.3
_ONE_THREAD = ThreadConfig(ThreadCount("1"), ThreadCount("1"))


@dataclass(frozen=True)
class MeasuredTest:
    """What the controller adds to pytest-benchmark's session; travels on the test's report."""

    nodeid: str
    name: str
    group: str  # of all configurations of its test
    case: str  # its own among them
    param: str | None
    params: Mapping[str, Any]
    record: benchmark_bridge.BenchmarkRecord
    measurement: Measurement
    note: str = ""  # for the reader of the summary
    search: SearchCost | None = None  # where it was measured in a search for the best of its group

    @property
    def candidate(self) -> Candidate:
        """As one of the configurations of its test."""
        threads = ThreadConfig(ThreadCount(self.params["intra"]), ThreadCount(self.params["inter"]))
        return Candidate(self.case, threads, self.measurement)

    def to_json(self) -> dict[str, Any]:
        return {
            "nodeid": self.nodeid,
            "name": self.name,
            "group": self.group,
            "case": self.case,
            "param": self.param,
            "params": dict(self.params),
            "record": self.record.to_json(),
            "measurement": self.measurement.to_json(),
            "note": self.note,
            "search": None if self.search is None else self.search.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MeasuredTest:
        return cls(
            nodeid=data["nodeid"],
            name=data["name"],
            group=data["group"],
            case=data["case"],
            param=data["param"],
            params=data["params"],
            record=benchmark_bridge.BenchmarkRecord.from_json(data["record"]),
            measurement=Measurement.from_json(data["measurement"]),
            note=data["note"],
            search=None if data["search"] is None else SearchCost.from_json(data["search"]),
        )


@dataclass(frozen=True)
class IsolatedRun:
    """A test's reports by phase, and its measurement if it made one."""

    reports: list[pytest.TestReport]
    measured: MeasuredTest | None = None


class Isolation:
    """Runs marked items in processes of their own."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._machine = Machine.read()
        self._launcher = Launcher(settings.start, str(config.invocation_params.dir))
        self._numbers = itertools.count()

    def prepare(self, case: Case) -> None:
        """Start the interpreter that this case needs, without waiting for it."""
        self._launcher.prepare(case.env)

    def close(self) -> None:
        self._launcher.close()

    def run(self, group: Sequence[pytest.Item]) -> dict[str, IsolatedRun]:
        """Run the configurations of one test, each in as many processes as its measurement takes.

        All of a pass are alive at once and take turns. Of each item, the first process that does
        not pass decides what is reported, and is its last; a test that measures nothing runs
        once. The answer is by node id; an item is missing where the session ends before it.
        Raises what ends a session: `KeyboardInterrupt`, `pytest.exit`.
        """
        members = [_Progress(self._config, self._settings, item) for item in group]
        for one in members:
            if benchmark_bridge.is_missing(one.item):
                one.fail(_NO_BENCHMARK, time.time())
        cost = None
        if self._settings.search and len(members) > 1:
            cost = self._search(members)
        else:
            self._sweep(members)
        return {
            one.item.nodeid: one.result(self._measured(one, cost))
            for one in members
            if one.has_reports
        }

    def _search(self, members: Sequence[_Progress]) -> SearchCost | None:
        """Measure what it takes to find a good configuration; the others are skipped."""
        begun_s = time.monotonic()
        grid = [self._requested(one.case) for one in members]
        processes = [one.processes for one in members]
        full_s: list[float] = []  # a process
        standing, rings = NOTHING_KNOWN, 0
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
                self._run_ring(rings, taking_part, _GLANCE if look.is_glance else 1.0)
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

    def _found(self, members: Sequence[_Progress]) -> tuple[dict[int, Candidate], list[int]]:
        """Configurations by number: what was measured of them, and those that cannot be."""
        candidates = {
            index: candidate
            for index, one in enumerate(members)
            if (candidate := self._candidate(one)) is not None
        }
        failed = [
            index
            for index, one in enumerate(members)
            if one.has_reports and index not in candidates
        ]
        return candidates, failed

    def _seed(self, members: Sequence[_Progress]) -> str:
        return f"{self._settings.seed} {collection.group_of(members[0].item)}"

    def _sweep(self, members: Sequence[_Progress]) -> None:
        settings = self._settings
        rings = plan_rings(
            [one.processes for one in members],
            limit=settings.group,
            shared=_shared(members),
            seed=self._seed(members),
        )
        for number, ring in enumerate(rings):
            taking_part = [members[index] for index in ring if members[index].goes_on]
            if taking_part:
                self._run_ring(number, taking_part)
                self._end_early(members)

    def _end_early(self, members: Sequence[_Progress]) -> None:
        """Under -x and --maxfail: whatever comes after the failure that will end the session."""
        session = members[0].item.session
        maxfail = self._config.getoption("maxfail")
        failed = session.testsfailed
        for index, one in enumerate(members):
            failed += one.counts_as_failed
            if maxfail and failed >= maxfail:
                for later in members[index + 1 :]:
                    later.goes_on = False

    # -- one ring -----------------------------------------------------------------------

    def _run_ring(
        self, number: int, members: Sequence[_Progress], budget_share: float = 1.0
    ) -> None:
        """One process of each member, in turns, for this share of its time to measure."""
        begun_s = time.time()
        interactive = self._is_interactive
        is_alone = len(members) == 1
        iterations = next((one.iterations for one in members if one.iterations), None)
        ring = Ring(
            rounds_a_turn=ROUNDS_A_SET if is_alone else self._settings.rounds_a_turn,
            first_set=number,
        )
        with _terminal(self._config, interactive) as terminal:
            processes = []
            for one in members:
                order = replace(
                    self._order(one, ring, iterations),
                    ring=None if is_alone else number,
                    budget_share=budget_share,
                )
                timeout_s = one.case.timeout_s or self._settings.timeout_s
                processes.append(
                    self._launcher.measuring(
                        order, one.case.env, None if interactive else timeout_s, terminal
                    )
                )
            try:
                conduct(processes, ring, self._machine.cpu_set)
            except pytest.fail.Exception as error:  # pytest-timeout's clock runs here too
                for one, process in zip(members, processes, strict=True):
                    if process.result is None:
                        one.fail(_timed_out(error.msg, len(members)), begun_s)
        for one, process in zip(members, processes, strict=True):
            if process.result is not None:
                one.take(process.result, begun_s)

    @property
    def _is_interactive(self) -> bool:
        return bool(self._config.getoption("usepdb") or self._config.getoption("trace"))

    def _order(self, member: _Progress, ring: Ring, iterations: int | None) -> WorkOrder:
        config = self._config
        item = member.item
        requested = self._requested(member.case)
        counts = self._machine.counts
        granted = member.case.granted_cpus(requested.intra, requested.inter, counts.logical)
        _, separator, own_part = item.nodeid.partition("::")
        writer = (
            config.get_terminal_writer()
            if config.pluginmanager.hasplugin("terminalreporter")
            else None
        )
        return WorkOrder(
            nodeid=item.nodeid,
            target=f"{item.path}{separator}{own_part}",
            intra=requested.intra,
            inter=requested.inter,
            cpus=self._machine.cpu_set(granted, ring.first_set),
            args=(
                *(str(arg) for arg in config.invocation_params.args),
                *_more_arguments(config, self._settings),
            ),
            plugins=tuple(
                plugin
                for plugin in config.invocation_params.plugins or ()
                if isinstance(plugin, str)
            ),
            argv=tuple(sys.argv),
            invocation_dir=str(config.invocation_params.dir),
            sys_path=tuple(sys.path),
            basetemp=_basetemp(config, f"tfthreads{next(self._numbers)}"),
            interactive=self._is_interactive,
            colors=bool(writer and writer.hasmarkup),
            terminal_width=writer.fullwidth if writer else 80,
            workerinput=getattr(config, "workerinput", None),
            iterations=iterations,
            # A debugger's process shares the terminal's group with pytest, and must not stop it.
            rounds_a_turn=None if self._is_interactive else ring.rounds_a_turn,
        )

    def _requested(self, case: Case) -> Pools:
        counts = self._machine.counts
        return Pools(case.threads.intra.resolve(counts), case.threads.inter.resolve(counts))

    # -- all processes of a test --------------------------------------------------------

    def _candidate(self, member: _Progress) -> Candidate | None:
        measurement = self._measurement(member)
        if measurement is None:
            return None
        return Candidate(member.case.id, member.case.threads, measurement)

    def _measurement(self, member: _Progress) -> Measurement | None:
        case = member.case
        runs = member.measured_runs
        if not runs or member.has_failed:
            return None
        reply = runs[0].reply
        effective = None if reply.effective is None else Pools(**reply.effective)
        requested = self._requested(case)
        return Measurement(
            requested=requested,
            effective=effective,
            cpus=runs[0].order.cpus,
            start=runs[0].order.start,
            items=reply.items,
            unit=reply.unit,
            samples=tuple(Sample.from_json(run.reply.sample or {}) for run in runs),
            machine={
                **self._machine.to_json(),
                **reply.runtime,
                "python": ".".join(str(part) for part in sys.version_info[:3]),
            },
            flags=tuple(
                dict.fromkeys(
                    itertools.chain(
                        self._flags(case, effective or requested, runs[0]),
                        *(run.reply.flags for run in runs),
                    )
                )
            ),
        )

    def _measured(self, member: _Progress, cost: SearchCost | None) -> MeasuredTest | None:
        measurement = self._measurement(member)
        if measurement is None:
            return None
        item, case = member.item, member.case
        runs = member.measured_runs
        records = [
            benchmark_bridge.BenchmarkRecord.from_json(run.reply.benchmark or {}) for run in runs
        ]
        callspec = getattr(item, "callspec", None)
        parameters = collection.parameters_of(item)
        fresh_reason = runs[0].fresh_reason
        return MeasuredTest(
            nodeid=item.nodeid,
            name=item.name,
            group=collection.group_of(item),
            case=case.id,
            param=None if callspec is None else callspec.id,
            params={
                **{name: _plain(value) for name, value in parameters.items()},
                "intra": case.threads.intra.text,
                "inter": case.threads.inter.text,
            },
            record=benchmark_bridge.joined(records),
            measurement=measurement,
            note=f"not forked: {fresh_reason}" if fresh_reason else "",
            search=cost,
        )

    def _flags(self, case: Case, pools: Pools, launched: Launched) -> Iterator[str]:
        order = launched.order
        granted = len(order.cpus)
        if max(pools.intra, pools.inter) > granted:
            yield "oversubscribed"
        if isinstance(case.cpus, int) and case.cpus > granted:
            yield "fewer-cpus"
        quota = self._machine.quota_cpus
        if quota is not None and quota < granted:
            yield "quota"
        if order.start == "fresh":
            yield "fresh"
        if launched.reply.effective is None:
            yield "unverified"
        if order.ring is not None and (launched.reply.sample or {}).get("ring") is None:
            yield "no-turns"
        if (order.workerinput or {}).get("workercount", 1) > 1:
            yield "xdist"


class _Progress:
    """One item, and what its processes have brought so far."""

    def __init__(self, config: pytest.Config, settings: Settings, item: pytest.Item) -> None:
        case = collection.case_of(item)
        assert case is not None
        self.item = item
        self.case = case
        self.processes = case.processes or settings.processes
        self.runs: list[Launched] = []
        self.goes_on = True
        self._config = config
        self._reports: list[list[pytest.TestReport]] = []

    @property
    def has_reports(self) -> bool:
        return bool(self._reports)

    @property
    def is_cut_off(self) -> bool:
        """It will never be run."""
        return not self.goes_on and not self.has_reports

    @property
    def has_failed(self) -> bool:
        return any(not outcomes.passed(reports) for reports in self._reports)

    @property
    def counts_as_failed(self) -> bool:
        """For -x and --maxfail, which a skip or an expected failure does not concern."""
        return any(report.failed for reports in self._reports for report in reports)

    @property
    def measured_runs(self) -> list[Launched]:
        """Those with a sample: a test may measure in one process and not in the next."""
        return [run for run in self.runs if run.reply.sample is not None]

    @property
    def iterations(self) -> int | None:
        """Calls a round, as its first process settled them."""
        sample = self.runs[0].reply.sample if self.runs else None
        return None if sample is None else int(sample["iterations"])

    def take(self, result: Launched | Failure, begun_s: float) -> None:
        """What a process brought; raises what ends the session."""
        if isinstance(result, Failure):
            self.fail(str(result), begun_s)
            return
        _end_session_if_asked(result.reply)
        failure = _failure_of(result.reply)
        if failure is not None:
            self.fail(str(failure), begun_s)
            return
        self.runs.append(result)
        reports = [outcomes.restore(self._config, data) for data in result.reply.reports]
        self._add(reports)
        if result.reply.sample is None:
            self.goes_on = False

    def fail(self, message: str, begun_s: float) -> None:
        self._add(outcomes.failed(self.item, message, begun_s))

    def skip(self, reason: str) -> None:
        self._reports.append(outcomes.skipped(self.item, reason))

    def _add(self, reports: list[pytest.TestReport]) -> None:
        self._reports.append(reports)
        if not outcomes.passed(reports):
            self.goes_on = False
            outcomes.note_process(reports, len(self._reports) - 1, self.processes)

    def result(self, measured: MeasuredTest | None) -> IsolatedRun:
        """All of it, as pytest is told."""
        if self.runs:
            told = self.runs[-1 if self.has_failed else 0]
            outcomes.replay_warnings(self._config, told.reply.warnings)
        return IsolatedRun(outcomes.merge(self._reports), measured)


def _shared(members: Sequence[_Progress]) -> int:
    """The configuration that all rings have among them: one thread each, if it is there."""
    threads = [one.case.threads for one in members]
    return threads.index(_ONE_THREAD) if _ONE_THREAD in threads else 0


def _timed_out(message: str | None, members: int) -> str:
    text = f"timed-out: {message} The measuring process was killed."
    if members > 1:
        text += (
            f" {members} configurations of this test were being measured in turns, all on the "
            "first one's time: allow it more, or measure them one by one (--tf-threads-group=1)."
        )
    return text


def _failure_of(reply: Reply) -> Failure | None:
    """What a process answered where it could not run its test."""
    if reply.outcome == protocol.NO_TENSORFLOW:
        return preload_failure(reply.message)
    headline = _HEADLINES.get(reply.outcome)
    return None if headline is None else Failure(reply.outcome, f"{headline}\n{reply.message}")


def _iterations(reply: Reply) -> int | None:
    return None if reply.sample is None else int(reply.sample["iterations"])


def _end_session_if_asked(reply: Reply) -> None:
    if reply.outcome == protocol.SESSION_EXIT:
        pytest.exit(reply.message, returncode=reply.exit_code)
    if reply.outcome == protocol.INTERRUPTED:
        raise KeyboardInterrupt(reply.message)


def _more_arguments(config: pytest.Config, settings: Settings) -> Iterator[str]:
    """What must be said on the command line, because a plugin acts on it at once."""
    if config.pluginmanager.hasplugin("pytest_cov"):
        yield "--no-cov"  # it would trace, and so slow, what is measured
    if settings.search:  # in a process with fewer CPUs the machine would look smaller
        yield f"--tf-threads={to_spec(settings.configs)}"


def _basetemp(config: pytest.Config, name: str) -> str | None:
    """A directory below that of the run, as pytest-xdist's workers have."""
    factory = getattr(config, "_tmp_path_factory", None)  # absent under -p no:tmpdir
    return None if factory is None else str(factory.getbasetemp() / name)


@contextlib.contextmanager
def _terminal(config: pytest.Config, interactive: bool) -> Iterator[Sequence[int]]:
    """The descriptors that the test may use as its own, where its output is not captured."""
    if config.getoption("capture") == "no":
        yield (0, 1, 2)
        return
    manager = config.pluginmanager.getplugin("capturemanager") if interactive else None
    if manager is None:
        yield ()
        return
    manager.suspend_global_capture(in_=True)
    try:
        yield (0, 1, 2)
    finally:
        manager.resume_global_capture()


def _plain(value: object) -> object:
    """A parameter as JSON can hold it, or as text."""
    try:
        plain: object = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return repr(value)
    return plain
