"""Who comes in by an interpreter's socket, and until when."""

import socket

import pytest

from pytest_tfthreads.measuring.listener import ListeningSocket


def test_when_it_is_shut_those_who_have_come_are_let_in_and_nobody_else(tmp_path):
    name = str(tmp_path / "socket")
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(name)
        sock.listen()
        listener = ListeningSocket(sock)
        assert listener.admit() == []
        for client in clients[:2]:
            client.connect(name)
        listener.shut()
        with pytest.raises(ConnectionRefusedError):
            clients[2].connect(name)
        admitted = listener.admit()
        assert len(admitted) == 2
        assert listener.admit() == []
        for one in (*admitted, *clients):
            one.close()
