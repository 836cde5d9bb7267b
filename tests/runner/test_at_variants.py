"""Who takes turns with whom where a test is measured at many variants: with scripted processes."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.variants.measured import CURRENT, Plan, plan_in, results_in

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    # Old releases of pytest-benchmark leave its file open where it has nothing to write.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TEST = """
@pytest.mark.tf_threads(1, 1)
def test_busy(benchmark):
    benchmark(sum, range(10))

@pytest.mark.tf_threads(2, 1)
def test_plain():
    pass
"""
RELEASES = ["v0", "v1", "v2", "v3", "v4"]


def git(path, *args):
    command = ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", *args]
    subprocess.run(command, cwd=path, check=True, capture_output=True)


@pytest.fixture
def project(scripted, monkeypatch, tmp_path):
    """A repository with five tags, each of which has a file with its name."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)  # it is remembered within a process
    scripted.temporary = temporary
    scripted.plans = tmp_path / "plan"
    scripted.plans.mkdir()
    scripted.pytester.makeini("[pytest]\nfilterwarnings = default\n")
    scripted.write(TEST)
    git(scripted.path, "init", "-q", "-b", "main")
    for name in RELEASES:
        (scripted.path / "release").write_text(name)
        git(scripted.path, "add", "test_it.py", "tox.ini", "release")
        git(scripted.path, "commit", "-q", "-m", name)
        git(scripted.path, "tag", name)
    (scripted.path / "release").write_text("changed")
    scripted.uses_benchmark = lambda test: test == "test_busy"
    return scripted


def at(project, variants, *args, passes=2, fails=()):
    """A run at these variants; the releases of each ring, and what was left of the test."""
    plan_in(project.plans).write_text(Plan(tuple(variants), passes).to_text())
    rings = []
    script = project.script

    def executor(config, *_):
        project.executor.config = config
        run = project.executor.run

        def seen(batch):
            names = [(Path(job.home.cwd) / "release").read_text() for job in batch.jobs]
            rings.append(names)
            told = iter(names)
            project.executor.script = lambda process: (
                ValueError("too old") if next(told) in fails else script(process)
            )
            return run(batch)

        project.executor.run = seen
        return project.executor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_tfthreads.hooks.parts.executor_of", executor)
        project.result = project.run(f"--tf-threads-at={project.plans}", "-k", "busy", *args)
    results = results_in(project.plans)
    return rings, results[0] if results else None


def test_all_variants_are_in_one_ring_and_nothing_is_recorded_of_them(project):
    rings, measured = at(project, [*RELEASES, CURRENT], "--benchmark-compare", passes=3)
    project.result.assert_outcomes(passed=1, deselected=1)
    assert [sorted(ring) for ring in rings] == [sorted([*RELEASES, "changed"])] * 3
    assert rings[1] == rings[0][::-1]
    assert [one.name for one in measured.variants] == [*RELEASES, CURRENT]
    assert all(len(one.measurement.samples) == 3 for one in measured.variants)
    assert {one.measurement.effective for one in measured.variants} == {Pools(1, 1)}
    # They are not the current tree's: whoever saves this run must not find them there.
    # Old releases of pytest-benchmark leave an empty file.
    written = project.path / "out.json"
    assert not written.exists() or not written.read_text() or project.saved["benchmarks"] == []
    assert "no-baseline" not in project.result.stdout.str()
    assert list(project.temporary.iterdir()) == []


def test_small_rings_overlap_so_that_each_meets_the_first_and_its_predecessor(project):
    rings, measured = at(project, RELEASES, "--tf-threads-group=3", passes=1)
    assert sorted(map(sorted, rings)) == [
        ["v0", "v1", "v2"],
        ["v0", "v2", "v3"],
        ["v0", "v3", "v4"],
    ]
    count = {one.name: len(one.measurement.samples) for one in measured.variants}
    assert count == {"v0": 3, "v1": 1, "v2": 2, "v3": 2, "v4": 1}


@pytest.mark.parametrize("lost", ["v0", "v2"])
def test_what_cannot_run_drops_out_and_the_others_are_linked_anew(project, lost):
    rings, measured = at(project, RELEASES, "--tf-threads-group=3", passes=3, fails=[lost])
    project.result.assert_outcomes(passed=1, deselected=1)
    left = [one for one in RELEASES if one != lost]
    assert sum(lost in ring for ring in rings) == 1
    first, *others = left
    for a_pass in (rings[3:5], rings[5:7]):
        assert [len(ring) for ring in a_pass] == [3, 3]
        assert all(first in ring for ring in a_pass)
        for pair in itertools.pairwise(others):
            assert any(set(pair) <= set(ring) for ring in a_pass)
    by_name = {one.name: one for one in measured.variants}
    assert by_name[lost].measurement is None
    assert "the test does not run at" in by_name[lost].problem
    assert "too old" in by_name[lost].problem
    assert all(by_name[name].measurement is not None for name in left)


def test_one_that_is_left_is_not_measured_on(project):
    rings, measured = at(project, RELEASES[:3], passes=4, fails=["v0", "v2"])
    assert len(rings) == 1
    assert [one.measurement is None for one in measured.variants] == [True, False, True]
    project.result.assert_outcomes(passed=1, deselected=1)
    _, measured = at(project, RELEASES[:2], passes=4, fails=["v0", "v1"])
    assert all("too old" in one.problem for one in measured.variants)
    project.result.assert_outcomes(failed=1, deselected=1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--tf-threads-group=1"], "does not go with --tf-threads-group=1"),
        (["--tf-threads-duet"], "does not go with a duet"),
        (["--pdb"], "does not go with a debugger"),
        (["-n2"], "does not go with pytest-xdist"),
    ],
)
def test_what_contradicts_it_is_refused(project, args, message):
    rings, measured = at(project, RELEASES, *args)
    assert rings == []
    assert measured is None
    assert project.result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in project.result.stderr.str()


def test_unknown_variant_is_refused_and_the_others_are_not_left_open(project):
    rings, _ = at(project, ["v0", "v9", "v1"])
    assert rings == []
    assert project.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "no commit 'v9'" in project.result.stderr.str()
    assert list(project.temporary.iterdir()) == []


def test_missing_plan_is_refused(project, tmp_path):
    result = project.run(f"--tf-threads-at={tmp_path / 'nowhere'}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--tf-threads-at: there is no plan" in result.stderr.str()
