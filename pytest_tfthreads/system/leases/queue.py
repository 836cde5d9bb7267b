"""A line of processes that want CPUs of one machine, kept by kernel locks on an empty file.

A process that wants CPUs takes a ticket. The first in the line waits for what it wants, takes it
and leaves the line. So no process is overtaken and none starves, however others come and go. There
is no deadlock, because only the first takes, and a process that has something waits for nothing.
Those that only share pass the line together.

Bytes of the file stand for things, whether it has them or not, and a lock says who has what:

    0 … 65,535    CPUs, by the kernel's numbers: shared by all that compute, or one process's own
    65,536 …      the line: a ticket is the nanosecond at which it was taken, by the monotonic clock
    2⁶² …         the same tickets, each locked for as long as its owner waits or has CPUs

What two may not have at once rests on the first alone. (Processes in time namespaces of their own
read another monotonic clock: their order is then not that of their coming.)

The locks are POSIX record locks. They belong to a process, and end with it. A copy of the process
that a test forks has none of them: it holds nothing when the process was killed, and frees nothing
when it ends. flock's and OFD locks belong to the open file and its copy, and a fork keeps them. The
price is that a process that closes any descriptor of the file frees all its locks: at most one
`Ticket` at a time, and nobody else opens the file.
"""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.system.originals import ORIGINALS

_CPUS = 1 << 16
_LINE = _CPUS
_OWNERS = 1 << 62
TICKETS = _OWNERS - _LINE  # no number is larger

_TAKEN = (errno.EAGAIN, errno.EACCES)


class NoLocksError(Exception):
    """Locks cannot be had here: the file system has none, or lets nobody write."""


@dataclass(frozen=True)
class Want:
    """CPUs that a process wants: the whole machine, or `count` of those that are `offered`."""

    is_shared: bool = False  # with all others that share
    count: int | None = None
    offered: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Raises `ValueError` for what can never be granted."""
        if self.count is not None and not 0 < self.count <= len(set(self.offered)):
            raise ValueError(f"{self.count} CPUs of {self.offered} cannot be had")
        if any(not 0 <= cpu < _CPUS for cpu in self.offered):
            raise ValueError(f"{self.offered} are not numbers of CPUs")


class Ticket:
    """One process's place in the line, then its CPUs; closing it gives up either.

    Everything but `close` raises `NoLocksError`.
    """

    def __init__(self, file: Path, want: Want) -> None:
        self.number: int | None = None  # None: not in the line yet
        self.cpus: tuple[int, ...] = ()  # granted, if it wants some and not the whole machine
        self._file = file
        self._want = want
        self._is_first = False
        try:
            self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            # Else it would look unused to those who clean up after some days.
            os.utime(self._fd)
        except OSError as error:
            raise NoLocksError(f"{file} cannot be opened: {error.strerror}") from error

    def advance(self) -> bool:
        """Go as far as can be gone without waiting; whether it has its CPUs now."""
        if self.number is None:
            self.number = self._line_up()
        if self.number is None:
            return False
        up_to_itself = self.number + 1
        self._is_first = self._is_first or self._lock(_LINE, up_to_itself)
        if not self._is_first or not self._take():
            return False
        self._unlock(_LINE, up_to_itself)
        return True

    def lives(self, number: int) -> bool:
        """Whether the owner of another ticket still waits or has CPUs."""
        owner = _OWNERS + number
        if not self._lock(owner, 1, shared=True):
            return True
        self._unlock(owner, 1)
        return False

    def close(self) -> None:
        os.close(self._fd)

    def _line_up(self) -> int | None:
        number = ORIGINALS.monotonic_ns()
        if not self._lock(_OWNERS + number, 1, shared=False):
            return None
        if self._lock(_LINE + number, 1):
            return number
        # Someone who read the clock later was quicker, and is first already.
        self._unlock(_OWNERS + number, 1)
        return None

    def _take(self) -> bool:
        if self._want.count is None:
            return self._lock(0, _CPUS)
        taken: list[int] = []
        for cpu in dict.fromkeys(self._want.offered):
            if self._lock(cpu, 1):
                taken.append(cpu)
            if len(taken) == self._want.count:
                self.cpus = tuple(taken)
                return True
        self._unlock(0, _CPUS)
        return False

    def _lock(self, start: int, length: int, shared: bool | None = None) -> bool:
        shared = self._want.is_shared if shared is None else shared
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.lockf(self._fd, kind | fcntl.LOCK_NB, length, start)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise NoLocksError(f"{self._file} cannot be locked: {error.strerror}") from error
        return True

    def _unlock(self, start: int, length: int) -> None:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, length, start)
        except OSError as error:
            raise NoLocksError(f"{self._file} cannot be unlocked: {error.strerror}") from error
