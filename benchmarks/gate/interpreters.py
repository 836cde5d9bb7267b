"""Does it matter from which interpreter a process is forked? Unchanged code says, in processes.

    python benchmarks/gate/interpreters.py [SECONDS] [--keep FILE] [--only CONDITION ...]
        [--workloads WORKLOAD ...]

What an interpreter hands down to its forks (its address layout, its order of sets) is the same in
all processes that are forked from it, and more of them do not remove it. So here `STARTED`
interpreters are started at a time, under one condition, and `RINGS` times a process of each side
takes turns with the others, as in a duet, on the same CPU. Then the interpreters are closed, and
the next condition has its turn, until SECONDS (default: 220) are over.

The table says for each condition and workload how far two sides are apart: the standard deviation
between sides of the log ratio of their speeds (CPU seconds a call), with its 95 % interval (of
likelihood). What the scatter of processes explains is taken out, as in an analysis of variance with
random effects.
The conditions:

    one interpreter    for all sides: what is found here is what the method makes up
    one a side         each side has one of its own
    each a hash seed   the same, and each interpreter has an order of sets of its own
    one layout         the same, without randomized addresses (as by `setarch --addr-no-randomize`)
    several a side     each side has as many as in a duet, in turn

`--keep FILE` adds the log ratios to a file, a line a set of interpreters, and the table is of all
that the file holds: several short runs make one long one.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from scipy.stats import chi2

from pytest_tfthreads.core.gate.duet import INTERPRETERS
from pytest_tfthreads.core.gate.pairs import pair_of
from pytest_tfthreads.core.measurement import Sample
from pytest_tfthreads.core.schedule import plan_rings
from pytest_tfthreads.engine.interleaving import Ring, run_interleaved
from pytest_tfthreads.engine.interpreter import Env, Home, Interpreter
from pytest_tfthreads.engine.measuring_process import Launched, MeasuringProcess
from pytest_tfthreads.engine.order import ItemToRun, Order, PytestCall, Terms
from pytest_tfthreads.system.machine import Machine

STARTED = 6
RINGS = 6
BUDGET_S = 0.25
ROUNDS_A_TURN = 2
CONFIDENCE = 0.95
GRID, LARGEST = 0.0001, 0.1
_TIMEOUT_S = 120.0
_BENCHMARKS = Path(__file__).parents[1]
_ADDR_NO_RANDOMIZE = 0x0040000  # of <linux/personality.h>
_AS_IT_IS = 0xFFFFFFFF


@dataclass(frozen=True)
class Condition:
    """How the interpreters of a set are started, and how many each side has (0: all the same)."""

    env: Env = ()
    a_side: int = 1
    has_fixed_layout: bool = False


CONDITIONS = {
    "one interpreter": Condition(a_side=0),
    "one a side": Condition(),
    "each a hash seed": Condition(env=(("PYTHONHASHSEED", "random"),)),
    "one layout": Condition(has_fixed_layout=True),
    "several a side": Condition(a_side=INTERPRETERS),
}
WORKLOADS = {
    "small ops": ItemToRun(
        "test_small_ops.py::test_small_convolutions[intra1-inter1]",
        str(_BENCHMARKS / "test_small_ops.py"),
        "::test_small_convolutions",
    ),
    "smaller ops": ItemToRun(
        "overhead/measured.py::test_step[small_function-intra1-inter1]",
        str(_BENCHMARKS / "overhead" / "measured.py"),
        "::test_step",
    ),
}


@dataclass(frozen=True)
class Spread:
    """Of the log ratio of two sides: standard deviations, and what is sure of the first."""

    between: float
    low: float
    high: float
    within: float
    p: float


@dataclass(frozen=True)
class _Set:
    """Sums of squares of the log speeds of one set's sides."""

    sides_dof: int
    of_sides: float
    noise: float  # variance of a process
    rings: int

    @classmethod
    def of(cls, logs: Sequence[Sequence[float]]) -> _Set:
        """All members of a ring have the machine of the moment in common, which cancels."""
        rings = len(logs[0])
        means = [fmean(ring) for ring in zip(*logs, strict=True)]
        centred = [[one - mean for one, mean in zip(row, means, strict=True)] for row in logs]
        effects = [fmean(row) for row in centred]
        within = sum(
            (one - effect) ** 2 for row, effect in zip(centred, effects, strict=True) for one in row
        )
        dof = len(logs) - 1
        of_sides = rings * sum(effect**2 for effect in effects)
        return cls(dof, of_sides, within / dof / (rings - 1), rings)

    def log_likelihood(self, variance: float) -> float:
        """Of this variance between interpreters."""
        expected = self.noise + self.rings * variance
        return -(self.sides_dof * math.log(expected) + self.of_sides / expected) / 2


def spread_of(sets: Sequence[Sequence[Sequence[float]]]) -> Spread:
    """Of the log speeds `sets[set][side][ring]`: the most likely, and what is not much less so.

    Each set has noise of its own, for the machine is now and then busy: such a set counts less.
    """
    measured = [_Set.of(logs) for logs in sets]

    def log_likelihood(of_two: float) -> float:
        return sum(one.log_likelihood(of_two**2 / 2) for one in measured)

    grid = {step * GRID: log_likelihood(step * GRID) for step in range(round(LARGEST / GRID))}
    between = max(grid, key=lambda one: grid[one])
    least = grid[between] - chi2.ppf(CONFIDENCE, 1) / 2
    likely = [one for one, log in grid.items() if log >= least]
    # Nothing is on the border of what can be: half of the ratio's distribution lies there.
    p = float(chi2.sf(2 * (grid[between] - grid[0.0]), 1)) / 2
    weights = sum(one.sides_dof / one.noise for one in measured)
    within = math.sqrt(2 * sum(one.sides_dof for one in measured) / weights)
    return Spread(between, likely[0], likely[-1], within, p)


def measure(
    condition: Condition, workloads: Sequence[str], machine: Machine, seed: str
) -> dict[str, list[list[float]]]:
    """One set of interpreters: by workload, the log speeds of their processes, ring by ring."""
    with _sides(condition) as sides:
        return {name: _workload(WORKLOADS[name], sides, machine, seed) for name in workloads}


@contextlib.contextmanager
def _sides(condition: Condition) -> Iterator[list[list[Interpreter]]]:
    """The interpreters of each side."""
    path = tuple(os.path.abspath(one) for one in sys.path if one)
    home = Home(sys.executable, str(_BENCHMARKS), path)
    started: list[Interpreter] = []
    try:
        with _layout(condition.has_fixed_layout):
            for _ in range(STARTED if condition.a_side else 1):
                started.append(Interpreter(home, condition.env, True, lease_timeout_s=None))
        for interpreter in started:
            interpreter.wait_until_ready()
            if not interpreter.forkable:
                sys.exit(interpreter.broken or interpreter.reason)
        size = condition.a_side
        if size:
            yield [started[first : first + size] for first in range(0, STARTED, size)]
        else:
            yield [started] * STARTED
    finally:
        for interpreter in started:
            interpreter.close()


@contextlib.contextmanager
def _layout(is_fixed: bool) -> Iterator[None]:
    """Programs that are started meanwhile have the same address layout, if it `is_fixed`."""
    personality = ctypes.CDLL(None).personality
    before = personality(_AS_IT_IS)
    if is_fixed:
        personality(before | _ADDR_NO_RANDOMIZE)
        if not personality(_AS_IT_IS) & _ADDR_NO_RANDOMIZE:
            sys.exit(
                "one layout: this system (a container?) does not allow it; leave it out: --only"
            )
    try:
        yield
    finally:
        personality(before)


def _workload(
    item: ItemToRun, sides: Sequence[Sequence[Interpreter]], machine: Machine, seed: str
) -> list[list[float]]:
    logs: list[list[float]] = [[] for _ in sides]
    iterations: int | None = None
    count = len(sides)
    for number, order_of_set_up in enumerate(plan_rings([RINGS] * count, count, 0, seed)):
        interpreters = [side[number % len(side)] for side in sides]
        processes = [
            MeasuringProcess(
                lambda interpreter=interpreter: interpreter,  # type: ignore[misc]
                Order(_call(), item, _terms(number, place, iterations)),
                _TIMEOUT_S,
                (),
            )
            for place, interpreter in enumerate(interpreters)
        ]
        ring = Ring(ROUNDS_A_TURN, first_set=number)
        run_interleaved([processes[place] for place in order_of_set_up], ring, machine.team_sets)
        samples = [_sample(process) for process in processes]
        iterations = iterations or samples[0].iterations
        for row, sample in zip(logs, samples, strict=True):
            row.append(0.0 if row is logs[0] else pair_of(sample, samples[0]).cpu_efficiency)
    return logs


def _call() -> PytestCall:
    return PytestCall(
        args=(
            *("-c", os.devnull),
            *("--rootdir", str(_BENCHMARKS)),
            *("-p", "no:cacheprovider"),
            f"--benchmark-max-time={BUDGET_S}",
        ),
        argv=tuple(sys.argv),
        invocation_dir=str(_BENCHMARKS),
        sys_path=tuple(sys.path),
    )


def _terms(ring: int, place: int, iterations: int | None) -> Terms:
    return Terms(
        intra=1,
        inter=1,
        cpu_count=1,
        process=1 + place,
        iterations=iterations,
        rounds_a_turn=ROUNDS_A_TURN,
        ring=ring,
    )


def _sample(process: MeasuringProcess) -> Sample:
    result = process.result
    if not isinstance(result, Launched):
        sys.exit(str(result))
    if result.reply.sample is None:
        sys.exit(f"{result.reply.outcome}: {result.reply.message}, {result.reply.reports}")
    return result.reply.sample


def _print(rows: Sequence[dict[str, object]]) -> None:
    print(
        f"{'condition':18}{'workload':13}{'sides':>7}{'processes':>10}"
        f"{'between, %':>12}{'its interval':>16}{'within, %':>11}{'p':>8}"
    )
    for condition in CONDITIONS:
        for workload in WORKLOADS:
            sets = [
                row["logs"][workload]  # type: ignore[index]
                for row in rows
                if row["condition"] == condition and workload in row["logs"]  # type: ignore[operator]
            ]
            if not sets:
                continue
            found = spread_of(sets)
            low, high = 100 * found.low, 100 * found.high
            rings = max(len(one[0]) for one in sets)
            print(
                f"{condition:18}{workload:13}{sum(map(len, sets)):7}{rings:10}"
                f"{100 * found.between:12.2f}{f'{low:.2f} to {high:.2f}':>16}"
                f"{100 * found.within:11.2f}{found.p:8.4f}"
            )


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("seconds", type=float, nargs="?", default=220)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    if arguments.keep is not None and arguments.keep.exists():
        rows += map(json.loads, arguments.keep.read_text(encoding="utf-8").splitlines())
    machine = Machine.read()
    until_s = time.monotonic() + arguments.seconds
    longest_s, number = 0.0, len(rows)
    while time.monotonic() + longest_s < until_s:
        begun_s = time.monotonic()
        name = arguments.only[number % len(arguments.only)]
        row = {
            "condition": name,
            "logs": measure(CONDITIONS[name], arguments.workloads, machine, f"set {number}"),
        }
        rows.append(row)
        if arguments.keep is not None:
            with arguments.keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        number += 1
        longest_s = max(longest_s, time.monotonic() - begun_s)
        print(f"{name}: {time.monotonic() - begun_s:.1f} s", file=sys.stderr, flush=True)
    _print(rows)


if __name__ == "__main__":
    main()
