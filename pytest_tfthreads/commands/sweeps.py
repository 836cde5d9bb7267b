"""The sweeps of a saved run, and the advice that follows from each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_tfthreads.core.saved_runs import StoredMeasurement, StoredRun
from pytest_tfthreads.core.sweep.recommendation import Recommendation, recommend


def groups_of(run: StoredRun) -> dict[str, Sequence[StoredMeasurement]]:
    """The configurations of each test, by the test's name, in the order of the file."""
    groups: dict[str, dict[str, StoredMeasurement]] = {}
    for stored in run.tests.values():
        for one in stored:
            groups.setdefault(one.group, {})[one.configuration.id] = one
    return {group: [*members.values()] for group, members in groups.items()}


def is_sweep(members: Sequence[StoredMeasurement]) -> bool:
    """Whether they took turns with each other, and none with its baseline."""
    return len(members) > 1 and not any(one.took_turns_with_baseline for one in members)


def advice(group: str, members: Iterable[StoredMeasurement]) -> Recommendation | None:
    """`None` where no two of a sweep can be compared, or there is no sweep."""
    measured = [*members]
    if not is_sweep(measured):
        return None
    return recommend(group, [one.candidate for one in measured])
