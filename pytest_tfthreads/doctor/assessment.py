"""What was measured of a machine → findings, a decision, and which options to use there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_tfthreads.core.format import (
    duration,
    metric_name,
    percent,
    plural,
    ranges,
    round_percent,
    with_bounds,
)
from pytest_tfthreads.core.stats.estimates import Estimate, spread_of
from pytest_tfthreads.doctor.checks import Finding
from pytest_tfthreads.doctor.cpu_speed import CpuSpeed, Steadiness
from pytest_tfthreads.doctor.minimum_effect import Limit
from pytest_tfthreads.doctor.power import PROCESSES, SAVED_RUNS, Fitness, Trial

_ALIKE = 0.05  # CPUs that differ by less are of one kind
_HELD_UP = 0.02
_SHOWN = 4
_MUCH = 3.0  # times what would be all right


@dataclass(frozen=True)
class Examination:
    """All that was found; `seconds` is how long was measured, 0 where nothing was to be.

    `tolerance` is by metric, `tests` the size of the suite, `intra` the threads of the trial
    (0: TensorFlow's choice).
    """

    tolerance: Mapping[str, float]
    tests: int
    machine: tuple[Finding, ...]
    measured: tuple[Finding, ...] = ()
    seconds: float = 0.0
    intra: int = 1
    speeds: Steadiness | None = None
    trial: Trial | None = None
    fitness: Fitness | None = None

    @property
    def is_fit(self) -> bool:
        """A loss of the tolerance can be detected here, in one way or the other.

        Where nothing was to be measured: nothing was found that is bad.
        """
        if self.seconds:
            return self.fitness is not None and (
                self.fitness.is_fit_for_duet or self.fitness.is_fit_for_saved_runs
            )
        return all(one.status != "bad" for one in self.machine)


def of_speeds(found: Steadiness, tolerance: float) -> list[Finding]:
    """Of the pinned loop: CPUs over time, and whole processes."""
    return [_cpu_speeds(found), _held_up(found), _between_processes(found, tolerance)]


def of_trial(trial: Trial, tolerance: float) -> list[Finding]:
    """Of the measuring processes: the reference kernel, and pairs in turns."""
    spread = spread_of(trial.pair_logs("throughput"))
    return [
        _kernel(trial, tolerance),
        Finding(
            "in turns",
            _status_of_spread(spread.value, tolerance / 2),
            f"pairs of unchanged processes are {_spread(spread)} apart in throughput",
        ),
    ]


def decision(found: Fitness) -> str:
    """Fit or not for the tolerance asked for, by either way, in one line."""
    worst = max((one.smallest for one in found.duet.values()), key=lambda one: one.value)
    fit = "fit" if found.is_fit_for_duet else "not fit"
    duet = f"{fit} (detects {with_bounds(worst, percent)})"
    enough = found.enough
    if enough is None:
        saved = f"not fit (detect {percent(_smallest_by_saved_runs(found))} at best)"
    else:
        saved = f"fit at best, from {plural(enough.runs, 'saved run')} on"
        if enough.processes != PROCESSES[0]:
            saved += f" of {enough.processes} processes"
    return f"{tolerance_text(found.tolerance)}: side by side {duet}; against saved runs {saved}"


def advice_on_options(found: Fitness) -> list[str]:
    """Which options of pytest to use here."""
    asked = tolerance_text(found.tolerance)
    advice = []
    if found.is_fit_for_duet:
        advice.append(
            f"pytest --tf-threads-duet {_tolerance_option(found.duet)}: measured side by side, a "
            f"loss of {asked} is found"
        )
    else:
        possible = found.detectable_tolerance
        advice += [
            f"even side by side a loss of {asked} is not found here; the smallest that is found is "
            f"{round_percent(possible)}. With --tf-threads-duet "
            f"--tf-threads-tolerance={_option(possible)} unchanged tests pass",
            "measure each process for longer (--benchmark-max-time=3), with fewer threads than "
            "CPUs, or on a quieter machine",
        ]
    if found.is_uncertain:
        advice.append(f"too few pairs to be sure of {asked} side by side: --seconds=60 tells more")
    if found.enough is not None:
        advice.append(
            "pytest --benchmark-autosave --benchmark-compare "
            f"--tf-threads-processes={found.enough.processes} "
            f"{_tolerance_option(found.enough.limits)}: with "
            f"{plural(found.enough.runs, 'saved run')}, if this machine drifts no more from day to "
            "day than it did just now"
        )
    else:
        advice.append(
            f"even {SAVED_RUNS[-1]} saved runs tell no loss below "
            f"{percent(_smallest_by_saved_runs(found))} here: --benchmark-compare is for "
            "gross regressions"
        )
    return advice


def _smallest_by_saved_runs(found: Fitness) -> float:
    return max(one.smallest.value for one in found.saved_runs[SAVED_RUNS[-1]].values())


def _tolerance_option(limits: Mapping[str, Limit]) -> str:
    """The largest tolerances with which losses of those asked for are found."""
    usable = {metric: _option(limit.set_tolerance or 0) for metric, limit in limits.items()}
    if len(set(usable.values())) == 1:
        return f"--tf-threads-tolerance={next(iter(usable.values()))}"
    by_metric = ",".join(f"{metric}={share}" for metric, share in usable.items())
    return f"--tf-threads-tolerance={by_metric}"


def tolerance_text(tolerance: Mapping[str, float]) -> str:
    """Such as "5 %", or by metric where they differ."""
    if len(set(tolerance.values())) == 1:
        return round_percent(next(iter(tolerance.values())))
    return ", ".join(
        f"{metric_name(metric)} {round_percent(share)}" for metric, share in tolerance.items()
    )


def _cpu_speeds(found: Steadiness) -> Finding:
    flipping = [cpu for cpu in found.cpus if cpu.two_speeds is not None]
    if flipping:
        return Finding(
            "CPU speed",
            "bad",
            f"{len(flipping)} of {plural(len(found.cpus), 'CPU')} with two speeds: "
            + "; ".join(_flips(flipping)),
            (
                "neighbours on the host, or the clock: measure side by side, where both meet the "
                "same speed, or on dedicated CPUs",
            ),
        )
    if found.slowest_cpu > 1 + 2 * _ALIKE:
        fastest = min(cpu.median_s for cpu in found.cpus)
        fast = [cpu.cpu for cpu in found.cpus if cpu.median_s <= (1 + _ALIKE) * fastest]
        return Finding(
            "CPU speed",
            "warning",
            f"the slowest CPU takes {found.slowest_cpu:.2f} times as long as the fastest: cores of "
            "different kinds, or neighbours",
            (f"measure on those that are alike: taskset -c {ranges(fast)} pytest …",),
        )
    status = _status_of_spread(found.widest - 1, 2 * _ALIKE)
    advice = () if status == "ok" else ("measure side by side: --tf-threads-duet",)
    return Finding(
        "CPU speed",
        status,
        f"a CPU's slow tenth takes up to {found.widest:.2f} times as long as its fast tenth",
        advice,
    )


def _flips(cpus: Sequence[CpuSpeed]) -> Iterator[str]:
    for cpu in cpus[:_SHOWN]:
        assert cpu.two_speeds is not None
        both = cpu.two_speeds
        yield (
            f"CPU {cpu.cpu} {both.slow_s / both.fast_s:.2f} times apart, slow "
            f"{percent(both.slow_share)} of the time"
        )
    if len(cpus) > _SHOWN:
        yield f"and {len(cpus) - _SHOWN} more"


def _held_up(found: Steadiness) -> Finding:
    worst = max(found.cpus, key=lambda one: one.held_up)
    status = _status_of_spread(worst.held_up, _HELD_UP)
    return Finding(
        "CPU shared",
        status,
        f"something else used CPU {worst.cpu} for {percent(worst.held_up)} of the time, which is "
        "the most of all CPUs",
        ()
        if status == "ok"
        else (
            "see what it is (top -b -n 1 | head -15), and close it, or give it CPUs of its own: "
            "taskset -pc CPUS PID",
        ),
    )


def _between_processes(found: Steadiness, tolerance: float) -> Finding:
    return Finding(
        "between processes",
        _status_of_spread(found.between_processes.value, tolerance),
        f"the same loop differs by {_spread(found.between_processes)} from one process to the next",
    )


def _kernel(trial: Trial, tolerance: float) -> Finding:
    times_s = [first.reference_wall_s for first, _ in trial.pairs]
    known = [time_s for time_s in times_s if time_s is not None]
    if len(known) < len(times_s):
        return Finding(
            "reference workload",
            "unknown",
            "too short a measurement to time it",
            ("measure for longer: --seconds",),
        )
    spread = spread_of([math.log(one) for one in known])
    return Finding(
        "reference workload",
        _status_of_spread(spread.value, tolerance),
        f"{duration(sum(known) / len(known))}, differs by {_spread(spread)} from one process to "
        "the next",
    )


def _status_of_spread(spread: float, tolerated: float) -> str:
    if spread <= tolerated / 2:
        return "ok"
    return "warning" if spread <= _MUCH * tolerated / 2 else "bad"


def _spread(estimate: Estimate) -> str:
    return f"{with_bounds(estimate, percent)} (standard deviation)"


def _option(share: float) -> str:
    return round_percent(share).replace(" ", "")
