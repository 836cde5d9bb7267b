"""Beside plugins, and recipes in conftest.py files, that run a test again or elsewhere."""

import json
from xml.etree import ElementTree

import pytest

ATTEMPTS = """
import os, pathlib
import pytest

def attempt(name):
    file = pathlib.Path(name)
    count = len(file.read_text()) if file.exists() else 0
    file.write_text("." * (count + 1))
    return count
"""

RERUN = (
    ATTEMPTS
    + """
class Rare(Exception):
    pass

pytestmark = pytest.mark.benchmark(max_time=0.01)

@pytest.mark.tf_threads(1, 1)
def test_before(benchmark):
    assert attempt("before") == 1
    benchmark(int)

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_after(benchmark, tf_threads):
    benchmark(int)
    assert tf_threads.intra == 1 or attempt("after") == 1

@pytest.mark.tf_threads(1, 1)
def test_crashes(benchmark):
    benchmark(int)
    if attempt("crashes") == 0:
        os.abort()

@pytest.mark.tf_threads(1, 1)
@pytest.mark.flaky(reruns=2, only_rerun=["Rare: it is"])
def test_matching(benchmark):
    benchmark(int)
    if attempt("matching") == 0:
        raise Rare("it is rare")

@pytest.mark.tf_threads(1, 1)
@pytest.mark.flaky(reruns=2, only_rerun=["Rare: it is"])
def test_other(benchmark):
    benchmark(int)
    attempt("other")
    raise ValueError("it is not")

@pytest.mark.tf_threads(1, 1)
def test_never(benchmark):
    attempt("never")
    assert False

@pytest.fixture
def broken():
    yield
    assert attempt("teardown") == 1

@pytest.mark.tf_threads(1, 1)
def test_teardown(benchmark, broken):
    benchmark(int)

def test_unmarked():
    assert attempt("unmarked") == 1
"""
)


@pytest.mark.parametrize("args", [(), ("-n1", "--dist=load")], ids=["here", "xdist"])
def test_pytest_rerunfailures_has_each_attempt_measured(suite, args):
    pytest.importorskip("pytest_rerunfailures")
    suite.write(RERUN)
    result = suite.run(
        "--reruns=1", "--benchmark-json=out.json", "--junitxml=junit.xml", *args, subprocess=True
    )
    outcomes = result.parseoutcomes()
    assert {name: outcomes[name] for name in ("passed", "failed", "rerun")} == {
        "passed": 8,  # test_teardown's call in both attempts
        "failed": 2,
        "rerun": 7,
    }
    assert "errors" not in outcomes
    told = json.loads((suite.path / "out.json").read_text())
    assert sorted(one["name"].partition("[")[0] for one in told["benchmarks"]) == [
        "test_after",
        "test_after",
        "test_before",
        "test_crashes",
        "test_matching",
        "test_teardown",
    ]
    assert [one.rpartition("::")[2].partition("[")[0] for one in told["tf_threads"]["failed"]] == [
        "test_other",
        "test_never",
    ]
    assert told["tf_threads"]["complete"] is True
    attempts = {
        name: len((suite.path / name).read_text())
        for name in ("before", "after", "crashes", "matching", "other", "never", "teardown")
    }
    assert attempts == {
        "before": 2,
        "after": 2,
        "crashes": 2,
        "matching": 2,
        "other": 1,
        "never": 2,
        "teardown": 2,
    }
    suites = ElementTree.parse(suite.path / "junit.xml").getroot()
    assert len(list(suites.iter("failure"))) == 2
    # Not compared, for the one that was run again did so alone; and this is said.
    result.stdout.fnmatch_lines(["*test_after: its configurations took no turns*"])


FIRST_FAILS = (
    ATTEMPTS
    + """
@pytest.mark.benchmark(warmup=False, max_time=0.001)
@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_first(benchmark, tf_threads):
    benchmark(int)
    assert tf_threads.intra == 2 or attempt("first") > 0
"""
)


def test_first_failure_that_passes_when_run_again_does_not_end_the_run(suite):
    pytest.importorskip("pytest_rerunfailures")
    suite.write(FIRST_FAILS)
    result, benchmarks = suite.results("--reruns=1", "-x", "--tf-threads-seed=1")
    assert result.parseoutcomes()["passed"] == 2
    assert len(benchmarks) == 2


@pytest.mark.parametrize(
    "more", [(), ("--tf-threads-search", "--tf-threads=1x1,2x1"), ("--tf-threads-group=1",)]
)
def test_what_a_failure_cut_short_is_measured_in_full_if_the_run_goes_on(suite, more):
    pytest.importorskip("pytest_rerunfailures")
    suite.write(FIRST_FAILS)
    args = ("--reruns=1", "-x", "--tf-threads-seed=1", *more)
    result, benchmarks = suite.results(*args, processes=3)
    assert "failed" not in result.parseoutcomes()
    processes = [len(one["extra_info"]["tf_threads"]["processes"]) for one in benchmarks.values()]
    assert len(processes) >= 2
    assert set(processes) == {3}


RECIPE = """
from _pytest.runner import runtestprotocol

def pytest_addoption(parser):
    parser.addoption("--token", default="drawn")

def pytest_configure(config):
    if config.option.token == "drawn":
        import secrets
        config.option.token = secrets.token_hex()
    config.seen = []

def pytest_sessionfinish(session):
    with open("seen", "w" if session.config.seen else "a") as file:
        file.write("\\n".join(sorted(session.config.seen)))

def pytest_tfthreads_send_state(config, item):
    return {"seen": config.seen}

def pytest_tfthreads_receive_state(config, item, state):
    config.seen += [f"{item.name} received {one}" for one in state["seen"]]

def pytest_runtest_protocol(item, nextitem):
    item.is_prepared = True
    if "again" not in item.keywords:
        return None
    for last in (False, True):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if last or all(report.passed for report in reports):
            for report in reports:
                item.ihook.pytest_runtest_logreport(report=report)
            last = True
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if last:
            return True
"""


def test_recipe_of_a_conftest_runs_a_test_again_and_plugins_states_come_back(suite):
    suite.write(
        ATTEMPTS
        + """
pytestmark = pytest.mark.benchmark(warmup=False, max_time=0.001)

@pytest.mark.again
@pytest.mark.tf_threads(1, 1)
def test_again(benchmark, pytestconfig):
    pytestconfig.seen.append(pytestconfig.option.token)
    benchmark(int)
    assert attempt("again") == 1

@pytest.mark.tf_threads(1, 1)
def test_once(request, pytestconfig):
    pytestconfig.seen.append(pytestconfig.option.token)
    assert request.node.is_prepared  # by the hook, in this process too

def test_unmarked(pytestconfig):
    pytestconfig.seen.append(f"test_unmarked {pytestconfig.option.token}")
""",
        conftest=RECIPE,
    )
    (suite.path / "pytest.ini").write_text("[pytest]\nmarkers = again\n")
    result, benchmarks = suite.results()
    result.assert_outcomes(passed=3)
    assert list(benchmarks) == ["test_again[intra1-inter1]"]
    seen = [line.split() for line in (suite.path / "seen").read_text().splitlines()]
    assert [words[0] for words in seen] == [
        "test_again[intra1-inter1]",
        "test_again[intra1-inter1]",
        "test_once[intra1-inter1]",
        "test_unmarked",
    ]
    assert len({words[-1] for words in seen}) == 1  # one token for the run, however many processes


FORKING = """
import json, os
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    read, write = os.pipe()
    if os.fork() == 0:
        hook = item.config.hook
        told = [
            hook.pytest_report_to_serializable(config=item.config, report=report)
            for report in runtestprotocol(item, log=False)
        ]
        os.write(write, json.dumps(told).encode())
        os._exit(0)
    os.close(write)
    with open(read) as file:
        for data in json.load(file):
            report = item.config.hook.pytest_report_from_serializable(
                config=item.config, data=data
            )
            item.ihook.pytest_runtest_logreport(report=report)
    os.wait()
    return True
"""


@pytest.mark.parametrize(
    ("name", "is_measured"), [("pytest_forked", True), ("forks_them_all", False)]
)
def test_plugin_that_forks_pytest_is_known_or_named_at_once(suite, name, is_measured):
    suite.write(
        """
        @pytest.mark.benchmark(warmup=False, max_time=0.001)
        @pytest.mark.tf_threads(1, 1)
        def test_marked(benchmark):
            benchmark(int)

        def test_unmarked():
            pass
        """,
        **{name: FORKING},
    )
    args = ["-p", "no:pytest_forked"] if not is_measured else []
    result, benchmarks = suite.results("-p", name, *args, subprocess=True)
    assert len(benchmarks) == is_measured
    if not is_measured:
        result.assert_outcomes(passed=1, failed=0, errors=1)
        result.stdout.fnmatch_lines(["*test_marked*the plugin forks_them_all*-p no:forks_them_all"])


def test_conftest_that_takes_a_test_before_us_is_told(suite):
    # Of the first marked test on, ours stands before what comes later.
    suite.write("@pytest.mark.tf_threads(1, 1)\ndef test_first(): pass\n")
    suite.pytester.mkdir("within").joinpath("conftest.py").write_text(
        FORKING.replace("os.fork() == 0", "True")
        .replace("os._exit(0)", "os.close(write)")
        .replace("    os.close(write)\n    with", "    with")
        .replace("    os.wait()\n", "")
    )
    (suite.path / "within" / "test_within.py").write_text(
        "import pytest\n@pytest.mark.tf_threads(1, 1)\ndef test_marked(benchmark): benchmark(int)\n"
    )
    result, benchmarks = suite.results()
    assert not benchmarks
    result.assert_outcomes(errors=2)  # pytest asks it for all tests
    result.stdout.fnmatch_lines(
        ["*test_marked*a conftest.py*runs this test in the pytest process*"]
    )


def test_test_that_a_plugin_runs_again_in_its_own_process_says_so(suite):
    suite.write(
        ATTEMPTS
        + """
@pytest.mark.benchmark(warmup=False, max_time=0.001)
@pytest.mark.tf_threads(1, 1)
def test_again(benchmark):
    benchmark(int)
    assert attempt("again") == 1
""",
        conftest="""
        import pytest

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_makereport(item, call):
            outcome = yield
            report = outcome.get_result()
            if call.when == "call" and report.failed and not hasattr(item, "again"):
                item.again = True
                hook = item.ihook
                hook.pytest_runtest_teardown(item=item, nextitem=None)
                item._initrequest()
                hook.pytest_runtest_setup(item=item)
                call = pytest.CallInfo.from_call(
                    lambda: hook.pytest_runtest_call(item=item), when="call"
                )
                outcome.force_result(pytest.TestReport.from_item_and_call(item, call))
        """,
    )
    result, benchmarks = suite.results()
    assert not benchmarks
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*A plugin runs this test again in the same process*"])
