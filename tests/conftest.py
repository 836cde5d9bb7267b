"""Fixtures that run pytest as a user does, with a fake TensorFlow or the real one."""

import importlib.util
import json
import textwrap
from pathlib import Path

import psutil
import pytest
import scipy.special  # noqa: F401 - pytester forgets what its runs import, but NumPy loads only once

pytest_plugins = ["pytester"]

FAKE_TENSORFLOW = Path(__file__).parent / "fake_tensorflow"


@pytest.fixture
def bare_pytester(monkeypatch, pytester):
    """A pytester whose runs know nothing of the run around them."""
    for name in (
        "GITHUB_ACTIONS",
        "GITHUB_STEP_SUMMARY",
        "PYTEST_ADDOPTS",
        "PYTEST_XDIST_WORKER",
    ):
        monkeypatch.delenv(name, raising=False)
    # One that runs tests around us may have leased the CPUs.
    monkeypatch.setenv("PYTEST_TFTHREADS_LEASES", str(pytester.path.parent / "leases"))
    # Two sources written within a second may be of one length, and their bytecode be mistaken.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr("sys.dont_write_bytecode", True)
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
            "--tf-threads-timeout=30",
            f"--tf-threads-processes={processes}",
            *args,
        )
        if subprocess:
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


@pytest.fixture
def suite(bare_pytester, monkeypatch):
    """A suite with the fake TensorFlow first on the path of the run and of all its processes."""
    monkeypatch.syspath_prepend(FAKE_TENSORFLOW)
    monkeypatch.setenv("PYTHONPATH", str(FAKE_TENSORFLOW))
    return Suite(bare_pytester)


@pytest.fixture
def real_suite(bare_pytester):
    """A suite with the TensorFlow that is installed."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    return Suite(bare_pytester)


@pytest.fixture
def once_of_three():
    """For what a rule errs in by chance, in a few percent of runs: not in three runs of three."""
    return lambda holds: any(holds() for _ in range(3))


@pytest.fixture
def no_leftovers():
    """Fails if the test leaves a process behind."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield
    psutil.wait_procs(psutil.Process().children(recursive=True), timeout=5)
    left = [
        process
        for process in psutil.Process().children(recursive=True)
        if process.pid not in before and process.status() != psutil.STATUS_ZOMBIE
    ]
    assert not left
