"""What a test's reports carry beside what pytest knows, through pytest-xdist too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.runner.measurements import MeasuredTest

_MEASURED = "tf_threads"
_FAILED = "tf_threads_failed"
_UNTRACED = "tf_threads_untraced"
_PRELOADED = "tf_threads_preloaded"


@dataclass(frozen=True)
class PreloadedVariant:
    """What an interpreter has imported of the project ahead of its forks, as `Preloaded` says.

    `where` is for people: the environment variables of the interpreter, the variant of a duet; or
    nothing.
    """

    where: str
    modules: tuple[str, ...]
    left_out: Mapping[str, str]
    problem: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the fields."""
        data: dict[str, Any] = encode(self)
        return data


@dataclass(frozen=True)
class Attached:
    """`has_failed`: this phase of a test that was to be measured; `is_untraced`: the test could
    not be traced, because it measures nothing. `preloaded`: what is new of the interpreters.
    """

    measured: MeasuredTest | None = None
    has_failed: bool = False
    is_untraced: bool = False
    preloaded: tuple[PreloadedVariant, ...] = ()


def attach(report: pytest.TestReport, attached: Attached) -> None:
    """Have the report carry it: pytest-xdist sends attributes of simple types along."""
    if attached.measured is not None:
        setattr(report, _MEASURED, attached.measured.to_json())
    if attached.has_failed:
        setattr(report, _FAILED, True)
    if attached.is_untraced:
        setattr(report, _UNTRACED, True)
    if attached.preloaded:
        setattr(report, _PRELOADED, [one.to_json() for one in attached.preloaded])


def attached_to(report: pytest.TestReport) -> Attached:
    """What the report carries."""
    measured = getattr(report, _MEASURED, None)
    return Attached(
        None if measured is None else MeasuredTest.from_json(measured),
        hasattr(report, _FAILED),
        hasattr(report, _UNTRACED),
        tuple(decode(PreloadedVariant, one) for one in getattr(report, _PRELOADED, ())),
    )
