"""What a process says, and what its interpreter says of it, on sockets of their own."""

import os
import socket

from pytest_tfthreads.engine.measuring_process import _Connected
from pytest_tfthreads.engine.order import ItemToRun, Order, PytestCall, SentOrder, Terms
from pytest_tfthreads.engine.protocol import Connection


class StubInterpreter:
    """Starts no process, but holds its side of the conversation."""

    is_dead = False

    def __init__(self):
        ours, self._theirs = socket.socketpair()
        self.connection = Connection(ours)
        self._process = None

    def start(self, sent, fds, process):
        self._process = process
        self.measuring = Connection(socket.socket(fileno=os.dup(fds[0])))
        process.started(1)

    def tell_that_it_stopped(self):
        self._theirs.send(b"!")

    def read(self):
        self.connection.sock.recv(1)
        self._process.stopped()

    def close(self):
        for connection in (self.connection, self.measuring, self._theirs):
            connection.close()


ORDER = Order(
    PytestCall(args=(), argv=("pytest",), invocation_dir="/", sys_path=()),
    ItemToRun("test_x.py::test_x", "/test_x.py", "::test_x"),
    Terms(intra=1, inter=1, cpu_count=1),
)


def test_all_that_was_said_before_a_stop_is_heard(tmp_path):
    interpreter = StubInterpreter()
    process = _Connected(interpreter, SentOrder(ORDER, "fresh", (0,), 0.0), [])
    with open(tmp_path / "captured", "w") as captured:
        # A message with descriptors is read on its own, however much follows.
        interpreter.measuring.send("capturing", {}, [captured.fileno()])
        interpreter.measuring.send("ready", {"ready": None})
    interpreter.tell_that_it_stopped()
    assert process.follow(5.0) is None
    assert process.answers.is_ready
    process.ended(0, 0)
    process.close()
    interpreter.close()
