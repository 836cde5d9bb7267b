"""Fixtures that run pytest as a user does, with a fake TensorFlow or the real one."""

import compileall
import contextlib
import importlib.util
import json
import os
import signal
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import pytest
import scipy.special  # noqa: F401 - pytester forgets what its runs import, but NumPy loads only once

with contextlib.suppress(ImportError):
    # pygal needs it with Python 3.10. It takes the place of a finder of the standard library, and
    # pytester takes it away again after the run that imports it: then no plugin is found any more.
    import importlib_metadata  # noqa: F401

pytest_plugins = ["pytester"]

FAKE_TENSORFLOW = Path(__file__).parent / "fake_tensorflow"
FAKE_CPUINFO = Path(__file__).parent / "fake_cpuinfo"


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c():
    """Processes that tests start heed SIGINT, also where a shell runs all in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _private_cache(monkeypatch, tmp_path_factory):
    """What tests make the plugin keep is not kept in the user's cache directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def fake_cpuinfo():
    """The path of the fake, with its bytecode: runs of users' suites write none."""
    compileall.compile_dir(FAKE_CPUINFO, quiet=1)
    return FAKE_CPUINFO


def _put_first(monkeypatch, *directories):
    """On the path of a run and of all its processes these come first."""
    for one in reversed(directories):
        monkeypatch.syspath_prepend(one)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, directories)))


@pytest.fixture
def current_directory_only(tmp_path, monkeypatch):
    """A current directory that Python takes for temporary files, since no other can be written."""
    directory = tmp_path.resolve() / "current"
    directory.mkdir()
    monkeypatch.chdir(directory)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [os.getcwd()])
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert tempfile.gettempdir() == str(directory)
    return directory


@pytest.fixture
def bare_pytester(monkeypatch, pytester, fake_cpuinfo):
    """A pytester whose runs know nothing of the run around them, and describe a fake CPU."""
    for name in (
        "CI",  # there pytest's short summary is not cut
        "GITHUB_ACTIONS",
        "GITHUB_STEP_SUMMARY",
        "PYTEST_XDIST_WORKER",
    ):
        monkeypatch.delenv(name, raising=False)
    # At the end of each run hypothesis' plugin imports all of hypothesis, used or not: a third of
    # the CPU time of a small run in a process of its own.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    # One that runs tests around us may have leased the CPUs.
    monkeypatch.setenv("PYTEST_TFTHREADS_LEASES", str(pytester.path.parent / "leases"))
    # Two sources written within a second may be of one length, and their bytecode be mistaken.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    # The run around them may have imported the real one, which runs in this process would find.
    for name in [name for name in sys.modules if name.partition(".")[0] == "cpuinfo"]:
        monkeypatch.delitem(sys.modules, name)
    _put_first(monkeypatch, fake_cpuinfo)
    return pytester


class Suite:
    """A user's suite in a directory of its own."""

    def __init__(self, pytester):
        self.pytester = pytester
        self.path = pytester.path

    def write(self, source, **others):
        self.pytester.makepyfile(
            test_it="import pytest\n" + textwrap.dedent(source),
            **{name: textwrap.dedent(text) for name, text in others.items()},
        )
        return self

    def run(self, *args, processes=1, subprocess=False):
        args = (
            "-p",
            "no:cacheprovider",
            "--tf-threads-timeout=60",
            f"--tf-threads-processes={processes}",
            *args,
        )
        return self.pytest(*args, subprocess=subprocess)

    def pytest(self, *args, subprocess=False):
        """Run pytest with these arguments alone."""
        # Before 16.7 threads of pytest-rerunfailures that served workers would spin here for good.
        if subprocess or any(str(arg).startswith("-n") for arg in args):
            return self.pytester.runpytest_subprocess(*args)
        return self.pytester.runpytest_inprocess(*args)

    def results(self, *args, **kwargs):
        """Run with --benchmark-json; the outcome and the benchmarks by name."""
        result = self.run("--benchmark-json=out.json", *args, **kwargs)
        file = self.path / "out.json"
        # pytest-benchmark before 5.3 makes the file at once, and may have nothing to write.
        benchmarks = (
            json.loads(file.read_text())["benchmarks"]
            if file.exists() and file.stat().st_size
            else []
        )
        return result, {one["name"]: one for one in benchmarks}


@pytest.fixture(scope="session")
def fake_tensorflow():
    """The path of the fake, with its bytecode: runs of users' suites write none."""
    compileall.compile_dir(FAKE_TENSORFLOW, quiet=1)
    return FAKE_TENSORFLOW


@pytest.fixture
def suite(bare_pytester, monkeypatch, fake_tensorflow, fake_cpuinfo):
    """A suite with the fake TensorFlow first on the path of the run and of all its processes."""
    _put_first(monkeypatch, fake_tensorflow, fake_cpuinfo)
    return Suite(bare_pytester)


@pytest.fixture
def real_suite(bare_pytester):
    """A suite with the TensorFlow that is installed."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    return Suite(bare_pytester)


@pytest.fixture
def eventually():
    """Waits for what no machine, however busy, needs two minutes for."""

    def wait_until(holds):
        deadline_s = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < deadline_s, "it never came"
            time.sleep(0.02)

    return wait_until


def _runs(process):
    """Whether this psutil.Process has not ended."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def all_end(eventually):
    """Waits until none of the processes with these ids runs any more."""

    def runs(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            return _runs(psutil.Process(pid))
        return False

    return lambda pids: eventually(lambda: not any(runs(pid) for pid in pids))


@pytest.fixture
def no_leftovers():
    """Fails if the test leaves a process behind."""

    def running():
        found = psutil.Process().children(recursive=True)
        return {process for process in found if _runs(process)}

    before = running()
    yield
    deadline_s = time.monotonic() + 30
    while (left := running() - before) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not left
