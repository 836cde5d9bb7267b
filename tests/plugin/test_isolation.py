"""The item runs whole in the measuring process, and comes back as if it had run here."""

import re
import textwrap

import pexpect
import pytest


def test_runs_in_another_process_under_its_configuration(suite):
    suite.write(
        """
        import os
        import tensorflow
        HERE = os.getpid()

        @pytest.mark.tf_threads(intra=3, inter=2)
        def test_marked(tf_threads):
            assert (tf_threads.intra, tf_threads.inter) == (3, 2)
            assert tensorflow._state.intra == 3
            assert tf_threads.cpus == tuple(sorted(os.sched_getaffinity(0)))
            with open("marked.pid", "w") as file:
                file.write(str(os.getpid()))

        def test_unmarked():
            assert not tensorflow._state.started
            with open("unmarked.pid", "w") as file:
                file.write(str(os.getpid()))
        """
    )
    suite.run().assert_outcomes(passed=2)
    assert (suite.path / "marked.pid").read_text() != (suite.path / "unmarked.pid").read_text()


def test_module_that_makes_tensors_at_import_time(suite):
    suite.write(
        """
        import tensorflow as tf
        WEIGHTS = tf.constant(3)  # here it starts the runtime with TensorFlow's own choice

        @pytest.mark.tf_threads(intra=5, inter=1)
        def test_marked(tf_threads):
            assert (tf_threads.intra, tf_threads.inter) == (5, 1)
            assert WEIGHTS == 3
        """
    )
    suite.run().assert_outcomes(passed=1)


def test_fixtures_of_every_scope_run_in_the_measuring_process(suite):
    suite.write(
        """
        import os

        @pytest.fixture(scope="session", autouse=True)
        def of_session(tmp_path_factory):
            yield os.getpid()
            print("session torn down")

        @pytest.fixture(scope="module")
        def of_module(of_session):
            return of_session

        @pytest.fixture(scope="class", params=["a", "b"])
        def of_class(request, of_module):
            return of_module, request.param

        @pytest.mark.tf_threads(intra=1)
        class TestMethods:
            @pytest.mark.parametrize("number", [1, 2])
            def test_method(self, of_class, number, tmp_path, capsys, caplog, monkeypatch, request):
                assert of_class[0] == os.getpid()
                assert tmp_path.is_dir()
                assert request.node.nodeid.startswith("test_it.py::TestMethods::test_method[")
        """
    )
    suite.run().assert_outcomes(passed=4)


def test_local_fixtures_end_where_they_should_between_marked_tests(suite):
    suite.write(
        """
        @pytest.fixture(scope="module")
        def shared():
            yield 1
            with open("log", "a") as log:
                log.write("torn down\\n")

        def test_before(shared):
            pass

        @pytest.mark.tf_threads(intra=1)
        def test_marked():
            pass
        """,
        test_next="""
        import pathlib
        def test_next():
            assert pathlib.Path("log").read_text() == "torn down\\n"
        """,
    )
    suite.run("test_it.py", "test_next.py").assert_outcomes(passed=3)


def test_failing_teardown_of_a_local_fixture_is_reported_at_the_item_that_ends_it(suite):
    suite.write(
        """
        @pytest.fixture(scope="module")
        def shared():
            yield 1
            raise RuntimeError("no way down")

        def test_before(shared):
            pass

        @pytest.mark.tf_threads(intra=1)
        def test_marked():
            pass
        """,
        test_next="def test_next(): pass",
    )
    result = suite.run("test_it.py", "test_next.py")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_marked*", "*no way down*"])


def test_reports_read_as_those_of_a_local_run(suite, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    source = """
        import logging, sys, warnings

        def test_fails():
            print("to stdout")
            sys.stderr.write("to stderr\\n")
            logging.getLogger("mine").warning("to the log")
            assert {"a": 1, "b": list(range(8))} == {"a": 2, "b": list(range(7))}

        def test_skips():
            pytest.skip("not today")

        @pytest.mark.skipif("sys.platform", reason="by condition")
        def test_skipif():
            raise AssertionError

        @pytest.mark.xfail(reason="known")
        def test_xfails():
            assert 0

        @pytest.mark.xfail(strict=True)
        def test_xpasses_strictly():
            pass

        def test_warns():
            warnings.warn(DeprecationWarning("old ways"))

        class Own(UserWarning):
            pass

        def test_warns_in_its_own_way():
            warnings.warn(Own("new ways"))

        @pytest.fixture
        def broken():
            raise OSError("no data")

        def test_error_in_setup(broken):
            pass

        @pytest.fixture
        def leaves_badly():
            yield
            raise OSError("cannot leave")

        def test_error_in_teardown(leaves_badly):
            pass
        """
    outcomes = {"failed": 2, "skipped": 2, "xfailed": 1, "passed": 3, "errors": 2, "warnings": 2}
    texts = []
    for mark in ("", "pytestmark = pytest.mark.tf_threads(intra=1, inter=1)"):
        suite.write(textwrap.dedent(source) + mark)
        result = suite.run("-rA", "-vv", "--color=yes", subprocess=True)
        result.assert_outcomes(**outcomes)
        texts.append(_comparable(result.stdout.str()))
    local, isolated = texts
    assert isolated == local
    assert "mine:test_it.py" in local
    assert "to stderr" in local


def _comparable(text):
    """Without times, rules and padding, which differ with the length of the names."""
    text = text.replace("[intra1-inter1]", "")
    text = re.sub(r"in \d+\.\d+s|={2,}|_{3,}|-{3,}| +(?=\x1b)", "", text)
    lines = [re.sub(" {2,}", " ", line) for line in text.splitlines() if "rootdir" not in line]
    return "\n".join(line.strip() for line in lines if not line.startswith("running:"))


def test_output_is_not_captured_with_s(suite):
    suite.write(
        """
        import os
        @pytest.mark.tf_threads(intra=1)
        def test_it():
            print("printed")
            os.write(1, b"written\\n")
        """
    )
    result = suite.run("-s", subprocess=True)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*printed*", "*written*"])


def test_the_log_of_debug_is_that_of_pytest_itself(suite):
    suite.write("@pytest.mark.tf_threads(intra=1)\ndef test_it(): pass")
    suite.run("--debug", subprocess=True).assert_outcomes(passed=1)
    log = (suite.path / "pytestdebug.log").read_bytes()
    assert log.startswith(b"versions pytest-")
    assert log.count(b"versions pytest-") == 1
    assert b"\0" not in log


def test_first_failure_ends_the_run_with_x(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=[1, 2, 3])
        def test_it(tf_threads):
            assert tf_threads.intra == 1
        """
    )
    result = suite.run("-x")
    result.assert_outcomes(passed=1, failed=1)
    suite.run("--maxfail=2").assert_outcomes(passed=1, failed=2)


def test_last_failed_junit_and_durations(suite):
    suite.write(
        """
        import time
        @pytest.mark.tf_threads(intra=[1, 2])
        def test_it(tf_threads, record_property):
            record_property("color", "blue")
            time.sleep(0.02)
            assert tf_threads.intra == 1
        """
    )
    pytester = suite.pytester
    result = pytester.runpytest("--junitxml=out.xml", "--durations=6", "--durations-min=0.001")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*s call*test_it.py::test_it[[]intra*"])
    junit = (suite.path / "out.xml").read_text()
    assert 'name="test_it[intra2-interauto]"' in junit
    assert '<property name="color" value="blue" />' in junit
    assert 'failures="1"' in junit
    result = pytester.runpytest("--lf")
    result.assert_outcomes(failed=1)
    assert "intra1" not in result.stdout.str()


def test_pytest_exit_and_keyboard_interrupt_end_the_session(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_exit():
            pytest.exit("enough", returncode=7)

        @pytest.mark.tf_threads(intra=1)
        def test_interrupt():
            raise KeyboardInterrupt

        def test_after():
            pass
        """
    )
    result = suite.run("-k", "exit or after")
    assert result.ret == 7
    result.stdout.fnmatch_lines(["*Exit: enough*"])
    result = suite.run("-k", "interrupt or after", subprocess=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "1 passed" not in result.stdout.str()


INTERRUPTING = """
@pytest.fixture
def stopping():
    stop()

{test}

def stop():
    raise KeyboardInterrupt("enough")
"""


@pytest.mark.parametrize("share", [(), ("--tf-threads-share=off",)])
@pytest.mark.parametrize(
    ("test", "lineno", "words"),
    [
        ("def test_it(): raise KeyboardInterrupt", 8, "KeyboardInterrupt"),
        ("def test_it(stopping): pass", 11, "KeyboardInterrupt: enough"),
        ("def test_it(tf_benchmark): tf_benchmark(stop)", 11, "KeyboardInterrupt: enough"),
    ],
)
def test_an_interrupt_is_told_as_in_plain_pytest(suite, test, lineno, words, share):
    suite.write(
        INTERRUPTING.format(test=f"@pytest.mark.tf_threads(intra=1, inter=1)\n{test}"),
    )
    result = suite.run(*share, subprocess=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    lines = [line.strip("! ") for line in result.outlines]
    end = lines.index("(to show a full traceback on KeyboardInterrupt use --full-trace)")
    assert lines[end - 2 : end] == [words, f"{suite.path / 'test_it.py'}:{lineno}: {words}"]


def test_an_interrupted_gate_does_not_say_that_baselines_are_missing(suite):
    suite.write("@pytest.mark.tf_threads(1, 1)\ndef test_it(): raise KeyboardInterrupt")
    result = suite.run("--benchmark-compare", subprocess=True)
    assert "the run was interrupted before a test was judged" in result.stdout.lines
    assert "judged nothing" not in result.stdout.str()


def test_full_trace_shows_the_way_to_an_interrupt(suite):
    test = "@pytest.mark.tf_threads(intra=1, inter=1)\ndef test_it(stopping): pass"
    suite.write(INTERRUPTING.format(test=test))
    result = suite.run("--full-trace", subprocess=True)
    result.stdout.fnmatch_lines(
        [
            ">* raise run.ending",
            "    def stopping():",
            ">       stop()",
            "test_it.py:5: *",
            "    def stop():",
            '>       raise KeyboardInterrupt("enough")',
            "E       KeyboardInterrupt: enough",
            "test_it.py:11: KeyboardInterrupt",
        ]
    )


def test_breakpoint_says_what_to_do(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_it():
            breakpoint()
        """
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*run with --pdb*"])


def test_debugger_gets_the_terminal(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_it():
            secret = 6 * 7
            assert secret == 0
        """
    )
    child = suite.pytester.spawn_pytest("--pdb -p no:cacheprovider test_it.py", expect_timeout=120)
    child.expect(r"\(Pdb\)")
    child.sendline("p secret + 1000")
    child.expect("1042")
    child.sendline("c")
    child.expect("1 failed")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1


def test_a_failure_in_a_later_process_says_so(suite):
    suite.write(
        """
        import pathlib
        @pytest.mark.benchmark(warmup=False, max_time=0.001)
        @pytest.mark.tf_threads(intra=1)
        def test_it(benchmark):
            benchmark(int)
            first = pathlib.Path("first")
            assert not first.exists()
            first.touch()
        """
    )
    result, benchmarks = suite.results(processes=3)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*in process 2; those before it passed*"])
    assert not benchmarks


def test_plugins_that_select_by_position(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=[1, 2, 3, 4])
        def test_it():
            pass
        """,
        conftest="""
        def pytest_collection_modifyitems(items):
            items[:] = items[1::2]
        """,
    )
    suite.run().assert_outcomes(passed=2)


def test_log_file_is_left_alone(suite):
    suite.write(
        """
        import logging

        def test_local():
            logging.getLogger().warning("from the local test")

        @pytest.mark.tf_threads(intra=1)
        def test_marked():
            logging.getLogger().warning("from the marked test")
        """
    )
    suite.run("--log-file=log.txt").assert_outcomes(passed=2)
    assert "from the local test" in (suite.path / "log.txt").read_text()


def test_setup_plan_and_collect_only_start_nothing(suite, monkeypatch):
    monkeypatch.setenv("FAKE_TF_BROKEN", "1")
    suite.write(
        """
        @pytest.mark.tf_threads(intra=[1, 2])
        def test_it():
            pass
        """
    )
    suite.run("--collect-only").stdout.fnmatch_lines(["*test_it[[]intra1-interauto]*"])
    suite.run("--setup-plan").assert_outcomes()
    suite.write(
        """
        @pytest.mark.tf_threads(intra=[1, 2])
        def test_it(tf_benchmark, tf_threads, own):
            assert 0, "it is not called"

        @pytest.fixture
        def own():
            print("own has come")
        """
    )
    result = suite.run("--setup-only", "-s", "-W", "ignore")
    result.assert_outcomes()
    assert result.ret == 0
    assert result.stdout.str().count("own has come") == 2
    suite.write(
        """
        @pytest.mark.skip
        @pytest.mark.tf_threads(intra=[1, 2])
        def test_it(broken):
            pass
        """
    )
    suite.run().assert_outcomes(skipped=2)
    monkeypatch.delenv("FAKE_TF_BROKEN")
    suite.write(
        """
        import os

        @pytest.mark.skip
        @pytest.mark.tf_threads(intra=[1, 2])
        def test_it():
            assert "PYTEST_TFTHREADS_PROCESS" in os.environ
        """
    )
    suite.run("-p", "no:skipping").assert_outcomes(passed=2)


def test_an_option_of_pytest_benchmark_that_is_no_number_is_the_tests_mistake(suite):
    suite.write(
        """
        @pytest.mark.benchmark(max_time="1s")
        @pytest.mark.tf_threads(intra=1, inter=1)
        class TestAll:
            def test_uses_it(self, benchmark):
                benchmark(int)

            def test_does_not(self):
                pass
        """
    )
    result = suite.run()
    result.assert_outcomes(passed=1, errors=1)
    assert "internal-error" not in result.stdout.str()
    assert "1s" in result.stdout.str()
