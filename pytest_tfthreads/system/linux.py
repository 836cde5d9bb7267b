"""What Linux offers beyond Python's `os`. Other platforms cannot import this module."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import socket
import struct
from collections import Counter
from collections.abc import Iterator, Sequence

from pytest_tfthreads.core.format import ranges
from pytest_tfthreads.system.originals import ORIGINALS

# A real-time signal that no common library uses; asks a process for the stacks of its threads.
STACKS_SIGNAL = signal.SIGRTMIN + 7

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TASKS = "/proc/self/task"
_CREDENTIALS = struct.Struct("3i")  # struct ucred: process, user, group
_PATIENCE_S = 5.0  # for processes that were killed to be gone
_NAP_S = 0.001
_WHY_UNMOVABLE = {
    errno.EINVAL: (
        "none of them may be used any more: since the run began, its cgroup, its container or its "
        "affinity mask was given other CPUs"
    ),
    errno.EPERM: (
        "the process is another user's, as it is when a test gives up its rights, and moving it "
        "takes CAP_SYS_NICE"
    ),
}


class UnmovableError(Exception):
    """A process cannot run on the CPUs that it is given; the message says why."""


def die_with_parent(parent_pid: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent dies, even of SIGKILL."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent_pid:  # it died before the call
        os._exit(1)


def go_on_without_parent() -> None:
    """Have the kernel make this process go on when its parent dies, should it stand still then."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that they can be found."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_children() -> None:
    """Kill and reap all children of this process, and all descendants that it adopts by that.

    It signals no process but its own children, whose ids cannot become another process's before
    they are reaped. What cannot be killed, a child that became another user's say, is given up
    after some seconds.
    """
    deadline_s = ORIGINALS.monotonic() + _PATIENCE_S
    while ORIGINALS.monotonic() < deadline_s:
        for child in children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # there are none
            return
        ORIGINALS.sleep(_NAP_S)


def children(pid: int | None = None) -> list[int]:
    """The children of a process, by default this one; none where they cannot be listed."""
    pid = pid or ORIGINALS.getpid()
    tasks = f"/proc/{pid}/task"
    found: list[int] = []
    try:
        for task in ORIGINALS.listdir(tasks):
            with ORIGINALS.open(f"{tasks}/{task}/children") as file:
                found += map(int, file.read().split())
    except OSError:  # it or a thread has ended, or the kernel was built without these files
        return [process for process, parent in _all_processes() if parent == pid]
    return found


def wakeup_at(*numbers: int) -> tuple[int, int]:
    """Both ends of a pipe that becomes readable when one of these signals comes.

    `drain` empties the end to read from, which is the first.

    The signals have no other effect on this process, and none at all on programs that it starts.
    """
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    return wake_read, wake_write


def drain(fd: int) -> bytes:
    """What can be read from it at once: of `wakeup_at`, the numbers of the signals that came."""
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """The process that opened the other side of a Unix socket, and its user."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _ = _CREDENTIALS.unpack(told)
    return pid, user


def end_of_peer(connection: socket.socket) -> int | None:
    """A descriptor that becomes readable when the process ends; None where that is impossible."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(peer_of(connection)[0])
    except OSError:  # another process namespace, or an old kernel
        return None


def thread_count() -> int:
    """Threads of this process as the kernel sees them, native ones too."""
    return len(ORIGINALS.listdir(_TASKS))


def thread_names() -> Counter[str]:
    """How many threads of this process bear each name.

    The main thread, and others that Python's `threading` knows of, are left out.
    """
    names: Counter[str] = Counter()
    # The main thread's id is the process's, and in a fork Python may not know that yet.
    own = str(ORIGINALS.getpid())
    of_python = {own, *(str(thread.native_id) for thread in ORIGINALS.threads())}
    for task in sorted(set(ORIGINALS.listdir(_TASKS)) - of_python, key=int):
        # A thread may end between the listing and the reading.
        with (
            contextlib.suppress(OSError),
            ORIGINALS.open(f"{_TASKS}/{task}/comm", errors="replace") as comm,
        ):
            names[comm.read().strip()] += 1
    return names


@contextlib.contextmanager
def main_thread_named(name: str) -> Iterator[None]:
    """Give the main thread a name of ours for a while: threads that it starts inherit it."""
    with ORIGINALS.open("/proc/self/comm", errors="surrogateescape") as comm:
        before = comm.read().strip()
    _rename_main_thread(name)
    try:
        yield
    finally:
        _rename_main_thread(before)


def parent_of(pid: int) -> int | None:
    """The process that a process is a child of; None where there is no such process any more."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()  # what stands before may be any text
    except OSError:
        return None
    return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else None


def pin(cpus: Sequence[int], pid: int | None = None) -> None:
    """Pin every thread of a process, and of its children, to these CPUs; new threads inherit it.

    Without a `pid` it is this process. Threads that a running process starts meanwhile may escape:
    stop it first. A child that may not be moved, as one of another user, stays where it is. Raises
    `UnmovableError` where the process itself may not.
    """
    try:
        _pin_threads(cpus, pid)
    except OSError as error:
        why = _WHY_UNMOVABLE.get(error.errno or 0, error.strerror)
        raise UnmovableError(f"CPUs {ranges(cpus)}: {why}") from error
    _pin_children(cpus, pid)


def _pin_threads(cpus: Sequence[int], pid: int | None) -> None:
    with contextlib.suppress(FileNotFoundError):  # it has ended
        for task in ORIGINALS.listdir(f"/proc/{pid or 'self'}/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task), cpus)


def _pin_children(cpus: Sequence[int], pid: int | None) -> None:
    for child in children(pid):
        with contextlib.suppress(OSError):
            _pin_threads(cpus, child)
        _pin_children(cpus, child)


def stop() -> None:
    """Stop this process with all its threads. Returns when somebody has sent SIGCONT."""
    # Sent to the process it would go to the main thread, and another one would run on for a while.
    ORIGINALS.pthread_kill(ORIGINALS.get_ident(), signal.SIGSTOP)


def _all_processes() -> Iterator[tuple[int, int]]:
    """All processes of the machine that can be seen, each with its parent."""
    for name in ORIGINALS.listdir("/proc"):
        # One may end between the listing and the reading.
        with contextlib.suppress(OSError):
            if name.isdigit():
                with ORIGINALS.open(f"/proc/{name}/stat", "rb") as file:
                    # The name in parentheses may hold anything, parentheses too.
                    yield int(name), int(file.read().rpartition(b")")[2].split()[1])


def _rename_main_thread(name: str) -> None:
    with ORIGINALS.open("/proc/self/comm", "w", errors="surrogateescape") as comm:
        comm.write(name)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"prctl({option})")
