"""Private temporary directories that are known to be abandoned once their process has gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_tfthreads.system.private import ACCESSIBLE, why_not_private

_ATTEMPTS = 10


class PrivateDirectory:
    """A directory that only this user can enter, locked for as long as this process lives.

    The lock is flock's, on the directory itself. The kernel releases it when the process ends,
    however it ends; systemd-tmpfiles leaves alone what is locked in this way; and other than
    lockf's it holds among the threads of a process, and is not lost when any descriptor closes.
    But it belongs to every copy of the descriptor. Programs do not inherit it (but for those that
    write into the directory and are told to), and forks of Python's give their copy up: a stray
    child would keep the directory from being cleaned up, or clean it up in the parent's place.
    """

    def __init__(self, path: Path, fd: int | None) -> None:
        self.path = path
        self._fd = fd
        if fd is not None:
            _held.add(self)

    @classmethod
    def make(cls, parent: Path, prefix: str, must_be_locked: bool = True) -> PrivateDirectory:
        """One in `parent` whose name begins so.

        Raises `OSError` where there is no room, or where it cannot be locked. If it need not be,
        it is made there all the same, and stays if this process is killed.
        """
        for _ in range(_ATTEMPTS):
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).resolve()
            try:
                # Who cleans up may take it for abandoned as long as it is not locked.
                place = _locked(path, wait=True)
            except OSError:
                if not must_be_locked:
                    return cls(path, None)
                with contextlib.suppress(OSError):  # why it cannot be locked is worth more
                    path.rmdir()
                raise
            if place:
                return place
        raise OSError(f"every directory that is made in {parent} vanishes at once")

    @property
    def fd(self) -> int:
        """For programs that write here: it counts as alive until they have ended, too."""
        if self._fd is None:
            raise ValueError(f"{self.path} has been released")
        return self._fd

    @property
    def is_held(self) -> bool:
        """By this process, and not only by the one that it was forked from."""
        return self._fd is not None

    def release(self) -> None:
        """Give up the lock. What is still there is an abandoned directory."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            _held.discard(self)


def abandoned(parent: Path, prefix: str) -> Iterator[PrivateDirectory]:
    """Such directories of this user whose processes have gone, each locked by us now.

    Raises `OSError` where nobody can look.
    """
    place_of_all = parent.resolve()
    with os.scandir(place_of_all) as entries:
        names = [one.name for one in entries if one.name.startswith(prefix) and _is_private(one)]
    for name in names:
        place = None
        # Whoever cannot be looked at stays, for a later run to judge.
        with contextlib.suppress(OSError):
            place = _locked(place_of_all / name, wait=False)
        if place:
            yield place


def _is_private(entry: os.DirEntry[str]) -> bool:
    """Whether it is a directory, not a link to one, that nobody else can have put something in."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:  # gone meanwhile
        return False
    return not why_not_private(found, ACCESSIBLE)


def _locked(path: Path, wait: bool) -> PrivateDirectory | None:
    """None if somebody holds it, or has removed it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there = os.path.samestat(os.fstat(fd), os.lstat(path))
    except (BlockingIOError, FileNotFoundError):
        is_there = False
    except BaseException:
        os.close(fd)
        raise
    if not is_there:
        os.close(fd)
        return None
    return PrivateDirectory(path, fd)


def _give_up_copies() -> None:
    for place in still_held():
        place.release()


def still_held(prefix: str = "") -> tuple[PrivateDirectory, ...]:
    """Those of this process that nobody has released."""
    return tuple(place for place in _held if place.path.name.startswith(prefix))


_held: set[PrivateDirectory] = set()
os.register_at_fork(after_in_child=_give_up_copies)
