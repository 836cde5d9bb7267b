"""On Windows and macOS the plugin loads, and marked tests run unmeasured or are skipped."""

import json
import os
import sys
from pathlib import Path

import pytest

from pytest_tfthreads import watch

FOREIGN = Path(__file__).parents[1] / "foreign_platform"
SUITE = """
import pytest

calls = []

def test_plain(benchmark):
    benchmark(calls.append, "plain")

@pytest.mark.tf_threads(intra=[1, 2], inter=1, env={"SOME": "1"})
def test_marked(benchmark):
    benchmark(calls.append, "marked")

@pytest.mark.tf_threads(1, 1)
def test_with_unit(tf_benchmark, tf_threads):
    tf_benchmark(calls.append, "unit", items=3, unit="images")
    tf_benchmark.benchmark._mode = None  # pytest-benchmark lets itself be used once
    tf_benchmark.dataset(Dataset(), batches=5)
    assert (tf_threads.intra, tf_threads.inter) == (0, 0)
    assert tf_threads.cpus

class Dataset:
    def repeat(self):
        return range(100)

def test_each_was_called_once_or_not_at_all():
    print("calls:", calls.count("marked"), calls.count("unit"), calls.count("plain") > 1)
"""


@pytest.fixture
def saved(suite):
    """A suite with two runs that were saved on Linux; the second is twice as slow."""
    suite.write(
        """
        from exact_time import sleep

        @pytest.mark.benchmark(warmup=False, max_time=0.1)
        @pytest.mark.tf_threads(1, 1, tolerance={"cpu_efficiency": "99%"})
        def test_it(benchmark):
            benchmark(sleep, float(open("ms").read()) / 1000)
        """
    )
    for ms in (5, 10):
        (suite.path / "ms").write_text(str(ms))
        suite.run(f"--benchmark-save={ms}ms", processes=2).assert_outcomes(passed=1)
    return suite


@pytest.fixture
def elsewhere(request, suite, fake_cpuinfo, monkeypatch):
    monkeypatch.setenv("FOREIGN_PLATFORM", getattr(request, "param", "win32"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOREIGN), str(fake_cpuinfo)]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return suite


def run(suite, *args):
    plugins = ("pytest_benchmark.plugin", "foreign_platform", "pytest_tfthreads.plugin")
    loaded = [one for name in plugins for one in ("-p", name)]
    # pytest asks Windows for its console before it captures by file descriptor.
    return suite.pytester.runpytest_subprocess(*loaded, "--capture=sys", "-rA", *args)


@pytest.mark.parametrize("elsewhere", ["darwin", "win32"], indirect=True)
def test_marked_tests_run_unmeasured(elsewhere):
    elsewhere.write(SUITE)
    result = run(elsewhere, "--benchmark-json=out.json")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "calls: 2 1 True",
            "tf_threads: marked tests ran, but were not measured: measuring needs Linux (*",
        ]
    )
    assert result.stdout.str().count("measuring needs Linux") == 1
    written = json.loads((elsewhere.path / "out.json").read_text())
    assert [one["name"] for one in written["benchmarks"]] == ["test_plain"]
    assert "tf_threads" not in written


def test_or_are_skipped(elsewhere):
    elsewhere.write(SUITE)
    (elsewhere.path / "pytest.ini").write_text("[pytest]\ntf_threads_elsewhere = skip\n")
    result = run(elsewhere)
    result.assert_outcomes(passed=2, skipped=3)
    result.stdout.fnmatch_lines(
        [
            "calls: 0 0 True",
            "tf_threads: marked tests were skipped: measuring needs Linux (*",
            "SKIPPED * tf_threads: measuring needs Linux (--tf-threads-elsewhere=skip)",
        ]
    )


def test_doctests_beside_marked_tests_are_none(elsewhere):
    elsewhere.write(
        """
        pytestmark = pytest.mark.tf_threads(1, 1)

        def double(x):
            \"\"\"
            >>> double(2)
            4
            \"\"\"
            return 2 * x

        def test_it():
            pass
        """
    )
    result = run(elsewhere, "--doctest-modules", "--tf-threads-elsewhere=skip")
    result.assert_outcomes(passed=1, skipped=1)
    assert str(result.stdout).count("--tf-threads-elsewhere=skip") == 1


def test_what_is_wrong_is_told_all_the_same(elsewhere):
    elsewhere.write("@pytest.mark.tf_threads(intar=1)\ndef test_mistaken(): pass")
    result = run(elsewhere)
    assert "intar" in result.stdout.str()
    assert result.ret not in (0, pytest.ExitCode.INTERNAL_ERROR)
    result = run(elsewhere, "--tf-threads-elsewhere=perhaps")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--tf-threads-elsewhere: 'perhaps' is none of run, skip"])


def test_options_that_ask_for_measurements_break_nothing(elsewhere):
    elsewhere.write(SUITE)
    result = run(
        elsewhere,
        *("-k", "marked or plain", "--tf-threads=1x1,2x2,3x3", "--tf-threads-search"),
        *("--tf-threads-report=report.html", "--benchmark-autosave", "--benchmark-compare"),
        *("--tf-threads-fail-on=no-baseline", "--tf-threads-profile=traces"),
    )
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*were not measured: measuring needs Linux*"])
    assert len(list((elsewhere.path / ".benchmarks").glob("*/*.json"))) == 1


def test_unmarked_suites_are_told_nothing(elsewhere):
    elsewhere.write("def test_plain(): pass")
    result = run(elsewhere)
    result.assert_outcomes(passed=1)
    assert "tf_threads" not in result.stdout.str() + result.stderr.str()


def test_the_commands_work_but_for_the_doctor(saved, elsewhere):
    (elsewhere.path / "0001_x.json").write_text('{"benchmarks": [], "machine_info": {}}')

    def command(*args):
        # SciPy is this platform's, and not on trial.
        before = "import scipy.special, foreign_platform"
        script = f"{before}; from pytest_tfthreads.cli import main; main({args})"
        return elsewhere.pytester.run(sys.executable, "-c", script)

    result = command("list")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["0001  5ms *", "0002  10ms *"])
    result = command("history")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["2 saved runs: *", "test_it.py::test_it* calls/s *"])
    result = command("compare", "0001", "0002")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*test_it* calls/s * −50 % * regression"])
    result = command("doctor", "--tolerance=5%", "--json")
    assert result.ret == 2
    result.stderr.fnmatch_lines(["pytest-tfthreads: error: doctor * measuring needs Linux*"])
    assert command("--help").ret == 0
    for args in (("list", "0001_x.json"), ("history", "0001_x.json"), ("compare", "0001_x.json")):
        result = command(*args)
        assert "Traceback" not in result.stderr.str(), args
        assert result.stderr.lines[0].startswith("pytest-tfthreads: error: "), args
        assert "Linux" not in result.stderr.str()


def test_a_controller_that_cannot_measure_refuses_workers_that_can(suite, monkeypatch):
    monkeypatch.setattr(watch, "can_measure", lambda: False)
    config = suite.pytester.parseconfig("-p", "no:cacheprovider")
    with pytest.raises(pytest.UsageError, match="start pytest on Linux, too"):
        watch.Watch(config)._saw_in_a_worker()
