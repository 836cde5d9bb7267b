"""Beside other plugins that people have."""

import pytest

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
            if not item.config.pluginmanager.hasplugin("tfthreads-measuring"):
                signal.signal(signal.SIGALRM, fail)
                signal.setitimer(signal.ITIMER_REAL, 0.5)
            yield
            signal.setitimer(signal.ITIMER_REAL, 0)
        """,
    )
    result = suite.run(subprocess=True)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["timed-out: Timeout (>0.5s)*"])


def test_coverage_does_not_slow_what_is_measured(suite):
    pytest.importorskip("pytest_cov")
    suite.write(SOURCE, helper="def answer():\n    return 42\n")
    result = suite.run("--cov=helper", "--cov-report=term", subprocess=True)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["helper.py * 100%"])
    assert [path.name for path in suite.path.glob(".coverage*")] == [".coverage"]


@pytest.mark.parametrize("dist", ["load", "loadfile", "worksteal"])
def test_xdist_runs_and_records_once(suite, dist):
    suite.write(SOURCE, helper="def answer():\n    return 42\n")
    result, benchmarks = suite.results("-n2", f"--dist={dist}", subprocess=True)
    result.assert_outcomes(passed=3)
    assert sorted(benchmarks) == ["test_marked[intra1-interauto]", "test_marked[intra2-interauto]"]


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


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_values_of_subtests_are_shown_as_those_of_unmarked_tests(suite, args):
    if int(pytest.__version__.partition(".")[0]) < 9:
        pytest.skip("pytest has subtests since 9.0")
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
