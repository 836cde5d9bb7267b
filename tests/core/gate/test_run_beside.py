"""Beside the commit of which saved run a test is measured."""

from dataclasses import replace

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.gate.run_beside import run_beside
from pytest_tfthreads.core.gate.verdict import Change, Verdict
from pytest_tfthreads.core.saved_runs import StoredMeasurement, StoredRun
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.threads import Configuration

TEST, OTHER = "test_x.py::test_it", "test_x.py::test_other"
NOW = measurement(sample([1.0]))
HERE = "c" * 40


def verdict(test, status, named=""):
    speed = Estimate(1.0, None, None)
    return Verdict(test, "throughput", status, "1×1", "images", speed, 0.05, "", named=named)


def change_of(value):
    return Change(value, value - 0.05, value + 0.05)


def run(number, *statuses, commit=None, dirty=False, named="", tests=(TEST,), **fields):
    """A run of a day, at a commit of its own; without a status, nothing was judged."""
    stored = {
        test: (
            StoredMeasurement(
                test,
                test,
                Configuration("1x1", "1", "1"),
                measurement(sample([1.0]), **fields),
                tuple(verdict(test, status, named) for status in statuses),
            ),
        )
        for test in tests
    }
    return StoredRun(f"{number}.json", f"day {number}", commit or f"{number:040x}", dirty, stored)


def chosen(*runs, here=HERE):
    found = run_beside(runs, TEST, NOW, here)
    return None if found is None else int(found.label.removesuffix(".json"))


@pytest.mark.parametrize("status", ["pass", "improvement", "no-baseline", "not-comparable"])
def test_the_latest_run_in_which_the_test_was_settled(status):
    assert chosen(run(1), run(2, status)) == 2
    assert chosen(run(1), run(2, status), run(3, "inconclusive"), run(4, "pass", "regression")) == 2


def test_a_pass_beside_a_revision_that_the_user_named_settles_nothing_where_others_do():
    named = run(3, "pass")
    (stored,) = named.tests[TEST]
    named.tests[TEST] = (replace(stored, beside_named=True),)
    assert chosen(run(1), run(2, "pass"), named) == 2
    assert chosen(run(1, "inconclusive"), named) == 3


def test_a_loss_that_stays_open_is_measured_beside_the_speed_before_it():
    assert (
        chosen(run(1, "no-baseline"), run(2, "inconclusive"), run(3, "pass", "inconclusive")) == 1
    )
    # Where the estimate shows no loss, a test that never passes goes on from commit to commit.
    for change, expected in ((-0.03, 1), (-0.01, 2), (0.1, 2)):
        stored = run(2, "inconclusive")
        (one,) = stored.tests[TEST]
        verdicts = tuple(replace(each, change=change_of(change)) for each in one.verdicts)
        estimated = replace(stored, tests={TEST: (replace(one, verdicts=verdicts),)})
        assert chosen(run(1, "no-baseline"), estimated) == expected
    # Nothing is known of any: the oldest has lost the least.
    assert chosen(run(1, "inconclusive"), run(2, "inconclusive")) == 1


def test_the_current_commit_is_compared_with_itself_only_where_no_other_is_known():
    assert chosen(run(1), run(2, "pass"), run(3, "pass", commit=HERE)) == 2
    assert chosen(run(1, commit=HERE), run(2, "pass", commit=HERE)) == 2
    # A tree with changes is no commit: what it changes is what it is compared without.
    assert chosen(run(1), run(2, "pass", commit=HERE), here=None) == 2


def test_a_run_that_the_user_has_accepted_begins_the_level():
    accepted = run(2, "regression", commit=HERE)
    assert chosen(run(1), accepted, run(3, "pass", named="day 2", commit=HERE)) == 3
    assert chosen(run(1), accepted, run(3, "inconclusive", named="day 2")) == 2


def test_runs_that_can_be_compared_come_first():
    elsewhere = {"machine": {**NOW.machine, "cpu": "another model"}}
    assert chosen(run(1), run(2, **elsewhere)) == 1
    assert chosen(run(1, **elsewhere), run(2, tests=(OTHER,))) == 1
    under_another_python = {"machine": {**NOW.machine, "python": "2.7.18"}}
    assert chosen(run(1), run(2, **under_another_python)) == 1


def test_of_a_test_that_no_run_has_the_latest_commit_is_the_baseline():
    without = run(2, "pass", tests=(OTHER,))
    assert chosen(run(1, tests=(OTHER,)), without) == 2
    assert chosen(run(1, tests=(OTHER,)), replace(without, commit=HERE)) == 1
    assert chosen(run(1, tests=(OTHER,)), run(2, "regression", tests=(OTHER,))) == 1
    assert chosen() is None


@pytest.mark.parametrize("unknown", [{"dirty": True}, {"commit": "unversioned"}])
def test_a_run_whose_commit_is_not_what_was_measured_counts_only_alone(unknown):
    assert chosen(run(1), run(2, **unknown)) == 1
    assert chosen(run(2, **unknown)) == 2
