"""Makes this process look as on another platform: FOREIGN_PLATFORM names it, by `sys.platform`.

To be imported before what is to be tried. What pytest and pytest-benchmark use is imported first,
for theirs are not the modules that are on trial.
"""

import concurrent.futures.process  # noqa: F401
import contextlib
import importlib.abc
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest  # noqa: F401
import pytest_benchmark.plugin  # noqa: F401

with contextlib.suppress(ImportError):
    import orjson  # noqa: F401  # early releases crash where `os` has lost names

MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NAMES = {
    os: """O_CLOEXEC O_DIRECTORY O_NOFOLLOW fork geteuid getgid getgroups getpriority getuid killpg
        memfd_create openpty posix_spawn register_at_fork sched_getaffinity sched_getscheduler
        sched_setaffinity setsid wait4 waitid""",
    signal: "SIGCONT SIGKILL SIGRTMIN SIGSTOP SIGUSR1 SIGUSR2 pthread_kill pthread_sigmask",
    socket: "AF_UNIX SO_PEERCRED send_fds recv_fds",
}


class _Hider(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


for _name in MODULES:
    sys.modules.pop(_name, None)
sys.meta_path.insert(0, _Hider())
for _module, _names in NAMES.items():
    for _name in _names.split():
        if hasattr(_module, _name):
            delattr(_module, _name)
sys.platform = os.environ["FOREIGN_PLATFORM"]
# What the standard library asks of Windows itself.
subprocess.CREATE_NO_WINDOW = 0
if hasattr(shutil, "_win_path_needs_curdir"):
    shutil._win_path_needs_curdir = lambda cmd, mode: True
