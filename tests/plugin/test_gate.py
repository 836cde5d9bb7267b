"""--benchmark-compare judges by saved runs: what fails, what does not, and what is said."""

import json
import re
import subprocess
import sys
import warnings

import pytest

from builders import flat
from pytest_tfthreads.core.storage import ENOUGH_FOR_DRIFT
from pytest_tfthreads.system import file_index, run_index

# Their CPU time is next to nothing, and nothing is made of it. Nor do they need a warm-up.
SUITE = """
from exact_time import sleep

pytestmark = pytest.mark.benchmark(warmup=False)

@pytest.mark.tf_threads(1, 1, tolerance={"cpu_efficiency": "99%"})
def test_fast(tf_benchmark):
    tf_benchmark(sleep, float(open("ms").read()) / 1000, items=8, unit="images")

@pytest.mark.tf_threads(1, 1, tolerance={"cpu_efficiency": "99%"})
def test_steady(benchmark):
    benchmark(sleep, 0.005)

def test_unmarked():
    pass
"""
SHORT = "--benchmark-max-time=0.1"


@pytest.fixture(scope="module")
def first_run():
    """The file that the first test to need it has measured, for all: path in the suite, text."""
    return {}


@pytest.fixture
def saved(suite, first_run):
    """A suite with one saved run at 5 ms a call."""
    suite.write(SUITE)
    suite.ms = lambda ms: (suite.path / "ms").write_text(str(ms))
    suite.ms(5)
    if not first_run:
        suite.run(SHORT, "--benchmark-save=first", processes=2).assert_outcomes(passed=3)
        (file,) = (suite.path / ".benchmarks").glob("*/0001_first.json")
        first_run.update(path=file.relative_to(suite.path), text=file.read_text())
    suite.file = suite.path / first_run["path"]
    suite.file.parent.mkdir(parents=True, exist_ok=True)
    suite.file.write_text(first_run["text"])
    return suite


def compare(suite, *args, processes=2, **kwargs):
    with warnings.catch_warnings():
        # pytest-benchmark warns of files and machines, and here inside warnings are errors.
        warnings.simplefilter("ignore")
        return suite.run(SHORT, "--benchmark-compare", *args, processes=processes, **kwargs)


def test_unchanged_code_passes(saved):
    result = compare(saved, "--benchmark-json=out.json")
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["Test * Metric * Baseline * Now * Change * Finds a loss * Verdict"]
    )
    benchmarks = json.loads((saved.path / "out.json").read_text())["benchmarks"]
    for benchmark in benchmarks:
        verdicts = benchmark["extra_info"]["tf_threads"]["verdicts"]
        assert [one["metric"] for one in verdicts] == ["throughput", "cpu_efficiency"]
        assert verdicts[0]["status"] in ("pass", "inconclusive")
        assert "0001_first.json" in verdicts[0]["judged_against"]


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_gross_regression_fails_its_test_and_says_why(saved, args):
    saved.ms(30)
    result = compare(saved, "--junitxml=junit.xml", *args, subprocess=bool(args))
    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = flat(result)
    assert "regression: throughput: " in text
    assert "% slower: CPU work " in text
    assert "tolerated 5 %" in text
    assert "0001_first.json" in text
    assert "test_it.py::test_fast" in (saved.path / "junit.xml").read_text().replace(
        'classname="test_it" name="', "test_it.py::"
    )
    assert 'failures="1"' in (saved.path / "junit.xml").read_text()


def test_regressed_run_does_not_become_the_baseline(saved):
    saved.ms(30)
    compare(saved, "--benchmark-save=worse").assert_outcomes(passed=2, failed=1)
    compare(saved).assert_outcomes(passed=2, failed=1)
    saved.run(SHORT, "--benchmark-compare=0002", processes=2).assert_outcomes(passed=3)


def test_a_storage_elsewhere_whose_runs_are_of_another_machine(saved, tmp_path):
    """pytest-benchmark names the storage in a warning then."""
    storage = f"--benchmark-storage={tmp_path / 'elsewhere'}"
    saved.run(SHORT, storage, "--benchmark-save=first", processes=2)
    (file,) = (tmp_path / "elsewhere").glob("*/0001_first.json")
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, "machine_info": {"node": "another"}}))
    result = saved.run(SHORT, storage, "--benchmark-compare", processes=2, subprocess=True)
    result.assert_outcomes(passed=3)
    assert "INTERNALERROR" not in flat(result)
    assert f"(location: {tmp_path / 'elsewhere'})" in flat(result)


ELASTICSEARCH = """
class Elasticsearch:
    def __init__(self, *_, **__):
        self.indices = self

    def create(self, **_):
        pass

    def search(self, **_):
        return {"hits": {"hits": []}}
"""


def test_runs_in_a_service_are_nothing_to_judge_by(saved):
    package = saved.pytester.mkpydir("elasticsearch")
    (package / "__init__.py").write_text(ELASTICSEARCH)
    (package / "serializer.py").write_text("JSONSerializer = object\n")
    saved.pytester.syspathinsert()
    url = "elasticsearch+https://me:secret@localhost:9200/runs"
    report = ("--tf-threads-report=page.html", "-k", "fast")
    result = compare(saved, f"--benchmark-storage={url}", *report)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert (
        "no-baseline: saved runs are read from files only, and --benchmark-storage names no "
        "directory"
    ) in flat(result)
    assert (saved.path / "page.html").exists()


def test_reasons_are_told_once_also_where_pytest_shows_no_failures(saved):
    saved.ms(30)
    assert flat(compare(saved, "--tb=no")).count("% slower: CPU work") == 1
    assert flat(compare(saved)).count("% slower: CPU work") == 1


def processes_of(path):
    return {
        one["name"]: len(one["extra_info"]["tf_threads"]["processes"])
        for one in json.loads(path.read_text())["benchmarks"]
    }


def test_suspicion_that_more_processes_refute(saved):
    saved.write(
        SUITE.replace('float(open("ms").read())', "ms_of_this_process()")
        + """
def ms_of_this_process():
    slow_ones = int(open("ms").read())
    open("ms", "w").write(str(max(0, slow_ones - 1)))
    return 30 if slow_ones else 5
"""
    )
    saved.ms(2)
    result = compare(saved, "--benchmark-json=out.json")
    result.assert_outcomes(passed=3)
    assert processes_of(saved.path / "out.json")["test_fast[intra1-inter1]"] == 4


def test_improvement_is_shown_and_the_baseline_due(saved):
    saved.ms(40)
    saved.run(SHORT, "--benchmark-save=slow", processes=2)
    saved.ms(5)
    result = compare(saved, "--benchmark-compare=0002")
    result.assert_outcomes(passed=3)
    assert "improvement" in flat(result)
    assert "later runs are compared with the new speed" in flat(result)


def test_tolerance_by_marker_and_by_option(saved):
    saved.ms(30)
    compare(saved, "--tf-threads-tolerance=90%").assert_outcomes(passed=3)
    compare(saved, "--tf-threads-tolerance=cpu_efficiency=90%").assert_outcomes(passed=2, failed=1)
    saved.write(SUITE.replace('{"cpu', '{"throughput": "90%", "cpu'))
    compare(saved).assert_outcomes(passed=3)


def test_fail_on_nothing_reports_only(saved):
    saved.ms(30)
    result = compare(saved, "--tf-threads-fail-on=none")
    result.assert_outcomes(passed=3)
    assert "1 regression" in flat(result) or "2 regression" in flat(result)
    assert compare(saved, "--tf-threads-fail-on=none,regression").ret == pytest.ExitCode.USAGE_ERROR


def test_fail_on_inconclusive(saved):
    # One saved run cannot tell 5 %, whatever the machine: its drift is not known.
    result = compare(saved, "--tf-threads-fail-on=regression,inconclusive", processes=1)
    result.assert_outcomes(passed=1, failed=2)
    assert "more saved runs (--benchmark-autosave)" in flat(result)


def test_new_test_has_no_baseline(saved):
    saved.write(
        SUITE + "\n@pytest.mark.tf_threads(1, 1)\ndef test_new(benchmark):\n"
        "    benchmark(sleep, 0.005)\n"
    )
    result = compare(saved)
    result.assert_outcomes(passed=4)
    assert "no-baseline: the test was not measured in" in flat(result)
    compare(saved, "--tf-threads-fail-on=no-baseline").assert_outcomes(passed=3, failed=1)


def on_another_machine(saved):
    """As if the run had been saved there."""
    text = saved.file.read_text()
    cpu = json.loads(text)["benchmarks"][0]["extra_info"]["tf_threads"]["machine"]["cpu"]
    saved.file.write_text(text.replace(json.dumps(cpu), '"Another CPU"'))


def test_another_machine_is_not_comparable(saved):
    on_another_machine(saved)
    saved.ms(30)
    result = compare(saved)
    result.assert_outcomes(passed=3)
    assert "not-comparable" in flat(result)
    assert "the gate judged nothing" in flat(result)
    compare(saved, "--tf-threads-fail-on=not-comparable").assert_outcomes(passed=1, failed=2)


def test_a_run_of_which_nothing_can_be_compared_fails_for_the_plugin_as_for_the_command(saved):
    second = saved.file.with_name("0002_second.json")
    second.write_text(saved.file.read_text())
    on_another_machine(saved)
    run = command(saved, "compare", "0001", "0002", "--fail-on=no-baseline")
    assert (run.returncode, "not-comparable" in run.stdout) == (1, True)
    second.unlink()
    result = compare(saved, "--tf-threads-fail-on=no-baseline")
    result.assert_outcomes(passed=3)  # what is not comparable fails no test, but nothing was judged
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def move_to_another_python(saved):
    """As if the run had been saved by another version of Python."""
    other = saved.file.parent.with_name("Linux-CPython-3.9-64bit")
    saved.file.parent.rename(other)
    saved.file = other / saved.file.name
    text = re.sub(r'"python": "3[.\d]+"', '"python": "3.9.1"', saved.file.read_text())
    saved.file.write_text(text)


@pytest.mark.parametrize("value", ["", "=0001"])
def test_runs_of_another_python_are_found(saved, value):
    move_to_another_python(saved)
    saved.ms(30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = saved.run(SHORT, f"--benchmark-compare{value}", "-k", "fast", processes=2)
    result.assert_outcomes(failed=1)
    assert "Linux-CPython-3.9-64bit/0001_first.json" in flat(result)


def test_runs_of_this_python_come_first(saved):
    text = saved.file.read_text()
    own = saved.file.parent
    move_to_another_python(saved)
    own.mkdir()
    (own / "0001_own.json").write_text(text)
    (saved.file.parent / "0002_broken.json").write_text("{")
    result = compare(saved, "-k", "steady")
    assert "judged against" in flat(result)
    assert "0001_own.json" in flat(result)
    assert "the mean of" not in flat(result)
    assert "0002_broken.json: no JSON" in flat(result)


def test_runs_of_suites_without_marked_tests_are_passed_over(saved, monkeypatch):
    """They may share the directory, and be the latest there."""
    monkeypatch.setattr(file_index, "SETTLED_NS", 0)  # the files were written just now
    read, really_read = [], run_index._read
    monkeypatch.setattr(run_index, "_read", lambda files: read.extend(files) or really_read(files))
    text = saved.file.read_text()
    unmarked = text.replace('"tf_threads"', '"other"')
    for number in range(2, 4 + ENOUGH_FOR_DRIFT):
        (saved.file.parent / f"{number:04}_unmarked.json").write_text(unmarked)
    saved.ms(30)
    for is_in_index in (False, True):
        read.clear()
        result = compare(saved, "-k", "fast")
        result.assert_outcomes(failed=1)
        assert "0001_first.json" in flat(result)
        assert "unmarked.json" not in flat(result).partition("Comparing against benchmarks")[0]
        assert bool(read) is not is_in_index
    (saved.file.parent / "0099_broken.json").write_text("{")
    result = compare(saved, "-k", "fast")
    assert "the gate judged nothing" in flat(result)
    assert "0099_broken.json: no JSON" in flat(result)
    (saved.file.parent / "0099_broken.json").unlink()
    result = compare(saved, "--benchmark-compare=0002")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "0002_unmarked.json: none of its benchmarks was measured" in flat(result)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--benchmark-compare="], "the name of a saved run is empty; name one by its file or its"),
        (["--benchmark-compare=0099"], "matches '0099'; name one by its file or its number, such"),
        (["--benchmark-compare=*/0002"], "matches '*/0002'"),
        (["--benchmark-compare=.benchmarks"], ".benchmarks is a directory, no saved run"),
        (["--benchmark-compare=broken.json"], "broken.json: no JSON, or cut off"),
        (
            ["--benchmark-compare", "test_it.py"],
            "Was test_it.py to be tested? Then write it before",
        ),
        (
            ["--benchmark-compare", "test_it.py::test_fast"],
            "Was test_it.py::test_fast to be tested?",
        ),
        (["--benchmark-compare=twice"], "'twice' is in several directories of"),
    ],
)
def test_a_useless_value_is_an_error_before_anything_is_measured(saved, args, message):
    (saved.path / "broken.json").write_text("{")
    for name in ("A", "B"):
        (saved.path / ".benchmarks" / name).mkdir()
        (saved.path / ".benchmarks" / name / "twice.json").write_text("{}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = saved.run(SHORT, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in flat(result)
    assert "ERROR: --benchmark-compare=" in flat(result)
    assert result.parseoutcomes().keys() <= {"warning", "warnings"}


def test_an_empty_storage_is_an_error_before_anything_is_measured(saved):
    result = compare(saved, "--benchmark-storage=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --benchmark-storage is empty; perhaps a variable is not set" in flat(result)
    assert "passed" not in result.parseoutcomes()


def test_a_useless_value_under_xdist(saved):
    result = saved.run(SHORT, "--benchmark-compare=", "-n2", subprocess=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "the name of a saved run is empty" in flat(result)
    assert "passed" not in result.parseoutcomes()


@pytest.mark.parametrize("value", ["", "0099"])
def test_suites_without_marked_tests_may_name_what_is_not_there(suite, value):
    suite.write("def test_it(benchmark): benchmark(sum, range(100))")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = suite.run(SHORT, f"--benchmark-compare={value}")
    result.assert_outcomes(passed=1)
    assert "tf_threads" not in flat(result)


@pytest.mark.parametrize(
    ("spoil", "message", "may_fail"),
    [
        (lambda text: text[: len(text) // 2], "no JSON, or cut off", False),
        (lambda text: "{}", "no saved run of pytest-benchmark", True),
        (lambda text: text.replace('"schema": 1', '"schema": 99'), "schema 99 is newer", False),
        (lambda text: text.replace('"wall_s"', '"walls"'), "wall_s is missing", False),
        (
            lambda text: text.replace('"tf_threads"', '"other"'),
            "was measured by pytest-tfthreads",
            True,
        ),
    ],
)
def test_useless_files_are_named_and_never_pass_in_silence(saved, spoil, message, may_fail):
    saved.file.write_text(spoil(saved.file.read_text()))
    result = compare(saved, processes=1)
    assert message in flat(result)
    assert "0001_first.json" in flat(result)
    assert "the gate judged nothing" in flat(result)
    assert "Traceback" not in flat(result)
    result.assert_outcomes(passed=3)
    if may_fail:
        failing = compare(saved, "--tf-threads-fail-on=no-baseline", processes=1)
        failing.assert_outcomes(passed=1, failed=2)


@pytest.mark.parametrize("strict", [False, True])
def test_a_regression_is_no_failure_that_an_xfail_mark_expects(suite, strict):
    suite.write(
        """
        from exact_time import sleep

        @pytest.mark.benchmark(warmup=False)
        @pytest.mark.xfail(reason="numbers are wrong", strict=STRICT)
        @pytest.mark.tf_threads(1, 1, tolerance={"cpu_efficiency": "99%"})
        def test_fast(tf_benchmark):
            tf_benchmark(sleep, float(open("ms").read()) / 1000)
            assert not STRICT
        """.replace("STRICT", str(strict))
    )
    (suite.path / "ms").write_text("5")
    suite.run(SHORT, "--benchmark-save=first", processes=2).assert_outcomes(
        xpassed=not strict, xfailed=strict
    )
    (suite.path / "ms").write_text("50")
    result = compare(suite)
    result.assert_outcomes(failed=not strict, xfailed=strict)
    assert result.ret == (pytest.ExitCode.OK if strict else pytest.ExitCode.TESTS_FAILED)


def test_without_any_saved_run(suite):
    suite.write(SUITE)
    (suite.path / "ms").write_text("5")
    result = compare(suite)
    result.assert_outcomes(passed=3)
    assert "there is no saved run in" in flat(result)
    assert "make one with --benchmark-save" in flat(result)
    compare(suite, "--tf-threads-fail-on=no-baseline").assert_outcomes(passed=1, failed=2)


@pytest.mark.parametrize("options", [("--benchmark-save=one",), ("--benchmark-autosave", "-n1")])
def test_the_first_run_is_not_told_to_be_saved_if_it_is(suite, options):
    suite.write(SUITE)
    (suite.path / "ms").write_text("5")
    told = flat(compare(suite, *options))
    assert "no-baseline" in told
    assert "there is no saved run in" in told
    assert "; this run is saved as the first" in told
    assert "make one with" not in told
    assert len([*suite.path.glob(".benchmarks/*/0001_*.json")]) == 1


def test_gate_without_anything_to_judge(saved):
    result = compare(saved, "-k", "unmarked")
    assert result.ret == 0
    assert "the gate judged nothing" in flat(result)
    result = compare(saved, "-k", "unmarked", "--tf-threads-fail-on=no-baseline")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_suites_without_marked_tests_hear_nothing_of_the_gate(suite):
    suite.write("def test_it(benchmark): benchmark(sum, range(100))")
    assert "judged" not in flat(compare(suite))


def test_without_compare_nothing_is_judged(saved):
    result = saved.run(SHORT)
    assert "Verdict" not in result.stdout.str()


def test_step_summary_on_github(saved, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(saved.path / "summary.md"))
    compare(saved)
    text = (saved.path / "summary.md").read_text()
    assert text.startswith("### Speed against the baseline")
    assert "test\\_fast" in text


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--tf-threads-tolerance=5", "--tf-threads-tolerance: '5' is no share"),
        ("--tf-threads-tolerance=speed=5%", "--tf-threads-tolerance: 'speed' is neither"),
        ("--tf-threads-fail-on=everything", "--tf-threads-fail-on: 'everything' is none of"),
    ],
)
def test_bad_options(suite, option, message):
    suite.write("")
    result = suite.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in flat(result)


# -- the command ----------------------------------------------------------------------------------


def command(suite, *args):
    return subprocess.run(
        [sys.executable, "-m", "pytest_tfthreads", *map(str, args)],
        cwd=suite.path,
        capture_output=True,
        text=True,
    )


def test_compare_command(saved):
    saved.ms(30)
    saved.run(SHORT, "--benchmark-save=second", processes=2)
    (second,) = (saved.path / ".benchmarks").glob("*/0002_second.json")
    run = command(saved, "compare", saved.file, second)
    assert run.returncode == 1, run.stderr
    assert "regression" in run.stdout
    assert "slower" in run.stdout
    assert command(saved, "compare", saved.file, second, "--tolerance=95%").returncode == 0
    run = command(saved, "compare", second, saved.file, "--json", "--fail-on=no-baseline")
    assert run.returncode == 0
    statuses = {(one["test"], one["metric"]): one["status"] for one in json.loads(run.stdout)}
    assert statuses["test_it.py::test_fast[intra1-inter1]", "throughput"] == "improvement"
