"""Keeps the steps of releases beside the saved runs, for the history and the report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.core.variants.course import courses_of
from pytest_tfthreads.core.variants.released import Over, Release, TestOver
from pytest_tfthreads.core.variants.steps import VariantChange
from pytest_tfthreads.history.series import line_of
from pytest_tfthreads.history.side_by_side import (
    ENDING,
    CommitStep,
    KeptCall,
    TestCourse,
    directory_in,
    numbers_in,
)
from pytest_tfthreads.system.files import NoNumberLeftError, write_numbered


def keep(over: Over, storage: Path) -> Path | None:
    """Write the steps between commits that are decided, and the courses of their tests.

    Returns the file, None where there is no such step.

    Raises `CommandError` where they cannot be written.
    """
    steps = tuple(step for test in over.tests for step in _of_test(over, test))
    if not steps:
        return None
    directory = directory_in(storage)
    decided = {one.test for one in steps}
    courses = tuple(
        one for test in over.tests if test.nodeid in decided for one in _courses(over, test)
    )
    data = KeptCall(dt.datetime.now(dt.timezone.utc).isoformat(), steps, courses).data
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return write_numbered(directory, ENDING, data, lambda: numbers_in(directory))
    except (OSError, NoNumberLeftError) as error:
        raise CommandError(
            f"the steps cannot be kept in {directory}: {error}; mend that, or name the directory "
            "of other saved runs with --storage"
        ) from error


def _of_test(over: Over, test: TestOver) -> Iterator[CommitStep]:
    places = {one.name: place for place, one in enumerate(over.releases)}
    for metric, several in test.steps.items():
        for step in several:
            change = step.to_previous
            if change is not None:
                ends = places[change.since], places[step.name]
                yield from _kept(over, test, metric, change, *ends)


def _kept(
    over: Over, test: TestOver, metric: str, change: VariantChange, earlier: int, later: int
) -> Iterator[CommitStep]:
    """None where it is open, or one of the two is no commit in the command's own environment."""
    before, after = (_commit(over.releases[place]) for place in (earlier, later))
    measured = [test.at[place].measurement for place in (earlier, later)]
    if before is None or after is None or change.status == "open":
        return
    lines = {line_of(one) for one in measured if one is not None}
    if len(lines) == 1:  # else the two would not be on one line of the history either
        (line,) = lines
        ratio = change.log_ratio
        yield CommitStep(
            test.nodeid,
            *line,
            metric,
            before,
            after,
            ratio.log_ratio,
            ratio.variance,
            ratio.dof,
            change.status,
        )


def _courses(over: Over, test: TestOver) -> Iterator[TestCourse]:
    """None where releases were not all measured under the same conditions."""
    measured = {line_of(at.measurement) for at in test.at if at.measurement is not None}
    if len(measured) == 1:
        ((machine, conditions),) = measured
        for metric, course in courses_of(over, test).items():
            yield TestCourse(test.nodeid, machine, conditions, metric, course)


def _commit(release: Release) -> str | None:
    if release.commit is None or release.place.python is not None:
        return None
    return release.commit.id
