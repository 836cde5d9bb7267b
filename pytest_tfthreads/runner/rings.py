"""One ring: a process of each of its members, alive at once, in turns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_tfthreads.core.gate.budget import Budget
from pytest_tfthreads.engine.interleaving import ROUNDS_ALONE, ROUNDS_OF_TEAMS, Ring
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.pytest_bridge.progress_line import ProgressLine
from pytest_tfthreads.runner.executor import Batch, Executor, Job
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.orders import Orders


class Rings:
    """Writes the orders of each ring of one pytest session, and hands the answers out."""

    def __init__(
        self,
        settings: Settings,
        orders: Orders,
        executor: Executor,
        progress: ProgressLine,
        budget: Budget,
    ) -> None:
        self._settings = settings
        self._orders = orders
        self._executor = executor
        self._progress = progress
        self._budget = budget
        self._ids = itertools.count()

    @property
    def are_interactive(self) -> bool:
        """Whether processes have the terminal to themselves, and so take no turns."""
        return self._orders.is_interactive

    def expect(self, processes: int | None, passes: int | None) -> None:
        """For people: how many processes and passes the test will take from here; None: unknown."""
        self._progress.expect(processes, passes)

    def trace(self, item_run: ItemRun, directory: Path) -> None:
        """One process that is not measured, and leaves a trace in this directory."""
        self.expect(processes=1, passes=None)
        self.run(0, [item_run], traces=str(directory))

    def run(
        self,
        number: int,
        item_runs: Sequence[ItemRun],
        budget_share: float = 1.0,
        traces: str | None = None,
        deals: Sequence[int] | None = None,
    ) -> float:
        """One process of each member, in turns, for this share of its time to measure.

        `number` counts the rings of a test: each begins on another CPU. `traces`: a directory for a
        trace, instead of measuring. `deals` has a number for each member: its process
        is forked from the interpreter of that number (default: 0). Returns the seconds for which
        the processes were at work.
        """
        is_alone = len(item_runs) == 1
        ring_id = None if is_alone else next(self._ids)
        iterations = next(
            (item_run.iterations for item_run in item_runs if item_run.iterations), None
        )
        ring = Ring(self._rounds_a_turn(item_runs), first_set=number)
        jobs = []
        for place, one in enumerate(item_runs):
            order, *others = self._orders.write(
                one, place, ring, ring_id, iterations, budget_share, traces
            )
            timeout_s = one.case.timeout_s or self._settings.timeout_s
            home = one.variant.home
            if deals is not None:
                home = replace(home, deal=deals[place])
            jobs.append(Job(order, home, one.case.env, timeout_s, tuple(others)))
        pass_number = None if traces else 1 + max(len(item_run.runs) for item_run in item_runs)
        answers = self._executor.run(
            Batch(tuple(jobs), ring, item_runs[0].item.nodeid, pass_number)
        )
        for one, result in zip(item_runs, answers.results, strict=True):
            one.take(result, answers.begun_s)
        self._budget.spend(len(jobs), answers.seconds)
        return answers.seconds

    def _rounds_a_turn(self, item_runs: Sequence[ItemRun]) -> int:
        if len(item_runs) == 1:
            return ROUNDS_ALONE
        if any(one.instances > 1 for one in item_runs):
            return max(self._settings.rounds_a_turn, ROUNDS_OF_TEAMS)
        return self._settings.rounds_a_turn
