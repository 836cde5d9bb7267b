"""Forked where that can be trusted, fresh elsewhere, and said so."""

import os

import pytest

BENCHMARK = """
@pytest.mark.benchmark(warmup=False, max_time=0.001)
@pytest.mark.tf_threads(intra=1, inter=1)
def test_it(benchmark):
    benchmark(int)
"""


def test_forks_a_preloaded_interpreter(suite):
    result, benchmarks = suite.write(BENCHMARK).results()
    result.assert_outcomes(passed=1)
    (measured,) = benchmarks.values()
    assert measured["extra_info"]["tf_threads"]["start"] == "fork"
    assert "fresh" not in measured["extra_info"]["tf_threads"]["flags"]


def test_forks_where_asyncio_acts_in_forks(suite, monkeypatch):
    monkeypatch.setenv("FAKE_TF_ASYNCIO", "1")
    in_test = "def test_it(benchmark):\n    assert 'asyncio' in sys.modules"
    suite.write("import sys\n" + BENCHMARK.replace("def test_it(benchmark):", in_test))
    result, benchmarks = suite.results()
    result.assert_outcomes(passed=1)
    (measured,) = benchmarks.values()
    assert measured["extra_info"]["tf_threads"]["start"] == "fork"


def test_fresh_on_demand(suite):
    result, benchmarks = suite.write(BENCHMARK).results("--tf-threads-start=fresh")
    result.assert_outcomes(passed=1)
    (measured,) = benchmarks.values()
    assert measured["extra_info"]["tf_threads"]["start"] == "fresh"
    result.stdout.fnmatch_lines(["*fresh: measured in a fresh process*"])


def test_fresh_where_an_import_starts_threads(suite, monkeypatch):
    monkeypatch.setenv("FAKE_TF_EAGER_THREAD", "1")
    result, benchmarks = suite.write(BENCHMARK).results()
    result.assert_outcomes(passed=1)
    (measured,) = benchmarks.values()
    assert measured["extra_info"]["tf_threads"]["start"] == "fresh"
    result.stdout.fnmatch_lines(["*not forked: 2 threads run after importing TensorFlow*"])


def test_fork_that_cannot_be_trusted_is_refused(suite, monkeypatch):
    monkeypatch.setenv("FAKE_TF_EAGER_THREAD", "1")
    result = suite.write(BENCHMARK).run("--tf-threads-start=fork")
    result.assert_outcomes(failed=1)
    text = " ".join(result.stdout.str().split())
    assert "--tf-threads-start=fork cannot be trusted here: 2 threads run" in text


def test_forks_have_random_numbers_of_their_own(suite):
    suite.write(
        """
        import pathlib, random

        @pytest.mark.tf_threads(intra=[1, 2, 3])
        def test_it():
            with pathlib.Path("numbers").open("a") as file:
                print(random.random(), file=file)
        """
    )
    suite.run().assert_outcomes(passed=3)
    assert len(set((suite.path / "numbers").read_text().split())) == 3


def test_user_modules_are_imported_after_the_configuration(suite):
    suite.write(
        """
        import os, tensorflow
        CPUS = len(os.sched_getaffinity(0))
        STARTED = tensorflow._state.started

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_it():
            assert STARTED
            assert CPUS == 1
        """,
        conftest="""
        import tensorflow
        STARTED = tensorflow._state.started
        """,
    )
    suite.run().assert_outcomes(passed=1)


def test_forks_import_nothing_of_the_plugin(suite):
    suite.write(
        """
        import sys, unittest

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_function(benchmark):
            benchmark.pedantic(int)
            assert sorted(plugin_modules() - BEFORE) == []

        @pytest.mark.tf_threads(intra=1, inter=1)
        class Test(unittest.TestCase):
            def test_method(self):
                assert sorted(plugin_modules() - BEFORE) == []

        from conftest import BEFORE, plugin_modules
        """,
        conftest="""
        import sys

        def plugin_modules():
            return {name for name in sys.modules if name.startswith("pytest_tfthreads.")}

        BEFORE = plugin_modules()
        """,
    )
    suite.run().assert_outcomes(passed=2)


def test_only_the_pytest_process_has_a_summary(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=[1, 2], inter=1)
        def test_it():
            pass
        """,
        conftest="""
        import os, pathlib

        def pytest_terminal_summary(terminalreporter):
            with pathlib.Path("summaries").open("a") as file:
                print(os.getpid(), file=file)
        """,
    )
    suite.run().assert_outcomes(passed=2)
    assert (suite.path / "summaries").read_text().split() == [str(os.getpid())]


@pytest.mark.parametrize("start", ["fork", "fresh"])
def test_a_measuring_process_has_the_plugins_of_the_run_and_reads_for_itself_what_is_installed(
    suite, start
):
    suite.write(
        """
        import conftest, importlib.metadata, pathlib

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_it(request):
            plugins = conftest.plugins_of(request.config)
            assert plugins == pathlib.Path("plugins").read_text()
            assert "pytest-benchmark" in plugins
            assert conftest.DISTRIBUTIONS is importlib.metadata.distributions
            assert conftest.DISTRIBUTIONS.__module__ == "importlib.metadata"
        """,
        conftest="""
        import importlib.metadata, os, pathlib

        DISTRIBUTIONS = importlib.metadata.distributions

        def plugins_of(config):
            manager = config.pluginmanager
            known = sorted({one.metadata["Name"] for _, one in manager.list_plugin_distinfo()})
            return repr((known, sorted(manager.rewrite_hook._must_rewrite)))

        def pytest_configure(config):
            if "PYTEST_TFTHREADS_PROCESS" not in os.environ:
                pathlib.Path("plugins").write_text(plugins_of(config))
        """,
    )
    suite.run(f"--tf-threads-start={start}", subprocess=True).assert_outcomes(passed=1)
