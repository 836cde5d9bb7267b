"""Carries out the orders of one ring: leases CPUs, starts processes, and has them take turns.

This is the seam of the runner: all above it decides who is measured when, and needs no process to
be tried. An `Executor` is given to `Isolation` from outside; tests give one that answers at once.
"""

from __future__ import annotations

import contextlib
import platform
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pytest

from pytest_tfthreads.engine.failure import Failure
from pytest_tfthreads.engine.interleaving import Ring, run_interleaved
from pytest_tfthreads.engine.interpreter import Env, Home
from pytest_tfthreads.engine.launcher import Launcher
from pytest_tfthreads.engine.measuring_process import Launched, MeasuringProcess
from pytest_tfthreads.engine.order import Order, SharedStep
from pytest_tfthreads.engine.preload import Preloaded
from pytest_tfthreads.engine.shared_process import SharedProcess
from pytest_tfthreads.engine.team import Team
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.pytest_bridge.progress_line import ProgressLine
from pytest_tfthreads.runner.orders import terminal
from pytest_tfthreads.system.leases.leases import Leases, LeaseTimeoutError
from pytest_tfthreads.system.machine import Machine
from pytest_tfthreads.system.originals import ORIGINALS


@dataclass(frozen=True)
class Job:
    """One member of a ring: what it is to do, where, and for how many seconds a process at most.

    `others`: the orders of the instances that run at the same time as that of `order`.
    """

    order: Order
    home: Home
    env: Env
    timeout_s: float | None
    others: tuple[Order, ...] = ()

    @property
    def orders(self) -> tuple[Order, ...]:
        """Those of all its processes."""
        return (self.order, *self.others)


@dataclass(frozen=True)
class Batch:
    """The jobs of one ring, in the order in which they are set up.

    `purpose` is for others who wait for the CPUs; `pass_number` is for people, None while a trace
    is taken.
    """

    jobs: tuple[Job, ...]
    ring: Ring
    purpose: str
    pass_number: int | None


@dataclass(frozen=True)
class BatchResult:
    """What each job of a batch came to, in the same order.

    `begun_s` is when the first process was ordered (`ORIGINALS.monotonic()`), `seconds` how long
    the processes took together; waiting for CPUs is not part of that.
    """

    results: tuple[Launched | Failure, ...]
    begun_s: float
    seconds: float


@dataclass(frozen=True)
class SharedJob:
    """One item for a process that tests share: that of this order, started if it is not there.

    `first_cpu`: the place in the rotation over the machine's CPUs at which the process has its own.
    """

    job: Job
    step: SharedStep
    purpose: str
    first_cpu: int


@dataclass(frozen=True)
class SharedResult:
    """What became of it.

    `was_set_up`: the process came to the item; False where it ended while it collected its files.
    `has_ended`: it takes no further item.
    """

    result: Launched | Failure
    begun_s: float
    was_set_up: bool = True
    has_ended: bool = True


class Executor(Protocol):
    """Runs batches, one after the other."""

    def prepare(self, home: Home, env: Env) -> None:
        """Expect orders for this home and environment; does not wait for anything."""

    def run(self, batch: Batch) -> BatchResult:
        """All jobs of a batch, in turns. Never raises for what goes wrong with a process."""

    def run_shared(self, job: SharedJob) -> SharedResult:
        """One item in a process that it shares. Never raises for what goes wrong with a process."""

    def end_shared(self) -> Sequence[str]:
        """Have all shared processes take down what they keep, and end; what went wrong there."""

    @property
    def preloaded(self) -> Mapping[tuple[Home, Env], Preloaded]:
        """What interpreters have imported of the project, ahead of their forks."""

    def release(self, home: Home) -> None:
        """No more orders come for this home."""

    def close(self) -> None:
        """Leave no process behind."""


class ProcessExecutor:
    """The executor that measures: real processes, on CPUs that are leased for as long."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        machine: Machine,
        launcher: Launcher,
        leases: Leases,
        progress: ProgressLine,
    ) -> None:
        self._config = config
        self._settings = settings
        self._machine = machine
        self._launcher = launcher
        self._leases = leases
        self._progress = progress
        self._shared: dict[int, SharedProcess] = {}  # by the serial number of their orders
        self._problems: list[str] = []  # with fixtures, yet to be told

    def prepare(self, home: Home, env: Env) -> None:
        self._launcher.prepare(home, env)

    @property
    def preloaded(self) -> Mapping[tuple[Home, Env], Preloaded]:
        return self._launcher.preloaded

    def release(self, home: Home) -> None:
        self._launcher.release(home)

    def close(self) -> None:
        for process in self._shared.values():
            process.abandon()
        self._launcher.close()

    def run(self, batch: Batch) -> BatchResult:
        """The machine, or where runs are packed the CPUs that they need, is theirs alone."""
        begun_s = ORIGINALS.monotonic()
        try:
            self._launcher.settle((job.home, job.env) for job in batch.jobs)
            self._preload(batch.jobs)
            with self._leased(batch) as machine:
                return self._run(batch, machine)
        except LeaseTimeoutError as error:
            failure = Failure("no-lease", str(error), has_run=False)
        except pytest.fail.Exception as error:  # pytest-timeout's clock runs while we wait, too
            failure = Failure("timed-out", f"{error.msg} Nothing was measured yet.", has_run=False)
        return BatchResult((failure,) * len(batch.jobs), begun_s, 0.0)

    def run_shared(self, job: SharedJob) -> SharedResult:
        """The machine is shared with others that compute, and with nobody who measures."""
        begun_s = ORIGINALS.monotonic()
        serial = job.job.order.terms.serial
        kept = self._shared.get(serial)
        if kept is not None and not kept.is_there:
            self._shared.pop(serial).abandon()  # killed while it stood still: no test is to blame
            kept = None
        process: SharedProcess | None = None
        try:
            if kept is None:
                with self._progress.phase("starting a process", at_once=True):
                    self._launcher.settle([(job.job.home, job.job.env)])
                    self._preload([job.job])
            with self._leases.shared(job.purpose), self._progress.phase("running"):
                # What breaks off the wait for the lease must not cost the fixtures that it keeps.
                process = kept
                if process is None:
                    process = self._shared[serial] = self._sharing(job.job)
                    cpus = self._machine.cpu_set(process.cpu_count, job.first_cpu)
                    ended = process.start(cpus, job.job.timeout_s)
                    if ended is not None:
                        self._shared.pop(serial).abandon()
                        return SharedResult(ended, begun_s, was_set_up=False)
                try:
                    result = process.run(job.step, job.job.timeout_s)
                except (KeyboardInterrupt, pytest.exit.Exception):  # a second one ends this, too
                    self._problems.append(process.break_off())
                    raise
        except LeaseTimeoutError as error:
            failure = Failure("no-lease", str(error), has_run=False)
            return SharedResult(failure, begun_s, has_ended=serial not in self._shared)
        except pytest.fail.Exception as error:  # pytest-timeout's clock runs here too
            result = Failure("timed-out", f"{error.msg} The measuring process was killed.")
            if process is None:
                result = Failure("timed-out", f"{error.msg} Nothing was run yet.", has_run=False)
            else:
                self._shared.pop(serial).abandon()
            return SharedResult(result, begun_s, has_ended=serial not in self._shared)
        except BaseException:
            if process is not None:
                self._shared.pop(serial).abandon()
            raise
        has_ended = process.result is not None
        if has_ended:
            self._shared.pop(serial).abandon()
        return SharedResult(result, begun_s, has_ended=has_ended)

    def _sharing(self, job: Job) -> SharedProcess:
        with terminal(self._config, interactive=False) as descriptors:
            return self._launcher.sharing(
                job.order, job.home, job.env, descriptors, self._progress.tick
            )

    def end_shared(self) -> Sequence[str]:
        problems, self._problems = self._problems, []
        while self._shared:
            process = self._shared.pop(next(iter(self._shared)))
            try:
                with self._leases.shared("taking down fixtures"):
                    problems.append(process.end(self._settings.timeout_s))
            except LeaseTimeoutError as error:
                problems.append(str(error))
            finally:
                process.abandon()
        return [problem for problem in problems if problem]

    def _preload(self, jobs: Sequence[Job]) -> None:
        if any(job.order.call.interactive for job in jobs):  # who debugs wants the test alone
            return
        for (home, env), call in {(job.home, job.env): job.order.call for job in jobs}.items():
            if call.preload is not None:
                self._launcher.preload(home, env, call.preload, call.sys_path)

    @contextlib.contextmanager
    def _leased(self, batch: Batch) -> Iterator[Machine]:
        """The machine as far as it is theirs. Raises `LeaseTimeoutError`."""
        if _is_interactive(batch):  # who debugs may take all day
            yield self._machine
        elif self._settings.pack:
            wanted = max(sum(one.terms.cpu_count for one in job.orders) for job in batch.jobs)
            count = min(wanted, self._machine.counts.logical)
            offered = _offered(self._machine, count)
            with self._leases.packed(batch.purpose, count, offered) as cpus:
                yield self._machine.restricted(cpus)
        else:
            with self._leases.exclusive(batch.purpose):
                yield self._machine

    def _run(self, batch: Batch, machine: Machine) -> BatchResult:
        begun_s = ORIGINALS.monotonic()
        interactive = _is_interactive(batch)
        late: Failure | None = None
        with (
            self._progress.ring(batch.pass_number, len(batch.jobs)),
            terminal(self._config, interactive) as descriptors,
        ):
            members = [self._member(job, interactive, descriptors) for job in batch.jobs]
            try:
                run_interleaved(members, batch.ring, machine.team_sets, self._progress.tick)
            except pytest.fail.Exception as error:  # pytest-timeout's clock runs here too
                late = Failure("timed-out", _timed_out(error.msg, batch.jobs))
        results = []
        for member in members:
            result = late if member.result is None else member.result
            assert result is not None, "a member that was conducted to its end has a result"
            results.append(result)
        return BatchResult(tuple(results), begun_s, ORIGINALS.monotonic() - begun_s)

    def _member(
        self, job: Job, interactive: bool, descriptors: Sequence[int]
    ) -> MeasuringProcess | Team:
        processes = [
            self._launcher.measuring(
                order,
                job.home,
                job.env,
                None if interactive else job.timeout_s,
                descriptors,
                self._progress.tick,
            )
            for order in job.orders
        ]
        return Team(processes) if len(processes) > 1 else processes[0]


def _offered(machine: Machine, count: int) -> tuple[int, ...]:
    """The CPUs on which the packed processes of this machine or container are measured.

    They share a quota, and on more CPUs than it has they would take time from each other: so all of
    them are offered the same few. Containers have names of their own, by which several containers
    that share a machine and its leases do not all begin at the same CPU.
    """
    cpus, some = machine.cores_first, max(count, machine.whole_cpus)
    if some >= len(cpus):
        return tuple(cpus)
    start = some * (zlib.crc32(platform.node().encode()) % (len(cpus) // some))
    return tuple(cpus[start : start + some])


def _is_interactive(batch: Batch) -> bool:
    return any(job.order.call.interactive for job in batch.jobs)


def _timed_out(message: str | None, jobs: Sequence[Job]) -> str:
    text = f"{message} The measuring process was killed."
    if any(job.home != jobs[0].home for job in jobs):
        text += (
            " The test was being measured side by side with its baseline, in up to "
            "--tf-threads-max-processes pairs of processes. All of them count for the test's own "
            "time limit (pytest-timeout): allow the test more, such as "
            "@pytest.mark.timeout(1800)."
        )
    elif len(jobs) > 1:
        text += (
            f" {len(jobs)} configurations of this test were being measured in turns. All of them "
            "count for the time limit of the first (pytest-timeout): allow the test more, such as "
            "@pytest.mark.timeout(1800), or measure them one by one (--tf-threads-group=1)."
        )
    return text
