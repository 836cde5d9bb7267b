"""Beside other plugins that people have."""

import json
import sqlite3
import subprocess
import sys

import pytest

from builders import flat

SOURCE = """
@pytest.mark.benchmark(warmup=False, max_time=0.001)
@pytest.mark.tf_threads(intra=[1, 2])
def test_marked(benchmark):
    import sys
    benchmark(int)
    assert sys.gettrace() is None

def test_local():
    import helper
    assert helper.answer() == 42
"""


def test_failure_that_is_raised_while_we_wait_is_the_tests(suite):
    """As pytest-timeout does, from a signal's handler."""
    suite.write(
        """
        import signal, time

        @pytest.mark.tf_threads(intra=1)
        def test_slow():
            time.sleep(1000)

        def test_after():
            pass
        """,
        conftest="""
        import signal
        import pytest

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_protocol(item):
            def fail(*_):
                pytest.fail("Timeout (>0.5s)")
            is_here = not item.config.pluginmanager.hasplugin("tfthreads-measuring")
            if is_here and item.name.startswith("test_slow"):
                signal.signal(signal.SIGALRM, fail)
                signal.setitimer(signal.ITIMER_REAL, 0.5)
            yield
            signal.setitimer(signal.ITIMER_REAL, 0)
        """,
    )
    result = suite.run(subprocess=True)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["timed-out: Timeout (>0.5s)*"])


def test_waiting_for_those_who_measure_is_no_part_of_a_test_that_is_not_ours(suite):
    """Clocks such as pytest-timeout's begin with the protocol of the test."""
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_marked():
            pass

        def test_plain():
            pass
        """,
        measures="""
        import time
        from pytest_tfthreads.system.leases.leases import Leases

        with Leases().exclusive("measuring"):
            print("measures", flush=True)
            time.sleep(3)
        """,
        conftest="""
        import subprocess, sys, time
        import pytest

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_protocol(item):
            is_here = not item.config.pluginmanager.hasplugin("tfthreads-measuring")
            begun_s = time.monotonic()
            yield
            if is_here and item.name == "test_plain":
                item.config.took_s = time.monotonic() - begun_s
            elif is_here:
                other = subprocess.Popen([sys.executable, "measures.py"], stdout=subprocess.PIPE)
                other.stdout.readline()

        def pytest_terminal_summary(terminalreporter):
            took_s = getattr(terminalreporter.config, "took_s", None)
            if took_s is not None:
                terminalreporter.write_line(f"waited within: {took_s > 2}")
        """,
    )
    result = suite.run(subprocess=True)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["waited within: False"])


def test_a_path_object_in_the_module_path_is_ignored_as_python_does(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_marked():
            pass

        def test_plain():
            pass
        """,
        conftest="import pathlib, sys\nsys.path.append(pathlib.Path('elsewhere'))",
    )
    suite.run(subprocess=True).assert_outcomes(passed=2)


def test_a_directory_of_temporary_files_that_cannot_be_had_is_no_matter_where_none_is_asked_for(
    suite,
):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_marked():
            pass
        """,
        conftest="""
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_configure(config):
            def refuses():
                raise OSError("not owned by the current user")

            if not config.pluginmanager.hasplugin("tfthreads-measuring"):
                config._tmp_path_factory.getbasetemp = refuses
        """,
    )
    suite.run(subprocess=True).assert_outcomes(passed=1)


@pytest.mark.parametrize("start", ["fork", "fresh"])
def test_a_file_named_like_a_module_of_python_is_found_by_nobody(suite, start):
    """Pytest as a script has no current directory in its path."""
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_marked():
            pass
        """,
        types="X = 1\n",
    )
    script = (
        "import sys; sys.path[:] = filter(None, sys.path); import pytest; "
        f"sys.exit(pytest.main(['--tf-threads-start={start}', '-p', 'no:cacheprovider', "
        "'--import-mode=importlib']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=suite.path, capture_output=True, text=True
    )
    assert "1 passed" in run.stdout, run.stdout + run.stderr


COVERED = """
import threading
import helper

@pytest.mark.benchmark(max_time=0.001)
@pytest.mark.tf_threads(intra=1)
def test_measured(benchmark, tmp_path):
    traced = set()
    benchmark(helper.measured, traced, 1)
    assert traced == {(False, False), (True, True)}  # in all rounds, and in the last call
    helper.after()

@pytest.mark.tf_threads(intra=[1, 2])
def test_marked(tf_threads):
    helper.branches(tf_threads.intra)

@pytest.mark.tf_threads(intra=[1, 2])
def test_in_the_same_process():
    helper.later()

class TestNothing:
    @pytest.mark.no_cover
    @pytest.mark.tf_threads(intra=1)
    def test_left_out(self):
        helper.never()
"""
HELPER = """
import sys
import threading

def measured(traced, number):
    traced.add((sys.gettrace() is not None, threading.gettrace() is not None))
    return number

def after():
    return 1

def branches(intra):
    if intra == 1:
        return "one"
    return "two"

def later():
    return 2

def never():
    return 0
"""


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_coverage_counts_marked_tests_and_leaves_rounds_alone(suite, args, monkeypatch):
    pytest.importorskip("pytest_cov")
    monkeypatch.setenv("COVERAGE_CORE", "ctrace")
    suite.write(COVERED, helper=HELPER)
    result = suite.run(
        *("--cov=helper", "--cov-branch", "--cov-report=term-missing", "--cov-context=test"),
        *("--cov-report=json", "--cov-fail-under=90", *args),
        subprocess=True,
    )
    result.assert_outcomes(passed=6)
    assert result.ret == 0
    report = json.loads((suite.path / "coverage.json").read_text())["files"]["helper.py"]
    source = HELPER.strip().splitlines()
    assert [source[line - 1].strip() for line in report["missing_lines"]] == ["return 0"]
    assert report["missing_branches"] == []
    assert [path.name for path in suite.path.glob(".coverage*")] == [".coverage"]
    data = sqlite3.connect(suite.path / ".coverage")
    contexts = {context for (context,) in data.execute("select context from context")}
    data.close()
    assert "test_it.py::test_measured[intra1-interauto]|run" in contexts
    assert "test_it.py::test_marked[intra2-interauto]|run" in contexts
    assert "test_it.py::test_in_the_same_process[intra2-interauto]|run" in contexts


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_where_marked_tests_do_not_count_for_coverage_this_is_told_once(suite, args):
    pytest.importorskip("pytest_cov")
    suite.write(
        """
        import helper

        @pytest.mark.benchmark(max_time=0.001)
        @pytest.mark.tf_threads(intra=[1, 2])
        def test_measured(benchmark):
            benchmark(helper.work)
        """,
        helper="def work():\n    a = 1\n    b = a\n    return b\n",
    )
    asked = ("--cov=helper", "--cov-report=json", *args)
    for more, is_told in (((), True), (("--tf-threads-duet=off",), False)):
        result = suite.run(*asked, "--benchmark-compare", *more, subprocess=True)
        assert flat(result).count("tests with the marker do not count for coverage") == is_told
        totals = json.loads((suite.path / "coverage.json").read_text())["totals"]
        assert (totals["missing_lines"] == 3) is is_told
    if not args:  # nobody asks for coverage
        result = suite.run("--benchmark-compare", subprocess=True)
        assert "for coverage" not in flat(result)


def test_coverage_run_counts_marked_tests(suite):
    pytest.importorskip("coverage")
    suite.write(
        "import helper\n\n@pytest.mark.tf_threads(intra=1)\ndef test_it():\n    helper.f()\n"
    )
    (suite.path / "helper.py").write_text("def f():\n    return 1\n")
    run = [sys.executable, "-m", "coverage"]
    subprocess.run(
        [*run, "run", "--include=helper.py", "-m", "pytest", "-p", "no:cacheprovider"],
        check=True,
        cwd=suite.path,
    )
    shown = subprocess.run(
        [*run, "report"], check=True, cwd=suite.path, capture_output=True, text=True
    )
    assert "100%" in shown.stdout


def test_hooks_of_a_conftest_see_the_reports(suite):
    suite.write(
        SOURCE,
        helper="def answer():\n    return 42\n",
        conftest="""
        def pytest_runtest_logreport(report):
            with open("reports", "a") as file:
                print(report.when, report.nodeid, report.outcome, file=file)
        """,
    )
    suite.run("-k", "marked").assert_outcomes(passed=2, deselected=1)
    lines = (suite.path / "reports").read_text().splitlines()
    here = [line for line in lines if line.startswith("call") and "intra1" in line]
    assert len(here) == 2  # once in the measuring process, once here


has_subtests = pytest.mark.skipif(
    pytest.version_tuple < (9,), reason="pytest has subtests since 9.0"
)


@has_subtests
def test_a_test_of_which_a_subtest_is_skipped_is_measured(suite):
    suite.write(
        """
        import time, unittest

        @pytest.mark.tf_threads(configs=[(1, 1), (1, 2)])
        def test_parts(subtests, benchmark):
            for number in range(5):
                with subtests.test(i=number):
                    if number == 2:
                        pytest.skip("not here")
                    time.sleep(0.02)
            benchmark(int)
            with subtests.test("short"):
                pass

        @pytest.mark.tf_threads(1, 1)
        class TestParts(unittest.TestCase):
            def test_parts(self):
                for number in range(5):
                    with self.subTest(i=number):
                        time.sleep(0.02)
        """,
        conftest="""
        def pytest_runtest_logreport(report):
            with open("times", "a") as file:
                print(report.when, hasattr(report, "context"), report.duration, file=file)
        """,
    )
    arguments = ("-p", "no:cacheprovider", "--benchmark-max-time=0.1", "--tf-threads-processes=1")
    result = suite.pytest(*arguments, "--benchmark-json=out.json")
    assert result.ret == 0
    assert "test_parts[intra1-inter1]" in (suite.path / "out.json").read_text()
    lines = [line.split() for line in (suite.path / "times").read_text().splitlines()]
    assert all(float(line[2]) >= 0 for line in lines)
    # unittest's parts have no time of their own, and none is made of the whole.
    calls = [float(line[2]) for line in lines if line[:2] == ["call", "False"]]
    assert len(calls) == 3 * 2  # of each once in the measuring process, once here
    assert all(0.1 <= took_s < 30 for took_s in calls)


@has_subtests
@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_values_of_subtests_are_shown_as_those_of_unmarked_tests(suite, args):
    suite.write(
        """
        def fails(subtests):
            with subtests.test(msg="m", i=2, name="x"):
                assert 0

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_marked(subtests):
            fails(subtests)

        def test_plain(subtests):
            fails(subtests)
        """
    )
    result = suite.run("-rA", *args, subprocess=True)
    lines = [line for line in result.stdout.lines if line.startswith("SUBFAILED[m]")]
    shown = [line.partition("]")[2].partition(")")[0] for line in lines]
    assert len(shown) == 2
    assert shown[0] == shown[1]
    assert "i=2" in shown[0] or "i='2'" in shown[0]
