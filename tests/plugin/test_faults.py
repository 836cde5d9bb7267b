"""A measuring process that comes to a bad end: its test says why, and nothing is left behind."""

import os
from xml.etree import ElementTree

import psutil
import pytest

from builders import flat
from pytest_tfthreads.system.originals import ORIGINALS

pytestmark = pytest.mark.usefixtures("no_leftovers")

AFTER = """
@pytest.mark.tf_threads(intra=1)
def test_after():
    pass

def test_local():
    pass
"""


def run_faulty(suite, body, *args, mark="intra=1", **kwargs):
    indented = "\n".join("    " + line for line in body.splitlines())
    suite.write(
        "import os, sys, time, signal\n"
        f"@pytest.mark.tf_threads({mark})\n"
        f"def test_faulty(request):\n{indented}\n" + AFTER
    )
    result = suite.run("-rA", *args, **kwargs)
    result.assert_outcomes(passed=2, failed=1)
    return flat(result)


@pytest.mark.parametrize("start", ["fork", "fresh"])
def test_segmentation_fault(suite, start):
    text = run_faulty(
        suite,
        "print('last words')\nimport ctypes\nctypes.string_at(8)",
        f"--tf-threads-start={start}",
    )
    assert "crashed: The measuring process was killed by SIGSEGV (segmentation fault)" in text
    assert "last words" in text
    assert "Fatal Python error: Segmentation fault" in text
    assert "test_it.py" in text


def test_crash_with_uncaptured_output(suite):
    text = run_faulty(suite, "print('last words')\nos.abort()", "-s", subprocess=True)
    assert "killed by SIGABRT" in text
    assert "last words" in text


def test_time_out_before_anything_happened(suite):
    text = run_faulty(suite, "time.sleep(1000)", mark="intra=1, timeout=0.000001")
    assert "hung" in text


def test_killed_for_memory_or_by_somebody(suite):
    text = run_faulty(suite, "os.kill(os.getpid(), signal.SIGKILL)")
    assert "SIGKILL" in text
    assert "peak memory" in text


@pytest.mark.parametrize("start", ["fork", "fresh"])
def test_time_out_shows_stacks(suite, start):
    text = run_faulty(
        suite,
        "def waits_for_ever():\n    print('waiting')\n    time.sleep(1000)\nwaits_for_ever()",
        f"--tf-threads-start={start}",
        "--tf-threads-timeout=15",
    )
    assert "hung" in text
    assert "in waits_for_ever" in text
    assert "raise --tf-threads-timeout" in text
    assert "waiting" in text


def test_time_out_of_a_process_that_ignores_signals(suite):
    text = run_faulty(
        suite,
        "for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "while True:\n    time.sleep(1)",
        mark="intra=1, timeout=3",
    )
    assert "hung" in text


def test_hang_in_a_py_function_names_inter_1(suite):
    text = run_faulty(
        suite,
        "import types\n"
        "code = compile('def call(): time.sleep(1000)', 'python/ops/script_ops.py', 'exec')\n"
        "space = {'time': time}\n"
        "exec(code, space)\n"
        "space['call']()",
        mark="intra=4, inter=1, timeout=10",
    )
    assert "Likely cause: inter=1" in text


def test_megabytes_on_stdout(suite):
    text = run_faulty(
        suite,
        "line = 'x' * 999 + '\\n'\n"
        "for _ in range(5000):\n    sys.stdout.write(line)\n"
        "os.write(1, b'the end of the output\\n')\n"
        "assert 0",
    )
    assert "the end of the output" in text


def test_megabytes_before_a_crash_show_their_end(suite):
    text = run_faulty(
        suite,
        "line = 'x' * 999 + '\\n'\n"
        "for _ in range(5000):\n    sys.stdout.write(line)\n"
        "print('the end', flush=True)\n"
        "os.abort()",
    )
    assert "SIGABRT" in text
    assert "the end" in text
    assert len(text) < 50_000


def test_early_exit(suite):
    text = run_faulty(suite, "os._exit(3)")
    assert "exited early, with code 3" in text
    text = run_faulty(suite, "sys.exit(3)")
    assert "SystemExit: 3" in text


def test_closed_descriptors_that_belong_to_pytest(suite):
    text = run_faulty(suite, "os.closerange(3, 256)")
    assert "closed file descriptors that it does not own" in text


def test_closed_descriptors_that_belong_to_us(suite):
    text = run_faulty(suite, "os.closerange(3, 4096)\ntime.sleep(1000)", "--tf-threads-timeout=30")
    assert "closed file descriptors that it does not own" in text


def test_forked_children_are_killed(suite):
    # A child in the same group, one in a session of its own, and a daemon.
    text = run_faulty(
        suite,
        "import subprocess\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(1000)']\n"
        "pids = [subprocess.Popen(sleep).pid]\n"
        "pids.append(subprocess.Popen(sleep, start_new_session=True).pid)\n"
        "if not os.fork():\n"
        "    os.setsid()\n"
        "    pids.append(subprocess.Popen(sleep).pid)\n"
        "    open('daemon.pid', 'w').write(str(pids[-1]))\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "open('pids', 'w').write(' '.join(map(str, pids)))\n"
        "assert 0",
    )
    assert "assert 0" in text
    pids = [*(suite.path / "pids").read_text().split(), (suite.path / "daemon.pid").read_text()]
    assert not any(psutil.pid_exists(int(pid)) for pid in pids)


def test_what_a_fork_raises_that_comes_back_from_the_test_is_output_of_the_test(suite):
    text = run_faulty(
        suite,
        "if os.fork() == 0:\n    raise OSError('in the fork')\n"
        "code = os.waitstatus_to_exitcode(os.wait()[1])\nassert 0, f'the test, after {code}'",
    )
    assert "AssertionError: the test, after 1" in text
    _, captured = text.split("Captured stderr call")
    assert "OSError: in the fork" in captured


def test_durations_are_not_negative_where_the_clock_is_set_back_meanwhile(suite, monkeypatch):
    times_s = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(ORIGINALS, "time", lambda: float(next(times_s)))
    suite.write(
        """
        import os

        @pytest.mark.tf_threads(intra=1)
        def test_measured(benchmark):
            os._exit(3)

        @pytest.mark.tf_threads(intra=1)
        def test_shares():
            os._exit(3)
        """
    )
    suite.run("--junitxml=junit.xml").assert_outcomes(failed=2)
    cases = [*ElementTree.parse(suite.path / "junit.xml").iter("testcase")]
    assert len(cases) == 2
    assert all(0 <= float(case.get("time")) < 600 for case in cases)


def test_an_order_that_cannot_be_kept_is_an_error(suite, monkeypatch):
    monkeypatch.setenv("FAKE_TF_IGNORES_INTRA", "1")
    suite.write(
        """
        @pytest.mark.tf_threads(intra=2, inter=3)
        def test_it():
            pass
        """
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    text = flat(result)
    assert "asked TensorFlow 0.0-fake for 2 intra-op threads, but counted {'tfthreads': 3" in text


def test_tensorflow_that_cannot_be_imported(suite, monkeypatch):
    monkeypatch.setenv("FAKE_TF_BROKEN", "1")
    suite.write("@pytest.mark.tf_threads(intra=1)\ndef test_it(): pass\n" + AFTER)
    for start in ("auto", "fork", "fresh"):
        result = suite.run(f"--tf-threads-start={start}")
        result.assert_outcomes(failed=2, passed=1)
        text = flat(result)
        assert "TensorFlow cannot be imported" in text
        assert "libtensorflow_cc.so.2" in text
        assert "pip install" in text


def test_tensorflow_that_was_touched_before(suite, monkeypatch):
    monkeypatch.setenv("FAKE_TF_STARTED", "1")
    suite.write("@pytest.mark.tf_threads(intra=1)\ndef test_it(): pass")
    result = suite.run()
    result.assert_outcomes(failed=1)
    assert "before its threads could be set" in flat(result)


def test_cpus_that_were_taken_away_before_a_process_starts(suite, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1020})
    suite.write("@pytest.mark.tf_threads(intra=1)\ndef test_it(): pass")
    result = suite.run()
    result.assert_outcomes(failed=1)
    text = flat(result)
    assert "misconfigured: " in text
    assert "cannot be pinned to CPUs 1020: none of them may be used any more" in text
    assert "Traceback" not in text


def test_module_that_collects_otherwise_there(suite):
    suite.write(
        """
        import os
        if len(os.sched_getaffinity(0)) > 1:
            @pytest.mark.tf_threads(intra=1, cpus=1)
            def test_it():
                pass
        """
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*could not collect this test*"])


def test_module_that_breaks_there(suite):
    suite.write(
        """
        import os
        assert len(os.sched_getaffinity(0)) > 1, "I need two"

        @pytest.mark.tf_threads(intra=1, cpus=1)
        def test_it():
            pass
        """
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*I need two*"])


def test_plugin_that_breaks_there(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_it():
            pass
        """,
        conftest="""
        def pytest_runtest_setup(item):
            pass

        def pytest_collection_modifyitems(config):
            if config.pluginmanager.hasplugin("tfthreads-measuring"):
                raise ZeroDivisionError("a plugin's bug")
        """,
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the test is not to blame*", "*a plugin's bug*"])


def test_environment_whose_interpreter_dies_is_its_own_tests_affair(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(1, 1, env={"PYTHONHOME": "/nowhere"})
        def test_dead():
            pass

        @pytest.mark.tf_threads(1, 1)
        def test_alive():
            pass
        """
    )
    result = suite.run()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*interpreter that starts measuring processes died*"])


def test_killed_interpreter_is_replaced(suite):
    suite.write(
        "import os, signal, time\n\n"
        "@pytest.mark.tf_threads(intra=1)\n"
        "def test_kills_its_parent():\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "    time.sleep(1000)\n" + AFTER
    )
    result = suite.run()
    result.assert_outcomes(failed=1, passed=2)
    assert "died while a process was running" in flat(result)


@pytest.mark.parametrize("start", ["os.abort()", "time.sleep(1000)", "os._exit(0)"])
def test_xfail_covers_what_brings_a_process_down(suite, start):
    suite.write(
        f"""
        import os, time

        pytestmark = pytest.mark.tf_threads(intra=1, inter=1, timeout=2)
        xfail = pytest.mark.xfail

        def fatal():
            {start}

        @xfail(reason="fatal", strict=True)
        def test_strict():
            fatal()

        @xfail("True", reason="fatal")
        def test_condition():
            fatal()

        @xfail(False, reason="not here")
        def test_condition_that_does_not_hold():
            fatal()

        @pytest.mark.tf_threads(intra=1, inter=1)
        @xfail(reason="fatal", run=False)
        def test_not_run():
            open("was-run", "w")

        @xfail(raises=OSError)
        def test_raises_nothing():
            fatal()

        @pytest.mark.tf_threads(intra=1, inter=1)
        @xfail(reason="unjustly", strict=True)
        def test_passes():
            pass
        """
    )
    result = suite.run("-rxfX")
    result.assert_outcomes(xfailed=3, failed=3)
    assert not (suite.path / "was-run").exists()
    text = flat(result)
    assert "XFAIL test_it.py::test_strict[intra1-inter1] - fatal" in text
    assert "XFAIL test_it.py::test_condition[intra1-inter1] - fatal" in text
    assert "[NOTRUN] fatal" in text
    if start == "os.abort()":
        suite.run("--runxfail", "-k", "strict").assert_outcomes(failed=1, deselected=5)
        suite.run("-p", "no:skipping", "-k", "test_condition_").assert_outcomes(
            failed=1, deselected=5
        )


def test_ids_that_change_from_process_to_process(suite):
    suite.write(
        """
        import os, uuid

        class Config:
            pass

        @pytest.mark.parametrize("config", [Config()], ids=repr)
        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_address(config):
            pass

        @pytest.mark.parametrize("name", [str(uuid.uuid4()), "a::b[c]"])
        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_random(name):
            pass

        @pytest.mark.parametrize("cpu", sorted(os.sched_getaffinity(0)))
        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_by_cpu(cpu):
            pass
        """
    )
    result = suite.run("-k", "address or random")
    result.assert_outcomes(passed=1, failed=2, deselected=len(os.sched_getaffinity(0)))
    told = "not-collected: The test's id is another one in each process."
    assert result.stdout.lines.count(told) == 2
    if len(os.sched_getaffinity(0)) > 1:
        result = suite.run("-k", "by_cpu")
        assert told not in result.stdout.lines
        assert "must collect the same tests" in flat(result)


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_module_that_ends_the_interpreter_is_not_collected(suite, is_shared):
    """Later releases of pytest let SystemExit pass where they import a module, and end the run."""
    suite.write(
        f"""
        import os, sys
        if "PYTEST_TFTHREADS_PROCESS" in os.environ:
            sys.exit(3)

        @pytest.mark.tf_threads(1, 1)
        def test_it({"" if is_shared else "benchmark"}):
            {"pass" if is_shared else "benchmark(len, ())"}
        """
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not-collected: *SystemExit: 3", "test_it.py:5: in <module>"])
    result.stdout.no_fnmatch_line("*_pytest*")
    assert "same tests" not in flat(result)


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_conftest_file_that_ends_the_interpreter_is_named(suite, is_shared):
    suite.write(
        f"""
        @pytest.mark.tf_threads(1, 1)
        def test_it({"" if is_shared else "benchmark"}):
            {"pass" if is_shared else "benchmark(len, ())"}
        """,
        conftest="import os, sys\nif 'PYTEST_TFTHREADS_PROCESS' in os.environ: sys.exit(3)",
    )
    result = suite.run(subprocess=True)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not-collected: SystemExit: 3", "*conftest.py*line 2*"])
    assert "closed file descriptors" not in flat(result)


def test_the_error_of_a_conftest_file_comes_first(suite):
    suite.write(AFTER, conftest="import os\nif 'PYTEST_TFTHREADS_PROCESS' in os.environ: 1 / 0")
    result = suite.run(subprocess=True)
    assert "not-collected: ZeroDivisionError: division by zero" in result.stdout.lines
    text = flat(result)
    assert "conftest.py:2: in <module>" in text
    assert "same tests" not in text
    suite.pytester.makeconftest(
        "def pytest_configure(config):\n    if hasattr(config, 'tf_threads_process'): 1 / 0"
    )
    result = suite.run(subprocess=True)
    assert "internal-error: ZeroDivisionError: division by zero" in result.stdout.lines


@pytest.mark.parametrize("start", ["fork", "fresh"])
def test_what_is_raised_when_the_session_has_ended_leaves_the_test_its_reports(suite, start):
    # So pytest does with what a test has left behind, where warnings are errors.
    suite.write(
        """
        pytestmark = pytest.mark.tf_threads(1, 1)

        def test_passes():
            print("its output")

        def test_fails(request):
            assert 0, "its own words"

        def test_measured(benchmark):
            benchmark(int)
        """,
        conftest="""
        import os

        def pytest_unconfigure(config):
            if "PYTEST_TFTHREADS_PROCESS" in os.environ:
                raise ResourceWarning("left behind")
        """,
    )
    result = suite.run(f"--tf-threads-start={start}", "--benchmark-max-time=0.01")
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"]) == (2, 1)
    assert outcomes["errors"] == 2  # the test that has failed says so beside its own words
    told = flat(result)
    assert "its own words" in told
    assert "raised at the end of the test's process:" in told
    assert "ResourceWarning: left behind" in told
    assert "internal-error" not in told
