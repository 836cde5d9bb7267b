"""Tests at places that a command asks for: the run of pytest that commands start for it."""

import os
import shutil
import sys

import pytest

from git_projects import git, product
from pytest_tfthreads.commands.pytest_run import PytestRun
from pytest_tfthreads.core.abreast import Place

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

TEST = """
import product
import pytest

@pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
def test_work(benchmark):
    benchmark(product.work)

@pytest.mark.tf_threads(1, 1)
def test_plain():
    raise ValueError("nobody asked for it")

def test_unmarked(benchmark):
    raise ValueError("nobody asked for it")
"""
# Each of these would have the test measured elsewhere, not at all, judged, or ended too early.
ADDOPTS = """-p no:cacheprovider -x --lf --benchmark-skip --benchmark-compare
    --benchmark-autosave --benchmark-json=out.json"""
OPTIONS = ("--tf-threads-timeout=60", "--benchmark-max-time=0.1", "--benchmark-min-rounds=2")
DIES = "import os\n\ndef work():\n    os.kill(os.getppid(), 9)\n"


@pytest.fixture
def project(suite, monkeypatch):
    """A repository with four releases: the second cannot run the test, the third kills."""
    temporary = suite.path.parent / f"{suite.path.name} temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(suite.path)
    for folder in ("src", "tests"):
        (suite.path / folder).mkdir()
    (suite.path / "pytest.ini").write_text(f"[pytest]\npythonpath = src\naddopts = {ADDOPTS}\n")
    (suite.path / "tests" / "test_it.py").write_text(TEST)
    git(suite.path, "init", "-q", "-b", "main")
    suite.commits = []
    for code in (product(2), "work = None\n", DIES, product(6)):
        (suite.path / "src" / "product.py").write_text(code)
        git(suite.path, "add", "-A")
        git(suite.path, "commit", "-q", "-m", "change")
        suite.commits.append(git(suite.path, "rev-parse", "HEAD"))
    (suite.path / "src" / "product.py").write_text(product(12))
    suite.temporary = temporary
    return suite


def test_each_place_runs_its_own_code_beside_the_others(project):
    v1, broken, deadly, v4 = map(Place, project.commits)
    begun = []
    with PytestRun(["tests"], OPTIONS) as run:
        assert [one.nodeid for one in run.collected.tests] == [
            f"tests/test_it.py::test_work[{each}]" for each in ("intra1-inter1", "intra2-inter1")
        ]
        for number, test in enumerate(run):
            begun.append(test.nodeid)
            assert test.problem == ""
            if number == 0:
                found = run.measure([v1, broken, v4, Place()], passes=2)
                killed = run.measure([v1, deadly, v4], passes=1)
                # The environment of this process may be named as others are.
                named = Place(v4.commit, sys.executable)
                afterwards = run.measure([v1, named], passes=1)
    assert begun == [one.nodeid for one in run.collected.tests]
    first, second, last, current = found.places
    assert second.measurement is None
    assert "the test does not run at" in second.problem
    for place, call_s in ((first, 0.002), (last, 0.006), (current, 0.012)):
        assert len(place.samples) == 2
        assert place.measurement.throughput.value == pytest.approx(1 / call_s, rel=0.02)
        assert place.measurement.machine["tensorflow"] is not None
    rings = [[sample.ring for sample in each.samples] for each in (first, last, current)]
    assert rings[0] == rings[1] == rings[2]
    assert len(set(rings[0])) == 2
    assert killed.places[1].problem
    assert [len(place.samples) for place in killed.places] == [1, 0, 1]
    assert [place.problem for place in afterwards.places] == ["", ""]
    assert git(project.path, "worktree", "list", "--porcelain").count("worktree ") == 1
    assert list(project.temporary.iterdir()) == []
    assert [*(project.path / ".benchmarks").rglob("*.json")] == []
