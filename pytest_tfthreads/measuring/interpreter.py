"""The interpreter beside pytest that starts measuring processes, waits for them and cleans up.

Preloaded, it has TensorFlow imported but its runtime untouched, and forks; otherwise, or where
forking cannot be trusted, it starts a fresh interpreter for each order. It works for one pytest
process, or for all workers of a run on this host, and lives as long as one of them: when a
connection closes, even by SIGKILL, it kills what it has started for it, and after the last one it
goes too.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_tfthreads.measuring import worker
from pytest_tfthreads.measuring.door import Door
from pytest_tfthreads.process import kernel
from pytest_tfthreads.process.leases import Leases, LeaseTimeoutError
from pytest_tfthreads.process.protocol import (
    MUTE_EXIT_CODE,
    Connection,
    ConnectionClosedError,
    WorkOrder,
)

_FRESH = (
    "import json, sys; order_fd, parent, fds, sys.path[:] = json.loads(sys.argv[1]);"
    "from pytest_tfthreads.measuring.worker import main; main(order_fd, parent, fds)"
)


def main(
    fd: int, preload: bool, flags: Sequence[str], lease_timeout_s: float | None, is_shared: bool
) -> None:
    """`fd` is the socket to pytest, or, if it `is_shared`, one that workers connect to.

    `flags` are interpreter flags that a fresh process gets too.

    `lease_timeout_s`: how long to wait for those who measure before importing; None: not at all.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is pytest's to handle, for all of us
    kernel.adopt_orphans()
    sock = socket.socket(fileno=fd)
    if is_shared:
        door = Door(sock)
        with door.watched() as clients:
            told = _preload_in_time(preload, lease_timeout_s)
        Interpreter(clients, flags, told, door).serve()
    else:
        Interpreter([Connection(sock)], flags, _preload_in_time(preload, lease_timeout_s)).serve()


def _preload_in_time(preload: bool, lease_timeout_s: float | None) -> dict[str, Any]:
    """Preload while nobody measures, if at all; what is to be told of it."""
    told: dict[str, Any] = {"forkable": False, "reason": ""}
    if preload and lease_timeout_s is None:
        return _preload()
    if preload:
        try:
            with Leases(timeout_s=lease_timeout_s).shared("importing TensorFlow"):
                return _preload()
        except LeaseTimeoutError as error:
            told |= {"broken": str(error)}
    return told


def _preload() -> dict[str, Any]:
    try:
        from pytest_tfthreads.measuring import runtime  # imports TensorFlow
    except Exception as error:  # importing TensorFlow can raise anything; told to the user
        return {"forkable": False, "broken": traceback.format_exc(), "reason": repr(error)}
    _preload_pytest()
    gc.collect()
    gc.freeze()  # forks share these objects, and neither they nor the collector touch them
    threads = kernel.thread_count()
    reason = ""
    if threads > 1:
        reason = f"{threads} threads run after importing TensorFlow and pytest's plugins"
    return {
        "forkable": not reason,
        "reason": reason,
        "build": runtime.build(),
    }


def _preload_pytest() -> None:
    """Import pytest and its installed plugins, through pytest, which rewrites their assertions.

    Nothing of the user's: no conftest, no configuration file, no plugins named in variables. And
    nothing is configured: the session ends before that.
    """
    import pytest

    class EndAtOnce:
        @pytest.hookimpl(tryfirst=True)
        def pytest_cmdline_main(self) -> int:
            return 0

    with _without_variables("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        arguments = ["--noconftest", "-c", os.devnull, "--rootdir", os.sep]
        pytest.main(arguments, plugins=[EndAtOnce()])
    from pytest_tfthreads.measuring import session  # noqa: F401 - so that no fork has to

    sys.stdout.flush()  # or every fork would write it once more
    sys.stderr.flush()


@contextlib.contextmanager
def _without_variables(*names: str) -> Iterator[None]:
    removed = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(removed)


@dataclass(frozen=True)
class _Process:
    """A measuring process, and for whom it measures."""

    order: WorkOrder
    client: Connection


class Interpreter:
    """Serves orders until nobody is there any more.

    `told` is what clients are told of its readiness; by the `door`, if there is one, more come.
    """

    def __init__(
        self,
        clients: Sequence[Connection],
        flags: Sequence[str],
        told: Mapping[str, Any],
        door: Door | None = None,
    ) -> None:
        self._clients: list[Connection] = []
        self._coming = list(clients)
        self._flags = list(flags)
        self._told = told
        self._door = door
        self._measuring: dict[int, _Process] = {}

    def serve(self) -> None:
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(wake_read, selectors.EVENT_READ)
                if self._door is not None:
                    selector.register(self._door, selectors.EVENT_READ)
                while self._welcome(selector):
                    ready = {key.fd for key, _ in selector.select()}
                    if wake_read in ready:
                        with contextlib.suppress(BlockingIOError):
                            os.read(wake_read, 4096)
                        self._reap()
                    for client in list(self._clients):
                        if client.fileno() in ready:
                            self._receive(client, selector)
        finally:
            while self._measuring:
                pid = next(iter(self._measuring))
                self._kill(pid)
                del self._measuring[pid]
                self._sweep(pid)  # of the last one, daemons too

    def _welcome(self, selector: selectors.BaseSelector) -> bool:
        """Let in who has come; whether anybody is there."""
        if self._door is not None:
            self._coming += self._door.admit()
        for client in self._coming:
            self._clients.append(client)
            selector.register(client, selectors.EVENT_READ)
            # With what it writes: who shares it may have to explain why it is of no use.
            self._tell(client, "ready", self._told, [] if self._door is None else [1])
        self._coming.clear()
        return bool(self._clients)

    def _receive(self, client: Connection, selector: selectors.BaseSelector) -> None:
        try:
            for body, fds in client.poll_all():
                self._handle(client, body, fds)
        except ConnectionClosedError:
            selector.unregister(client)
            self._clients.remove(client)
            client.close()
            for pid, process in self._measuring.items():
                if process.client is client:
                    self._kill(pid)

    def _tell(
        self, client: Connection, kind: str, body: Mapping[str, Any], fds: Sequence[int] = ()
    ) -> None:
        if client not in self._clients:  # it has gone, and left a process that was killed
            return
        with contextlib.suppress(ConnectionClosedError):  # the next reading will tell
            client.send(kind, body, fds)

    def _handle(self, client: Connection, body: dict[str, Any], fds: Sequence[int]) -> None:
        kind = body.pop("kind")
        if kind == "run":
            order = WorkOrder.from_json(body)
            pid = self._fork(order, fds) if order.start == "fork" else self._spawn(order, fds)
            self._measuring[pid] = _Process(order, client)
            for fd in fds:
                os.close(fd)
            self._tell(client, "started", {"pid": pid})
        elif body["pid"] in self._measuring:  # it may have ended meanwhile
            if kind == "stacks":
                os.kill(body["pid"], kernel.STACKS_SIGNAL)
            elif kind == "kill":
                self._kill(body["pid"])
            elif kind == "continue":
                self._continue(body["pid"], body.get("cpus"))

    def _fork(self, order: WorkOrder, fds: Sequence[int]) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            kernel.die_with_parent(parent)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # Open in a fork, they would look alive to the others when we are dead.
            for one in self._clients:
                one.close()
            if self._door is not None:
                self._door.close()
            if not order.interactive:  # a debugger must stay in the terminal's foreground group
                os.setsid()
            worker.run(order, fds)
        finally:
            # Whatever happens, a fork must not go on as the interpreter.
            os._exit(MUTE_EXIT_CODE)

    def _spawn(self, order: WorkOrder, fds: Sequence[int]) -> int:
        with tempfile.TemporaryFile("w+") as file:
            json.dump(order.to_json(), file)
            file.flush()
            passed = [file.fileno(), *fds]
            for fd in passed:
                os.set_inheritable(fd, True)
            argument = json.dumps([passed[0], os.getpid(), passed[1:], list(order.sys_path)])
            return os.posix_spawn(
                sys.executable,
                [sys.executable, *self._flags, "-c", _FRESH, argument],
                os.environ,
                setsid=not order.interactive,
                setsigdef=[signal.SIGINT, signal.SIGCHLD],
            )

    def _continue(self, pid: int, cpus: Sequence[int] | None) -> None:
        if cpus is not None:
            kernel.pin(cpus, pid)
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGCONT)
            else:
                os.kill(pid, signal.SIGCONT)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._measuring and os.WIFSTOPPED(status):
                if not self._measuring[pid].order.interactive:  # its children too
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGSTOP)
                self._tell(self._measuring[pid].client, "stopped", {"pid": pid})
            elif pid in self._measuring:
                client = self._measuring.pop(pid).client
                self._sweep(pid)
                self._tell(
                    client,
                    "ended",
                    {
                        "pid": pid,
                        "code": os.waitstatus_to_exitcode(status),
                        "max_rss_bytes": usage.ru_maxrss * 1024,
                    },
                )

    def _kill(self, pid: int) -> None:
        if self._measuring[pid].order.interactive:
            for child in kernel.descendants(pid):
                _kill_process(child)
            os.kill(pid, signal.SIGKILL)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)  # a new fork may not lead its group yet
        self._sweep(pid)

    def _sweep(self, pid: int) -> None:
        """Kill what an ended process leaves: its group, and daemons, which are our children now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if self._measuring.keys() - {pid}:
            return  # another one is running, and a daemon may be its own
        for child in kernel.descendants(os.getpid()):
            _kill_process(child)


def _kill_process(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
