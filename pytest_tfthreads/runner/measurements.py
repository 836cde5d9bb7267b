"""What a marked test leaves: its reports, and its measurement."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import pytest

from pytest_tfthreads import __version__
from pytest_tfthreads.core.benchmark_record import BenchmarkRecord, joined
from pytest_tfthreads.core.contention import mean_of
from pytest_tfthreads.core.decode import DecodeError, decode, encode
from pytest_tfthreads.core.gate.pairs import Duet
from pytest_tfthreads.core.gate.verdict import Verdict
from pytest_tfthreads.core.measurement import Latency, Measurement, Pools
from pytest_tfthreads.core.op_profile import Traces
from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.sweep.search import SearchCost
from pytest_tfthreads.core.threads import Case, Configuration, is_oversubscribed
from pytest_tfthreads.engine.measuring_process import Launched
from pytest_tfthreads.engine.team import TeamLaunched
from pytest_tfthreads.pytest_bridge import collection
from pytest_tfthreads.pytest_bridge.raised import Described
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.system.leases.leases import Leases
from pytest_tfthreads.system.machine import Machine

GLANCE = "glance"
"""The flag of what a search measured for a part of the time only."""


@dataclass(frozen=True)
class MeasuredTest:
    """What the controller adds to pytest-benchmark's session; travels on the test's report."""

    nodeid: str
    name: str
    group: str  # of all configurations of its test
    configuration: Configuration  # its own among them
    param: str | None
    params: Mapping[str, Any]
    record: BenchmarkRecord
    measurement: Measurement
    note: str = ""  # for the reader of the summary
    search: SearchCost | None = None  # where it was measured in a search for the best of its group
    verdicts: tuple[Verdict, ...] = ()  # where it was judged
    duet: Mapping[str, Any] | None = None  # as recorded, where it ran beside its baseline
    took_turns_with_baseline: bool = False  # and not with its other configurations
    duet_of_saved_run: bool = True  # and not of a revision that the user named
    notes: tuple[str, ...] = ()  # of how it was judged, for the reader of the summary
    traces: Traces | None = None
    unwritten: tuple[str, ...] = ()  # why its own files could not be written
    worker: str = ""  # where several measure each test: whose this is
    same_as: str = ""  # id of the configuration as which it was measured, if under another name

    @property
    def candidate(self) -> Candidate:
        """As one of the configurations of its test."""
        return Candidate.of(self.configuration, self.measurement, self.same_as)

    def by(self, worker: str) -> MeasuredTest:
        """The same, where several workers measure each test: named after this one."""
        return replace(
            self,
            name=f"{self.name}@{worker}",
            group=f"{self.group}@{worker}",
            verdicts=tuple(
                replace(verdict, test=f"{verdict.test}@{worker}") for verdict in self.verdicts
            ),
            worker=worker,
        )

    @property
    def fullname(self) -> str:
        """By which pytest-benchmark knows it."""
        return f"{self.nodeid}@{self.worker}" if self.worker else self.nodeid

    @property
    def recorded(self) -> dict[str, Any]:
        """For `extra_info`: the measurement, whose it is, and what else there is of it."""
        recorded = {
            **self.measurement.to_json(),
            "group": self.group,
            "configuration": encode(self.configuration),
        }
        if self.same_as:
            recorded["same_as"] = self.same_as
        if self.worker:
            recorded["test"] = self.nodeid
        if self.duet is not None:
            recorded["duet"] = {
                **self.duet,
                "took_turns": self.took_turns_with_baseline,
                "of_saved_run": self.duet_of_saved_run,
            }
        if self.verdicts:
            recorded["verdicts"] = [verdict.to_json() for verdict in self.verdicts]
        if self.traces is not None:
            recorded["profile"] = self.traces.to_json()
        return recorded

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the fields."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MeasuredTest:
        """Raises `DecodeError`, which says that it is of what a report carries."""
        where = "tf_threads of a report"
        decoded = decode(cls, data, where)
        try:
            decoded.measurement.check()
        except DecodeError as error:
            raise error.within("measurement").within(where) from error
        return decoded


@dataclass(frozen=True)
class IsolatedRun:
    """A test's reports by phase, and its measurement if it made one.

    Or an `ending`: the test asked for the end of the session (`pytest.exit`, `KeyboardInterrupt`).
    `mistake`: how the project is set up makes its baseline worthless; this must not pass.
    `measures`: it is a test that measures, whether or not it came to a measurement. `raised`: what
    it raised, by phase. `states`: what plugins sent from its processes.
    """

    reports: list[pytest.TestReport]
    measured: MeasuredTest | None = None
    ending: BaseException | None = None
    mistake: str = ""
    measures: bool = False
    raised: Mapping[str, Described] = field(default_factory=dict)
    states: Sequence[Mapping[str, Any]] = ()


class Results:
    """Makes measurements of what processes brought, on this machine."""

    def __init__(self, machine: Machine, leases: Leases, is_packed: bool) -> None:
        self._machine = machine
        self._leases = leases
        self._is_packed = is_packed

    def candidate(self, item_run: ItemRun) -> Candidate | None:
        """As one of the configurations of its test; None if it was not measured."""
        measurement = self.measurement(item_run)
        if measurement is None:
            return None
        case = item_run.case
        return Candidate(case.id, case.threads, measurement, own_terms=case.terms)

    def measurement(self, item_run: ItemRun) -> Measurement | None:
        """All its processes together; None if one failed or none measured."""
        if item_run.has_failed or item_run.ending is not None:
            return None
        return self.measured_so_far(item_run)

    def measured_so_far(self, item_run: ItemRun) -> Measurement | None:
        """All its processes that measured, though others failed; None if none did."""
        runs = item_run.measured_runs
        if not runs:
            return None
        requested = item_run.requested
        teams = [run for run in runs if isinstance(run, TeamLaunched)]
        if len(teams) < len(runs) and item_run.instances > 1:
            return None  # one instance ran alone, for a debugger
        reply = runs[0].reply
        effective = reply.effective
        others = mean_of(sample.contention for sample in item_run.samples)
        return Measurement(
            requested=requested,
            effective=effective,
            cpus=runs[0].sent.cpus,
            start=runs[0].sent.start,
            items=reply.items,
            unit=reply.unit,
            data_threads=reply.data_threads,
            samples=item_run.samples,
            machine={
                **reply.runtime,  # first: what is known here is not a process's to say
                **self._machine.to_json(),
                "python": item_run.variant.python_version,
                "plugin": __version__,
            },
            flags=tuple(
                dict.fromkeys(
                    itertools.chain(
                        self._flags(item_run, effective or requested, runs[0]),
                        ["contended"] * (others is not None and others.is_contended),
                        [GLANCE] * all(run.sent.order.terms.budget_share < 1 for run in runs),
                        *(run.reply.flags for run in runs),
                    )
                )
            ),
            **_of_teams(teams, self._machine),
        )

    def measured(
        self, item_run: ItemRun, cost: SearchCost | None, duet: Duet | None
    ) -> MeasuredTest | None:
        """What is recorded of it; `cost`: of the search, `duet`: in which it was measured."""
        measurement = self.measurement(item_run)
        if measurement is None:
            return None
        item, case = item_run.item, item_run.case
        runs = item_run.measured_runs
        records = [run.reply.benchmark for run in runs if run.reply.benchmark is not None]
        callspec = getattr(item, "callspec", None)
        parameters = collection.parameters_of(item)
        fresh_reason = runs[0].fresh_reason
        return MeasuredTest(
            nodeid=collection.nodeid_of(item),
            name=item.name,
            group=collection.group_of(item),
            configuration=Configuration.named(case.id, case.threads, case.terms),
            param=None if callspec is None else callspec.id,
            params={
                **{name: _plain(value) for name, value in parameters.items()},
                "intra": case.threads.intra.text,
                "inter": case.threads.inter.text,
                **_instances(case),
            },
            record=joined(records),
            measurement=measurement,
            note=f"not forked: {fresh_reason}" if fresh_reason else "",
            search=cost,
            duet=None if duet is None else duet.to_json(),
            took_turns_with_baseline=duet is not None,
            same_as="" if item_run.measured_as is None else item_run.measured_as.case.id,
            unwritten=tuple(
                dict.fromkeys(record.unwritten for record in records if record.unwritten)
            ),
        )

    def _flags(self, item_run: ItemRun, pools: Pools, launched: Launched) -> Iterator[str]:
        case, sent, order = item_run.case, launched.sent, launched.sent.order
        granted = len(sent.cpus)
        counts = self._machine.counts
        threads = max(pools.intra, pools.inter)
        if is_oversubscribed(threads, granted, item_run.instances, counts.logical):
            yield "oversubscribed"
        if isinstance(case.cpus, int) and case.cpus > granted:
            yield "fewer-cpus"
        if len({self._machine.node_of(cpu) for cpu in sent.cpus}) > 1:
            yield "numa"
        at_once = min(granted * item_run.instances, len(self._machine.core_of))
        quota = self._machine.quota_cpus
        if quota is not None and quota < at_once:
            yield "quota"
        if sent.start == "fresh":
            yield "fresh"
        if launched.reply.effective is None:
            yield "unverified"
        sample = launched.reply.sample
        if order.terms.ring is not None and (sample is None or sample.ring is None):
            yield "no-turns"
        if self._leases.unavailable:
            yield "no-lease"
            if (order.call.workerinput or {}).get("workercount", 1) > 1:
                yield "xdist"
        if self._is_packed:
            yield "packed"


def _of_teams(teams: Sequence[TeamLaunched], machine: Machine) -> dict[str, Any]:
    """What a measurement says of instances that ran at once."""
    if not teams:
        return {}
    calls_s = list(itertools.chain(*(team.call_s for team in teams)))
    record = teams[0].reply.benchmark
    assert record is not None, "a team has a result only if all have measured"
    memory = [team.max_pss_bytes for team in teams if team.max_pss_bytes is not None]
    return {
        "instances": len(teams[0].cpus),
        "instance_cpus": teams[0].cpus,
        "instance_nodes": _nodes_of(teams[0].cpus, machine),
        "latency": Latency.of(calls_s, record.iterations),
        "imbalance": fmean(team.imbalance for team in teams),
        "max_pss_bytes": max(memory, default=None),
    }


def _nodes_of(sets: Sequence[Sequence[int]], machine: Machine) -> tuple[int | None, ...]:
    """The NUMA node of each set, None where it has several; empty where the machine has one."""
    if len(machine.nodes) == 1:
        return ()
    nodes = [{machine.node_of(cpu) for cpu in cpus} for cpus in sets]
    return tuple(min(one) if len(one) == 1 else None for one in nodes)


def _instances(case: Case) -> dict[str, str]:
    """As a parameter, where the test has it."""
    instances = case.threads.instances
    return {} if instances is None else {"instances": instances.text}


def _plain(value: object) -> object:
    """A parameter as JSON can hold it, or as text."""
    try:
        plain: object = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return repr(value)
    return plain
