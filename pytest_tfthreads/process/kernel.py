"""What Linux offers beyond Python's `os`. Other platforms cannot import this module."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

# A real-time signal that no common library uses; asks a process for the stacks of its threads.
STACKS_SIGNAL = signal.SIGRTMIN + 7

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TASKS = "/proc/self/task"


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies, even of SIGKILL."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the call
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that they can be found."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def thread_count() -> int:
    """Threads of this process as the kernel sees them, native ones too."""
    return len(os.listdir(_TASKS))


def thread_names() -> Counter[str]:
    """How many threads of this process bear each name.

    The main thread, and others that Python's `threading` knows of, are left out.
    """
    names: Counter[str] = Counter()
    # The main thread's id is the process's, and in a fork Python may not know that yet.
    of_python = {str(os.getpid()), *(str(thread.native_id) for thread in threading.enumerate())}
    for task in set(os.listdir(_TASKS)) - of_python:
        # A thread may end between the listing and the reading.
        with contextlib.suppress(OSError), open(f"{_TASKS}/{task}/comm") as comm:
            names[comm.read().strip()] += 1
    return names


@contextlib.contextmanager
def main_thread_named(name: str) -> Iterator[None]:
    """Give the main thread a name of ours for a while: threads that it starts inherit it."""
    with open("/proc/self/comm") as comm:
        before = comm.read().strip()
    _rename_main_thread(name)
    try:
        yield
    finally:
        _rename_main_thread(before)


def pin(cpus: Sequence[int], pid: int | None = None) -> None:
    """Pin every thread of a process, and of its children, to these CPUs; new threads inherit it.

    Without a `pid` it is this process. Threads that a running process starts meanwhile may escape:
    stop it first.
    """
    tasks = f"/proc/{pid or 'self'}/task"
    with contextlib.suppress(FileNotFoundError):  # it has ended
        for task in os.listdir(tasks):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task), cpus)
            for child in _children(f"{tasks}/{task}/children"):
                pin(cpus, child)


def descendants(pid: int) -> list[int]:
    """Ids of the processes that a process has started, and of those that they have."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        # A process may end between the listing and the reading.
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:
                # After the command's name, which may hold anything: the state, then the parent.
                parent = int(stat.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found = list(children.get(pid, ()))
    for child in found:
        found += children.get(child, ())
    return found


def stop() -> None:
    """Stop this process with all its threads. Returns when somebody has sent SIGCONT."""
    # Sent to the process it would go to the main thread, and another one would run on for a while.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def _children(file: str) -> list[int]:
    # Absent where the kernel was built without it.
    with contextlib.suppress(OSError), open(file) as children:
        return [int(child) for child in children.read().split()]
    return []


def _rename_main_thread(name: str) -> None:
    with open("/proc/self/comm", "w") as comm:
        comm.write(name)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"prctl({option})")
