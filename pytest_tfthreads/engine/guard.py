"""The guard of an interpreter: it outlives the interpreter, and kills whatever that leaves.

What a test has started may stand still when the end comes, and then it cannot end by itself. The
interpreter and the measuring process cannot be relied on to kill it, because whoever kills pytest
may kill them too. So between pytest and each interpreter stands a process that has a session of
its own, heeds no signal, and becomes the parent of every process below it that loses its own.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from typing import NoReturn

from pytest_tfthreads.system import linux

# For an interpreter that was asked to end. It is shorter than pytest waits for the guard.
_GRACE_S = 3.0


def outlive(connection_fd: int, is_shared: bool, shares_terminal: bool) -> None:
    """Become the guard. Returns in a fork of this process, which is to be the interpreter.

    `connection_fd`: the interpreter's socket to pytest. When pytest has gone or hangs up, the guard
    asks the interpreter to end (SIGTERM), and kills it if it does not. If the socket `is_shared`,
    by which workers connect, the interpreter looks itself whether anybody needs it.

    `shares_terminal`: the interpreter stays in pytest's session and process group, because a
    debugger below it needs the terminal. The guard never does. Elsewhere nobody has a reason to
    stop the interpreter, and whoever waited for it would wait for ever: so the guard has it go on.
    """
    os.set_inheritable(connection_fd, False)  # or fresh measuring processes would hold it, too
    linux.adopt_orphans()
    linux.go_on_without_parent()  # or a guard that somebody has stopped would stay for ever
    guard_pid = os.getpid()
    # Only SIGKILL can end the guard from here on.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - {signal.SIGCHLD})
    interpreter = os.fork()
    if interpreter:
        if shares_terminal:
            os.setsid()
        if is_shared:  # workers must find it gone when the interpreter is
            os.close(connection_fd)
        connection = None if is_shared else socket.socket(fileno=connection_fd)
        _watch(interpreter, connection, may_stop=shares_terminal)
    # Not SIGKILL: if the guard is killed, the interpreter has to kill what it has started.
    linux.die_with_parent(guard_pid, signal.SIGTERM)
    if not shares_terminal:
        os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(interpreter: int, connection: socket.socket | None, may_stop: bool) -> NoReturn:
    wake_fd, _ = linux.wakeup_at(signal.SIGCHLD)
    poll = select.poll()
    poll.register(wake_fd, select.POLLIN)
    signs = {} if connection is None else _signs_of_the_end(connection)
    for fd, event in signs.items():
        poll.register(fd, event)
    kill_at_s: float | None = None
    while not _has_ended(interpreter, may_stop):
        left_s = None if kill_at_s is None else max(0.0, kill_at_s - time.monotonic())
        ready = {fd for fd, _ in poll.poll(None if left_s is None else left_s * 1000)}
        linux.drain(wake_fd)
        if ready & signs.keys():
            for fd in signs:
                poll.unregister(fd)
            signs = {}
            os.kill(interpreter, signal.SIGTERM)
            os.kill(interpreter, signal.SIGCONT)  # somebody may have stopped it
            kill_at_s = time.monotonic() + _GRACE_S
        elif left_s == 0:
            os.kill(interpreter, signal.SIGKILL)
            kill_at_s = None
    linux.kill_children()
    os._exit(0)


def _has_ended(interpreter: int, may_stop: bool) -> bool:
    pid, status = os.waitpid(interpreter, os.WNOHANG | (0 if may_stop else os.WUNTRACED))
    if pid and os.WIFSTOPPED(status):
        os.kill(interpreter, signal.SIGCONT)
        return False
    return bool(pid)


def _signs_of_the_end(connection: socket.socket) -> dict[int, int]:
    """Descriptors, with the events by which pytest is seen to have gone."""
    signs = {connection.fileno(): select.POLLRDHUP}
    # A process that pytest has forked may hold its end of the socket open.
    pytest_fd = linux.end_of_peer(connection)
    if pytest_fd is not None:
        signs[pytest_fd] = select.POLLIN
    return signs
