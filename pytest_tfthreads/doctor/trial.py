"""Pairs of processes that run the same code in turns: how far apart is what has not changed?

They are measuring processes as of any test, started and led by the same engine. The test is one
that comes with this package.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_tfthreads.core.gate.duet import LOOKS
from pytest_tfthreads.core.measurement import Sample
from pytest_tfthreads.core.schedule import plan_rings
from pytest_tfthreads.engine.interleaving import Ring, run_interleaved
from pytest_tfthreads.engine.interpreter import Home, Interpreter
from pytest_tfthreads.engine.measuring_process import Launched, MeasuringProcess
from pytest_tfthreads.engine.order import ItemToRun, Order, PytestCall, Terms
from pytest_tfthreads.engine.reply import FINISHED, Reply
from pytest_tfthreads.system.machine import Machine

_LEAST_PAIRS, _MOST_PAIRS = LOOKS[0], LOOKS[-1]
ROUNDS_A_TURN = 2
# What a process takes before its rounds: to start, and to warm up.
_BEFORE_S = 0.65
_LEAST_BUDGET_S, _GOOD_BUDGET_S = 0.2, 0.5
_TIMEOUT_S = 120.0

_TEST = Path(__file__).parents[1] / "measuring" / "unchanged.py"
_FUNCTION = "test_products"
_ITEM = ItemToRun(f"{_TEST.name}::{_FUNCTION}", str(_TEST), f"::{_FUNCTION}")
# Nothing that the user has set for the pytest of a project has a meaning here.
_VARIABLES = (
    ("PYTEST_ADDOPTS", ""),
    ("PYTEST_PLUGINS", ""),
    ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", ""),
)


class TrialError(Exception):
    """A process gave no sample; the message says why."""


@dataclass(frozen=True)
class TrialPlan:
    """What the trial measures."""

    pairs: int  # pairs of processes
    budget_s: float  # time of the rounds of one process
    intra: int  # threads of the intra-op pool; 0: TensorFlow's own choice
    inter: int = 1  # the same of the inter-op pool

    @classmethod
    def for_seconds(cls, seconds: float, intra: int) -> TrialPlan:
        """As many pairs as are measured for long enough within this time, at least three."""
        wanted = int(seconds / (2 * (_BEFORE_S + _GOOD_BUDGET_S)))
        pairs = max(_LEAST_PAIRS, min(wanted, _MOST_PAIRS))
        return cls(pairs, max(_LEAST_BUDGET_S, seconds / (2 * pairs) - _BEFORE_S), intra)


def home() -> Home:
    """Where the processes run: in this environment, and in no directory of the user's."""
    path = tuple(os.path.abspath(one) for one in sys.path if one)
    return Home(sys.executable, os.sep, path, _VARIABLES)


def run_pairs(
    interpreter: Interpreter, machine: Machine, plan: TrialPlan, until_s: float, seed: str
) -> tuple[tuple[Sample, Sample], ...]:
    """Measure them, one pair after the other. Raises `TrialError`.

    After `until_s`, of `time.monotonic`, there are no more pairs than the least: on a busy machine
    processes take longer to warm up. The interpreter is ready. The order of set-up is drawn from
    `seed`, and balanced.
    """
    call = _call(plan)
    pairs: list[tuple[Sample, Sample]] = []
    iterations: int | None = None
    for number, order_of_set_up in enumerate(plan_rings([plan.pairs] * 2, 2, 0, seed)):
        if len(pairs) >= _LEAST_PAIRS and time.monotonic() >= until_s:
            break
        ring = Ring(ROUNDS_A_TURN, first_set=number)
        processes = [
            MeasuringProcess(
                lambda: interpreter,
                Order(call, _ITEM, _terms(machine, plan, number, place, iterations)),
                _TIMEOUT_S,
                (),
            )
            for place in sorted(order_of_set_up)
        ]
        run_interleaved([processes[place] for place in order_of_set_up], ring, machine.team_sets)
        first, second = map(_sample, processes)
        iterations = iterations or first.iterations
        pairs.append((first, second))
    return tuple(pairs)


def _call(plan: TrialPlan) -> PytestCall:
    return PytestCall(
        args=(
            "--noconftest",
            *("-c", os.devnull),
            *("--rootdir", str(_TEST.parent)),
            *("-p", "no:cacheprovider"),
            "--import-mode=importlib",
            f"--benchmark-max-time={plan.budget_s:.3f}",
        ),
        argv=tuple(sys.argv),
        invocation_dir=os.sep,
        sys_path=home().sys_path,
    )


def _terms(
    machine: Machine, plan: TrialPlan, number: int, place: int, iterations: int | None
) -> Terms:
    available = machine.counts.logical
    busy = max(plan.intra, plan.inter) if plan.intra and plan.inter else available
    return Terms(
        intra=plan.intra,
        inter=plan.inter,
        cpu_count=min(busy, available),
        process=1 + place,
        iterations=iterations,
        rounds_a_turn=ROUNDS_A_TURN,
        ring=number,
    )


def _sample(process: MeasuringProcess) -> Sample:
    result = process.result
    if not isinstance(result, Launched):
        raise TrialError(str(result).partition("\n--- ")[0])  # stacks and logs follow
    if result.reply.outcome != FINISHED or result.reply.sample is None:
        raise TrialError(_problem(result.reply))
    return result.reply.sample


def _problem(reply: Reply) -> str:
    told = [reply.message, *(_crash(report) for report in reply.reports)]
    lines = [line.strip() for text in told for line in text.splitlines() if line.strip()]
    return f"{reply.outcome}: {lines[-1] if lines else 'the test measured nothing'}"


def _crash(report: Any) -> str:
    """What was raised in a phase of the test, as pytest serializes it."""
    longrepr = report.get("longrepr")
    if isinstance(longrepr, dict):
        longrepr = (longrepr.get("reprcrash") or {}).get("message")
    return longrepr if isinstance(longrepr, str) else ""
