"""The baseline of the saved runs, made ready when the first test needs it."""

from __future__ import annotations

from collections.abc import Callable

from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.runner.variants import OpenVariant


class BaselineOnDemand:
    """A baseline that may never be needed, or cannot be had: then `problem` says why.

    `make` raises `RevisionError` where there is none. It is tried once.
    """

    def __init__(self, make: Callable[[], OpenVariant]) -> None:
        self._make: Callable[[], OpenVariant] | None = make
        self._baseline: OpenVariant | None = None
        self.problem = ""

    @property
    def made(self) -> OpenVariant | None:
        """The baseline, if some test has needed it."""
        return self._baseline

    def get(self) -> OpenVariant | None:
        """The baseline, made now if it is the first time; None where there is a `problem`."""
        make, self._make = self._make, None
        if make is not None and not self.problem:
            try:
                self._baseline = make()
            except (RevisionError, OSError) as error:
                self.problem = " ".join(str(error).split())
        return None if self.problem else self._baseline

    def give_up(self, problem: str) -> None:
        """No test can be compared with it: how the project is set up makes it worthless."""
        self.problem = problem

    def close(self) -> None:
        if self._baseline is not None:
            self._baseline.close()
