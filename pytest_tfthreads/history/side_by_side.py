"""Steps that were measured side by side, kept beside the saved runs, and what they say of lines."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pytest_tfthreads.core.decode import DecodeError, NotNegative, OneOf, Within, decode, encode
from pytest_tfthreads.core.file_reading import read_file
from pytest_tfthreads.core.gate.verdict import Policy
from pytest_tfthreads.core.saved_runs import moment_of
from pytest_tfthreads.core.stats.change_points import CONFIDENCE, Shift
from pytest_tfthreads.core.stats.estimates import FAMILYWISE_ERROR
from pytest_tfthreads.core.stats.known_changes import Known
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.variants.course import Course
from pytest_tfthreads.history.series import Facts, Line, Run

SCHEMA = 1
ENDING = ".steps"  # no .json: whatever lists saved runs would take it for one
_DIRECTORY = "side-by-side"
_MOST_LOG = 700.0
_UNCHANGED = {
    metric: (math.log1p(-share), math.log1p(share)) for metric, share in Policy().tolerance.items()
}
"""By metric, the logarithms between which a step is no change that matters."""


@dataclass(frozen=True)
class CommitStep:
    """From one commit to a later one, on one machine and under the same conditions.

    `log_ratio` is of the later speed over the earlier, with its variance and degrees of freedom.
    """

    test: str
    machine: Facts
    conditions: Facts
    metric: Annotated[str, OneOf(METRICS)]
    before: str
    after: str
    log_ratio: Annotated[float, Within(-_MOST_LOG, _MOST_LOG)]
    variance: NotNegative
    dof: Annotated[float, Within(0.001)]
    status: Literal["regression", "improvement", "no-change"]

    @property
    def shift(self) -> Shift:
        """The same as a change of levels."""
        return Shift(self.log_ratio, self.variance, self.dof)


@dataclass(frozen=True)
class TestCourse:
    """The whole course of a test, on one machine and under the same conditions, for reports."""

    __test__ = False  # pytest collects what is called Test…

    test: str
    machine: Facts
    conditions: Facts
    metric: Annotated[str, OneOf(METRICS)]
    course: Course


@dataclass(frozen=True)
class KeptCall:
    """What one call of `releases` has measured, and decided.

    `courses` are those of each test that has a step here, by all metrics, open steps included.
    """

    datetime: str
    steps: tuple[CommitStep, ...]
    courses: tuple[TestCourse, ...] = ()
    schema: Annotated[int, Within(SCHEMA, SCHEMA)] = SCHEMA

    @property
    def data(self) -> bytes:
        """The file."""
        return (json.dumps(encode(self), indent=1) + "\n").encode()


@dataclass(frozen=True)
class KeptCalls:
    """All calls that are kept, the latest first; `problems` are of files that cannot be used."""

    calls: tuple[KeptCall, ...] = ()
    problems: tuple[str, ...] = ()

    @cached_property
    def steps(self) -> tuple[CommitStep, ...]:
        """Of all calls, the latest first."""
        return tuple(step for one in self.calls for step in one.steps)

    def known(self, line: Line, metric: str, runs: Sequence[Run]) -> Iterator[Known]:
        """What is known of a line: steps between commits, both of which have a run on the line.

        A run with changes beside its commit is none of it.
        """
        places: dict[str, list[int]] = {}
        for session, place in enumerate(line.runs):
            run = runs[place]
            if run.commit is not None and not run.dirty:
                places.setdefault(run.commit, []).append(session)
        conditions = {point.conditions for point in line.points.values()}
        for step in self.steps:
            if (step.test, step.metric, step.machine) != (line.test, metric, line.machine):
                continue
            if step.conditions not in conditions or not {step.before, step.after} <= places.keys():
                continue
            after, by = max(places[step.before]), min(places[step.after])
            is_change = self._is_change(step)
            if after < by and is_change is not None:
                yield Known(after, by, step.shift, is_change)

    def _is_change(self, step: CommitStep) -> bool | None:
        """None where that is not known.

        `no-change` is by the tolerance of the call of `releases`, which may be any. By a larger
        one than the history's, a change is one all the same where the step is certainly none of
        unchanged code; all steps that are kept being chances to err (Bonferroni).
        """
        if step.status != "no-change":
            return True
        shift, (least, most) = step.shift, _UNCHANGED[step.metric]
        half_width = shift.half_width(0.5 + CONFIDENCE / 2)
        if least < step.log_ratio - half_width and step.log_ratio + half_width < most:
            return False
        error = FAMILYWISE_ERROR / len(self.steps)
        return True if abs(step.log_ratio) > shift.half_width(1 - error / 2) else None


def directory_in(storage: Path) -> Path:
    """Where steps are kept, beside the saved runs of a storage."""
    return storage / _DIRECTORY


def read_kept(storage: Path) -> KeptCalls:
    """All that is kept beside the saved runs of a storage; nothing where there is none."""
    kept: list[KeptCall] = []
    problems: list[str] = []
    directory = directory_in(storage)
    try:
        names = _names_in(directory)
    except OSError as error:  # this user may not look there
        return KeptCalls(problems=(f"{directory} cannot be used: {error}",))
    for path in sorted(directory / name for name in names):
        try:
            data = json.loads(read_file(path).decode("utf-8"))
            kept.append(decode(KeptCall, data, str(path)))
        except DecodeError as error:
            problems.append(str(error))
        except (OSError, ValueError, RecursionError) as error:
            problems.append(f"{path} cannot be used: {error}")
    latest = sorted(kept, key=lambda one: moment_of(one.datetime), reverse=True)
    return KeptCalls(tuple(latest), tuple(problems))


def numbers_in(directory: Path) -> set[int]:
    """Of the files that are there."""
    try:
        names = [name.removesuffix(ENDING) for name in _names_in(directory)]
    except OSError:  # who writes there is told why that cannot be
        return set()
    return {int(name) for name in names if name.isascii() and name.isdigit()}


def _names_in(directory: Path) -> list[str]:
    """Of a directory that need not be there; raises `OSError` where nobody may look."""
    try:
        return [name for name in os.listdir(directory) if name.endswith(ENDING)]
    except (FileNotFoundError, NotADirectoryError):
        return []
