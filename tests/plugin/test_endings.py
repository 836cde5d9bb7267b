"""However a run ends, whatever its tests have started ends too: what runs and what stands still."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

# The first configuration stands still while the second has its turn, which does not end. Each has
# a pool, a child with a child of its own, a child in a session of its own, and a daemon.
LEAVES = '''
import multiprocessing, os, pathlib, subprocess, sys, time

SLEEPS = "import time; time.sleep(1000)"
STARTS_ANOTHER = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}])
print('started', flush=True)
child.wait()
"""

def daemon():
    if os.fork():
        return
    os.setsid()
    if not os.fork():
        time.sleep(1000)
    os._exit(0)

@pytest.mark.tf_threads(intra=[1, 2], inter=1, timeout=200)
def test_leaves(benchmark, tf_threads):
    child = subprocess.Popen([sys.executable, "-c", STARTS_ANOTHER], stdout=subprocess.PIPE)
    assert child.stdout.readline()
    subprocess.Popen([sys.executable, "-c", SLEEPS], start_new_session=True)
    daemon()
    pool = multiprocessing.get_context("fork").Pool(2)
    pool.map(abs, range(4))
    note = pathlib.Path(f"intra{tf_threads.intra}")
    note.with_suffix(".new").write_text(f"{os.getppid()} {os.getpid()}")
    note.with_suffix(".new").rename(note)
    step = time.time if tf_threads.intra == 1 else lambda: time.sleep(1000)
    benchmark.pedantic(step, rounds=100, iterations=1)
'''


class Run:
    """pytest at work on such a suite, in a session and a process group of its own."""

    def __init__(self, suite, temporary, *args):
        self.path = suite.path
        self.temporary = temporary
        temporary.mkdir()
        self.process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "pytest", "-p", "no:cacheprovider", "--tf-threads-processes=1"),
                f"--basetemp={temporary}-base",
                *args,
            ],
            cwd=suite.path,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_hear_of_hangups,
        )

    @property
    def is_in_its_turn(self):
        """Whether all has started, and the first configuration stands still."""
        assert self.process.poll() is None, self.process.stdout.read().decode()
        if not all((self.path / name).exists() for name in ("intra1", "intra2")):
            return False
        group = [one for one in self.left() if _group_of(one) == self.measuring]
        return len(group) == 5 and all(one.status() == psutil.STATUS_STOPPED for one in group)

    @property
    def is_in_the_debugger(self):
        """Whether all has started where the test shares the terminal."""
        assert self.process.poll() is None, self.process.stdout.read().decode()
        return (self.path / "intra2").exists()

    @property
    def measuring(self):
        """The process of the first configuration."""
        return int((self.path / "intra1").read_text().split()[1])

    @property
    def interpreter(self):
        return int((self.path / "intra1").read_text().split()[0])

    @property
    def guard(self):
        return psutil.Process(self.interpreter).ppid()

    def left(self):
        """All processes that work in the suite's directory, as all that it starts do."""
        return [
            one
            for one in psutil.process_iter()
            if one.pid != os.getpid() and _directory_of(one) == self.path
        ]


def _hear_of_hangups():
    """Under nohup they are ignored, by all that is started there."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _directory_of(process):
    try:
        return Path(process.cwd())
    except (psutil.Error, OSError):  # it has just ended
        return None


def _group_of(process):
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


@pytest.fixture
def begin(suite, tmp_path):
    """Starts a run; whatever comes of it, its processes are ended."""
    runs = []

    def run(*args, **others):
        suite.write(LEAVES, **others)
        runs.append(Run(suite, tmp_path / "tmp", *args))
        return runs[-1]

    yield run
    for one in runs:
        for process in (one.process, *one.left()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        one.process.communicate()


def signal_session(leader, number):
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                process.send_signal(number)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue


ALONE, GROUP, SESSION = os.kill, os.killpg, signal_session
FORK, FRESH = "--tf-threads-start=fork", "--tf-threads-start=fresh"
WAYS = [
    (ALONE, signal.SIGINT, FORK),
    (ALONE, signal.SIGKILL, FRESH),
    (GROUP, signal.SIGTERM, FORK),
    (GROUP, signal.SIGHUP, FRESH),
    (GROUP, signal.SIGKILL, FORK),
    (SESSION, signal.SIGKILL, FRESH),
]


def in_words(value):
    return getattr(value, "__name__", "") or getattr(value, "name", "") or value


@pytest.mark.parametrize(("send", "number", "start"), WAYS, ids=in_words)
def test_nothing_is_left_when_pytest_is_signalled(begin, eventually, send, number, start):
    run = begin(start)
    eventually(lambda: run.is_in_its_turn)
    send(run.process.pid, number)
    output = run.process.communicate(timeout=120)[0].decode()
    eventually(lambda: not run.left())
    if number == signal.SIGINT:
        assert run.process.returncode == pytest.ExitCode.INTERRUPTED
        assert "KeyboardInterrupt" in output
    assert not list(run.temporary.iterdir())


@pytest.mark.parametrize(
    ("send", "number"), [(ALONE, signal.SIGKILL), (GROUP, signal.SIGTERM)], ids=in_words
)
def test_nothing_is_left_of_workers_that_share_an_interpreter(begin, eventually, send, number):
    run = begin("-n2", "--dist=load")
    eventually(lambda: run.is_in_its_turn)
    send(run.process.pid, number)
    run.process.communicate(timeout=120)
    eventually(lambda: not run.left())


def test_nothing_is_left_when_a_debugger_has_the_terminal(begin, eventually):
    run = begin("--pdb", "-k", "intra2")
    eventually(lambda: run.is_in_the_debugger)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.communicate(timeout=120)
    eventually(lambda: not run.left())


@pytest.mark.parametrize(("who", "start"), [("interpreter", FORK), ("guard", FRESH)])
def test_nothing_is_left_when_what_starts_the_processes_is_killed(begin, eventually, who, start):
    run = begin(start)
    eventually(lambda: run.is_in_its_turn)
    os.kill(getattr(run, who), signal.SIGKILL)
    output = run.process.communicate(timeout=120)[0].decode()
    eventually(lambda: not run.left())
    assert run.process.returncode == pytest.ExitCode.TESTS_FAILED
    assert output.count("interpreter that starts measuring processes died") == 2


def test_nothing_is_left_of_one_process_that_is_killed_off_turn(begin, eventually):
    run = begin(FORK)
    eventually(lambda: run.is_in_its_turn)
    group = run.measuring
    os.kill(group, signal.SIGKILL)
    # The other one is still measured.
    eventually(lambda: not any(_group_of(one) == group for one in run.left()))
    assert run.process.poll() is None


# In pytest's process, when its interpreter is there; the measuring ones find the note.
FORKS = """
import os, pathlib, time

def pytest_collection_finish():  # not in the controller of pytest-xdist, which collects nothing
    note = pathlib.Path("forked")
    if note.exists():
        return
    pid = os.fork()
    if not pid:
        os.chdir("/")
        time.sleep(1000)
    note.write_text(str(pid))
"""


@pytest.mark.parametrize("args", [[FRESH], ["-n1"]], ids=" ".join)
def test_nothing_is_left_though_a_fork_of_pytest_holds_its_sockets(begin, eventually, args):
    run = begin(*args, conftest=FORKS)
    eventually(lambda: run.is_in_its_turn)
    fork = psutil.Process(int((run.path / "forked").read_text()))
    try:
        # Of its worker, if there is one: who has started the interpreter.
        psutil.Process(run.guard).parent().kill()
        if "-n1" in args:
            run.process.kill()
        eventually(lambda: not run.left())
        assert fork.is_running()
    finally:
        fork.kill()
