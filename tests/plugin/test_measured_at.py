"""Tests at several variants of their code: the run of pytest that commands start for it."""

import os
import shutil
import subprocess

import pytest

from pytest_tfthreads.commands import measuring
from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.core.variants.measured import CURRENT

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

TEST = """
import product
import pytest

@pytest.mark.tf_threads(1, 1)
def test_work(benchmark):
    benchmark(product.work)

def test_unmarked(benchmark):
    benchmark(product.work)
"""
OPTIONS = ("-p", "no:cacheprovider", "--tf-threads-timeout=30", "--benchmark-max-time=0.1")


def product(ms):
    return f"import time\n\ndef work():\n    time.sleep({ms} / 1000)\n"


def git(directory, *args):
    return subprocess.run(
        ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", *args],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.fixture
def project(suite, monkeypatch):
    """A repository with three releases, of which the second cannot run the test."""
    temporary = suite.path.parent / f"{suite.path.name} temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(suite.path)
    for folder in ("src", "tests"):
        (suite.path / folder).mkdir()
    (suite.path / "pytest.ini").write_text("[pytest]\npythonpath = src\n")
    (suite.path / "tests" / "test_it.py").write_text(TEST)
    git(suite.path, "init", "-q", "-b", "main")
    for name, code in (("v1", product(2)), ("v2", "work = None\n"), ("v3", product(6))):
        (suite.path / "src" / "product.py").write_text(code)
        git(suite.path, "add", "-A")
        git(suite.path, "commit", "-q", "-m", name)
        git(suite.path, "tag", name)
    (suite.path / "src" / "product.py").write_text(product(12))
    suite.temporary = temporary
    return suite


def test_each_variant_runs_its_own_code_beside_the_others(project):
    run = measuring.measure_at(["v1", "v2", "v3", CURRENT], ["tests"], OPTIONS, passes=2)
    (one,) = run.tests
    assert not run.was_interrupted
    assert one.nodeid.endswith("test_work[intra1-inter1]")
    v1, v2, v3, current = one.variants
    assert v2.measurement is None
    assert "the test does not run at" in v2.problem
    assert "v2" in v2.problem
    commits = [git(project.path, "rev-parse", name).strip() for name in ("v1", "v2", "v3")]
    assert [each.commit for each in one.variants] == [*commits, None]
    # A sleep may last longer than it should, never shorter.
    for measured, least_s in ((v1, 0.002), (v3, 0.006), (current, 0.012)):
        assert len(measured.measurement.samples) == 2
        assert measured.measurement.throughput.value < 1 / least_s
    speeds = [each.measurement.throughput.value for each in (v1, v3, current)]
    assert speeds == sorted(speeds, reverse=True)
    rings = [[sample.ring for sample in each.measurement.samples] for each in (v1, v3, current)]
    assert rings[0] == rings[1] == rings[2]
    assert len(set(rings[0])) == 2
    assert git(project.path, "worktree", "list", "--porcelain").count("worktree ") == 1
    assert list(project.temporary.iterdir()) == []


def test_what_cannot_be_had_is_an_error_and_leaves_nothing(project, capfd):
    with pytest.raises(CommandError, match="pytest could not run the tests"):
        measuring.measure_at(["v1", "v9"], [], OPTIONS, passes=1)
    told = capfd.readouterr()
    assert "no commit 'v9'" in told.out + told.err
    assert list(project.temporary.iterdir()) == []
    with pytest.raises(CommandError, match="named twice: v1"):
        measuring.measure_at(["v1", "v1"], [], OPTIONS, passes=1)
