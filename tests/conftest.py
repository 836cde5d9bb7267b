"""Fixtures that run pytest as a user does, on a fake TensorFlow unless a test wants the real one."""

import json
import textwrap
from pathlib import Path

import psutil
import pytest

pytest_plugins = ["pytester"]

FAKE_TENSORFLOW = Path(__file__).parent / "fake_tensorflow"

# A benchmark that costs next to nothing, for tests that are not about its figures.
QUICK = "@pytest.mark.benchmark(warmup=False, max_time=0.001, min_time=0.0001)"


@pytest.fixture
def fake_tensorflow(monkeypatch, pytester):
    """Put the fake TensorFlow first on the path of the run and of all its processes."""
    monkeypatch.syspath_prepend(FAKE_TENSORFLOW)
    monkeypatch.setenv("PYTHONPATH", str(FAKE_TENSORFLOW))
    for name in ("GITHUB_ACTIONS", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    return pytester


class Suite:
    """A user's suite in a directory of its own."""

    def __init__(self, pytester):
        self.pytester = pytester
        self.path = pytester.path

    def write(self, source, **others):
        self.pytester.makepyfile(test_it="import pytest\n" + textwrap.dedent(source), **{name: textwrap.dedent(text) for name, text in others.items()})
        return self

    def run(self, *args, processes=1, subprocess=False):
        args = ("-p", "no:cacheprovider", "--tf-threads-timeout=30", f"--tf-threads-processes={processes}", *args)
        if subprocess:
            return self.pytester.runpytest_subprocess(*args)
        return self.pytester.runpytest_inprocess(*args)

    def results(self, *args, **kwargs):
        """Run with --benchmark-json; the outcome and the benchmarks by name."""
        result = self.run("--benchmark-json=out.json", *args, **kwargs)
        file = self.path / "out.json"
        benchmarks = json.loads(file.read_text())["benchmarks"] if file.exists() else []
        return result, {one["name"]: one for one in benchmarks}


@pytest.fixture
def suite(fake_tensorflow):
    return Suite(fake_tensorflow)


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
