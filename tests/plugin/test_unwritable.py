"""Files that cannot be written: known before anything is measured, or else nothing is lost to them.

What a disk does not take is only known when it is written: /dev/full stands for such a disk.
"""

import errno
import json
import os
import re
from importlib.metadata import version
from pathlib import Path

import pytest

MEASURED = """
pytestmark = pytest.mark.benchmark(warmup=False, max_time=0.002, min_time=0.0002)

@pytest.mark.tf_threads(1, 1)
def test_one(benchmark):
    open("measured", "w").close()
    benchmark(sum, range(100))

@pytest.mark.benchmark(group="others")
@pytest.mark.tf_threads(1, 1)
def test_two(benchmark):
    benchmark(sum, range(100))

def test_unmarked():
    pass
"""
# Runs in the pytest process, where the results are kept.
GATE = ("--benchmark-compare", "--benchmark-save=x")
OPENS_JSON_AT_ONCE = tuple(map(int, version("pytest-benchmark").split(".")[:2])) < (5, 3)
"""pytest-benchmark opens the file of --benchmark-json when it reads its options."""
HAS_DUMPS = tuple(map(int, version("pytest-benchmark").split(".")[:1])) >= (5,)
here_and_under_xdist = pytest.mark.parametrize("args", [(), ("-n1",)], ids=["here", "xdist"])


def text(result):
    return result.stdout.str() + result.stderr.str()


@pytest.fixture
def refused(suite):
    """Runs the suite, in which nothing must have been run; what was said, in one line."""
    suite.write(MEASURED)
    (suite.path / "file").touch()
    (suite.path / "directory").mkdir()
    (suite.path / "broken").symlink_to("none/out")

    def run(*args):
        result = suite.run(*args, subprocess=True)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, text(result)
        assert not (suite.path / "measured").exists()
        assert "Traceback" not in text(result)
        assert "INTERNALERROR" not in text(result)
        return " ".join(text(result).split())

    return run


# -- what is known before -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "why", "args"),
    [
        ("--benchmark-json=none/out.json", "there is no directory none", ()),
        ("--benchmark-json=none/out.json", "there is no directory none", ("-n1",)),
        ("--benchmark-json=directory", "it is a directory", ()),
        ("--benchmark-json=broken", "there is no directory .*/none", ()),
    ],
)
@pytest.mark.skipif(OPENS_JSON_AT_ONCE, reason="before 5.3 pytest-benchmark itself refuses it")
def test_json(refused, option, why, args):
    told = refused(option, *args)
    assert "--benchmark-json" in told
    assert re.search(f"cannot be written: {why}; mend that, or name another file", told)


def test_all_else_that_is_known_is_said_at_once(refused):
    told = refused(
        "--benchmark-save=x",
        "--benchmark-storage=file://file",
        "--benchmark-histogram=file/plot",
        *(
            ["--benchmark-cprofile=tottime", "--benchmark-cprofile-dump=file/p"]
            if HAS_DUMPS
            else []
        ),
    )
    where = r"in \S*file: \S*file is no directory; mend that, or give another prefix"
    assert re.search(
        r"--benchmark-save: no run can be saved in \S*file\S*: \S*file is no dir", told
    )
    assert re.search(f"--benchmark-histogram: no file can be written {where}", told)
    assert not HAS_DUMPS or re.search(f"--benchmark-cprofile-dump: no file can be .* {where}", told)


@here_and_under_xdist
def test_traces(refused, args):
    told = refused("--tf-threads-profile=file/traces", *args)
    assert re.search(
        r"--tf-threads-profile: no traces can be stored in \S*file/traces: \S*file is no directory"
        "; mend that, or name another directory",
        told,
    )


def test_histograms_without_the_library_that_draws_them(refused, monkeypatch, suite):
    (suite.path / "pygal.py").write_text("raise ImportError('none here')")
    monkeypatch.setenv("PYTHONPATH", f"{suite.path}:{os.environ['PYTHONPATH']}")
    assert "pip install 'pytest-benchmark[histogram]'" in refused("--benchmark-histogram=plot")


@pytest.mark.parametrize("args", [("--benchmark-disable",), ("-k", "unmarked")])
def test_where_nothing_will_be_written_nothing_is_refused(suite, args):
    suite.write(MEASURED)
    option = "--benchmark-histogram=file/plot" if OPENS_JSON_AT_ONCE else "--benchmark-json=no/out"
    (suite.path / "file").touch()
    assert suite.run(option, *args).ret == 0


def test_suites_without_marked_tests_have_what_pytest_benchmark_does(suite):
    suite.write(MEASURED.replace("@pytest.mark.tf_threads(1, 1)", ""))
    (suite.path / "file").touch()
    result = suite.run("--benchmark-histogram=file/plot", subprocess=True)
    assert (suite.path / "measured").exists()
    assert result.ret == 1
    assert "Error: " in text(result)


# -- what is known only in the end ----------------------------------------------------------------


@pytest.fixture
def survived(suite):
    """Runs the suite; nothing but the named file may be missing of what is shown and written."""
    suite.write(MEASURED)

    def run(*args):
        result = suite.run(*GATE, "-rA", *args, subprocess=True)
        told = text(result)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, told
        assert "Traceback" not in told
        result.stdout.fnmatch_lines(["* benchmark: 1 tests *", "* benchmark 'others': 1 tests *"])
        result.stdout.fnmatch_lines(["*- tf_threads -*", "*no-baseline*", "PASSED *test_two*"])
        result.assert_outcomes(passed=3)
        (saved,) = (suite.path / ".benchmarks").glob("*/*_x.json")
        assert len(json.loads(saved.read_text())["benchmarks"]) == 2
        return told

    return run


@here_and_under_xdist
def test_a_disk_that_takes_nothing(survived, suite, monkeypatch, args):
    (suite.path / "plot.svg").symlink_to("/dev/full")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/dev/full")
    told = survived("--benchmark-json=/dev/full", "--benchmark-histogram=plot", *args)
    full = "was not written: No space left on device; mend that, or"
    assert told.count(f"--benchmark-json: /dev/full {full} name another file") == 1
    assert len(re.findall(rf"--benchmark-histogram: \S*plot\S* {full} give another", told)) == 1
    assert told.count(f"GITHUB_STEP_SUMMARY: /dev/full {full} take the variable out") == 1
    assert (suite.path / "plot-others.svg").exists()


def test_places_that_were_taken_away_meanwhile(survived, suite):
    (suite.path / "conftest.py").write_text(
        "import pathlib\n"
        "def pytest_sessionfinish():\n"  # of a measuring process, or else of pytest's own
        "    if pathlib.Path('plots').is_dir():\n"
        "        pathlib.Path('plots').rmdir()\n"
        "        pathlib.Path('plots').touch()\n"
    )
    (suite.path / "plots").mkdir()
    told = survived("--benchmark-histogram=plots/one")
    assert told.count("--benchmark-histogram: ") == 2
    assert "was not written: " in told


@pytest.mark.skipif(not HAS_DUMPS, reason="pytest-benchmark 4 has no --benchmark-cprofile-dump")
def test_profiles_that_cannot_be_written_fail_no_test(survived, suite):
    (suite.path / "p-test_one[intra1-inter1].prof").symlink_to("/dev/full")
    told = survived("--benchmark-cprofile=tottime", "--benchmark-cprofile-dump=p")
    assert told.count("--benchmark-cprofile-dump: ") == 1
    assert "prof was not written: No space left on device" in told
    (dump,) = suite.path.glob("p-test_two*.prof")
    import pstats

    assert pstats.Stats(str(dump)).total_calls > 0


@here_and_under_xdist
def test_traces_that_the_disk_does_not_take(survived, suite, args):
    source = MEASURED.replace("(1, 1)", "(1, 1, env={'FAKE_TF_DISK_FULL': '1'})", 1)
    suite.write(source)
    told = survived("--tf-threads-profile=traces", *args)
    assert told.count("--tf-threads-profile: ") == 1
    assert "No space left on device; mend that, or name another directory" in told
    assert "test_two[intra1-inter1]: test_it.py-test_two-" in told


def test_a_right_that_is_missing(survived, suite, monkeypatch):
    # Root may write everywhere: the kernel's answer is given by hand, for this file alone.
    (suite.path / "conftest.py").write_text(
        "import builtins, io, os\n"
        "really = io.open\n"
        "def refused(file, *args, **kwargs):\n"
        "    if str(file).endswith('summary.md'):\n"
        f"        raise PermissionError({errno.EACCES}, 'Permission denied', file)\n"
        "    return really(file, *args, **kwargs)\n"
        "builtins.open = refused\n"
    )
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    assert "GITHUB_STEP_SUMMARY: summary.md was not written: Permission denied" in survived()


def test_a_failed_test_outweighs_all_that(suite, monkeypatch):
    suite.write(MEASURED + "    assert False\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(suite.path / "none" / "summary"))
    result = suite.run("--benchmark-compare", "--benchmark-json=/dev/full", subprocess=True)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=1)
    assert f"{Path('none', 'summary')} was not written: No such file or directory" in text(result)


def test_hooks_that_break_while_a_run_is_saved_take_no_result_with_them(suite):
    suite.write(
        MEASURED, conftest="def pytest_benchmark_update_json():\n    raise KeyError('mine')\n"
    )
    result = suite.run("--benchmark-compare", "--benchmark-save=x", subprocess=True)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stderr.fnmatch_lines(["*KeyError: 'mine'*"])
    result.stdout.fnmatch_lines(["*- tf_threads -*", "*no-baseline*", "* benchmark: 1 tests *"])
    result.assert_outcomes(passed=3)


# -- leases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [("-s",), ("-n2",)], ids=["here", "xdist"])
def test_leases_that_cannot_be_had_are_told_once_and_flagged(suite, monkeypatch, args):
    (suite.path / "file").touch()
    monkeypatch.setenv("PYTEST_TFTHREADS_LEASES", str(suite.path / "file"))
    result, benchmarks = suite.write(MEASURED).results(
        "--tf-threads-report=report.html", *args, subprocess=True
    )
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    told = text(result)
    assert told.count("CPUs could not be leased") == 1
    assert f"{suite.path / 'file'} is no directory" in told
    assert "in the environment variable PYTEST_TFTHREADS_LEASES" in told
    assert told.count("no-lease: ") == 1
    assert len(benchmarks) == 2
    for one in benchmarks.values():
        assert "no-lease" in one["extra_info"]["tf_threads"]["flags"]
    page = (suite.path / "report.html").read_text(encoding="utf-8")
    assert "CPUs cannot be leased here" in page
    assert "CPUs could not be leased" in page


def test_leases_that_cannot_be_had_are_told_where_nothing_is_measured_but_where_nothing_is_marked(
    suite, monkeypatch
):
    monkeypatch.setenv("PYTEST_TFTHREADS_LEASES", str(suite.path / "none" / "leases"))
    suite.write("@pytest.mark.tf_threads(1, 1)\ndef test_tried(): pass\ndef test_plain(): pass")
    told = text(suite.run())
    assert told.count("warning: CPUs could not be leased") == 1
    assert "none/leases cannot be used: No such file or directory" in told
    suite.write("def test_plain(): pass")
    assert "leased" not in text(suite.run())
