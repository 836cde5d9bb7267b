"""Where a test is run: here, at another revision of its code, or in another environment."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pytest

from pytest_tfthreads.process.environment import Environment
from pytest_tfthreads.process.preloaded import Home
from pytest_tfthreads.process.protocol import WorkOrder
from pytest_tfthreads.revision.checkout import Checkout
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.overlay import Overlay, laid_over_only
from pytest_tfthreads.revision.twins import (
    PACKAGE_DIRECTORIES,
    installed_code,
    redirected,
    shared_modules,
)

_OWN_NAME = __name__.partition(".")[0]
_OWN_DIRECTORY = str(Path(__file__).parents[2])


class Side(Protocol):
    """The code that a process runs, and the interpreter that it runs in."""

    @property
    def home(self) -> Home: ...

    @property
    def title(self) -> str:
        """For people."""

    def moved(self, order: WorkOrder) -> WorkOrder:
        """The order, which was written for the current tree, for this side."""

    def mistake(self, modules: Mapping[str, str]) -> str:
        """Why a process that imported these files ran code that it should not have, or nothing."""

    def sameness(self, modules: Mapping[str, str]) -> str:
        """Why all that it ran of the project is the current side's code too, or nothing."""


class Baseline(Side, Protocol):
    """What the current side is compared with."""

    @property
    def notes(self) -> Sequence[str]:
        """What the reader of the summary should know of it."""

    def close(self) -> None:
        """Leave nothing of it behind; its processes have gone."""


@dataclass(frozen=True)
class Here:
    """The current tree in this environment."""

    home: Home
    title: str = "the current tree"

    def moved(self, order: WorkOrder) -> WorkOrder:
        return order

    def mistake(self, modules: Mapping[str, str]) -> str:
        return ""

    def sameness(self, modules: Mapping[str, str]) -> str:
        return ""


class AtRevision:
    """A checkout of another revision, in this environment."""

    def __init__(
        self,
        checkout: Checkout,
        tests: Overlay,
        here: Home,
        config: pytest.Config,
        notes: Sequence[str] = (),
    ) -> None:
        self.title = checkout.title
        self.notes = (*notes, *checkout.notes)
        self._checkout = checkout
        self._tests = tests
        self._rootdir = config.rootpath
        self._config_file = config.inipath
        self._named = frozenset(config.getoption("file_or_dir") or ())
        self._top = re.compile(re.escape(str(checkout.top)) + r"(?=$|[/:,\s])")
        self.home = replace(
            here,
            cwd=self._twin(here.cwd),
            sys_path=self._path(here.sys_path),
            variables=tuple(self._variables()),
        )

    def moved(self, order: WorkOrder) -> WorkOrder:
        path, separator, own_part = order.target.partition("::")
        return replace(
            order,
            target=f"{self._twin(path)}{separator}{own_part}",
            args=tuple(self._arguments(order)),
            argv=tuple(map(self._moved, order.argv)),
            invocation_dir=self.home.cwd,
            sys_path=self._path(order.sys_path),
            roots=(str(self._checkout.top), str(self._checkout.root)),
            left_out=tuple(map(self._moved, order.left_out)),  # a conftest.py is named by its path
        )

    def mistake(self, modules: Mapping[str, str]) -> str:
        twins = self._checkout.twins
        others = {
            name: file for name, file in modules.items() if name.partition(".")[0] != _OWN_NAME
        }
        return shared_modules(others, twins) or installed_code(others, twins, self._rootdir) or ""

    def sameness(self, modules: Mapping[str, str]) -> str:
        return laid_over_only(modules, self._tests, self._checkout.twins) or ""

    def close(self) -> None:
        try:
            self._checkout.close()
        except RevisionError as error:  # the next run tries again; this one's results stand
            print(f"--tf-threads-duet: {error}", file=sys.stderr)

    def _path(self, sys_path: Sequence[str]) -> tuple[str, ...]:
        path = redirected(sys_path, self._checkout.twins)
        # This plugin measures, and both sides by one version of it, though it be its own code that
        # is under test.
        is_redirected = _OWN_DIRECTORY in sys_path and _OWN_DIRECTORY not in path
        return tuple(dict.fromkeys([*([_OWN_DIRECTORY] if is_redirected else []), *path]))

    def _arguments(self, order: WorkOrder) -> Iterator[str]:
        for text in order.args:
            # What is to be tested may be said from a directory that has no twin, or by a link.
            is_named = text in self._named
            yield self._place(text, order.invocation_dir) if is_named else self._moved(text)
        yield f"--rootdir={self._twin(str(self._rootdir))}"
        if self._config_file is not None:  # the other revision may have one that comes first
            yield from ("-c", self._twin(str(self._config_file)))

    def _place(self, text: str, directory: str) -> str:
        """The twin of a file or directory that an argument names, if it does."""
        path, separator, own_part = text.partition("::")
        full = os.path.join(directory, path)
        return f"{self._twin(full)}{separator}{own_part}" if os.path.exists(full) else text

    def _variables(self) -> Iterator[tuple[str, str]]:
        if python_path := os.environ.get("PYTHONPATH"):
            entries = redirected(python_path.split(os.pathsep), self._checkout.twins, modules={})
            yield "PYTHONPATH", os.pathsep.join(entries)
        if options := os.environ.get("PYTEST_ADDOPTS"):
            yield "PYTEST_ADDOPTS", self._moved(options)

    def _twin(self, path: str) -> str:
        twin = self._checkout.twin(Path(path))
        return path if twin is None else str(twin)

    def _moved(self, text: str) -> str:
        return self._top.sub(lambda _: str(self._checkout.root), text)


class InEnvironment:
    """The current tree in another environment."""

    def __init__(self, environment: Environment, here: Home) -> None:
        self.title = f"{environment.python} (Python {environment.version})"
        self.notes = ()
        self._environment = environment
        self.home = replace(here, python=environment.python, sys_path=self._path(here.sys_path))

    def moved(self, order: WorkOrder) -> WorkOrder:
        return replace(order, sys_path=self._path(order.sys_path))

    def mistake(self, modules: Mapping[str, str]) -> str:
        return ""

    def sameness(self, modules: Mapping[str, str]) -> str:
        return ""

    def close(self) -> None:
        """There is nothing of it to leave."""

    def _path(self, sys_path: Sequence[str]) -> tuple[str, ...]:
        """What the project adds to the path here, before all that the other one has."""
        added = [one for one in sys_path if one and not _is_installed(one)]
        return tuple(dict.fromkeys([*added, *self._environment.sys_path]))


def _is_installed(directory: str) -> bool:
    """Whether a directory is of this interpreter, its virtual environment, or anyone's packages."""
    owned = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    if sys.prefix != sys.base_prefix:  # else it may be /usr, where projects live, too
        owned.append(sys.prefix)
    real = Path(os.path.realpath(directory))
    # The user's own site-packages lie elsewhere, and hold this environment's TensorFlow perhaps.
    return not PACKAGE_DIRECTORIES.isdisjoint(real.parts) or any(
        real.is_relative_to(os.path.realpath(one)) for one in owned
    )
