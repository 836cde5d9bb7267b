"""The courses over releases that are kept, brought to the tests that a report is about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_tfthreads.core.variants.course import Course
from pytest_tfthreads.history.series import Facts, line_of
from pytest_tfthreads.history.side_by_side import KeptCalls, read_kept
from pytest_tfthreads.report.html.content import OverReleases, RunContent

_Line = tuple[str, Facts, Facts]


def with_releases(content: RunContent, storage: Path) -> RunContent:
    """With the latest course of each test that was measured on such a machine, as the test was.

    Files that cannot be used become notes.
    """
    kept = read_kept(storage)
    latest = _latest(kept)
    subjects = tuple(
        replace(
            subject,
            cases=tuple(
                replace(case, over=latest.get((case.nodeid, *line_of(case.measurement))))
                for case in subject.cases
            ),
        )
        for subject in content.subjects
    )
    return replace(content, subjects=subjects, notes=(*content.notes, *kept.problems))


def _latest(kept: KeptCalls) -> dict[_Line, OverReleases]:
    found: dict[_Line, OverReleases] = {}
    for call in kept.calls:
        courses: dict[_Line, dict[str, Course]] = {}
        for one in call.courses:
            key = one.test, one.machine, one.conditions
            courses.setdefault(key, {})[one.metric] = one.course
        for key, by_metric in courses.items():
            found.setdefault(key, OverReleases(call.datetime, by_metric))
    return found
