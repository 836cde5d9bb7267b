"""The clients of an interpreter: pytest, or the workers of one run on this host."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Iterator
from types import FrameType

from pytest_tfthreads.engine import rendezvous
from pytest_tfthreads.engine.protocol import Connection

_LOOK_S = 0.5
_LOOKS_WITHOUT_ANYONE = 20  # who starts an interpreter comes in at once, or was killed before


class ListeningSocket:
    """A socket by which workers come in, at any time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._inside: list[Connection] = []
        self._looks = 0
        sock.setblocking(False)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def shut(self) -> None:
        """Let nobody come any more. Those who have come can still be admitted."""
        self._sock.shutdown(socket.SHUT_RD)

    def admit(self) -> list[Connection]:
        """Those who have come."""
        admitted: list[Connection] = []
        while True:
            try:
                sock, _ = self._sock.accept()
            except BlockingIOError:
                return admitted
            except OSError as error:
                if error.errno == errno.EINVAL:  # it is shut
                    return admitted
                raise
            sock.setblocking(True)
            if rendezvous.is_own(sock):
                admitted.append(Connection(sock))
            else:
                sock.close()

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[Connection]]:
        """While this process imports, which cannot be interrupted, end it if all have gone.

        Yields those who are inside, in a list that is complete when the block ends. There is no
        thread for it, because a process with threads cannot be forked.
        """
        before = signal.signal(signal.SIGALRM, self._look)
        signal.siginterrupt(signal.SIGALRM, False)
        signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)
        try:
            yield self._inside
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self._look()

    def _look(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        came = self.admit()
        had_someone = bool(self._inside or came)
        self._inside[:] = [one for one in (*self._inside, *came) if not one.has_closed()]
        self._looks += 1
        if not self._inside and (had_someone or self._looks > _LOOKS_WITHOUT_ANYONE):
            os._exit(0)
