import errno
import os
import shutil
import signal
import subprocess
import sys

import pytest

from pytest_tfthreads.system import linux

CHILD = """
import subprocess, sys
if sys.argv[1:]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    child.wait()
"""


def test_children_are_those_of_a_process_and_not_their_own():
    command = [sys.executable, "-c", CHILD, "a name with ) 1 in it"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            grandchild = int(child.stdout.readline())
            assert child.pid in linux.children()
            assert grandchild not in linux.children()
            assert linux.children(child.pid) == [grandchild]
            assert linux.children(grandchild) == []
        finally:
            os.kill(grandchild, 9)


@pytest.fixture
def family():
    """The ids of a process and of its child, which sleep."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, "a child"], stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        try:
            yield parent.pid, child
        finally:
            os.kill(child, signal.SIGKILL)


def refusing(monkeypatch, error, *refused):
    """Have the kernel refuse to move these processes, as other users' say."""
    move = os.sched_setaffinity

    def sched_setaffinity(pid, cpus):
        if pid in refused:
            raise OSError(error, os.strerror(error))
        move(pid, cpus)

    monkeypatch.setattr(os, "sched_setaffinity", sched_setaffinity)


@pytest.mark.parametrize("error", [errno.EPERM, errno.EINVAL])
def test_a_child_that_may_not_be_moved_stays_where_it_is(family, monkeypatch, error):
    parent, child = family
    before = os.sched_getaffinity(child)
    refusing(monkeypatch, error, child)
    one = [min(before)]
    linux.pin(one, parent)
    assert os.sched_getaffinity(parent) == set(one)
    assert os.sched_getaffinity(child) == before


def test_children_below_one_that_may_not_be_moved_are_moved(family, monkeypatch):
    parent, child = family
    refusing(monkeypatch, errno.EPERM, parent)
    one = [min(os.sched_getaffinity(child))]
    monkeypatch.setattr(linux, "children", {None: [parent], parent: [child], child: []}.get)
    before = os.sched_getaffinity(0)
    try:
        linux.pin(one)
    finally:
        os.sched_setaffinity(0, before)
    assert os.sched_getaffinity(child) == set(one)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (errno.EPERM, "the process is another user's"),
        (errno.EINVAL, "none of them may be used any more"),
        (errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
)
def test_why_a_process_itself_cannot_be_moved_is_told(family, monkeypatch, error, why):
    refusing(monkeypatch, error, family[0])
    with pytest.raises(linux.UnmovableError, match=f"^CPUs 0-1,3: {why}"):
        linux.pin([0, 1, 3], family[0])


def test_cpus_that_the_machine_lacks_are_refused_by_the_kernel_itself():
    with pytest.raises(linux.UnmovableError, match=r"^CPUs 1020: none of them"):
        linux.pin([1020])


def test_one_that_has_ended_is_no_matter():
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    linux.pin(os.sched_getaffinity(0), ended.pid)


def test_the_parent_of_a_process_whatever_its_name_is(tmp_path):
    assert linux.parent_of(os.getpid()) == os.getppid()
    named = tmp_path / ") R 1"
    named.symlink_to(shutil.which("sleep"))
    with subprocess.Popen([named, "60"]) as process:
        assert linux.parent_of(process.pid) == os.getpid()
        process.kill()
    assert linux.parent_of(process.pid) is None


NAMED_IN_PART = """
import _thread, ctypes, sys, threading
from pytest_tfthreads.system import linux

renamed, over = threading.Event(), threading.Event()
name = "поток-1данных".encode()

def work():  # no thread that the module `threading` knows of
    ctypes.CDLL(None).prctl(15, name)
    renamed.set()
    over.wait()

ctypes.CDLL(None).prctl(15, name)
_thread.start_new_thread(work, ())
renamed.wait()
with open("/proc/self/comm", "rb") as comm:
    before = comm.read()
with linux.main_thread_named("mine"):
    (found,) = linux.thread_names().items()
with open("/proc/self/comm", "rb") as comm:
    assert comm.read() == before
over.set()
print(ascii(found))
"""


def test_names_of_threads_that_the_kernel_cut_within_a_character():
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", NAMED_IN_PART], capture_output=True, text=True
    )
    assert done.stdout == ascii(("поток-1д\ufffd", 1)) + "\n", done.stderr
