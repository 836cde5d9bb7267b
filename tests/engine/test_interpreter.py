"""How an interpreter process is brought to its end."""

import itertools
import subprocess
import sys

import pytest

from pytest_tfthreads.engine.interpreter import _wait_for_end
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
