"""What becomes of a measuring process that its interpreter cannot have go on."""

import errno
import os
import signal
import socket
import subprocess
import sys

import pytest

from pytest_tfthreads.engine.order import ItemToRun, Order, PytestCall, SentOrder, Terms
from pytest_tfthreads.engine.protocol import Connection
from pytest_tfthreads.measuring.server import Server, _Served

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
def client():
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    with ours, theirs:
        yield Connection(ours), Connection(theirs)


@pytest.fixture
def process():
    """A process that stands still, as the leader of a group."""
    with subprocess.Popen(
        [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"],
        start_new_session=True,
    ) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        yield process
        process.kill()


def answers(client, process, **body):
    """What the client hears when it has the process go on."""
    ours, theirs = client
    server = Server([theirs], [], {})
    server._welcome()
    assert ours.receive()[0] == {"kind": "ready"}
    server._measuring[process.pid] = _Served(theirs, is_interactive=False)
    server._handle(theirs, {"kind": "continue", "pid": process.pid, **body}, [])
    theirs.send("preloaded", {})
    heard = [ours.receive()[0]]
    while heard[-1]["kind"] != "preloaded":
        heard.append(ours.receive()[0])
    server._selector.close()
    for fd in server._ends.values():
        os.close(fd)
    return heard[:-1]


@pytest.mark.parametrize(("start", "function"), [("fork", "fork"), ("fresh", "posix_spawn")])
def test_one_that_cannot_be_started_is_told_and_its_descriptors_are_closed(
    client, monkeypatch, start, function
):
    def refuse(*_, **__):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    ours, theirs = client
    server = Server([theirs], [], {})
    server._welcome()
    ours.receive()
    order = Order(
        PytestCall(args=(), argv=("pytest",), invocation_dir="/", sys_path=()),
        ItemToRun("test_x.py::test_x", "/test_x.py", "::test_x"),
        Terms(intra=1, inter=1, cpu_count=1),
    )
    answering, log = os.pipe()
    with monkeypatch.context() as patch:
        patch.setattr(os, function, refuse)
        sent = SentOrder(order, start, (0,), 0.0).to_json()
        server._handle(theirs, {"kind": "run", **sent}, [answering, log])
    told = ours.receive()[0]
    assert told["kind"] == "unstarted"
    assert told["why"].endswith(
        "as many processes run as may (`ulimit -u`, or pids.max of a container)"
    )
    assert not server._measuring
    for fd in (answering, log):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    server._selector.close()
    for fd in server._ends.values():
        os.close(fd)


def test_one_that_goes_on_is_no_news(client, process):
    assert answers(client, process, cpus=sorted(os.sched_getaffinity(0))) == []
    assert process.wait(60) == 0


def test_one_whose_cpus_were_taken_away_stands_still_and_its_client_is_told(client, process):
    (told,) = answers(client, process, cpus=[1020])
    assert (told["kind"], told["pid"]) == ("stuck", process.pid)
    assert told["why"].startswith("CPUs 1020: none of them may be used any more")
    assert process.poll() is None


@pytest.mark.parametrize("leads", [True, False])
def test_one_of_another_user_is_told_too(client, process, monkeypatch, leads):
    def refuse(pid, number):
        assert (pid, number) == (process.pid, signal.SIGCONT)
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg" if leads else "kill", refuse)
        if not leads:
            patch.setattr(os, "getpgid", lambda _: os.getpgrp())
        (told,) = answers(client, process)
    assert told["kind"] == "stuck"
    assert told["why"] == "it has become another user's, and cannot be sent SIGCONT"


def test_a_process_that_went_on_before_it_was_waited_for_has_not_ended(
    client, process, monkeypatch
):
    ours, theirs = client
    server = Server([theirs], [], {})
    server._welcome()
    assert ours.receive()[0] == {"kind": "ready"}
    server._measuring[process.pid] = _Served(theirs, is_interactive=False)
    wait4, answers = os.wait4, [(0, 0, None)]
    monkeypatch.setattr(os, "wait4", lambda *told: answers.pop() if answers else wait4(*told))
    server._reap()
    assert ours.receive()[0]["kind"] == "stopped"
    assert process.pid in server._measuring
