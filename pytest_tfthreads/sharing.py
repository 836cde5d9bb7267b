"""Sharing the machine: what computes in this process waits for whoever measures."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence

import pytest

from pytest_tfthreads import collection
from pytest_tfthreads.process.lease_notes import Holder
from pytest_tfthreads.process.lease_place import HOW_TO_CHOOSE
from pytest_tfthreads.process.leases import Leases, LeaseTimeoutError
from pytest_tfthreads.ticker import Ticker
from pytest_tfthreads.xdist_bridge.briefing import UNLEASED, WAITING, read_briefing


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
        self._why_unleased: dict[str, None] = {}

    @functools.cached_property
    def leases(self) -> Leases:
        """Of this process."""
        # Not before there is a marked test: other suites have no business with it.
        return Leases(
            timeout_s=self._timeout_s,
            on_wait=self._tell_of_waiting,
            on_unavailable=self._tell_of_no_leases,
        )

    @property
    def warnings(self) -> list[str]:
        """Lines of text: at most one, that CPUs could not be leased in this run."""
        if not self._why_unleased:
            return []
        return [
            "warning: CPUs could not be leased, so other runs on this machine may have disturbed "
            f"this one, and this one them: {'; '.join(self._why_unleased)}. Mend: {HOW_TO_CHOOSE}"
        ]

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
        names = "; ".join(map(str, in_front)) or "somebody who left no note"
        briefing = read_briefing(self._config)
        if briefing is None:
            self._show(f"tf_threads: waiting for the CPUs: {names}")
        else:  # pytest-xdist's workers have no terminal
            briefing.tell(WAITING, names)

    def _tell_of_no_leases(self, why: str) -> None:
        briefing = read_briefing(self._config)
        if briefing is None:
            self.add_unleased(why)
        else:
            briefing.tell(UNLEASED, why)

    def add_unleased(self, why: str) -> None:
        """Of this process, or of a worker of pytest-xdist: why it could not lease CPUs."""
        self._why_unleased[why] = None

    def show_waiting(self, worker: str, names: str) -> None:
        """Show what a worker of pytest-xdist waits for."""
        self._show(f"[{worker}] tf_threads: waiting for the CPUs: {names}")

    def _show(self, line: str) -> None:
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            self._ticker.erase()
            reporter.ensure_newline()
            reporter.write_line(line)
            reporter.flush()  # a pipe, as logs of CI are, would keep it until all is over
