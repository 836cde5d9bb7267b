"""Reads saved runs by the thousand: through the index, the others on all CPUs of this process."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.core.json_text import loads
from pytest_tfthreads.core.saved_runs import BaselineError, read_run
from pytest_tfthreads.history.entries import ENTRIES, Entry, entry_of
from pytest_tfthreads.history.kept import HISTORY
from pytest_tfthreads.history.series import Run, run_of
from pytest_tfthreads.platforms import can_measure
from pytest_tfthreads.system.machine import allowed_cpus
from pytest_tfthreads.system.run_index import read_indexed

_WORTH_PROCESSES_BYTES = 32 << 20
"""What is read before other processes, which start within some 0.2 s, are ready to help."""
_AT_ONCE = 16  # files handed to a process


def read_all(paths: Sequence[Path]) -> list[Run | BaselineError]:
    """Each run, or what is wrong with its file. Raises `CommandError` if a reader is killed."""
    return read_indexed(HISTORY, paths, _read_files)


def read_entries(paths: Sequence[Path]) -> list[Entry | BaselineError]:
    """The same as a list has it, which is read faster from the index."""

    def read(unknown: Sequence[Path]) -> list[Entry | BaselineError]:
        return [
            one if isinstance(one, BaselineError) else entry_of(one) for one in read_all(unknown)
        ]

    return read_indexed(ENTRIES, paths, read)


def _read_files(paths: Sequence[Path]) -> list[Run | BaselineError]:
    readers = min(len(allowed_cpus()), len(paths) // _AT_ONCE)
    if readers < 2 or not _is_much(paths) or not can_measure():
        return [_read(path) for path in paths]
    from pytest_tfthreads.system.linux import die_with_parent

    try:
        # A new interpreter: a fork is for processes with one thread, and who calls may have more.
        with ProcessPoolExecutor(
            readers, multiprocessing.get_context("spawn"), die_with_parent, (os.getpid(),)
        ) as pool:
            with _interrupts_held():
                found = pool.map(_read, paths, chunksize=_AT_ONCE)
            try:
                return list(found)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except (OSError, ImportError):  # no process, or no semaphore, may be had: it only takes longer
        return [_read(path) for path in paths]
    except BrokenProcessPool as error:
        raise CommandError(
            f"a process that read {len(paths)} saved runs was killed, perhaps for want of memory: "
            "give the machine more memory, or move old saved runs out of the storage"
        ) from error


def _read(path: Path) -> Run | BaselineError:
    try:
        return run_of(read_run(path, loads))
    except BaselineError as error:
        return error


def _is_much(paths: Sequence[Path]) -> bool:
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size
        except OSError:  # reading it will tell
            continue
        if total > _WORTH_PROCESSES_BYTES:
            return True
    return False


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal; those that are started here leave it to us."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
