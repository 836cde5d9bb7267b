"""pytest's clean-ups, called so that a process without memory comes to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

_ATTRIBUTE = "_cleanup_stack"
"""Where pytest keeps them. Before 8.4 it has a plain list there, of another name."""


class CleanUps(contextlib.ExitStack):
    """Calls what is registered, the latest first, and raises the last error.

    Python's own stack follows the contexts of each error to their end. For a lack of memory Python
    raises some errors again and again, so one may be, by way of others, its own context: then the
    end is never reached.
    """

    def __init__(self, earlier: contextlib.ExitStack) -> None:
        super().__init__()
        self._calls: list[Callable[[], object]] = [earlier.close]

    def callback(self, callback: Any, /, *args: Any, **kwds: Any) -> Any:
        self._calls.append(lambda: callback(*args, **kwds))
        return callback

    def close(self) -> None:
        if not self._calls:
            super().close()
            return
        call = self._calls.pop()
        try:
            call()
        finally:
            self.close()


def take_over(manager: pytest.PytestPluginManager) -> None:
    """Have pytest register its clean-ups with ours. To be called before there are any."""
    config = manager.get_plugin("pytestconfig")
    if isinstance(earlier := getattr(config, _ATTRIBUTE, None), contextlib.ExitStack):
        setattr(config, _ATTRIBUTE, CleanUps(earlier))
