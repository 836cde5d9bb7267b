"""Which interpreters are kept, and which make room for others."""

import sys
from dataclasses import replace

import pytest

from pytest_tfthreads.engine import launcher as module
from pytest_tfthreads.engine.failure import Failure
from pytest_tfthreads.engine.interpreter import Home
from pytest_tfthreads.engine.launcher import Launcher
from pytest_tfthreads.system.leases.leases import Leases, LeaseTimeoutError

HOME, OTHER = (Home(sys.executable, cwd, ()) for cwd in ("/here", "/other"))
ENVIRONMENTS = [(("NAME", value),) for value in "abc"]


class FakeInterpreter:
    is_busy = is_dead = has_gone = False
    no_lease = broken = ""
    forkable = True

    def __init__(self, home, env, *_):
        self.key = (home, env)

    def wait_until_ready(self):
        pass

    def close(self):
        self.is_dead = True


@pytest.fixture
def launcher(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTEST_TFTHREADS_LEASES", str(tmp_path))
    monkeypatch.setattr(module, "Interpreter", FakeInterpreter)
    return Launcher("auto", Leases(timeout_s=1))


def start(launcher, home, env, deals=3):
    for deal in range(deals):
        launcher.prepare(replace(home, deal=deal), env)


def kept(launcher):
    return [(home.cwd, env[0][1]) for home, env in launcher._interpreters]


def test_a_home_keeps_two_environments_however_many_interpreters_are_dealt(launcher):
    start(launcher, OTHER, ENVIRONMENTS[0])
    for env in ENVIRONMENTS:
        start(launcher, HOME, env)
    assert kept(launcher) == [
        *[("/other", "a")] * 3,
        *[("/here", "b")] * 3,
        *[("/here", "c")] * 3,
    ]
    launcher.release(HOME)
    assert kept(launcher) == [("/other", "a")] * 3


def test_an_environment_that_is_at_work_makes_no_room(launcher):
    for env in ENVIRONMENTS[:2]:
        start(launcher, HOME, env)
    first = next(iter(launcher._interpreters.values()))
    first.is_busy = True
    start(launcher, HOME, ENVIRONMENTS[2])
    assert kept(launcher) == [*[("/here", "a")] * 3, *[("/here", "c")] * 3]


def test_those_that_are_made_ready_together_make_no_room_for_each_other(launcher):
    launcher.settle([(HOME, env) for env in ENVIRONMENTS])
    assert kept(launcher) == [("/here", name) for name in "abc"]
    assert not launcher._wanted


@pytest.fixture
def lucky(monkeypatch):
    """Which of the interpreters that are started from now on get a lease, in this order."""
    luck = []

    class WaitsForLease(FakeInterpreter):
        def __init__(self, *told):
            super().__init__(*told)
            self.gets_one = luck.pop(0)

        def wait_until_ready(self):
            self.no_lease = "" if self.gets_one else "others measured"

    monkeypatch.setattr(module, "Interpreter", WaitsForLease)
    return luck


KEY = (HOME, ENVIRONMENTS[0])


def test_an_interpreter_without_a_lease_is_replaced_for_the_next_test(launcher, lucky):
    lucky += [False, True]
    with pytest.raises(LeaseTimeoutError, match="others measured"):
        launcher.settle([KEY])
    launcher.settle([KEY])
    assert launcher._interpreter(KEY).gets_one
    assert not lucky


def test_one_that_waited_before_it_was_waited_for_is_replaced_at_once(launcher, lucky):
    lucky += [False, True]
    launcher.prepare(*KEY)
    launcher.settle([KEY])
    assert launcher._interpreter(KEY).gets_one

    lucky += [False, False]
    launcher.prepare(OTHER, ENVIRONMENTS[0])
    with pytest.raises(LeaseTimeoutError, match="others measured"):
        launcher.settle([KEY, (OTHER, ENVIRONMENTS[0])])
    assert not lucky


def test_one_without_a_lease_that_nobody_needs_now_is_no_failure(launcher, lucky):
    lucky += [False, True]
    launcher.prepare(OTHER, ENVIRONMENTS[0])
    launcher.settle([KEY])
    assert launcher._interpreter(KEY).gets_one
    assert not lucky


def test_who_did_not_settle_is_told_too_and_another_one_is_started_next(launcher, lucky):
    lucky += [False, True]
    found = launcher._interpreter(KEY)
    assert found == Failure("no-lease", "others measured", has_run=False)
    assert launcher._interpreter(KEY).gets_one
