"""Tests that measure nothing share a process, as they would share that of plain pytest."""

import os
import signal

import pytest

from builders import flat
from pytest_tfthreads.engine import shared_process
from pytest_tfthreads.names import PROCESS_VARIABLE
from pytest_tfthreads.system.leases.leases import Leases

pytestmark = pytest.mark.usefixtures("no_leftovers")

MARKED = "pytestmark = pytest.mark.tf_threads(intra=1, inter=1)\n"

# What happens, in order: each line is written by the process in which it does.
EVENTS = """
import os, pytest

def note(event):
    with open("events", "a") as file:
        print(event, os.getpid(), file=file)

def noting(scope):
    @pytest.fixture(scope=scope, name=f"of_{scope}")
    def fixture():
        note(f"{scope} up")
        yield os.getpid()
        note(f"{scope} down")
    return fixture

of_session, of_module, of_class, of_function = map(
    noting, ("session", "module", "class", "function")
)
"""
FIRST = f"""
import unittest, warnings

from conftest import note

{MARKED}
class TestPlain:
    def test_one(self, of_session, of_module, of_class, of_function, tmp_path):
        note("one")
        print("said by one")
        (tmp_path / "a").touch()

    def test_two(self, of_session, of_module, of_class, of_function, tmp_path):
        note("two")
        warnings.warn("of two")
        assert not list(tmp_path.iterdir())

class TestUnit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        note("set up")

    @classmethod
    def tearDownClass(cls):
        note("tear down")

    def test_three(self):
        note("three")

    def test_four(self):
        note("four")
        self.fail("of four")

@pytest.mark.xfail
def test_five(of_module):
    assert 0

def test_six(of_module):
    note("six")
"""
SECOND = f"""
import pytest
from conftest import note

{MARKED}
@pytest.fixture(scope="module")
def fails_at_the_end():
    yield
    note("fails")
    raise ValueError("of the module")

def test_seven(of_session, of_module, fails_at_the_end):
    note("seven")

@pytest.mark.skipif("True")
def test_skipped():
    pass

def test_eight(of_module, tf_threads):
    note("eight")
"""


def events_of(suite):
    """What happened, and the processes in which it did; the file is gone afterwards."""
    file = suite.path / "events"
    events = [line.rpartition(" ") for line in file.read_text().splitlines()]
    file.unlink()
    return [event for event, _, _ in events], [pid for _, _, pid in events]


def names_of(result):
    """The outcome of each test by its function's name, from the lines of -v."""
    lines = [line.split() for line in result.outlines if "::test_" in line and "%]" in line]
    return [(words[0].rpartition("::")[2].partition("[")[0], words[1]) for words in lines]


def test_all_is_as_in_one_process_of_plain_pytest(suite):
    suite.write(FIRST, conftest=EVENTS, test_second=SECOND)
    plain = suite.run("-v", "-k", "not seven and not eight", "--tf-threads-share=off")
    plain.assert_outcomes(passed=4, failed=1, xfailed=1, skipped=1, warnings=1)
    _, pids = events_of(suite)
    assert len(set(pids)) == 6
    # Once in this process, which has the same tests without the marker.
    marked = [(suite.path / f"test_{name}.py").read_text() for name in ("it", "second")]
    for name, source in zip(("it", "second"), marked, strict=True):
        unmarked = source.replace(MARKED, "").replace(", tf_threads)", ")")
        (suite.path / f"test_{name}.py").write_text(unmarked)
    plain = suite.run("-v", "-W", "default")
    expected, _ = events_of(suite)
    for name, source in zip(("it", "second"), marked, strict=True):
        (suite.path / f"test_{name}.py").write_text(source)

    shared = suite.run("-v", "-rA")
    shared.assert_outcomes(passed=6, failed=1, xfailed=1, skipped=1, errors=1, warnings=1)
    events, pids = events_of(suite)
    assert events == expected
    assert len(set(pids)) == 1
    assert names_of(shared) == names_of(plain)
    text = flat(shared)
    assert text.count("said by one") == 1
    assert "UserWarning: of two" in text
    assert "ERROR at teardown of test_eight" in text


def test_who_ends_the_process_or_hangs_is_the_only_one_to_fail(suite):
    suite.write(
        f"""
        import os, time

        {MARKED}
        def test_before(of_module):
            pass

        def test_crash(of_module):
            os.abort()

        def test_between(of_module):
            pass

        @pytest.mark.tf_threads(intra=1, inter=1, timeout=1)
        def test_hang(of_module):
            time.sleep(1000)

        @pytest.fixture
        def indirect(request):
            return request.getfixturevalue("benchmark")

        def test_forks(of_module):
            if not os.fork():
                return  # into pytest, as a careless test does
            os.wait()

        def test_measures_after_all(of_module, indirect):
            assert indirect(sum, range(10)) == 45

        def test_exit(of_module):
            pytest.exit("that is enough", returncode=7)

        def test_never(of_module):
            pass
        """,
        conftest=EVENTS,
    )
    result, benchmarks = suite.results("-v")
    assert result.ret == 7
    assert names_of(result) == [
        *(("test_before", "PASSED"), ("test_crash", "FAILED"), ("test_between", "PASSED")),
        *(("test_hang", "FAILED"), ("test_forks", "PASSED")),
        ("test_measures_after_all", "PASSED"),
    ]
    assert list(benchmarks) == ["test_measures_after_all[intra1-inter1]"]


def test_a_fork_that_comes_back_takes_nothing_down_and_runs_no_further_test(suite):
    suite.write(
        f"""
        import atexit, os
        from conftest import note

        {MARKED}
        def wait():
            return os.waitstatus_to_exitcode(os.wait()[1])

        @pytest.fixture
        def forked():
            is_fork = not os.fork()
            yield is_fork
            note("forked down")

        def test_in_setup(of_module, forked):
            assert not forked and wait() == 0

        @pytest.mark.parametrize(
            ("how", "code"), [(lambda: None, 0), (lambda: exit(3), 3), (lambda: 1 / 0, 1)]
        )
        def test_in_call(of_module, how, code, capfd):
            if not os.fork():
                print("of the fork")
                how()
                return
            assert wait() == code
            assert capfd.readouterr().out == "of the fork\\n"

        def test_measured(of_module, benchmark):
            if not os.fork():
                raise KeyboardInterrupt
            assert wait() == 1
            benchmark(sum, range(10))
        """,
        conftest=EVENTS,
    )
    result = suite.run()
    result.assert_outcomes(passed=5)
    events, pids = events_of(suite)
    assert events == [
        *("module up", "forked down", "module down"),
        *("module up", "module down"),
    ]
    assert len(set(pids)) == 2


def test_a_test_that_reports_too_much_fails_and_the_others_go_on(suite):
    suite.write(
        f"""
        {MARKED}
        def test_large(of_module):
            print(1_000_000 * "x")

        def test_next(of_module):
            pass

        def test_last_large(of_module):
            print(1_000_000 * "x")
        """,
        conftest=EVENTS
        + """
from pytest_tfthreads.engine import protocol

if "TF_THREADS_PROCESS" in os.environ:
    protocol.MAX_MESSAGE_BYTES = 100_000
""".replace("TF_THREADS_PROCESS", PROCESS_VARIABLE),
    )
    result = suite.run()
    result.assert_outcomes(passed=1, failed=2)
    output = " ".join(result.outlines)
    assert "is too large: what it printed" in output
    assert "the limit is 0 MB" in output


def test_what_ends_the_run_takes_fixtures_down_as_plain_pytest_does(suite):
    suite.write(
        f"""
        from conftest import note

        {MARKED}
        @pytest.fixture(scope="module")
        def fails_at_the_end():
            yield
            raise ValueError("of the module")

        def test_one(of_session, fails_at_the_end):
            note("one")

        def test_two(of_session, fails_at_the_end):
            note("two")
            assert 0

        def test_three(of_session, fails_at_the_end):
            note("three")
        """,
        conftest=EVENTS
        + """
def pytest_runtest_logreport(report):
    if not IN_PYTEST or not os.path.exists("stop"):
        return
    if "test_one" in report.nodeid and report.when == "teardown":
        IN_PYTEST[0].shouldstop = "a plugin wants so"

IN_PYTEST = []

def pytest_sessionstart(session):
    if not hasattr(session.config, "tf_threads_process"):
        IN_PYTEST.append(session)
""",
    )
    result = suite.run("-x")
    result.assert_outcomes(passed=1, failed=1, errors=1)
    assert "ERROR at teardown of test_two" in flat(result)
    (suite.path / "stop").touch()  # which nobody can foresee
    result = suite.run()
    result.assert_outcomes(passed=1, warnings=1)
    assert "could not take down their fixtures" in flat(result)
    assert "ValueError: of the module" in flat(result)
    events, _ = events_of(suite)
    assert events == [
        *("session up", "one", "two", "session down"),
        *("session up", "one", "session down"),
    ]


def test_each_run_of_a_test_that_is_run_again_has_a_new_process(suite):
    pytest.importorskip("pytest_rerunfailures")
    suite.write(
        f"""
        from conftest import note

        {MARKED}
        def test_one(of_module):
            note("one")

        def test_two(of_module):
            note("two")
            assert 0

        def test_three(of_module):
            note("three")
        """,
        conftest=EVENTS,
    )
    result = suite.run("--reruns=1", "-rR")
    result.assert_outcomes(passed=2, failed=1)
    events, pids = events_of(suite)
    assert events == [
        *("module up", "one", "two", "module down"),
        *("module up", "two", "three", "module down"),
    ]
    assert len(set(pids[:4])) == len(set(pids[4:])) == 1
    assert pids[0] != pids[4]


def test_workers_of_xdist_share_with_what_comes_next_to_them(suite):
    pytest.importorskip("xdist")
    source = MARKED + "".join(
        f"def test_{number}(of_module): pass\n" for number in range(4)
    )  # fmt: skip
    suite.write(source, conftest=EVENTS, test_second="import pytest\n" + source)
    suite.run("-n2", "--dist=loadfile").assert_outcomes(passed=8)
    events, pids = events_of(suite)
    assert sorted(events) == ["module down"] * 2 + ["module up"] * 2
    assert len(set(pids)) == 2


@pytest.fixture
def interrupted(suite, monkeypatch, capsys):
    """Runs a suite whose tests interrupt pytest, as Ctrl-C does; gives the output."""
    monkeypatch.setenv("PID_OF_PYTEST", str(os.getpid()))
    # However busy the machine is.
    monkeypatch.setattr(shared_process, "_TAKE_DOWN_S", 100)

    def run():
        with pytest.raises(KeyboardInterrupt):
            suite.run()
        return capsys.readouterr().out

    return run


PRESSES = """
import os, signal, time

def press_ctrl_c():
    os.kill(int(os.environ["PID_OF_PYTEST"]), signal.SIGINT)
"""


def test_an_interrupt_takes_down_fixtures_as_in_plain_pytest(suite, interrupted):
    suite.write(
        """
        from conftest import note, press_ctrl_c, signal, time

        pytestmark = pytest.mark.tf_threads(intra=[1, 2], inter=1)

        def test_one(of_session, of_module):
            pass

        def test_two(of_session, of_module, of_function, tf_threads):
            if tf_threads.intra == 1:
                return
            raises = signal.getsignal(signal.SIGINT)

            def take_in_vain(*_):  # as a thread may do that SIGCONT has just woken
                note("in vain")
                signal.signal(signal.SIGINT, raises)

            signal.signal(signal.SIGINT, take_in_vain)
            press_ctrl_c()
            try:
                time.sleep(1000)
            except KeyboardInterrupt:
                note("interrupted")
                raise

        def test_three(of_module):
            note("three")
        """,
        conftest=EVENTS + PRESSES,
    )
    output = interrupted()
    events, pids = events_of(suite)
    of_first, of_second = (
        [event for event, pid in zip(events, pids, strict=True) if pid == one]
        for one in dict.fromkeys(pids)
    )
    up = ["session up", "module up"]
    assert of_first == [*up, "function up", "function down", "module down", "session down"]
    assert of_second == [
        *(*up, "function up", "in vain", "interrupted"),
        *("function down", "module down", "session down"),
    ]
    assert "3 passed" in output
    assert "warning" not in output


def test_a_test_that_takes_no_notice_of_the_interrupt_is_the_last(suite, interrupted):
    suite.write(
        """
        from conftest import note, press_ctrl_c, time

        pytestmark = pytest.mark.tf_threads(intra=1, inter=1)

        def test_one(of_module):
            press_ctrl_c()
            with pytest.raises(KeyboardInterrupt):
                time.sleep(1000)

        def test_two(of_module):
            note("two")
        """,
        conftest=EVENTS + PRESSES,
    )
    assert "could not take down" not in interrupted()
    assert events_of(suite)[0] == ["module up", "module down"]


def test_an_interrupt_that_comes_while_the_machine_is_waited_for(suite, interrupted, monkeypatch):
    shared = Leases.shared

    def breaks_off(self, purpose):
        if "test_two" in purpose:
            raise KeyboardInterrupt
        return shared(self, purpose)

    monkeypatch.setattr(Leases, "shared", breaks_off)
    suite.write(
        """
        from conftest import note

        pytestmark = pytest.mark.tf_threads(intra=1, inter=1)

        def test_one(of_module):
            note("one")

        def test_two(of_module):
            note("two")
        """,
        conftest=EVENTS,
    )
    interrupted()
    assert events_of(suite)[0] == ["module up", "one", "module down"]


def test_the_end_of_the_session_takes_down_fixtures_too(suite, monkeypatch):
    monkeypatch.setenv("PID_OF_PYTEST", str(os.getpid()))
    monkeypatch.setattr(shared_process, "_TAKE_DOWN_S", 100)
    suite.write(
        """
        from conftest import os, signal, time

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_one(of_module):
            os.kill(int(os.environ["PID_OF_PYTEST"]), signal.SIGUSR1)
            time.sleep(1000)
        """,
        conftest=EVENTS
        + """
import signal, time

def pytest_sessionstart():
    signal.signal(signal.SIGUSR1, lambda *_: pytest.exit("at once", 7))
""",
    )
    before = signal.getsignal(signal.SIGUSR1)
    try:
        result = suite.run()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert result.ret == 7
    assert events_of(suite)[0] == ["module up", "module down"]


def test_fixtures_that_do_not_go_down_hold_up_an_interrupted_run_only_so_long(
    suite, interrupted, monkeypatch
):
    monkeypatch.setattr(shared_process, "_TAKE_DOWN_S", 0.5)
    suite.write(
        """
        from conftest import press_ctrl_c, time

        @pytest.fixture(scope="module")
        def stuck():
            yield
            time.sleep(1000)

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_one(stuck):
            press_ctrl_c()
            time.sleep(1000)
        """,
        conftest=PRESSES,
    )
    output = " ".join(interrupted().split())
    assert "could not take down their fixtures: 0.5 s after Ctrl-C the test" in output


def test_a_second_interrupt_does_not_wait_for_fixtures(suite, interrupted):
    suite.write(
        """
        from conftest import press_ctrl_c, time

        @pytest.fixture(scope="module")
        def stuck():
            yield
            press_ctrl_c()
            time.sleep(1000)

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_one(stuck):
            press_ctrl_c()
            time.sleep(1000)
        """,
        conftest=PRESSES,
    )
    assert "KeyboardInterrupt" in interrupted()


def test_fixtures_see_how_many_tests_have_failed_as_in_plain_pytest(suite):
    suite.write(
        """
        pytestmark = pytest.mark.tf_threads(1, 1)

        @pytest.fixture(scope="module")
        def evidence(request):
            yield
            with open("failed", "a") as file:
                print(request.session.testsfailed, file=file)

        def test_one(evidence):
            assert 0

        def test_two(evidence):
            assert 0

        def test_three(evidence):
            pass
        """
    )
    suite.run().assert_outcomes(failed=2, passed=1)
    assert (suite.path / "failed").read_text() == "2\n"
    suite.run("--maxfail=2").assert_outcomes(failed=2)
    assert (suite.path / "failed").read_text() == "2\n2\n"
