"""Hooks that plugins and conftest.py files can implement for marked tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_tfthreads.core.threads import ThreadsInForce


@pytest.hookspec
def pytest_tfthreads_configure(config: pytest.Config, tf_threads: ThreadsInForce) -> None:
    """Configure TensorFlow before its runtime starts: logical devices, collective ops, …

    Called once in each measuring process: its thread pools are set, conftest files are loaded, and
    no test module is imported yet. Afterwards the runtime is started and its threads are counted.

    `config` is that of the pytest session in the measuring process. `tf_threads` is what the
    fixture of that name gives, but 0 still stands for threads that are left to TensorFlow.

    What it raises fails the test; `pytest.skip` skips it.
    """


def pytest_tfthreads_send_state(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Any] | None:
    """What a plugin's session-wide state has gained by this test, as plain data (JSON).

    Called in each measuring process, after each test's teardown; tests that measure nothing may
    share a process. `config` and `item` are those of that process. Use a key of your own: every
    implementation of `pytest_tfthreads_receive_state` gets it. None: there is nothing to send.
    """


def pytest_tfthreads_receive_state(
    config: pytest.Config, item: pytest.Item, state: Mapping[str, Any]
) -> None:
    """Take over what `pytest_tfthreads_send_state` returned in a measuring process.

    Called before the test's reports, in the process that collected it (pytest, or a worker of
    pytest-xdist), once for each process that was measured and each state that was sent; with a
    test that is run again, for each attempt. `config` and `item` are those of this process.
    """
