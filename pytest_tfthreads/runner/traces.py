"""Traces of tests that were measured, each taken in a process of its own."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_tfthreads.core.op_profile import Trace, Traces
from pytest_tfthreads.pytest_bridge import collection
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.rings import Rings
from pytest_tfthreads.system.files import why_no_file_in
from pytest_tfthreads.system.locked_directory import PrivateDirectory, abandoned

_PARTIAL = ".tf-threads-"
_RUNS = Path("plugins", "profile")  # where TensorBoard looks for them
_EVENTS = "events.out.tfevents.*"  # beside such a file
_LONGEST_NAME = 100


def check_directory(directory: Path, option: str) -> None:
    """Raises `pytest.UsageError` where it is known that no trace can be stored there."""
    if why := why_no_file_in(directory, makes_directories=True):
        raise pytest.UsageError(
            f"{option}: no traces can be stored in {directory}: {why}; mend that, or name another "
            "directory"
        )


@dataclass(frozen=True)
class Taken:
    """Traces, and messages on those that were not written, which name the option."""

    traces: Traces
    unwritten: tuple[str, ...] = ()


class Profiles:
    """Takes traces, and stores them below a directory as TensorBoard finds them."""

    def __init__(self, rings: Rings, directory: Path, option: str) -> None:
        """`option` is what the user has named the directory by, for messages."""
        self._rings = rings
        self._directory = directory
        self._option = option

    def take(self, now: ItemRun, then: ItemRun | None) -> Taken:
        """Of a test that has not been run yet, and of its baseline's side where there is one.

        A trace that cannot be taken is a message, and no failure of any test.
        """
        traces: dict[str, Trace | None] = {"now": None, "baseline": None}
        problems: list[str] = []
        unwritten: dict[str, None] = {}
        for name, item_run in (("now", now), ("baseline", then)):
            if item_run is None:
                continue
            try:
                traces[name] = self._taken(item_run, "" if name == "now" else f"-{name}")
            except _NoTraceError as error:
                problems.append(f"no trace of {item_run.variant.title}: {error}")
                if isinstance(error, _NotStoredError):
                    mend = "mend that, or name another directory"
                    unwritten[f"{self._option}: {error}; {mend}"] = None
        told = Traces(str(self._directory), platform.node(), **traces, problems=tuple(problems))
        return Taken(told, tuple(unwritten))

    def _taken(self, item_run: ItemRun, suffix: str) -> Trace:
        with self._partial() as partial:
            self._rings.trace(item_run, partial)
            if item_run.problem:
                raise _NoTraceError(item_run.problem)
            traced = item_run.runs[-1].reply.trace
            if traced is None:
                raise _NoTraceError("the measuring process reported no trace")
            if traced.profile is None:
                kind = _NotStoredError if traced.is_unwritten else _NoTraceError
                raise kind(traced.problem)
            path = self._stored(partial, collection.nodeid_of(item_run.item), suffix)
        return Trace(item_run.variant.title, str(path), traced.profile)

    @contextlib.contextmanager
    def _partial(self) -> Iterator[Path]:
        """A directory for a trace that is not yet there as a whole."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            partial = PrivateDirectory.make(self._directory, _PARTIAL, must_be_locked=False)
        except OSError as error:
            raise _NotStoredError(
                f"{self._directory} cannot be written: {error.strerror or error}"
            ) from error
        try:
            yield partial.path
        finally:
            _remove(partial)

    def _remove_leftovers(self) -> None:
        """What killed runs have left of traces, and no living run's."""
        with contextlib.suppress(OSError):  # nobody may look there: that keeps no trace from it
            for leftover in abandoned(self._directory, _PARTIAL):
                _remove(leftover)

    def _stored(self, partial: Path, nodeid: str, suffix: str) -> Path:
        """Put the trace where it belongs; the answer is where that is, from the directory."""
        folder = Path(folder_of(nodeid))
        runs = folder / _RUNS
        try:
            (run,) = (partial / _RUNS).iterdir()
            (self._directory / runs).mkdir(parents=True, exist_ok=True)
            if not any((self._directory / folder).glob(_EVENTS)):
                for file in partial.glob(_EVENTS):
                    os.rename(file, self._directory / folder / file.name)
            # TensorFlow names it for the second. Two runs may find the same name free, but no
            # directory takes the place of one that is not empty.
            for number in range(1, 100):
                path = runs / f"{run.name}{f'-{number}' if number > 1 else ''}{suffix}"
                try:
                    os.rename(run, self._directory / path)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                else:
                    return path
        except OSError as error:
            raise _NotStoredError(
                f"a trace cannot be stored in {self._directory}: {error.strerror}"
            ) from error
        except ValueError as error:
            raise _NoTraceError(f"{partial} holds no trace, or more than one: {error}") from error
        raise _NoTraceError(f"{self._directory / runs} holds too many of the same second")


def _remove(partial: PrivateDirectory) -> None:
    """As far as that can be: the next run goes on with what is left."""
    shutil.rmtree(partial.path, ignore_errors=True)
    partial.release()


class _NoTraceError(Exception):
    """The message says why."""


class _NotStoredError(_NoTraceError):
    """The directory, or its disk, did not take it."""


def folder_of(nodeid: str) -> str:
    """A name for a directory that no other test has, and any shell or file system takes."""
    readable = re.sub(r"[^A-Za-z0-9._=]+", "-", nodeid).strip("-.")[-_LONGEST_NAME:].lstrip("-.")
    digest = hashlib.sha256(nodeid.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable}-{digest}"
