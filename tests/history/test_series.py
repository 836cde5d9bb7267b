"""Saved runs in their order, as lines, and tests by their names."""

from dataclasses import replace

import pytest

import builders
from pytest_tfthreads.core.contention import Contention
from pytest_tfthreads.core.gate.verdict import Verdict
from pytest_tfthreads.core.measurement import Sample
from pytest_tfthreads.core.node_ids import close_names, matcher
from pytest_tfthreads.core.saved_runs import StoredMeasurement, StoredRun
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.threads import Configuration
from pytest_tfthreads.history.series import (
    in_order,
    lines_of,
    run_of,
    version_changes,
)

MACHINE = {"cpu": "Model X", "physical": 2, "logical": 4, "quota": None, "tensorflow": "2.20.0"}
SAMPLE = Sample((0.5, 1.5), (1.0, 2.0), 10, 50, 0.1, 1 << 20, 3, 4, (0, 2))
TESTS = [
    "benchmarks/test_a.py::test_step[32-intra1-inter1]",
    "benchmarks/test_a.py::test_step[32-intra2-inter1]",
    "benchmarks/test_b.py::test_inference[intra1-inter1]",
]


def measurement(machine=MACHINE, **fields):
    known = {"cpus": (0, 2), "items": 4, "samples": (SAMPLE, SAMPLE), "machine": machine}
    return builders.measurement(**{**known, **fields})


def stored(*measurements, **fields):
    """What a run has of a test that was measured once, or by several workers."""
    return tuple(
        StoredMeasurement(f"t@gw{index}", "t", Configuration("2x1", "2", "1"), one, **fields)
        for index, one in enumerate(measurements or [measurement()])
    )


def run(time, commit=None, label="0001_x.json", **tests):
    """A run of tests: their measurement each, or several in a list."""
    several = {
        test: stored(*found) if isinstance(found, list) else stored(found)
        for test, found in tests.items()
    }
    return run_of(StoredRun(label, time, commit, False, several or {"t": stored()}))


def names(runs):
    return [run.name for run in runs]


def test_what_is_kept_of_a_run():
    slower = Verdict(
        "t", "throughput", "regression", "2×1", "images", Estimate(1, None, None), 0.05, ""
    )
    kept = run_of(
        StoredRun(
            "/a/b/0042_my_release.json", "2026-01-02T03:04:05", "abc", True,
            {"t": stored(verdicts=(slower,))}, failed=frozenset({"u"}), complete=False,
        )
    )  # fmt: skip
    assert (kept.number, kept.name, kept.commit, kept.dirty) == ("0042", "my_release", "abc", True)
    assert (kept.regressed, kept.failed, kept.complete) == ({"t"}, {"u"}, False)
    (point,) = kept.points["t"]
    assert point.speeds == {"throughput": (40.0, 40.0), "cpu_efficiency": (80 / 3, 80 / 3)}
    assert point.estimate("throughput").value == pytest.approx(40.0)
    assert point.session("throughput").measured_s == 2.0
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


FARM = [{**MACHINE, "host": "farm-1"}, {**MACHINE, "host": "farm-2"}]


def test_what_several_workers_measured_is_on_lines_of_their_own():
    small = {**MACHINE, "cpu": "Model Y"}
    runs = [
        run("2026-01-01", t=[measurement(FARM[0]), measurement(small)]),
        run("2026-01-02", t=[measurement(FARM[0]), measurement(FARM[1])]),
        run("2026-01-03", t=[measurement(FARM[1])]),
    ]
    assert [(line.runs, dict(line.distinct)) for line in lines_of(runs)] == [
        ((0, 1), {"host": "farm-1"}),
        ((1, 2), {"host": "farm-2"}),
        ((0,), {}),
    ]


def test_lines_with_other_facts_are_told_apart_by_those_that_they_have():
    two = [measurement({**MACHINE, "python": version}) for version in ("3.12.1", "3.13.0")]
    runs = [run("2026-01-01", t=[measurement(unit="elements")]), run("2026-01-02", t=two)]
    found = [({"Python", "unit"} & {*dict(line.distinct)}, line.runs) for line in lines_of(runs)]
    assert found == [({"unit"}, (0,)), ({"Python", "unit"}, (1,)), ({"Python", "unit"}, (1,))]


def test_versions_tell_lines_apart_only_where_one_run_has_several():
    old, new = ({**FARM[0], "tensorflow": version} for version in ("2.20.0", "2.21.0"))
    updated = [run("2026-01-01", t=[measurement(old)]), run("2026-01-02", t=[measurement(new)])]
    (line,) = lines_of(updated)
    assert (line.runs, line.distinct) == ((0, 1), ())
    both = [*updated, run("2026-01-03", t=[measurement(old), measurement(new)])]
    assert [(line.runs, dict(line.distinct)) for line in lines_of(both)] == [
        ((0, 2), {"TensorFlow": "2.20.0"}),
        ((1, 2), {"TensorFlow": "2.21.0"}),
    ]


def test_workers_on_one_host_are_one_session_of_more_processes():
    slower = measurement(FARM[0], items=4, samples=(replace(SAMPLE, wall_s=(1.0, 3.0)),))
    (line,) = lines_of([run("2026-01-01", t=[measurement(FARM[0]), slower])])
    assert line.points[0].speeds["throughput"] == (40.0, 40.0, 20.0)
    assert line.points[0].reference_speeds == ()


def test_company_of_workers_on_one_host_is_their_mean():
    first, second, unaware = (
        measurement(FARM[0], samples=(replace(SAMPLE, contention=company),))
        for company in (Contention(others_share=0.1), Contention(0.0, 0.3, 0.1), None)
    )
    (line,) = lines_of([run("2026-01-01", t=[first, second])])
    assert line.points[0].others_taken == pytest.approx(0.25)
    (line,) = lines_of([run("2026-01-01", t=[unaware, first])])
    assert line.points[0].others_taken == pytest.approx(0.1)
