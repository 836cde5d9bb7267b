"""What a pytest process and its measuring processes say to each other: JSON, a line a message.

Descriptors travel beside the message that names them (SCM_RIGHTS). Nothing is pickled: a message
can be built only from what these classes hold.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# A measuring process ends with this code where it could not answer.
MUTE_EXIT_CODE = 70

_CHUNK_BYTES = 1 << 16
_MAX_FDS = 8


# What every message begins with. One that begins otherwise is not waited for until it is complete.
_BEGINNING = b'{"kind": "'


class ConnectionClosedError(EOFError):
    """The other side has gone."""


class GarbledMessageError(ValueError):
    """What came is no message: somebody else has written to the other side's socket."""


@dataclass(frozen=True)
class WorkOrder:
    """One test under one configuration, for one measuring process."""

    nodeid: str
    path: str  # the file to collect, absolute
    own_part: str  # what follows in the id of the tests to collect there, from the first ::
    intra: int  # 0: TensorFlow's choice
    inter: int
    cpus: tuple[int, ...]
    args: tuple[str, ...]  # of the pytest invocation
    plugins: tuple[str, ...]
    argv: tuple[str, ...]
    invocation_dir: str
    sys_path: tuple[str, ...]
    basetemp: str | None
    interactive: bool  # the terminal is handed over, for a debugger
    colors: bool
    terminal_width: int
    process: int  # its number among the processes of this run that are alive at once, from 1
    has_hook: bool  # pytest_tfthreads_configure is implemented: the runtime has to wait for it
    workerinput: Mapping[str, Any] | None  # of the pytest-xdist worker that orders, if it is one
    iterations: int | None  # calls a round, where a process before has settled them
    rounds_a_turn: int | None  # after so many rounds it stops until told to go on; None: never
    ring: int | None = None  # which processes of its test take turns with it
    budget_share: float = 1.0  # of the time for which its rounds would be measured
    roots: tuple[str, ...] = ()  # directories: which modules it imported from there is to be told
    traces: str | None = None  # a directory: nothing is measured, but a trace is written there
    left_out: tuple[str, ...] = ()  # plugins whose own ways of running a test are not for it
    options: Mapping[str, Any] = field(default_factory=dict)  # which plugins settled for the run
    coverage: Mapping[str, Any] | None = None  # how coverage is to be collected, if it is
    # Filled in when the order is sent:
    start: str = ""  # "fork" | "fresh"
    ordered_at_s: float = 0.0  # time.monotonic(), one clock for all processes of the machine

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WorkOrder:
        values = dict(data)
        for name in ("cpus", "args", "plugins", "argv", "sys_path", "roots", "left_out"):
            values[name] = tuple(values[name])
        return cls(**values)


# How a measuring process came to its end, as far as it can tell itself.
FINISHED = "finished"  # the item ran; passed or not is in its reports
NOT_COLLECTED = "not-collected"
NO_TENSORFLOW = "no-tensorflow"  # it cannot be imported
MISCONFIGURED = "misconfigured"
CONFIGURE_FAILED = "configure-failed"  # an implementation of pytest_tfthreads_configure
SKIPPED = "skipped"  # by an implementation of it
SESSION_EXIT = "session-exit"  # pytest.exit()
INTERRUPTED = "interrupted"  # the test raised KeyboardInterrupt
INTERNAL_ERROR = "internal-error"  # pytest or a plugin broke
DESCRIPTORS_CLOSED = "descriptors-closed"  # pytest broke because the test closed its files
_OUTCOMES = {
    FINISHED,
    NOT_COLLECTED,
    NO_TENSORFLOW,
    MISCONFIGURED,
    CONFIGURE_FAILED,
    SKIPPED,
    SESSION_EXIT,
    INTERRUPTED,
    INTERNAL_ERROR,
    DESCRIPTORS_CLOSED,
}
_NONE = type(None)
_TYPES_OF_A_REPLY: Mapping[str, tuple[type, ...]] = {  # as JSON knows them
    "outcome": (str,),
    "message": (str,),
    "exit_code": (int, _NONE),
    "reports": (list,),
    "warnings": (list,),
    "benchmark": (dict, _NONE),
    "sample": (dict, _NONE),
    "items": (int, float),
    "unit": (str,),
    "effective": (dict, _NONE),
    "runtime": (dict,),
    "flags": (list,),
    "modules": (dict,),
    "profile": (dict, _NONE),
    "reason": (str,),
    "other_ids": (list,),
    "uses_benchmark": (bool,),
    "raised": (dict,),
    "states": (list,),
}


def outcome_of_error(error: BaseException) -> str:
    """Whose fault it is that pytest itself raised this."""
    if isinstance(error, OSError) and error.errno == errno.EBADF:
        return DESCRIPTORS_CLOSED
    return INTERNAL_ERROR


@dataclass(frozen=True)
class Reply:
    """What one measuring process answers, once."""

    outcome: str
    message: str = ""
    reason: str = ""  # the message in a line, where one line can say it
    other_ids: tuple[str, ...] = ()  # of the same test, where it has no configuration of its id
    exit_code: int | None = None
    reports: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[Mapping[str, Any], ...] = ()
    benchmark: Mapping[str, Any] | None = None
    sample: Mapping[str, Any] | None = None
    items: float = 1
    unit: str = "calls"
    effective: Mapping[str, int] | None = None
    runtime: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)  # files by name, for `roots`
    profile: Mapping[str, Any] | None = None  # what its trace says, or `problem`: why there is none
    uses_benchmark: bool = False  # whether pytest-benchmark's fixture was set up
    raised: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)  # by phase
    states: tuple[Mapping[str, Any], ...] = ()  # of plugins, for the pytest process

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reply:
        """Raises `GarbledMessageError` where no measuring process answers like this."""
        for name, value in data.items():
            if not isinstance(value, _TYPES_OF_A_REPLY.get(name, ())):
                raise GarbledMessageError(f"a reply with {name}={value!r:.80}")
        values = dict(data)
        for name in ("other_ids", "reports", "warnings", "flags", "states"):
            values[name] = tuple(values.get(name, ()))
        if values.get("outcome") not in _OUTCOMES:
            raise GarbledMessageError("a reply without an outcome")
        return cls(**values)


class Connection:
    """Messages over a stream socket. A message is complete at its line's end."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._chunks: list[bytes] = []
        self._lines: deque[tuple[bytes, list[int]]] = deque()
        self._fds: list[int] = []
        self._begun = b""  # of the message that is coming

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, kind: str, body: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Raises `ConnectionClosedError` where nobody listens any more."""
        line = json.dumps({"kind": kind, **body}, default=_plain).encode() + b"\n"
        try:
            # Descriptors go with the first byte, the rest follows however large it is.
            socket.send_fds(self.sock, [line[:1]], list(fds))
            self.sock.sendall(line[1:])
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ConnectionClosedError from error

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next message and its descriptors; waits for it. Raises as `poll` does."""
        while (message := self.poll()) is None:
            pass
        return message

    def poll(self) -> tuple[dict[str, Any], list[int]] | None:
        """Read once; the message if it is complete.

        Raises `ConnectionClosedError`, and `GarbledMessageError` at what is no message.
        """
        if not self._lines:
            self._check_beginning()  # of what came behind the message before
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, _CHUNK_BYTES, _MAX_FDS)
            except ConnectionResetError as error:
                raise ConnectionClosedError from error
            if not data:
                raise ConnectionClosedError
            self._chunks.append(data)
            self._begun += data[: len(_BEGINNING) - len(self._begun)]
            self._check_beginning()
            # Descriptors came with the last byte, which is the first one of their message.
            if b"\n" not in data:
                self._fds += fds
                return None
            *lines, rest = b"".join(self._chunks).split(b"\n")
            self._lines.extend(
                (line, [] if number else self._fds) for number, line in enumerate(lines)
            )
            self._fds = fds
            self._chunks = [rest]
            self._begun = rest[: len(_BEGINNING)]
        line, fds = self._lines.popleft()
        return _parsed(line), fds

    def poll_all(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """Read once; all messages that are complete. Raises as `poll` does."""
        message = self.poll()
        while message is not None:
            yield message
            message = self.poll() if self._lines else None

    def _check_beginning(self) -> None:
        if not _BEGINNING.startswith(self._begun):
            raise GarbledMessageError(f"a message that begins with {self._begun!r}")

    def has_closed(self) -> bool:
        """Whether the other side has gone, and everything it said was read."""
        try:
            return not self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def hang_up(self) -> None:
        """Close for all who share the socket; a fork of a test may hold a copy of it."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def close(self) -> None:
        self.sock.close()
        for fd in self._fds:  # of a message that never became complete
            os.close(fd)
        self._fds.clear()


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise GarbledMessageError(f"a message that is no JSON: {error}") from error
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise GarbledMessageError("a message without a kind")
    return message


def _plain(value: object) -> Any:
    """Numbers of NumPy and the like as numbers, all else as pytest-benchmark stores it: as text."""
    try:
        return value.item()  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError):
        return repr(value)
