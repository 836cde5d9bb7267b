"""Sharing the machine: what computes in this process waits for whoever measures."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence

import pytest

from pytest_tfthreads import collection
from pytest_tfthreads.process.lease_notes import Holder
from pytest_tfthreads.process.lease_place import UnsafePlaceError
from pytest_tfthreads.process.leases import Leases, LeaseTimeoutError
from pytest_tfthreads.ticker import Ticker


class Sharing:
    """The hooks of what computes and is not measured, in runs that have marked tests.

    Collecting, from the first marked test on, and tests that run here share the machine with each
    other and with nobody who measures.
    """

    def __init__(self, config: pytest.Config, timeout_s: float, ticker: Ticker) -> None:
        self._config = config
        self._ticker = ticker
        self._timeout_s = timeout_s
        self._shared = contextlib.ExitStack()
        self._saw_marked = False

    @functools.cached_property
    def leases(self) -> Leases:
        """Of this process. Raises `pytest.UsageError` where there is no safe place for them."""
        # Not before there is a marked test: other suites have no business with it.
        try:
            return Leases(timeout_s=self._timeout_s, on_wait=self._tell_of_waiting)
        except UnsafePlaceError as error:
            raise pytest.UsageError(f"leases on CPUs: {error}") from error

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if self._saw_marked or not collection.is_marked(item):
            return
        self._saw_marked = True
        if not self._config.getoption("collectonly"):
            self._share("collecting tests")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        yield
        self._shared.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self._saw_marked:
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
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is None:  # in pytest-xdist's workers
            return
        self._ticker.erase()
        reporter.ensure_newline()
        names = "; ".join(map(str, in_front)) or "somebody who left no note"
        reporter.write_line(f"tf_threads: waiting for the CPUs: {names}")
        reporter.flush()  # a pipe, as logs of CI are, would keep it until all is over
