"""One marked test: work orders out, pytest's reports and a measurement back."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_tfthreads import benchmark_bridge, collection, outcomes
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.threads import Case
from pytest_tfthreads.options import Settings
from pytest_tfthreads.process import protocol
from pytest_tfthreads.process.failure import DESCRIPTORS_CLOSED, Failure, preload_failure
from pytest_tfthreads.process.launcher import Launched, Launcher
from pytest_tfthreads.process.machine import Machine
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


@dataclass(frozen=True)
class MeasuredTest:
    """What the controller adds to pytest-benchmark's session; travels on the test's report."""

    nodeid: str
    name: str
    param: str | None
    params: Mapping[str, Any]
    record: benchmark_bridge.BenchmarkRecord
    measurement: Measurement
    note: str = ""  # for the reader of the summary

    def to_json(self) -> dict[str, Any]:
        return {
            "nodeid": self.nodeid,
            "name": self.name,
            "param": self.param,
            "params": dict(self.params),
            "record": self.record.to_json(),
            "measurement": self.measurement.to_json(),
            "note": self.note,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MeasuredTest:
        return cls(
            nodeid=data["nodeid"],
            name=data["name"],
            param=data["param"],
            params=data["params"],
            record=benchmark_bridge.BenchmarkRecord.from_json(data["record"]),
            measurement=Measurement.from_json(data["measurement"]),
            note=data["note"],
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

    def run(self, item: pytest.Item, case: Case) -> IsolatedRun:
        """Run the item in as many processes as its measurement takes.

        The first that does not pass decides what is reported. A test that measures nothing runs
        once. Raises what ends a session: `KeyboardInterrupt`, `pytest.exit`.
        """
        if benchmark_bridge.is_missing(item):
            return IsolatedRun(outcomes.failed(item, _NO_BENCHMARK, time.time()))
        processes = case.processes or self._settings.processes
        requested = Pools(
            case.threads.intra.resolve(self._machine.counts),
            case.threads.inter.resolve(self._machine.counts),
        )
        runs: list[tuple[Launched, WorkOrder]] = []
        reports: list[list[pytest.TestReport]] = []
        for turn in range(processes):
            begun_s = time.time()
            iterations = _iterations(runs[0][0].reply) if runs else None
            order = self._order(item, case, requested, turn, iterations)
            launched = self._launch(order, case)
            failure = launched if isinstance(launched, Failure) else _failure_of(launched.reply)
            if failure is not None:
                reports.append(outcomes.failed(item, str(failure), begun_s))
            else:
                assert isinstance(launched, Launched)
                runs.append((launched, order))
                reports.append(
                    [outcomes.restore(self._config, data) for data in launched.reply.reports]
                )
            if not outcomes.passed(reports[-1]):
                outcomes.note_process(reports[-1], turn, processes)
                if failure is None:
                    self._replay_warnings(runs[-1][0])
                return IsolatedRun(outcomes.merge(reports))
            if runs[-1][0].reply.sample is None:
                break
        self._replay_warnings(runs[0][0])
        return IsolatedRun(outcomes.merge(reports), self._measured(item, case, requested, runs))

    def _replay_warnings(self, launched: Launched) -> None:
        outcomes.replay_warnings(self._config, launched.reply.warnings)

    # -- one process --------------------------------------------------------------------

    def _launch(self, order: WorkOrder, case: Case) -> Launched | Failure:
        timeout_s = None if order.interactive else case.timeout_s or self._settings.timeout_s
        try:
            with _terminal(self._config, order.interactive) as terminal:
                launched = self._launcher.run(order, case.env, timeout_s, terminal)
        except pytest.fail.Exception as error:  # pytest-timeout's clock runs here too
            return Failure("timed-out", f"{error.msg} The measuring process was killed.")
        if isinstance(launched, Launched):
            _end_session_if_asked(launched.reply)
        return launched

    def _order(
        self,
        item: pytest.Item,
        case: Case,
        requested: Pools,
        turn: int,
        iterations: int | None,
    ) -> WorkOrder:
        config = self._config
        counts = self._machine.counts
        granted = case.granted_cpus(requested.intra, requested.inter, counts.logical)
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
            cpus=self._machine.cpu_set(granted, turn),
            args=(*(str(arg) for arg in config.invocation_params.args), *_more_arguments(config)),
            plugins=tuple(
                plugin
                for plugin in config.invocation_params.plugins or ()
                if isinstance(plugin, str)
            ),
            argv=tuple(sys.argv),
            invocation_dir=str(config.invocation_params.dir),
            sys_path=tuple(sys.path),
            basetemp=_basetemp(config, f"tfthreads{next(self._numbers)}"),
            interactive=bool(config.getoption("usepdb") or config.getoption("trace")),
            colors=bool(writer and writer.hasmarkup),
            terminal_width=writer.fullwidth if writer else 80,
            workerinput=getattr(config, "workerinput", None),
            iterations=iterations,
        )

    # -- all processes of a test --------------------------------------------------------

    def _measured(
        self,
        item: pytest.Item,
        case: Case,
        requested: Pools,
        runs: Sequence[tuple[Launched, WorkOrder]],
    ) -> MeasuredTest | None:
        # A test may measure in one process and not in the next.
        runs = [run for run in runs if run[0].reply.sample is not None]
        if not runs:
            return None
        launched, order = runs[0]
        reply = launched.reply
        effective = None if reply.effective is None else Pools(**reply.effective)
        measurement = Measurement(
            requested=requested,
            effective=effective,
            cpus=order.cpus,
            start=launched.start,
            items=reply.items,
            unit=reply.unit,
            samples=tuple(Sample.from_json(run.reply.sample or {}) for run, _ in runs),
            machine={
                **self._machine.to_json(),
                **reply.runtime,
                "python": ".".join(str(part) for part in sys.version_info[:3]),
            },
            flags=tuple(
                dict.fromkeys(
                    itertools.chain(
                        self._flags(case, effective or requested, launched, order),
                        *(run.reply.flags for run, _ in runs),
                    )
                )
            ),
        )
        records = [
            benchmark_bridge.BenchmarkRecord.from_json(run.reply.benchmark or {}) for run, _ in runs
        ]
        callspec = getattr(item, "callspec", None)
        parameters = collection.parameters_of(item)
        return MeasuredTest(
            nodeid=item.nodeid,
            name=item.name,
            param=None if callspec is None else callspec.id,
            params={
                **{name: _plain(value) for name, value in parameters.items()},
                "intra": case.threads.intra.text,
                "inter": case.threads.inter.text,
            },
            record=benchmark_bridge.joined(records),
            measurement=measurement,
            note=f"not forked: {launched.fresh_reason}" if launched.fresh_reason else "",
        )

    def _flags(
        self, case: Case, pools: Pools, launched: Launched, order: WorkOrder
    ) -> Iterator[str]:
        granted = len(order.cpus)
        if max(pools.intra, pools.inter) > granted:
            yield "oversubscribed"
        if isinstance(case.cpus, int) and case.cpus > granted:
            yield "fewer-cpus"
        quota = self._machine.quota_cpus
        if quota is not None and quota < granted:
            yield "quota"
        if launched.start == "fresh":
            yield "fresh"
        if launched.reply.effective is None:
            yield "unverified"
        if (order.workerinput or {}).get("workercount", 1) > 1:
            yield "xdist"


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


def _more_arguments(config: pytest.Config) -> Sequence[str]:
    """What must be said on the command line, because a plugin acts on it at once."""
    # Coverage would trace, and so slow, what is measured.
    return ["--no-cov"] if config.pluginmanager.hasplugin("pytest_cov") else []


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
