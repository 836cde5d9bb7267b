"""`pytest-tfthreads history`."""

import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys

import pytest

from pytest_tfthreads import cli
from pytest_tfthreads.commands import history, reading
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.history.series import line_of
from pytest_tfthreads.history.side_by_side import CommitStep, KeptCall, directory_in

TEST = "test_step[intra2-inter1]"
OTHER = "test_inference[intra1-inter1]"


@pytest.fixture
def repository(storage, monkeypatch):
    """The current directory as a git repository with the storage in it, and git there."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@b")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    storage.path.mkdir()
    monkeypatch.chdir(storage.path.parent)

    def git(*arguments):
        call = ["git", "-C", storage.path, *arguments]
        return subprocess.run(call, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "--initial-branch=main", "..")
    return git


def commit(git, tag=None):
    git("commit", "--quiet", "--allow-empty", "-m", "a commit")
    if tag:
        git("tag", tag)
    return git("rev-parse", "HEAD")


def test_runs_outside_of_a_repository_have_no_commit(storage, command):
    for speed in [100.0] * 6 + [50.0] * 6:
        storage.save("unversioned", **{TEST: speed})
    code, out, _ = command("history", "--storage", storage.path)
    assert code == 0
    assert "commits unknown" in out
    assert "unversioned" not in out
    assert "same commit" not in out


def fill(storage, before=8, after=8, **tests):
    """A step of `test_step` from 100 to 80 after `before` runs, with another TensorFlow."""
    for run in range(before + after):
        late = run >= before
        step = storage.of(80.0 if late else 100.0, tensorflow="2.21.0" if late else "2.20.0")
        storage.save(f"{run:040x}", **{TEST: step, OTHER: 30.0, **tests})


def test_a_change_with_commits_tags_and_versions(storage, command, repository):
    ids = [commit(repository, tag) for tag in (None, "v1.0", None, "v1.1", "v1,2", None)]
    # The later runs of the older commits are put in their place.
    for number in (0, 1, 2, 5, 1, 0, 2, 5, 5, 5):
        late = number == 5
        step = storage.of(80.0 if late else 100.0, tensorflow="2.21.0" if late else "2.20.0")
        storage.save(ids[number], dirty=number == 0, **{TEST: step, OTHER: 30.0})
    code, out, err = command("history", "--storage", storage.path)
    assert (code, err) == (0, "")
    assert "git does not know" not in out
    assert f"10 saved runs: 0001_nightly (2026-01-02, {ids[0][:12]} and changes)" in out
    assert "TensorFlow 2.20.0, from 0004_nightly 2.21.0\nPython 3.12.1\n" in out
    assert "reference" not in out
    (place,) = re.findall(r"between (.*)\n +(.*)\n +(.*)\n", out)
    assert place[0] == (
        f"0007_nightly (2026-01-08, {ids[2][:12]}) and 0004_nightly (2026-01-05, {ids[5][:12]})"
    )
    assert place[1] == f"{ids[2][:12]}..{ids[5][:12]} (3 commits, v1.1, v1,2)"
    assert place[2] == "TensorFlow 2.20.0 → 2.21.0"
    changes = re.findall(r"−(\d+) % \[−(\d+), −(\d+)\]  (\S+) +bench/test_it.py::(\S+), A", out)
    assert [(unit, test) for *_, unit, test in changes] == [
        ("images/s", TEST), ("images/CPU-s", TEST),
    ]  # fmt: skip
    for value, low, high, *_ in changes:
        assert int(low) > int(value) > int(high)
        assert int(low) >= 20 >= int(high)
    rows = [line for line in out.splitlines() if "▁" in line or "▅" in line or "█" in line]
    assert len(rows) == 4

    _, out, _ = command("history", "--json", "--storage", storage.path)
    change, _ = json.loads(out)["changes"]
    assert change["commits"] == {
        "after": ids[2], "by": ids[5], "count": 3, "tags": ["v1.1", "v1,2"],
    }  # fmt: skip
    assert change["versions"] == {"TensorFlow": {"before": "2.20.0", "after": "2.21.0"}}


def test_names_of_tags_may_have_what_looks_like_the_end_of_a_line(storage, command, repository):
    tags = [f"v{number}{odd}x" for number, odd in enumerate("\u2028\u2029\x85")]
    ids = [commit(repository, tag) for tag in (None, *tags)]
    for number in (0,) * 6 + (3,) * 6:
        storage.save(ids[number], **{TEST: 80.0 if number else 100.0})
    _, out, _ = command("history", "--json", "--storage", storage.path)
    data = json.loads(out)
    assert [run["tags"] for run in data["runs"]] == [[]] * 6 + [tags[-1:]] * 6
    assert (data["changes"][0]["commits"]["count"], data["changes"][0]["commits"]["tags"]) == (
        3, tags,
    )  # fmt: skip


def test_commits_are_those_of_the_current_directory_wherever_the_storage_is(
    storage, command, repository, tmp_path, monkeypatch
):
    """A worktree of the same repository, for one, holds the saved runs of a branch of their own."""
    commit(repository, "v1.0")
    saved = tmp_path / "saved"
    repository("worktree", "add", "--quiet", "--detach", str(saved))
    storage.path = saved
    ids = [repository("rev-parse", "HEAD"), commit(repository, "v1.1")]
    for one in reversed(ids):
        storage.save(one, **{TEST: 100.0})
    _, out, _ = command("history", "--json", "--storage", "saved")
    assert [run["tags"] for run in json.loads(out)["runs"]] == [["v1.0"], ["v1.1"]]
    monkeypatch.chdir(saved)
    _, out, _ = command("history", "--json", "--storage", ".")
    assert [run["tags"] for run in json.loads(out)["runs"]] == [["v1.0"], ["v1.1"]]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(tmp_path / "elsewhere")
    _, out, _ = command("history", "--storage", saved)
    assert "git knows of no commits here: runs are ordered by time" in out


def test_a_step_that_was_measured_side_by_side_stands_for_itself(
    storage, command, repository, tmp_path
):
    ids = [commit(repository, tag) for tag in ("v1.0", "v1.1")]
    for one in ids:
        storage.save(one, **{TEST: 100.0})
    machine, conditions = line_of(Measurement.from_json(storage.of(100.0)))
    step = CommitStep(
        f"bench/test_it.py::{TEST}", machine, conditions, "throughput", *ids,
        math.log(0.9), 1e-5, 8.0, "regression",
    )  # fmt: skip
    directory = directory_in(storage.path)
    directory.mkdir()
    (directory / "0001.steps").write_bytes(KeptCall("2026-03-01T00:00:00+00:00", (step,)).data)
    (directory / "0002.steps").write_text("{}")

    page = tmp_path / "history.html"
    code, out, err = command("history", f"--html={page}", "--storage", storage.path)
    assert code == 0
    assert err.startswith("pytest-tfthreads: left out: ")
    assert "0002.steps" in err
    assert re.search(r"−10 % \[.*\]  images/s .*  measured side by side\n", out)
    assert f"{ids[0][:12]}..{ids[1][:12]} (1 commit, v1.1)" in out
    written = page.read_text()
    assert "images/s, measured side by side" in written
    assert 'aria-label="throughput of ' in written
    assert "pytest-tfthreads history --csv" in written.partition("<noscript>")[2]
    _, out, _ = command("history", "--json", "--storage", storage.path)
    (change,) = json.loads(out)["changes"]
    assert change["change"]["value"] == pytest.approx(-0.1)
    assert change["side_by_side"]
    _, out, _ = command("history", "--csv", "--storage", storage.path)
    rows = [one for one in csv.DictReader(out.splitlines()) if one["metric"] == "throughput"]
    assert [one["side_by_side"] for one in rows] == ["", "true"]
    # The levels are as far apart as the step is large.
    assert float(rows[1]["level"]) / float(rows[0]["level"]) == pytest.approx(0.9)


def test_a_change_of_the_machine_moves_the_reference_workload_too(storage, command):
    for run in range(20):
        slow = 0.8 if run >= 10 else 1.0
        storage.save(
            **{
                TEST: storage.of(100.0 * slow, reference_s=0.002 / slow),
                OTHER: storage.of(100.0 * slow, reference_s=0.002),
            }
        )
    _, out, _ = command("history", "--storage", storage.path)
    assert re.search(rf"{re.escape(TEST)}, A +reference −20 % \[−\d+, −\d+\]", out)
    assert re.search(rf"{re.escape(OTHER)}, A +reference \+0.0 % \[−[\d.]+, \+[\d.]+\]", out)
    assert "what moves it is the machine, or TensorFlow" in out
    _, out, _ = command("history", TEST, "--json", "--storage", storage.path)
    for change in json.loads(out)["changes"]:
        assert change["reference"]["low"] < -0.2 < change["reference"]["high"]


def test_a_change_says_what_other_programs_took_before_and_after(storage, command, tmp_path):
    for run in range(20):
        beside = run >= 10
        storage.save(
            **{
                TEST: storage.of(140.0 if beside else 100.0, others=0.48 if beside else 0.02),
                OTHER: storage.of(140.0 if beside else 100.0, others=0.04 if beside else 0.02),
            }
        )
    page = tmp_path / "history.html"
    _, out, _ = command("history", "--html", page, "--storage", storage.path)
    assert re.search(rf"{re.escape(TEST)}, A +other programs 2.0 % → 48 %", out)
    assert not re.search(rf"{re.escape(OTHER)}, A +other programs", out)
    assert "that alone can make a test slower or faster" in out
    html = page.read_text()
    assert "other programs 2.0 % → 48 %" in html
    assert "other programs took 48 % of the granted CPUs" in html
    assert "other programs took 4.0 %" not in html

    _, out, _ = command("history", TEST, "--json", "--storage", storage.path)
    data = json.loads(out)
    assert [one["others_taken"] for one in data["lines"][0]["points"]] == [0.02] * 10 + [0.48] * 10
    for change in data["changes"]:
        assert change["others_taken"] == pytest.approx({"before": 0.02, "after": 0.48})
    _, out, _ = command("history", TEST, "--csv", "--storage", storage.path)
    rows = [*csv.DictReader(out.splitlines())]
    assert [row["others_taken"] for row in rows] == (["0.02"] * 10 + ["0.48"] * 10) * 2


def test_of_company_those_runs_tell_that_know_it(storage, command):
    company = {9: 0.0, 12: 0.5}
    for run in range(20):
        storage.save(a=storage.of(140.0 if run >= 10 else 100.0, others=company.get(run)))
    _, out, _ = command("history", "--json", "--storage", storage.path)
    changes = json.loads(out)["changes"]
    assert [one["others_taken"] for one in changes] == [{"before": 0.0, "after": 0.5}] * 2


def test_where_one_level_knows_of_no_company_nothing_is_said(storage, command):
    for run in range(20):
        storage.save(a=storage.of(140.0 if run >= 10 else 100.0, others=0.5 if run >= 10 else None))
    _, out, _ = command("history", "--storage", storage.path)
    assert "+40 %" in out
    assert "other programs" not in out
    _, out, _ = command("history", "--json", "--storage", storage.path)
    assert [one["others_taken"] for one in json.loads(out)["changes"]] == [None, None]


def test_one_test_for_other_programs(storage, command):
    fill(storage)
    code, out, _ = command("history", "test_step", "--json", "--storage", storage.path)
    data = json.loads(out)
    assert (code, len(data["runs"]), len(data["lines"])) == (0, 16, 1)
    (line,) = data["lines"]
    assert line["test"] == f"bench/test_it.py::{TEST}"
    assert len(line["points"]) == 16
    assert line["points"][0]["throughput"]["value"] == pytest.approx(100, rel=0.1)
    assert line["points"][0]["cpu_efficiency"]["value"] == pytest.approx(50, rel=0.1)
    before, after = line["levels"]["throughput"]
    assert (before["first_run"], before["last_run"], after["first_run"]) == (0, 7, 8)
    assert after["low"] < 80 < after["high"]
    assert [one["metric"] for one in data["changes"]] == ["throughput", "cpu_efficiency"]
    for change in data["changes"]:
        assert change["change"]["low"] < -0.2 < change["change"]["high"]
        assert (change["after_run"], change["by_run"], change["likely_run"]) == (7, 8, 8)
        assert change["commits"]["count"] is None

    _, out, _ = command("history", f"*{TEST}", "--csv", "--storage", storage.path)
    rows = list(csv.DictReader(out.splitlines()))
    assert len(rows) == 32
    assert [index for index, row in enumerate(rows) if row["change"]] == [8, 24]
    assert float(rows[8]["change_low"]) < -0.2 < float(rows[8]["change_high"])
    assert [row["tensorflow"] for row in rows[7:9]] == ["2.20.0", "2.21.0"]
    assert rows[7]["level"] != rows[8]["level"] == rows[9]["level"]


def test_lines_of_machines_and_what_differs_besides(storage, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # in no repository
    for _ in range(3):
        storage.save(**{TEST: 100.0})
        storage.save(**{TEST: storage.of(50.0, cpu="Model Y")})
    storage.save(**{TEST: storage.of(100.0, unit="steps")})
    code, out, _ = command("history", "--storage", storage.path)
    assert code == 0
    assert "machine A: Model X" in out
    assert "machine B: Model Y" in out
    assert re.search(r"A; unit: images +3 +images/s", out)
    assert re.search(r"A; unit: steps +1 +steps/s", out)
    assert re.search(r" B +3 +images/s", out)
    assert "No change can be found yet: that takes 4 runs" in out
    assert "git knows of no commits here" in out


def test_unchanged(storage, command):
    fill(storage, before=0, after=10)
    _, out, _ = command("history", "--storage", storage.path)
    assert "No change stands out from the noise." in out


def test_a_page(storage, command, tmp_path):
    pytest.importorskip("plotly", reason="the extra `report` is not installed")
    fill(storage)
    storage.save("</script><b>", name="<b>bold", **{TEST: 80.0, "test_<i>[x]": 1.0})
    page = tmp_path / "history.html"
    code, out, _ = command("history", "--html", page, "--storage", storage.path)
    assert (code, "Changes [95 %]" in out) == (0, True)
    text = page.read_text(encoding="utf-8")
    text = text[text.index("<h1>") :]  # the drawing library has names of all kinds
    for anchor in ("changes", "lines", "test-0", "test-1", "machines", "runs"):
        assert f'<section id="{anchor}"' in text
    assert "−20 % [" in text or "−19 % [" in text or "−21 % [" in text
    assert "TensorFlow 2.20.0 → 2.21.0" in text
    assert "TensorFlow 2.21.0" in text
    assert "<i>" not in text
    assert "<b>" not in text
    assert "&lt;b&gt;bold" in text
    assert '"color":"--series-1"' in text, "figures follow the colour scheme of the page"
    assert '"ticktext":["0000000 2026-' in text, "the first run is named by its commit"

    code, out, err = command(
        "history", "--html", tmp_path / "none" / "x.html", "--storage", storage.path
    )
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"none/x.html cannot be written: there is no directory {tmp_path / 'none'}" in err
    assert "name another file with --html" in err
    # What fails only when it is written comes after all that was asked for beside it.
    code, out, err = command("history", "--html", "/dev/full", "--storage", storage.path)
    assert (code, "Changes [95 %]" in out, err.count("\n")) == (2, True, 1)
    assert "/dev/full was not written: No space left on device" in err


def test_the_page_comes_where_nobody_reads_what_is_printed(storage, tmp_path, monkeypatch):
    pytest.importorskip("plotly", reason="the extra `report` is not installed")
    fill(storage)
    page = tmp_path / "history.html"

    def gone(lines):
        raise BrokenPipeError

    monkeypatch.setattr(history, "print_lines", gone)
    arguments = ["history", f"--html={page}", f"--storage={storage.path}"]
    with pytest.raises(BrokenPipeError):
        history._history(cli._parser().parse_args(arguments))
    assert '<section id="changes"' in page.read_text(encoding="utf-8")


def test_the_page_says_how_many_runs_a_change_takes(storage, command, tmp_path):
    pytest.importorskip("plotly", reason="the extra `report` is not installed")
    fill(storage, 2, 1)
    page = tmp_path / "history.html"
    _, out, _ = command("history", "--html", page, "--storage", storage.path)
    sentence = "No change can be found yet: that takes 4 runs of a test on one machine, and there"
    assert sentence in out
    assert sentence in page.read_text(encoding="utf-8")


def test_text_of_files_cannot_act_on_a_terminal(storage, command):
    evil = "\x1b]0;owned\x07\n\x9b2J"
    for _ in range(4):
        storage.save(
            f"{evil}{0:040x}", name="x", **{f"test{evil}": storage.of(1.0, unit=evil, cpu=evil)}
        )
    for form in ((), ("--csv",), ("--json",)):
        code, out, err = command("history", *form, "--storage", storage.path)
        assert (code, err) == (0, "")
        assert not set("\x1b\x07\x9b") & set(out)
    code, out, err = command("history", evil.replace("\n", ""), "--storage", storage.path)
    assert (code, err.count("\n")) == (2, 1)
    assert not set("\x1b\x07\x9b") & set(err)


def test_a_test_that_is_not_there(storage, command):
    fill(storage, 1, 0)
    code, out, err = command("history", "test_stepp", "--storage", storage.path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"no saved test matches 'test_stepp'; close to it: bench/test_it.py::{TEST}" in err
    code, _, err = command("history", "zzzzzzzz", "--storage", storage.path)
    assert (code, "`pytest-tfthreads history` shows all 2" in err) == (2, True)


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("ruptures.detection", "ruptures", ()),
        ("plotly.offline", "'plotly>=6.0' orjson", ("--html", os.devnull)),
    ],
)
def test_a_library_that_is_missing(storage, command, monkeypatch, module, name, arguments):
    fill(storage, 4, 0)
    monkeypatch.setitem(sys.modules, module, None)
    code, out, err = command("history", *arguments, "--storage", storage.path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f", which is not installed: pip install {name}\n" in err


@pytest.mark.parametrize("refused", [OSError("no more processes"), ImportError("no semaphores")])
def test_files_are_read_where_no_process_can_help(storage, monkeypatch, refused):
    files = [storage.save(t=100.0) for _ in range(40)]

    def refuse(*args, **options):
        raise refused

    monkeypatch.setattr(reading, "allowed_cpus", lambda: (0, 1, 2))
    monkeypatch.setattr(reading, "_is_much", lambda paths: True)
    monkeypatch.setattr(reading, "can_measure", lambda: True)
    monkeypatch.setattr(reading, "ProcessPoolExecutor", refuse)
    assert [run.number for run in reading.read_all(files)] == [f"{n:04}" for n in range(1, 41)]
