"""What a measurement is judged by: chosen from the saved runs."""

from __future__ import annotations

from collections.abc import Container, Sequence

from pytest_tfthreads.core.comparable import History, is_of_this_python, why_not_comparable
from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.suite_drift import machine_of
from pytest_tfthreads.core.gate.verdict import MARGIN
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.op_profile import Trace
from pytest_tfthreads.core.saved_runs import StoredMeasurement, StoredRun

RUNS_OF_PAIRS = 5
"""How many saved runs tell a duet its noise: the latest, for machines change."""

Found = tuple[StoredRun, StoredMeasurement]
"""A saved run, and what it has of a test."""


def history_of(
    runs: Sequence[StoredRun], test: str, now: Measurement, named: bool = False
) -> History:
    """The comparable measurements of a test in saved runs, which are given oldest first.

    Where the user named a run (`named`), the baseline is that of the last run and no other. A run
    in which the test was found to have regressed is passed over, unless it is named, or a later run
    was judged by it because it had been named: so a regression that is to be accepted is accepted
    by its number. Runs of other Pythons count only where no run of this Python does: one Python can
    be much faster than another, and the step between the two is no change of the code.
    """
    if not runs:
        return History((), problem="there is no saved run; make one with --benchmark-save")
    accepted = accepted_by_name(runs, test, now)
    if not named:
        runs = without_regression(runs, test, now, accepted) or runs
    measured = measured_in(runs, test, now)
    if not measured or (named and measured[-1][0] is not runs[-1]):
        return History((), problem=_unmeasured(runs[-1:] if named else runs, test))
    reasons = [why_not_comparable(now, one.measurement) for _, one in measured]
    comparable = [found for found, reason in zip(measured, reasons, strict=True) if reason is None]
    if not comparable or (named and comparable[-1][0] is not runs[-1]):
        problem = f"{measured[-1][0].title} is not comparable: {reasons[-1]}"
        name = runs[-1].datetime if named else ""
        return History((), problem=problem, status="not-comparable", named=name)
    if not named:
        comparable = of_this_python_first(comparable, now)
    run, last = comparable[-1]
    return History(
        tuple(one.measurement for _, one in comparable),
        baseline=run.title,
        trace=None if last.trace is None else Trace(run.title, None, last.trace.profile),
        titles=tuple(run.title for run, _ in comparable),
        named=run.datetime if named else "",
        since=begin_of_level(comparable, accepted),
        beside=frozenset(
            index
            for index, (_, one) in enumerate(comparable)
            if one.pairs
            and one.was_found_tolerable
            and not one.beside_environment
            and not one.beside_named
            # Side by side both sides had the software of then: of that nothing was found.
            and not any(verdict.software for verdict in one.verdicts)
        ),
    )


def accepted_by_name(runs: Sequence[StoredRun], test: str, now: Measurement) -> frozenset[str]:
    """Times of the runs that the user named as the baseline of a later one."""
    measured = (run.closest(test, now) for run in runs)
    return frozenset(one.named for one in measured if one is not None and one.named)


def without_regression(
    runs: Sequence[StoredRun], test: str, now: Measurement, accepted: Container[str]
) -> list[StoredRun]:
    """The runs in which the test had not regressed, where it was measured then as now.

    A regression that the user has accepted is none.
    """
    return [
        run
        for run in runs
        if run.datetime in accepted
        or (stored := run.closest(test, now)) is None
        or not stored.has_regressed
    ]


def measured_in(runs: Sequence[StoredRun], test: str, now: Measurement) -> list[Found]:
    """The runs that have the test, each with the measurement to compare with."""
    return [(run, one) for run in runs if (one := run.closest(test, now)) is not None]


def of_this_python_first(comparable: list[Found], now: Measurement) -> list[Found]:
    """The measurements of this Python; of all Pythons where there is none."""
    return [one for one in comparable if is_of_this_python(now, one[1].measurement)] or comparable


def may_have_lost(stored: StoredMeasurement) -> bool:
    """Whether a loss was left open: inconclusive, and beyond the margin as estimated."""
    return not stored.beside_environment and any(
        verdict.status == "inconclusive"
        and (verdict.change is None or verdict.change.value < -MARGIN * verdict.tolerance)
        for verdict in stored.verdicts
    )


def begin_of_level(found: Sequence[Found], accepted: Container[str]) -> int:
    """The place of the last run that the user has accepted; 0 where there is none."""
    return max(
        (place for place, (run, _) in enumerate(found) if run.datetime in accepted), default=0
    )


def histories_of(runs: Sequence[StoredRun], machine: str) -> Sequence[Sequence[Measurement]]:
    """The comparable measurements of each test, oldest first, on such a machine (`machine_of`)."""
    tests = dict.fromkeys(test for run in runs for test in run.tests)
    histories = []
    for test in tests:
        measured = (one.measurement for run in reversed(runs) for one in run.tests.get(test, ()))
        latest = next((one for one in measured if machine_of(one) == machine), None)
        if latest is not None:
            histories.append(history_of(runs, test, latest).measurements)
    return histories


def pairs_of(runs: Sequence[StoredRun], test: str, now: Measurement) -> list[tuple[Pair, ...]]:
    """A test's pairs in the latest comparable saved runs that have any, latest last.

    A run that had regressed is among them: it is the scatter of pairs that is asked for, and a
    change of speed leaves that as it is.
    """
    found = [
        one.pairs
        for run in runs
        for one in run.tests.get(test, ())
        if one.pairs and why_not_comparable(now, one.measurement) is None
    ]
    return found[-RUNS_OF_PAIRS:]


def _unmeasured(runs: Sequence[StoredRun], test: str) -> str:
    """Why a test is in none of these runs."""
    last = runs[-1]
    failed = [run for run in runs if test in run.failed]
    if failed:
        return f"the test failed when {failed[-1].title} was saved"
    if len(runs) > 1:
        return f"the test was not measured in any of {len(runs)} saved runs"
    early = "" if last.complete else ", which ended early"
    return f"the test was not measured in {last.title}{early}"
