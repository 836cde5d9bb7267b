"""How a pytest process and its measuring processes talk to each other: JSON, a line a message.

Descriptors travel beside the message that names them (SCM_RIGHTS). Nothing is pickled: a message
can be built only from what these classes hold.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from json import dumps, loads  # a test may put others into the module
from typing import Any, Literal

from pytest_tfthreads.system.originals import ORIGINALS

# A measuring process ends with this code where it could not answer. It is none of those that tests
# and libraries are likely to end with: small ones, sysexits.h's 64 to 78, shells' from 126 on.
MUTE_EXIT_CODE = 186
# The same where it had no memory to put its answer into words.
NO_MEMORY_EXIT_CODE = 187
# The same where something else went wrong with the answer; its log has the traceback.
BROKEN_EXIT_CODE = 188

# Text of a test that printed 100 MB takes up to six times as much in JSON.
MAX_MESSAGE_BYTES = 1 << 30

_CHUNK_BYTES = 1 << 16
_MAX_FDS = 8


# What every message begins with. One that begins otherwise is not waited for until it is complete.
_BEGINNING = b'{"kind": "'


MessageKind = Literal[
    # pytest to an interpreter:
    "run",
    "continue",
    "stacks",
    "interrupt",
    "kill",
    "preload",
    # an interpreter to pytest, "ready" first:
    "started",
    "unstarted",
    "stopped",
    "stuck",
    "ended",
    "preloaded",
    # a measuring process to pytest:
    "ready",
    "capturing",
    "reply",
    "done",
    # pytest to a measuring process:
    "layout",
    "step",
    # a command to the run of pytest that measures for it:
    "wish",
    "trace",
    "next",
    # and that run to the command:
    "collected",
    "begun",
    "found",
    "traced",
    "over",
]


class ConnectionClosedError(EOFError):
    """The other side has gone."""


class GarbledMessageError(ValueError):
    """What came is no message: somebody else has written to the other side's socket."""


class MessageTooLargeError(ValueError):
    """A message that the other side would not take; nothing of it was sent."""


class Connection:
    """Messages over a stream socket. A message is complete at its line's end.

    No message is longer than `MAX_MESSAGE_BYTES`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._chunks: list[bytes] = []
        self._length = 0  # of all chunks
        self._lines: deque[tuple[bytes, list[int]]] = deque()
        self._fds: list[int] = []
        self._begun = b""  # of the message that is coming

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, kind: MessageKind, body: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Raises `ConnectionClosedError` where nobody listens, and `MessageTooLargeError`."""
        line = dumps({"kind": kind, **body}, default=_plain).encode() + b"\n"
        if len(line) > MAX_MESSAGE_BYTES:
            raise MessageTooLargeError(
                f"It takes {len(line) / 1e6:,.0f} MB as JSON, and the limit is "
                f"{MAX_MESSAGE_BYTES / 1e6:,.0f} MB."
            )
        try:
            # Descriptors go with the first byte, the rest follows however large it is.
            ORIGINALS.send_fds(self.sock, [line[:1]], list(fds))
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
                data, fds, _, _ = ORIGINALS.recv_fds(self.sock, _CHUNK_BYTES, _MAX_FDS)
            except ConnectionResetError as error:
                raise ConnectionClosedError from error
            if not data:
                raise ConnectionClosedError
            self._chunks.append(data)
            self._length += len(data)
            self._begun += data[: len(_BEGINNING) - len(self._begun)]
            self._check_beginning()
            # Descriptors came with the last byte, which is the first one of their message.
            if b"\n" not in data:
                self._fds += fds
                if self._length > MAX_MESSAGE_BYTES:
                    self._chunks.clear()
                    raise GarbledMessageError("a message without end")
                return None
            *lines, rest = b"".join(self._chunks).split(b"\n")
            self._lines.extend(
                (line, [] if number else self._fds) for number, line in enumerate(lines)
            )
            self._fds = fds
            self._chunks, self._length = [rest], len(rest)
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
        message = loads(line)
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
