"""Messages between processes."""

import json
import os
import socket

import pytest

from pytest_tfthreads.engine import protocol
from pytest_tfthreads.engine.protocol import (
    Connection,
    ConnectionClosedError,
    GarbledMessageError,
    MessageTooLargeError,
)


@pytest.fixture
def pair():
    ours, theirs = (Connection(one) for one in socket.socketpair())
    yield ours, theirs
    ours.close()
    theirs.close()


def test_messages_arrive_in_order_and_whole(pair):
    ours, theirs = pair
    for number in range(5):
        theirs.send("numbered", {"number": number, "text": "line\nbreak"})
    assert [ours.receive()[0]["number"] for _ in range(5)] == list(range(5))


def test_descriptors_arrive_with_their_message(pair, tmp_path):
    ours, theirs = pair
    with open(tmp_path / "file", "w+") as file:
        theirs.send("here", {}, [file.fileno()])
        _, (fd,) = ours.receive()
        os.write(fd, b"through the copy")
        os.close(fd)
        assert os.pread(file.fileno(), 100, 0) == b"through the copy"


def test_large_messages(pair):
    ours, theirs = pair
    theirs.sock.setblocking(True)
    pid = os.fork()
    if pid == 0:
        theirs.send("large", {"text": "x" * 5_000_000})
        os._exit(0)
    body, _ = ours.receive()
    os.waitpid(pid, 0)
    assert len(body["text"]) == 5_000_000


def test_what_json_cannot_hold_becomes_a_number_or_text(pair):
    class Scalar:
        def item(self):
            return 1.5

    class Many:
        def item(self):
            raise ValueError("can only convert an array of size 1")

        def __repr__(self):
            return "Many()"

    ours, theirs = pair
    theirs.send("info", {"scalar": Scalar(), "many": Many(), "set": {1}})
    body, _ = ours.receive()
    assert (body["scalar"], body["many"], body["set"]) == (1.5, "Many()", "{1}")


def test_the_other_side_is_gone(pair):
    ours, theirs = pair
    theirs.close()
    with pytest.raises(ConnectionClosedError):
        ours.receive()
    with pytest.raises(ConnectionClosedError):
        ours.send("anyone", {})


@pytest.mark.parametrize("garbage", [b"g", b"[1]\n", b'{"kind": "x\n', b'{"kind": 5}\n', b"\xff\n"])
def test_what_is_no_message_is_noticed_also_behind_one(pair, garbage):
    ours, theirs = pair
    theirs.send("first", {})
    theirs.sock.sendall(garbage)
    theirs.close()
    assert ours.receive()[0] == {"kind": "first"}
    with pytest.raises(GarbledMessageError):
        ours.receive()


def test_a_stream_without_end_is_not_read_to_its_end(pair):
    ours, theirs = pair
    theirs.sock.sendall(b"x" * 1000)
    with pytest.raises(GarbledMessageError):
        ours.receive()


def test_descriptors_do_not_come_with_the_message_before_theirs(pair):
    ours, theirs = pair
    theirs.send("before", {})
    theirs.send("theirs", {}, [0])
    theirs.send("after", {})
    told = [ours.receive() for _ in range(3)]
    assert [len(fds) for _, fds in told] == [0, 1, 0]
    os.close(told[1][1][0])


def test_no_message_is_longer_than_the_limit(pair, monkeypatch):
    ours, theirs = pair
    monkeypatch.setattr(protocol, "MAX_MESSAGE_BYTES", 1000)
    with pytest.raises(MessageTooLargeError, match="limit"):
        theirs.send("large", {"text": "x" * 1000})
    for _ in range(3):  # each is shorter, and nothing of the large one was sent
        theirs.send("small", {"text": "x" * 900})
    assert [ours.receive()[0]["kind"] for _ in range(3)] == ["small"] * 3
    theirs.sock.sendall(b'{"kind": "' + b"x" * 991)
    with pytest.raises(GarbledMessageError, match="without end"):
        ours.receive()


def test_room_is_left_for_a_test_that_prints_a_hundred_megabytes():
    widest = max(len(json.dumps(chr(code))) - 2 for code in range(256))
    assert 100e6 * widest < protocol.MAX_MESSAGE_BYTES
