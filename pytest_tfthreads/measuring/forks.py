"""Forks of a test that come back from it, instead of ending there: they end here.

A fork holds all that its parent has. It must not take down fixtures, which are the parent's, nor
run what comes after the test, nor speak on the parent's connection.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Generator
from typing import Any, NoReturn

import pytest

from pytest_tfthreads.system.originals import ORIGINALS


class Forks:
    """Ends forks of the session's process after the phase of a test in which they came to be.

    It ends them before pytest's own capturing and teardown see them. A fork that has raised ends
    with code 1, and its traceback is in the captured output of the test.
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self._pid = ORIGINALS.getpid()
        self._flush = flush

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, Any, None]:
        if ORIGINALS.getpid() != self._pid:  # a test file forks as it is imported
            self._end(None)
        yield

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, None]:
        self._look_at((yield))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Generator[None, Any, None]:
        self._look_at((yield))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, None]:
        self._look_at((yield))

    def _look_at(self, outcome: Any) -> None:
        if ORIGINALS.getpid() != self._pid:
            self._end(None if outcome.excinfo is None else outcome.excinfo[1])

    def _end(self, error: BaseException | None) -> NoReturn:
        code = 1
        try:
            code = _exit_code_of(error)
            self._flush()
        finally:
            ORIGINALS.exit_at_once(code)


def _exit_code_of(error: BaseException | None) -> int:
    """As Python's at the end of a program; what it would write then is written."""
    if error is None or isinstance(error, pytest.skip.Exception):
        return 0
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        return (error.code or 0) & 0xFF
    # The test may have closed the stream, or put anything there.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if isinstance(error, SystemExit):
            print(error.code, file=sys.stderr)
        else:
            traceback.print_exception(error)
    return 1
