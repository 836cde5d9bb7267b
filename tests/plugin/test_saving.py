"""What is saved of a run, of a failed one too, and that several runs may save at once."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from importlib.metadata import version

import pytest

from builders import flat
from unfit_files import UNFIT

UNMARKED = """
pytestmark = pytest.mark.benchmark(warmup=False, max_time=0.002, min_time=0.0002)

def test_one(benchmark): benchmark(sum, range(100))
"""
ONE = UNMARKED.replace("def", "@pytest.mark.tf_threads(1, 1)\ndef")
IN_PLACE = tuple(map(int, version("pytest-benchmark").split(".")[:2])) < (5, 3)
"""pytest-benchmark empties the file of --benchmark-json when it reads its options."""

# As if the disk were full, but only for files that are saved.
DISK_FULL = """
import errno, os

def pytest_sessionstart():
    def full(_): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync = full
"""
WAIT_IN_THE_MIDST = """
import os, time

def pytest_sessionstart():
    def wait(_):
        open("writing", "w").close()
        time.sleep(1000)
    if os.path.exists("wait"):
        os.fsync = wait
"""
# All runs are ready to save before any of them does.
TOGETHER = """
import os, pathlib, time

def pytest_benchmark_update_json():
    pathlib.Path(f"ready-{os.getpid()}").touch()
    deadline = time.monotonic() + 300
    while len(list(pathlib.Path.cwd().glob("ready-*"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.005)
"""


def start(suite, *args):
    """A run beside others, in the suite's directory."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args]
    return subprocess.Popen(
        [*command, "--tf-threads-processes=1"],
        cwd=suite.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def files(suite, pattern="*"):
    return sorted(file.name for file in (suite.path / ".benchmarks").glob(f"*/{pattern}"))


def saved(suite):
    """The one file that --benchmark-save wrote."""
    (file,) = (suite.path / ".benchmarks").glob("*/*")
    return json.loads(file.read_text())


@pytest.mark.parametrize("source", [ONE, UNMARKED], ids=["marked", "unmarked"])
def test_what_pytest_benchmark_says_and_writes_stays(suite, source):
    result = suite.write(source).run("--benchmark-save=x", "--benchmark-json=out.json")
    assert result.ret == 0
    assert re.search(r"Saved benchmark data in: \S+/0001_x\.json", flat(result))
    assert re.search(r"Wrote benchmark data in: \S*.*out\.json", flat(result))
    assert files(suite) == ["0001_x.json"]
    written = json.loads((suite.path / "out.json").read_text())
    assert [one["name"] for one in written["benchmarks"]] == [
        one["name"] for one in saved(suite)["benchmarks"]
    ]
    assert "data" in written["benchmarks"][0]["stats"]
    assert "data" not in saved(suite)["benchmarks"][0]["stats"]
    suite.run("--benchmark-autosave", "--benchmark-save-data").assert_outcomes(passed=1)
    assert len(files(suite, "0002_*.json")) == len(files(suite)) - 1 == 1


@pytest.mark.parametrize("names", ["xxx", "xyz"], ids=["one-name", "several-names"])
@pytest.mark.parametrize("source", [ONE, UNMARKED], ids=["marked", "unmarked"])
def test_runs_that_save_at_once(suite, source, names):
    suite.write(source, conftest=TOGETHER)
    runs = [start(suite, f"--benchmark-save={name}") for name in names]
    for run in runs:
        output, _ = run.communicate(timeout=300)
        assert run.returncode == 0, output
    assert [name[:4] for name in files(suite)] == ["0001", "0002", "0003"]
    assert sorted(name[5] for name in files(suite)) == sorted(names)
    for file in (suite.path / ".benchmarks").glob("*/*"):
        assert len(json.loads(file.read_text())["benchmarks"]) == 1


@pytest.mark.timeout(60)
def test_what_is_no_file_keeps_pytest_benchmark_from_nothing(suite):
    suite.write(UNMARKED).run("--benchmark-save=x").assert_outcomes(passed=1)
    (file,) = (suite.path / ".benchmarks").glob("*/*")
    for number, make in enumerate(UNFIT.values(), start=2):
        make(file.with_name(f"{number:04}_x.json"))
    result = suite.run("--benchmark-compare", subprocess=True)
    result.assert_outcomes(passed=1)
    for number, words in enumerate(UNFIT, start=2):
        assert f"{number:04}_x.json: {words}" in flat(result)
    assert re.search(r"Comparing against benchmarks from: \S+/0001_x\.json", flat(result))


def test_a_run_killed_while_it_saves_leaves_no_saved_run(suite):
    suite.write(ONE, conftest=WAIT_IN_THE_MIDST)
    (suite.path / "wait").touch()
    with start(suite, "--benchmark-save=killed") as run:
        deadline = time.monotonic() + 300
        while not (suite.path / "writing").exists():
            assert run.poll() is None, run.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
    assert files(suite) == [".0001.part"]
    (suite.path / "wait").unlink()
    # Nothing takes what is left for a saved run, and the next one takes its number.
    result = suite.run("--benchmark-compare", "--benchmark-save=next", subprocess=True)
    result.assert_outcomes(passed=1)
    assert "there is no saved run in" in flat(result)
    assert files(suite) == ["0001_next.json"]


def test_a_disk_that_is_full(suite):
    suite.write(ONE, conftest=DISK_FULL)
    (suite.path / "out.json").write_text("before")
    result = suite.run("--benchmark-save=x", "--benchmark-json=out.json", subprocess=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.assert_outcomes(passed=1)
    assert "Traceback" not in flat(result)
    assert "--benchmark-save: this run was not saved in" in flat(result)
    assert "No space left on device; mend that, or save in another directory" in flat(result)
    assert "--benchmark-json: out.json was not written: No space left on device" in flat(result)
    result.stdout.fnmatch_lines(["*- tf_threads -*"])
    assert files(suite) == []
    assert (suite.path / "out.json").read_text() == ("" if IN_PLACE else "before")
    assert not list(suite.path.glob(".out*"))


def test_a_failed_test_outweighs_a_file_that_was_not_written(suite):
    suite.write(ONE + "def test_fails(): assert False", conftest=DISK_FULL)
    result = suite.run("--benchmark-save=x", subprocess=True)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "this run was not saved" in flat(result)


def test_a_storage_that_is_no_directory(suite):
    (suite.path / "file").touch()
    result = suite.write(UNMARKED).run(
        "--benchmark-save=x", "--benchmark-storage=file://file", subprocess=True
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Not a directory; mend that, or save in another directory with" in flat(result)
    assert "Traceback" not in flat(result)


def test_numbers_end_at_9999(suite):
    suite.write(ONE).run("--benchmark-save=x").assert_outcomes(passed=1)
    (file,) = (suite.path / ".benchmarks").glob("*/*")
    file.rename(file.with_name("9999_x.json"))
    result = suite.run("--benchmark-save=y", subprocess=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "has a file of the number 9999, and there are no higher ones" in flat(result)
    assert "--benchmark-storage" in flat(result)
    assert files(suite) == ["9999_x.json"]


def test_unmarked_suites_leave_what_cannot_be_written_to_pytest_benchmark(suite):
    result = suite.write(UNMARKED).run("--benchmark-json=none/out.json", subprocess=True)
    assert result.ret != 0
    assert re.search(r"No such file or directory: '\S*none/out\.json'", flat(result))


def test_json_into_a_pipe(suite):
    os.mkfifo(suite.path / "pipe")
    with start(suite.write(ONE), "--benchmark-json=pipe") as run:
        written = json.loads((suite.path / "pipe").read_text())
        output = run.communicate(timeout=300)[0]
    assert run.returncode == 0, output
    assert len(written["benchmarks"]) == 1


# -- failed runs ----------------------------------------------------------------------------------

FAILING = (
    ONE
    + """
import os

@pytest.fixture
def broken(): raise ValueError
@pytest.fixture
def broken_later():
    yield
    raise ValueError

@pytest.mark.tf_threads([1, 2], 1)
def test_fails_under_one(benchmark, tf_threads):
    benchmark(sum, range(100))
    assert tf_threads.intra == 1

@pytest.mark.tf_threads(1, 1)
def test_crashes(benchmark): benchmark(os.abort)

@pytest.mark.tf_threads(1, 1)
def test_setup(benchmark, broken): benchmark(sum, range(100))

@pytest.mark.tf_threads(1, 1)
def test_teardown(benchmark, broken_later): benchmark(sum, range(100))

@pytest.mark.tf_threads(1, 1)
@pytest.mark.skip
def test_skipped(benchmark): benchmark(sum, range(100))

@pytest.mark.tf_threads(1, 1)
@pytest.mark.xfail
def test_expected(benchmark): benchmark(sum, range(100)); assert False

@pytest.mark.tf_threads(1, 1)
def test_measures_nothing(): assert False

def test_unmarked(): assert False
"""
)
FAILED = [
    "test_it.py::test_fails_under_one[intra2-inter1]",
    "test_it.py::test_crashes[intra1-inter1]",
    "test_it.py::test_setup[intra1-inter1]",
    "test_it.py::test_teardown[intra1-inter1]",
]


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["here", "xdist"])
def test_failed_tests_leave_no_row_and_are_named(suite, args):
    options = ("--benchmark-save=x", "--benchmark-json=out.json")
    suite.write(FAILING).run(*options, *args, subprocess=True)
    assert {one["name"] for one in saved(suite)["benchmarks"]} == {
        "test_one[intra1-inter1]",
        "test_fails_under_one[intra1-inter1]",
    }
    about = saved(suite)["tf_threads"]
    assert sorted(about["failed"]) == sorted(FAILED)
    assert about["complete"] is True
    assert json.loads((suite.path / "out.json").read_text())["tf_threads"] == about


def test_run_without_failures_is_complete(suite):
    suite.write(ONE + "def test_unmarked(): pass").run("--benchmark-save=x", "-k", "one")
    about = saved(suite)["tf_threads"]
    assert (about["failed"], about["complete"]) == ([], True)


SECOND = """
@pytest.mark.tf_threads(1, 1)
def test_two(benchmark): {}

@pytest.mark.tf_threads(1, 1)
def test_three(benchmark): benchmark(sum, range(100))
"""


@pytest.mark.parametrize(
    ("second", "args", "failed"),
    [
        ("assert False", ("-x",), ["test_it.py::test_two[intra1-inter1]"]),
        ("raise KeyboardInterrupt", (), []),
        ("pytest.exit('enough')", (), []),
    ],
)
def test_runs_that_ended_early_say_so(suite, second, args, failed):
    suite.write(ONE + SECOND.format(second))
    suite.run("--benchmark-save=x", *args, subprocess=True)
    assert [one["name"] for one in saved(suite)["benchmarks"]] == ["test_one[intra1-inter1]"]
    about = saved(suite)["tf_threads"]
    assert (about["failed"], about["complete"]) == (failed, False)


def test_an_interrupt_from_outside(suite, eventually):
    suite.write(
        ONE
        + SECOND.format("(open('here', 'w').close(), time.sleep(1000))").replace(
            "@pytest", "import time\n@pytest", 1
        )
    )
    with start(suite, "--benchmark-save=x") as run:
        eventually(lambda: (suite.path / "here").exists() or run.poll() is not None)
        assert run.poll() is None, run.stdout.read()
        run.send_signal(signal.SIGINT)
        output = run.communicate(timeout=300)[0]
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output
    assert [one["name"] for one in saved(suite)["benchmarks"]] == ["test_one[intra1-inter1]"]
    about = saved(suite)["tf_threads"]
    assert (about["failed"], about["complete"]) == ([], False)


def test_first_failure_that_is_the_last_test_cuts_nothing_off(suite):
    suite.write(ONE + "def test_fails(): assert False").run("--benchmark-save=x", "-x")
    assert saved(suite)["tf_threads"]["complete"] is True


def test_modules_that_cannot_be_collected_are_missing(suite):
    suite.write(ONE, test_broken="import none_such")
    suite.run("--benchmark-save=x", "--continue-on-collection-errors")
    assert saved(suite)["tf_threads"]["complete"] is False


def test_a_worker_of_xdist_that_crashes_leaves_a_gap(suite):
    suite.write(ONE + "import os\ndef test_kills_its_worker(): os.abort()")
    suite.run("--benchmark-save=x", "-n1", subprocess=True)
    assert [one["name"] for one in saved(suite)["benchmarks"]] == ["test_one[intra1-inter1]"]
    assert saved(suite)["tf_threads"]["complete"] is False


def test_gate_tells_of_tests_that_failed_when_the_run_was_saved(suite):
    failing = ONE + SECOND.format("benchmark(sum, range(100)); assert False")
    suite.write(failing).run("--benchmark-save=x").assert_outcomes(passed=2, failed=1)
    suite.write(failing.replace("; assert False", ""))
    result = suite.run("--benchmark-compare", subprocess=True)
    assert re.search(r"no-baseline: the test failed when .*0001_x\.json \(", flat(result))


# -- GitHub ---------------------------------------------------------------------------------------

SLEEPS = """
from exact_time import sleep

@pytest.mark.tf_threads(1, 1, tolerance={"cpu_efficiency": "99%"})
def test_sleeps(benchmark):
    benchmark(sleep, float(open("ms").read()) / 1000)

def test_unmarked():
    pass
"""


@pytest.fixture(scope="module")
def kept_run():
    """The file that the first test to need it has measured, for all: path in the suite, text."""
    return {}


@pytest.fixture
def sleeps(suite, kept_run):
    """A suite with a saved run of 5 ms a call."""
    suite.write(SLEEPS)
    suite.ms = lambda ms: (suite.path / "ms").write_text(str(ms))
    suite.ms(5)
    if not kept_run:
        result = suite.run("--benchmark-max-time=0.2", "--benchmark-save=first", processes=2)
        result.assert_outcomes(passed=2)
        (file,) = (suite.path / ".benchmarks").glob("*/0001_first.json")
        kept_run.update(path=file.relative_to(suite.path), text=file.read_text())
    file = suite.path / kept_run["path"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(kept_run["text"])
    return suite


def compare(suite, *args):
    args = ("--benchmark-max-time=0.2", "--benchmark-compare", *args)
    return suite.run(*args, processes=2, subprocess=True)


def annotations(result):
    return [line for line in result.stdout.lines if line.lstrip().startswith("::")]


def test_a_regression_is_in_the_file_with_its_verdicts_and_has_not_failed(sleeps):
    sleeps.ms(40)
    result = compare(sleeps, "--benchmark-json=out.json")
    result.assert_outcomes(passed=1, failed=1)
    assert annotations(result) == []
    written = json.loads((sleeps.path / "out.json").read_text())
    (one,) = written["benchmarks"]
    verdicts = one["extra_info"]["tf_threads"]["verdicts"]
    assert verdicts[0]["status"] == "regression"
    about = written["tf_threads"]
    assert (about["failed"], about["complete"]) == ([], True)


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["here", "xdist"])
def test_errors_on_github(sleeps, monkeypatch, args):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(sleeps.path.parent))
    sleeps.ms(40)
    result = compare(sleeps, *args)
    (error,) = annotations(result)
    where = f"{sleeps.path.name}/test_it.py"
    title = "title=regression%3A test_it.py%3A%3Atest_sleeps[intra1-inter1]"
    assert error.startswith(f"::error file={where},line=5,{title}::regression: throughput: ")
    assert "0001_first.json" in error
    assert "%0A" in error


def test_no_annotations_elsewhere(sleeps, monkeypatch):
    sleeps.ms(40)
    monkeypatch.setenv("GITHUB_ACTIONS", "false")
    assert annotations(compare(sleeps)) == []


def test_a_run_that_is_refused_or_interrupted_is_no_gate_that_judged_nothing(sleeps, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = sleeps.run("--benchmark-compare=9999", "--tf-threads-fail-on=no-baseline")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert annotations(result) == []
    sleeps.write(
        """
        @pytest.mark.tf_threads(1, 1)
        def test_sleeps():
            raise KeyboardInterrupt
        """
    )
    result = compare(sleeps)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "the run was interrupted before a test was judged" in flat(result)
    assert annotations(result) == []


def test_notices_and_warnings_on_github(sleeps, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    sleeps.ms(40)
    assert annotations(sleeps.run("--benchmark-max-time=0.2", "--benchmark-save=slow")) == []
    sleeps.ms(5)
    # Perhaps another, of CPU efficiency.
    notice, *_ = annotations(compare(sleeps, "--benchmark-compare=0002"))
    assert notice.startswith("::notice file=test_it.py,line=5,title=improvement%3A test_it.py")
    for file in (sleeps.path / ".benchmarks").glob("*/*"):
        file.unlink()
    nothing, missing = annotations(compare(sleeps))
    assert nothing.startswith("::warning title=nothing was judged::the gate judged nothing: ")
    assert missing.startswith("::warning file=test_it.py,line=5,title=no-baseline%3A test_it.py")
    assert "--benchmark-save" in missing
    nothing, missing = annotations(compare(sleeps, "--tf-threads-fail-on=no-baseline"))
    assert missing.startswith("::error file=test_it.py,line=5,title=no-baseline%3A test_it.py")
    assert nothing.startswith("::error title=nothing was judged::")
