"""Does `pytest-tfthreads doctor` promise what the rules then find?

    python benchmarks/gate/detectable.py [DRAWS]

On recorded noise (see `replay`). Side by side: five recorded pairs of a workload are what the
doctor measured, and tell which loss is detected 4 times of 5; twelve others, drawn again and again
from the rest of that workload and slower by that loss, are judged. Against saved runs: six
processes of one session are what the doctor measured; three of them, slower by the loss, are judged
by five other sessions, from which the rule learns. Prints the loss promised (median, and the middle
80 %) and how often it is found. No TensorFlow is needed.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean, quantiles

import rules
from recorded import ALL, SITTINGS, WITHOUT_TF_DATA, Duet, Process, draw, draw_duet

from pytest_tfthreads.core.gate.duet import LOOKS
from pytest_tfthreads.core.stats.drift import CORRECTED
from pytest_tfthreads.doctor.minimum_effect import Limit, duet_limit, saved_runs_limit

TOLERANCE = 0.05
SUITE = 26
ONE_RUN = 3  # processes
SEED = 4


def side_by_side(rng: random.Random, cases: Sequence[str]) -> tuple[float, bool]:
    """The loss promised, and whether it was found."""
    drawn = draw_duet(rng, LOOKS[-1], stored=True, cases=cases)
    seen = [pair.throughput for run in drawn.stored for pair in run]
    loss = _promised(duet_limit(seen, TOLERANCE, SUITE))
    status, _, _ = rules.duet(
        Duet(drawn.pairs, []).slower(1 / (1 - loss)), SUITE, TOLERANCE, start="fork"
    )
    return loss, status == "regression"


def against_saved_runs(rng: random.Random, cases: Sequence[str]) -> tuple[float, bool]:
    """The same."""
    drawn = draw(rng, SITTINGS - 1, 2 * ONE_RUN, cases=cases)
    logs = [_log_speed(one) for one in drawn.now]
    loss = _promised(
        saved_runs_limit(
            [logs[:ONE_RUN], logs[ONE_RUN:]],
            SITTINGS - 1,
            TOLERANCE,
            SUITE,
            CORRECTED,
            fmean(one.wall_s for one in drawn.now),
        )
    )
    of_three = replace(
        drawn,
        now=drawn.now[:ONE_RUN],
        history=[session[:ONE_RUN] for session in drawn.history],
    )
    rule = rules.stored_rule(reference=True, hypotheses=SUITE)
    return loss, rule(of_three.slower(1 / (1 - loss)), "throughput") == "regression"


def _promised(limit: Limit) -> float:
    return limit.at_tolerance.value


def _log_speed(process: Process) -> float:
    return math.log(process.reference_wall_s / process.wall_s)


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    ways: dict[str, Callable[[random.Random, Sequence[str]], tuple[float, bool]]] = {
        "side by side": side_by_side,
        f"against {SITTINGS - 1} saved runs": against_saved_runs,
    }
    for noise, cases in (("without tf.data", WITHOUT_TF_DATA), ("all workloads", ALL)):
        for name, way in ways.items():
            rng = random.Random(SEED)
            losses, found = zip(*(way(rng, cases) for _ in range(draws)), strict=True)
            tenths = [100 * one for one in quantiles(losses, n=10)]
            print(
                f"{noise:16} {name:22} loss promised {tenths[4]:5.1f} % "
                f"({tenths[0]:.1f} to {tenths[8]:.1f}), found {100 * fmean(found):.0f} %"
            )


if __name__ == "__main__":
    main()
