"""What is configured before TensorFlow starts, and how a measuring process is known."""

import re
from pathlib import Path

import pytest

from builders import flat

HOOK = """
    import tensorflow as tf

    def pytest_tfthreads_configure(config, tf_threads):
        print("the hook's own words")
        tf.set_logical_devices(3)
        config.configured = config.configured + 1 if hasattr(config, "configured") else 1
        config.told = tf_threads
"""


def test_the_hook_configures_before_the_runtime_starts(suite):
    suite.write(
        """
        import tensorflow as tf

        assert tf._state.started or not tf._state.intra  # here it has started, or never does

        @pytest.mark.tf_threads(intra=[2, 1], inter=1, cpus=2)
        def test_devices(tf_threads, pytestconfig):
            assert len(tf.config.list_logical_devices()) == 3
            assert pytestconfig.configured == 1
            assert pytestconfig.told == tf_threads

        @pytest.mark.tf_threads(inter=2)
        def test_left_to_tensorflow(tf_threads, pytestconfig):
            assert pytestconfig.told.intra == 0
            assert tf_threads.intra == len(tf_threads.cpus)

        def test_here(pytestconfig):
            assert not hasattr(pytestconfig, "told")
        """,
        conftest=HOOK,
    )
    suite.run().assert_outcomes(passed=4)
    suite.run("--tf-threads-start=fresh", "-k", "devices").assert_outcomes(passed=2, deselected=2)


def test_the_hook_in_a_directory_below_configures_the_tests_there_only(suite):
    suite.write("")
    below = suite.pytester.mkpydir("below")
    beside = suite.pytester.mkpydir("beside")
    source = """
import pytest
from builders import flat
import tensorflow as tf

@pytest.mark.tf_threads(intra=1, inter=1)
def test_devices():
    assert len(tf.config.list_logical_devices()) == {}
"""
    (below / "conftest.py").write_text(
        "import tensorflow as tf\n"
        "def pytest_tfthreads_configure():\n"
        "    tf.set_logical_devices(4)\n"
    )
    (below / "test_below.py").write_text(source.format(4))
    (beside / "test_beside.py").write_text(source.format(1))
    suite.run().assert_outcomes(passed=2)


def test_a_mistake_in_the_hook_is_told_with_its_own_traceback(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        @pytest.mark.xfail(reason="the test, not the hook")
        def test_it():
            pass

        def test_here():
            pass
        """,
        conftest="""
        def devices():
            raise LookupError("no such device")

        def pytest_tfthreads_configure(tf_threads):
            devices()
        """,
    )
    result = suite.run()
    result.assert_outcomes(failed=1, passed=1)
    lines = result.stdout.lines
    first = lines.index(next(line for line in lines if line.startswith("configure-failed")))
    assert lines[first] == "configure-failed: LookupError: no such device"
    text = "\n".join(lines[first:])
    assert "conftest.py:5: in pytest_tfthreads_configure" in text
    assert "E   LookupError: no such device" in text
    assert "pluggy" not in text
    assert "pytest_tfthreads/" not in text


def test_a_hook_that_skips_fails_or_ends_the_session(suite, monkeypatch):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_it():
            pass
        """,
        conftest="""
        import os, pytest

        def pytest_tfthreads_configure():
            getattr(pytest, os.environ["HOW"])("not today")
        """,
    )
    how = monkeypatch.setenv
    how("HOW", "skip")
    result = suite.run("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*not today"])
    how("HOW", "fail")
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["configure-failed: Failed: not today"])
    how("HOW", "exit")
    result = suite.run()
    result.assert_outcomes(failed=0)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*Exit: not today*"])


def test_a_hook_with_an_unknown_argument_is_refused_when_it_is_loaded(suite):
    suite.write("def test_it(): pass", conftest="def pytest_tfthreads_configure(threads): pass")
    result = suite.run(subprocess=True)
    assert result.ret != 0
    result.stderr.fnmatch_lines(["*pytest_tfthreads_configure*"])


def test_threads_are_verified_whoever_has_started_the_runtime(suite, monkeypatch):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=2, inter=1)
        def test_it(tf_threads):
            assert (tf_threads.intra, tf_threads.inter) == (2, 1)
        """,
        conftest="""
        import os, threading
        import tensorflow as tf
        threading.Thread(target=threading.Event().wait, daemon=True).start()

        def pytest_configure(config):
            if os.environ["WHO"] == "conftest":
                tf.constant(1)

        def pytest_tfthreads_configure():
            if os.environ["WHO"] == "hook":
                tf.constant(1)
            if os.environ["WHO"] == "other-threads":
                tf.config.threading.set_intra_op_parallelism_threads(3)
        """,
    )
    for who in ("conftest", "hook", "nobody"):
        monkeypatch.setenv("WHO", who)
        suite.run().assert_outcomes(passed=1)
        monkeypatch.setenv("FAKE_TF_IGNORES_INTRA", "1")
        result = suite.run()
        result.assert_outcomes(failed=1)
        assert "asked TensorFlow 0.0-fake for 2 intra-op threads, but counted" in flat(result)
        monkeypatch.delenv("FAKE_TF_IGNORES_INTRA")
    monkeypatch.setenv("WHO", "other-threads")
    result = suite.run()
    result.assert_outcomes(failed=1)
    assert "something set intra=3, inter=1 before the runtime was started" in flat(result)


def test_what_is_configured_too_late_is_led_to_the_hook(suite):
    suite.write(
        """
        import tensorflow as tf

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_it():
            tf.set_logical_devices(2)
        """,
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    assert "belongs in the hook pytest_tfthreads_configure" in flat(result)
    suite.pytester.makeconftest("import tensorflow as tf\ntf.set_logical_devices(2)")
    suite.pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_it():
            pass
        """
    )
    # In the pytest process nothing has started, and the file can be imported.
    result = suite.run(subprocess=True)
    result.assert_outcomes(failed=1)
    first = (
        "not-collected: RuntimeError: Virtual devices cannot be modified after being initialized"
    )
    assert first in result.stdout.lines
    assert "belongs in the hook pytest_tfthreads_configure" in flat(result)
    assert "must collect the same tests" not in flat(result)


def test_pools_that_are_others_when_the_measurement_is_over(suite):
    suite.write(
        """
        import tensorflow as tf

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_reset(benchmark):
            tf.reset_context()
            benchmark.pedantic(sum, ([1],), rounds=3)

        @pytest.mark.tf_threads(inter=1)
        def test_reset_with_the_same_settings(benchmark):
            tf.reset_context(inter=1)
            benchmark.pedantic(sum, ([1],), rounds=3)

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_reset_of_what_is_not_measured():
            tf.reset_context()
        """
    )
    result, benchmarks = suite.results("-p", "no:randomly")
    result.assert_outcomes(passed=2, failed=1, warnings=0)
    told = flat(result)
    assert "misconfigured: asked TensorFlow for intra=1, inter=1 (0: its own choice)" in told
    assert "something set intra=0, inter=0 while the test ran" in told
    assert "runtime.py" not in told  # no line of ours
    recorded = [one["extra_info"]["tf_threads"] for one in benchmarks.values()]
    assert [one["flags"] for one in recorded if "unverified" in one["flags"]]
    assert len(recorded) == 1


def test_a_measuring_process_is_known_and_has_a_number_of_its_own(suite):
    suite.write(
        """
        import os
        import conftest

        @pytest.mark.tf_threads(intra=[1, 2, 3], inter=1)
        def test_it(benchmark, tf_threads_process, own_directory, pytestconfig):
            assert conftest.AT_IMPORT == os.environ["PYTEST_TFTHREADS_PROCESS"]
            assert pytestconfig.tf_threads_process == tf_threads_process == int(conftest.AT_IMPORT)
            (own_directory / str(tf_threads_process)).touch(exist_ok=False)
            benchmark(sum, [1])

        def test_after(tf_threads_process, pytestconfig):
            assert tf_threads_process == 0
            assert conftest.AT_IMPORT is None
            assert conftest.WORK.is_dir()
            assert sorted(path.name for path in conftest.WORK.glob("*/*")) == ["1", "2", "3"]
        """,
        conftest="""
        import os, pathlib, shutil, pytest

        AT_IMPORT = os.environ.get("PYTEST_TFTHREADS_PROCESS")
        WORK = pathlib.Path(__file__).with_name("work")

        def pytest_configure(config):
            WORK.mkdir(exist_ok=True)

        def pytest_unconfigure(config):
            if not hasattr(config, "workerinput") and not hasattr(config, "tf_threads_process"):
                shutil.rmtree(WORK)

        @pytest.fixture(scope="session")
        def own_directory(tf_threads_process):
            path = WORK / f"process{tf_threads_process}"
            path.mkdir()
            return path
        """,
    )
    result = suite.run("--import-mode=prepend", subprocess=True)
    result.assert_outcomes(passed=4)
    assert not (suite.path / "work").exists()


def test_workers_have_other_numbers_and_processes_of_several_rings_share_them(suite):
    suite.write(
        """
        @pytest.mark.parametrize("name", ["a", "b", "c", "d"])
        @pytest.mark.tf_threads(intra=[1, 2], inter=1, processes=1)
        def test_it(benchmark, name, tf_threads_process, worker_id):
            benchmark(sum, [1])
            benchmark.extra_info["numbers"] = [worker_id, tf_threads_process]
        """
    )
    _, benchmarks = suite.results("-n2", "--benchmark-max-time=0.01", subprocess=True)
    seen = {tuple(one["extra_info"]["numbers"]) for one in benchmarks.values()}
    assert seen <= {("gw0", 1), ("gw0", 2), ("gw1", 9), ("gw1", 10)}
    assert len(benchmarks) == 8


def test_a_hook_of_a_suite_that_also_runs_without_the_plugin(suite):
    suite.write(
        "def test_it(): pass",
        conftest="""
        import pytest

        @pytest.hookimpl(optionalhook=True)
        def pytest_tfthreads_configure(config, tf_threads):
            pass
        """,
    )
    result = suite.pytester.runpytest_subprocess("-p", "no:tfthreads")
    result.assert_outcomes(passed=1)
    assert not re.search("unknown hook", result.stderr.str())


def examples():
    page = Path(__file__).parents[2] / "docs" / "how-to" / "measuring-processes.md"
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_examples_of_the_documentation(suite):
    suite.write(
        """
        import socket

        @pytest.mark.tf_threads(intra=[1, 2], inter=1)
        def test_it(benchmark, port, work, tf_threads_process):
            assert port == 29500 + tf_threads_process
            with socket.create_server(("127.0.0.1", port)):
                (work / "file").touch(exist_ok=False)
                benchmark(sum, [1])
        """
    )
    _, *others = examples()
    head = "import pathlib, shutil, pytest\nWORK = pathlib.Path(__file__).with_name('work')\n"
    suite.pytester.makeconftest(head + "".join(others))
    suite.run().assert_outcomes(passed=2)
    assert not (suite.path / "work").exists()
