"""What a test's reports carry beside what pytest knows, through pytest-xdist too."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pytest_tfthreads.runner.measurements import MeasuredTest

_MEASURED = "tf_threads"
_FAILED = "tf_threads_failed"
_UNTRACED = "tf_threads_untraced"


@dataclass(frozen=True)
class Attached:
    """`has_failed`: this phase of a test that was to be measured; `is_untraced`: the test could
    not be traced, because it measures nothing.
    """

    measured: MeasuredTest | None = None
    has_failed: bool = False
    is_untraced: bool = False


def attach(report: pytest.TestReport, attached: Attached) -> None:
    """Have the report carry it: pytest-xdist sends attributes of simple types along."""
    if attached.measured is not None:
        setattr(report, _MEASURED, attached.measured.to_json())
    if attached.has_failed:
        setattr(report, _FAILED, True)
    if attached.is_untraced:
        setattr(report, _UNTRACED, True)


def attached_to(report: pytest.TestReport) -> Attached:
    """What the report carries."""
    measured = getattr(report, _MEASURED, None)
    return Attached(
        None if measured is None else MeasuredTest.from_json(measured),
        hasattr(report, _FAILED),
        hasattr(report, _UNTRACED),
    )
