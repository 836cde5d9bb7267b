"""The `benchmark` fixture of a test: whether it is one, and what the test does with it."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest


def is_fixture(value: object) -> bool:
    """Whether this is what pytest-benchmark's `benchmark` gives to a test."""
    module = sys.modules.get("pytest_benchmark.fixture")  # absent where it is switched off
    return module is not None and isinstance(value, module.BenchmarkFixture)


def was_called(fixture: object) -> bool:
    """Whether the test has measured something with this `benchmark`, or tried to."""
    return getattr(fixture, "_mode", None) is not None


def is_pedantic(fixture: object) -> bool:
    """Whether this `benchmark` runs in pedantic mode, with the user's own rounds."""
    return getattr(fixture, "_mode", None) == "benchmark.pedantic(...)"


def surround(fixture: Any, before: Callable[[], None], after: Callable[[], None]) -> None:
    """Call `before` and `after` around all rounds of this `benchmark` together.

    pytest-benchmark calls the function once more, untimed, to have its result: after `after`. Of a
    pedantic benchmark it does so only if a round has several calls.
    """
    make_runner = fixture._make_runner

    def surrounded(run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def around(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            is_over = False

            def end() -> None:
                nonlocal is_over
                if not is_over:
                    is_over = True
                    after()

            def untimed(*its_args: Any, **its_kwargs: Any) -> Any:
                end()
                return function(*its_args, **its_kwargs)

            # What is timed is the function itself, without a call more.
            fixture._make_runner = lambda _, *arguments: make_runner(function, *arguments)
            before()
            try:
                return run(untimed, *args, **kwargs)
            finally:
                end()

        return around

    fixture._raw = surrounded(fixture._raw)
    fixture._raw_pedantic = surrounded(fixture._raw_pedantic)


@contextlib.contextmanager
def unmeasured(config: pytest.Config) -> Iterator[None]:
    """Meanwhile `benchmark` calls what it is given once, as with --benchmark-disable."""
    session: Any = getattr(config, "_benchmarksession", None)
    if session is None:
        yield
        return
    before, session.disabled = session.disabled, True
    try:
        yield
    finally:
        session.disabled = before
