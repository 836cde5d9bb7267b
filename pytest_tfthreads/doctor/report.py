"""What the doctor found: findings, what can be detected, and what to do → text, JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pytest_tfthreads.core.format import metric_name, percent, plural, with_bounds
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.doctor.assessment import (
    Examination,
    advice_on_options,
    decision,
    tolerance_text,
)
from pytest_tfthreads.doctor.checks import STATUSES, Finding
from pytest_tfthreads.doctor.cpu_speed import Steadiness
from pytest_tfthreads.doctor.minimum_effect import Limit
from pytest_tfthreads.doctor.power import SAVED_RUNS, Fitness
from pytest_tfthreads.report.table import aligned

SCHEMA = 1

_WIDTH = 110
_WAYS = "side by side (--tf-threads-duet)"


def render(found: Examination) -> list[str]:
    """Lines of text; the last one says whether the machine is fit."""
    lines = ["The machine", *_findings(found.machine)]
    if found.measured:
        lines += ["", f"Measured for {found.seconds:.0f} s{_terms(found)}"]
        lines += _findings(found.measured)
    if found.fitness is not None:
        lines += ["", *_detectable(found.fitness)]
    advice = list(_advice(found))
    if advice:
        lines += ["", "What to do", *_bullets(advice)]
    return [*lines, "", verdict(found)]


def verdict(found: Examination) -> str:
    """Fit or not, in one line."""
    if found.fitness is not None:
        return f"{'fit' if found.is_fit else 'not fit'} for {decision(found.fitness)}"
    asked = tolerance_text(found.tolerance)
    if found.seconds:
        return f"not fit for {asked}: measuring came to nothing"
    state = "nothing found against it" if found.is_fit else "not fit"
    return f"{state}; whether a loss of {asked} can be detected was not measured"


def to_json(found: Examination) -> dict[str, Any]:
    """Plain JSON values; times in seconds, shares of 1, 95 % intervals."""
    fitness = found.fitness
    enough = None if fitness is None else fitness.enough
    return {
        "schema": SCHEMA,
        "fit": found.is_fit,
        "verdict": verdict(found),
        "tolerance": dict(found.tolerance),
        "tests": found.tests,
        "machine": [one.to_json() for one in found.machine],
        "measured": [one.to_json() for one in found.measured],
        "seconds": found.seconds,
        "intra": found.intra,
        "pairs": None if found.trial is None else len(found.trial.pairs),
        "speeds": None if found.speeds is None else _speeds(found.speeds),
        "detectable": None
        if fitness is None
        else {
            "duet": {"fit": fitness.is_fit_for_duet, **_limits(fitness.duet)},
            "saved_runs": {
                "fit": fitness.is_fit_for_saved_runs,
                "runs_needed": None if enough is None else enough.runs,
                "processes_needed": None if enough is None else enough.processes,
                "by_runs": {
                    str(runs): _limits(limits) for runs, limits in fitness.saved_runs.items()
                },
            },
        },
        "advice": list(_advice(found)),
    }


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    status_width = max(map(len, STATUSES))
    name_width = max(len(finding.name) for finding in findings)
    indent = " " * (2 + status_width + 2 + name_width + 2)
    for one in findings:
        head = f"  {one.status:<{status_width}}  {one.name:<{name_width}}  "
        yield from textwrap.wrap(
            one.value,
            _WIDTH,
            initial_indent=head,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _terms(found: Examination) -> str:
    if found.trial is None:
        return ""
    intra = found.intra or "auto"
    return f", {len(found.trial.pairs)} pairs of processes with {intra}×1 threads"


def _detectable(fitness: Fitness) -> Iterator[str]:
    yield (
        "Smallest regression that is detected, 4 times of 5 "
        f"([95 %]; {plural(fitness.tests, 'test')} in the suite)"
    )
    rows = [("", *map(metric_name, METRICS)), _row(_WAYS, fitness.duet)]
    for runs in SAVED_RUNS:
        name = f"against {runs} saved run{'s' if runs > 1 else ', the default drift'}"
        rows.append(_row(name + (", at best" if runs > 1 else ""), fitness.saved_runs[runs]))
    asked = tolerance_text(fitness.tolerance)
    rows.append(_row(f"side by side, {asked} tolerated", fitness.duet, at_tolerance=True))
    rows.append(
        _row(
            f"{SAVED_RUNS[-1]} saved runs, {asked} tolerated",
            fitness.saved_runs[SAVED_RUNS[-1]],
            at_tolerance=True,
        )
    )
    yield from (f"  {line}" for line in aligned(rows, (1, 2)))


def _row(
    name: str, limits: Mapping[str, Limit], at_tolerance: bool = False
) -> tuple[str, str, str]:
    throughput, cpu_efficiency = (
        with_bounds(
            limits[metric].at_tolerance if at_tolerance else limits[metric].smallest, percent
        )
        for metric in METRICS
    )
    return name, throughput, cpu_efficiency


def _advice(found: Examination) -> Iterator[str]:
    """On the worst first, each once; then which options to use."""
    findings = sorted([*found.machine, *found.measured], key=lambda one: STATUSES.index(one.status))
    told = [f"{finding.name}: {advice}" for finding in findings for advice in finding.advice]
    if found.fitness is not None:
        told += advice_on_options(found.fitness)
    yield from dict.fromkeys(told)


def _bullets(advice: Sequence[str]) -> Iterator[str]:
    for one in advice:
        yield from textwrap.wrap(
            one,
            _WIDTH,
            initial_indent="  - ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _limits(limits: Mapping[str, Limit]) -> dict[str, Any]:
    return {
        metric: {
            "smallest": limit.smallest.to_json(),
            "at_tolerance": limit.at_tolerance.to_json(),
            "set_tolerance": limit.set_tolerance,
        }
        for metric, limit in limits.items()
    }


def _speeds(speeds: Steadiness) -> dict[str, Any]:
    return {
        "between_processes": speeds.between_processes.to_json(),
        "cpus": [asdict(cpu) for cpu in speeds.cpus],
    }
