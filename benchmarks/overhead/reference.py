"""What the reference workload between the rounds costs, and how well it follows the machine.

python benchmarks/overhead/reference.py cost [SECONDS]
    how much slower the round is that follows it in the midst of a turn, where alternately it
    runs and does not; and the share of the time that it takes
python benchmarks/overhead/reference.py follow [PROCESSES]
    spread of throughput between unchanged processes, before and after the correction
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from statistics import fmean, stdev
from time import perf_counter

from compare import through_the_plugin

from pytest_tfthreads.core.stats.estimates import mean_of_ratios

NAMES = ("small_function", "matmul", "keras_step")
ROUND_S = 0.005
ROUNDS = 16  # between two references in a turn that long


def cost(seconds: int) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    from pytest_tfthreads.measuring import runtime
    from pytest_tfthreads.measuring.reference import Reference

    started = runtime.Runtime(intra=1, inter=1, cpus=[min(os.sched_getaffinity(0))])
    started.set_pools()
    started.start()
    from workloads import WORKLOADS

    print(f"after the reference workload, {seconds} s each, 1 intra-op thread")
    for name in NAMES:
        reference = Reference(runtime.ReferenceProduct())
        print_cost(name, WORKLOADS[name](), reference, seconds)


def print_cost(name: str, step: Callable[[], object], reference, seconds: int) -> None:
    calls = calls_a_round(step)
    reference.round_over(1.0, ends_turn=False)  # its first time loads kernels
    first: dict[bool, list[float]] = {True: [], False: []}
    reference_s = rounds_s = 0.0
    end_s = perf_counter() + seconds
    while perf_counter() < end_s:
        # The side that goes first changes, so that a drift of the machine favours neither.
        for runs in (True, False) if len(first[True]) % 2 else (False, True):
            if runs:
                begun_s = perf_counter()
                reference.round_over(1.0, ends_turn=False)
                reference_s += perf_counter() - begun_s
            times = [round_of(step, calls) for _ in range(ROUNDS)]
            first[runs].append(times[0])
            rounds_s += sum(times) if runs else 0.0
    estimate = mean_of_ratios([a / b for a, b in zip(first[True], first[False], strict=True)])
    assert estimate.low is not None
    assert estimate.high is not None
    slower = [100 * (one - 1) for one in (estimate.value, estimate.low, estimate.high)]
    print(
        f"  {name:16}first round {slower[0]:+5.1f} % [{slower[1]:+.1f}, {slower[2]:+.1f}], "
        f"so {slower[0] / ROUNDS:+.2f} % of {ROUNDS}; "
        f"{100 * reference_s / (reference_s + rounds_s):.1f} % of the time",
        flush=True,
    )


def calls_a_round(step: Callable[[], object]) -> int:
    for _ in range(100):
        step()
    return max(1, math.ceil(ROUND_S / (round_of(step, 100) / 100)))


def round_of(step: Callable[[], object], calls: int) -> float:
    begun_s = perf_counter()
    for _ in range(calls):
        step()
    return perf_counter() - begun_s


def follow(processes: int) -> None:
    print(f"spread of throughput between {processes} processes, before and after correction")
    for name in NAMES:
        recorded = through_the_plugin(name, f"--tf-threads-processes={processes}")["processes"]
        # A process whose rounds were far fewer than planned has no reference.
        samples = [one for one in recorded if one["reference_wall_s"] is not None]
        plain = [math.log(len(one["wall_s"]) / sum(one["wall_s"])) for one in samples]
        slowness = [math.log(one["reference_wall_s"]) for one in samples]
        corrected = [a + b for a, b in zip(plain, slowness, strict=True)]
        print(
            f"  {name:16}{100 * stdev(plain):5.1f} % {100 * stdev(corrected):5.1f} %   "
            f"reference: {1000 * fmean(one['reference_wall_s'] for one in samples):.2f} ms, "
            f"spread {100 * stdev(slowness):.1f} %, in {len(samples)} processes",
            flush=True,
        )


if __name__ == "__main__":
    modes = {"cost": cost, "follow": follow}
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in modes:
        sys.exit(__doc__)
    modes[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) == 3 else 30)
