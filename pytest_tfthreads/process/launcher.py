"""Starts interpreters, hands them work orders, and waits for what comes back, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

from pytest_tfthreads.process import failure
from pytest_tfthreads.process.failure import Ending, Failure
from pytest_tfthreads.process.machine import oom_kills
from pytest_tfthreads.process.protocol import Connection, ConnectionClosedError, Reply, WorkOrder

_BOOT = (
    "import json, sys; fd, preload, flags, sys.path[:] = json.loads(sys.argv[1]);"
    "from pytest_tfthreads.measuring.interpreter import main; main(fd, preload, flags)"
)
_PRELOAD_TIMEOUT_S = 300
_GRACE_S = 10  # for a process that has answered to end, or a killed one to be reaped
_SILENT_GRACE_S = 2  # for one that has closed its way to answer, which a dying process does too
_STACKS_S = 2
_MAX_INTERPRETERS = 2  # each holds TensorFlow in memory: about 600 MB

# The environment's own value wins, but for the GPUs: this tool measures CPUs.
_DEFAULT_ENV = {
    # NumPy's BLAS starts its threads when it is imported, and a process with threads cannot be
    # forked safely.
    "OPENBLAS_NUM_THREADS": "1",
    # Else every interpreter has an order of sets of its own, worth about 1 % of speed.
    "PYTHONHASHSEED": "0",
}
_FORCED_ENV = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}
_NOT_INHERITED = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT")

Env = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Launched:
    """An answer, and how its process was started."""

    reply: Reply
    start: str
    fresh_reason: str  # why it was not forked, though it might have been


class Launcher:
    """One preloaded interpreter for each distinct environment, each started when first needed."""

    def __init__(self, start: str, cwd: str) -> None:
        self._start = start
        self._cwd = cwd
        self._interpreters: dict[Env, _Interpreter] = {}

    def prepare(self, env: Env) -> None:
        """Start the interpreter of this environment, without waiting for it."""
        if os.name != "posix":
            return
        with contextlib.suppress(OSError):  # `run` will tell
            self._interpreter(env)

    def _interpreter(self, env: Env) -> _Interpreter:
        interpreter = self._interpreters.pop(env, None)
        if interpreter is None:
            while len(self._interpreters) >= _MAX_INTERPRETERS:
                self._interpreters.pop(next(iter(self._interpreters))).close()
            interpreter = _Interpreter(env, self._start != "fresh", self._cwd)
        self._interpreters[env] = interpreter  # the last one used is the last one dropped
        return interpreter

    def run(
        self,
        order: WorkOrder,
        env: Env,
        timeout_s: float | None,
        terminal: Sequence[int] = (),
    ) -> Launched | Failure:
        """Carry out one order; blocks until its process has gone.

        `terminal` holds stdin, stdout and stderr for the test, where they are not captured.
        """
        if os.name != "posix":
            return Failure(
                "unsupported",
                "tf_threads tests need processes as POSIX has them: use Linux, or run the tests "
                "here with -p no:tfthreads, unmeasured by configuration.",
            )
        try:
            interpreter = self._interpreter(env)
        except OSError as error:
            return Failure("interpreter", f"No process can be started on this machine: {error}")
        self._wait_for_the_others(env)
        try:
            interpreter.wait_until_ready()
        except ConnectionClosedError:
            del self._interpreters[env]
            return interpreter.failure("The interpreter that starts measuring processes died.")
        except TimeoutError:
            del self._interpreters[env]
            return interpreter.failure(
                f"TensorFlow was not imported within {_PRELOAD_TIMEOUT_S} seconds."
            )
        if interpreter.broken:
            return failure.preload_failure(interpreter.broken, interpreter.log_excerpt())
        if self._start == "fork" and not interpreter.forkable:
            return Failure(
                "misconfigured",
                f"--tf-threads-start=fork cannot be trusted here: {interpreter.reason}. "
                "Use --tf-threads-start=auto or fresh.",
            )
        start = "fork" if interpreter.forkable else "fresh"
        try:
            ended = _Run(interpreter, order, start, terminal).wait(timeout_s)
        except ConnectionClosedError:
            del self._interpreters[env]
            return interpreter.failure(
                "The interpreter that starts measuring processes died while one was running."
            )
        if isinstance(ended, Failure):
            return ended
        return Launched(ended, start, interpreter.reason)

    def _wait_for_the_others(self, env: Env) -> None:
        """Nothing may import beside a measurement."""
        for other in self._interpreters.keys() - {env}:
            try:
                self._interpreters[other].wait_until_ready()
            except (ConnectionClosedError, TimeoutError):
                self._interpreters.pop(other).close()  # a test that needs it will be told

    def close(self) -> None:
        """End all interpreters, and with them whatever they still run."""
        while self._interpreters:
            self._interpreters.popitem()[1].close()


class _Interpreter:
    """The pytest side of one interpreter process."""

    def __init__(self, env: Env, preload: bool, cwd: str) -> None:
        ours, theirs = socket.socketpair()
        self.connection = Connection(ours)
        self.forkable = False
        self.reason = ""
        self.broken = ""
        self._ready = False
        self._log = _unlinked_file()
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        boot = json.dumps([theirs.fileno(), preload, flags, sys.path])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *flags, "-c", _BOOT, boot],
                env=_environment(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
            )

    def wait_until_ready(self) -> None:
        """Raises `ConnectionClosedError` if it died, `TimeoutError` if it never comes up."""
        if self._ready:
            return
        self.connection.sock.settimeout(_PRELOAD_TIMEOUT_S)
        try:
            body, _ = self.connection.receive()
        finally:
            self.connection.sock.settimeout(None)
        self.forkable = body["forkable"]
        self.reason = body["reason"]
        self.broken = body.get("broken", "")
        self._ready = True

    def failure(self, what: str) -> Failure:
        told = failure.interpreter_failure(what, self.log_excerpt())
        self.close()
        return told

    def log_excerpt(self) -> str:
        return failure.excerpt(self._log.fileno())

    def close(self) -> None:
        # It goes by itself when its connection closes, after it has killed what it runs; one that
        # is still importing would only notice when that is over.
        self.connection.hang_up()
        if not self._ready:
            self._process.kill()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class _Run:
    """One order under way."""

    def __init__(
        self, interpreter: _Interpreter, order: WorkOrder, start: str, terminal: Sequence[int]
    ) -> None:
        self._interpreter = interpreter
        self._order = replace(order, start=start, ordered_at_s=time.monotonic())
        self._log = _unlinked_file()
        self._captures: list[int] = []
        self._pid: int | None = None
        self._reply: Reply | None = None
        self._end: Mapping[str, Any] | None = None
        self._killed_for: str | None = None
        self._answering = True
        self._oom_kills = oom_kills()
        ours, theirs = socket.socketpair()
        self._answers = Connection(ours)
        with theirs:
            fds = [theirs.fileno(), self._log.fileno(), *terminal]
            interpreter.connection.send("run", self._order.to_json(), fds)

    def wait(self, timeout_s: float | None) -> Reply | Failure:
        """Raises `ConnectionClosedError` if the interpreter dies."""
        begun_s = time.monotonic()
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._answers, selectors.EVENT_READ)
                selector.register(self._interpreter.connection, selectors.EVENT_READ)
                self._follow(selector, timeout_s)
            if self._reply is not None:
                return self._reply
            return failure.explain(self._ending(time.monotonic() - begun_s))
        finally:
            if self._end is None:  # Ctrl-C, or a bug of ours: nothing is left behind
                self._abandon()
            self._answers.close()
            for fd in self._captures:
                os.close(fd)
            self._log.close()

    def _follow(self, selector: selectors.BaseSelector, timeout_s: float | None) -> None:
        self._until(selector, timeout_s, lambda: not self._answering)
        if self._end is None and self._answering:
            self._show_stacks(selector)
            self._kill("time-out")
        # It has answered, or can answer no more: it should be about to end.
        grace_s = _GRACE_S if self._reply is not None else _SILENT_GRACE_S
        self._until(selector, grace_s, lambda: self._end is not None)
        if self._end is None:
            self._kill("descriptors")
            self._until(selector, _GRACE_S, lambda: self._end is not None)

    def _until(
        self, selector: selectors.BaseSelector, seconds: float | None, done: Callable[[], bool]
    ) -> None:
        deadline_s = None if seconds is None else time.monotonic() + seconds
        while not done() and self._end is None:
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                return
            ready = {
                key.fileobj
                for key, _ in selector.select(None if left_s is None else min(left_s, 3600))
            }
            if self._answers in ready and self._answering:
                self._read_answer()
                if not self._answering:
                    selector.unregister(self._answers)
            if self._interpreter.connection in ready:
                self._read_interpreter()
        if self._end is not None:
            self._read_what_was_sent()

    def _read_what_was_sent(self) -> None:
        """The rest of an answer whose process has ended."""
        # A fork of the test that got away may hold the socket open and never say a word.
        self._answers.sock.settimeout(_SILENT_GRACE_S)
        try:
            while self._answering:
                self._read_answer()
        except TimeoutError:
            self._answering = False

    def _read_answer(self) -> None:
        try:
            for body, fds in self._answers.poll_all():
                kind = body.pop("kind")
                if kind == "capturing":
                    self._captures += fds
                elif kind == "reply":
                    self._reply = Reply.from_json(body)
                    self._answering = False
        except ConnectionClosedError:
            self._answering = False

    def _read_interpreter(self) -> None:
        for body, _ in self._interpreter.connection.poll_all():
            if body["kind"] == "started":
                self._pid = body["pid"]
            elif body["kind"] == "ended" and body["pid"] == self._pid:
                self._end = body

    def _show_stacks(self, selector: selectors.BaseSelector) -> None:
        before = os.fstat(self._log.fileno()).st_size
        self._interpreter.connection.send("stacks", {"pid": self._pid})
        deadline_s = time.monotonic() + _STACKS_S
        written = before
        while time.monotonic() < deadline_s:
            self._until(selector, 0.1, lambda: False)
            now = os.fstat(self._log.fileno()).st_size
            if before < now == written:  # it came, and nothing more is coming
                return
            written = now

    def _kill(self, why: str) -> None:
        while self._pid is None:
            self._read_interpreter()
        self._killed_for = self._killed_for or why
        self._interpreter.connection.send("kill", {"pid": self._pid})

    def _abandon(self) -> None:
        try:
            self._kill("abandoned")
            while self._end is None:
                self._read_interpreter()
        except ConnectionClosedError:
            return  # then the kernel has killed it with its parent

    def _ending(self, seconds: float) -> Ending:
        end = self._end or {"code": -9, "max_rss_bytes": 0}
        now = oom_kills()
        outputs = [failure.excerpt(fd) for fd in dict.fromkeys(self._captures)]
        return Ending(
            code=end["code"],
            seconds=seconds,
            max_rss_bytes=end["max_rss_bytes"],
            killed_for=self._killed_for,
            inter=self._order.inter or len(self._order.cpus),
            oom_kills=None if now is None or self._oom_kills is None else now - self._oom_kills,
            output="\n".join(output for output in outputs if output),
            log=failure.excerpt_of_stacks(self._log.fileno()),
        )


def _environment(env: Env) -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if name not in _NOT_INHERITED}
    return {**_DEFAULT_ENV, **inherited, **_FORCED_ENV, **dict(env)}


def _unlinked_file() -> IO[bytes]:
    """A private file without a name: nothing is left of it when its holders are gone."""
    return tempfile.TemporaryFile(buffering=0)
