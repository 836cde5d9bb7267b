"""How far the tests of a suite drift together, from its saved runs.

A handful of saved runs says little of one test's drift. Those of all tests say more: each test's
own is drawn towards what they have in common (`drift`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_tfthreads.core.comparable import fingerprint
from pytest_tfthreads.core.gate.correction import (
    EXPECTED,
    NOT,
    anchor_of,
    correction_of,
    is_usable,
    log_speeds,
)
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.stats.drift import Drift, suite_drift
from pytest_tfthreads.core.tolerance import METRICS

Drifts = Mapping[tuple[str, str], Drift]
"""By metric and correction."""


def machine_of(measurement: Measurement) -> str:
    """The kind of machine: measurements with the same can be compared as far as that goes."""
    return repr(sorted(fingerprint(measurement).items()))


def drifts_of(histories: Iterable[Sequence[Measurement]]) -> Drifts:
    """Of the tests' comparable saved runs, oldest first; what nothing is known of is left out."""
    series: dict[tuple[str, str], list[list[tuple[float, ...]]]] = {}
    for history in histories:
        for metric in METRICS:
            correction, found = corrected_history(metric, history)
            series.setdefault((metric, correction), []).append(found)
    known = {key: suite_drift(found, EXPECTED[key[1]]) for key, found in series.items()}
    return {key: drift for key, drift in known.items() if drift is not None}


def corrected_history(
    metric: str, history: Sequence[Measurement]
) -> tuple[str, list[tuple[float, ...]]]:
    """How the saved runs of a test are corrected, the latest deciding, and their log speeds."""
    if not history:
        return NOT, []
    correction = correction_of(metric, history[-1].samples)
    usable = [one for one in history if is_usable(metric, one.samples, correction)]
    anchor = (
        None
        if correction == NOT
        else anchor_of([sample for one in usable for sample in one.samples])
    )
    return correction, [log_speeds(one.samples, metric, correction, anchor) for one in usable]
