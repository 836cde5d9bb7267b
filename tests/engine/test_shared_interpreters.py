"""One interpreter for several users: who meets whom, and that it ends with the last of them."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pytest_tfthreads.engine import rendezvous
from pytest_tfthreads.engine.interpreter import Home, Interpreter
from pytest_tfthreads.engine.launcher import Launcher
from pytest_tfthreads.engine.preload import Preload
from pytest_tfthreads.system.leases.leases import Leases

pytestmark = [
    pytest.mark.usefixtures("no_leftovers"),
]

FAKE_TENSORFLOW = Path(__file__).parents[1] / "fake_tensorflow"


LINES_UP = """
import sys, time
from pathlib import Path
from pytest_tfthreads.system.leases.queue import Ticket, Want

ticket = Ticket(Path(sys.argv[1]), Want())
print(ticket.advance(), flush=True)
while not ticket.advance():
    time.sleep(0.01)
ticket.close()
"""

STAYS = """
import sys
from pytest_tfthreads.engine.interpreter import Home, Interpreter

cwd, tensorflow, run = sys.argv[1:]
one = Interpreter(Home(sys.executable, cwd, (tensorflow, *sys.path)), (), True, 60, run)
one.wait_until_ready()
print(one._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def leases(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_TFTHREADS_LEASES", str(tmp_path / "leases"))
    return Leases(timeout_s=60)


@pytest.fixture
def home(tmp_path, leases):
    return Home(sys.executable, str(tmp_path), (str(FAKE_TENSORFLOW), *sys.path))


@pytest.fixture
def enter(home, tmp_path):
    """Enter an interpreter of this run, as another worker would."""

    def one_more(env=(), run=str(tmp_path), home=home):
        return Interpreter(home, env, True, 60, run)

    return one_more


def started(interpreter):
    """The process id, if this user has started it."""
    return None if interpreter._process is None else interpreter._process.pid


def test_the_first_starts_it_and_the_last_ends_it(enter, all_end):
    first, second = enter(), enter()
    pid = started(first)
    assert pid
    assert started(second) is None
    for one in (first, second):
        one.wait_until_ready()
        assert one.forkable
    first.close()
    third = enter()
    assert started(third) is None
    third.wait_until_ready()
    for one in (second, third):
        assert not one.has_gone
        one.close()
        assert one.is_dead
    all_end([pid])
    after = enter()
    assert started(after)
    after.close()


def test_only_those_share_whose_own_would_be_the_same(enter, home, tmp_path, monkeypatch):
    ways = [{}, {"env": (("A", "1"),)}, {"run": "another"}]
    ways.append({"home": Home(home.python, str(tmp_path.parent), home.sys_path)})
    ways.append({"home": replace(home, deal=1)})
    others = [enter(**way) for way in ways]
    monkeypatch.setenv("B", "2")
    others.append(enter())
    monkeypatch.delenv("B")
    umask = os.umask(0o077)
    try:
        others.append(enter())
    finally:
        os.umask(umask)
    assert len({started(one) for one in others} - {None}) == 7
    for one in others:
        one.close()


def test_several_logins_share(enter, monkeypatch):
    monkeypatch.setenv("SSH_CLIENT", "192.0.2.1 1 22")
    first = enter()
    monkeypatch.setenv("SSH_CLIENT", "192.0.2.1 2 22")
    second = enter()
    assert started(first)
    assert started(second) is None
    for one in (first, second):
        one.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("who", ["interpreter", "guard"])
def test_one_that_died_is_noticed_by_all(enter, all_end, who, number):
    first, second = enter(), enter()
    for one in (first, second):
        one.wait_until_ready()
    guard = psutil.Process(started(first))
    (interpreter,) = guard.children()
    if who == "guard" and number == signal.SIGTERM:  # it heeds nothing that can be ignored
        guard.send_signal(number)
        assert not first.has_gone
        number = signal.SIGKILL
    (guard if who == "guard" else interpreter).send_signal(number)
    all_end([guard.pid, interpreter.pid])
    assert first.has_gone
    assert second.has_gone
    third = enter()
    assert started(third)
    for one in (first, second, third):
        one.close()


def test_one_that_still_imports_ends_when_all_have_gone(enter, home, tmp_path, eventually, all_end):
    (tmp_path / "slow/tensorflow").mkdir(parents=True)
    (tmp_path / "slow/tensorflow/__init__.py").write_text(
        "import pathlib, time; pathlib.Path('imports').touch(); time.sleep(600)"
    )
    slow = Home(home.python, home.cwd, (str(tmp_path / "slow"), *sys.path))
    first, second = enter(home=slow), enter(home=slow)
    eventually((tmp_path / "imports").exists)
    first.close()
    assert not second.has_gone
    second.close()
    all_end([started(first)])


@pytest.mark.parametrize("kind", ["exclusive", "shared"])
def test_who_has_a_lease_waits_for_no_interpreter_that_waits_for_it(
    enter, home, leases, tmp_path, kind
):
    launcher = Launcher("auto", leases, str(tmp_path))
    lock = str(leases.folder() / "lock")
    command = [sys.executable, "-c", LINES_UP, lock]
    with contextlib.ExitStack() as test:
        test.enter_context(getattr(leases, kind)("a test"))
        # It wants to measure: whoever comes after it waits, as it does itself.
        measurer = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert measurer.stdout.readline() == b"False\n"
        other = enter()  # it imports when nobody measures
        launcher.settle([(home, ())])
        (settled,) = launcher._interpreters.values()
        assert not settled.no_lease
        assert leases.is_held
        assert leases.is_measuring == (kind == "exclusive")
        if kind == "exclusive":
            assert measurer.poll() is None
        else:  # it measured while the test, which shares the machine, did nothing but wait
            measurer.wait(60)
        assert not other.has_gone
        test.close()
        other.wait_until_ready()
        measurer.communicate()
    assert not other.no_lease
    launcher.close()
    other.close()


@pytest.mark.parametrize("run", ["", "shared"])
def test_one_that_gets_no_lease_tells_all_and_ends(enter, home, leases, all_end, run):
    with leases.exclusive("a test"):
        late = [Interpreter(home, (), True, 0.01, run) for _ in range(2)]
        for one in late:
            one.wait_until_ready()
            assert "importing TensorFlow waited" in one.no_lease
            assert "a test" in one.no_lease
            assert not one.broken
        all_end([started(one) for one in late if started(one)])
    after = enter(run=run)
    assert started(after)
    after.wait_until_ready()
    assert not after.no_lease
    assert after.forkable
    for one in (*late, after):
        one.close()


def test_a_home_is_released_with_all_its_deals(home, leases, tmp_path, all_end):
    launcher = Launcher("auto", leases)
    other = replace(home, cwd=str(tmp_path.parent))
    launcher.settle([(home, ()), (replace(home, deal=1), ()), (other, ())])
    guards = [psutil.Process(started(one)) for one in launcher._interpreters.values()]
    assert len(guards) == 3
    launcher.release(home)
    all_end([guard.pid for guard in guards[:2]])
    assert guards[2].is_running()
    launcher.close()


@pytest.mark.parametrize("run", ["", "shared"])
def test_one_that_somebody_stops_goes_on(enter, all_end, eventually, run):
    one = enter(run=run)
    one.wait_until_ready()
    guard = psutil.Process(started(one))
    (interpreter,) = guard.children()
    interpreter.send_signal(signal.SIGSTOP)
    one.preload(Preload(()), [])  # it answers
    guard.send_signal(signal.SIGSTOP)
    interpreter.send_signal(signal.SIGSTOP)
    guard.send_signal(signal.SIGCONT)
    eventually(lambda: interpreter.status() != psutil.STATUS_STOPPED)
    interpreter.send_signal(signal.SIGSTOP)
    one.close()
    all_end([guard.pid, interpreter.pid])


@pytest.mark.parametrize("run", ["", "shared"])
def test_a_guard_that_somebody_stops_goes_on_where_it_is_waited_for(enter, all_end, run):
    one = enter(run=run)
    guard = psutil.Process(started(one))
    guard.suspend()  # before it has an interpreter
    one.wait_until_ready()
    (interpreter,) = guard.children()
    guard.suspend()
    one.close()
    all_end([guard.pid, interpreter.pid])


@pytest.mark.parametrize("run", ["", "a run"])
def test_a_guard_that_somebody_stops_ends_when_pytest_is_killed(tmp_path, leases, all_end, run):
    command = [sys.executable, "-c", STAYS, str(tmp_path), str(FAKE_TENSORFLOW), run]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        guard = psutil.Process(int(user.stdout.readline()))
        (interpreter,) = guard.children()
        guard.suspend()
        user.kill()
    all_end([guard.pid, interpreter.pid])


def test_who_leaves_a_shared_one_is_not_warned_that_it_still_runs(tmp_path, leases, all_end):
    told = (str(tmp_path), str(FAKE_TENSORFLOW), "run")
    command = [sys.executable, "-X", "dev", "-c", f"{STAYS}\none.close()\n", *told]
    user = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert "still running" not in user.stderr
    all_end([int(user.stdout)])


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOSYS, errno.EACCES])
@pytest.mark.parametrize("what", ["sched_getscheduler", "/proc/self/cgroup", "/proc/self/ns/uts"])
def test_what_is_not_there_is_the_same_and_what_is_hidden_may_not_be(
    enter, monkeypatch, number, what
):
    """The C library musl has no sched_getscheduler; sandboxes lack other parts."""

    def unless(read):
        def maybe(place, *args, **kwargs):
            if what in (read.__name__, str(place)):
                raise OSError(number, os.strerror(number), what)
            return read(place, *args, **kwargs)

        return maybe

    if what == "sched_getscheduler":
        monkeypatch.setattr(os, what, unless(os.sched_getscheduler))
    else:
        monkeypatch.setattr(os, "readlink", unless(os.readlink))
        monkeypatch.setattr(Path, "read_text", unless(Path.read_text))
    first, second = enter(), enter()
    assert started(first)
    assert (started(second) is None) is (number != errno.EACCES)
    for one in (first, second):
        one.wait_until_ready()
        assert one.forkable
        one.close()


def test_names_that_somebody_else_has_are_left_alone(monkeypatch):
    name = rendezvous.address("run", {})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        monkeypatch.setattr(rendezvous, "is_own", lambda _: False)
        assert rendezvous.meet(name, start=pytest.fail) is None
