"""Which interpreters are kept, and which make room for others."""

import sys
from dataclasses import replace

import pytest

from pytest_tfthreads.engine import launcher as module
from pytest_tfthreads.engine.interpreter import Home
from pytest_tfthreads.engine.launcher import Launcher
from pytest_tfthreads.system.leases.leases import Leases

HOME, OTHER = (Home(sys.executable, cwd, ()) for cwd in ("/here", "/other"))
ENVIRONMENTS = [(("NAME", value),) for value in "abc"]


class FakeInterpreter:
    is_busy = is_dead = has_gone = False

    def __init__(self, home, env, *_):
        self.key = (home, env)

    def close(self):
        pass


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
