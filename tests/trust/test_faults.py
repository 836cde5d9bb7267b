"""The campaign of faults sees what must not be. Most runs here are made up, and cost nothing."""

import dataclasses
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from repository import program, touch

FINE = "test_it.py::test_fine[intra1-inter1]"
BREAKS = "test_it.py::test_breaks[intra1-inter1]"
SHARING = [f"test_it.py::test_shares{name}[intra1-inter1]" for name in ("", "_too")]
TESTS = (BREAKS, *SHARING, FINE, "test_it.py::test_plain")


def reports(**others):
    """What a verbose run prints of its tests: they have passed, but for these."""
    outcomes = dict.fromkeys(TESTS, "PASSED") | others
    return "".join(f"{name} {words}   [ 20%]\n" for name, words in outcomes.items())


@pytest.fixture(scope="module")
def faults():
    return program("trust/faults.py")


@pytest.fixture(scope="module")
def sandbox(faults):
    return sys.modules[faults.Room.__module__]


@pytest.fixture
def whole():
    """A saved run of the two tests that are measured, as a file has it."""
    run = program("trust/readers.py").saved(random.Random(1), 1)
    run["benchmarks"] = [{**run["benchmarks"][0], "fullname": name} for name in (BREAKS, FINE)]
    return json.dumps(run)


class EndedRun:
    """A run that has ended, and has left these processes."""

    def __init__(self, code=0, output=None, left=()):
        self.number, self.code, self.left = 1, code, left
        self.output = reports() if output is None else output

    def wait(self):
        return self.code

    def processes(self):
        return dict(enumerate(self.left))

    def end(self):
        self.left = ()


@pytest.fixture
def room(sandbox, tmp_path, monkeypatch, whole):
    """A room whose next run is `room.next`, and whose storage has a whole run."""
    monkeypatch.setattr(sandbox, "_PATIENCE_S", 0)
    room = sandbox.Room(tmp_path, "")
    room.next = EndedRun()
    monkeypatch.setattr(room, "start", lambda *arguments, **variables: room.next)
    touch(room.storage / "Linux" / "0001_run1.json", whole)
    touch(room.project / "out.json", whole)
    return room


def check(faults, room, run, kind="int-pytest", phase="call"):
    faults._check(faults.KINDS[kind], room, run, run.code, "one", phase)


def test_a_run_that_keeps_all_promises_is_no_violation(faults, room):
    check(faults, room, EndedRun())
    check(faults, room, EndedRun(2, "KeyboardInterrupt"))
    check(faults, room, EndedRun(1, reports(**{BREAKS: "FAILED"}) + "by SIGSEGV"), "segfault")
    check(
        faults,
        room,
        EndedRun(1, reports(**{SHARING[1]: "ERROR"}) + "SIGSEGV"),
        "segfault",
        "shared",
    )


@pytest.mark.parametrize(
    ("run", "kind", "words"),
    [
        (EndedRun(None), "int-pytest", "does not end"),
        (EndedRun(3), "int-pytest", "exit code 3"),
        (EndedRun(0), "segfault", "exit code 0"),
        (EndedRun(1, "something went wrong"), "segfault", "'SIGSEGV'"),
        (EndedRun(0, "INTERNALERROR> x"), "int-pytest", "internal error"),
        (EndedRun(1, reports(**{FINE: "FAILED"}) + "SIGSEGV"), "segfault", "test_fine.*FAILED"),
        (EndedRun(1, reports(**{SHARING[0]: "ERROR"}) + "SIGSEGV"), "segfault", "shares.*ERROR"),
        (EndedRun(0, reports(**{BREAKS: "FAILED"})), "output", "test_breaks.*FAILED"),
        (EndedRun(0, reports() + f"{FINE} PASSED\n"), "output", "test_fine.*PASSED.*PASSED"),
        (EndedRun(0, reports().replace(f"{FINE} ", "")), "output", "0 of 1"),
    ],
)
def test_a_broken_promise_is_seen(faults, room, run, kind, words):
    with pytest.raises(faults.Violation, match=words):
        check(faults, room, run, kind)


def test_a_measured_test_that_is_not_saved_is_seen(faults, room, whole):
    run = json.loads(whole)
    del run["benchmarks"][1]
    file = touch(room.storage / "Linux" / "0001_run1.json", json.dumps(run))
    touch(room.storage / "Linux" / "0000_before.json", whole)  # another run's does not count
    for kind in ("int-pytest", "int-twice", "kill-pytest", "kill-worker", "full-disk", "read-only"):
        for code in faults.KINDS[kind].codes & {0, 2}:  # Ctrl-C loses nothing that was complete
            with pytest.raises(faults.Violation, match=r"not saved.*test_fine"):
                check(faults, room, EndedRun(code), kind)
    file.write_text(whole)
    touch(room.project / "out.json", json.dumps(run))
    with pytest.raises(faults.Violation, match=r"not in out\.json.*test_fine"):
        check(faults, room, EndedRun())


@pytest.mark.parametrize("code", [1, 4])
@pytest.mark.parametrize("kind", ["full-disk", "read-only"])
def test_where_the_disk_took_no_file_it_is_said_which(faults, room, kind, code):
    (room.storage / "Linux" / "0001_run1.json").unlink()
    (room.project / "out.json").unlink()
    output = reports(**{BREAKS: "FAILED"})
    said = "--benchmark-save: this run was not saved in x: y\n"
    with pytest.raises(faults.Violation, match=r"not saved.*test_fine"):
        check(faults, room, EndedRun(code, output), kind)
    with pytest.raises(faults.Violation, match=r"not in out\.json.*test_fine"):
        check(faults, room, EndedRun(code, output + said), kind)
    room.next.wait = lambda: touch_both(room) or 0
    said += "--benchmark-json: out.json was not written: y\n"
    check(faults, room, EndedRun(code, output + said), kind)


def touch_both(room):
    """What the next run writes."""
    run = program("trust/readers.py").saved(random.Random(1), 1)
    run["benchmarks"] = [{**run["benchmarks"][0], "fullname": name} for name in (BREAKS, FINE)]
    touch(room.storage / "Linux" / "0001_run1.json", json.dumps(run))
    touch(room.project / "out.json", json.dumps(run))


def test_a_worker_that_died_is_told_once(faults, room):
    both = f"{FINE} FAILED\n"
    check(faults, room, EndedRun(1, reports() + both + "crashed"), "kill-worker")
    more = f"{BREAKS} FAILED\n"
    with pytest.raises(faults.Violation, match=r"test_fine.* is reported as .*PASSED.*FAILED"):
        check(faults, room, EndedRun(1, reports() + more + both + "crashed"), "kill-worker")
    with pytest.raises(faults.Violation, match="is reported as"):
        check(faults, room, EndedRun(1, reports() + both + "SIGKILL"), "kill-measuring")


def test_reports_of_workers_are_read(faults):
    output = f"{FINE} \n[gw0] [ 50%] PASSED {FINE} \n[gw1] [100%] ERROR {BREAKS} \n"
    assert faults.reported(output) == {FINE: ["PASSED"], BREAKS: ["ERROR"]}


def test_a_process_that_is_left_is_seen_though_it_stands_still(sandbox, faults, room):
    stopped = sandbox.Seen(1, "T", "python -c sleeps")
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
    assert faults.check_saved(room) == {BREAKS, FINE}


@pytest.mark.parametrize(("time", "is_seen"), [("-0.001", True), ("0.000", False)])
def test_a_negative_duration_is_seen(faults, room, time, is_seen):
    touch(room.project / "junit.xml", f'<a><testcase name="test_x" time="{time}"/></a>')
    if not is_seen:
        check(faults, room, EndedRun())
        return
    with pytest.raises(faults.Violation, match=r"test_x took -0\.001 s"):
        check(faults, room, EndedRun())


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


@pytest.mark.parametrize(
    ("place", "is_left"),
    [
        ("project/.benchmarks/Linux/.0002.part", True),
        ("project/.out.json.0.part", True),
        ("project/.report.html.1.part", True),
        ("project/traces/.tf-threads-x", True),
        ("base1/popen-gw0/x", True),
        ("base1/tfthreads3", True),
        ("cache/pytest-tfthreads/saved-runs.sqlite-journal", True),
        ("cache/pytest-tfthreads/saved-runs.sqlite", False),
        ("project/traces/test_it/plugins/profile/x/here.xplane.pb", False),
        ("project/report.html", False),
    ],
)
def test_what_is_left_is_seen_and_what_a_killed_run_left_is_the_next_ones(
    faults, room, place, is_left
):
    file = touch(room.disk / place, "<html></html>")
    if not is_left:
        check(faults, room, EndedRun())
        return
    for run, kind in ((EndedRun(), "int-pytest"), (EndedRun(-9), "kill-pytest")):
        with pytest.raises(faults.Violation, match=f"left: .*{re.escape(place)}"):
            check(faults, room, run, kind)
    room.next.wait = lambda: file.unlink() or 0
    check(faults, room, EndedRun(-9), "kill-pytest")


def test_half_a_report_is_seen(faults, room):
    page = touch(room.project / "report.html", "<html><body>")
    with pytest.raises(faults.Violation, match=r"report\.html is not whole"):
        check(faults, room, EndedRun(-9), "kill-pytest")
    page.write_text("<html></html>\n")
    check(faults, room, EndedRun(-9), "kill-pytest")


def test_roles_are_told_by_the_place_in_the_tree(sandbox):
    ours = "python -c from pytest_tfthreads.measuring import server"
    found = {
        pid: sandbox.Seen(parent, "S", command)
        for pid, parent, command in (
            (10, 1, "python -m pytest -p pytest_tfthreads.plugin"),
            (11, 10, "python -u -c import sys;exec(eval(sys.stdin.readline()))"),
            (12, 11, ours),
            (13, 12, ours),
            (14, 13, ours),
            (15, 14, "python -S -c sleeps"),
            (16, 10, ours),
        )
    }
    roles = [sandbox._role(pid, found, 10) for pid in sorted(found)]
    assert roles == ["pytest", "worker", "guard", "interpreter", "measuring", "", "guard"]


def test_a_process_is_known_by_a_variable_that_it_began_with(sandbox):
    mine = Path("/proc/self/environ").read_bytes().split(b"\0")[0].decode()
    seen = sandbox._look_at(str(os.getpid()), mine)
    assert seen.parent == os.getppid()
    assert "python" in seen.command
    assert sandbox._look_at(str(os.getpid()), f"{mine}x") is None


def test_each_kind_that_breaks_inside_is_in_the_project(faults):
    compile(faults.PROJECT.replace("INTRA", "1"), "test_it.py", "exec")
    inside = [one for one in faults.KINDS.values() if one.phases]
    assert inside
    for kind in inside:
        name = kind.name.replace("-", "_")
        assert f"\ndef {name}():" in faults.PROJECT or f"\n{name} = " in faults.PROJECT
    from_outside = [(one.send, one.variables) for one in faults.KINDS.values() if not one.phases]
    assert all(bool(send) != bool(variables) for send, variables in from_outside)
    assert not any(kind.send for kind in inside)
    assert [kind.name for kind in inside if kind.variables] == ["clock-steps-exit"]
    assert all(f'break_down("{phase}")' in faults.PROJECT for phase in faults._PHASES)


READINGS_OF_THE_DAY = (
    "time.time()",
    "time.time_ns() / 1e9",
    "time.clock_gettime(time.CLOCK_REALTIME)",
    "time.clock_gettime_ns(time.CLOCK_REALTIME) / 1e9",
    "dt.datetime.now().timestamp()",
    "dt.datetime.now(dt.timezone.utc).timestamp()",
    "ORIGINALS.time()",
    "ORIGINALS.time_ns() / 1e9",
)
OTHER_READINGS = (
    "time.monotonic()",
    "time.perf_counter()",
    "time.clock_gettime(time.CLOCK_MONOTONIC)",
    "ORIGINALS.monotonic()",
    "ORIGINALS.monotonic_ns() / 1e9",
    "ORIGINALS.perf_counter()",
)


def test_clocks_step_back_and_forth_where_a_run_asks_for_it(sandbox):
    each = [f"[{one} for _ in range(500)]" for one in (*READINGS_OF_THE_DAY, *OTHER_READINGS)]
    read = (
        "import json, time, datetime as dt\n"
        "from pytest_tfthreads.system.originals import ORIGINALS\n"
        f"print(json.dumps([{', '.join(each)}]))\n"
        "assert isinstance(dt.datetime.fromtimestamp(0), dt.datetime)"
    )
    there = os.pathsep.join(map(str, (sandbox._STEPPING_CLOCK, sandbox._TOP)))
    done = subprocess.run(
        [sys.executable, "-c", read],
        env={**os.environ, "PYTHONPATH": there},
        check=True,
        capture_output=True,
        text=True,
    )
    names = (*READINGS_OF_THE_DAY, *OTHER_READINGS)
    for name, times_s in zip(names, json.loads(done.stdout), strict=True):
        steps_s = [later - earlier for earlier, later in itertools.pairwise(times_s)]
        assert (min(steps_s) < -60) == (max(steps_s) > 60) == (name in READINGS_OF_THE_DAY), name
        assert name in READINGS_OF_THE_DAY or min(steps_s) >= 0, name


def test_a_cgroup_has_little_memory_and_is_gone_afterwards(sandbox, monkeypatch, tmp_path):
    memory = tmp_path / "cgroup"
    touch(memory / "cgroup.procs", "")
    monkeypatch.setattr(sandbox, "_CGROUPS", (tmp_path / "none", memory))

    def mkdtemp(prefix, dir):  # as the kernel makes a group, but that its files are real ones
        touch(dir / "group" / "memory.max", "max\n")
        return str(dir / "group")

    monkeypatch.setattr(sandbox.tempfile, "mkdtemp", mkdtemp)
    with sandbox.little_memory(1 << 30) as group:
        limit = group / "memory.max"
        assert limit.read_text() == str(1 << 30)
        assert not (group / "memory.limit_in_bytes").exists()
        limit.unlink()
    assert not group.exists()


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


def test_a_violation_is_told_with_the_number_of_its_try(faults, monkeypatch, capsys):
    seen = []

    def attempt(kind, rng, earlier, is_fake):
        seen.append((rng.random(), earlier))
        if len(seen) == 2:
            raise faults.Violation("x")
        return 1 if len(seen) < 3 else None

    monkeypatch.setattr(faults, "attempt", attempt)
    tally = faults.campaign("abort", 3, seed=7)
    assert capsys.readouterr().err == "abort --only 1 --seed 7: x\n\n"
    assert tally.row.startswith("| abort | 3 | 1 | 1: 1 | 1 | ")
    assert [earlier for _, earlier in seen] == [1, 1, 1, 0.5], "what came too late is made again"
    assert seen[2][0] == seen[3][0]
    faults.campaign("abort", 3, seed=7, only=1)
    assert seen[4] == seen[1], "it is the same try"


@pytest.mark.parametrize(
    ("name", "phase", "extra"),
    [("kill-interpreter", None, "profile"), ("segfault", "shared", "nothing")],
)
def test_the_short_form(faults, monkeypatch, name, phase, extra):
    kind = dataclasses.replace(faults.KINDS[name], layouts=("one",))
    # At the first moment at which there is such a process: no other run has to be timed.
    monkeypatch.setitem(faults._undisturbed, ("one", extra, True), faults.Undisturbed(0.0))
    monkeypatch.setattr(faults, "EXTRAS", {extra: faults.EXTRAS[extra]})
    if phase is not None:
        monkeypatch.setattr(faults, "_PHASES", (phase,))
    assert faults.attempt(kind, random.Random(1)) is not None


@pytest.mark.parametrize("extra", ["nothing", "compare"])
def test_a_run_that_compares_has_a_saved_run_to_compare_with(faults, monkeypatch, extra):
    before = faults.Undisturbed(1.0, b"{}", Path("Linux"))
    monkeypatch.setitem(faults._undisturbed, ("one", "nothing", True), before)
    with faults.room_for("one", extra) as room:
        found = [file.relative_to(room.storage) for file in room.storage.rglob("*.json")]
    assert found == ([Path("Linux/0001_before.json")] if extra == "compare" else [])
