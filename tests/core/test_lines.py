"""Saved runs in their order, as lines, and tests by their names."""

from dataclasses import replace

import pytest

from pytest_tfthreads.core.baseline import StoredRun
from pytest_tfthreads.core.lines import (
    close_names,
    in_order,
    lines_of,
    matcher,
    run_of,
    version_changes,
)
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample

MACHINE = {"cpu": "Model X", "physical": 2, "logical": 4, "quota": None, "tensorflow": "2.20.0"}
SAMPLE = Sample((0.5, 1.5), (1.0, 2.0), 10, 50, 0.1, 1 << 20, 3, 4, (0, 2))
TESTS = [
    "benchmarks/test_a.py::test_step[32-intra1-inter1]",
    "benchmarks/test_a.py::test_step[32-intra2-inter1]",
    "benchmarks/test_b.py::test_inference[intra1-inter1]",
]


def measurement(machine=MACHINE, **fields):
    known = {"items": 4, "unit": "images", "samples": (SAMPLE, SAMPLE), "machine": machine}
    return Measurement(Pools(2, 1), Pools(2, 1), (0, 2), "fork", **{**known, **fields})


def run(time, commit=None, label="0001_x.json", **tests):
    stored = StoredRun(label, time, commit, False, tests or {"t": measurement()})
    return run_of(stored)


def names(runs):
    return [run.name for run in runs]


def test_what_is_kept_of_a_run():
    stored = StoredRun(
        "/a/b/0042_my_release.json", "2026-01-02T03:04:05", "abc", True, {"t": measurement()},
        regressed=frozenset({"t"}), failed=frozenset({"u"}), complete=False,
    )  # fmt: skip
    kept = run_of(stored)
    assert (kept.number, kept.name, kept.commit, kept.dirty) == ("0042", "my_release", "abc", True)
    assert (kept.regressed, kept.failed, kept.complete) == ({"t"}, {"u"}, False)
    point = kept.points["t"]
    assert point.speeds == {"throughput": (40.0, 40.0), "cpu_efficiency": (80 / 3, 80 / 3)}
    assert point.estimate("throughput").value == pytest.approx(40.0)
    assert point.sitting("throughput").measured_s == 2.0
    assert point.versions == {"tensorflow": "2.20.0"}


@pytest.mark.parametrize(
    ("label", "number", "name"),
    [("out.json", "", "out"), ("0007_.json", "", "0007_"), ("x_1.json", "", "x_1")],
)
def test_files_without_a_number(label, number, name):
    kept = run("2026-01-01", label=label)
    assert (kept.number, kept.name) == (number, name)


def test_runs_by_commit_then_by_time():
    first, second = "1" * 40, "2" * 40
    runs = [
        run("2026-03-01T00:00:00+00:00", first, "late_first.json"),
        run("2026-01-01T00:00:00", first, "first.json"),
        run("2026-02-01T00:00:00+00:00", second, "second.json"),
        run("2026-02-15T00:00:00+00:00", "not here", "unknown.json"),
        run("2026-04-01T00:00:00+00:00", None, "last.json"),
        run("2025-01-01T00:00:00Z", None, "oldest.json"),
        run("yesterday", None, "undated.json"),
    ]
    places = {first: 0, second: 1}
    expected = ["undated", "oldest", "first", "late_first", "second", "unknown", "last"]
    assert names(in_order(runs, places)) == expected
    assert names(in_order(runs[::-1], places)) == expected


def test_an_old_release_measured_today_takes_nothing_with_it():
    runs = [
        run("2026-01-01", "a", "old.json"),
        run("2026-06-01", "b", "new.json"),
        run("2026-06-15", None, "without.json"),
        run("2026-09-01", "a", "again.json"),
    ]
    assert names(in_order(runs, {"a": 0, "b": 1})) == ["old", "again", "new", "without"]


def test_without_commits_all_is_by_time():
    runs = [run("2026-02-01", "b", "b.json"), run("2026-01-01", "a", "a.json")]
    assert names(in_order(runs, {})) == ["a", "b"]


def test_a_line_for_each_machine_and_for_conditions_that_differ():
    other = {**MACHINE, "cpu": "Model Y"}
    newer = {**MACHINE, "tensorflow": "2.21.0", "python": "3.13.0"}
    runs = [
        run("2026-01-01", t=measurement(), u=measurement()),
        run("2026-01-02", t=measurement(other)),
        run("2026-01-03", t=measurement(newer)),
        run("2026-01-04", t=measurement(unit="steps")),
    ]
    lines = lines_of(runs)
    assert [(line.test, line.runs) for line in lines] == [
        ("t", (0, 2)), ("t", (1,)), ("t", (3,)), ("u", (0,)),
    ]  # fmt: skip
    assert [dict(line.distinct) for line in lines] == [
        {"unit": "images"},
        {},
        {"unit": "steps"},
        {},
    ]
    assert [line.unit for line in lines] == ["images", "images", "steps", "images"]
    first, second = lines[0].points.values()
    assert version_changes(first, second) == [
        ("TensorFlow", "2.20.0", "2.21.0"),
        ("Python", "unknown", "3.13.0"),
    ]
    assert [line.test for line in lines_of(runs, matcher("u"))] == ["u"]


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("", TESTS),
        ("test_step", TESTS[:2]),
        ("intra1", [TESTS[0], TESTS[2]]),
        ("test_step[32-intra1-inter1]", TESTS[:1]),
        ("*test_step[[]32-intra2*", []),
        ("*step[*intra2*", TESTS[1:2]),
        ("*intra?-inter1]", TESTS),
        ("*::test_inference[*", TESTS[2:]),
        ("nothing", []),
    ],
)
def test_tests_by_a_part_or_a_glob(text, matched):
    assert [test for test in TESTS if matcher(text)(test)] == matched


def test_names_that_are_close():
    assert close_names("test_inferense", TESTS)[0] == TESTS[2]
    assert set(close_names("test_steps", TESTS)) >= set(TESTS[:2])
    assert close_names("zzzz", TESTS) == []


def test_a_date_that_is_none_does_not_break_the_order():
    odd = replace(run("2026-01-01"), datetime="99999-13-77\x1b[2J")
    assert names(in_order([run("2026-01-01", label="b.json"), odd], {})) == ["x", "b"]
