"""The program with many runs at once sees what must not be. The runs are made up here."""

import json
import os
import random
import signal
import sys
import time

import pytest

from repository import program, touch


@pytest.fixture(scope="module")
def concurrency():
    return program("trust/concurrency.py")


@pytest.fixture
def sandbox(concurrency):
    return sys.modules[concurrency.Room.__module__]


@pytest.fixture
def room(sandbox, tmp_path):
    return sandbox.Room(tmp_path, "")


@pytest.fixture
def save(room, concurrency):
    """Save a run under a number, with all measured tests but one where it is to lack one."""

    def one(number, run, lacks=""):
        whole = program("trust/readers.py").saved(random.Random(1), 1)
        benchmark = whole["benchmarks"][0]
        names = concurrency.MEASURED - {lacks}
        whole["benchmarks"] = [{**benchmark, "fullname": name} for name in names]
        touch(room.storage / "Linux" / f"{number:04}_run{run}.json", json.dumps(whole))

    return one


@pytest.fixture
def crowd(concurrency):
    """Two runs have passed, and a third one was killed."""
    return concurrency.Crowd(
        codes={1: 0, 2: 0, 3: -9},
        seconds={1: 2.0, 2: 3.0, 3: 1.0},
        begun_s={1: 0.0, 2: 0.0, 3: 0.0},
        killed_at_s={3: 0.5},
        outputs=dict.fromkeys((1, 2, 3), "the output"),
    )


def test_what_was_killed_may_end_as_it_likes(concurrency, crowd):
    assert concurrency.check_ends(crowd) == []
    crowd.codes[2] = 1
    assert concurrency.check_ends(crowd) == ["run 2 ended with 1: the output"]
    crowd.codes = {3: None}
    assert concurrency.check_ends(crowd) == ["run 3 ended with None: the output"]


def test_a_storage_that_has_each_run_once(concurrency, room, crowd, save):
    for number in (1, 2, 3):
        save(number, number)
    assert concurrency.check_storage(room, crowd) == []


def test_a_lost_run_and_a_number_that_is_used_twice(concurrency, room, crowd, save):
    save(1, 1)
    assert concurrency.check_storage(room, crowd) == ["run2 has passed, and is lost"]
    save(1, 2)
    (twice, _) = concurrency.check_storage(room, crowd)
    assert twice == "0001 is the number of run1 and of run2"


def test_a_run_that_lacks_a_test_is_seen_though_the_others_have_it(concurrency, room, crowd, save):
    (lacks, *_) = sorted(concurrency.MEASURED)
    save(1, 1)
    save(2, 2)
    save(3, 3, lacks)  # it was killed
    assert concurrency.check_storage(room, crowd) == []
    save(2, 2, lacks)
    (found,) = concurrency.check_storage(room, crowd)
    assert found.startswith("0002_run2.json has ['test_it.py::test_several[intra1")


def test_half_a_file(concurrency, room, crowd, save):
    save(1, 1)
    save(2, 2)
    (file,) = room.storage.rglob("0002*")
    file.write_text(file.read_text()[:100])
    (found,) = concurrency.check_storage(room, crowd)
    assert "0002_run2.json is not whole" in found


def test_overlaps_and_waits_are_told_by_the_notes_of_the_tests(concurrency, tmp_path):
    notes = touch(tmp_path / "notes", "1 0.5 1.0\n2 3.0 4.0\n1 1.0 1.5\n")
    rounds = concurrency.read_notes(notes)
    assert [one.run for one in rounds] == [1, 1, 2]
    assert concurrency.overlaps(rounds) == []
    assert concurrency.longest_wait_s({1: 0.0, 2: 0.25}, rounds) == 2.75
    later = [*rounds, concurrency.Round(1, 3.9, 4.5)]
    assert concurrency.overlaps(later) == [(later[-2], later[-1])]
    assert concurrency.read_notes(tmp_path / "none") == []
    long = concurrency.Round(3, 0.0, 3.5)
    assert concurrency.overlaps([long, *rounds]) == [(long, one) for one in rounds]


def test_overlaps_are_excused_from_the_kill_on(concurrency, crowd):
    killed, other = concurrency.Round(3, 0.1, 0.4), concurrency.Round(1, 0.3, 0.5)
    assert not concurrency.is_excused(crowd, killed, other), "it lived and had the lease"
    killed, other = concurrency.Round(3, 0.4, 0.7), concurrency.Round(1, 0.6, 0.8)
    assert concurrency.is_excused(crowd, killed, other)
    late = concurrency.Round(3, 0.7, 0.9)
    assert concurrency.is_excused(crowd, other, late), "its process does not know it yet"
    assert not concurrency.is_excused(crowd, killed, late)
    assert not concurrency.is_excused(crowd, other, concurrency.Round(2, 0.7, 0.9))


class Process:
    """A process that ends when it is told to."""

    def __init__(self):
        self.pid, self.code = 1 << 30, None

    def poll(self):
        return self.code


class Run:
    def __init__(self, number):
        self.number, self.process, self.output = number, Process(), f"output {number}"
        self.has_been_ended = False

    def processes(self):
        return {}

    def end(self):
        self.has_been_ended = True


@pytest.fixture
def started(room, monkeypatch):
    """The runs that were started, each with one that ends at once."""
    runs = []

    def start(*_, **__):
        room.runs += 1
        runs.append(Run(room.runs))
        runs[-1].process.code = 0
        return runs[-1]

    monkeypatch.setattr(room, "start", start)
    return runs


def test_so_many_runs_are_had(concurrency, room, started, monkeypatch):
    monkeypatch.setattr(concurrency, "_NAP_S", 0)
    crowd = concurrency.hold(room, 5, 2, 0.0, random.Random(1))
    assert crowd.codes == dict.fromkeys(range(1, 6), 0)
    assert crowd.outputs[5] == "output 5"
    assert all(run.has_been_ended for run in started)


def test_a_run_is_killed_once_when_its_time_has_come(concurrency, room, started, monkeypatch):
    sent = []
    monkeypatch.setattr(concurrency.os, "kill", lambda *words: sent.append(words))
    crowd = concurrency.Crowd()
    one = concurrency._start(room, crowd, 1.0, random.Random(1))
    one.run.process.code = None
    one.kill_at_s, one.number = 0.0, signal.SIGTERM
    assert not concurrency._has_ended(one, crowd)
    assert not concurrency._has_ended(one, crowd)
    assert sent == [(1 << 30, signal.SIGTERM)]
    one.run.process.code = -15
    assert concurrency._has_ended(one, crowd)
    assert ([*crowd.killed_at_s], crowd.codes) == ([1], {1: -15})
    assert crowd.begun_s[1] <= crowd.killed_at_s[1] <= time.monotonic()


def test_processes_that_are_left_are_no_end(concurrency, sandbox, room, started, monkeypatch):
    monkeypatch.setattr(sandbox, "_PATIENCE_S", 0)
    crowd = concurrency.Crowd()
    one = concurrency._start(room, crowd, 0.0, random.Random(1))
    one.run.processes = lambda: {os.getpid(): sandbox.Seen(1, "T", "sleeps")}
    assert concurrency._has_ended(one, crowd)
    assert crowd.codes == {1: None}
    assert crowd.outputs[1] == "left: T sleeps"


def test_the_project_is_python_and_names_its_tests(concurrency):
    compile(concurrency.PROJECT, "test_it.py", "exec")
    for name in concurrency.MEASURED:
        assert f"def {name.partition('::')[2].partition('[')[0]}(" in concurrency.PROJECT
