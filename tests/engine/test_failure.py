"""Why a process ended without an answer, and whose fault that is said to be."""

import os
import signal
import subprocess
import sys

import pytest

from pytest_tfthreads.engine.failure import Ending, explain
from pytest_tfthreads.engine.protocol import BROKEN_EXIT_CODE, MUTE_EXIT_CODE, NO_MEMORY_EXIT_CODE


def ending(code, killed_for=None, oom_kills=0, log=""):
    return Ending(
        code=code,
        seconds=1.0,
        max_rss_bytes=1 << 20,
        killed_for=killed_for,
        inter=2,
        oom_kills=oom_kills,
        output="",
        log=log,
    )


@pytest.mark.parametrize(
    ("code", "killed_for", "oom_kills", "kind", "words"),
    [
        (-signal.SIGKILL, "descriptors", 0, "exited", "The test closed file descriptors"),
        (-signal.SIGKILL, "descriptors", None, "exited", "The test closed file descriptors"),
        (MUTE_EXIT_CODE, None, 0, "exited", "The test closed file descriptors"),
        (NO_MEMORY_EXIT_CODE, None, 0, "out-of-memory", "got no more memory"),
        (BROKEN_EXIT_CODE, None, 0, "internal-error", "its own code failed"),
        # It died by itself, and on a machine that stood still we wanted to kill it meanwhile.
        (-signal.SIGABRT, "descriptors", 0, "crashed", "killed by SIGABRT"),
        (-signal.SIGSEGV, "descriptors", None, "crashed", "killed by SIGSEGV"),
        (-signal.SIGKILL, "descriptors", 1, "out-of-memory", "by the kernel for lack of memory"),
        (3, "descriptors", 0, "exited", "exited early, with code 3"),
        # Those of sysexits.h are the test's own.
        (os.EX_SOFTWARE, None, 0, "exited", "exited early, with code 70"),
        (os.EX_OSERR, None, 0, "exited", "exited early, with code 71"),
        (os.EX_OSFILE, None, 0, "exited", "exited early, with code 72"),
        # What came before its end explains the end, by whatever the process was ended.
        (-signal.SIGABRT, "garbled", 0, "garbled", "The test wrote to a file descriptor"),
        (-signal.SIGABRT, "time-out", 0, "timed-out", "The measuring process hung"),
        (-signal.SIGKILL, "time-out", 0, "timed-out", "The measuring process hung"),
        (-signal.SIGKILL, "stuck", 0, "misconfigured", "could not go on when it was told to"),
        (-signal.SIGKILL, None, 1, "out-of-memory", "by the kernel for lack of memory"),
        (-signal.SIGKILL, None, None, "out-of-memory", "probably by the kernel"),
        (-signal.SIGKILL, None, 0, "crashed", "killed by SIGKILL"),
    ],
)
def test_who_is_to_blame(code, killed_for, oom_kills, kind, words):
    failure = explain(ending(code, killed_for, oom_kills))
    assert failure.kind == kind
    assert words in " ".join(failure.message.split())


@pytest.mark.parametrize(
    "log",
    [
        "Fatal Python error: _PyErr_NormalizeException: Cannot recover from MemoryErrors while "
        "normalizing exceptions.",
        "terminate called after throwing an instance of 'std::bad_alloc'",
    ],
)
def test_an_abort_for_want_of_memory_is_no_crash(log):
    failure = explain(ending(-signal.SIGABRT, log=log))
    assert failure.kind == "out-of-memory"
    assert log in failure.message
    assert explain(ending(-signal.SIGSEGV, log=log)).kind == "crashed"


RING = """
import contextlib, faulthandler, sys
faulthandler.dump_traceback_later(0.2, exit=True, file=sys.stdout)
first, second = MemoryError(), MemoryError()

def fail():
    first.__context__, second.__context__ = second, first
    raise first

with contextlib.ExitStack() as stack:
    stack.callback(fail)
    stack.callback(fail)
"""


def test_a_hang_in_a_ring_of_errors_is_known_by_its_stack():
    stacks = subprocess.run([sys.executable, "-c", RING], stdout=subprocess.PIPE, text=True).stdout
    told = " ".join(explain(ending(-signal.SIGKILL, "time-out", log=stacks)).message.split())
    assert "Likely cause: no memory was left" in told
    other = explain(ending(-signal.SIGKILL, "time-out", log="in test_x"))
    assert "Likely cause" not in other.message
