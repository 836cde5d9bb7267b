"""Nothing computes beside a measurement, whichever processes of a user measure and compute."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_tfthreads.system.leases.leases import Leases

# Each process notes when its test began and ended, and whether it measures.
SUITE = """
import contextlib, json, os, time

@contextlib.contextmanager
def noted(measures):
    begun_s = time.monotonic()
    yield
    line = json.dumps([begun_s, time.monotonic(), measures])
    with open(os.environ["NOTES"], "a") as file:
        file.write(line + "\\n")

@pytest.mark.tf_threads(1, 1)
@pytest.mark.parametrize("number", [1, 2])
def test_measured(benchmark, number):
    with noted(True):
        benchmark(sum, range(100))

@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_plain(number):
    with noted(False):
        time.sleep(0.3)
"""
ARGUMENTS = ("-p", "no:cacheprovider", "--tf-threads-processes=2", "--benchmark-max-time=0.1")


@pytest.fixture
def notes(suite, monkeypatch):
    """Of all tests that ran: pairs of those that overlapped, of which one measured."""
    path = suite.path / "notes"
    monkeypatch.setenv("NOTES", str(path))

    def read():
        tests = [json.loads(line) for line in path.read_text().splitlines()]
        disturbed = [
            (one, other)
            for one, other in itertools.combinations(tests, 2)
            if (one[2] or other[2]) and one[0] < other[1] and other[0] < one[1]
        ]
        return len(tests), disturbed

    return read


def start(suite, *args):
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *ARGUMENTS, *args],
        cwd=suite.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_runs_at_once_do_not_disturb_each_other(suite, notes, args):
    suite.write(SUITE)
    runs = [start(suite, *args, f"--benchmark-json={number}.json") for number in (1, 2)]
    told = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    assert notes() == (2 * (2 * 2 + 4), [])
    for number in (1, 2):
        benchmarks = json.loads((suite.path / f"{number}.json").read_text())["benchmarks"]
        assert len(benchmarks) == 2
        assert all("xdist" not in one["extra_info"]["tf_threads"]["flags"] for one in benchmarks)


def test_packed_measurements_run_at_once_on_cpus_of_their_own(suite):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is but one CPU")
    # Each process waits for one of the other test, but not for ever: that one may wait for its own
    # turn to import TensorFlow.
    suite.write(
        """
        import os, pathlib, time

        def wait_for(path):
            deadline_s = time.monotonic() + 15
            while not path.exists() and time.monotonic() < deadline_s:
                time.sleep(0.01)
            return path.exists()

        @pytest.mark.tf_threads(1, 1)
        @pytest.mark.parametrize("number", [1, 2])
        def test_it(benchmark, number):
            here, there = (pathlib.Path(f"here{one}") for one in (number, 3 - number))
            here.write_text(str(sorted(os.sched_getaffinity(0))))
            has_met = pathlib.Path(f"met{number}").exists()
            if not has_met and wait_for(there):
                pathlib.Path(f"met{number}").write_text(here.read_text())
                wait_for(pathlib.Path(f"met{3 - number}"))
            benchmark(sum, range(100))
            here.unlink()
        """
    )
    result, benchmarks = suite.results(
        "-n2", "--tf-threads-pack", "--benchmark-max-time=0.1", processes=3, subprocess=True
    )
    result.assert_outcomes(passed=2)
    first, second = ((suite.path / f"met{number}").read_text() for number in (1, 2))
    assert first != second
    assert len(json.loads(first)) == len(json.loads(second)) == 1
    for one in benchmarks.values():
        assert "packed" in one["extra_info"]["tf_threads"]["flags"]


@pytest.fixture
def leases(suite):
    return Leases(Path(os.environ["PYTEST_TFTHREADS_LEASES"]))


@pytest.mark.parametrize("args", [(), ("-n1",)])
def test_waiting_is_shown_and_comes_to_an_end(suite, notes, leases, args):
    suite.write(SUITE)
    with leases.exclusive("another measurement"):
        run = start(suite, *args)
        lines = iter(run.stdout.readline, "")
        waiting = next(line for line in lines if "waiting for the CPUs" in line)
        assert "another measurement" in waiting
        assert str(os.getpid()) in waiting
    with run:
        rest = "".join(lines)
    assert run.returncode == 0, rest


def test_waiting_for_too_long_is_an_error(suite, notes, leases):
    suite.write(SUITE)
    # While tests are collected the machine is free; then others measure on it.
    suite.write(SUITE, conftest="def pytest_runtestloop():\n    print('begins')\n    input()\n")
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *ARGUMENTS, "-s", "--tf-threads-lease-timeout=0.5"],
        cwd=suite.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = iter(run.stdout.readline, "")
    assert any("begins" in line for line in lines)
    with leases.exclusive("another measurement"):
        told = " ".join(run.communicate("go\n", timeout=300)[0].split())
    assert run.returncode != 0
    assert "another measurement" in told
    assert "--tf-threads-lease-timeout" in told
    assert "Traceback" not in told


def test_place_that_others_may_write_is_not_used_and_told_of(suite, tmp_path, monkeypatch):
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o777)
    monkeypatch.setenv("PYTEST_TFTHREADS_LEASES", str(place))
    suite.write("@pytest.mark.tf_threads(1, 1)\ndef test_it(benchmark): benchmark(sum, range(100))")
    result = suite.run("--benchmark-max-time=0.1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*no-lease*", f"warning: *{place} may be written by others*"])
    assert not list(place.iterdir())


MEASURES = """
import sys, time
from pytest_tfthreads.system.leases.leases import Leases
from pytest_tfthreads.system.leases.queue import Ticket, Want

ticket = Ticket(Leases().folder() / "lock", Want())
print("comes first" if ticket.advance() else "waits", flush=True)
while not ticket.advance():
    time.sleep(0.01)
sys.stdin.read()
"""
# The other process lines up while the run has a lease, for its collection, and has not begun to
# import TensorFlow. It measures until the first test has failed.
ANOTHER_MEASURES = f"""
import subprocess, sys

def pytest_collection_modifyitems(config):
    if config.pluginmanager.hasplugin("tfthreads-watch"):
        config.another = subprocess.Popen(
            [sys.executable, "-c", {MEASURES!r}],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert config.another.stdout.readline().strip() == "waits"

def pytest_runtest_logreport(report):
    if report.failed and config.another.poll() is None:
        config.another.communicate()

def pytest_configure(config):
    globals()["config"] = config
"""


def test_an_import_that_waited_in_vain_fails_one_test_and_no_other(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(1, 1)
        @pytest.mark.parametrize("number", [1, 2, 3])
        def test_it(number): pass
        """,
        conftest=ANOTHER_MEASURES,
    )
    # A test that an option may leave out is nobody's reason to import TensorFlow.
    result = suite.run("-k", "test_it", "--tf-threads-lease-timeout=1", subprocess=True)
    result.assert_outcomes(passed=2, failed=1)
    told = " ".join(result.stdout.str().split())
    assert "no-lease: importing TensorFlow waited" in told
    assert "preload" not in told
