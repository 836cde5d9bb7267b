"""`pytest-tfthreads list`."""

import csv
import json
import os
import shutil
import subprocess

import pytest

from pytest_tfthreads.commands import reading
from pytest_tfthreads.core.gate.verdict import Verdict
from pytest_tfthreads.core.stats.estimates import Estimate
from unfit_files import UNFIT

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REGRESSION = Verdict(
    "a", "throughput", "regression", "2×1", "images", Estimate(80.0, None, None), 0.05, "slower"
)


def fill(storage):
    regressed = {**storage.of(80.0), "verdicts": [REGRESSION.to_json()]}
    storage.save(COMMIT, "release", a=100.0, b=50.0)
    storage.save(COMMIT, dirty=True, a=regressed, about={"failed": ["b"], "complete": False})
    storage.save(None, a=storage.of(10.0, cpu="Model \x1b[31mY", tensorflow="2.21.0"))


def test_saved_runs_and_what_was_odd(storage, command):
    fill(storage)
    code, out, err = command("list", "--storage", storage.path)
    assert (code, err) == (0, "")
    header, _, first, second, third, *machines = out.splitlines()
    assert " ".join(header.split()) == "Run Name Date Commit Machine TensorFlow Tests Problems"
    assert " ".join(first.split()) == "0001 release 2026-01-02 03:00 0123456789ab A 2.20.0 2"
    assert "0123456789ab and changes" in second
    assert second.endswith("1  1 regressed, 1 failed, incomplete")
    assert "unknown commit" in third
    assert third.split()[-3:] == ["B", "2.21.0", "1"]
    assert machines == [
        "machine A: Model X (physical CPUs granted: 2, logical CPUs granted: 4)",
        "machine B: Model ?[31mY (physical CPUs granted: 2, logical CPUs granted: 4)",
    ]


def test_for_other_programs(storage, command):
    fill(storage)
    _, out, _ = command("list", "--json", "--storage", storage.path)
    first, second, third = json.loads(out)
    assert (first["number"], first["name"], first["commit"]) == (1, "release", COMMIT)
    assert (first["tests"], first["tensorflow"], first["python"]) == (2, ["2.20.0"], ["3.12.1"])
    assert first["machines"][0]["CPU model"] == "Model X"
    assert (second["dirty"], second["complete"], second["failed"]) == (True, False, ["b"])
    assert second["regressed"] == ["bench/test_it.py::a"]
    assert third["commit"] is None
    _, out, _ = command("list", "--csv", "--storage", storage.path)
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["number"] for row in rows] == ["0001", "0002", "0003"]
    assert [row["dirty"] for row in rows] == ["false", "true", "false"]
    assert [row["commit"] for row in rows] == [COMMIT, COMMIT, ""]
    assert "\x1b" not in out


def test_files_that_are_named_and_files_that_are_no_use(storage, command):
    file = storage.save(a=1.0)
    storage.write("0002_cut.json", file.read_text()[:-30])
    code, out, err = command("list", "--storage", f"file://{storage.path}")
    assert (code, out.count("nightly")) == (0, 1)
    assert err.startswith("pytest-tfthreads: left out: ")
    assert "0002_cut.json: no JSON, or cut off" in err
    assert command("list", file)[0] == 0
    code, out, err = command("list", file, storage.path / "none.json")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "none.json: cannot be read" in err
    code, out, err = command("list", "--storage", storage.path / "nothing")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "there is no saved run in" in err
    assert "--benchmark-save" in err


@pytest.mark.timeout(60)
def test_what_is_no_file_is_named_and_the_others_are_listed(storage, command):
    directory = storage.save(a=1.0).parent
    for number, make in enumerate(UNFIT.values(), start=2):
        make(directory / f"{number:04}_x.json")
    code, out, err = command("list", "--storage", storage.path)
    assert (code, out.count("nightly")) == (0, 1)
    told = err.splitlines()
    assert len(told) == len(UNFIT)
    for number, (words, line) in enumerate(zip(UNFIT, told, strict=True), start=2):
        assert f"left out: {directory}/{number:04}_x.json: cannot be read: {words}" in line
    assert command("list", directory / "0002_x.json")[0] == 2


def test_files_of_suites_without_marked_tests_are_nothing_to_tell_of(storage, command):
    unmarked = storage.save(a=1.0).read_text().replace('"tf_threads"', '"other"')
    for path in storage.path.glob("*/*"):
        path.unlink()
    storage.write("0001_unmarked.json", unmarked)
    code, out, err = command("list", "--storage", storage.path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "with marked tests; make one with --benchmark-save" in err
    storage.save(a=1.0)
    code, out, err = command("list", "--storage", storage.path)
    assert (code, out.count("nightly"), err) == (0, 1, "")
    code, out, err = command("list", "*", "--storage", storage.path)  # a pattern finds both
    assert (code, out.count("nightly"), err) == (0, 1, "")
    code, out, err = command("list", "0001", "--storage", storage.path)
    assert (code, "none of its benchmarks was measured by pytest-tfthreads" in err) == (2, True)
    code, _, err = command("list", "--storage=")
    assert (code, "the name is empty; perhaps a variable is not set" in err) == (2, True)


def test_many_files_are_read_by_several_processes(storage, command, monkeypatch):
    monkeypatch.setattr(reading, "_WORTH_PROCESSES_BYTES", 1)
    monkeypatch.setattr(reading, "_AT_ONCE", 2)
    monkeypatch.setattr(reading, "allowed_cpus", lambda: (0, 1))
    for _ in range(5):
        storage.save(a=1.0)
    storage.write("0009_cut.json", "{")
    code, out, err = command("list", "--csv", "--storage", storage.path)
    assert (code, len(out.splitlines())) == (0, 6)
    assert "0009_cut.json: no JSON" in err


# -- a repository among the saved runs --------------------------------------------------


def trap(directory, is_bare, sign):
    """A repository without a commit that it names: git fetches it, by a program of its choice."""
    top = directory if is_bare else directory / ".git"
    for name in ("objects", "refs/heads"):
        (top / name).mkdir(parents=True)
    (top / "HEAD").write_text("ref: refs/heads/main\n")
    (top / "refs/heads/main").write_text(f"{COMMIT}\n")
    (top / "config").write_text(
        f"[core]\n  repositoryformatversion = 1\n  bare = {str(is_bare).lower()}\n"
        "[extensions]\n  partialClone = origin\n"
        f'[remote "origin"]\n  promisor = true\n  url = .\n  uploadpack = "touch {sign}; false"\n'
    )


@pytest.fixture
def plain_git(monkeypatch):
    """Keep the settings of whoever runs the tests from git."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.mark.parametrize("is_bare", [True, False], ids=["bare", ".git"])
@pytest.mark.parametrize("place", [".", "Linux-CPython-3.12-64bit"])
@pytest.mark.parametrize("is_inside", [False, True], ids=["from outside", "from inside"])
@pytest.mark.usefixtures("plain_git")
def test_a_repository_in_the_storage_is_not_asked(
    storage, command, tmp_path, monkeypatch, is_bare, place, is_inside
):
    sign, trapped = tmp_path / "sign", storage.path / place
    file = storage.save(COMMIT, a=1.0)
    trap(trapped, is_bare, sign)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(trapped if is_inside else tmp_path)
    calls = (["--storage", storage.path], [file], ["0001", "--storage", storage.path])
    for arguments in calls:
        code, out, err = command("list", *arguments)
        assert (code, out.count("nightly"), err) == (0, 1, "")
    assert not sign.exists()


@pytest.mark.usefixtures("plain_git")
def test_the_trap_is_one(tmp_path):
    """Otherwise the test above would say nothing."""
    trap(tmp_path / "trapped", False, tmp_path / "sign")
    subprocess.run(["git", "-C", tmp_path / "trapped", "log", "--all"], capture_output=True)
    assert (tmp_path / "sign").exists()
