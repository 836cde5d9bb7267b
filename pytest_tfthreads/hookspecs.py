"""Hooks that conftest files and plugins can implement."""

from __future__ import annotations

import pytest

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
