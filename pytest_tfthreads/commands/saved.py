"""Which saved runs a command is about: files that are named, or all of a storage."""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.output import tell
from pytest_tfthreads.core.saved_runs import BaselineError, NotOursError, StoredRun, read_run
from pytest_tfthreads.core.storage import Storage
from pytest_tfthreads.system.run_index import read_condensed

STORAGE = ".benchmarks"
_FILE_SCHEME = "file://"
_AT_ONCE = 30  # files of a directory that are read backwards
THEIR_TOLERANCE = "what the tests tolerated when their run was judged, else 5%"
_Summary = TypeVar("_Summary")
RUN_HELP = (
    "files of --benchmark-save or --benchmark-json, numbers of runs in --storage (0007, "
    "DIRECTORY/0007), or patterns ('000*')"
)


def add_runs(parser: argparse.ArgumentParser) -> None:
    """The arguments from which `read_runs` and `read_summaries` take their files."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help=f"{RUN_HELP} (default: all of --storage)",
    )
    add_directory(parser)


def add_storage(parser: argparse.ArgumentParser) -> None:
    """The storage alone, for a command that always reads all of it."""
    parser.set_defaults(runs=[])
    add_directory(parser)


def add_directory(parser: argparse.ArgumentParser) -> None:
    """The storage, in which the runs are that a command names."""
    parser.add_argument(
        "--storage",
        type=to_directory,
        default=Path(STORAGE),
        metavar="DIR",
        help=f"pytest-benchmark's storage (--benchmark-storage), by default {STORAGE}",
    )


def named_files(options: argparse.Namespace) -> list[Path]:
    """The files of the runs that are named, in their order; raises `BaselineError`.

    A file that is named more than once (by a pattern and a number, say) counts where it is named
    last: a run tells nothing about itself.
    """
    storage = Storage(options.storage)
    found = [path for text in options.runs for path in _measured_by_us(text, storage.find(text))]
    once: dict[str, Path] = {}
    for path in reversed(found):
        once.setdefault(os.path.realpath(path), path)
    return [*once.values()][::-1]


def _measured_by_us(text: str, paths: Sequence[Path]) -> Sequence[Path]:
    """Without the runs of suites without marked tests, where a pattern has found them."""
    if not any(character in text for character in "*?["):
        return paths
    read = zip(paths, read_condensed(paths), strict=True)
    return [path for path, one in read if not isinstance(one, NotOursError)] or paths


def read_runs(options: argparse.Namespace, most: int) -> tuple[list[StoredRun], StoredRun]:
    """The files that are named, in their order, or the latest of the storage, oldest first.

    The last is apart; those before it may lack their single rounds. Of a storage at most so many
    are read of each machine (a directory has numbers of its own), and those that are of no use are
    told on stderr. Raises `BaselineError`, and `CommandError` where there is none.
    """
    if options.runs:
        *before, last = map(read_run, named_files(options))
        return before, last
    directories = map(_backwards, _directories(options.storage))
    runs = [run for each in directories for run in [*itertools.islice(each, most)][::-1]]
    runs.sort(key=lambda run: run.moment)
    while runs:
        if (latest := whole(runs.pop())) is not None:
            return runs, latest
    raise _nothing(options.storage)


def read_backwards(storage: Path) -> Iterator[StoredRun]:
    """All runs of a storage, the latest first, which may lack their single rounds.

    Files are read only as far as runs are asked for: a directory's files have rising numbers, so
    the latest come last by name. Those that are of no use are told on stderr.

    Raises `CommandError` where there is none.
    """
    runs = heapq.merge(
        *map(_backwards, _directories(storage)[::-1]), key=lambda run: run.moment, reverse=True
    )
    latest = next(runs, None)
    if latest is None:
        raise _nothing(storage)
    return itertools.chain([latest], runs)


def whole(run: StoredRun) -> StoredRun | None:
    """The run with its single rounds; None where its file was changed or removed meanwhile."""
    try:
        return read_run(Path(run.label))
    except BaselineError as error:
        _left_out(error)
        return None


def _backwards(paths: Sequence[Path]) -> Iterator[StoredRun]:
    """The runs of a directory, those that are read at once by time."""
    for end in range(len(paths), 0, -_AT_ONCE):
        some = _of_use(paths[max(0, end - _AT_ONCE) : end])
        some.reverse()  # of the same moment, the one that comes last by name is the latest
        yield from sorted(some, key=lambda run: run.moment, reverse=True)


def _directories(storage: Path) -> list[list[Path]]:
    """The files of each directory, in the order of their names."""
    by_directory = itertools.groupby(_stored(storage), key=lambda path: path.parent)
    return [[*found] for _, found in by_directory]


def _of_use(paths: Sequence[Path]) -> list[StoredRun]:
    runs = []
    for one in read_condensed(paths):
        if isinstance(one, BaselineError):
            _left_out(one)
        else:
            runs.append(one)
    return runs


def read_summaries(
    options: argparse.Namespace,
    read: Callable[[Sequence[Path]], Sequence[_Summary | BaselineError]],
) -> list[_Summary]:
    """What `read` makes of all the runs, without their rounds, in no order.

    A file that is named must be of use; of a storage, those that are not are told on stderr.

    Raises as `read_runs` does.
    """
    found = read(named_files(options) or _stored(options.storage))
    runs = [one for one in found if not isinstance(one, BaselineError)]
    errors = [one for one in found if isinstance(one, BaselineError)]
    if options.runs and errors:
        raise errors[0]
    for error in errors:
        _left_out(error)
    if not runs:
        raise _nothing(options.storage)
    return runs


def _stored(storage: Path) -> Sequence[Path]:
    return Storage(storage).every_run()


def _left_out(error: BaselineError) -> None:
    if not isinstance(error, NotOursError):  # those of other suites are nothing to mend
        tell(f"left out: {error}")


def _nothing(storage: Path) -> CommandError:
    where = storage if storage.is_absolute() else current_directory() / storage
    return CommandError(
        f"there is no saved run in {where} with marked tests; make one with --benchmark-save, or "
        "name the directory of others with --storage"
    )


def to_directory(text: str) -> Path:
    """The type of an option that names a directory, which need not be there."""
    path = Path(text.removeprefix(_FILE_SCHEME))
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty; perhaps a variable is not set")
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # the name is too long, or this user may not look there
        raise argparse.ArgumentTypeError(f"{path} cannot be read: {error.strerror}") from error
    return path


def current_directory() -> Path:
    """Raises `CommandError` where somebody has removed it."""
    try:
        return Path.cwd()
    except OSError as error:
        raise CommandError(
            f"the current directory cannot be found: {error.strerror}; change into one that is "
            "there"
        ) from error
