"""Where workers of one run on one host meet the interpreter that they share.

That is a socket with a name that only this run knows, and no file: Linux forgets it with its last
holder, so however a run ends, nothing is left of it. Both sides look who is there: such a name may
be taken by any user of the machine.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import resource
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from pytest_tfthreads.system import linux
from pytest_tfthreads.system.originals import ORIGINALS

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
# Each connection by ssh has these, and a control group, of its own; that makes no difference.
_OF_A_LOGIN = {"SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "XDG_SESSION_ID"}
_LOGIN_SCOPE = re.compile(r"/session-[^/]*\.scope")
_BACKLOG = 256
_NAP_S = 0.02
_PATIENCE_S = 10
# ENOSYS is musl's answer, whatever the kernel has.
_NO_SUCH_THING = (errno.ENOENT, errno.ENOSYS)
_T = TypeVar("_T")


def address(run: str, environment: Mapping[str, str], *what: object) -> str | None:
    """The name that workers have in common whose interpreters would be the same.

    `what` describes the interpreter beside its `environment`, in JSON's types; what it inherits
    unseen counts too. None where some of that is hidden from this process: another worker's may
    be the same or not.
    """
    variables = {name: text for name, text in environment.items() if name not in _OF_A_LOGIN}
    try:
        inherited = _inherited()
    except OSError:
        return None
    known = json.dumps([run, variables, *what, inherited], sort_keys=True)
    return f"\0pytest-tfthreads-{hashlib.sha256(known.encode()).hexdigest()}"


def meet(name: str, start: Callable[[socket.socket], None]) -> socket.socket | None:
    """A connection to the interpreter behind this name; None if there cannot be one.

    A process that finds the name free takes it and starts the interpreter with it. Processes that
    come while the interpreter still imports wait in its line.
    """
    deadline_s = ORIGINALS.monotonic() + _PATIENCE_S
    while ORIGINALS.monotonic() < deadline_s:
        with socket.socket(socket.AF_UNIX) as listener:
            try:
                listener.bind(name)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    return None
            else:
                listener.listen(_BACKLOG)
                start(listener)
        ours = socket.socket(socket.AF_UNIX)
        try:
            ours.connect(name)
        except OSError:  # the name was taken a moment ago, or given up
            ours.close()
            ORIGINALS.sleep(_NAP_S)
            continue
        if is_own(ours):
            return ours
        ours.close()
        return None
    return None


def is_own(connection: socket.socket) -> bool:
    """Whether the other side is a process of this user."""
    _, user = linux.peer_of(connection)
    return user == os.getuid()


def _own_cgroup() -> str:
    return Path("/proc/self/cgroup").read_text(errors="replace")


def _inherited() -> list[object]:
    """What a process has from the one that starts it, beside directory and environment.

    Raises `OSError` where some of that is hidden.
    """
    status = Path("/proc/self/status").read_text(errors="replace")
    return [
        [os.getuid(), os.geteuid(), os.getgid(), sorted(os.getgroups())],
        [line for line in status.splitlines() if line.startswith(("Umask", "Cap", "Seccomp"))],
        sorted(os.sched_getaffinity(0)),
        [os.getpriority(os.PRIO_PROCESS, 0), _if_any(lambda: os.sched_getscheduler(0))],
        [
            resource.getrlimit(getattr(resource, name))
            for name in sorted(dir(resource))
            if name.startswith("RLIMIT_")
        ],
        _LOGIN_SCOPE.sub("/session.scope", _if_any(_own_cgroup) or ""),
        {name: _if_any(partial(os.readlink, f"/proc/self/ns/{name}")) for name in _NAMESPACES},
    ]


def _if_any(read: Callable[[], _T]) -> _T | None:
    """What this reads; None where the kernel or the C library has no such thing.

    Nobody differs in it then. Raises `OSError` where the thing is there, but hidden.
    """
    try:
        return read()
    except OSError as error:
        if error.errno in _NO_SUCH_THING:
            return None
        raise
