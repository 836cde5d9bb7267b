"""Leases among real processes, which write what happens to them into one pipe, in its order."""

import contextlib
import errno
import json
import os
import random
import select
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pytest_tfthreads.system.leases import lease_directory, queue
from pytest_tfthreads.system.leases.lease_directory import find_place, machine_folder
from pytest_tfthreads.system.leases.leases import Leases
from pytest_tfthreads.system.leases.notes import Holder, read_notes, write_note
from unfit_files import UNFIT

# A process that does what it is told, line by line, and says what came of it. It says that it
# leaves before it does, and that it has entered after it has: who enters together is in the pipe.
ACTOR = """
import contextlib, json, os, random, signal, sys, time
from pathlib import Path
from pytest_tfthreads.system.leases import leases as module

name, place, log = sys.argv[1], Path(sys.argv[2]), int(sys.argv[4])
timeout_s = None if sys.argv[3] == "None" else float(sys.argv[3])
module._TELL_AFTER_S = 0
inside = []


def say(event, detail=None):
    os.write(log, json.dumps([name, event, detail]).encode() + b"\\n")


def waits(holders):
    say("waits", [holder.purpose for holder in holders])


def enter(kind, *args, others=None):
    context = getattr(others or leases, kind)(*args)
    detail = context.__enter__()
    inside.append(context)
    say("enters", detail)


def leave():
    say("leaves")
    inside.pop().__exit__(None, None, None)
    say("has left")


def fork(ending):
    pid = os.fork()
    if pid:
        if ending != "stays":
            say("child ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        else:
            say("forked", pid)
    elif ending == "stays":
        signal.pause()
    elif ending == "unwinds":
        while inside:
            inside.pop().__exit__(None, None, None)
        sys.exit()
    elif ending == "asks":
        leases.timeout_s = 0
        enter("exclusive", "the fork")
        sys.exit()
    else:
        os._exit(0)


def shift_clock():
    monotonic_ns = time.monotonic_ns
    time.monotonic_ns = lambda: monotonic_ns() + 3600 * 10**9


def storm(seed, rounds):
    chance = random.Random(seed)
    for number in range(rounds):
        kind = chance.choice(["shared", "exclusive", "packed", "packed"])
        cpus = chance.sample(range(4), chance.randint(1, 4))
        args = (chance.randint(1, len(cpus)), cpus) if kind == "packed" else ()
        around = leases.shared("around") if chance.random() < 0.3 else contextlib.nullcontext()
        with around, getattr(leases, kind)(f"{name} {number}", *args) as granted:
            say("in", [kind, granted])
            time.sleep(chance.random() / 500)
            say("out", [kind, granted])
            if number == rounds - 1:
                os.kill(os.getpid(), signal.SIGKILL)


leases = module.Leases(place, timeout_s, waits)
say("is there")
for line in sys.stdin:
    do, *args = json.loads(line)
    try:
        if do in ("fork", "leave", "shift_clock", "storm"):
            globals()[do](*args)
        elif do == "nested":
            enter(*args, others=module.Leases(place, timeout_s, waits))
        else:
            enter(do, *args)
    except module.LeaseTimeoutError as error:
        say("gives up", str(error))
    except KeyboardInterrupt:
        say("is interrupted")
    except RuntimeError as error:
        say("is refused", str(error))
"""


class Actors:
    """Processes at one place, and what they say."""

    def __init__(self, place):
        self.place = place
        self.processes = {}
        self.others = []  # forks, by id
        self._reads, self._log = os.pipe()
        self._said = []
        self._left = set()
        self._rest = b""

    def start(self, *names, timeout_s=None):
        for name in names:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-c", ACTOR, name, self.place, f"{timeout_s}", f"{self._log}"],
                stdin=subprocess.PIPE,
                text=True,
                pass_fds=[self._log],
            )
            assert self.hear() == (name, "is there", None)

    def tell(self, name, *command):
        print(json.dumps(command), file=self.processes[name].stdin, flush=True)

    def hear(self):
        """What is said next."""
        while not self._said:
            self._listen()
        return self._said.pop(0)

    def _listen(self):
        deadline_s = time.monotonic() + 60
        while not select.select([self._reads], [], [], 1)[0]:
            assert time.monotonic() < deadline_s, "nobody says anything"
            codes = {name: one.poll() for name, one in self.processes.items()}
            # That exit code is an exception that the actor does not expect, an import say.
            assert 1 not in codes.values(), f"ended by an exception: {codes}"
        *lines, self._rest = (self._rest + os.read(self._reads, 1 << 16)).split(b"\n")
        for name, event, detail in map(json.loads, lines):
            if event == "has left":
                self._left.add(name)
            else:
                self._said.append((name, event, detail))

    def enters(self, name, *command):
        """Have it enter at once; the CPUs that it got."""
        self.tell(name, *command)
        who, event, detail = self.hear()
        assert (who, event) == (name, "enters")
        return detail

    def waits(self, name, *command):
        """Have it enter; it must wait. For whom, by their purposes."""
        self.tell(name, *command)
        who, event, in_front = self.hear()
        assert (who, event) == (name, "waits")
        return in_front

    def leaves(self, name):
        """Have it leave, and wait until it has; what others say meanwhile is heard later."""
        self.begins_to_leave(name)
        self.has_left(name)

    def begins_to_leave(self, name):
        self._left.discard(name)
        self.tell(name, "leave")
        self.hears(name, "leaves")

    def has_left(self, name):
        while name not in self._left:
            self._listen()

    def hears(self, name, event="enters"):
        who, what, detail = self.hear()
        assert (who, what) == (name, event)
        return detail

    def is_free_for(self, *command):
        """Whether a process that comes now gets this at once."""
        if "probe" not in self.processes:
            self.start("probe", timeout_s=0)
        self.tell("probe", *command)
        who, event, _ = self.hear()
        assert who == "probe"
        if event == "gives up":
            return False
        assert event == "enters"
        self.leaves("probe")
        return True

    def kill(self, name):
        self.processes[name].kill()

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
            process.stdin.close()
        for pid in self.others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.close(self._reads)
        os.close(self._log)


@pytest.fixture
def actors(tmp_path):
    actors = Actors(tmp_path / "place")
    yield actors
    actors.end()


ALL = (0, 1, 2, 3)


# -- who may be there at once ---------------------------------------------------------------


def test_one_measures_alone(actors):
    actors.start("a", "b")
    actors.enters("a", "exclusive", "test_a")
    assert actors.waits("b", "exclusive", "test_b") == ["test_a"]
    actors.leaves("a")
    actors.hears("b")


def test_many_compute_at_once(actors):
    actors.start("a", "b")
    actors.enters("a", "shared", "test_a")
    actors.enters("b", "shared", "test_b")
    assert not actors.is_free_for("exclusive", "x")


@pytest.mark.parametrize("measures", [("exclusive", "m"), ("packed", "m", 1, [3])])
def test_measuring_waits_for_computing_and_computing_for_measuring(actors, measures):
    actors.start("computes", "measures", "later")
    actors.enters("computes", "shared", "c")
    assert actors.waits("measures", *measures) == ["c"]
    actors.leaves("computes")
    actors.hears("measures")
    assert actors.waits("later", "shared", "l") == ["m"]
    actors.leaves("measures")
    actors.hears("later")


def test_packed_ones_have_cpus_of_their_own(actors):
    actors.start("a", "b", "c", "d")
    assert actors.enters("a", "packed", "a", 1, ALL) == [0]
    assert actors.enters("b", "packed", "b", 1, ALL) == [1]
    assert actors.enters("c", "packed", "c", 2, ALL) == [2, 3]
    assert actors.waits("d", "packed", "d", 1, ALL) == ["a", "b", "c"]
    actors.leaves("b")
    assert actors.hears("d") == [1]


def test_packed_ones_are_granted_in_the_order_offered(actors):
    actors.start("a", "b")
    assert actors.enters("a", "packed", "a", 2, [2, 0, 2, 1]) == [2, 0]
    assert actors.enters("b", "packed", "b", 1, [2, 1, 0]) == [1]


def test_who_has_waited_with_too_few_cpus_keeps_none_too_many(actors):
    actors.start("a", "b")
    actors.enters("a", "packed", "a", 2, [0, 1])
    actors.waits("b", "packed", "b", 2, [0, 1, 2])
    actors.leaves("a")
    (left,) = {0, 1, 2} - set(actors.hears("b"))
    assert actors.is_free_for("packed", "probe", 1, [left])


def test_processes_with_different_affinities_see_each_other(actors):
    actors.start("a", "b", "c")
    assert actors.enters("a", "packed", "a", 1, [0, 1]) == [0]
    assert actors.enters("b", "packed", "b", 2, [1, 2]) == [1, 2]
    actors.waits("c", "packed", "c", 1, [0, 1])
    actors.leaves("b")
    assert actors.hears("c") == [1]


def test_exclusive_waits_for_all_packed_and_they_for_it(actors):
    actors.start("a", "b", "x", "c")
    actors.enters("a", "packed", "a", 1, ALL)
    actors.enters("b", "packed", "b", 1, ALL)
    assert actors.waits("x", "exclusive", "x") == ["a", "b"]
    actors.leaves("a")
    assert not actors.is_free_for("packed", "probe", 1, ALL)
    actors.leaves("b")
    actors.hears("x")
    assert actors.waits("c", "packed", "c", 1, ALL) == ["x"]
    actors.leaves("x")
    assert len(actors.hears("c")) == 1


def test_exclusive_has_cpus_too_that_its_process_may_not_use(actors):
    actors.start("x")
    actors.enters("x", "exclusive", "x")
    assert not actors.is_free_for("packed", "p", 1, [4095])


@pytest.mark.parametrize(("count", "offered"), [(3, [0, 1]), (2, [1, 1]), (0, [0]), (1, [-1])])
def test_what_can_never_be_granted_is_refused_at_once(tmp_path, count, offered):
    with pytest.raises(ValueError), Leases(tmp_path).packed("p", count, offered):
        pass


# -- fairness -------------------------------------------------------------------------------


def test_measuring_gets_its_turn_though_computing_never_ends(actors):
    actors.start("a", "b", "x")
    actors.enters("a", "shared", "a")
    actors.waits("x", "exclusive", "x")
    assert actors.waits("b", "shared", "b") == ["x"]
    actors.leaves("a")
    actors.hears("x")
    assert actors.waits("a", "shared", "a again") == ["x"]
    actors.leaves("x")
    assert {actors.hear()[:2], actors.hear()[:2]} == {("a", "enters"), ("b", "enters")}


def test_computing_gets_its_turn_though_measuring_never_ends(actors):
    actors.start("x", "y", "a")
    actors.enters("x", "exclusive", "x")
    actors.waits("a", "shared", "a")
    assert actors.waits("y", "exclusive", "y") == ["x", "a"]
    actors.leaves("x")
    actors.hears("a")
    assert actors.waits("x", "exclusive", "x again") == ["a", "y"]
    actors.leaves("a")
    actors.hears("y")


def test_who_needs_many_cpus_is_not_overtaken_by_those_who_need_few(actors):
    actors.start("a", "b", "all")
    actors.enters("a", "packed", "a", 1, ALL)
    actors.waits("all", "packed", "all", 4, ALL)
    assert actors.waits("b", "packed", "b", 1, ALL) == ["a", "all"]
    actors.leaves("a")
    assert actors.hears("all") == [*ALL]
    actors.leaves("all")
    actors.hears("b")


def test_another_clock_lets_nobody_in_and_locks_nobody_out(actors):
    actors.start("a", "ahead", "b")
    actors.start("late", timeout_s=0)
    actors.tell("ahead", "shift_clock")
    actors.enters("a", "shared", "test_a")
    actors.waits("ahead", "exclusive", "test_ahead")
    assert actors.waits("b", "shared", "b") == ["test_ahead"]
    actors.tell("late", "exclusive", "late")
    in_front = actors.hears("late", "gives up")
    assert "test_a" in in_front
    assert "test_ahead" in in_front
    actors.leaves("a")
    actors.hears("ahead")
    actors.leaves("ahead")
    actors.hears("b")


# -- the end of a process -------------------------------------------------------------------


def test_a_killed_process_holds_nothing(actors):
    actors.start("a", "b")
    actors.enters("a", "exclusive", "a")
    actors.waits("b", "shared", "b")
    actors.kill("a")
    actors.hears("b")


def test_a_killed_process_waits_for_nothing(actors):
    actors.start("a", "x", "b")
    actors.enters("a", "shared", "a")
    actors.waits("x", "exclusive", "x")
    actors.waits("b", "shared", "b")
    actors.kill("x")
    actors.hears("b")


def test_an_interrupted_process_waits_for_nothing(actors):
    actors.start("a", "x")
    actors.enters("a", "shared", "a")
    actors.waits("x", "exclusive", "x")
    actors.processes["x"].send_signal(signal.SIGINT)
    actors.hears("x", "is interrupted")
    assert actors.is_free_for("shared", "probe")
    assert len(notes(actors.place)) == 1


def notes(place):
    return list(machine_folder(place).glob("*.json"))


@pytest.mark.parametrize("kind", ["exclusive", "shared"])
def test_a_fork_holds_nothing_when_its_parent_was_killed(actors, kind):
    actors.start("a", "x")
    actors.enters("a", kind, "a")
    actors.tell("a", "fork", "stays")
    fork = actors.hears("a", "forked")
    actors.others.append(fork)
    actors.waits("x", "exclusive", "x")
    actors.kill("a")
    actors.hears("x")
    assert psutil.Process(fork).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("ending", ["exits", "unwinds"])
def test_a_fork_frees_nothing_by_its_end(actors, ending):
    actors.start("a")
    actors.enters("a", "shared", "outer")
    actors.enters("a", "exclusive", "inner")
    actors.tell("a", "fork", ending)
    assert actors.hears("a", "child ended") == 0
    assert not actors.is_free_for("shared", "probe")
    assert len(notes(actors.place)) == 1
    actors.leaves("a")
    actors.leaves("a")
    assert actors.is_free_for("exclusive", "probe")


def test_a_fork_has_no_part_in_its_parents_lease(actors):
    actors.start("a")
    actors.enters("a", "exclusive", "a")
    actors.tell("a", "fork", "asks")
    # It waits for its parent, and for nobody else.
    first, holder, _ = actors.hears("a", "gives up").splitlines()
    assert first.startswith("the fork waited 0 s for CPUs of this machine")
    assert f"pid {actors.processes['a'].pid} (" in holder
    assert "measuring alone" in holder
    assert holder.endswith("s: a")


# -- leases within leases of one process ----------------------------------------------------


def test_measuring_within_computing_gives_that_up_and_takes_it_again(actors):
    actors.start("a", "b")
    actors.enters("a", "shared", "a computes")
    actors.enters("b", "shared", "b computes")
    assert actors.waits("a", "exclusive", "a measures") == ["b computes"]
    actors.tell("b", "exclusive", "b measures")
    assert {actors.hear()[:2], actors.hear()[:2]} == {("a", "enters"), ("b", "waits")}
    actors.begins_to_leave("a")
    assert {actors.hear()[:2], actors.hear()[:2]} == {("a", "waits"), ("b", "enters")}
    actors.leaves("b")
    actors.has_left("a")
    assert actors.is_free_for("shared", "probe")
    assert not actors.is_free_for("exclusive", "probe")
    actors.leaves("b")
    assert not actors.is_free_for("exclusive", "probe")
    actors.leaves("a")
    assert actors.is_free_for("exclusive", "probe")


def test_pausing_gives_up_what_is_shared_and_nothing_else(actors):
    actors.start("a", "b")
    actors.enters("a", "shared", "a")
    actors.enters("a", "paused")
    actors.enters("b", "exclusive", "b")
    actors.enters("b", "paused")
    assert not actors.is_free_for("shared", "probe")
    actors.begins_to_leave("a")
    assert actors.hears("a", "waits") == ["b"]
    actors.leaves("b")
    actors.leaves("b")
    actors.has_left("a")
    assert not actors.is_free_for("exclusive", "probe")


def test_a_second_object_in_the_process_shares_the_first_ones_lease(actors):
    actors.start("a")
    actors.enters("a", "exclusive", "a")
    for nested in (["shared", "n"], ["exclusive", "n"], ["packed", "n", 2, [7, 5, 3]]):
        actors.tell("a", "nested", *nested)
        assert actors.hears("a") == ([7, 5] if nested[0] == "packed" else None)
        actors.leaves("a")
        assert not actors.is_free_for("shared", "probe")
    actors.leaves("a")
    assert actors.is_free_for("exclusive", "probe")


def test_computing_within_measuring_on_some_cpus_is_part_of_it(actors):
    actors.start("a")
    actors.enters("a", "packed", "a", 1, ALL)
    actors.enters("a", "shared", "within")
    actors.leaves("a")
    assert actors.is_free_for("packed", "probe", 3, ALL)
    assert not actors.is_free_for("packed", "probe", 4, ALL)


@pytest.mark.parametrize("more", [["exclusive", "more"], ["packed", "more", 1, [3]]])
def test_measuring_within_measuring_on_some_cpus_is_refused(actors, more):
    actors.start("a")
    actors.enters("a", "packed", "a", 1, ALL)
    actors.tell("a", *more)
    assert "more asks for CPUs within a" in actors.hears("a", "is refused")
    assert actors.is_free_for("packed", "probe", 3, ALL)
    assert not actors.is_free_for("packed", "probe", 4, ALL)


def test_what_cannot_be_taken_again_is_not_held(actors):
    actors.start("a", "b")
    actors.start("impatient", timeout_s=0)
    actors.enters("impatient", "shared", "i")
    actors.enters("impatient", "paused")
    actors.enters("a", "exclusive", "a")
    actors.begins_to_leave("impatient")
    actors.hears("impatient", "gives up")
    actors.leaves("a")
    assert actors.is_free_for("exclusive", "probe")
    actors.leaves("impatient")
    assert actors.is_free_for("exclusive", "probe")


# -- what is said ---------------------------------------------------------------------------


def test_a_timeout_names_who_is_in_front_and_the_option(actors):
    actors.start("a", "b", "w")
    actors.start("late", timeout_s=0)
    actors.enters("a", "packed", "tests/test_a.py::test_a", 2, [5, 6, 7])
    actors.enters("b", "packed", "tests/test_b.py::test_b", 1, [7])
    actors.waits("w", "packed", "tests/test_w.py::test_w", 1, [7])
    actors.tell("late", "exclusive", "tests/test_late.py::test_late")
    first, *holders, last = actors.hears("late", "gives up").splitlines()
    assert first.startswith("tests/test_late.py::test_late waited 0 s for CPUs of this machine")
    for holder, name, doing in zip(
        holders,
        "abw",
        ("measuring on CPUs 5, 6", "measuring on CPUs 7", "waiting to measure on 1 of CPUs 7"),
        strict=True,
    ):
        assert f"pid {actors.processes[name].pid} ({sys.executable} -c " in holder
        assert doing in holder
        assert f"s: tests/test_{name}.py::test_{name}" in holder
    assert "--tf-threads-lease-timeout" in last


def test_who_only_asks_is_told_and_takes_nothing(actors):
    asking = Leases(actors.place, timeout_s=60)
    assert asking.holders() == ()
    actors.start("a", "b")
    actors.enters("a", "exclusive", "test_a")
    actors.waits("b", "shared", "test_b")
    assert [one.purpose for one in asking.holders()] == ["test_a", "test_b"]
    actors.leaves("a")
    actors.hears("b")
    assert [one.doing for one in asking.holders()] == ["computing"]
    actors.leaves("b")
    assert actors.is_free_for("exclusive", "x")


def test_after_giving_up_the_line_is_free(actors):
    actors.start("a", "b")
    actors.enters("a", "shared", "a")
    assert not actors.is_free_for("exclusive", "probe")
    actors.enters("b", "shared", "b")


def test_a_process_that_has_gone_is_not_named_and_its_note_is_removed(actors):
    actors.start("gone", "a", "b")
    actors.enters("gone", "exclusive", "gone")
    actors.kill("gone")
    actors.processes["gone"].wait()
    (note,) = notes(actors.place)
    unfinished = note.with_suffix(".new")
    unfinished.touch()
    actors.enters("a", "exclusive", "a")
    assert actors.waits("b", "shared", "b") == ["a"]
    assert len(notes(actors.place)) == 2
    assert not unfinished.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 9000,
        '{"pid": 1}',
        "[1]",
        json.dumps(
            {"pid": "1", "command": "", "purpose": "", "doing": "", "is_shared": 0, "since_s": 0}
        ),
        '{"pid": 1, "command": "", "purpose": "", "doing": "", "is_shared": false, "since_s": NaN}',
        '{"pid": 1, "command": "", "purpose": "", "doing": "", "is_shared": 0, "since_s": 1e999}',
    ],
)
def test_a_note_that_cannot_be_read_is_left_out(actors, text):
    actors.start("a")
    actors.start("late", timeout_s=0)
    actors.enters("a", "exclusive", "a")
    notes(actors.place)[0].write_text(text)
    actors.tell("late", "shared", "late")
    assert "(none of them has left a note)" in actors.hears("late", "gives up")


@pytest.mark.timeout(20)
def test_a_note_that_is_no_file_is_left_out(tmp_path):
    holder = Holder(7, "pytest", "a test", "computing", True, since_s=0)
    write_note(tmp_path, 1, holder)
    for number, make in enumerate(UNFIT.values(), start=2):
        make(tmp_path / f"{number}.json")
    assert read_notes(tmp_path, before=10, lives=lambda number: True) == (holder,)


def test_a_note_cannot_command_the_terminal(tmp_path):
    holder = Holder(
        7, "pytest \x1b[31m", "line\nline\r\u202e" + "x" * 500, "computing", True, since_s=0
    )
    write_note(tmp_path, 5, holder)
    write_note(tmp_path, 9, holder)
    (read,) = read_notes(tmp_path, before=6, lives=lambda number: True)
    assert read.command == "pytest ?[31m"
    assert read.purpose.startswith("line line ?x")
    assert str(read).isprintable()
    assert len(str(read)) < 500


def test_files_of_others_are_left_alone(actors):
    actors.start("a", "b")
    actors.enters("a", "exclusive", "a")
    folder = machine_folder(actors.place)
    for name in ("9" * 40, "²", "-1", "notes"):
        (folder / f"{name}.json").touch()
    assert actors.waits("b", "exclusive", "b") == ["a"]
    assert len(notes(actors.place)) == 6


def test_nothing_is_left_but_the_file(tmp_path):
    with Leases(tmp_path).shared("a"), Leases(tmp_path).exclusive("b"):
        assert len(notes(tmp_path)) == 1
    assert [file.name for file in machine_folder(tmp_path).iterdir()] == ["lock"]


def test_a_place_that_was_removed_is_made_anew(actors):
    actors.start("a")
    machine_folder(actors.place).rmdir()
    actors.place.rmdir()
    actors.enters("a", "exclusive", "a")
    assert not actors.is_free_for("shared", "probe")


# -- where there are no locks ---------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_locks_everybody_goes_on_and_says_so(tmp_path, monkeypatch, number):
    def lockf(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(queue.fcntl, "lockf", lockf)
    leases = Leases(tmp_path)
    assert not leases.unavailable
    with leases.shared("a"), leases.exclusive("b"), leases.packed("c", 2, [3, 2, 1]) as cpus:
        assert cpus == (3, 2)
    assert os.strerror(number) in leases.unavailable
    assert "lock cannot be locked" in leases.unavailable


def test_where_nothing_can_be_made_everybody_goes_on_and_says_so(tmp_path):
    (tmp_path / "file").touch()
    leases = Leases(tmp_path / "file" / "place")
    assert "Not a directory" in leases.unavailable
    with leases.shared("a"), leases.exclusive("b"), leases.packed("c", 1, [3]) as cpus:
        assert cpus == (3,)


# -- the place ------------------------------------------------------------------------------


@pytest.fixture
def private(tmp_path):
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    return runtime


def test_place_is_the_one_chosen_else_the_users_else_a_temporary_one(
    tmp_path, private, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fallback = tmp_path / f"pytest-tfthreads-{os.getuid()}"
    nowhere = tmp_path / "nowhere"
    environ = {"XDG_RUNTIME_DIR": str(private), lease_directory.PLACE_VARIABLE: "/chosen"}
    assert str(find_place(environ, nowhere)) == "/chosen"
    del environ[lease_directory.PLACE_VARIABLE]
    assert find_place(environ, nowhere) == private / "pytest-tfthreads"
    assert find_place({}, nowhere) == fallback
    private.chmod(0o770)
    assert find_place(environ, nowhere) == fallback
    private.chmod(0o700)
    private.rename(tmp_path / str(os.getuid()))
    assert find_place({}, tmp_path) == tmp_path / str(os.getuid()) / "pytest-tfthreads"


def test_runtime_directory_of_another_user_is_not_taken(tmp_path, private, monkeypatch):
    other = os.getuid() + 1
    monkeypatch.setattr("os.geteuid", lambda: other)
    place = find_place({"XDG_RUNTIME_DIR": str(private)}, tmp_path)
    assert place.name == f"pytest-tfthreads-{other}"


def test_place_is_for_its_user_alone(tmp_path):
    folder = machine_folder(tmp_path / "place")
    assert stat.S_IMODE((tmp_path / "place").stat().st_mode) == 0o700
    assert folder.parent == tmp_path / "place"


def test_machines_that_share_a_file_system_do_not_share_leases(tmp_path, monkeypatch):
    here = machine_folder(tmp_path)
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("another run of another kernel\n")
    monkeypatch.setattr(lease_directory, "_BOOT_ID", boot_id)
    assert machine_folder(tmp_path) != here


# Each makes of a private directory, and the path of a place, one where leases cannot be kept.
def link(place, private, monkeypatch):
    place.symlink_to(private)
    return "place is a symbolic link"


def broken_link(place, private, monkeypatch):
    place.symlink_to(private / "nothing")
    return "place is a symbolic link"


def file(place, private, monkeypatch):
    place.touch()
    return "place is no directory"


def others_may_write(place, private, monkeypatch):
    place.mkdir()
    place.chmod(0o777)
    return "place may be written by others (mode 777)"


def other_user(place, private, monkeypatch):
    place.mkdir(mode=0o700)
    mine = os.getuid()
    monkeypatch.setattr("os.geteuid", lambda: mine + 1)
    return f"place belongs to user {mine}, not to user {mine + 1}"


def directory_for_the_lock(place, private, monkeypatch):
    (machine_folder(place) / "lock").mkdir()
    return "lock cannot be opened: Is a directory"


def file_for_the_machine(place, private, monkeypatch):
    machine_folder(place).rmdir()
    (place / lease_directory._machine_name()).touch()
    return "place cannot be used: File exists"


def refused_by_the_system(number):
    """As a disk that is full or read-only, or a missing right, has it."""

    def refused(place, private, monkeypatch):
        def mkdir(*args, **kwargs):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, "mkdir", mkdir)
        return f"place cannot be used: {os.strerror(number)}"

    refused.__name__ = errno.errorcode[number]
    return refused


def full_disk_for_the_lock(place, private, monkeypatch):
    folder, really_open = machine_folder(place), os.open

    def full(path, *args, **kwargs):
        if Path(path).parent == folder:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return really_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", full)
    return "lock cannot be opened: No space left on device"


@pytest.mark.parametrize(
    "spoil",
    [
        link,
        broken_link,
        file,
        others_may_write,
        other_user,
        directory_for_the_lock,
        file_for_the_machine,
        full_disk_for_the_lock,
        *map(refused_by_the_system, (errno.EACCES, errno.EROFS, errno.ENOSPC)),
    ],
)
def test_where_leases_cannot_be_had_all_go_on_and_are_told_once(
    tmp_path, private, monkeypatch, spoil
):
    place, told = tmp_path / "place", []
    reason = spoil(place, private, monkeypatch)
    leases = Leases(place, on_unavailable=told.append)
    with leases.shared("a"), leases.exclusive("b"), leases.packed("c", 1, [3]) as cpus:
        assert cpus == (3,)
    assert leases.holders() == ()
    assert told == [leases.unavailable]
    assert reason in leases.unavailable
    assert not list(private.iterdir())


def test_a_directory_that_should_be_shared_is_not_made_above_the_place(tmp_path):
    # As in a container into which nobody has mounted it: its own would be nobody's meeting place.
    leases = Leases(tmp_path / "mounted" / "place")
    assert "mounted/place cannot be used: No such file or directory" in leases.unavailable
    assert not (tmp_path / "mounted").exists()


def test_where_there_is_no_directory_for_temporary_files(monkeypatch):
    def none_usable():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    for name in (lease_directory.PLACE_VARIABLE, "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(lease_directory, "_is_private", lambda *_: False)
    monkeypatch.setattr("tempfile.gettempdir", none_usable)
    leases = Leases()
    assert "there is no directory for them: No usable temporary" in leases.unavailable
    with leases.exclusive("a"):
        pass


def test_the_current_directory_is_no_place_where_runs_meet(monkeypatch, current_directory_only):
    for name in (lease_directory.PLACE_VARIABLE, "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(lease_directory, "_is_private", lambda *_: False)
    leases = Leases()
    told = "there is no directory for them: neither the environment variable TMPDIR nor /tmp is a"
    assert told in leases.unavailable
    assert "name one in TMPDIR" in leases.unavailable
    with leases.exclusive("a"):
        assert not list(current_directory_only.iterdir())


def test_a_place_that_has_become_unsafe_is_used_no_more(private):
    leases = Leases(private)
    assert not leases.unavailable
    private.chmod(0o770)
    with leases.shared("a"):
        assert not leases.is_held
    assert "may be written by others (mode 770)" in leases.unavailable


def test_a_relative_place_is_the_same_wherever_the_process_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = find_place({lease_directory.PLACE_VARIABLE: "leases"})
    assert place == tmp_path / "leases"


# -- all at once ----------------------------------------------------------------------------


def test_a_storm_of_leases_keeps_to_the_rules(actors):
    names = [f"storm{number}" for number in range(6)]
    actors.start(*names)
    rounds, seed = 40, random.randrange(1 << 30)
    for number, name in enumerate(names):
        actors.tell(name, "storm", seed + number, rounds)
    inside, left = {}, 0
    while left < len(names) * rounds:
        name, event, held = actors.hear()
        if event == "in":
            others = list(inside.values())
            assert all(go_together(held, other) for other in others), (seed, name, held, inside)
            inside[name] = held
        elif event == "out":
            assert inside.pop(name) == held, seed
            left += 1
    for name in names:  # each was killed within its last lease
        assert actors.processes[name].wait() == -signal.SIGKILL
    assert actors.is_free_for("exclusive", "probe")


def go_together(one, other):
    kinds = {one[0], other[0]}
    if kinds == {"packed"}:
        return not set(one[1]) & set(other[1])
    return kinds == {"shared"}
