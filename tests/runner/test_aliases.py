"""Configurations that are one on this machine: measured once, and reported under each name."""

import os
import shutil
import subprocess

import pytest

from builders import flat
from pytest_tfthreads import cli
from pytest_tfthreads.core.saved_runs import read_run
from pytest_tfthreads.runner.group import Isolation
from pytest_tfthreads.system.machine import Machine

SUITE = """
@pytest.mark.tf_threads(configs=[(1, 1), (1, 1, 1), (2, 1)])
def test_busy(benchmark):
    benchmark(sum, range(10))
"""
FIRST, ALIAS, OTHER = (
    f"test_busy[{one}]" for one in ("intra1-inter1", "intra1-inter1-x1", "intra2-inter1")
)


def recorded(scripted):
    return {one["name"]: one["extra_info"]["tf_threads"] for one in scripted.saved["benchmarks"]}


def counts(scripted):
    return {
        key[1:] if key[0] == "test_busy" else key: n for key, n in scripted.executor.counts.items()
    }


def measure_apart(monkeypatch):
    """As earlier versions did."""
    monkeypatch.setattr(Isolation, "_measured_once", lambda _, item_runs: list(item_runs))


def test_one_measurement_under_each_name(scripted):
    scripted.write(SUITE)
    result = scripted.run("-v", processes=2)
    result.assert_outcomes(passed=3)
    assert counts(scripted) == {(1, 1): 2, (2, 1): 2}
    rows = recorded(scripted)
    assert list(rows) == [FIRST, ALIAS, OTHER]
    assert {name: row.get("same_as") for name, row in rows.items()} == {
        FIRST: None, ALIAS: "intra1-inter1", OTHER: None,
    }  # fmt: skip
    for name in ("processes", "throughput", "spreads"):
        assert rows[ALIAS][name] == rows[FIRST][name]
    assert rows[ALIAS]["configuration"]["instances"] == "1"
    (sweep,) = scripted.saved["tf_threads"]["sweeps"]
    assert sweep["same"] == {"intra1-inter1-x1": "intra1-inter1"}
    compared = [one["id"] for one in sweep["recommendation"]["configurations"]]
    assert compared == ["intra1-inter1", "intra2-inter1"]
    assert f"test_it.py::{ALIAS} PASSED" in result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            f"{ALIAS.replace('[', '[[]', 1)}* same as intra1-inter1",
            "*1×1 × 1 instance *the same configuration as 1×1",
        ]
    )


def test_what_is_read_again_knows_the_names(scripted):
    scripted.write(SUITE)
    scripted.run(processes=2)
    stored = read_run(scripted.path / "out.json").tests[f"test_it.py::{ALIAS}"]
    assert [one.candidate.same_as for one in stored] == ["intra1-inter1"]
    page = scripted.path / "report.html"
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main(["report", str(scripted.path / "out.json"), "-o", str(page)])
    assert "the same configuration as 1×1" in page.read_text()


def test_symbols_are_compared_by_what_they_come_to(scripted):
    cores = Machine.read().counts.physical
    scripted.write(
        SUITE.replace("configs=[(1, 1), (1, 1, 1), (2, 1)]", f'{cores}, [1, "physical/{cores}"]')
    )
    scripted.run().assert_outcomes(passed=2)
    assert counts(scripted) == {(cores, 1): 1}


def test_other_terms_are_another_configuration(scripted):
    scripted.write(
        SUITE.replace("(2, 1)]", "(2, 1)], timeout=9")
        .replace("@", '@pytest.mark.tf_threads(1, 1, env={"A": "b"})\n@', 1)
        .replace("@", "@pytest.mark.tf_threads(1, 1, cpus=2)\n@", 1)
        .replace("@", "@pytest.mark.tf_threads(1, 1, cpus=1)\n@", 1)
    )
    scripted.run().assert_outcomes(passed=6)
    # With the time-out, with an environment, on one CPU and, where there are two, on two.
    assert counts(scripted)[1, 1] == 3 + (Machine.read().counts.logical > 1)


def test_one_that_is_selected_alone_is_measured_for_itself(scripted):
    scripted.write(SUITE)
    scripted.run("-k", "x1 or intra2").assert_outcomes(passed=2, deselected=1)
    assert "same_as" not in recorded(scripted)[ALIAS]


def test_names_of_one_configuration_alone(scripted):
    scripted.write(SUITE.replace(", (2, 1)", ""))
    result = scripted.run()
    result.assert_outcomes(passed=2)
    assert counts(scripted) == {(1, 1): 1}
    assert (
        "test_busy: the same configuration under several names here (intra1-inter1-x1 is "
        "intra1-inter1)" in flat(result)
    )


def test_two_configurations_that_took_no_turns_are_not_one_for_all_their_names(scripted):
    scripted.write(SUITE)
    result = scripted.run("--tf-threads-group=1")
    result.assert_outcomes(passed=3)
    assert counts(scripted) == {(1, 1): 1, (2, 1): 1}
    text = flat(result)
    assert "test_busy: its configurations took no turns with one another" in text
    assert "the same configuration under several names" not in text


def test_a_failure_is_reported_under_each_name(scripted):
    scripted.write(SUITE)
    scripted.script = lambda process: ValueError("bad luck") if process.intra == 1 else 0.01
    result = scripted.run("-rf", "-v", processes=3)
    result.assert_outcomes(passed=1, failed=2)
    assert counts(scripted) == {(1, 1): 1, (2, 1): 3}
    text = result.stdout.str()
    assert text.count("bad luck") >= 2
    for name in (FIRST, ALIAS):
        assert f"test_it.py::{name} FAILED" in text
        assert f"_ {name} _" in text
    assert text.count(f"the same configuration as test_it.py::{FIRST}") == 1
    scripted.run("-x", processes=3).assert_outcomes(failed=1)


def test_a_search_does_without_all_names_or_none(scripted):
    scripted.write(SUITE)
    scripted.script = lambda process: 0.01 * (process.intra or 2)
    scripted.run("--tf-threads-search", "--tf-threads=1x1,1x1x1,2x1,4x1", processes=3)
    rows = recorded(scripted)
    assert rows[ALIAS]["processes"] == rows[FIRST]["processes"]


def test_configurations_that_take_no_turns_share_too(scripted):
    scripted.write(SUITE)
    scripted.run("--tf-threads-group=1", processes=2).assert_outcomes(passed=3)
    assert counts(scripted) == {(1, 1): 2, (2, 1): 2}


def test_snapshots_go_by_the_name_of_the_test(scripted):
    scripted.write(
        SUITE.replace("(benchmark)", "(benchmark, snapshot)")
        + "\n@pytest.fixture\ndef snapshot():\n    pass\n"
    )
    scripted.run().assert_outcomes(passed=3)
    assert counts(scripted) == {(1, 1): 2, (2, 1): 1}


def test_a_run_that_measured_them_apart_judges_each_name(scripted, monkeypatch):
    scripted.write(SUITE)
    with monkeypatch.context() as patch:
        measure_apart(patch)
        fast_alias = iter((0.01, 0.001, 0.01))
        scripted.script = lambda process: next(fast_alias)
        scripted.run("--benchmark-save=apart", "--tf-threads-group=1").assert_outcomes(passed=3)
    scripted.script = lambda process: 0.01
    off = ("--benchmark-compare", "--tf-threads-duet=off", "--tf-threads-max-processes=5")
    result = scripted.run(*off, processes=2)
    result.assert_outcomes(passed=2, failed=1)
    assert [name for name, one in scripted.verdicts.items() if one["status"] == "regression"] == [
        ALIAS
    ]
    # What fails under one name is looked at again.
    assert counts(scripted)[1, 1] == 5


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_duet_is_run_once(scripted, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    scripted.write(SUITE)
    git = ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    for args in (["init", "-q"], ["add", "test_it.py"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *args], cwd=scripted.path, check=True)
    scripted.run("--tf-threads-duet=HEAD").assert_outcomes(passed=3)
    now, then = (
        {key[1:]: n for key, n in scripted.executor.counts.items() if (" at " in key[0]) is side}
        for side in (False, True)
    )
    assert set(now) == set(then) == {(1, 1), (2, 1)}
    assert now[1, 1] == now[2, 1]
    rows = recorded(scripted)
    assert rows[ALIAS]["duet"] == rows[FIRST]["duet"]
    assert rows[ALIAS]["same_as"] == "intra1-inter1"
    assert len({one["status"] for one in scripted.verdicts.values()}) == 1
