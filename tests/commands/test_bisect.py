"""`pytest-tfthreads bisect`: by scripted measurements, and with real git and real processes."""

import json
import math
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from builders import measurement
from git_projects import git, product
from pytest_tfthreads import cli
from pytest_tfthreads.commands import bisect
from pytest_tfthreads.commands.bisect_sides import causes
from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.time_limit import TimeLimit
from pytest_tfthreads.core.abreast import AtPlace, MeasuredPlaces, Place, Traced
from pytest_tfthreads.core.bisection import LOOKS
from pytest_tfthreads.core.bisection_state import State
from pytest_tfthreads.core.commit import Commit
from pytest_tfthreads.core.gate.duet import INTERPRETERS
from pytest_tfthreads.core.measurement import Sample
from pytest_tfthreads.core.op_profile import OpProfile, OpTime, Trace, Traces
from pytest_tfthreads.report.bisection import render, to_json
from pytest_tfthreads.revision.line import CommitLine
from unfit_files import IDS, UNFIT

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

TEST = "test_it.py::test_work[intra1-inter1]"


# -- scripted measurements ------------------------------------------------------------------------


def line_of(count):
    commits = [Commit(f"{n:040x}", (f"{n - 1:040x}",), f"2026-01-{n:02}", f"change {n}")
               for n in range(1, count + 2)]  # fmt: skip
    return CommitLine(tuple(commits))


class Scripted:
    """Measures at once: `work_at(position)` are CPU seconds a call, on two cores."""

    def __init__(self, line, work_at, broken=(), cores=lambda position: 2.0, spread=0.007):
        self.positions = {commit.id: place for place, commit in enumerate(line.commits)}
        self.work_at = work_at
        self.cores = cores
        self.broken = broken
        self.wishes = []
        self.now_s = 0.0
        self.spread = spread
        self._rings = 0
        self._draw = random.Random(1)

    def clock_s(self):
        return self.now_s

    def measure(self, places, passes):
        # So that the luck of one is no change of a commit.
        assert {place.interpreters for place in places[:2]} == {INTERPRETERS}
        assert {place.interpreters for place in places[2:]} <= {1}
        positions = [self.positions[place.commit] for place in places]
        self.wishes.append((positions, passes))
        samples = {position: [] for position in positions}
        for _ in range(passes):
            self._rings += 1
            for position in samples.keys() - set(self.broken):
                cpu_s = self.work_at(position) * math.exp(self._draw.gauss(0, self.spread))
                wall_s = cpu_s / self.cores(position)
                samples[position].append(
                    Sample((wall_s,) * 4, (cpu_s,) * 4, 1, 5, 0.1, 1, 1, 1, (0,), self._rings, 2)
                )
        self.now_s += 10.0
        found = (
            AtPlace(problem="it does not import") if position in self.broken
            else AtPlace(measurement=measurement(*samples[position]))
            for position in positions
        )  # fmt: skip
        return MeasuredPlaces(tuple(found))


def searched(line, scripted, state=None, budget_s=None):
    state = state or State(TEST, (), line.commits[0].id, line.commits[-1].id, "throughput")
    kept = []
    state, stopped = bisect.search(
        state, line, scripted, kept.append, TimeLimit(budget_s, scripted.clock_s)
    )
    if kept:
        assert State.from_text(kept[-1].to_text()) == kept[-1] == state
    return bisect.conclusion(state, line, None, stopped), state


def test_the_commit_is_found_and_what_it_changed() -> None:
    line = line_of(20)
    scripted = Scripted(line, lambda position: 0.011 if position >= 13 else 0.01)
    found, _ = searched(line, scripted)
    assert found.is_certain
    text = "\n".join(render(found))
    assert f"{13 + 1:040x}"[:12] + "  2026-01-14  change 14" in text
    assert "throughput −9" in text
    assert "CPU work a call +" in text
    data = to_json(found)
    assert [one["subject"] for one in data["found"]] == ["change 14"]
    assert data["change"]["throughput"]["value"] == pytest.approx(1 / 1.1 - 1, abs=0.01)
    assert data["change"]["cores_used"] == pytest.approx(0, abs=0.001)
    assert data["probability"] >= 0.99
    assert scripted.wishes[0] == ([0, 20], 4)  # first of all, whether the ends differ
    assert all(wish[0][:2] == [0, 20] for wish in scripted.wishes)
    json.dumps(data, allow_nan=False)


def test_lost_parallelism_is_told_from_more_work() -> None:
    line = line_of(8)
    scripted = Scripted(line, lambda _: 0.01, cores=lambda position: 1.5 if position > 2 else 2.0)
    found, _ = searched(line, scripted)
    assert [one["subject"] for one in to_json(found)["found"]] == ["change 4"]
    assert to_json(found)["change"]["cores_used"] == pytest.approx(-0.25, abs=0.001)
    assert abs(to_json(found)["change"]["cpu_work"]) < 0.02


def test_commits_that_cannot_be_measured_are_stepped_around_and_named() -> None:
    line = line_of(12)
    scripted = Scripted(line, lambda position: 0.012 if position >= 7 else 0.01, broken=(5, 6, 7))
    found, _ = searched(line, scripted)
    assert found.is_certain
    assert [one["subject"] for one in to_json(found)["found"]] == [
        f"change {position + 1}" for position in (5, 6, 7, 8)
    ]
    text = "\n".join(render(found))
    assert "in one of these 4 commits" in text
    assert "it does not import" in text


def test_a_commit_that_cannot_be_had_for_want_of_room_is_not_taken_for_unmeasurable() -> None:
    line = line_of(12)
    scripted = Scripted(line, lambda position: 0.012 if position >= 7 else 0.01)
    measure, full = scripted.measure, AtPlace(problem="the disk is full", is_of_machine=True)

    def measured(places, passes):
        found = measure(places, passes).places
        return MeasuredPlaces((*found[:2], *(found[2:3] and [full, *found[3:]])))

    scripted.measure = measured
    kept = []
    state = State(TEST, (), line.commits[0].id, line.commits[-1].id, "throughput")
    with pytest.raises(CommandError, match=r"the disk is full\. Mend that, then run"):
        bisect.search(state, line, scripted, kept.append, TimeLimit(None, scripted.clock_s))
    assert kept[-1].skipped == ()
    assert len(kept[-1].observed) > len(kept[0].observed)  # what was measured beside it
    scripted.measure = measure
    found, _ = searched(line, scripted, kept[-1])
    assert [one["subject"] for one in to_json(found)["found"]] == ["change 8"]


def test_a_commit_that_is_left_out_is_never_measured() -> None:
    line = line_of(12)
    scripted = Scripted(line, lambda position: 0.012 if position >= 7 else 0.01)
    state = State(TEST, (), line.commits[0].id, line.commits[-1].id, "throughput")
    state = state.without(7).without(6).without(7)
    assert state.unmeasurable == [7, 6]
    found, _ = searched(line, scripted, state)
    assert not {6, 7} & {position for wish in scripted.wishes for position in wish[0]}
    assert [one["subject"] for one in to_json(found)["found"]] == [
        f"change {position + 1}" for position in (6, 7, 8)
    ]
    text = "\n".join(render(found))
    assert "2 commits were not measured:" in text
    assert text.count("left out (--skip)") == 2


def test_a_machine_that_others_measure_on_for_too_long_ends_it_and_names_what_goes_on() -> None:
    line = line_of(12)
    scripted = Scripted(line, lambda position: 0.012 if position >= 7 else 0.01)
    measure = scripted.measure
    busy = AtPlace(problem="allow more seconds: --tf-threads-lease-timeout.", is_of_machine=True)
    scripted.measure = lambda places, passes: MeasuredPlaces(
        (*(found := measure(places, passes).places)[:2], *(busy for _ in found[2:]))
    )
    state = State(TEST, (), line.commits[0].id, line.commits[-1].id, "throughput")
    with pytest.raises(CommandError) as caught:
        bisect.search(state, line, scripted, [].append, TimeLimit(None, scripted.clock_s))
    assert "--tf-threads-lease-timeout. Mend that, then run" in str(caught.value)
    first = line.commits[min(scripted.wishes[-1][0][2:])].short
    assert f"`pytest-tfthreads bisect --continue --skip={first}`" in str(caught.value)


def test_a_commit_that_fails_after_it_was_measured_is_told_once_and_left_alone() -> None:
    line = line_of(12)
    scripted = Scripted(line, lambda position: 0.0105 if position >= 7 else 0.01, spread=0.02)
    measure, seen = scripted.measure, set()

    def measured(places, passes):
        """A commit is measured once; from then on its test fails."""
        positions = [scripted.positions[place.commit] for place in places]
        scripted.broken = tuple(seen)
        seen.update(positions[2:])
        return measure(places, passes)

    scripted.measure = measured
    found, state = searched(line, scripted)
    asked = [position for wish in scripted.wishes for position in wish[0][2:]]
    assert max(map(asked.count, asked)) <= 2
    skipped = [one.position for one in state.skipped]
    assert len(skipped) == len(set(skipped))
    assert len(scripted.wishes) < 12  # it ends where nothing is left to be measured
    assert found.is_certain or "No commit is left that can be measured" in found.stopped
    known = to_json(found)
    assert "change 8" in [one["subject"] for one in known["found"]]
    assert known["probability"] >= 0.99


def test_ends_of_one_speed_are_not_searched() -> None:
    line = line_of(5)
    scripted = Scripted(line, lambda _: 0.01)
    found, _ = searched(line, scripted)
    assert found.culprit is None
    assert [wish[0] for wish in scripted.wishes] == [[0, 5]] * 3
    text = "\n".join(render(found))
    assert "Both ends have the same speed, as far as 16 rings can tell: they differ by less" in text


def test_ends_that_noise_hides_are_not_called_alike() -> None:
    line = line_of(5)
    scripted = Scripted(line, lambda _: 0.01, spread=0.06)
    found, _ = searched(line, scripted)
    assert found.culprit is None
    assert [wish[1] for wish in scripted.wishes] == [4, 4, 8, 16]
    text = "\n".join(render(found))
    assert "32 rings could not tell the two ends apart" in text
    assert "by 2.0 % or more" in text


def test_a_budget_ends_it_with_what_is_known_and_it_can_go_on() -> None:
    line = line_of(30)
    scripted = Scripted(line, lambda position: 0.011 if position >= 9 else 0.01)
    found, state = searched(line, scripted, budget_s=25)
    assert not found.is_certain
    text = "\n".join(render(found))
    assert "of the budget of 0:25 is left; --continue goes on. With 99 % probability" in text
    assert to_json(found)["probability"] >= 0.99  # of all that are named, together
    before = len(scripted.wishes)
    found, _ = searched(line, scripted, state)
    assert [one["subject"] for one in to_json(found)["found"]] == ["change 10"]
    assert scripted.wishes[before][0][2:], "the ends are not told apart again"


def test_a_budget_for_no_commit_in_between_says_that_none_can_be_left_out() -> None:
    line = line_of(3)
    scripted = Scripted(line, lambda position: 0.011 if position >= 2 else 0.01)
    found, _ = searched(line, scripted, budget_s=15)
    assert {position for wish in scripted.wishes for position in wish[0]} == {0, 3}
    text = "\n".join(render(found))
    assert "No commit can be left out yet; 3 commits may have done it:" in text
    assert all(f"change {number}" in text for number in (1, 2, 3))
    assert "one of these" not in text


def test_an_end_that_cannot_be_measured_is_an_error() -> None:
    line = line_of(4)
    with pytest.raises(CommandError, match="measured at --good: it does not import"):
        searched(line, Scripted(line, lambda _: 0.01, broken=(0,)))


def test_the_problems_of_all_ends_are_told() -> None:
    line = line_of(4)
    scripted = Scripted(line, lambda _: 0.01)
    problems = ["no other place is left", "there is no such commit"]
    scripted.measure = lambda places, passes: MeasuredPlaces(
        tuple(map(AtPlace, [None] * 2, problems))
    )
    with pytest.raises(CommandError) as caught:
        searched(line, scripted)
    assert str(caught.value) == (
        "the test cannot be measured at --good: no other place is left; "
        "at --bad: there is no such commit"
    )
    problems = ["alone", "alone", "it is Python 2", "it is Python 2"]
    scripted.measure = lambda places, passes: MeasuredPlaces(
        tuple(map(AtPlace, [None] * 4, problems))
    )
    with pytest.raises(CommandError) as caught:
        causes(TEST, "throughput", Place("a", "/a"), Place("b", "/b"), scripted, TimeLimit())
    assert str(caught.value).endswith(
        "; with good code, bad environment and with bad code, bad environment: it is Python 2"
    )


def test_after_a_hundred_rings_a_bisection_goes_on_with_a_budget_alone() -> None:
    line = line_of(20)
    scripted = Scripted(line, lambda position: 0.011 if position >= 13 else 0.01)
    _, state = searched(line, scripted, budget_s=5)  # the first look at both ends
    state = replace(state, observed=(state.observed * bisect.MOST_RINGS)[: bisect.MOST_RINGS])
    scripted.wishes.clear()
    found, _ = searched(line, scripted, state)
    assert scripted.wishes == []
    assert "100 rings did not settle it" in found.stopped
    assert "--continue --budget=20m goes on" in found.stopped
    found, _ = searched(line, scripted, state, budget_s=1_000)
    assert [one["subject"] for one in to_json(found)["found"]] == ["change 14"]


def test_the_budget_holds_from_before_pytest_collects() -> None:
    line = line_of(20)
    scripted = Scripted(line, lambda position: 0.011 if position >= 13 else 0.01)
    state = State(TEST, (), line.commits[0].id, line.commits[-1].id, "throughput")
    limit = TimeLimit(45, scripted.clock_s)
    scripted.now_s += 20
    _, stopped = bisect.search(state, line, scripted, lambda state: None, limit)
    assert stopped.startswith("The next stage takes about 0:10, and 0:05 of the budget of 0:45 is")
    assert len(scripted.wishes) == 2
    assert scripted.now_s <= 45


def test_another_change_is_told_with_the_largest() -> None:
    line = line_of(20)
    works = lambda at: 0.01 * (1 + 0.5 * (at >= 4) + 0.2 * (at >= 15))  # noqa: E731
    found, _ = searched(line, Scripted(line, works))
    assert [one["subject"] for one in to_json(found)["found"]] == ["change 5"]
    text = "\n".join(render(found))
    assert "The largest change" in text
    assert "There is another change, in" in text
    assert to_json(found)["change"]["cpu_work"] == pytest.approx(0.5, abs=0.03)


def test_traces_on_both_sides_of_the_commit_are_told() -> None:
    line = line_of(4)
    found, _ = searched(line, Scripted(line, lambda position: 0.02 if position >= 2 else 0.01))
    after, before = (
        Trace(title, f"test/{title}", OpProfile(4, wall_s, 0.001, (OpTime("MatMul", 1, own_s),)))
        for title, wall_s, own_s in (("after-it", 0.02, 0.019), ("before-it", 0.01, 0.009))
    )
    traces = Traces("/traces", platform.node(), after, before, problems=("one was too short",))
    found = replace(found, traces=Traced(traces, ("--profile: the disk is full",)))
    text = "\n".join(render(found))
    assert "tensorboard --logdir /traces" in text
    assert [line.split() for line in render(found) if "MatMul" in line or "ms a call" in line] == [
        ["ms", "a", "call", "after", "before"],
        ["MatMul", "19", "9"],
    ]
    assert "one was too short" in text
    assert text.endswith("--profile: the disk is full")
    assert to_json(found)["profile"]["now"]["title"] == "after-it"


def four_combinations(slow):
    """Two places, and measurements of which the environment alone decides: seconds a call."""
    line = line_of(1)
    scripted = Scripted(line, lambda position: 0.01)
    found_at = scripted.measure

    def measure(places, passes):
        # The scripted places are told apart by their commits.
        result = []
        scripted.positions |= {place.python: 0 for place in places}
        for place in places:
            scripted.work_at = lambda _, python=place.python: slow[python]
            rings = scripted._rings
            result.append(found_at([place], passes).places[0])
            scripted._rings = rings
        scripted._rings += passes
        return MeasuredPlaces(tuple(result))

    scripted.measure = measure
    good, bad = (
        Place(commit.id, python) for commit, python in zip(line.commits, slow, strict=True)
    )
    return good, bad, scripted


def test_a_budget_ends_the_four_combinations_too() -> None:
    good, bad, scripted = four_combinations({"/old": 0.01, "/new": 0.0102})
    limit = TimeLimit(70, scripted.clock_s)
    found = causes(TEST, "throughput", good, bad, scripted, limit)
    assert not found.is_found
    assert found.rings == 4
    assert "takes about 0:40, and 0:30 of the budget of 1:10 is left" in "\n".join(found.lines())
    assert found.to_json()["stopped"] == found.stopped
    assert scripted.now_s <= 70


def test_too_few_places_at_once_for_four_combinations_are_an_error(monkeypatch) -> None:
    class Run:
        collected = SimpleNamespace(limit=3)

        def __init__(self, tests, arguments):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(bisect, "PytestRun", Run)
    options = SimpleNamespace(profile=None, skip=[], goes_on=False, test=TEST, pytest_arguments=[])
    repository = SimpleNamespace(find=lambda rev, **_: SimpleNamespace(commit=rev, notes=()))
    monkeypatch.setattr(bisect.Side, "environment", property(lambda side: side.python))
    sides = bisect.Side("v1", None), bisect.Side("v2", "/new")
    with pytest.raises(CommandError, match=r"--tf-threads-group=3 .* leaves no place for four"):
        bisect._tell_causes(options, repository, *sides, TimeLimit())


def test_four_combinations_without_a_difference_find_nothing() -> None:
    good, bad, scripted = four_combinations({"/old": 0.01, "/new": 0.01})
    found = causes(TEST, "throughput", good, bad, scripted, TimeLimit())
    assert found.to_json()["cause"] == "neither"
    assert not found.is_found


def test_the_four_combinations_tell_code_from_environment() -> None:
    good, bad, scripted = four_combinations({"/old": 0.008, "/new": 0.012})
    found = causes(TEST, "throughput", good, bad, scripted, TimeLimit())
    assert found.is_found
    text = "\n".join(found.lines())
    assert "The environment made the difference, and the code none that matters." in text
    assert "environment       −33 %" in text
    assert found.to_json()["effects"]["throughput"]["code"]["value"] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "test": 3}'])
def test_a_state_that_is_none_is_an_error_that_names_the_file(tmp_path, text) -> None:
    file = bisect.StateFile(tmp_path / "bisect.json")
    file.path.write_text(text)
    with pytest.raises(CommandError, match=r"bisect\.json cannot be used"):
        file.read()


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("words", "make"), UNFIT.items(), ids=IDS)
def test_a_state_that_is_no_file_is_neither_waited_for_nor_put_back(tmp_path, words, make) -> None:
    file = bisect.StateFile(tmp_path / "bisect.json")
    make(file.path)
    with pytest.raises(CommandError) as caught:
        file.read()
    assert str(caught.value).startswith(f"{file.path} cannot be used: {words}")
    assert file._data() is None


def states(tmp_path):
    """A file with the state of a bisection that was ended, and the state of another."""
    file = bisect.StateFile(tmp_path / "bisect.json")
    line = line_of(30)
    _, before = searched(line, Scripted(line, lambda place: 0.01 + 0.001 * (place > 9)), budget_s=5)
    file.write(before)
    return file.path, before, State("another", (), "a", "b", "throughput")


def ended(file, ending, state, *later):
    """Begin with a state, go on to others, and end so; what a kill at the beginning would leave."""

    def run():
        with file.begun(state):
            left.append(bisect.StateFile(file.path).read())
            for one in later:
                file.write(one)
            raise ending

    left = []
    with pytest.raises(ending):
        run()
    return left[0]


@pytest.mark.parametrize("ending", [CommandError, KeyboardInterrupt])
def test_a_bisection_that_ends_with_nothing_measured_puts_the_one_before_back(
    tmp_path, ending
) -> None:
    path, before, another = states(tmp_path)
    text = path.read_bytes()
    file = bisect.StateFile(path)
    assert ended(file, ending, another, replace(another, processes=2)) == another
    assert path.read_bytes() == text
    assert file.latest is None
    file = bisect.StateFile(path)
    ended(file, ending, another, replace(another, observed=before.observed))
    assert bisect.StateFile(path).read() == replace(another, observed=before.observed)
    assert file.latest is not None


def test_the_first_bisection_and_one_that_goes_on_keep_what_they_have(tmp_path) -> None:
    path, _, another = states(tmp_path)
    path.unlink()
    for _ in ("first", "goes on"):
        file = bisect.StateFile(path)
        if path.exists():
            assert file.read() == another
        ended(file, KeyboardInterrupt, another)
        assert bisect.StateFile(path).read() == file.latest == another


# -- the command ----------------------------------------------------------------------------------


# Whoever is measured between both ends ends the command first, as often as the file says.
ENDS_THE_COMMAND = """
import os
from pathlib import Path

victim = Path(os.environ["VICTIM"])
if victim.exists():
    pid, signal = victim.read_text().split()
    victim.unlink()
    os.kill(int(pid), int(signal))
"""


@pytest.fixture
def project(suite, monkeypatch):
    """Five commits after v1.0, of which the fourth takes five times as long as those before.

    The third cannot be imported.
    """
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("TMPDIR", str(suite.path.parent))
    suite.victim = suite.path.parent / f"{suite.path.name}.victim"
    monkeypatch.setenv("VICTIM", str(suite.victim))
    git(suite.path, "init", "-q", "-b", "main")
    suite.write(
        """
        import product

        @pytest.mark.tf_threads(1, 1)
        def test_work(benchmark):
            benchmark(product.work)
        """
    )
    for place, ms in enumerate([4, 4, 4, None, 20, 20]):
        text = "raise ImportError('broken')\n" if ms is None else product(ms)
        if 0 < place < 5:
            text = ENDS_THE_COMMAND + text
        (suite.path / "product.py").write_text(f"{text}# {place}\n")
        git(suite.path, "add", "-A")
        git(suite.path, "commit", "-q", "-m", f"change {place}")
    git(suite.path, "tag", "v1.0", "HEAD~5")
    return suite


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(["bisect", *arguments])
    printed = capsys.readouterr()
    return caught.value.code, printed.out, printed.err


def test_a_bisection_that_is_interrupted_or_killed_goes_on_and_finds_the_commit(
    project, capsys, no_leftovers
) -> None:
    state = project.path / ".git/pytest-tfthreads/bisect.json"

    def ended(signal_number, *arguments):
        """The command's exit code, ended by this signal when the first candidate is measured."""
        command = [sys.executable, "-m", "pytest_tfthreads", "bisect", *arguments]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        project.victim.write_text(f"{process.pid} {signal_number.value}")
        told = process.communicate(timeout=300)[1]
        assert not project.victim.exists()
        assert ("bisect --continue` goes on" in told) is (signal_number == signal.SIGINT)
        return process.returncode

    begin = [TEST, "--good=v1.0", "--", "--benchmark-max-time=0.15", "-pno:cacheprovider"]
    assert ended(signal.SIGINT, *begin) == 130
    assert git(project.path, "worktree", "list").count("\n") == 0
    rings = len(State.from_text(state.read_text()).observed)
    assert rings in LOOKS
    assert ended(signal.SIGKILL, "--continue") == -signal.SIGKILL
    assert len(State.from_text(state.read_text()).observed) == rings

    code, out, err = run(capsys, "--continue", "--json", "--profile=traces")
    assert code == 0, err
    found = json.loads(out)
    assert found["certain"]
    # Where no candidate was measured between the two, the broken one may be part of a range.
    subjects = [one["subject"] for one in found["found"]]
    assert subjects in (["change 3", "change 4"], ["change 4"])
    assert found["good"]["commit"] == git(project.path, "rev-parse", "v1.0")
    assert found["change"]["throughput"]["value"] < -0.4
    assert [(one["commit"], "broken" in one["why"]) for one in found["skipped"]] == [
        (git(project.path, "rev-parse", "HEAD~2"), True)
    ]
    for side in ("now", "baseline"):  # without TensorFlow's ops: the fake one sleeps
        traced = found["profile"][side]
        assert (project.path / "traces" / traced["path"]).is_dir()
        assert found["profile"]["problems"] == []
    deadline_s = time.monotonic() + 300
    while git(project.path, "worktree", "list").count("\n"):  # of the killed one: removed by ours
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--good=v1.0"], "name the TEST"),
        ([TEST, "--continue"], "leave TEST, --good"),
        (["--continue", "--metric=throughput"], "--bad, --metric and what follows -- out"),
        (["--continue"], "there is no bisection to go on with"),
        ([TEST], "no saved run in .benchmarks has"),
        ([TEST, "--good=v1.0", "--bad=v1.0"], "are both commit"),
        ([TEST, "--good=nowhere"], "has no commit 'nowhere'"),
        ([TEST, "--good=v1.0", "--good=HEAD"], "names 2 revisions"),
        ([TEST, "--good=v1.0", f"--good=python={sys.executable}"], "have the same environment"),
        ([TEST, "--good=v1.0", "--bad=python=/a"], "there is no interpreter /a"),
        ([TEST, "--good=python=/a"], "name TEST and --good=REV too"),
        ([TEST, "--good=HEAD", "--bad=python=/a"], "are one commit"),
        (
            [TEST, "--good=v1.0", "--bad=python=/a", "--profile=x"],
            "leave --profile or python=PATH out",
        ),
        ([TEST, "--good=v1.0", "--profile=test_it.py"], "no traces can be stored in test_it.py"),
        ([TEST, "--good=v1.0", "--budget=soon"], "is no time"),
        ([TEST, "--good=v1.0", "--skip=nowhere"], "has no commit 'nowhere'"),
        ([TEST, "--good=v1.0", "--skip="], "--skip= names nothing"),
        ([TEST, "--good=v1.0", "--skip=v1.0"], "--skip=v1.0 is an end of the bisection"),
        ([TEST, "--good=v1.0", "--skip=HEAD"], "--skip=HEAD is an end of the bisection"),
        ([TEST, "--good=HEAD~3", "--skip=v1.0"], "which is not between --good and --bad"),
        ([TEST, "--good=v1.0", "--bad=python=/a", "--skip=HEAD~2"], "and --skip out"),
        (["test_it.py::test_other", "--good=v1.0"], "ERROR: not found"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(project, capsys, arguments, words) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["test_it.py::test_other", "--good=v1.0"], "ERROR: not found"),
        ([TEST, "--good=HEAD~2"], "cannot be measured at --good"),
        (
            [TEST, "--good=v1.0", "--", "--tf-threads-group=2"],
            "leaves no place for a third process",
        ),
    ],
)
def test_what_is_mistyped_leaves_the_bisection_before_as_it_was(
    project, tmp_path, capsys, arguments, words
) -> None:
    kept, _, _ = states(tmp_path)
    state = project.path / ".git/pytest-tfthreads/bisect.json"
    state.parent.mkdir()
    shutil.copy(kept, state)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err.splitlines()[-1]
    assert state.read_bytes() == kept.read_bytes()


@pytest.mark.parametrize("goes_on", [False, True])
def test_ctrl_c_while_pytest_collects_keeps_the_bisection_before(
    project, tmp_path, capsys, monkeypatch, goes_on
) -> None:
    _, before, _ = states(tmp_path)
    state = project.path / ".git/pytest-tfthreads/bisect.json"
    ends = [git(project.path, "rev-parse", one) for one in ("v1.0", "HEAD")]
    before = replace(before, test=TEST, good=ends[0], bad=ends[1])
    bisect.StateFile(state).write(before)

    def interrupted(tests, arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(bisect, "PytestRun", interrupted)
    code, out, err = run(capsys, *(["--continue"] if goes_on else [TEST, "--good=HEAD~3"]))
    assert (code, out) == (130, "")
    assert ("bisect --continue` goes on" in err) is goes_on
    assert ("before anything was measured" in err) is not goes_on
    assert bisect.StateFile(state).read() == before


@pytest.mark.parametrize("goes_on", [False, True])
def test_commits_are_left_out_from_the_beginning_or_later(
    project, capsys, monkeypatch, goes_on
) -> None:
    path = project.path / ".git/pytest-tfthreads/bisect.json"
    ends = [git(project.path, "rev-parse", one) for one in ("v1.0", "HEAD")]
    bisect.StateFile(path).write(State(TEST, (), *ends, "throughput").without(4))

    def ended(_, state, *others):
        raise CommandError(f"without {state.unmeasurable}")

    monkeypatch.setattr(bisect, "_found", ended)
    begun = ["--continue"] if goes_on else [TEST, "--good=v1.0"]
    _, _, err = run(capsys, *begun, "--skip=HEAD~2", "--skip=HEAD~3")
    assert f"without {[4, 3, 2] if goes_on else [3, 2]}" in err
    if goes_on:
        assert bisect.StateFile(path).read().unmeasurable == [4, 3, 2]


def test_that_no_state_can_be_written_is_known_before_pytest_starts(
    project, capsys, monkeypatch
) -> None:
    (project.path / ".git/pytest-tfthreads").write_text("no directory")
    monkeypatch.delattr(bisect, "PytestRun")
    code, out, err = run(capsys, TEST, "--good=v1.0")
    assert (code, out) == (2, "")
    assert "what is found cannot be kept in" in err
    assert "is no directory" in err


def test_without_good_the_latest_saved_run_that_had_not_regressed_is_taken(
    project, tmp_path, monkeypatch
) -> None:
    from pytest_tfthreads.revision.repository import Repository

    ids = git(project.path, "rev-list", "--reverse", "HEAD").split()

    def saved(day, commit, *, regressed=False, dirty=False):
        moment = f"2026-01-{day:02}"
        test = SimpleNamespace(has_regressed=regressed)
        return SimpleNamespace(moment=moment, commit=commit, dirty=dirty, tests={TEST: (test,)},
                               title=commit, label=moment)  # fmt: skip

    runs = [saved(1, ids[0]), saved(2, ids[2]), saved(3, ids[3], dirty=True),
            saved(4, ids[4], regressed=True), saved(5, "f" * 40)]  # fmt: skip
    monkeypatch.setattr(bisect, "read_condensed", lambda paths: runs)
    options = SimpleNamespace(test=TEST, storage=Path(tmp_path))
    line = bisect._from_saved_run(options, Repository.holding(project.path), "HEAD")
    assert [commit.id for commit in line.commits] == ids[2:]
