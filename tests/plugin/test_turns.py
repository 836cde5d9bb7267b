"""Configurations of one test are measured in turns, and reported one by one."""

import json
import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from builders import flat

pytestmark = pytest.mark.usefixtures("no_leftovers")

# Rounds of 5 ms and 0.2 s of them: every process has some 20 turns.
SHORT = "--benchmark-max-time=0.2"

STAMPS = """
import os, threading, time

def log(kind, *values):
    # One write a line, or two processes' lines would mix.
    line = " ".join(map(str, (kind, os.environ["PYTEST_CURRENT_TEST"].split("[")[1].split("]")[0],
                              *values)))
    with open("log", "a") as file:
        file.write(line + chr(10))
"""


def stamps(suite):
    lines = [line.split() for line in (suite.path / "log").read_text().splitlines()]
    return [(kind, who, [float(value) for value in values]) for kind, who, *values in lines]


def processes(benchmark):
    return benchmark["extra_info"]["tf_threads"]["processes"]


def test_all_configurations_take_turns(suite):
    suite.write(
        """
        import time

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1), (2, 2)])
        def test_busy(benchmark):
            benchmark(time.sleep, 0.001)

        @pytest.mark.tf_threads(1, 1)
        def test_other(benchmark):
            benchmark.pedantic(time.sleep, (0.001,), rounds=4)
        """
    )
    result, benchmarks = suite.results(SHORT, "-v", processes=2)
    result.assert_outcomes(passed=4)
    assert list(benchmarks) == [
        "test_busy[intra1-inter1]",
        "test_busy[intra2-inter1]",
        "test_busy[intra2-inter2]",
        "test_other[intra1-inter1]",
    ]
    *group, alone = benchmarks.values()
    assert [[one["ring"] for one in processes(each)] for each in group] == [[0, 1]] * 3
    assert [one["ring"] for one in processes(alone)] == [None, None]
    first_pass = [processes(each)[0] for each in group]
    assert len({one["iterations"] for one in first_pass}) == 1
    assert len({len(one["wall_s"]) for one in first_pass}) == 1
    assert {one["turn_rounds"] for one in first_pass} == {2}


def test_no_phase_takes_less_than_no_time(suite):
    """What a process waits for its turns is left out of where the turns were taken."""
    suite.write(
        """
        import time

        @pytest.fixture
        def measured(benchmark):
            benchmark(time.sleep, 0.001)

        @pytest.mark.tf_threads(intra=[1, 2, 3], inter=1)
        def test_in_fixture(measured):
            pass

        @pytest.mark.tf_threads(intra=[1, 2, 3], inter=1)
        def test_in_call(benchmark):
            benchmark(time.sleep, 0.001)
        """,
        conftest="""
        def pytest_terminal_summary(terminalreporter):
            with open("durations", "w") as file:
                for several in terminalreporter.stats.values():
                    for report in several:
                        print(report.nodeid, report.when, report.duration, file=file)
        """,
    )
    suite.run(SHORT, processes=1).assert_outcomes(passed=6)
    told = [line.split() for line in (suite.path / "durations").read_text().splitlines()]
    assert len(told) == 18
    assert all(float(duration) >= 0 for *_, duration in told)
    setups = [float(one[2]) for one in told if "in_fixture" in one[0] and one[1] == "setup"]
    assert all(setup > 0.01 for setup in setups)  # its own rounds stay


def test_off_turn_a_member_stands_still_with_its_threads_and_children(suite):
    suite.write(
        STAMPS
        + """
import subprocess, sys

CHILD = '''
import sys, time
while True:
    with open("log", "a") as file:
        file.write(f"child {sys.argv[1]} {time.monotonic()}" + chr(10))
    time.sleep(0.0005)
'''

@pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
def test_busy(benchmark, tf_threads):
    over = threading.Event()

    def background():
        while not over.is_set():
            log("thread", time.monotonic())
            time.sleep(0.0005)

    def step():
        began = time.monotonic()
        while time.monotonic() < began + 0.006:
            pass
        spans.append((began, time.monotonic()))

    spans = []
    who = f"intra{tf_threads.intra}-inter1"
    child = subprocess.Popen([sys.executable, "-c", CHILD, who])
    thread = threading.Thread(target=background)
    thread.start()
    try:
        benchmark(step)
    finally:
        over.set()
        thread.join()
        child.kill()
        child.wait()
    for began, ended in spans[-benchmark.stats.stats.rounds - 1:-1]:
        log("round", began, ended)
"""
    )
    suite.run("--benchmark-max-time=0.5").assert_outcomes(passed=2)
    log = stamps(suite)
    rounds = [
        (who, began, ended)
        for kind, who, values in log
        if kind == "round"
        for began, ended in [values]
    ]
    for kind in ("thread", "child"):
        marks = [(who, values[0]) for each, who, values in log if each == kind]
        inside = {True: 0, False: 0}
        for owner, began, ended in rounds:
            for who, at in marks:
                if began < at < ended:
                    inside[who == owner] += 1
        # To stop takes a moment, once a turn. What was not stopped would be seen as often in the
        # rounds of the others as in its own.
        assert inside[True] > 10
        assert inside[False] < inside[True] / 4


def test_sets_of_cpus_move_on_with_all_threads(suite):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs")
    suite.write(
        STAMPS
        + """
@pytest.mark.tf_threads(configs=[(1, 1), (1, 2)], cpus=1)
def test_busy(benchmark):
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()

    def step():
        for task in os.listdir("/proc/self/task"):
            seen.setdefault(int(task), []).append(tuple(os.sched_getaffinity(int(task))))
        time.sleep(0.006)

    seen = {}
    benchmark(step)
    assert len(seen) >= 3
    sets = list(seen.values())
    assert all(one == sets[0] for one in sets)
    log("sets", len(set(sets[0])), *{len(one) for one in sets[0]})
    over.set()
    thread.join()
"""
    )
    suite.run("--benchmark-max-time=0.4").assert_outcomes(passed=2)
    for _, _, (different, size) in stamps(suite):
        assert different >= 2
        assert size == 1


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv") or len(os.sched_getaffinity(0)) == 1,
    reason="another user's process takes root, and setpriv; to move it takes two CPUs",
)
def test_processes_of_other_users_are_no_harm(suite):
    """As root of a container, which may not move other users' processes (CAP_SYS_NICE)."""
    suite.write(
        """
        import os, subprocess, time

        @pytest.fixture
        def database():
            with subprocess.Popen(["sleep", "60"], user=65534) as process:
                yield
                process.kill()

        @pytest.mark.tf_threads(configs=[(1, 1), (1, 2)])
        def test_child(benchmark, database):
            benchmark(time.sleep, 0.001)

        @pytest.mark.tf_threads(configs=[(1, 1), (1, 2)])
        def test_itself(benchmark):
            os.setuid(65534)
            benchmark(time.sleep, 0.001)
        """
    )
    result = suite.pytester.run(
        *("setpriv", "--bounding-set=-sys_nice", sys.executable, "-m", "pytest"),
        *("-p", "no:cacheprovider", "--tf-threads-timeout=60", SHORT),
    )
    # Both that give up their rights fail, and no other. Who is alone at the end may go on with its
    # call, and then fails in its teardown, for it may not go back to its directory.
    told = [line.split()[1] for line in result.outlines if line.startswith(("FAILED ", "ERROR "))]
    assert sorted(told) == [f"test_it.py::test_itself[intra1-inter{inter}]" for inter in (1, 2)]
    assert result.parseoutcomes()["passed"] == 4 - result.parseoutcomes()["failed"]
    assert ": the process is another user's, as it is when a test gives up its rights" in flat(
        result
    )
    assert "interpreter that starts measuring processes died" not in flat(result)


def test_those_that_end_badly_leave_the_others_to_go_on(suite):
    suite.write(
        """
        import os
        from exact_time import sleep

        def fail():
            raise ValueError("its own fault")

        FAULTS = {
            2: os.abort,
            3: lambda: os._exit(3),
            4: fail,
            5: lambda: os.kill(os.getpid(), 9),
        }

        @pytest.mark.tf_threads(intra=[1, 2, 3, 4, 5, 6], inter=1)
        def test_busy(benchmark, tf_threads):
            calls = []

            def step():
                calls.append(1)
                sleep(0.006)
                if tf_threads.intra in FAULTS and len(calls) > 90:  # in the midst of its rounds
                    FAULTS[tf_threads.intra]()

            benchmark(step)
        """
    )
    result, benchmarks = suite.results("--benchmark-max-time=0.5", processes=2)
    result.assert_outcomes(passed=2, failed=4)
    for intra, message in (
        (2, "crashed: The measuring process was killed by SIGABRT"),
        (3, "exited early, with code 3"),
        (4, "ValueError: its own fault"),
        (5, "out-of-memory"),
    ):
        result.stdout.fnmatch_lines([f"*_ test_busy[[]intra{intra}-inter1[]] _*", f"*{message}*"])
    assert [len(processes(one)) for one in benchmarks.values()] == [2, 2]


def test_one_that_hangs_is_killed_and_the_others_go_on(suite):
    suite.write(
        """
        import time
        from exact_time import sleep

        @pytest.mark.tf_threads(1, 1)
        @pytest.mark.tf_threads(2, 1, timeout=8)
        def test_busy(benchmark, tf_threads):
            calls = []

            def step():
                calls.append(1)
                sleep(0.006)
                if tf_threads.intra == 2 and len(calls) > 90:
                    time.sleep(3600)

            benchmark(step)
        """
    )
    result, benchmarks = suite.results("--benchmark-max-time=0.5")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*timed-out: The measuring process hung*", "*in step*"])
    assert list(benchmarks) == ["test_busy[intra1-inter1]"]


def test_time_limits_count_own_turns_only(suite):
    suite.write(
        """
        import signal, time

        @pytest.mark.tf_threads(intra=[1, 2, 3, 4], inter=[1, 2], timeout=6)
        def test_busy(benchmark):
            def ring(*_):
                raise TimeoutError

            signal.signal(signal.SIGALRM, ring)
            signal.setitimer(signal.ITIMER_REAL, 5.5)
            benchmark.pedantic(time.sleep, (0.02,), rounds=40)  # 6.4 s all together
            signal.setitimer(signal.ITIMER_REAL, 0)
        """
    )
    result = suite.run("--durations=0", "-vv")
    result.assert_outcomes(passed=8)
    lines = [line.split()[0] for line in result.outlines if "s call " in line]
    durations_s = [float(line.removesuffix("s")) for line in lines]
    assert len(durations_s) == 8
    assert max(durations_s) < 6


def test_a_member_that_is_killed_off_turn(suite):
    suite.write(
        """
        import os, pathlib, signal
        from exact_time import sleep

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
        def test_busy(benchmark, tf_threads):
            calls = []

            def step():
                calls.append(1)
                sleep(0.006)
                if tf_threads.intra == 1:
                    pathlib.Path("victim").write_text(str(os.getpid()))
                elif len(calls) > 90 and os.path.exists("victim"):
                    os.kill(int(pathlib.Path("victim").read_text()), signal.SIGKILL)
                    os.remove("victim")

            benchmark(step)
        """
    )
    result, benchmarks = suite.results("--benchmark-max-time=0.5")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED *intra1-inter1*"])
    assert list(benchmarks) == ["test_busy[intra2-inter1]"]


def test_a_test_that_stops_itself_goes_on(suite):
    suite.write(
        """
        import os, signal, time

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
        def test_busy(benchmark):
            os.kill(os.getpid(), signal.SIGSTOP)
            benchmark(time.sleep, 0.001)
        """
    )
    suite.run(SHORT).assert_outcomes(passed=2)


def test_pedantic_and_other_own_layouts(suite):
    suite.write(
        """
        import time

        both = pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])

        @both
        def test_pedantic(benchmark):
            benchmark.pedantic(time.sleep, (0.001,), rounds=10, warmup_rounds=2, iterations=2)

        @both
        @pytest.mark.benchmark(timer=time.perf_counter_ns)
        def test_timer(benchmark):
            benchmark(time.sleep, 0.001)

        @both
        @pytest.mark.benchmark(warmup=True, warmup_iterations=3)
        def test_warmup(benchmark):
            benchmark(time.sleep, 0.001)
        """
    )
    result, benchmarks = suite.results(SHORT)
    result.assert_outcomes(passed=6)
    in_turns = {name: processes(one)[0]["ring"] for name, one in benchmarks.items()}
    assert in_turns == {
        "test_pedantic[intra1-inter1]": 0,
        "test_pedantic[intra2-inter1]": 0,
        "test_timer[intra1-inter1]": 1,
        "test_timer[intra2-inter1]": 1,
        "test_warmup[intra1-inter1]": None,
        "test_warmup[intra2-inter1]": None,
    }
    flags = [one["extra_info"]["tf_threads"]["flags"] for one in benchmarks.values()]
    assert ["no-turns" in one for one in flags] == [False] * 4 + [True] * 2
    assert len(processes(benchmarks["test_pedantic[intra1-inter1]"])[0]["wall_s"]) == 10


def test_different_environments_take_turns(suite):
    suite.write(
        """
        import os, time

        @pytest.mark.tf_threads(1, 1, env={"SWITCH": "c"})
        @pytest.mark.tf_threads(1, 1, env={"SWITCH": "b"})
        @pytest.mark.tf_threads(1, 1, env={"SWITCH": "a"})
        def test_busy(benchmark):
            assert os.environ["SWITCH"] in "abc"
            benchmark(time.sleep, 0.001)
        """
    )
    result, benchmarks = suite.results(SHORT, processes=2)
    result.assert_outcomes(passed=3)
    assert len(benchmarks) == 3
    assert {tuple(one["ring"] for one in processes(each)) for each in benchmarks.values()} == {
        (0, 1)
    }


def test_fresh_processes_take_turns(suite):
    suite.write(
        """
        import time

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
        def test_busy(benchmark):
            benchmark(time.sleep, 0.001)
        """
    )
    _, benchmarks = suite.results(SHORT, "--tf-threads-start=fresh")
    assert [processes(one)[0]["ring"] for one in benchmarks.values()] == [0, 0]


FAILING = """
import os, time

@pytest.mark.tf_threads(intra=[1, 2, 3, 4], inter=1)
def test_busy(benchmark, tf_threads):
    with open("runs", "a") as file:
        file.write(str(tf_threads.intra))
    assert tf_threads.intra != 2 or os.path.exists("mended")
    benchmark.pedantic(time.sleep, (0.001,), rounds=4)
"""


def test_last_failed(suite):
    suite.write(FAILING)
    args = ("-p", "cacheprovider", "--tf-threads-timeout=30", "--tf-threads-processes=1")
    suite.pytester.runpytest_inprocess(*args).assert_outcomes(passed=3, failed=1)
    (suite.path / "mended").touch()
    suite.pytester.runpytest_inprocess(*args, "--lf").assert_outcomes(passed=1)
    assert sorted((suite.path / "runs").read_text()) == list("12234")


@pytest.mark.parametrize("victim", ["pytest", "interpreter"])
def test_nothing_is_left_when_one_is_killed_in_the_midst(suite, eventually, all_end, victim):
    suite.write(
        """
        import os, subprocess, time

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
        def test_busy(benchmark, tf_threads):
            child = subprocess.Popen(["sleep", "1000"], start_new_session=True)

            def step():
                time.sleep(0.006)
                with open(f"steps{tf_threads.intra}", "a") as file:
                    print(os.getpid(), child.pid, file=file)

            benchmark(step)
        """
    )
    command = [sys.executable, "-m", "pytest", "--benchmark-max-time=60"]
    run = subprocess.Popen(command, cwd=suite.path, stdout=subprocess.DEVNULL)
    files = [suite.path / "steps1", suite.path / "steps2"]
    # More than a warm-up has: they take turns.
    eventually(lambda: all(one.exists() and one.read_text().count("\n") > 120 for one in files))
    pids = [int(pid) for file in files for pid in file.read_text().splitlines()[0].split()]
    (guard,) = psutil.Process(run.pid).children()
    (interpreter,) = guard.children()
    (run if victim == "pytest" else interpreter).send_signal(signal.SIGKILL)
    run.wait()
    all_end(pids)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("group", "0"),
        ("group", "many"),
        ("turn", "0"),
        ("turn", "1.5"),
        ("seed", "-1"),
        ("seed", "x"),
    ],
)
def test_bad_values_name_the_option(suite, option, value):
    suite.write("")
    result = suite.run(f"--tf-threads-{option}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--tf-threads-{option}: '{value}' is no integer >= *"])


def test_other_parameters_may_look_like_a_configuration(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
        @pytest.mark.parametrize("p", ["x-intra1-inter12", "intra1-inter1", "-1", "1"])
        def test_busy(benchmark, p):
            benchmark.pedantic(sum, (range(1000),), rounds=4)
        """
    )
    suite.run("--benchmark-json=out.json").assert_outcomes(passed=8)
    sweeps = json.loads((suite.path / "out.json").read_text())["tf_threads"]["sweeps"]
    assert [one["test"] for one in sweeps] == [
        "test_it.py::test_busy[x-intra1-inter12]",
        "test_it.py::test_busy[intra1-inter1]",
        "test_it.py::test_busy[-1]",
        "test_it.py::test_busy[1]",
    ]


@pytest.mark.parametrize(("unharmful", "outcome"), [("skip", "skipped"), ("xfail", "xfailed")])
def test_exit_first_takes_no_skip_for_a_failure(suite, unharmful, outcome):
    suite.write(
        f"""
        import time

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1), (2, 2)])
        def test_busy(benchmark, tf_threads):
            if tf_threads.intra == 1:
                pytest.{unharmful}("not this one")
            benchmark.pedantic(time.sleep, (0.001,), rounds=4)
        """
    )
    result, benchmarks = suite.results("-x", processes=2)
    result.assert_outcomes(passed=2, **{outcome: 1})
    assert [len(processes(one)) for one in benchmarks.values()] == [2, 2]


def test_no_round_holds_time_off_turn_in_whatever_thread_it_runs(suite):
    suite.write(
        """
        import threading, time

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1), (2, 2)])
        def test_busy(benchmark):
            thread = threading.Thread(target=benchmark, args=(time.sleep, 0.02))
            thread.start()
            thread.join()
        """
    )
    result, benchmarks = suite.results("--benchmark-max-time=0.5")
    result.assert_outcomes(passed=3)
    for one in benchmarks.values():
        (process,) = processes(one)
        # Two others have turns of two rounds each in between: held up, every other round would
        # take that long too.
        held_up = [wall_s for wall_s in process["wall_s"] if wall_s > 5 * 0.02]
        assert len(held_up) < len(process["wall_s"]) / 4


@pytest.mark.parametrize("end", ["pytest.exit('enough')", "raise KeyboardInterrupt('enough')"])
def test_what_was_measured_before_the_session_is_ended_is_reported(suite, end):
    suite.write(
        f"""
        import time

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1), (4, 1)])
        def test_busy(benchmark, tf_threads):
            if tf_threads.intra == 2:
                {end}
            benchmark.pedantic(time.sleep, (0.001,), rounds=4)
        """
    )
    result, benchmarks = suite.results(processes=2, subprocess=True)
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "enough" in result.stdout.str() + result.stderr.str()
    assert list(benchmarks) == ["test_busy[intra1-inter1]"]
    assert len(processes(benchmarks["test_busy[intra1-inter1]"])) == 2


def test_a_single_round_is_a_turn_too(suite):
    suite.write(
        """
        from exact_time import sleep

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
        def test_once(benchmark, tf_threads):
            benchmark.pedantic(sleep, (0.1 * tf_threads.intra,))
        """
    )
    result, benchmarks = suite.results(processes=2)
    one, two = (one["extra_info"]["tf_threads"] for one in benchmarks.values())
    assert not one["flags"]
    assert two["flags"] == (["oversubscribed"] if len(two["cpus"]) < 2 else [])
    result.stdout.fnmatch_lines(["*test_once: 1×1 is recommended*"])
