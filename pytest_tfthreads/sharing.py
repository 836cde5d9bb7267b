"""Sharing the machine: what computes in this process waits for whoever measures."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence

import pytest

from pytest_tfthreads.process.lease_notes import Holder
from pytest_tfthreads.process.lease_place import UnsafePlaceError
from pytest_tfthreads.process.leases import Leases, LeaseTimeoutError
from pytest_tfthreads.ticker import Ticker
from pytest_tfthreads.xdist_bridge.briefing import WAITING, read_briefing
from pytest_tfthreads.xdist_bridge.distribution import show


class Sharing:
    """The hooks of what computes and is not measured, in runs that have marked tests.

    Collecting, from the first marked test on, and tests that run here share the machine with each
    other and with nobody who measures. Registered with the first marked test: other suites have no
    business with it.
    """

    def __init__(self, config: pytest.Config, timeout_s: float, ticker: Ticker) -> None:
        self._config = config
        self._ticker = ticker
        self._timeout_s = timeout_s
        self._shared = contextlib.ExitStack()

    @functools.cached_property
    def leases(self) -> Leases:
        """Of this process. Raises `pytest.UsageError` where there is no safe place for them."""
        try:
            return Leases(timeout_s=self._timeout_s, on_wait=self._tell_of_waiting)
        except UnsafePlaceError as error:
            raise pytest.UsageError(f"leases on CPUs: {error}") from error

    def collect(self) -> None:
        """The rest of the collection shares the machine, until `end_of_collection`."""
        if not self._config.getoption("collectonly"):
            self._share("collecting tests")

    def end_of_collection(self) -> None:
        self._shared.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._share(item.nodeid)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        yield
        self._shared.close()

    def _share(self, purpose: str) -> None:
        try:
            self._shared.enter_context(self.leases.shared(purpose))
        except LeaseTimeoutError as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)

    def _tell_of_waiting(self, in_front: Sequence[Holder]) -> None:
        names = "; ".join(map(str, in_front)) or "somebody who left no note"
        briefing = read_briefing(self._config)
        if briefing is None:
            self._ticker.erase()
            show(self._config, f"tf_threads: waiting for the CPUs: {names}")
        else:  # pytest-xdist's workers have no terminal
            briefing.tell(WAITING, names)
