"""Commits of saved runs, each made ready when the first test is to be measured beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.runner.variants import OpenVariant
from pytest_tfthreads.system.leases.leases import LeaseTimeoutError


class BaselinesOnDemand:
    """Baselines that may never be needed, or cannot be had.

    `make` gets a full commit id, and raises `RevisionError` where the commit cannot be had. It is
    tried once for each commit. Most tests have the same commit. `leave` ends the interpreters of a
    baseline: only those of the latest one stay in memory.
    """

    def __init__(
        self, make: Callable[[str], OpenVariant], leave: Callable[[OpenVariant], None]
    ) -> None:
        self._make = make
        self._leave = leave
        self._made: dict[str, OpenVariant] = {}
        self._problems: dict[str, str] = {}
        self._problem_of_all = ""
        self._latest: OpenVariant | None = None

    @property
    def made(self) -> Sequence[OpenVariant]:
        """Those that some test has needed."""
        return [*self._made.values()]

    def get(self, commit: str) -> OpenVariant | None:
        """The baseline, made now if it is the first time; None where there is a `problem`."""
        if self.problem(commit):
            return None
        if commit not in self._made:
            try:
                self._made[commit] = self._make(commit)
            except (RevisionError, LeaseTimeoutError, OSError) as error:
                self._problems[commit] = " ".join(str(error).split())
                return None
        baseline = self._made[commit]
        if self._latest not in (None, baseline):
            self._leave(self._latest)
        self._latest = baseline
        return baseline

    def problem(self, commit: str) -> str:
        """Why there is no such baseline; empty as long as nothing is known to be wrong."""
        return self._problem_of_all or self._problems.get(commit, "")

    def give_up(self, problem: str) -> None:
        """No test can be compared with any: how the project is set up makes them worthless."""
        self._problem_of_all = problem

    def close(self) -> None:
        for baseline in self._made.values():
            baseline.close()
