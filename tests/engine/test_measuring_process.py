"""What a process says, and what its interpreter says of it, on sockets of their own."""

import os
import selectors
import socket
from types import SimpleNamespace

import pytest

from pytest_tfthreads.engine.measuring_process import (
    MeasuringProcess,
    _Connected,
    wait_for_all,
)
from pytest_tfthreads.engine.order import ItemToRun, Order, PytestCall, SentOrder, Terms
from pytest_tfthreads.engine.protocol import Connection, ConnectionClosedError
from pytest_tfthreads.system.originals import ORIGINALS


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
        self._process.stopped(ORIGINALS.monotonic())

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


def test_several_are_followed_until_all_rest_or_one_is_lost():
    """Forked processes have one interpreter, and with it one connection, in common."""
    interpreter = SharedStub()
    processes = [
        MeasuringProcess(lambda: interpreter, ORDER, timeout_s, ()) for timeout_s in (None, 60.0)
    ]
    for process in processes:
        interpreter.tell("stopped")  # as soon as it is ready
        process.set_up_on((0,))
    assert [process.pid for process in processes] == [1, 2]

    # Both stand still again: that is all that there is to wait for.
    for process in processes:
        process.send_on((0,), None)
        interpreter.tell("stopped")
    wait_for_all(processes)
    assert [process.is_lost for process in processes] == [False, False]
    assert [process.wait() for process in processes] == [True, True]

    # One dies: the other, which goes on, is not waited for.
    for process in processes:
        process.send_on((0,), None)
    interpreter.measuring[1].close()
    wait_for_all(processes)
    assert [process.is_lost for process in processes] == [False, True]
    interpreter.close(processes)


def test_one_that_is_over_its_time_is_lost():
    interpreter = SharedStub()
    process = MeasuringProcess(lambda: interpreter, ORDER, 600.0, ())
    interpreter.tell("stopped")
    process.set_up_on((0,))
    process._time_left_s = 0.05  # however long its set-up took
    process.send_on((0,), None)
    wait_for_all([process])
    assert process.is_lost
    interpreter.close([process])


def test_one_whose_interpreter_was_given_up_elsewhere_is_lost():
    """An order for another process has found the interpreter dead, and closed its connection."""
    interpreter = SharedStub()
    process = MeasuringProcess(lambda: interpreter, ORDER, None, ())
    interpreter.tell("stopped")
    process.set_up_on((0,))
    connected = process._process
    assert connected.is_there

    connected._is_stopped = False
    interpreter.is_dead = True
    interpreter.connection.close()
    assert not connected.is_there
    assert process.is_lost
    wait_for_all([process])
    with pytest.raises(ConnectionClosedError):
        connected.interrupt(60.0)
    # Had the process ended before the interpreter, there would be nothing to wait for.
    connected._end = (0, 0)
    assert connected.interrupt(60.0)
    interpreter.measuring[0].close()
    assert "exited early, with code 0" in connected.follow(60.0).message
    interpreter.close([process])


def test_one_that_could_not_be_started_says_why():
    class Full(StubInterpreter):
        forkable = True

        def start(self, sent, fds, process):
            super().start(sent, fds, process)
            self.measuring.close()
            process._pid = None
            process.unstarted("no room")

    interpreter = Full()
    process = MeasuringProcess(lambda: interpreter, ORDER, None, ())
    assert process.set_up_on((0,)) is None
    assert process.result.kind == "interpreter"
    assert process.result.message == "No process can be started: no room"
    assert process.pid is None
    process.abandon()
    interpreter.close()


def test_one_that_could_not_be_started_need_not_be_killed():
    """Its end is told while its number is waited for."""

    class Late(StubInterpreter):
        def start(self, sent, fds, process):
            super().start(sent, fds, process)
            process._pid = None

        def read_until(self, done, seconds):
            self._process.unstarted("no room")
            assert done()

    interpreter = Late()
    process = _Connected(interpreter, SentOrder(ORDER, "fresh", (0,), 0.0), [])
    process._kill("time-out")
    assert process.follow(5.0).message == "No process can be started: no room"
    process.close()
    interpreter.close()


def test_one_that_cannot_go_on_is_lost_and_says_why():
    interpreter = SharedStub()
    process = MeasuringProcess(lambda: interpreter, ORDER, None, ())
    interpreter.tell("stopped")
    process.set_up_on((0,))
    process.send_on((1,), None)
    interpreter.tell("stuck")
    wait_for_all([process])
    assert process.is_lost
    interpreter.tell("ended")
    assert not process.wait()
    assert process.result.kind == "misconfigured"
    assert " ".join(process.result.message.split()).endswith("CPUs 1: why.")
    interpreter.close([process])


@pytest.fixture
def clock(monkeypatch):
    """Time passes only where somebody waits in vain; each of `pauses` prolongs one such wait."""
    clock = SimpleNamespace(now_s=0.0, pauses=[])

    class Selector(selectors.DefaultSelector):
        def select(self, timeout=None):
            if clock.pauses and timeout:
                # As after SIGCONT: the time is over, and so nothing is said of what is there.
                clock.now_s += timeout + clock.pauses.pop(0)
                return []
            heard = super().select(0)
            clock.now_s += 0.0 if heard else timeout
            return heard

    monkeypatch.setattr(ORIGINALS, "monotonic", lambda: clock.now_s)
    monkeypatch.setattr(selectors, "DefaultSelector", Selector)
    return clock


def at_its_turn(interpreter, timeout_s):
    process = MeasuringProcess(lambda: interpreter, ORDER, timeout_s, ())
    interpreter.tell("stopped")
    process.set_up_on((0,))
    process.send_on((0,), None)
    return process


@pytest.mark.parametrize("is_in_team", [False, True])
def test_one_that_stops_while_pytest_is_stopped_has_not_hung(clock, is_in_team):
    interpreter = SharedStub()
    process = at_its_turn(interpreter, 60.0)
    interpreter.tell("stopped")
    clock.pauses = [600.0]
    if is_in_team:
        wait_for_all([process])
        assert not process.is_lost
    assert process.wait()
    assert not {"stacks", "kill"}.intersection(interpreter.told)
    assert process._time_left_s == 60.0  # for further turns
    interpreter.close([process])


def test_time_in_which_pytest_was_stopped_does_not_count(clock):
    interpreter = SharedStub()
    process = at_its_turn(interpreter, 60.0)
    clock.pauses = [600.0, 600.0]
    interpreter.when_told("kill", "ended")
    assert not process.wait()
    assert process.result.kind == "timed-out"
    assert clock.pauses == []
    assert clock.now_s > 3 * 60.0 + 2 * 600.0
    interpreter.close([process])


def test_one_that_stops_when_its_stacks_are_asked_for_has_not_hung(clock):
    interpreter = SharedStub()
    process = at_its_turn(interpreter, 60.0)
    interpreter.when_told("stacks", "stopped")
    assert process.wait()
    assert "kill" not in interpreter.told
    # But it has had its time, and so its next turn is its last.
    process.send_on((0,), None)
    interpreter.when_told("stacks", "stopped")
    interpreter.when_told("kill", "ended")
    assert not process.wait()
    assert process.result.kind == "timed-out"
    interpreter.close([process])


def test_since_when_one_stands_still_its_interpreter_tells(clock):
    interpreter = SharedStub()
    process = at_its_turn(interpreter, 60.0)
    interpreter.tell("stopped")
    clock.now_s = 50.0  # pytest hears late of it
    interpreter.stopped_at_s = 1.0
    assert process.wait()
    assert process._time_left_s == 59.0
    interpreter.close([process])


NEWS = {"stopped": b"!", "stuck": b"?", "ended": b"."}


class SharedStub:
    """An interpreter of several processes, each of which says that it is ready and stops."""

    is_dead = False
    forkable = True
    reason = ""

    def __init__(self):
        ours, self._theirs = socket.socketpair()
        self.connection = Connection(ours)
        self.measuring = []
        self.stopped_at_s = None
        self._processes = []
        self._news = {}
        self.told = []

    def start(self, sent, fds, process):
        self.measuring.append(Connection(socket.socket(fileno=os.dup(fds[0]))))
        self.measuring[-1].send("ready", {"ready": None})
        self._processes.append(process)
        process.started(len(self._processes))

    def tell(self, what, pid=None, **_):
        """To its processes nothing; of them, that the next one in turn has stopped or is stuck, or
        that the first one has ended.
        """
        self.told.append(what)
        what = self._news.pop(what, what)
        if what in NEWS:
            self._theirs.send(NEWS[what])

    def when_told(self, what, news):
        """Have news the next time that a process is to be told this."""
        self._news[what] = news

    def read(self):
        news = self.connection.sock.recv(1)
        if news == NEWS["ended"]:
            self.measuring[0].close()
            self._processes[0].ended(-9, 0)
            return
        running = next(one for one in self._processes if not one.is_at_rest)
        if news == NEWS["stopped"]:
            at_s = ORIGINALS.monotonic() if self.stopped_at_s is None else self.stopped_at_s
            running.stopped(at_s)
        else:
            running.stuck("CPUs 1: why")

    def read_until(self, done, seconds):
        assert done()

    def close(self, processes):
        self.is_dead = True
        for process in processes:
            process.abandon()
        for connection in (self.connection, self._theirs, *self.measuring):
            connection.close()
