"""Marked tests where they cannot be measured: run in this process as all others are, or skipped."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_tfthreads.benchmark_bridge import benchmark_fixture
from pytest_tfthreads.names import MARKER, NEEDS_LINUX
from pytest_tfthreads.pytest_bridge import collection
from pytest_tfthreads.pytest_bridge.options import SKIP


class Elsewhere:
    """The hooks of a run with marked tests on a platform that is not Linux.

    `choice` is that of --tf-threads-elsewhere. Under pytest-xdist the controller has them too, for
    the line in the summary.
    """

    def __init__(self, choice: str) -> None:
        self._skips = choice == SKIP

    def saw_marked(self, item: pytest.Item) -> None:
        """A marked test was collected."""
        if self._skips and collection.case_of(item) is not None:  # a doctest beside it has none
            reason = f"{MARKER}: {NEEDS_LINUX} (--tf-threads-elsewhere={SKIP})"
            item.add_marker(pytest.mark.skip(reason=reason))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, None]:
        if not collection.is_assigned(item):
            yield
            return
        # What it took here would pass for a measurement of its configuration.
        with benchmark_fixture.unmeasured(item.config):
            yield

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        if (mistake := collection.mistake_of(item)) is not None:
            pytest.fail(mistake, pytrace=False)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        done = "were skipped" if self._skips else "ran, but were not measured"
        terminalreporter.ensure_newline()
        terminalreporter.write_line(
            f"{MARKER}: marked tests {done}: {NEEDS_LINUX} (--tf-threads-elsewhere)"
        )
