"""What all commands have in common: help, errors, and the ways in which they end."""

import csv
import json
import shlex
import subprocess
import sys

import pytest

from pytest_tfthreads import cli
from pytest_tfthreads.commands import listing


def command_names():
    (actions,) = cli._parser()._subparsers._group_actions
    return list(actions.choices)


@pytest.mark.parametrize("name", command_names())
def test_help_has_an_example(command, name):
    code, out, err = command(name, "--help")
    assert (code, err) == (0, "")
    assert f"  pytest-tfthreads {name}" in out.partition("example")[2]


@pytest.mark.parametrize("arguments", [("--help",), ()])
def test_help_names_all_commands_with_examples(command, arguments):
    code, out, _ = command(*arguments)
    assert code == 0
    assert all(f"  pytest-tfthreads {name}" in out for name in command_names())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--storage=x",), "COMMAND"),
        (("nothing",), "invalid choice: 'nothing'"),
        (("list", "--nothing"), "unrecognized arguments: --nothing"),
        (("compare",), "the following arguments are required: RUN"),
        (("compare", "one.json"), "needs two or more different saved runs"),
        (("compare", "one.json", "./one.json"), "needs two or more different saved runs"),
        (("compare", "gone.json", "too.json"), "gone.json: cannot be read"),
        (("bisect", "t", "--good="), "--good= names nothing; perhaps a variable is not set"),
        (("bisect", "t", "--good=v1", "--bad= "), "--bad= names nothing"),
        (("bisect", "t", "--good=v1", "--good=python="), "--good=python= names nothing"),
        (("bisect", "--continue", "--bad="), "--bad= names nothing"),
        (("bisect", "t", "--good=v1", "--profile="), "--profile: the name is empty"),
        (("compare", "a", "b", "--fail-on=all"), "'all' is none of"),
        (("compare", "a", "b", "--tolerance=5"), "'5' is no share"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(command, arguments, message):
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("pytest-tfthreads")
    assert ": error: " in err
    assert message in err


@pytest.mark.parametrize("name", ["list", "history", "report", "recommend", "releases", "bisect"])
def test_a_storage_that_cannot_be_looked_at_is_an_error(command, name):
    code, out, err = command(name, f"--storage={'x' * 300}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "argument --storage: xxx" in err
    assert "cannot be read: File name too long" in err


@pytest.mark.parametrize(
    "arguments",
    [
        *(["list"], ["history"], ["report"], ["recommend"], ["releases", "v1", "v2"]),
        ["bisect", "test_it.py::test_it", "--good=v1"],
    ],
)
def test_a_current_directory_that_was_removed_is_an_error(
    command, tmp_path, monkeypatch, arguments
):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "the current directory cannot be found" in err


def test_a_storage_elsewhere_needs_no_current_directory(command, storage, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "there is no saved run in" in command("list", "--storage", storage.path)[2]
    storage.save(test_it=1.0)
    assert command("list", "--storage", storage.path)[::2] == (0, "")


def test_json_or_csv(command):
    code, _, err = command("list", "--json", "--csv")
    assert (code, "not allowed with argument" in err) == (2, True)


def test_verdicts_for_other_programs(storage, command):
    before, now = storage.save(t=100.0, u=50.0), storage.save(t=30.0)
    code, out, _ = command("compare", before, now, "--csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 1
    assert [(row["metric"], row["status"]) for row in rows] == [
        ("throughput", "regression"), ("cpu_efficiency", "regression"),
    ]  # fmt: skip
    assert float(rows[0]["change_low"]) < -0.7 < float(rows[0]["change_high"])
    assert float(rows[0]["baseline"]) == pytest.approx(100, rel=0.1)
    code, out, _ = command("compare", before, now, "--json")
    assert (code, [one["status"] for one in json.loads(out)]) == (1, ["regression"] * 2)
    code, out, _ = command("compare", before, now)
    assert (code, "only in" in out) == (1, True)


def test_a_run_that_is_named_twice_counts_once_where_it_is_named_last(storage, command, tmp_path):
    now, *_ = storage.save(t=30.0), storage.save(t=100.0), storage.save(t=100.0)
    where = ("--storage", storage.path)
    code, out, _ = command("compare", "000*", "0001", "--json", *where)
    assert code == 1
    assert [(one["status"], round(one["change"]["value"], 1)) for one in json.loads(out)] == [
        ("regression", -0.7), ("regression", -0.7),
    ]  # fmt: skip
    linked = tmp_path / "linked.json"
    linked.symlink_to(now)
    code, _, err = command("compare", "0001", linked, *where)
    assert (code, "two or more different saved runs" in err) == (2, True)
    _, out, _ = command("list", "0001", now, linked, "--csv", *where)
    assert len(out.splitlines()) == 2


def test_ctrl_c(command, monkeypatch):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(listing, "_list", interrupted)
    assert command("list") == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "shell", "told"),
    [
        (["list"], "> /dev/full", "stdout cannot be written: No space left on device"),
        (["list", "--csv"], ">&-", "stdout is closed"),
        (["--help"], "> /dev/full", "stdout cannot be written: No space left on device"),
    ],
)
def test_output_that_cannot_be_written(storage, arguments, shell, told):
    storage.save(test_it=1.0)
    command = [sys.executable, "-m", "pytest_tfthreads", *arguments]
    if "list" in arguments:
        command += ["--storage", str(storage.path)]
    run = subprocess.run(
        f"{shlex.join(command)} {shell}", shell=True, capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (2, f"pytest-tfthreads: error: {told}\n")


@pytest.mark.parametrize("shell", ["2>&-", "2>&- <&-", "2> /dev/full"])
def test_what_stderr_does_not_take_is_nowhere_else(storage, shell):
    storage.save(test_it=1.0)
    storage.write("0002_broken.json", "{")

    def run(*arguments):
        command = [sys.executable, "-m", "pytest_tfthreads", *arguments]
        found = subprocess.run(
            f"{shlex.join(map(str, command))} {shell}", shell=True, capture_output=True, text=True
        )
        return found.returncode, found.stdout, found.stderr

    code, out, err = run("list", "--json", "--storage", storage.path)
    assert (code, [one["number"] for one in json.loads(out)], err) == (0, [1], "")
    assert run("list", "--nothing") == (2, "", "")  # by argparse
    assert run("compare", "one.json") == (2, "", "")


def test_a_reader_of_stderr_that_has_ended_takes_no_results_along(storage):
    storage.save(test_it=1.0)
    storage.write("0002_broken.json", "{")
    for arguments, code in (["list", "--storage", storage.path], 0), (["list", "--nothing"], 2):
        with subprocess.Popen(
            [sys.executable, "-m", "pytest_tfthreads", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            process.stderr.close()
            assert (b"nightly" in process.stdout.read()) is (code == 0)
            assert process.wait() == code


def test_output_that_nobody_reads_to_its_end(storage):
    for _ in range(3):
        storage.save(**{f"test_{n}": 1.0 for n in range(300)})
    arguments = ["list", "--json", "--storage", str(storage.path)]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest_tfthreads", *arguments, *arguments[2:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
