"""Commits of saved runs, each made ready when the first test is to be measured beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.runner.variants import OpenVariant
from pytest_tfthreads.system.leases.leases import LeaseTimeoutError

_MOST = 2
"""Of these the files stay, and the interpreters that have imported TensorFlow: most tests have one
commit, and tests of two commits may follow each other."""


class NoBaselineError(Exception):
    """There is no such baseline, now or at all; the message says why."""


class BaselinesOnDemand:
    """Baselines that may never be needed, or cannot be had.

    `make` gets a full commit id, and raises `RevisionError` where the commit cannot be had: that is
    tried once. Whatever else hinders it (others measure for too long, a disk is full) may be over
    at the next test. `leave` ends the interpreters of a baseline that is not needed any more.
    """

    def __init__(
        self, make: Callable[[str], OpenVariant], leave: Callable[[OpenVariant], None]
    ) -> None:
        self._make = make
        self._leave = leave
        self._made: dict[str, OpenVariant] = {}  # that used last is the last
        self._problems: dict[str, str] = {}
        self._problem_of_all = ""

    @property
    def made(self) -> Sequence[OpenVariant]:
        """Those that some test has needed lately."""
        return [*self._made.values()]

    def get(self, commit: str) -> OpenVariant:
        """The baseline, made now if it is not there. Raises `NoBaselineError`."""
        if problem := self._problem_of_all or self._problems.get(commit, ""):
            raise NoBaselineError(problem)
        baseline = self._made.pop(commit, None) or self._new(commit)
        self._made[commit] = baseline
        while len(self._made) > _MOST:
            self._close(next(iter(self._made)))
        return baseline

    def give_up(self, problem: str) -> None:
        """No test can be compared with any: how the project is set up makes them worthless."""
        self._problem_of_all = problem

    def close(self) -> None:
        """Remove their files; processes have gone."""
        for baseline in self._made.values():
            baseline.close()
        self._made.clear()

    def _new(self, commit: str) -> OpenVariant:
        try:
            return self._make(commit)
        except RevisionError as error:
            self._problems[commit] = _in_a_line(error)
            raise NoBaselineError(self._problems[commit]) from error
        # pytest-timeout's clock runs while others measure, too.
        except (LeaseTimeoutError, OSError, pytest.fail.Exception) as error:
            raise NoBaselineError(_in_a_line(error)) from error

    def _close(self, commit: str) -> None:
        baseline = self._made.pop(commit)
        self._leave(baseline)
        baseline.close()


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split())
