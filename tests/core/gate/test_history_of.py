"""What a measurement is judged by: each of the saved runs that count, and why others do not."""

from dataclasses import replace

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.comparable import (
    History,
    changed_software,
    kinship,
    shown,
    why_not_comparable,
)
from pytest_tfthreads.core.gate.evidence import RUNS_OF_PAIRS, history_of, pairs_of
from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import Verdict
from pytest_tfthreads.core.op_profile import OpProfile, OpTime, Trace, Traces
from pytest_tfthreads.core.saved_runs import StoredMeasurement, StoredRun
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.threads import Configuration

TEST = "test_x.py::test_it"
PROFILE = OpProfile(10, 0.005, 0.001, (OpTime("Conv2D", 2.0, 0.003),))


def measured(seconds=1.0, **fields):
    return measurement(sample([seconds]), **fields)


NOW = measured()


def run(number, *, status="pass", named="", pairs=(), traced=False, complete=True, **fields):
    speed = Estimate(1.0, None, None)
    verdict = Verdict(TEST, "throughput", status, "1×1", "images", speed, 0.05, "", named=named)
    traces = Traces("d", "here", Trace("then", "x/plugins/profile/1", PROFILE)) if traced else None
    stored = StoredMeasurement(
        TEST, TEST, Configuration("1x1", "1", "1"), measured(number, **fields), (verdict,), pairs,
        traces,
    )  # fmt: skip
    return StoredRun(
        f"{number}.json", f"day {number}", None, False, {TEST: (stored,)}, complete=complete
    )


def empty(number, *, complete=True, failed=()):
    return StoredRun(
        f"{number}.json", f"day {number}", None, False, {}, frozenset(failed), complete
    )


def numbers(history):
    """Those of the runs in it: a run's only round took so many seconds."""
    return [round(one.samples[0].wall_s[0]) for one in history.measurements]


def test_runs_of_another_python_count_only_where_none_of_this_one_does():
    def under(version):
        return {**NOW.machine, "python": version}

    now = measured(machine=under("3.12.4"))
    runs = [run(1, machine=under("3.11.9")), run(2, machine=under("3.12.1")), run(3)]
    assert numbers(history_of(runs, TEST, now)) == [2]
    assert numbers(history_of(runs, TEST, measured(machine=under("3.11.2")))) == [1]
    assert numbers(history_of(runs, TEST, measured(machine=under("3.13.0")))) == [1, 2, 3]
    assert numbers(history_of(runs, TEST, measured(machine=under("3.1.2")))) == [1, 2, 3]
    # Who names a run of another Python means that run.
    assert numbers(history_of(runs[:1], TEST, now, named=True)) == [1]


def test_all_that_is_known_of_a_history():
    pairs = (Pair(0.0, 0.0),)
    runs = [run(1), run(2, pairs=pairs), run(3, unit="words"), run(4, pairs=pairs, traced=True)]
    assert history_of(runs, TEST, NOW) == History(
        tuple(measured(number) for number in (1, 2, 4)),
        baseline="4.json (day 4)",
        trace=Trace("4.json (day 4)", None, PROFILE),
        titles=("1.json (day 1)", "2.json (day 2)", "4.json (day 4)"),
        beside=frozenset({1, 2}),
    )
    named = history_of(runs, TEST, NOW, named=True)
    assert (named.named, numbers(named)) == ("day 4", [1, 2, 4])


def test_a_run_that_had_regressed_counts_where_it_was_accepted_or_nothing_else_is_there():
    bad = run(2, status="regression", pairs=(Pair(0.0, 0.0),))
    assert numbers(history_of([run(1), bad, run(3)], TEST, NOW)) == [1, 3]
    accepted = history_of([run(1), bad, run(3, named="day 2")], TEST, NOW)
    assert (numbers(accepted), accepted.since, accepted.beside) == ([1, 2, 3], 1, frozenset())
    assert numbers(history_of([bad], TEST, NOW)) == [2]
    assert numbers(history_of([run(1), bad], TEST, NOW, named=True)) == [1, 2]


def test_what_was_compared_with_another_environment_says_nothing_of_the_code():
    pairs = (Pair(0.0, 0.0),)
    slower, as_fast = run(2, status="regression", pairs=pairs), run(3, pairs=pairs)
    for one in (slower, as_fast):
        (stored,) = one.tests[TEST]
        one.tests[TEST] = (replace(stored, beside_environment=True),)
    history = history_of([run(1), slower, as_fast, run(4, pairs=pairs)], TEST, NOW)
    assert (numbers(history), history.beside) == ([1, 2, 3, 4], frozenset({3}))


def test_a_pass_beside_a_revision_that_the_user_named_accepts_no_level():
    passed = run(2, pairs=(Pair(0.0, 0.0),))
    (stored,) = passed.tests[TEST]
    passed.tests[TEST] = (replace(stored, beside_named=True),)
    history = history_of([run(1), passed], TEST, NOW)
    assert (numbers(history), history.beside) == ([1, 2], frozenset())


def test_what_was_found_side_by_side_with_other_software_is_not_accepted():
    upgraded = run(2, pairs=(Pair(0.0, 0.0),))
    (stored,) = upgraded.tests[TEST]
    verdicts = tuple(replace(one, software="TensorFlow 1 → 2") for one in stored.verdicts)
    upgraded.tests[TEST] = (replace(stored, verdicts=verdicts),)
    assert history_of([run(1), upgraded], TEST, NOW).beside == frozenset()


def test_the_level_begins_with_the_last_run_that_was_named():
    runs = [run(1), run(2, named="day 1"), run(3), run(4, named="day 3"), run(5)]
    assert history_of(runs, TEST, NOW).since == 2
    assert history_of(runs[:3], TEST, NOW).since == 0
    assert history_of([run(1), run(2, named="a day that is gone")], TEST, NOW).since == 0


def test_why_there_is_no_history():
    def problem(*runs, named=False, test=TEST):
        found = history_of(runs, test, NOW, named)
        assert (found.measurements, found.titles) == ((), ())
        return found.status, found.problem

    assert problem() == ("no-baseline", "there is no saved run; make one with --benchmark-save")
    assert problem(empty(1)) == ("no-baseline", "the test was not measured in 1.json (day 1)")
    assert problem(empty(1, complete=False)) == (
        "no-baseline",
        "the test was not measured in 1.json (day 1), which ended early",
    )
    several = "the test was not measured in any of 2 saved runs"
    assert problem(empty(1), empty(2, complete=False)) == ("no-baseline", several)
    assert problem(empty(1, failed={TEST}), empty(2, failed={TEST}), empty(3)) == (
        "no-baseline",
        "the test failed when 2.json (day 2) was saved",
    )
    assert problem(run(1), empty(2), named=True)[1] == "the test was not measured in 2.json (day 2)"
    assert problem(empty(1, failed={TEST}), empty(2), named=True) == (
        "no-baseline",
        "the test was not measured in 2.json (day 2)",
    )
    last = "the test was not measured in 3.json (day 3)"
    assert problem(run(1), empty(2), empty(3), named=True) == ("no-baseline", last)
    other = "{} is not comparable: unit: images now, {} then"
    assert problem(run(1, unit="a"), run(2, unit="b")) == (
        "not-comparable",
        other.format("2.json (day 2)", "b"),
    )
    assert problem(run(1), run(2, unit="b"), named=True) == (
        "not-comparable",
        other.format("2.json (day 2)", "b"),
    )
    # A run in which the test is missing does not hide one that is comparable.
    assert numbers(history_of([run(1), empty(2)], TEST, NOW)) == [1]


def test_pairs_are_those_of_the_latest_runs_also_where_the_test_had_regressed():
    def with_pairs(number, **fields):
        return run(number, pairs=(Pair(float(number), 0.0),), **fields)

    runs = [with_pairs(number) for number in range(1, 8)]
    runs[2] = with_pairs(3, status="regression")
    runs[5] = with_pairs(6, unit="words")
    runs[6:] = [run(7), with_pairs(8)]
    found = [pairs[0].throughput for pairs in pairs_of(runs, TEST, NOW)]
    assert RUNS_OF_PAIRS == 5
    assert found == [1.0, 2.0, 3.0, 4.0, 5.0, 8.0][-5:]
    assert pairs_of(runs, "other", NOW) == []


def test_of_several_measurements_the_closest_is_taken():
    here = {"cpu": "x", "host": "here", "python": "3.12", "tensorflow": "2.20"}
    now = measured(machine=here)
    stored = [
        replace(run(number).tests[TEST][0], measurement=measured(number, machine={**here, **other}))
        for number, other in enumerate(
            (
                {"cpu": "y"},
                {"host": "there", "python": "3.10"},
                {"python": "3.10"},
                {"tensorflow": "2.16"},
                {"host": "there", "python": "3.10", "tensorflow": "2.16"},
            ),
            1,
        )
    ]
    assert [kinship(now, one.measurement) for one in stored] == [3, 1, 2, 2, 0]
    both = StoredRun("x", "day", None, False, {TEST: tuple(stored)})
    assert numbers(history_of([both], TEST, now)) == [4]
    assert numbers(history_of([replace(both, tests={TEST: tuple(stored[:3])})], TEST, now)) == [3]


def test_what_differs_is_told_in_one_sentence():
    here = {"cpu": "x", "physical": 2, "logical": 4, "quota": 1.5}
    now, then = measured(machine=here, items=2), measured(machine={**here, "quota": None})
    assert why_not_comparable(now, then) == (
        "CPU quota: 1.5 now, none then; items a call: 2 now, 1 then"
    )
    assert why_not_comparable(now, now) is None
    assert [shown(one) for one in (None, 2.50, 2.0, 3, "x")] == ["none", "2.5", "2", "3", "x"]


def test_runs_in_words():
    history = History((), baseline="the last", titles=("a", "b", "c"))
    assert history.words_of((0, 1, 2)) == "the mean of 3 runs, a to c"
    assert history.words_of((1, 2)) == "the mean of 2 runs, b to c"
    assert history.words_of((1,)) == "b"
    assert history.words_of(()) == "the last"
    assert History((), baseline="the last").words_of((0,)) == "the last"


@pytest.mark.parametrize("field", ["physical", "logical", "cpu", "quota"])
def test_what_is_not_known_of_a_machine_is_like_what_is_not_known(field):
    here = {"cpu": "x", "physical": 2, "logical": 4, "quota": 1.5}
    without = {name: value for name, value in here.items() if name != field}
    assert why_not_comparable(measured(machine=without), measured(machine=without)) is None
    assert "now, none then" in why_not_comparable(measured(machine=here), measured(machine=without))


@pytest.mark.parametrize(
    ("then", "changed"),
    [
        ({"tensorflow": "2.20.0", "python": "3.12.3"}, "TensorFlow 2.20.0 → 2.21.0"),
        ({"tensorflow": "2.21.0", "python": "3.12.3"}, ""),
        ({"tensorflow": "2.21.0", "python": "3.11.9"}, "Python 3.11.9 → 3.12.4"),
        ({"tensorflow": None, "python": None}, ""),
    ],
)
def test_what_software_has_changed(then, changed):
    machine = {**NOW.machine, "tensorflow": "2.21.0", "python": "3.12.4"}
    now = measured(machine=machine)
    assert changed_software(now, measured(machine={**machine, **then})) == changed
