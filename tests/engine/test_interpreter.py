"""How an interpreter process is waited for, and brought to its end."""

import errno
import itertools
import socket
import subprocess
import sys
from collections import deque
from types import SimpleNamespace

import pytest

from pytest_tfthreads.engine.interpreter import Interpreter, _wait_for_end
from pytest_tfthreads.engine.protocol import Connection, ConnectionClosedError
from pytest_tfthreads.system.originals import ORIGINALS

pytestmark = pytest.mark.usefixtures("no_leftovers")


def test_one_that_does_not_end_is_killed_though_the_clock_stands_still(monkeypatch):
    monkeypatch.setattr(subprocess, "_time", lambda: 1_577_836_800.0)  # as freezegun has it
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process.stdin:
        hours = itertools.count(0, 3600)
        monkeypatch.setattr(ORIGINALS, "monotonic", lambda: next(hours))
        _wait_for_end(process)
    assert process.returncode == -9


def test_one_that_ends_is_not_killed():
    process = subprocess.Popen([sys.executable, "-c", ""])
    _wait_for_end(process)
    assert process.returncode == 0


@pytest.fixture
def conversation(monkeypatch):
    """An interpreter without a process, the other end, and waits in which pytest is stopped."""
    ours, theirs = (Connection(one) for one in socket.socketpair())
    interpreter = Interpreter.__new__(Interpreter)
    interpreter.connection, interpreter._process = ours, None
    interpreter._ready = False
    now_s, pauses, read = 0.0, [], ours.poll

    def poll():
        nonlocal now_s
        if not pauses:
            return read()
        # As after SIGCONT: the time is over, and so nothing is said of what is there.
        now_s += pauses.pop()
        raise TimeoutError

    monkeypatch.setattr(ORIGINALS, "monotonic", lambda: now_s)
    monkeypatch.setattr(ours, "poll", poll)
    yield interpreter, theirs, pauses
    ours.close()
    theirs.close()


def test_news_that_come_while_pytest_is_stopped_are_heard(conversation, monkeypatch):
    interpreter, other_end, pauses = conversation
    news = []
    monkeypatch.setattr(interpreter, "_pass_on", news.append)
    other_end.send("preloaded", {})
    pauses += [600.0]
    interpreter.read_until(lambda: bool(news), 10.0)
    assert [one["kind"] for one in news] == ["preloaded"]
    pauses += [600.0]
    with pytest.raises(ConnectionClosedError):  # nothing more has come
        interpreter.read_until(lambda: False, 10.0)


def test_time_in_which_pytest_is_stopped_does_not_count_for_one_that_imports(conversation):
    interpreter, other_end, pauses = conversation
    interpreter._timeout_s = 3
    other_end.send("ready", {"forkable": True, "reason": ""})
    pauses += [600.0, 600.0]
    interpreter.wait_until_ready()
    assert interpreter.forkable
    interpreter._ready = False
    pauses += [600.0, 1.0, 1.0]
    with pytest.raises(TimeoutError):
        interpreter.wait_until_ready()
    assert pauses == []


def test_a_process_that_could_not_be_asked_for_is_not_waited_for():
    """Else each later process would hear what becomes of another one."""

    class Refuses:
        def send(self, *told):
            raise OSError(errno.EBADF, "Bad file descriptor")

    interpreter = object.__new__(Interpreter)
    interpreter.connection, interpreter._starting = Refuses(), deque()
    with pytest.raises(OSError, match="Bad file"):
        interpreter.start(SimpleNamespace(to_json=dict), (0, 1, 2), object())
    assert not interpreter._starting
