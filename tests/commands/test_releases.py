"""`pytest-tfthreads releases`: by scripted measurements, and with real git and real processes."""

import collections
import contextlib
import json
import math
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from builders import measurement, sample
from git_projects import git, product
from pytest_tfthreads import cli
from pytest_tfthreads.commands import releases
from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.releases_kept import keep
from pytest_tfthreads.commands.releases_run import WITHOUT_BUDGET, Comparing
from pytest_tfthreads.core.abreast import AtPlace, Begun, Collected, MeasuredPlaces, Place, Selected
from pytest_tfthreads.core.commit import Commit
from pytest_tfthreads.core.gate.duet import INTERPRETERS
from pytest_tfthreads.core.schedule import plan_neighbours
from pytest_tfthreads.core.storage import Storage
from pytest_tfthreads.core.variants.released import (
    Changed,
    Over,
    Release,
    changes_of_software,
    pairs_of,
)
from pytest_tfthreads.core.variants.steps import LOOKS
from pytest_tfthreads.history.side_by_side import read_kept
from pytest_tfthreads.report import releases as report

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

TOLERANCE = {"throughput": 0.05, "cpu_efficiency": 0.05}
PROCESS_S = 2.0
CRASHES = "it crashes now"


def releases_of(count):
    return [
        Release(
            f"v1.{place}",
            Place(f"{place:040x}"),
            Commit(f"{place:040x}", (), f"2026-01-{place + 1:02}", f"change {place}"),
        )
        for place in range(count)
    ]


class Scripted:
    """A run of pytest whose processes take two seconds each; all that happens is as told.

    `tests`: by node id, seconds a call at each release, or why it cannot be measured there.
    """

    def __init__(
        self,
        tests,
        limit=8,
        spread=0.004,
        of_cpu=0.0,
        silent=(),
        ends=None,
        lost=None,
        start_s=0.0,
    ):
        self.tests = tests
        self.limit = limit
        self.spread = spread
        self.of_cpu = of_cpu  # spread of CPU time beside that of wall time
        self.silent = silent  # tests that turn out to measure nothing
        self.ends = ends or {}  # by the number of a wish: what it raises
        self.lost = lost or {}  # by release: the number of the wish from which on it crashes
        self.start_s = start_s  # of each interpreter
        self.started = collections.Counter()  # by release
        self.passes = collections.Counter()  # by test and release
        self.wishes = []
        self.interpreters = set()  # how many any place had
        self.now_s = 0.0
        self._draw, self._draw_cpu = random.Random(1), random.Random(2)
        self._rings = 0

    def clock_s(self):
        return self.now_s

    @property
    def collected(self):
        several = tuple(Selected(one, PROCESS_S) for one in self.tests)
        return Collected(several, self.limit)

    def __iter__(self):
        for test in self.tests:
            if test not in self.silent:
                self.test = test
                start_s = 0.0 if self.wishes else self.start_s
                self.now_s += start_s + PROCESS_S
                yield Begun(test, PROCESS_S, start_s=start_s)

    def measure(self, places, passes):
        if error := self.ends.get(len(self.wishes)):
            raise error
        members = [int(place.commit, 16) for place in places]
        self.interpreters.update(place.interpreters for place in places)
        self.wishes.append((self.test, members, passes))
        for member, place in zip(members, places, strict=True):
            self.passes[self.test, member] += passes
            needed = min(self.passes[self.test, member], place.interpreters)
            self.now_s += max(0, needed - self.started[member]) * self.start_s
            self.started[member] = max(needed, self.started[member])
        samples = {member: [] for member in members}
        speeds = list(self.tests[self.test])
        for release, wish in self.lost.items():
            if len(self.wishes) > wish:
                speeds[release] = CRASHES
        going = [one for one in members if not isinstance(speeds[one], str)]
        for rings in plan_neighbours(going, passes, self.limit, ""):
            for ring in rings:
                self._rings += 1
                weather = self._draw.gauss(0, 0.1)
                for member in ring:
                    own = math.exp(weather + self._draw.gauss(0, self.spread))
                    wall_s = speeds[member] * own
                    cpu_s = wall_s * math.exp(self._draw_cpu.gauss(0, self.of_cpu))
                    samples[member].append(sample([wall_s] * 4, [cpu_s] * 4, ring=self._rings))
                    self.now_s += PROCESS_S
        return MeasuredPlaces(
            tuple(
                AtPlace(problem=speeds[one])
                if isinstance(speeds[one], str)
                else AtPlace(
                    measurement=measurement(
                        *samples[one],
                        machine={"tensorflow": f"2.{one}", "python": "3.12.1", "onednn": "on"},
                    ),
                )
                for one in members
            )
        )


def compared(scripted, count, budget_s=None, tolerance=TOLERANCE):
    told = []
    comparing = Comparing(releases_of(count), tolerance, budget_s, told.append, scripted.clock_s)
    try:
        comparing.run(scripted)
    except (KeyboardInterrupt, CommandError):
        assert comparing.stopped
    return comparing, told


def statuses(test, metric="throughput"):
    return [one.to_previous and one.to_previous.status for one in test.steps[metric]]


def over_of(comparing, count):
    releases, tests = tuple(releases_of(count)), tuple(comparing.tests)
    changed = tuple(
        Changed(
            releases[one].name,
            releases[two].name,
            tuple(each.commit for each in releases[one + 1 : two + 1]),
            versions=next(iter(changes_of_software(test, one, two) for test in tests), ()),
        )
        for one, two in pairs_of(releases, tests)
    )
    return Over(
        releases,
        tests,
        changed,
        comparing.tolerance,
        comparing.processes,
        comparing.elapsed_s,
        tuple(comparing.left_out),
        comparing.stopped,
    )


def test_steps_are_found_and_no_more_is_measured_than_they_need() -> None:
    scripted = Scripted({"a": [0.01, 0.01, 0.012, 0.0109], "b": [0.01] * 4})
    comparing, told = compared(scripted, 4)
    a, b = comparing.tests
    assert statuses(a) == ["no-change", "regression", "improvement"]
    assert statuses(b) == ["no-change"] * 3
    assert scripted.wishes == [(test, [0, 1, 2, 3], 2) for test in "aaabbb"]
    # Six passes of four releases, and one process in the current tree.
    assert comparing.processes == 2 * (6 * 4 + 1)
    assert comparing.elapsed_s == comparing.processes * PROCESS_S
    assert told[0] == "2 tests at 4 releases: a process in the current tree comes first"
    assert told[1].startswith("6 passes of each test: about 1:38, and more where a step stays open")
    assert told[2] == "test 1 of 2, a: pass 1 of 6, about 1:38 left"
    assert told[-1] == "test 2 of 2, b: pass 5 of 6, about 0:16 left"
    assert (comparing.left_out, comparing.stopped) == ([], "")


def test_only_the_ends_of_open_steps_and_the_first_release_are_measured_on() -> None:
    scripted = Scripted({"a": [0.01, 0.01, 0.01, 0.0105, 0.0105]}, spread=0.012)
    comparing, told = compared(scripted, 5)
    later = scripted.wishes[3:]
    assert later
    assert all(members == [0, 2, 3] for _, members, _ in later)
    (test,) = comparing.tests
    assert statuses(test) == ["no-change", "no-change", "regression", "no-change"]
    assert test.passes in LOOKS[1:]
    assert len(test.at[3].samples) == test.passes
    assert len(test.at[4].samples) == LOOKS[0]
    assert "pass 7 of 12" in told[5]


def test_what_stays_open_is_told_with_the_time_that_would_close_it() -> None:
    # A noise for which some dozens of passes are needed.
    scripted = Scripted({"a": [0.01, 0.01]}, spread=0.04)
    comparing, _ = compared(scripted, 2)
    (test,) = comparing.tests
    assert statuses(test) == ["open"]
    change = test.steps["throughput"][0].to_previous
    assert change.needed > WITHOUT_BUDGET
    assert test.passes <= WITHOUT_BUDGET
    assert test.to_close_s == (change.needed - test.passes) * 2 * PROCESS_S
    text = "\n".join(report.render(over_of(comparing, 2), []))
    assert f"open ({change.needed} passes would tell)" in text
    found = re.search(r"about (\d+):(\d\d) more, with --budget=(\d+)m, would decide", text)
    assert int(found[1]) * 60 + int(found[2]) == test.to_close_s
    # With that budget it is decided.
    scripted = Scripted({"a": [0.01, 0.01]}, spread=0.04)
    comparing, _ = compared(scripted, 2, budget_s=60 * int(found[3]))
    assert statuses(comparing.tests[0]) == ["no-change"]
    assert comparing.elapsed_s <= 60 * int(found[3])


def test_a_metric_that_no_look_would_decide_keeps_no_other_from_its_own() -> None:
    scripted = Scripted({"a": [0.01, 0.01]}, spread=0.025, of_cpu=0.15)
    comparing, _ = compared(scripted, 2)
    (test,) = comparing.tests
    assert statuses(test) == ["no-change"]
    assert statuses(test, "cpu_efficiency") == ["open"]
    assert test.passes > LOOKS[0]


def test_more_passes_than_any_look_has_are_not_begun() -> None:
    scripted = Scripted({"a": [0.01, 0.01]}, spread=0.5)
    comparing, _ = compared(scripted, 2, budget_s=10_000)
    assert comparing.tests[0].passes == LOOKS[0]
    text = "\n".join(report.render(over_of(comparing, 2), []))
    assert "more passes would hardly decide" in text


def test_a_budget_is_kept_and_divided_among_all_tests() -> None:
    tests = {name: [0.01] * 3 for name in "abcd"}
    scripted = Scripted(tests)
    comparing, told = compared(scripted, 3, budget_s=4 * (4 * 3 + 1) * PROCESS_S + 1)
    assert [one.passes for one in comparing.tests] == [4] * 4
    assert "4 passes of each test: about 1:42: that is what the budget of 1:45 leaves" in told[1]
    assert "fewer than 6 passes (--budget=3m has time for 6 of each test)" in told[1]
    assert comparing.elapsed_s <= comparing.budget_s

    scripted = Scripted(tests)
    scripted.now_s = 50.0  # of no matter
    comparing, told = compared(scripted, 3, budget_s=5.0)
    assert comparing.tests == []
    assert comparing.left_out == [*"abcd"]
    assert comparing.stopped == (
        "a pass of each test that is left takes about 0:30, and 0:03 of the budget of 0:05 is left "
        "(--budget=3m has time for 6 of each test)"
    )
    assert len(told) == 1
    assert comparing.elapsed_s <= comparing.budget_s


@pytest.mark.parametrize(("budget_s", "passes"), [(95, 2), (120, 4), (155, 6)])
def test_the_start_of_interpreters_is_part_of_the_budget(budget_s, passes) -> None:
    scripted = Scripted({name: [0.01] * 3 for name in "ab"}, start_s=6.0)
    comparing, told = compared(scripted, 3, budget_s=budget_s)
    assert [one.passes for one in comparing.tests] == [passes] * 2
    assert comparing.elapsed_s <= budget_s
    minutes, seconds = re.search(r"of each test: about (\d+):(\d+)", told[1]).groups()
    before_s = 6 + PROCESS_S
    assert 60 * int(minutes) + int(seconds) == int(comparing.elapsed_s - before_s)


def test_without_time_for_a_pass_it_is_told_which_budget_would_do() -> None:
    def scripted():
        return Scripted({"a": [0.01] * 2}, start_s=6.0)

    comparing, told = compared(scripted(), 2, budget_s=20)
    assert (comparing.tests, len(told)) == ([], 1)
    found = re.search(r"and 0:12 of the budget of 0:20 is left \((.*?)m ", comparing.stopped)
    budget_s = 60 * int(found[1].removeprefix("--budget="))
    comparing, _ = compared(scripted(), 2, budget_s=budget_s)
    assert [one.passes for one in comparing.tests] == [LOOKS[0]]
    assert comparing.elapsed_s <= budget_s


def test_without_time_for_any_test_nothing_was_measured(monkeypatch, capsys, tmp_path) -> None:
    scripted = Scripted({"a": [0.01] * 2}, start_s=6.0)
    found = SimpleNamespace(releases=releases_of(2), notes=())
    monkeypatch.setattr(releases, "PytestRun", lambda *_: contextlib.nullcontext(scripted))
    monkeypatch.setattr(releases, "named", lambda *_: found)
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "v1.0", "v1.1", "--budget=5")
    assert code == 2
    assert scripted.wishes == []
    assert "Not measured: a." in out
    expected = "no test was measured in the time that it may take (--budget)"
    assert err.splitlines()[-1] == f"pytest-tfthreads: error: {expected}"


def test_further_looks_leave_the_later_tests_their_first() -> None:
    tests = {name: [0.01] * 2 for name in "abc"}
    scripted = Scripted(tests, spread=0.02)
    comparing, _ = compared(scripted, 2, budget_s=3 * 13 * PROCESS_S + 3 * 6 * 2 * PROCESS_S)
    assert all(one.passes >= LOOKS[0] for one in comparing.tests)
    assert any(one.passes > LOOKS[0] for one in comparing.tests)
    assert len(comparing.tests) == 3
    assert comparing.elapsed_s <= comparing.budget_s


def test_a_release_that_cannot_run_a_test_is_passed_over() -> None:
    broken = "call failed: ImportError: gone"
    scripted = Scripted(
        {"a": [0.01, broken, 0.013], "b": [broken, broken, 0.01], "c": [0.01, 0.01, broken]}
    )
    comparing, _ = compared(scripted, 3)
    a, b, _ = comparing.tests
    assert statuses(a) == ["regression"]
    assert a.steps["throughput"][0].to_previous.since == "v1.0"
    assert not b.is_compared
    assert [wish for wish in scripted.wishes if wish[0] == "b"] == [("b", [0, 1, 2], 2)]
    over = over_of(comparing, 3)
    assert [(one.earlier, one.later) for one in over.changed] == [
        ("v1.0", "v1.1"),
        ("v1.1", "v1.2"),
        ("v1.0", "v1.2"),
    ]
    assert over.failing(frozenset({"regression"})) == [("a", "regression")]
    assert over.failing(frozenset({"unmeasured"})) == [("b", "unmeasured"), ("c", "unmeasured")]
    text = "\n".join(report.render(over, over.failing(frozenset({"regression", "unmeasured"}))))
    assert "v1.1: call failed: ImportError: gone" in text
    assert "failed: a: the step to v1.2 is a regression" in text
    assert "failed: c: not measured at v1.2" in text
    assert "failed: b: only measured at v1.2" in text
    assert "could not be compared" in text


@pytest.mark.parametrize(
    ("speeds", "of_cpu"), [([0.01, 0.0125], 0.16), ([0.01, 0.01, 0.0125], 0.1)]
)
def test_a_regression_that_is_decided_stays_where_its_release_crashes_later(speeds, of_cpu) -> None:
    last = len(speeds) - 1
    # CPU time leaves a step open, so there is a second look.
    scripted = Scripted({"a": speeds}, of_cpu=of_cpu, lost={last: 3})
    comparing, _ = compared(scripted, len(speeds))
    (test,) = comparing.tests
    assert test.at[last].problem == CRASHES
    assert statuses(test)[-1] == "regression"
    over = over_of(comparing, len(speeds))
    assert over.failing(frozenset({"regression"})) == [("a", "regression")]
    # What was open there cannot be decided any more.
    assert over.failing(frozenset({"open"})) == []
    text = "\n".join(report.render(over, []))
    assert re.search(rf"    v1.{last} .* regression\n", text)
    assert f"  v1.{last}: {CRASHES}" in text


def test_a_regression_that_is_decided_stays_where_the_release_before_crashes_later() -> None:
    scripted = Scripted({"a": [0.01, 0.01, 0.0125]}, of_cpu=0.1, lost={1: 3})
    comparing, _ = compared(scripted, 3)
    (test,) = comparing.tests
    _, last = test.steps["throughput"]
    assert (last.to_previous.since, last.to_previous.status) == ("v1.1", "regression")
    assert test.at[1].problem == CRASHES


def test_releases_have_several_interpreters_each_where_memory_is_left(monkeypatch) -> None:
    scripted = Scripted({"a": [0.01] * 2})
    compared(scripted, 2)
    assert scripted.interpreters == {INTERPRETERS}
    for left_gb, interpreters in ((None, INTERPRETERS), (20, INTERPRETERS), (8, 1)):
        left = None if left_gb is None else left_gb << 30
        monkeypatch.setattr(releases, "available_bytes", lambda left=left: left)
        assert releases._interpreters(8) == interpreters


@pytest.mark.parametrize("error", [KeyboardInterrupt(), CommandError("pytest has died")])
def test_what_is_complete_is_kept_whatever_ends_it(error) -> None:
    scripted = Scripted({name: [0.01] * 2 for name in "abc"}, ends={4: error})
    comparing, _ = compared(scripted, 2)
    assert [one.nodeid for one in comparing.tests] == ["a"]
    assert comparing.left_out == ["b", "c"]
    text = "\n".join(report.render(over_of(comparing, 2), []))
    assert "Not measured: b, c." in text
    assert f"Ended early: {str(error) or 'interrupted'}." in text


def test_a_first_look_is_kept_where_the_second_is_interrupted() -> None:
    scripted = Scripted({"a": [0.01, 0.0105]}, spread=0.012, ends={3: KeyboardInterrupt()})
    comparing, _ = compared(scripted, 2)
    assert [one.passes for one in comparing.tests] == [LOOKS[0]]
    assert comparing.left_out == []


def test_tests_that_turn_out_to_measure_nothing_are_passed_over() -> None:
    scripted = Scripted({name: [0.01] * 2 for name in "abc"}, silent="ab")
    comparing, told = compared(scripted, 2)
    assert [one.nodeid for one in comparing.tests] == ["c"]
    assert comparing.left_out == []
    assert told[2].startswith("test 1 of 1, c")


def test_more_releases_than_may_take_turns_at_once_are_linked() -> None:
    scripted = Scripted({"a": [0.01, 0.01, 0.01, 0.013, 0.013, 0.013]}, limit=3)
    comparing, told = compared(scripted, 6)
    (test,) = comparing.tests
    assert statuses(test) == ["no-change", "no-change", "regression", "no-change", "no-change"]
    to_come_s = (comparing.processes - 1) * PROCESS_S  # without that in the current tree
    assert f"about {int(to_come_s // 60)}:{int(to_come_s % 60):02}, and more" in told[1]


def test_the_table_tells_each_step_and_what_changed_there() -> None:
    scripted = Scripted({"t.py::a": [0.01, 0.01, 0.0125]})
    comparing, _ = compared(scripted, 3)
    over = over_of(comparing, 3)
    lines = report.render(over, [])
    assert lines[0] == "t.py::a"
    assert lines[1].split() == ["Throughput", "to", "v1.0", "to", "the", "one", "before", "step"]
    assert re.fullmatch(r"    v1.0 +first", lines[2])
    assert re.fullmatch(r"    v1.1 +[+−]0\.\d % \[.*\] +[+−]0\.\d % \[.*\] +no change", lines[3])
    assert re.fullmatch(r"    v1.2 +−\d+ % \[.*\] +−\d+ % \[.*\] +regression", lines[4])
    assert lines[5].startswith("  CPU efficiency")
    text = "\n".join(lines)
    assert "  v1.0 → v1.1: 1 commit, TensorFlow 2.0 → 2.1\n  v1.1 → v1.2: 1 commit, T" in text
    # The subjects stand where a step is certain.
    assert "change 2" in text
    assert "change 1" not in text
    assert "tolerated: 5 %." in text
    assert lines[-1] == f"{comparing.processes} processes, 0:38"


@pytest.mark.parametrize("closed", ["print_lines", "write_page", "keep"])
def test_what_can_be_written_is_where_the_rest_cannot(tmp_path, monkeypatch, closed) -> None:
    pytest.importorskip("plotly", reason="the extra `report` is not installed")
    comparing, _ = compared(Scripted({"a": [0.01, 0.0125]}), 2)
    done = []

    def of(name, function):
        def write(*args):
            if name == closed:
                raise BrokenPipeError
            done.append(name)
            return function(*args)

        return write

    for name in ("print_lines", "write_page", "keep"):
        monkeypatch.setattr(releases, name, of(name, getattr(releases, name)))
    options = SimpleNamespace(
        fail_on=frozenset({"regression"}), json=False, csv=False,
        html=tmp_path / "page.html", storage=tmp_path,
    )  # fmt: skip
    with pytest.raises(BrokenPipeError):
        releases._report(options, over_of(comparing, 2))
    assert {*done, closed} == {"print_lines", "write_page", "keep"}
    assert (closed == "write_page") != options.html.exists()


def test_other_programs_get_all_figures() -> None:
    broken = "it crashes"
    scripted = Scripted({"a": [0.01, broken, 0.0125]})
    comparing, _ = compared(scripted, 3)
    over = over_of(comparing, 3)
    failing = over.failing(frozenset({"regression"}))
    data = json.loads(json.dumps(report.to_json(over, failing), allow_nan=False))
    (test,) = data["tests"]
    assert [one["problem"] for one in test["at"]] == ["", broken, ""]
    assert test["at"][0]["throughput"]["value"] == pytest.approx(1000, rel=0.2)
    (step,) = test["steps"]["throughput"]
    change = step["to_previous"]
    assert (step["release"], change["since"], change["status"]) == ("v1.2", "v1.0", "regression")
    assert change["low"] < change["value"] < change["high"] < 0
    assert data["changed"][-1]["versions"] == {"TensorFlow": {"before": "2.0", "after": "2.2"}}
    assert data["failing"] == [{"test": "a", "status": "regression"}]
    rows = [dict(zip(report.COLUMNS, row, strict=True)) for row in report.rows(over)]
    assert len(rows) == 3 * 2
    last = next(one for one in rows if (one["release"], one["metric"]) == ("v1.2", "throughput"))
    assert (last["previous"], last["status"], last["tensorflow"]) == ("v1.0", "regression", "2.2")
    assert last["to_previous"] == change["value"]


def test_the_page_shows_a_line_for_each_test(tmp_path) -> None:
    pytest.importorskip("plotly")
    from pytest_tfthreads.report.html import releases as html_report

    scripted = Scripted({"t.py::<a>": [0.01, "no <way>", 0.0125], "t.py::b": ["x", "x", 0.01]})
    comparing, _ = compared(scripted, 3)
    over = over_of(comparing, 3)
    page = html_report.render(over, over.failing(frozenset({"regression"})))
    assert page.count('<div class="plot"') == 1
    assert "no &lt;way&gt;" in page
    assert "<way>" not in page
    assert "▼ regression" in page
    assert "t.py::&lt;a&gt;: regression at v1.2" in page
    body = page[page.index("<main") :]
    spec = json.loads(re.search(r'<script type="application/json">(.*?)</script>', body, re.S)[1])
    assert [len(one["y"]) for one in spec["data"]] == [2, 2]
    assert spec["data"][0]["y"][1] == pytest.approx(-20, abs=2)


def test_the_line_of_a_page_begins_at_the_first_release_that_stayed() -> None:
    pytest.importorskip("plotly")
    from pytest_tfthreads.report.html import releases as html_report

    scripted = Scripted({"a": [0.01, 0.01, 0.0125]}, lost={0: 1})
    comparing, _ = compared(scripted, 3)
    (test,) = comparing.tests
    assert test.at[0].measurement is not None
    page = html_report.render(over_of(comparing, 3), [])
    body = page[page.index("<main") :]
    spec = json.loads(re.search(r'<script type="application/json">(.*?)</script>', body, re.S)[1])
    for line in spec["data"]:
        assert [round(x) for x in line["x"]] == [1, 2]
        assert line["text"][0] == "v1.1"
    assert spec["layout"]["yaxis"]["title"]["text"] == "change since v1.1, %"


def test_decided_steps_between_commits_are_kept_for_the_history(tmp_path) -> None:
    scripted = Scripted({"a": [0.01, 0.01, 0.0125, 0.0125]})
    comparing, _ = compared(scripted, 4)
    over = over_of(comparing, 4)
    elsewhere = replace(over.releases[3], place=Place(python="/other"))
    over = replace(over, releases=(*over.releases[:3], elsewhere))
    path = keep(over, tmp_path)
    assert path == tmp_path / "side-by-side/0001.steps"
    kept = read_kept(tmp_path)
    assert kept.problems == ()
    found = [(one.before[-1], one.after[-1], one.status, one.metric) for one in kept.steps]
    assert sorted(found) == sorted(
        (*step, metric)
        for step in (("0", "1", "no-change"), ("1", "2", "regression"))
        for metric in TOLERANCE
    )
    change = comparing.tests[0].steps["throughput"][1].to_previous
    (step,) = [one for one in kept.steps if (one.after[-1], one.metric) == ("2", "throughput")]
    assert math.exp(step.log_ratio) == pytest.approx(change.ratio.estimate.value)
    # Reports draw the whole course, with the environment that is no commit of the history.
    (call,) = kept.calls
    course, of_cpu = (one.course for one in call.courses)
    assert course.releases == of_cpu.releases == ("v1.0", "v1.1", "v1.2", "v1.3")
    assert [one.to_previous.status for one in course.points] == statuses(comparing.tests[0])
    shown = course.points[1].to_previous
    assert (shown.value, shown.low, shown.high) == change.relative
    # Whatever lists saved runs takes it for none.
    assert Storage(tmp_path).every_run() == []
    assert keep(over, tmp_path).name == "0002.steps"
    with pytest.raises(CommandError, match=r"cannot be kept in .*: .*--storage"):
        keep(over, path)


def test_nothing_is_kept_of_open_steps(tmp_path) -> None:
    comparing, _ = compared(Scripted({"a": [0.01, 0.01]}, spread=0.5), 2)
    assert keep(over_of(comparing, 2), tmp_path) is None
    assert [*tmp_path.iterdir()] == []


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def project(suite, monkeypatch):
    """v1.0 takes 8 ms a call, v1.1 cannot be imported, v1.2 takes 2 ms, and the current tree 8 ms.

    One test needs nothing of the product.
    """
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("TMPDIR", str(suite.path.parent))
    git(suite.path, "init", "-q", "-b", "main")
    suite.write(
        """
        import product

        @pytest.mark.tf_threads(1, 1)
        def test_work(benchmark):
            benchmark(product.work)

        @pytest.mark.tf_threads(1, 1)
        def test_again(benchmark):
            benchmark(product.work)
        """
    )
    for place, ms in enumerate([8, None, 2]):
        text = "raise ImportError('broken')\n" if ms is None else product(ms)
        (suite.path / "product.py").write_text(text)
        git(suite.path, "add", "-A")
        git(suite.path, "commit", "-q", "-m", f"change {place}")
        git(suite.path, "tag", f"v1.{place}")
    (suite.path / "product.py").write_text(product(8))
    return suite


# Of calls that sleep no CPU time is compared: else it is that which would be measured on and on.
TOLERANT = "--tolerance=throughput=5%,cpu_efficiency=95%"
OF_PYTEST = ("--benchmark-max-time=0.1", "-pno:cacheprovider")


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(["releases", *arguments])
    printed = capsys.readouterr()
    return caught.value.code, printed.out, printed.err


# Of each checkout, whether the process that makes it has leased CPUs meanwhile.
NOTES_LEASES = """
from pytest_tfthreads.revision.checkout import Checkout
from pytest_tfthreads.system.leases import leases

make = Checkout.make


def noted(*arguments):
    with open({path!r}, "a") as file:
        file.write("leased " if leases._held_here else "not leased ")
    return make(*arguments)


Checkout.make = noted
"""


def test_releases_are_measured_beside_the_current_tree(
    project, capsys, tmp_path, no_leftovers
) -> None:
    page, leased = tmp_path / "releases.html", tmp_path / "leased"
    (project.path / "conftest.py").write_text(NOTES_LEASES.format(path=str(leased)))
    arguments = ("v1.0..HEAD", ".", "--json", f"--html={page}", TOLERANT)
    code, out, err = run(capsys, *arguments, "--", *OF_PYTEST, "-k", "work")
    assert code == 1, err  # the changes that are not committed are a regression
    found = json.loads(out)
    assert [one["name"] for one in found["releases"]] == ["v1.0", "v1.1", "HEAD", "."]
    (test,) = found["tests"]
    assert test["test"] == "test_it.py::test_work[intra1-inter1]"
    assert ["broken" in one["problem"] for one in test["at"]] == [False, True, False, False]
    steps = test["steps"]["throughput"]
    assert [(one["release"], one["to_previous"]["since"]) for one in steps] == [
        ("HEAD", "v1.0"),
        (".", "HEAD"),
    ]
    assert [one["to_previous"]["status"] for one in steps] == ["improvement", "regression"]
    assert steps[0]["to_previous"]["value"] > 1
    assert steps[1]["to_previous"]["value"] < -0.5
    assert steps[1]["to_first"]["since"] == "v1.0"
    last = found["changed"][-1]
    assert (last["from"], last["to"], last["commits"], last["uncommitted"]) == (
        "HEAD", ".", [], True,
    )  # fmt: skip
    over_the_gap = found["changed"][1:3]
    assert {("v1.0", "HEAD", 2), ("v1.1", "HEAD", 1)} == {
        (one["from"], one["to"], len(one["commits"])) for one in over_the_gap
    }
    assert found["failing"] == [{"test": test["test"], "status": "regression"}]
    assert "1 test at 4 releases: " in err
    assert "6 passes of each test: about " in err
    assert "pass 1 of 6" in err
    assert git(project.path, "worktree", "list").count("\n") == 0
    assert "▼ regression" in page.read_text()
    assert leased.read_text() == "leased " * 3


def test_ctrl_c_prints_the_tests_that_are_complete(project, eventually, no_leftovers) -> None:
    command = [sys.executable, "-m", "pytest_tfthreads", "releases", "v1.0", "v1.2", "--json"]
    command.append(TOLERANT)
    log = project.path.parent / "stderr.txt"
    with log.open("w") as errors, (project.path.parent / "stdout.txt").open("w+") as printed:
        process = subprocess.Popen(
            [*command, "--", *OF_PYTEST], stdout=printed, stderr=errors, cwd=project.path
        )
        eventually(lambda: "test 2 of 2" in log.read_text() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 130, log.read_text()
        printed.seek(0)
        found = json.load(printed)
    assert [one["test"] for one in found["tests"]] == ["test_it.py::test_work[intra1-inter1]"]
    assert found["not_measured"] == ["test_it.py::test_again[intra1-inter1]"]
    assert found["stopped"] == "interrupted"
    assert git(project.path, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize("shell", ["2>&- <&-", "2> >(exec head -n 1 > /dev/null)"])
def test_tests_are_measured_printed_and_kept_whatever_became_of_stderr(project, shell) -> None:
    command = [sys.executable, "-m", "pytest_tfthreads", "releases", "v1.0", "v1.2", "--json"]
    command += [TOLERANT, "--storage=kept", "--", *OF_PYTEST, "-k", "work"]
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(command)} {shell}"],
        cwd=project.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    (test,) = json.loads(done.stdout)["tests"]
    (step,) = test["steps"]["throughput"]
    assert step["to_previous"]["status"] == "improvement"
    assert "throughput" in {one.metric for one in read_kept(project.path / "kept").steps}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name two or more"),
        (["v1.0", "v9"], "v9: the repository"),
        (["v1.0", "v1.2", "--budget=soon"], "is no time"),
        (["--last=none"], "is no number of tags"),
        (["v1.0", "v1.2", "--fail-on=all"], "'all' is none of regression, open, unmeasured, none"),
        (["v1.0", "v1.2", "--html=/no/such/page.html"], "/no/such/page.html cannot be written"),
        (["v1.0", "v1.2", "--", "-k", "nothing"], "what pytest selects measures nothing"),
        (["v1.0", "v1.2", "--", "--no-such-option"], "ended by itself, with exit code 4"),
        (
            ["v1.0", "v1.2", "--", "nosuch.py"],
            "pytest did not find what it is to run; pytest printed: ERROR: file or directory not "
            "found: nosuch.py",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(project, capsys, arguments, words) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err.splitlines()[-1]
    assert "test session starts" not in err
