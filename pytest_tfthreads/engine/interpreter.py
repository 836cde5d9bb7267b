"""The pytest side of one interpreter process, and what it tells of the processes it started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.engine import failure, rendezvous
from pytest_tfthreads.engine.failure import Failure
from pytest_tfthreads.engine.order import SentOrder
from pytest_tfthreads.engine.preload import Preload, Preloaded
from pytest_tfthreads.engine.protocol import (
    Connection,
    ConnectionClosedError,
    GarbledMessageError,
    MessageKind,
)
from pytest_tfthreads.names import ONLY_NAMED_PATHS
from pytest_tfthreads.system.originals import ORIGINALS

_BOOT = (
    f"{ONLY_NAMED_PATHS}"
    "import json; fd, is_shared, terminal, *told, sys.path[:] = json.loads(sys.argv[1]);"
    "from pytest_tfthreads.engine import guard; guard.outlive(fd, is_shared, terminal);"
    "from pytest_tfthreads.measuring.server import main; main(fd, is_shared, *told)"
)
PRELOAD_TIMEOUT_S = 300
_GRACE_S = 10
_MOMENT_S = 1.0
_SHORTEST_NAP_S = 0.0005
_LONGEST_NAP_S = 0.05

# The environment's own value wins, but for the GPUs: this tool measures CPUs.
_DEFAULT_ENV = {
    # NumPy's BLAS starts its threads when it is imported, and a process with threads cannot be
    # forked safely.
    "OPENBLAS_NUM_THREADS": "1",
    # Else every interpreter has an order of sets of its own, worth about 1 % of speed.
    "PYTHONHASHSEED": "0",
}
_FORCED_ENV = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}
# With them coverage.py, and pytest-cov before 7.0, trace a Python process from its start.
COVERAGE_VARIABLES = (
    *("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"),
    *("COV_CORE_SOURCE", "COV_CORE_CONFIG", "COV_CORE_DATAFILE", "COV_CORE_BRANCH"),
)
_NOT_INHERITED = (
    *("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"),
    *COVERAGE_VARIABLES,
)

Env = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Home:
    """Where an interpreter runs: which Python, in which directory, with which path for modules.

    `variables` are set in its environment, over those of this process. `deal`: homes that differ in
    it alone have interpreters of their own, which differ only by chance (in their address layout).
    """

    python: str
    cwd: str
    sys_path: tuple[str, ...]
    variables: Env = ()
    deal: int = 0

    @classmethod
    def here(cls, cwd: str) -> Home:
        """As this process."""
        return cls(sys.executable, cwd, module_path())


def module_path() -> tuple[str, ...]:
    """`sys.path` of this process without what is no text (a `Path`, say): Python ignores that."""
    return tuple(one for one in sys.path if isinstance(one, str))


class Listener(Protocol):
    """The caller that started a process, and hears what becomes of it."""

    def started(self, pid: int) -> None: ...

    def unstarted(self, why: str) -> None:
        """It could not be started, and never will be."""

    def stopped(self, at_s: float) -> None:
        """All its threads stand still, until it is told to go on.

        `at_s`: since when, by the monotonic clock, which this process may have slept through.
        """

    def stuck(self, why: str) -> None:
        """It was told to go on, and cannot: it stands still for good."""

    def ended(self, code: int, max_rss_bytes: int) -> None:
        """It was waited for; nothing of it is left."""


class Interpreter:
    """One interpreter process: it starts measuring processes and looks after them."""

    def __init__(
        self,
        home: Home,
        env: Env,
        preload: bool,
        lease_timeout_s: float | None,
        run: str = "",
        shares_terminal: bool = False,
        takes_projects: bool = True,
    ) -> None:
        """`lease_timeout_s`: how long its imports wait for those who measure; None: not at all.

        `run` names a distributed run: all its processes on this host share one interpreter, if
        theirs would be the same. `shares_terminal`: it stays in the session and process group of
        this process, for a debugger. `takes_projects`: it may be told to import a project's
        modules.
        """
        self.preloaded: Preloaded | None = None  # of the project, once it was told to
        self.takes_projects = takes_projects
        self._is_importing = False
        self.forkable = False
        self.reason = ""
        self.broken = ""
        self.no_lease = ""  # why it has imported nothing and ended: others had the CPUs
        self.build: Mapping[str, Any] = {}  # of TensorFlow: version, oneDNN
        self.is_dead = False
        self._last_words = ""
        self._ready = False
        self._timeout_s = PRELOAD_TIMEOUT_S + (lease_timeout_s or 0)
        self._starting: deque[Listener] = deque()
        self._listeners: dict[int, Listener] = {}
        self._log = unlinked_file()
        self._process: subprocess.Popen[bytes] | None = None
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        environment = _environment((*home.variables, *env))

        def start(end: socket.socket, is_shared: bool = True) -> None:
            how = (preload, flags, lease_timeout_s)
            told = (end.fileno(), is_shared, shares_terminal, *how, home.sys_path)
            self._process = subprocess.Popen(
                [home.python, *flags, "-c", _BOOT, json.dumps(told)],
                env=environment,
                cwd=home.cwd,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[end.fileno()],
                start_new_session=not shares_terminal,
            )

        ours = None
        if run:
            where = (home.python, home.cwd, home.sys_path, home.deal)
            what = (*where, flags, preload, takes_projects)
            name = rendezvous.address(run, environment, *what)
            ours = None if name is None else rendezvous.meet(name, start)
        self._is_shared = ours is not None
        if ours is None:
            ours, theirs = socket.socketpair()
            with theirs:
                start(theirs, is_shared=False)
        self.connection = Connection(ours)

    @property
    def is_busy(self) -> bool:
        """Whether processes that it started are still there."""
        return bool(self._starting or self._listeners)

    @property
    def has_gone(self) -> bool:
        """Whether it has died unseen, as one may that others use too."""
        return self.is_dead or (not self.is_busy and self.connection.has_closed())

    def wait_until_ready(self) -> None:
        """Raises `ConnectionClosedError` if it died, `TimeoutError` if it never comes up."""
        if self._ready:
            return
        # By its moments, not by a clock: one in which this process was stopped counts once.
        left_s = self._timeout_s
        try:
            while (message := self._read_for_a_moment()) is None:
                left_s -= _MOMENT_S
                if left_s <= 0:
                    raise TimeoutError
                self._have_guard_go_on()
        finally:
            self.connection.sock.settimeout(None)
        body, log = message
        for fd in log:  # of one that another worker has started
            self._log.close()
            self._log = os.fdopen(fd, "rb", buffering=0)
        self.forkable = body["forkable"]
        self.reason = body["reason"]
        self.broken = body.get("broken", "")
        self.no_lease = body.get("no_lease", "")
        self.build = body.get("build", {})
        self._ready = True

    def _read_for_a_moment(self) -> tuple[dict[str, Any], list[int]] | None:
        self.connection.sock.settimeout(_MOMENT_S)
        try:
            return self.connection.poll()
        except TimeoutError:
            return None

    def _have_guard_go_on(self) -> None:
        """Somebody may have stopped it, even before it had an interpreter to guard."""
        if self._process is not None:
            with contextlib.suppress(PermissionError):  # this process is another user's by now
                self._process.send_signal(signal.SIGCONT)

    def preload(self, wish: Preload, sys_path: Sequence[str]) -> Preloaded:
        """Have it import modules of the project; later, have it look at itself again.

        Raises `ConnectionClosedError` if it dies of that, or never answers.
        """
        self._is_importing = True
        self.connection.send("preload", {"wish": encode(wish), "sys_path": list(sys_path)})
        self.read_until(lambda: not self._is_importing, PRELOAD_TIMEOUT_S)
        assert self.preloaded is not None
        return self.preloaded

    # -- its processes ------------------------------------------------------------------

    def start(self, sent: SentOrder, fds: Sequence[int], listener: Listener) -> None:
        """Have it start a process for the order."""
        self.connection.send("run", sent.to_json(), fds)
        self._starting.append(listener)  # not where it could not be sent: nothing will be started

    def tell(self, kind: MessageKind, pid: int, **body: Any) -> None:
        """Have it do something to one of its processes.

        `kind`: "kill", "continue", "stacks" or "interrupt".
        """
        if not self.is_dead:
            self.connection.send(kind, {"pid": pid, **body})

    def read(self) -> None:
        """Wait for news of its processes and pass them on.

        Raises `ConnectionClosedError` also where Ctrl-C has broken off an earlier reading, and what
        follows makes no sense.
        """
        try:
            for body, _ in self.connection.poll_all():
                self._pass_on(body)
        except GarbledMessageError as error:
            raise ConnectionClosedError from error

    def read_until(self, done: Callable[[], bool], seconds: float) -> None:
        """Wait for such news; `ConnectionClosedError` if it does not come, for it never will."""
        deadline_s = ORIGINALS.monotonic() + seconds
        try:
            while not done():
                left_s = deadline_s - ORIGINALS.monotonic()
                self.connection.sock.settimeout(max(0.001, left_s))
                try:
                    self.read()
                except TimeoutError as error:
                    # Where this process was stopped meanwhile, there may be news all the same.
                    if left_s <= 0:
                        raise ConnectionClosedError from error
        finally:
            self.connection.sock.settimeout(None)

    def _pass_on(self, body: Mapping[str, Any]) -> None:
        if body["kind"] == "preloaded":
            self.preloaded = decode(Preloaded, body["preloaded"])
            self._is_importing = False
            return
        if body["kind"] == "unstarted":
            self._starting.popleft().unstarted(body["why"])
            return
        pid = body["pid"]
        if body["kind"] == "started":
            self._listeners[pid] = self._starting.popleft()
            self._listeners[pid].started(pid)
        elif body["kind"] == "stopped":
            self._listeners[pid].stopped(body["at_s"])
        elif body["kind"] == "stuck":
            self._listeners[pid].stuck(body["why"])
        else:
            self._listeners.pop(pid).ended(body["code"], body["max_rss_bytes"])

    # -- its end ------------------------------------------------------------------------

    def failure(self, what: str) -> Failure:
        """Report, once for each of its processes, why it has gone or is of no use."""
        self.give_up()
        return failure.interpreter_failure(what, self._last_words)

    def give_up(self) -> None:
        """Use it no more: it has gone, or does not answer."""
        if not self.is_dead:
            self.is_dead = True
            self._last_words = self.log_excerpt()
            self.close()

    def log_excerpt(self) -> str:
        return failure.excerpt(self._log.fileno())

    def close(self) -> None:
        self.is_dead = True  # for whatever process of it is still held
        # It goes by itself when its connection closes, and its guard after it; nothing that they
        # have started is left then.
        self.connection.hang_up()
        self._have_guard_go_on()
        if self._is_shared:  # it goes when all have left it
            if self._process is not None and self._process.poll() is None:
                # As if it had been waited for, or Python would warn of a child that still runs.
                self._process.returncode = 0
        elif self._process is not None:
            _wait_for_end(self._process)
        self._log.close()


def _wait_for_end(process: subprocess.Popen[bytes]) -> None:
    """Wait until it has ended; it is killed if that takes too long."""
    # Not by Popen.wait: that asks a clock which tests may have stopped.
    deadline_s = ORIGINALS.monotonic() + _GRACE_S
    nap_s = _SHORTEST_NAP_S
    while process.poll() is None:
        if ORIGINALS.monotonic() > deadline_s:
            process.kill()
            process.wait()
            return
        ORIGINALS.sleep(nap_s)
        nap_s = min(2 * nap_s, _LONGEST_NAP_S)


def _environment(env: Env) -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if name not in _NOT_INHERITED}
    return {**_DEFAULT_ENV, **inherited, **_FORCED_ENV, **dict(env)}


def unlinked_file() -> IO[bytes]:
    """A private file without a name: nothing is left of it when its holders are gone."""
    return tempfile.TemporaryFile(buffering=0)
