"""The interpreter beside pytest that starts measuring processes, waits for them and cleans up.

Preloaded, it has TensorFlow imported but its runtime untouched, and forks; otherwise, or where
forking cannot be trusted, it starts a fresh interpreter for each order. It works for one pytest
process, or for all workers of a run on this host, and lives as long as one of them: when one of
them closes its connection or ends, even by SIGKILL, it kills what it has started for it, and after
the last one it goes too. Its parent, the guard (`engine/guard`), kills what it could not.
"""

from __future__ import annotations

import contextlib
import errno
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

from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.engine.order import SentOrder
from pytest_tfthreads.engine.preload import Preload
from pytest_tfthreads.engine.protocol import (
    MUTE_EXIT_CODE,
    Connection,
    ConnectionClosedError,
    MessageKind,
)
from pytest_tfthreads.measuring import distributions, entry
from pytest_tfthreads.measuring.listener import ListeningSocket
from pytest_tfthreads.measuring.preloading import Preloading
from pytest_tfthreads.names import ONLY_NAMED_PATHS
from pytest_tfthreads.system import linux
from pytest_tfthreads.system.leases.leases import Leases, LeaseTimeoutError
from pytest_tfthreads.system.originals import ORIGINALS

_ENDED_BY = frozenset({signal.SIGTERM})  # its guard's, too
# What pytest has sent to a measuring process.
_SIGNALS = {"stacks": linux.STACKS_SIGNAL, "interrupt": signal.SIGINT}
_FRESH = (
    f"{ONLY_NAMED_PATHS}"
    "import json; order_fd, parent, fds, sys.path[:] = json.loads(sys.argv[1]);"
    "from pytest_tfthreads.measuring.entry import main; main(order_fd, parent, fds)"
)


def main(
    fd: int, is_shared: bool, preload: bool, flags: Sequence[str], lease_timeout_s: float | None
) -> None:
    """`fd` is the socket to pytest, or, if it `is_shared`, one that workers connect to.

    `flags` are interpreter flags that a fresh process gets too.

    `lease_timeout_s`: how long to wait for those who measure before importing; None: not at all.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is pytest's to handle, for all of us
    linux.adopt_orphans()
    sock = socket.socket(fileno=fd)
    if is_shared:
        listener = ListeningSocket(sock)
        with listener.watched() as clients:
            told = _preload_in_time(preload, lease_timeout_s)
        server = Server(clients, flags, told, listener)
    else:
        told = _preload_in_time(preload, lease_timeout_s)
        server = Server([Connection(sock)], flags, told)
    if "no_lease" in told:
        server.turn_away()
    else:
        server.serve()


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
            told |= {"no_lease": str(error)}
    return told


def _preload() -> dict[str, Any]:
    try:
        from pytest_tfthreads.measuring import runtime  # imports TensorFlow
    except Exception as error:  # importing TensorFlow can raise anything; told to the user
        return {"forkable": False, "broken": traceback.format_exc(), "reason": repr(error)}
    _preload_pytest()
    gc.collect()
    gc.freeze()  # forks share these objects, and neither they nor the collector touch them
    threads = linux.thread_count()
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
    _import_what_sessions_need()
    from pytest_tfthreads.benchmark_bridge import preparing

    preparing.preload()
    distributions.read()
    sys.stdout.flush()  # or every fork would write it once more
    sys.stderr.flush()


def _import_what_sessions_need() -> None:
    """What each measuring session would import, so that no fork has to.

    `tests/plugin/test_start.py` says what is missing here of this plugin.
    """
    import pdb  # noqa: F401

    from pytest_tfthreads.core.gate import budget, failing, verdict  # noqa: F401
    from pytest_tfthreads.measuring import forks, session, shared_session  # noqa: F401
    from pytest_tfthreads.pytest_bridge import unittest_methods  # noqa: F401


@contextlib.contextmanager
def _without_variables(*names: str) -> Iterator[None]:
    removed = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(removed)


@dataclass(frozen=True)
class _Served:
    """A measuring process, and for whom it measures."""

    client: Connection
    is_interactive: bool


class Server:
    """Serves orders until nobody is there any more.

    `told` is what clients are told of its readiness; by the `listener`, if there is one, more come.
    """

    def __init__(
        self,
        clients: Sequence[Connection],
        flags: Sequence[str],
        told: Mapping[str, Any],
        listener: ListeningSocket | None = None,
    ) -> None:
        self._clients: list[Connection] = []
        self._coming = list(clients)
        self._flags = list(flags)
        self._told = told
        self._listener = listener
        self._measuring: dict[int, _Served] = {}
        self._ends: dict[Connection, int] = {}  # descriptors that tell when a client has ended
        self._selector = selectors.DefaultSelector()
        self._wake_fds: tuple[int, ...] = ()
        self._preloading = Preloading()

    def turn_away(self) -> None:
        """Tell those who have come that this interpreter is not ready, and never will be.

        It ends then: who comes later, or comes again, starts another one.
        """
        if self._listener is not None:
            self._listener.shut()
        self._welcome()

    def serve(self) -> None:
        self._wake_fds = wake_fd, _ = linux.wakeup_at(signal.SIGCHLD, *_ENDED_BY)
        try:
            self._selector.register(wake_fd, selectors.EVENT_READ)
            if self._listener is not None:
                self._selector.register(self._listener, selectors.EVENT_READ)
            while self._welcome():
                ready = {key.fd for key, _ in self._selector.select()}
                if wake_fd in ready:
                    if not _ENDED_BY.isdisjoint(linux.drain(wake_fd)):
                        return
                    self._reap()
                for client in list(self._clients):
                    if client.fileno() in ready:
                        self._receive(client)
                    elif self._ends.get(client) in ready:
                        self._leave(client)
        finally:
            for pid in self._measuring:
                self._kill(pid)
            linux.kill_children()

    def _welcome(self) -> bool:
        """Let in who has come; whether anybody is there."""
        if self._listener is not None:
            self._coming += self._listener.admit()
        for client in self._coming:
            self._clients.append(client)
            self._selector.register(client, selectors.EVENT_READ)
            # A process that the client has forked may hold its end of the connection open.
            end = linux.end_of_peer(client.sock)
            if end is not None:
                self._ends[client] = end
                self._selector.register(end, selectors.EVENT_READ)
            # With what it writes: who shares it may have to explain why it is of no use.
            self._tell(client, "ready", self._told, [] if self._listener is None else [1])
        self._coming.clear()
        return bool(self._clients)

    def _receive(self, client: Connection) -> None:
        try:
            for body, fds in client.poll_all():
                self._handle(client, body, fds)
        except ConnectionClosedError:
            self._leave(client)

    def _leave(self, client: Connection) -> None:
        """Kill what a client that has gone has running here."""
        self._selector.unregister(client)
        self._clients.remove(client)
        client.close()
        end = self._ends.pop(client, None)
        if end is not None:
            self._selector.unregister(end)
            os.close(end)
        for pid, process in self._measuring.items():
            if process.client is client:
                self._kill(pid)

    def _tell(
        self,
        client: Connection,
        kind: MessageKind,
        body: Mapping[str, Any],
        fds: Sequence[int] = (),
    ) -> None:
        if client not in self._clients:  # it has gone, and left a process that was killed
            return
        with contextlib.suppress(ConnectionClosedError):  # the next reading will tell
            client.send(kind, body, fds)

    def _handle(self, client: Connection, body: dict[str, Any], fds: Sequence[int]) -> None:
        kind = body.pop("kind")
        if kind == "run":
            sent = SentOrder.from_json(body)
            try:
                pid = self._fork(sent, fds) if sent.start == "fork" else self._spawn(sent, fds)
            except OSError as error:  # its client is told, and the processes of others go on
                self._tell(client, "unstarted", {"why": _why_unstarted(error)})
            else:
                self._measuring[pid] = _Served(client, sent.order.call.interactive)
                self._tell(client, "started", {"pid": pid})
            for fd in fds:
                os.close(fd)
        elif kind == "preload":
            wish = decode(Preload, body["wish"])
            preloaded = self._preloading.carry_out(wish, body["sys_path"])
            self._tell(client, "preloaded", {"preloaded": encode(preloaded)})
        elif body["pid"] in self._measuring:  # it may have ended meanwhile
            if kind in _SIGNALS:
                with contextlib.suppress(PermissionError):  # it has become another user's
                    os.kill(body["pid"], _SIGNALS[kind])
            elif kind == "kill":
                self._kill(body["pid"])
            elif kind == "continue":
                self._continue(body["pid"], body.get("cpus"))

    def _fork(self, sent: SentOrder, fds: Sequence[int]) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            linux.die_with_parent(parent)
            # Where asyncio is imported, Python 3.12 and later have reset it already.
            signal.set_wakeup_fd(-1)
            for fd in self._wake_fds:
                os.close(fd)
            for number in (signal.SIGCHLD, *_ENDED_BY):
                signal.signal(number, signal.SIG_DFL)
            # Open in a fork, they would look alive to the others when we are dead.
            for client in self._clients:
                client.close()
            if self._listener is not None:
                self._listener.close()
            self._selector.close()
            # A debugger must stay in the terminal's foreground group.
            if not sent.order.call.interactive:
                os.setsid()
            entry.run(sent, fds)
        finally:
            # Whatever happens, a fork must not go on as the interpreter.
            os._exit(MUTE_EXIT_CODE)

    def _spawn(self, sent: SentOrder, fds: Sequence[int]) -> int:
        call = sent.order.call
        with tempfile.TemporaryFile("w+") as file:
            json.dump(sent.to_json(), file)
            file.flush()
            passed = [file.fileno(), *fds]
            for fd in passed:
                os.set_inheritable(fd, True)
            argument = json.dumps([passed[0], os.getpid(), passed[1:], list(call.sys_path)])
            return os.posix_spawn(
                sys.executable,
                [sys.executable, *self._flags, "-c", _FRESH, argument],
                os.environ,
                setsid=not call.interactive,
                setsigdef=[signal.SIGINT, signal.SIGCHLD, *_ENDED_BY],
            )

    def _continue(self, pid: int, cpus: Sequence[int] | None) -> None:
        """Have it go on, on these CPUs; where that cannot be, its client is told and decides."""
        try:
            if cpus is not None:
                linux.pin(cpus, pid)
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(pid) == pid:
                    os.killpg(pid, signal.SIGCONT)
                else:
                    os.kill(pid, signal.SIGCONT)
        except linux.UnmovableError as error:
            self._tell(self._measuring[pid].client, "stuck", {"pid": pid, "why": str(error)})
        except PermissionError:
            why = "it has become another user's, and cannot be sent SIGCONT"
            self._tell(self._measuring[pid].client, "stuck", {"pid": pid, "why": why})

    def _reap(self) -> None:
        while (change := _change_of_a_child()) is not None:
            pid = change.si_pid
            process = self._measuring.get(pid)
            if process is not None and change.si_code != os.CLD_STOPPED:
                # Before it is waited for: no other group can have its number until then.
                _signal_group(pid, signal.SIGKILL)
            waited_for, status, usage = os.wait4(pid, os.WNOHANG | os.WUNTRACED)
            if not waited_for:  # it stood still, and has gone on meanwhile, or is about to end
                continue
            if process is None:  # a daemon that a test has left
                continue
            if os.WIFSTOPPED(status):
                if not process.is_interactive:  # its children too
                    _signal_group(pid, signal.SIGSTOP)
                since = {"at_s": ORIGINALS.monotonic()}
                self._tell(process.client, "stopped", {"pid": pid, **since})
                continue
            del self._measuring[pid]
            if not self._measuring:  # else a daemon may be another one's
                linux.kill_children()
            ended = {
                "pid": pid,
                "code": os.waitstatus_to_exitcode(status),
                "max_rss_bytes": usage.ru_maxrss * 1024,
            }
            self._tell(process.client, "ended", ended)

    def _kill(self, pid: int) -> None:
        """Kill a measuring process and its group; what else it leaves is killed after its end."""
        _signal_group(pid, signal.SIGKILL)
        # A new fork may not lead its group yet, and one that shares the terminal never does.
        with contextlib.suppress(PermissionError):  # it has become another user's
            os.kill(pid, signal.SIGKILL)


def _why_unstarted(error: OSError) -> str:
    why = error.strerror or str(error)
    if error.errno != errno.EAGAIN:
        return why
    return f"{why}: as many processes run as may (`ulimit -u`, or pids.max of a container)"


def _change_of_a_child() -> os.waitid_result | None:
    """That a child has stopped or ended; it is still to be waited for."""
    options = os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_ALL, 0, options)
    except ChildProcessError:
        return None


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
