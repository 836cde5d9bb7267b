"""What a measuring process says on its own socket: that it is ready, and its reply."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from typing import Literal

from pytest_tfthreads.core.decode import DecodeError, decode, encode
from pytest_tfthreads.core.layout import Layout, Ready
from pytest_tfthreads.engine.order import SharedStep
from pytest_tfthreads.engine.protocol import (
    Connection,
    ConnectionClosedError,
    GarbledMessageError,
)
from pytest_tfthreads.engine.reply import Reply

Fault = Literal["garbled", "unreadable"]


class Answers:
    """The pytest side of the socket. A test may write to the other side what it likes.

    `is_open` until the process has replied, or can say nothing more. `fault`: why what it said is
    of no use, with the words of the decoder in `problem` where it could not be decoded. `done`: the
    reply of a shared process for an item that is not its last.
    """

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.connection = Connection(ours)
        self.is_open = True
        self.is_ready = False
        self.ready: Ready | None = None
        self.reply: Reply | None = None
        self.done: Reply | None = None
        self.fault: Fault | None = None
        self.problem = ""
        self.captures: list[int] = []  # descriptors of files with the process's output

    def tell(self, layout: Layout | None) -> None:
        with contextlib.suppress(ConnectionClosedError):  # it died off turn, which others will see
            self.connection.send("layout", {"layout": encode(layout)})

    def tell_step(self, step: SharedStep | None) -> None:
        """Which item comes next; None: none."""
        self.done = None
        with contextlib.suppress(ConnectionClosedError):  # it died meanwhile, which will be seen
            self.connection.send("step", {"step": encode(step)})

    def read(self) -> None:
        """Read what there is; wait if there is nothing."""
        try:
            for body, fds in self.connection.poll_all():
                self.captures += fds  # of the only message that has any
                kind = body.pop("kind")
                if kind == "ready":
                    ready = body.get("ready")
                    self.ready = None if ready is None else decode(Ready, ready, "ready")
                    self.is_ready = True
                elif kind == "done":
                    self.done = Reply.from_json(body)
                elif kind == "reply":
                    self.reply = Reply.from_json(body)
                    self.is_open = False
        except ConnectionClosedError:
            self.is_open = False
        except GarbledMessageError:  # it is not our code that speaks there
            self.is_open = False
            self.fault = "garbled"
        except DecodeError as error:
            self.is_open = False
            self.fault = "unreadable"
            self.problem = str(error)

    def read_all_there_is(self) -> None:
        """What the process sent before it stopped, such as its message `ready`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            while self.is_open and selector.select(0):
                self.read()

    def read_the_rest(self, silent_s: float) -> None:
        """What is left of a process that has ended."""
        # A fork of the test that got away may hold the socket open and never say a word.
        self.connection.sock.settimeout(silent_s)
        try:
            while self.is_open:
                self.read()
        except TimeoutError:
            self.is_open = False

    def close(self) -> None:
        self.connection.close()
        for fd in self.captures:
            os.close(fd)
