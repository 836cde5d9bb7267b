"""--tf-threads-report: when the file is written, when not, and what the user is told."""

import html
import sys

import pytest

from kept_releases import over_of
from pytest_tfthreads.commands.releases_kept import keep
from pytest_tfthreads.core.saved_runs import read_run

SWEEP = """
    @pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
    def test_sum(tf_benchmark):
        tf_benchmark(sum, range(1000), items=3, unit="<i>sums</i>")
"""
SHORT = "--benchmark-max-time=0.05"


def text_of(file):
    return html.unescape(file.read_text(encoding="utf-8"))


def test_a_run_that_fails_and_is_interrupted_has_its_report(suite):
    suite.write(
        SWEEP
        + """
    @pytest.mark.tf_threads(1, 1)
    def test_breaks(benchmark):
        assert not benchmark(sum, [1]), "<script>broken</script>"

    def test_enough():
        raise KeyboardInterrupt
    """
    )
    result = suite.run("--tf-threads-report=out/report.html", SHORT, processes=2, subprocess=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    file = suite.path / "out" / "report.html"
    result.stdout.fnmatch_lines([f"HTML report: {file}"])
    report = text_of(file)
    assert ">Use 1×1" in report or ">Use 2×1" in report
    for words in (
        "test_it.py::test_breaks[intra1-inter1]",
        "call failed: AssertionError: <script>broken</script>",
        "The run ended before all selected tests had been run.",
    ):
        assert words in report
    assert "<i>" not in file.read_text(encoding="utf-8")


def test_under_xdist_the_controller_writes_once_and_what_the_gate_failed_too(suite):
    (suite.path / "pytest.ini").write_text("[pytest]\ntf_threads_report = report.html\n")
    gate = ("--benchmark-compare", "--tf-threads-fail-on=no-baseline")
    result = suite.write(SWEEP).run("-n2", SHORT, *gate, subprocess=True)
    result.assert_outcomes(failed=2)
    assert result.stdout.str().count("HTML report:") == 1
    report = text_of(suite.path / "report.html")
    assert "? no-baseline" in report
    assert "there is no saved run in" in report


def test_a_file_that_the_disk_does_not_take(suite):
    result = suite.write(SWEEP).run("--tf-threads-report=/dev/full", SHORT)
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(
        [
            "*- tf_threads -*",
            "--tf-threads-report: /dev/full was not written: No space left on device; mend that, *",
        ]
    )


def test_what_releases_has_kept_is_in_the_report_of_a_run(suite):
    suite.write(SWEEP)
    shown = ("--tf-threads-report=report.html", "--benchmark-storage=kept", SHORT)
    suite.run(*shown, "--benchmark-save=now").assert_outcomes(passed=2)
    storage = suite.path / "kept"
    assert "Over releases" not in text_of(suite.path / "report.html")
    (path,) = storage.glob("*/0001_now.json")
    found = {
        name: (several[0].measurement, [100, 110, 110])
        for name, several in read_run(path).tests.items()
    }
    keep(over_of(found, ["v1", "v2", "v3"]), storage)
    suite.run(*shown).assert_outcomes(passed=2)
    report = text_of(suite.path / "report.html")
    assert report.count("<h3>Over releases</h3>") == 1
    for words in ("1×1 over releases", "2×1 over releases", "▲ improvement", "✓ no change"):
        assert words in report


def test_nothing_is_written_of_nothing(suite):
    suite.write("def test_plain(): pass")
    result = suite.run("--tf-threads-report=report.html")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["--tf-threads-report: nothing was measured, so * was not written"])
    assert not (suite.path / "report.html").exists()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("report.html", "*--tf-threads-report: *pip install 'plotly>=6.0' orjson"),
        (".", "*--tf-threads-report: * cannot be written: it is a directory; mend that, or name *"),
        (
            "test_it.py/x",
            "*--tf-threads-report: * cannot be written: */test_it.py is no directory*",
        ),
        (
            "",
            "*--tf-threads-report: the file name is empty; write --tf-threads-report=report.html*",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(suite, monkeypatch, option, told):
    if option.endswith("html"):
        monkeypatch.setitem(sys.modules, "plotly", None)
    suite.write("    print('collected')\n" + SWEEP)
    result = suite.run(f"--tf-threads-report={option}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])
    result.stdout.no_fnmatch_line("*collected*")
