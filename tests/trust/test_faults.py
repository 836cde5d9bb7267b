"""The campaign of faults sees what must not be. The runs are made up here, and cost nothing."""

import json
import os
import random
import signal
from pathlib import Path

import pytest

from repository import program, touch

FINE = "test_it.py::test_fine[intra1-inter1]"


@pytest.fixture(scope="module")
def faults():
    return program("trust/faults.py")


@pytest.fixture
def whole():
    """A saved run of one test, as a file has it."""
    run = program("trust/readers.py").saved(random.Random(1), 1)
    run["benchmarks"] = run["benchmarks"][:1]
    run["benchmarks"][0]["fullname"] = FINE
    return json.dumps(run)


class EndedRun:
    """A run that has ended, and has left these processes."""

    def __init__(self, code=0, output=f"{FINE} PASSED", left=()):
        self.code, self.output, self.left = code, output, left

    def wait(self):
        return self.code

    def processes(self):
        return dict(enumerate(self.left))

    def end(self):
        self.left = ()


@pytest.fixture
def room(faults, tmp_path, monkeypatch, whole):
    """A room whose next run is `room.next`, and whose storage has a whole run."""
    monkeypatch.setattr(faults, "_PATIENCE_S", 0)
    room = faults.Room(tmp_path, "one")
    room.next = EndedRun()
    monkeypatch.setattr(room, "start", lambda *arguments, **variables: room.next)
    touch(room.storage / "Linux" / "0001_x.json", whole)
    return room


def check(faults, room, run, kind="int-pytest"):
    faults._check(faults.KINDS[kind], room, run, run.code)


def test_a_run_that_keeps_all_promises_is_no_violation(faults, room):
    check(faults, room, EndedRun())
    check(faults, room, EndedRun(2, "KeyboardInterrupt"))
    check(faults, room, EndedRun(1, f"{FINE} PASSED\nwas killed by SIGSEGV"), "segfault")


@pytest.mark.parametrize(
    ("run", "kind", "words"),
    [
        (EndedRun(None), "int-pytest", "does not end"),
        (EndedRun(3), "int-pytest", "exit code 3"),
        (EndedRun(0), "segfault", "exit code 0"),
        (EndedRun(1, "something went wrong"), "segfault", "'SIGSEGV'"),
        (EndedRun(0, "INTERNALERROR> x"), "int-pytest", "internal error"),
        (EndedRun(0, f"{FINE} PASSED\n[gw0] PASSED test_it.py::test_b[i] "), "output", "test_b"),
    ],
)
def test_a_broken_promise_is_seen(faults, room, run, kind, words):
    with pytest.raises(faults.Violation, match=words):
        check(faults, room, run, kind)


def test_a_process_that_is_left_is_seen_though_it_stands_still(faults, room):
    stopped = faults.Seen(1, "T", "python -c sleeps")
    with pytest.raises(faults.Violation, match="left: T python -c sleeps"):
        check(faults, room, EndedRun(left=[stopped]))
    room.next.left = [stopped]
    with pytest.raises(faults.Violation, match="left: T python -c sleeps"):
        check(faults, room, EndedRun())
    assert not room.next.left, "the campaign ends it"


@pytest.mark.parametrize("cut", [-1, 100, 0])
def test_half_a_file_is_seen(faults, room, whole, cut):
    touch(room.storage / "Linux" / "0002_x.json", whole[:cut])
    with pytest.raises(faults.Violation, match=r"0002_x\.json is not whole"):
        check(faults, room, EndedRun())


def test_a_file_without_benchmarks_is_whole(faults, room):
    touch(room.project / "out.json", '{"benchmarks": [], "machine_info": {}}')
    assert faults.check_saved(room) == {FINE}


def test_temporary_files_are_seen_but_a_killed_run_leaves_them_to_the_next(faults, room):
    touch(room.temporary / "x")
    with pytest.raises(faults.Violation, match=r"temporary files are left: \['x'\]"):
        check(faults, room, EndedRun())
    with pytest.raises(faults.Violation, match="temporary files"):  # of the next run
        check(faults, room, EndedRun(-9), "kill-pytest")
    room.next.wait = lambda: (room.temporary / "x").unlink() or 0
    check(faults, room, EndedRun(-9), "kill-pytest")


@pytest.mark.parametrize("bad", [EndedRun(1), EndedRun(0, "flags: no-lease")])
def test_a_next_run_that_suffers_is_seen(faults, room, bad):
    room.next = bad
    with pytest.raises(faults.Violation, match="the next run ended"):
        check(faults, room, EndedRun())


def test_a_part_of_a_file_that_stays_is_seen(faults, room):
    touch(room.storage / "Linux" / ".0002.part")
    with pytest.raises(faults.Violation, match="parts of files"):
        check(faults, room, EndedRun())


def test_roles_are_told_by_the_place_in_the_tree(faults):
    ours = "python -c from pytest_tfthreads.measuring import server"
    found = {
        pid: faults.Seen(parent, "S", command)
        for pid, parent, command in (
            (10, 1, "python -m pytest"),
            (11, 10, "python -u -c import sys;exec(eval(sys.stdin.readline()))"),
            (12, 11, ours),
            (13, 12, ours),
            (14, 13, ours),
            (15, 14, "python -S -c sleeps"),
        )
    }
    roles = [faults._role(pid, found, 10) for pid in sorted(found)]
    assert roles == ["pytest", "worker", "guard", "interpreter", "measuring", ""]


def test_a_process_is_known_by_a_variable_that_it_began_with(faults):
    mine = Path("/proc/self/environ").read_bytes().split(b"\0")[0].decode()
    seen = faults._look_at(str(os.getpid()), mine)
    assert seen.parent == os.getppid()
    assert "python" in seen.command
    assert faults._look_at(str(os.getpid()), f"{mine}x") is None


def test_each_kind_that_breaks_inside_is_in_the_project(faults):
    compile(faults.PROJECT.replace("INTRA", "1"), "test_it.py", "exec")
    inside = [one for one in faults.KINDS.values() if one.phases]
    assert inside
    for kind in inside:
        assert f"def {kind.name}():" in faults.PROJECT
    assert all(bool(one.send) != bool(one.phases) for one in faults.KINDS.values())


def test_signals_go_to_the_last_process_of_a_role(faults, monkeypatch):
    sent = []
    monkeypatch.setattr(faults.os, "kill", lambda *words: sent.append(words))
    run = EndedRun()
    run.process = type("Process", (), {"poll": lambda self: None})()
    run.of_role = {"worker": [3, 4]}.get
    assert faults.KINDS["kill-worker"].send(run)
    assert sent == [(4, signal.SIGKILL)]
    run.process.poll = lambda: 0
    assert not faults.KINDS["kill-worker"].send(run), "it came too late"


def test_a_violation_is_counted_by_the_number_of_its_try(faults, monkeypatch):
    seen = []

    def attempt(kind, rng):
        seen.append(rng.random())
        if len(seen) == 2:
            raise faults.Violation("x")
        return len(seen) != 3

    monkeypatch.setattr(faults, "attempt", attempt)
    tally = faults.campaign("abort", 3, seed=7)
    assert (tally.tries, tally.missed, tally.violations) == (3, 1, {1: "x"})
    faults.campaign("abort", 3, seed=7, only=1)
    assert seen[3] == seen[1], "it is the same try"
