"""The file of --tf-threads-report: checked before anything is measured, written at the end."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Generator

import pytest

from pytest_tfthreads.pytest_bridge.options import ReportWish
from pytest_tfthreads.report.html.content import RunContent
from pytest_tfthreads.report.page import MISSING_LIBRARY
from pytest_tfthreads.system.files import why_unwritable, write_file


class HtmlReport:
    """The hooks around it, of the process that keeps the results.

    `content` is asked for when all tests are over.
    """

    def __init__(self, wish: ReportWish, content: Callable[[], RunContent]) -> None:
        self._path = wish.path
        self._option = wish.option
        self._content = content
        self._told = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        if session.config.getoption("collectonly"):
            return
        if importlib.util.find_spec("plotly") is None:
            raise pytest.UsageError(f"{self._option}: {MISSING_LIBRARY}")
        if why := why_unwritable(self._path, makes_directories=True):
            raise pytest.UsageError(
                f"{self._option}: {self._path} cannot be written: {why}; mend that, or name "
                "another file"
            )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.config.getoption("collectonly"):
            return
        # Not at the top: most runs write none.
        from pytest_tfthreads.report.html.document import render

        content = self._content()
        if not content.subjects:
            self._told = f"{self._option}: nothing was measured, so {self._path} was not written"
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_file(self._path, render(content))
        except OSError as error:
            self._told = (
                f"{self._option}: {self._path} was not written: {error.strerror}; mend that, or "
                "name another file"
            )
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR
        else:
            self._told = f"HTML report: {self._path}"

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, object, None]:
        yield  # below the tables
        if self._told:
            terminalreporter.ensure_newline()
            terminalreporter.write_line(self._told)
