"""Workers in another interpreter, as with `--tx popen//python=…`: they find modules where it does.

pytest-xdist gives all workers on this machine the controller's module path, other interpreters too:
one of another version cannot even start with it, and another environment's packages would never be
used (https://github.com/pytest-dev/pytest-xdist/issues/1049).
"""

from __future__ import annotations

import sys
from typing import Any

_PATH = "_sys_path"  # of xdist.workermanage: the path that its local workers get


class ModulePaths:
    """The module path of each interpreter that workers run in."""

    def __init__(self) -> None:
        self._of_gateway: dict[str, list[str]] = {}
        self._controllers: list[str] | None = None

    def learn(self, gateway: Any) -> None:
        """Ask one that has just started, before anything is added to its path."""
        if not (gateway.spec.popen and gateway.spec.python):
            return
        # Imported where another Python is named: suites without marked tests get no module more.
        from pytest_tfthreads.engine.environment import WHO, is_own

        channel = gateway.remote_exec(f"import sys; channel.send(({WHO}, list(sys.path)))")
        who, path = channel.receive()
        channel.waitclose()
        if not is_own(who):
            # `python -c`, as which it was started, looks in its directory; `pytest` does not.
            self._of_gateway[gateway.id] = [one for one in path if one or "" in sys.path]

    def prepare(self, gateway: Any) -> None:
        """Have pytest-xdist, which is about to do so, give this worker the right one."""
        from xdist import workermanage

        if self._controllers is None:
            self._controllers = getattr(workermanage, _PATH, None)
        if self._controllers is not None:
            path = self._of_gateway.get(gateway.id, self._controllers)
            setattr(workermanage, _PATH, path)
