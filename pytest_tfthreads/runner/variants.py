"""Where a test is run: here, at another revision of its code, or in another environment."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pytest

from pytest_tfthreads.benchmark_bridge.cprofile_dump import WITHOUT_DUMP
from pytest_tfthreads.core.format import printable_lines
from pytest_tfthreads.engine.environment import Environment
from pytest_tfthreads.engine.interpreter import Home
from pytest_tfthreads.engine.order import ItemToRun, PytestCall
from pytest_tfthreads.pytest_bridge.command_line import with_options
from pytest_tfthreads.revision.checkout import Checkout
from pytest_tfthreads.revision.counterparts import redirected
from pytest_tfthreads.revision.data_files import missing_file
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.imports import Origins
from pytest_tfthreads.revision.installs import PACKAGE_DIRECTORIES, all_installs
from pytest_tfthreads.revision.overlay import Overlay, laid_over_only

DUET_OPTION = "--tf-threads-duet"
_OWN_PYTHON = ".".join(map(str, sys.version_info[:3]))
_OWN_NAME = __name__.partition(".")[0]
_OWN_DIRECTORY = str(Path(__file__).parents[2])


class Variant(Protocol):
    """The code that a process runs, and the interpreter that it runs in."""

    @property
    def home(self) -> Home: ...

    @property
    def title(self) -> str:
        """For people."""

    @property
    def python_version(self) -> str:
        """Of the interpreter, such as 3.12.4."""

    def call(self, here: PytestCall) -> PytestCall:
        """How pytest is called on this side; `here` is how it is called in the current tree."""

    def item(self, here: ItemToRun) -> ItemToRun:
        """The item on this side; `here` is the same item in the current tree."""

    def mistake(self, there: Mapping[str, str], here: Mapping[str, str]) -> str:
        """Why a process ran code that it should not have, or nothing.

        `there` are the files of the modules that it imported, `here` those of the current side.
        """

    def wrong_path(self, problem: str, here: Mapping[str, str]) -> str:
        """Why a test that failed there by this problem would run there, or nothing."""

    def missing_file(self, problem: str) -> str:
        """What is said beside the problem of a file that only the current tree has, or nothing."""

    def sameness(self, there: Mapping[str, str]) -> str:
        """Why it ran code of the current side, though nothing is wrong; or nothing."""


class OpenVariant(Variant, Protocol):
    """A variant that is ours to close, such as what the current side is compared with."""

    @property
    def roots(self) -> tuple[str, ...]:
        """Directories of the current tree: processes list what they import from them."""

    @property
    def notes(self) -> Sequence[str]:
        """What the reader of the summary should know of it."""

    def close(self) -> None:
        """Leave nothing of it behind; its processes have gone."""


class _OfCurrentTree:
    """Runs the current tree's code, wherever: no module can come from the wrong tree."""

    def item(self, here: ItemToRun) -> ItemToRun:
        return here

    def mistake(self, there: Mapping[str, str], here: Mapping[str, str]) -> str:
        return ""

    def wrong_path(self, problem: str, here: Mapping[str, str]) -> str:
        return ""

    def missing_file(self, problem: str) -> str:
        return ""

    def sameness(self, there: Mapping[str, str]) -> str:
        return ""


@dataclass(frozen=True)
class CurrentTree(_OfCurrentTree):
    """The current tree in this environment.

    `roots`: directories; a process lists the modules that it imports from them.
    """

    home: Home
    title: str = "the current tree"
    roots: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    python_version: str = _OWN_PYTHON

    def call(self, here: PytestCall) -> PytestCall:
        return replace(here, roots=self.roots)

    def close(self) -> None:
        """It stays."""


class AtRevision:
    """A checkout of another revision, in this environment or in another one."""

    def __init__(
        self,
        checkout: Checkout,
        tests: Overlay,
        here: Home,
        config: pytest.Config,
        notes: Sequence[str] = (),
        environment: Environment | None = None,
    ) -> None:
        self.title = checkout.title
        if environment is not None:
            self.title += f" in {environment.python} (Python {environment.version})"
        self.python_version = _OWN_PYTHON if environment is None else environment.version
        self._environment = environment
        self.notes = (*notes, *checkout.notes)
        self._checkout = checkout
        self._tests = tests
        self._rootdir = config.rootpath
        self._installs = all_installs()
        self._origins = Origins(checkout.counterparts, config.rootpath, tests, self._installs)
        self._config_file = config.inipath
        self._named = frozenset(config.getoption("file_or_dir") or ())
        self.home = replace(
            here,
            python=here.python if environment is None else environment.python,
            cwd=self._counterpart(here.cwd),
            sys_path=self._path(here.sys_path),
            variables=tuple(self._variables()),
        )

    def call(self, here: PytestCall) -> PytestCall:
        return replace(
            here,
            args=with_options(list(self._arguments(here)), self._options()),
            argv=tuple(map(self._moved, here.argv)),
            invocation_dir=self.home.cwd,
            sys_path=self._path(here.sys_path),
            options={**here.options, **WITHOUT_DUMP},
            roots=(str(self._checkout.top), str(self._checkout.root)),
        )

    def item(self, here: ItemToRun) -> ItemToRun:
        return replace(
            here,
            path=self._counterpart(here.path),
            left_out=tuple(map(self._moved, here.left_out)),  # a conftest.py is named by its path
        )

    def mistake(self, there: Mapping[str, str], here: Mapping[str, str]) -> str:
        return self._origins.mistake(_without_us(there), _without_us(here))

    def wrong_path(self, problem: str, here: Mapping[str, str]) -> str:
        return self._origins.wrong_path(problem, _without_us(here))

    def missing_file(self, problem: str) -> str:
        return missing_file(problem, self._checkout.counterparts)

    def sameness(self, there: Mapping[str, str]) -> str:
        return (
            self._origins.newness(_without_us(there))
            or laid_over_only(there, self._tests, self._checkout.counterparts)
            or ""
        )

    @property
    def roots(self) -> tuple[str, ...]:
        return (str(self._checkout.top),)

    def close(self) -> None:
        try:
            self._checkout.close()
        except RevisionError as error:  # the next run tries again; this one's results stand
            print(printable_lines(f"{DUET_OPTION}: {error}"), file=sys.stderr)

    def _path(self, sys_path: Sequence[str]) -> tuple[str, ...]:
        path = redirected(sys_path, self._checkout.counterparts, self._installs)
        # This plugin measures, and both sides by one version of it, though it be its own code that
        # is under test.
        is_redirected = _OWN_DIRECTORY in sys_path and _OWN_DIRECTORY not in path
        whole = [*([_OWN_DIRECTORY] if is_redirected else []), *path]
        if self._environment is not None:
            whole = [*_added(whole), *self._environment.sys_path]
        return tuple(dict.fromkeys(whole))

    def _arguments(self, here: PytestCall) -> Iterator[str]:
        for text in here.args:
            # What is to be tested may be said from a directory without counterpart, or by a link.
            is_named = text in self._named
            yield self._place(text, here.invocation_dir) if is_named else self._moved(text)

    def _options(self) -> Iterator[str]:
        """Those of this side alone."""
        yield f"--rootdir={self._counterpart(str(self._rootdir))}"
        if self._config_file is not None:  # the other revision may have one that comes first
            yield from ("-c", self._counterpart(str(self._config_file)))

    def _place(self, text: str, directory: str) -> str:
        """The counterpart of a file or directory that an argument names, if it does."""
        path, separator, own_part = text.partition("::")
        full = os.path.join(directory, path)
        return f"{self._counterpart(full)}{separator}{own_part}" if os.path.exists(full) else text

    def _variables(self) -> Iterator[tuple[str, str]]:
        if python_path := os.environ.get("PYTHONPATH"):
            entries = redirected(python_path.split(os.pathsep), self._checkout.counterparts)
            yield "PYTHONPATH", os.pathsep.join(entries)
        if options := os.environ.get("PYTEST_ADDOPTS"):
            yield "PYTEST_ADDOPTS", self._moved(options)

    def _counterpart(self, path: str) -> str:
        counterpart = self._checkout.counterpart(Path(path))
        return path if counterpart is None else str(counterpart)

    def _moved(self, text: str) -> str:
        return self._checkout.counterparts.in_text(text)


class InEnvironment(_OfCurrentTree):
    """The current tree in another environment."""

    def __init__(self, environment: Environment, here: Home) -> None:
        self.title = f"{environment.python} (Python {environment.version})"
        self.roots: tuple[str, ...] = ()
        self.python_version = environment.version
        self._environment = environment
        self.home = replace(here, python=environment.python, sys_path=self._path(here.sys_path))
        self.notes = tuple(self._shadowed(here.sys_path))

    def call(self, here: PytestCall) -> PytestCall:
        return replace(
            here,
            sys_path=self._path(here.sys_path),
            options={**here.options, **WITHOUT_DUMP},
        )

    def close(self) -> None:
        """There is nothing of it to leave."""

    def _path(self, sys_path: Sequence[str]) -> tuple[str, ...]:
        """What the project adds to the path here, before all that the other one has."""
        return tuple(dict.fromkeys([*_added(sys_path), *self._environment.sys_path]))

    def _shadowed(self, sys_path: Sequence[str]) -> Iterator[str]:
        """Packages that are installed there and run from the project on both sides."""
        there = {
            name
            for one in self._environment.sys_path
            if Path(one).name in PACKAGE_DIRECTORIES
            for name in _packages_in(one)
        }
        for directory in _added(sys_path):
            # Installed tests are not compared.
            for name in sorted((_packages_in(directory) & there) - {_OWN_NAME, "tests"}):
                yield (
                    f"{name} is installed in {self._environment.python} too, but both sides run "
                    f"that of {directory}, which comes first. To compare the two, install it here "
                    "without -e, and keep that directory out of the module path"
                )


def _without_us(modules: Mapping[str, str]) -> Mapping[str, str]:
    """Without this plugin, which measures both sides in one version even where it is tested."""
    return {name: file for name, file in modules.items() if name.partition(".")[0] != _OWN_NAME}


def _added(sys_path: Sequence[str]) -> list[str]:
    """Directories of the path that the project adds, and no environment."""
    return [one for one in sys_path if one and not _is_installed(one)]


def _packages_in(directory: str) -> set[str]:
    """Top-level packages of a directory of the path; none where it cannot be listed."""
    try:
        names = os.listdir(directory)
    except OSError:
        return set()
    return {one for one in names if os.path.isfile(os.path.join(directory, one, "__init__.py"))}


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
