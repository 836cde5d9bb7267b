"""Plugins of pytest's own that a user leaves out with `-p no:NAME`."""

import pytest
from _pytest import config as pytests

pytestmark = pytest.mark.usefixtures("no_leftovers")

# Without it pytest itself collects no test.
_NEEDED = {*pytests.essential_plugins, "python"}
LEFT_OUT = [name for name in pytests.default_plugins if name not in _NEEDED]

SUITE = """
import time

@pytest.mark.tf_threads(configs=[(1, 1), (1, 2)])
def test_measured(benchmark):
    print("captured, or not")
    benchmark(time.sleep, 0.0001)

@pytest.mark.tf_threads(1, 1)
def test_marked():
    pass

def test_unmarked():
    pass
"""


@pytest.mark.parametrize("name", LEFT_OUT)
def test_measures_without_it(suite, name):
    suite.write(SUITE)
    result, benchmarks = suite.results("-p", f"no:{name}", "--benchmark-max-time=0.002")
    assert result.ret == pytest.ExitCode.OK, result.stdout.str() + result.stderr.str()
    assert list(benchmarks) == ["test_measured[intra1-inter1]", "test_measured[intra1-inter2]"]
    if name != "terminal":
        result.assert_outcomes(passed=4)


def test_traces_without_a_debugger(suite):
    suite.write(SUITE)
    traces = suite.path / "traces"
    result, _ = suite.results(
        *("-p", "no:debugging", "--benchmark-max-time=0.002", f"--tf-threads-profile={traces}")
    )
    assert result.ret == pytest.ExitCode.OK, result.stdout.str() + result.stderr.str()
    result.stdout.fnmatch_lines(["Traces: tensorboard --logdir *"])


def test_failures_are_told_without_the_plugin_of_reports(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(1, 1)
        def test_fails():
            assert 1 == 2

        @pytest.mark.tf_threads(1, 1)
        def test_skips():
            pytest.skip("a reason")
        """
    )
    result = suite.run("-p", "no:reports", "-rs")
    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines(["E * assert 1 == 2", "SKIPPED * a reason"])
