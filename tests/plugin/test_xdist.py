"""pytest-xdist: many workers, one set of results."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
import xdist.scheduler

from pytest_tfthreads.core.saved_runs import read_run
from pytest_tfthreads.xdist_bridge.scheduling import GroupScheduling

pytestmark = pytest.mark.usefixtures("no_leftovers")

SHORT = "--benchmark-max-time=0.05"
SUITE = """
    import os

    both = pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])

    @pytest.mark.parametrize("size", [100, 1000])
    @both
    def test_sum(benchmark, size):
        benchmark(sum, range(size))

    @pytest.mark.parametrize("number", range(4))
    def test_plain(number):
        with open("log", "a") as file:
            file.write(os.environ.get("PYTEST_XDIST_WORKER", "none") + chr(10))

    @both
    @pytest.mark.xdist_group("shared")
    def test_max(benchmark):
        benchmark(max, range(1000))
"""
NAMES = [
    "test_sum[100-intra1-inter1]",
    "test_sum[100-intra2-inter1]",
    "test_sum[1000-intra1-inter1]",
    "test_sum[1000-intra2-inter1]",
    "test_max[intra1-inter1]",
    "test_max[intra2-inter1]",
]
MIXED = """
    @pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
    def test_marked(benchmark):
        benchmark(sum, range(1000))

    def test_unmarked(benchmark):
        benchmark(sum, range(1000))

    def test_plain():
        pass
"""

# Each worker leaves its process id in a file of its name.
WORKERS = """
    import os, pathlib

    if name := os.environ.get("PYTEST_XDIST_WORKER"):
        pathlib.Path(name).write_text(str(os.getpid()))
"""


# The fourth comes in place of one that was killed. Without it, all others might have left the
# interpreter before.
WAITS_FOR_THE_FOURTH = """
    import time
    import pytest

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish():
        pathlib.Path(f"{name} has collected").touch()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtestloop():
        yield
        deadline_s = time.monotonic() + 300
        while name and not pathlib.Path("gw3 has collected").exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
"""


def takes_turns(benchmark):
    (ring,) = {one["ring"] for one in benchmark["extra_info"]["tf_threads"]["processes"]}
    return ring is not None


@pytest.mark.parametrize("dist", ["load", "loadfile", "loadgroup", "worksteal"])
def test_configurations_of_a_test_stay_together_and_are_recorded_once(suite, dist):
    suite.write(SUITE)
    result, benchmarks = suite.results("-n2", f"--dist={dist}", SHORT, subprocess=True)
    result.assert_outcomes(passed=10)
    assert list(benchmarks) == NAMES
    assert [one["fullname"] for one in benchmarks.values()] == [f"test_it.py::{n}" for n in NAMES]
    assert all(map(takes_turns, benchmarks.values()))
    assert "What limits it" in result.stdout.str()
    assert len((suite.path / "log").read_text().splitlines()) == 4


def test_where_each_worker_runs_all_tests_each_is_recorded(suite):
    suite.write(SUITE)
    suite.run(
        "-n2",
        "--dist=each",
        "--benchmark-json=out.json",
        SHORT,
        "-k",
        "max or plain",
        subprocess=True,
    ).assert_outcomes(passed=12)
    benchmarks = json.loads((suite.path / "out.json").read_text())["benchmarks"]
    assert [one["name"] for one in benchmarks] == [
        f"test_max[intra{intra}-inter1]@{worker}" for intra in (1, 2) for worker in ("gw0", "gw1")
    ]
    assert all(map(takes_turns, benchmarks))
    saved = read_run(suite.path / "out.json").tests
    for intra in (1, 2):
        stored = saved[f"test_it.py::test_max[intra{intra}-inter1]"]
        groups = ["test_it.py::test_max@gw0", "test_it.py::test_max@gw1"]
        assert [one.group for one in stored] == groups
        assert [one.candidate.id for one in stored] == [f"intra{intra}-inter1"] * 2


def test_where_each_worker_runs_all_tests_a_failure_of_one_of_them_is_recorded(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(1, 1)
        def test_it(benchmark, worker_id):
            benchmark(int)
            assert worker_id == "gw0"
        """
    )
    run = ("-n2", "--dist=each", "--benchmark-json=out.json", SHORT)
    suite.run(*run, subprocess=True).assert_outcomes(passed=1, failed=1)
    saved = read_run(suite.path / "out.json")
    assert saved.failed == {"test_it.py::test_it[intra1-inter1]"}


@pytest.mark.parametrize("fails", [False, True])
def test_where_each_worker_runs_all_tests_a_run_is_complete_when_all_have(suite, fails):
    suite.write(
        """
        import pathlib, time

        OTHER_HAS_ENDED = pathlib.Path("ended")

        @pytest.mark.tf_threads(1, 1)
        def test_measured(benchmark):
            benchmark(int)

        def test_fails_in_one(worker_id):
            while worker_id == "gw1" and FAILS:
                if OTHER_HAS_ENDED.exists():
                    assert 0
                time.sleep(0.01)

        def test_last(worker_id):
            OTHER_HAS_ENDED.touch()
        """.replace("FAILS", str(fails))
    )
    run = ("-n2", "--dist=each", "-x", "--benchmark-json=out.json", "--benchmark-max-time=0.01")
    outcomes = suite.run(*run, subprocess=True).parseoutcomes()
    assert (outcomes["passed"], outcomes.get("failed")) == ((4, 1) if fails else (6, None))
    about = json.loads((suite.path / "out.json").read_text())["tf_threads"]
    assert about["complete"] is not fails


def test_a_scheduler_of_somebody_else_is_left_alone(suite):
    suite.write(
        SUITE,
        conftest="""
        def pytest_xdist_make_scheduler(config, log):
            from xdist.scheduler import LoadScheduling

            class Mine(LoadScheduling):
                pass

            return Mine(config, log)
        """,
    )
    result, benchmarks = suite.results("-n2", SHORT, "-v", subprocess=True)
    result.assert_outcomes(passed=10)
    result.stdout.fnmatch_lines(["scheduling tests via Mine"])
    assert list(benchmarks) == NAMES
    assert not any(map(takes_turns, benchmarks.values()))


def test_the_seed_that_is_told_is_that_of_the_workers(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(1, range(1, 7))
        def test_it(benchmark, tf_threads):
            with open("log", "a") as file:
                file.write(f"{tf_threads.inter} ")
            benchmark(sum, range(1000))
        """
    )
    log = suite.path / "log"
    suite.run("-n2", "--benchmark-json=out.json", SHORT, subprocess=True)
    order = log.read_text()
    log.unlink()
    seed = json.loads((suite.path / "out.json").read_text())["tf_threads"]["seed"]
    suite.run(f"--tf-threads-seed={seed}", SHORT)
    assert log.read_text() == order


def test_a_search_is_one_workers_work(suite):
    suite.write(
        """
        from exact_time import sleep

        @pytest.mark.tf_threads
        def test_it(benchmark, tf_threads):
            benchmark(sleep, 0.002 * tf_threads.intra)
        """
    )
    grid = "--tf-threads=intra=1,2,4,8;inter=1,2,3,4"
    result, benchmarks = suite.results("-n2", "--tf-threads-search", grid, SHORT, subprocess=True)
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] + outcomes["skipped"] == 17
    assert len(benchmarks) == outcomes["passed"] < 17
    (sweep,) = json.loads((suite.path / "out.json").read_text())["tf_threads"]["sweeps"]
    assert sweep["search"]["grid_configurations"] == 17


@pytest.mark.parametrize("dist", ["load", "loadgroup"])
def test_a_worker_that_dies_while_it_measures_loses_one_test(suite, dist):
    suite.write(
        """
        import os, pathlib, time

        both = pytest.mark.tf_threads(configs=[(1, 1), (2, 1), (1, 2)])

        @both
        def test_kills(benchmark, tf_threads, request):
            if (tf_threads.intra, tf_threads.inter) == (1, 1):
                worker = pathlib.Path(request.config.workerinput["workerid"])
                assert not pathlib.Path("killed").exists()
                pathlib.Path("killed").touch()
                os.kill(int(worker.read_text()), 9)
                time.sleep(60)
            benchmark(sum, range(1000))

        @both
        def test_other(benchmark):
            benchmark(sum, range(1000))

        def test_plain():
            pass
        """,
        conftest=WORKERS,
    )
    result, benchmarks = suite.results("-n2", f"--dist={dist}", SHORT, subprocess=True)
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["worker 'gw?' crashed while running *test_kills?intra1-inter1?'"])
    cases = ("intra1-inter1", "intra2-inter1", "intra1-inter2")
    assert list(benchmarks) == [
        *(f"test_kills[{case}]" for case in cases[1:]),
        *(f"test_other[{case}]" for case in cases),
    ]
    assert all(map(takes_turns, benchmarks.values()))


def test_workers_share_an_interpreter_which_outlives_the_one_that_started_it(suite):
    suite.write(
        """
        import json, os, pathlib, psutil, time

        def is_running(pid):
            try:
                return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
            except psutil.NoSuchProcess:
                return False

        @pytest.mark.tf_threads(1, 1)
        @pytest.mark.parametrize("number", range(6))
        def test_it(benchmark, number, request):
            own = request.config.workerinput["workerid"]
            interpreter = psutil.Process().parent()
            with open("interpreters", "a") as file:
                print(interpreter.pid, own, file=file)
            pids = {one.name: int(one.read_text()) for one in pathlib.Path().glob("gw?")}
            others = {pid: name for name, pid in pids.items() if name != own}
            started_by = interpreter.parent().ppid()  # its parent is its guard
            if started_by in others and not pathlib.Path("killed").exists():
                pathlib.Path("killed").touch()
                os.kill(started_by, 9)
                while is_running(started_by):
                    time.sleep(0.01)
            benchmark(sum, range(1000))
        """,
        conftest=WORKERS + WAITS_FOR_THE_FOURTH,
    )
    result, benchmarks = suite.results("-n3", "--dist=each", SHORT, subprocess=True)
    told = [line.split() for line in (suite.path / "interpreters").read_text().splitlines()]
    assert len({interpreter for interpreter, _ in told}) == 1
    assert len({worker for _, worker in told}) >= 3
    assert (suite.path / "killed").exists()
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 1  # the one that the killed worker was about to run
    assert len(benchmarks) == outcomes["passed"]


def test_without_pytest_xdist_nothing_is_distributed(suite):
    suite.write(MIXED)
    result, benchmarks = suite.results("-p", "no:xdist", SHORT, subprocess=True)
    result.assert_outcomes(passed=4)
    assert len(benchmarks) == 3
    assert "Under pytest-xdist" not in result.stdout.str()


def test_files_that_are_no_baseline_are_named(suite):
    saved = suite.path / "saved"
    saved.mkdir()
    (saved / "0001_broken.json").write_text('{"benchmarks": [], "machine_info": {}}')
    (saved / "0002_broken.json").write_text('{"benchmarks": [], "machine_info": {}}')
    result = suite.write(MIXED).run(
        "-n2", "--benchmark-storage=file://saved", "--benchmark-compare", SHORT, subprocess=True
    )
    result.stdout.fnmatch_lines(["*0001_broken.json*"])


def test_the_first_failure_ends_the_run(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1), (1, 2)])
        def test_it(benchmark, tf_threads):
            assert tf_threads.intra == 1
            benchmark(sum, range(1000))
        """
    )
    result, benchmarks = suite.results("-n2", "-x", SHORT, subprocess=True)
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert list(benchmarks) == ["test_it[intra1-inter1]"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_an_end_ends_workers_and_what_they_measure(suite, eventually, all_end, ending):
    suite.write(
        """
        import pathlib, time

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
        @pytest.mark.parametrize("number", [1, 2])
        def test_it(benchmark, number):
            pathlib.Path(f"runs{number}").touch()
            time.sleep(60)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n2"],
        cwd=suite.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        # The other one waits for its CPUs.
        eventually(lambda: list(suite.path.glob("runs?")) or process.poll() is not None)
        assert process.poll() is None, process.stdout.read().decode()
        started = [one.pid for one in psutil.Process(process.pid).children(recursive=True)]
        if ending == signal.SIGINT:
            os.killpg(process.pid, ending)
        else:
            process.send_signal(ending)
        process.communicate(timeout=300)
    if ending == signal.SIGINT:
        assert process.returncode == pytest.ExitCode.INTERRUPTED
    all_end(started)


def test_workers_of_a_run_that_wait_for_each_other_say_nothing(suite):
    source = """
        import time

        @pytest.mark.parametrize("number", range(3))
        @pytest.mark.tf_threads(1, 1)
        def test_work(benchmark, number):
            benchmark(time.sleep, 0.01)
        """
    result = suite.write(source).run("-n2", "--benchmark-max-time=1", processes=2)
    result.assert_outcomes(passed=3)
    assert "waiting for the CPUs" not in result.stdout.str()


def test_workers_write_nothing(suite, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(suite.path / "summary.md"))
    arguments = ("-n2", "--benchmark-autosave", "--benchmark-storage=saved", SHORT)
    suite.write(SUITE).run(*arguments, subprocess=True)
    result, benchmarks = suite.results(
        *arguments,
        "--junitxml=junit.xml",
        "--benchmark-compare",
        "--tf-threads-fail-on=no-baseline",
        subprocess=True,
    )
    result.assert_outcomes(passed=10)
    assert result.stderr.str().count("Wrote benchmark data in") == 1
    assert result.stderr.str().count("Saved benchmark data in") == 1
    saved = sorted(suite.path.glob("saved/*/*.json"))
    assert [path.name[:4] for path in saved] == ["0001", "0002"]
    names = [[one["name"] for one in json.loads(file.read_text())["benchmarks"]] for file in saved]
    assert names == [NAMES, NAMES]
    assert (suite.path / "junit.xml").read_text().count("<testcase ") == 10
    verdicts = [one["extra_info"]["tf_threads"]["verdicts"] for one in benchmarks.values()]
    assert [len(one) for one in verdicts] == [2] * 6
    assert (suite.path / "summary.md").read_text().count("### Speed") == 1


def test_what_a_report_carries_may_be_overwritten(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(1, 1)
        def test_it(benchmark):
            benchmark(int)

        def test_plain():
            pass
        """,
        conftest="""
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_logreport(report):
            if hasattr(report, "tf_threads"):
                report.tf_threads = {"name": 1}
        """,
    )
    result, benchmarks = suite.results("-n1", SHORT, subprocess=True)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*test_it.py::test_it*: what was measured did not arrive: *"])
    assert "INTERNALERROR" not in result.stdout.str()
    assert not benchmarks


def test_a_run_of_benchmarks_only_measures_the_marked(suite):
    suite.write(MIXED)
    result, benchmarks = suite.results("-n2", "--benchmark-only", "-rs", SHORT, subprocess=True)
    result.assert_outcomes(passed=2, skipped=2)
    assert list(benchmarks) == ["test_marked[intra1-inter1]", "test_marked[intra2-inter1]"]
    result.stdout.fnmatch_lines(
        [
            "SKIPPED*pytest-benchmark measures nothing under pytest-xdist; mark tests with "
            "@pytest.mark.tf_threads, or leave -n *"
        ]
    )


def test_a_run_of_benchmarks_only_that_has_none_marked_is_refused(suite):
    suite.write(MIXED)
    result = suite.run("-n2", "--benchmark-only", "-k", "not test_marked", subprocess=True)
    result.assert_outcomes(skipped=2, deselected=0)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["--benchmark-only: pytest-benchmark measures nothing under *"])


def test_benchmarks_that_are_disabled_stay_so(suite):
    suite.write(MIXED)
    result, benchmarks = suite.results("-n2", "--benchmark-disable", subprocess=True)
    result.assert_outcomes(passed=4)
    assert benchmarks == {}
    result = suite.run("-n2", "--benchmark-disable", "--benchmark-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Can't have both --benchmark-only and --benchmark-disable*"])


@pytest.mark.parametrize(("selected", "warns"), [("test_marked", False), ("not test_plain", True)])
def test_only_what_is_not_measured_is_warned_of(suite, selected, warns):
    version = importlib.metadata.version("pytest-benchmark").split(".")
    if tuple(map(int, version[:2])) < (5, 3):
        pytest.skip("pytest-benchmark before 5.3 warns before it knows the tests")
    result = suite.write(MIXED).run("-n2", "-k", selected, SHORT, subprocess=True)
    assert ("Benchmarks are automatically disabled" in result.stderr.str()) is warns
    result.stdout.fnmatch_lines(["Under pytest-xdist marked tests are measured, and no others."])


# -- dealing, without workers ---------------------------------------------------------------------

MARKED = [f"t.py::test_m[{x}-intra{i}-inter1]" for x in "ab" for i in (1, 2, 4)]
PLAIN = [f"t.py::test_p[{number}]" for number in range(6)]


class Node:
    """A worker of pytest-xdist that notes what it is told."""

    def __init__(self, name):
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.is_dead = False
        self.told = []
        self.asked_back = []

    def shutdown(self):
        self.shutting_down = True

    def send_runtest_some(self, indices):
        assert not self.shutting_down
        self._reach()
        self.told += indices

    def send_steal(self, indices):
        self._reach()
        self.asked_back += indices

    def _reach(self):
        if self.is_dead:
            raise OSError("cannot send to <Channel closed>")


class Dealing:
    """A scheduler, its two workers (of which so many have collected), and what ran on which."""

    def __init__(self, kind, ids, collected=2):
        options = {"tx": ["popen"] * 2, "maxschedchunk": None, "px": []}
        config = SimpleNamespace(
            getvalue=options.get,
            getoption=options.get,
            option=SimpleNamespace(loadscopereorder=True, **options),
        )
        self.ids = ids
        self.scheduler = GroupScheduling(getattr(xdist.scheduler, kind)(config))
        self.nodes = [self.start("gw0"), self.start("gw1", collects=collected > 1)]
        if self.scheduler.collection_is_completed:
            self.scheduler.schedule()
        self.ran = {}

    def start(self, name, collects=True):
        node = Node(name)
        self.scheduler.add_node(node)
        if collects:
            self.scheduler.add_node_collection(node, self.ids)
        return node

    def run(self, node, tests=None):
        """Have a worker run what it may: as pytest-xdist's, none before it knows the next."""
        ran = self.ran.setdefault(node, [])
        while tests is None or len(ran) < tests:
            waiting = [index for index in node.told if index not in ran]
            if len(waiting) < (1 if node.shutting_down else 2):
                return
            ran.append(waiting[0])
            self.scheduler.mark_test_complete(node, waiting[0], 0.5)

    def replace(self, node):
        """It dies, and another comes; the answer is the test it died of."""
        lost = self.scheduler.remove_node(node)
        self.nodes[self.nodes.index(node)] = self.start("new")
        self.scheduler.schedule()
        return lost

    def give_back(self, node):
        """All that a worker is asked for, or nothing."""
        if node.asked_back:
            asked, node.asked_back = node.asked_back, []
            given = [] if set(asked) & set(self.ran[node]) else asked
            node.told = [index for index in node.told if index not in given]
            self.scheduler.remove_pending_tests_from_node(node, given)

    def run_all(self):
        for _ in self.ids:
            for node in self.nodes:
                self.run(node)
                self.give_back(node)
        return sorted(self.ids[index] for ran in self.ran.values() for index in ran)

    def whole_groups(self):
        """Whether no test's configurations are on several workers."""
        of = [
            {self.ids[index].rpartition("-intra")[0] for index in ran} for ran in self.ran.values()
        ]
        marked = [group for groups in of for group in groups if group]
        return len(marked) == len(set(marked))


KINDS = [
    "LoadScheduling",
    "LoadScopeScheduling",
    "LoadFileScheduling",
    "LoadGroupScheduling",
    "WorkStealingScheduling",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffled", [False, True])
def test_groups_are_dealt_whole(kind, shuffled):
    ids = MARKED + PLAIN
    if shuffled:
        ids = ids[::2] + ids[1::2]
    dealing = Dealing(kind, ids)
    assert dealing.run_all() == sorted(ids)
    assert dealing.whole_groups()
    assert dealing.scheduler.tests_finished


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ran_before", [None, 1])
def test_a_worker_that_has_died_and_is_still_sent_tests(kind, ran_before):
    """pytest-xdist may deal to a worker, or ask it for tests, before it has noticed its death."""
    ids = MARKED + PLAIN
    dealing = Dealing(kind, ids, collected=1)
    doomed, other = dealing.nodes
    doomed.is_dead = ran_before is None
    dealing.scheduler.add_node_collection(other, ids)
    dealing.scheduler.schedule()
    if ran_before:
        dealing.run(doomed, ran_before)
        doomed.is_dead = True
    dealing.run(other)  # it is out of tests, and those of the dead one may be asked for
    lost = dealing.replace(doomed)
    assert lost in ids
    assert dealing.run_all() == sorted({*ids} - {lost})


@pytest.mark.parametrize("kind", KINDS)
def test_tests_without_groups_are_dealt_as_ever(kind):
    dealing = Dealing(kind, PLAIN)
    told = [list(node.told) for node in dealing.nodes]
    assert dealing.run_all() == sorted(PLAIN)
    bare = Dealing.__new__(Dealing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "GroupScheduling", lambda scheduler: scheduler)
        bare.__init__(kind, PLAIN)
    assert [node.told for node in bare.nodes] == told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ran", [0, 1, 2])
def test_a_worker_that_dies_loses_one_test_of_a_group(kind, ran):
    dealing = Dealing(kind, MARKED)
    first = next(node for node in dealing.nodes if 0 in node.told)
    dealing.run(first, tests=ran)
    assert dealing.replace(first) == MARKED[ran]
    assert dealing.run_all() == sorted(set(MARKED) - {MARKED[ran]})
    assert not dealing.scheduler.has_pending


@pytest.mark.parametrize("kind", ["LoadScheduling", "WorkStealingScheduling"])
def test_a_lost_test_may_be_run_again_with_the_rest_of_its_group(kind):
    dealing = Dealing(kind, MARKED)
    first = next(node for node in dealing.nodes if 0 in node.told)
    lost = dealing.scheduler.remove_node(first)
    dealing.scheduler.mark_test_pending(lost)
    dealing.nodes[dealing.nodes.index(first)] = dealing.start("new")
    dealing.scheduler.schedule()
    assert dealing.run_all() == sorted(MARKED)
    assert dealing.whole_groups()


def test_what_is_taken_back_is_whole_groups():
    ids = [f"t.py::test_m[{x}-intra{i}-inter1]" for x in range(8) for i in (1, 2, 4)]
    dealing = Dealing("WorkStealingScheduling", ids)
    idle, busy = dealing.nodes
    dealing.run(idle)
    assert len(busy.asked_back) == 6
    groups = {ids[index].rpartition("-intra")[0] for index in busy.asked_back}
    assert len(groups) == 2
    # Meanwhile the busy one has begun the first of the two groups, and gives the rest of both.
    dealing.scheduler.remove_pending_tests_from_node(busy, busy.asked_back[1:])
    assert busy.told[-2:] == busy.asked_back[1:3]
    assert [index for index in busy.asked_back[3:] if index in idle.told] == busy.asked_back[3:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_dies_before_all_have_collected_loses_nothing(kind):
    dealing = Dealing(kind, MARKED, collected=1)
    first, second = dealing.nodes
    assert dealing.scheduler.remove_node(first) is None
    dealing.scheduler.add_node_collection(second, MARKED)
    assert not dealing.scheduler.collection_is_completed
    dealing.nodes[0] = dealing.start("new")
    dealing.scheduler.schedule()
    assert dealing.run_all() == MARKED


def test_collections_that_differ_are_complained_of():
    complaints = []
    config = SimpleNamespace(
        getvalue={"tx": ["popen"] * 2}.get,
        getoption={"tx": ["popen"] * 2}.get,
        hook=SimpleNamespace(pytest_collectreport=lambda report: complaints.append(report)),
    )
    scheduler = GroupScheduling(xdist.scheduler.LoadScheduling(config))
    nodes = [Node("gw0"), Node("gw1")]
    for node, ids in zip(nodes, (MARKED, MARKED[:-1]), strict=True):
        scheduler.add_node(node)
        scheduler.add_node_collection(node, ids)
    scheduler.schedule()
    assert MARKED[-1] in str(complaints[0].longrepr)
    assert [node.told for node in nodes] == [[], []]
