"""Leasing the machine: what computes in this process waits for processes that measure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import pytest

from pytest_tfthreads.pytest_bridge.progress_line import ProgressLine
from pytest_tfthreads.pytest_bridge.whose_tests import is_ours
from pytest_tfthreads.system import linux
from pytest_tfthreads.system.leases.lease_directory import HOW_TO_CHOOSE
from pytest_tfthreads.system.leases.leases import Leases, LeaseTimeoutError
from pytest_tfthreads.system.leases.notes import Holder
from pytest_tfthreads.system.originals import ORIGINALS
from pytest_tfthreads.xdist_bridge.briefing import UNLEASED, WAITING, read_briefing
from pytest_tfthreads.xdist_bridge.distribution import Distribution, show

_LONG_S = 60.0
"""A worker that has the CPUs for longer is told of: perhaps its test hangs."""


class Leasing:
    """The hooks of what computes and is not measured, in runs that have marked tests.

    Collecting, from the first marked test on, and tests that run here share the machine with each
    other and with nobody who measures. Registered with the first marked test: other suites have no
    business with it.
    """

    def __init__(
        self,
        config: pytest.Config,
        timeout_s: float,
        progress: ProgressLine,
        distribution: Distribution | None,
    ) -> None:
        self._config = config
        self._progress = progress
        self._distribution = distribution
        self._shared = contextlib.ExitStack()
        self._timeout_s = timeout_s
        self._leases: Leases | None = None
        self._why_unleased: dict[str, None] = {}
        self._holder = 0  # the process that has the lease for a test's whole protocol

    def leases(self) -> Leases:
        """Of this process."""
        if self._leases is None:
            self._leases = Leases(
                timeout_s=self._timeout_s,
                on_wait=self._tell_of_waiting,
                on_unavailable=self._tell_of_no_leases,
            )
        return self._leases

    def warnings(self) -> list[str]:
        """Lines of text: at most one, that CPUs could not be leased in this run."""
        why = dict(self._why_unleased)
        if self._distribution is not None:
            why |= self._distribution.why_unleased
        if not why:
            return []
        return [
            "warning: CPUs could not be leased, so other runs on this machine may have disturbed "
            f"this one, and this one them: {'; '.join(why)}. Mend: {HOW_TO_CHOOSE}"
        ]

    def collect(self) -> None:
        """The rest of the collection shares the machine, until `end_of_collection`."""
        if not self._config.getoption("collectonly"):
            self._share("collecting tests")

    def end_of_collection(self) -> None:
        self._shared.close()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        # The wait is no part of the test: other plugins' clocks (pytest-timeout's) begin after it.
        if not is_ours(item):
            self._share(item.nodeid)
            self._holder = os.getpid()
        yield
        self._holder = 0
        self._shared.close()

    # For a plugin that runs a test again within the protocol: each teardown has ended the lease.
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        # A fork of the protocol has the lease of its parent, which waits for the fork.
        if self._holder in (0, os.getpid()):
            self._share(item.nodeid)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        yield
        self._shared.close()

    def _share(self, purpose: str) -> None:
        try:
            self._shared.enter_context(self.leases().shared(purpose))
        except LeaseTimeoutError as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)

    def _tell_of_waiting(self, in_front: Sequence[Holder]) -> None:
        names = "; ".join(map(str, in_front)) or "a process that left no note"
        briefing = read_briefing(self._config)
        if briefing is None:
            self._progress.erase()
            show(self._config, f"tf_threads: waiting for the CPUs: {names}")
        elif not in_front or not all(map(_measures_beside, in_front)):
            briefing.tell(WAITING, names)  # pytest-xdist's workers have no terminal

    def _tell_of_no_leases(self, why: str) -> None:
        briefing = read_briefing(self._config)
        if briefing is None:
            self._why_unleased[why] = None
        else:
            briefing.tell(UNLEASED, why)


def _measures_beside(holder: Holder) -> bool:
    """Whether the CPUs are another worker's of this run, which has not had them for long.

    Workers measure one after the other, so each waits for the others all the time.
    """
    if ORIGINALS.time() - holder.since_s > _LONG_S:
        return False
    return linux.parent_of(holder.pid) == os.getppid()
