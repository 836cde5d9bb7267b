"""One ring: a process of each of its members, alive at once, in turns."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pytest_tfthreads.attempts import Attempts
from pytest_tfthreads.isolation.orders import Orders, terminal
from pytest_tfthreads.isolation.progress import Progress
from pytest_tfthreads.options import Settings
from pytest_tfthreads.process.launcher import Launcher
from pytest_tfthreads.process.leases import Leases, LeaseTimeoutError
from pytest_tfthreads.process.lockstep import ROUNDS_ALONE, Ring, conduct
from pytest_tfthreads.process.machine import Machine
from pytest_tfthreads.ticker import Ticker


class Rings:
    """Runs the rings of one pytest session."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        machine: Machine,
        launcher: Launcher,
        leases: Leases,
        ticker: Ticker,
        attempts: Attempts,
    ) -> None:
        self._config = config
        self._settings = settings
        self._machine = machine
        self._launcher = launcher
        self._leases = leases
        self._ticker = ticker
        self._orders = Orders(config, settings, machine, attempts)
        self._ids = itertools.count()

    @property
    def are_interactive(self) -> bool:
        """Whether processes have the terminal to themselves, and so take no turns."""
        return self._orders.is_interactive

    def trace(self, member: Progress, directory: Path) -> None:
        """One process that is not measured, and leaves a trace in this directory."""
        self._ticker.expect(processes=1, passes=None)
        self.run(0, [member], traces=str(directory))

    def run(
        self,
        number: int,
        members: Sequence[Progress],
        budget_share: float = 1.0,
        traces: str | None = None,
    ) -> None:
        """One process of each member, in turns, for this share of its time to measure.

        `number` counts the rings of a test: each begins on another CPU. The machine, or where runs
        are packed the CPUs that they need, is theirs alone for as long. `traces`: a directory for a
        trace, instead of measuring.
        """
        begun_s = time.time()
        try:
            self._launcher.settle((one.side.home, one.case.env) for one in members)
            with self._leased(members) as machine:
                self._run(number, members, budget_share, traces, machine)
        except LeaseTimeoutError as error:
            for one in members:
                one.fail(f"no-lease: {error}", begun_s)
        except pytest.fail.Exception as error:  # pytest-timeout's clock runs while we wait, too
            for one in members:
                one.fail(f"timed-out: {error.msg} Nothing was measured yet.", begun_s)

    @contextlib.contextmanager
    def _leased(self, members: Sequence[Progress]) -> Iterator[Machine]:
        """The machine as far as it is theirs. Raises `LeaseTimeoutError`."""
        purpose = members[0].item.nodeid
        if self._orders.is_interactive:  # who debugs may take all day
            yield self._machine
        elif self._settings.pack:
            count = max(self._orders.granted(one) for one in members)
            with self._leases.packed(purpose, count, self._machine.cores_first) as cpus:
                yield self._machine.restricted(cpus)
        else:
            with self._leases.exclusive(purpose):
                yield self._machine

    def _run(
        self,
        number: int,
        members: Sequence[Progress],
        budget_share: float,
        traces: str | None,
        machine: Machine,
    ) -> None:
        begun_s = time.time()
        interactive = self._orders.is_interactive
        is_alone = len(members) == 1
        ring_id = next(self._ids)
        iterations = next((one.iterations for one in members if one.iterations), None)
        ring = Ring(
            rounds_a_turn=ROUNDS_ALONE if is_alone else self._settings.rounds_a_turn,
            first_set=number,
        )
        number_of_pass = None if traces else 1 + max(len(one.runs) for one in members)
        with (
            self._ticker.ring(number_of_pass, len(members)),
            terminal(self._config, interactive) as descriptors,
        ):
            processes = []
            for place, one in enumerate(members):
                order = self._orders.write(
                    one,
                    place,
                    ring,
                    None if is_alone else ring_id,
                    iterations,
                    budget_share,
                    traces,
                )
                timeout_s = one.case.timeout_s or self._settings.timeout_s
                processes.append(
                    self._launcher.measuring(
                        order,
                        one.side.home,
                        one.case.env,
                        None if interactive else timeout_s,
                        descriptors,
                        self._ticker.tick,
                    )
                )
            try:
                conduct(processes, ring, machine.cpu_set, self._ticker.tick)
            except pytest.fail.Exception as error:  # pytest-timeout's clock runs here too
                for one, process in zip(members, processes, strict=True):
                    if process.result is None:
                        one.fail(_timed_out(error.msg, members), begun_s, by_test=True)
        for one, process in zip(members, processes, strict=True):
            if process.result is not None:
                one.take(process.result, begun_s)


def _timed_out(message: str | None, members: Sequence[Progress]) -> str:
    text = f"timed-out: {message} The measuring process was killed."
    if any(one.side is not members[0].side for one in members):
        text += (
            " The test was being measured side by side with its baseline, in up to "
            "--tf-threads-max-processes pairs of processes, all on its own time: allow it more."
        )
    elif len(members) > 1:
        text += (
            f" {len(members)} configurations of this test were being measured in turns, all on the "
            "first one's time: allow it more, or measure them one by one (--tf-threads-group=1)."
        )
    return text
