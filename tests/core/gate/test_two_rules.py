"""What saved runs leave open is judged side by side, metric by metric."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import tried
from pytest_tfthreads.core.gate.two_rules import (
    alone,
    combined,
    is_open,
    is_settled,
    pairs_wanted,
    with_advice,
)
from pytest_tfthreads.core.gate.verdict import SAVED_RUNS, SIDE_BY_SIDE, STATUSES, Verdict
from pytest_tfthreads.core.stats.estimates import Estimate

SPEED = Estimate(1.0, 0.9, 1.1)


def verdicts(*statuses, by=SAVED_RUNS):
    return [
        Verdict("test_x", metric, status, "1×1", "calls", SPEED, 0.05, "", judged_by=by)
        for metric, status in zip(("throughput", "cpu_efficiency"), statuses, strict=True)
    ]


@pytest.mark.parametrize(
    ("stored", "beside", "stands"),
    [
        # What saved runs would fail is a regression only where the duet says so.
        (("regression", "pass"), ("pass", "pass"), ("pass", "pass")),
        (("regression", "pass"), ("inconclusive", "pass"), ("inconclusive", "pass")),
        (("regression", "pass"), ("regression", "pass"), ("regression", "pass")),
        (("inconclusive", "inconclusive"), ("pass", "regression"), ("pass", "regression")),
        (("not-comparable", "no-baseline"), ("pass", "improvement"), ("pass", "improvement")),
        # A metric that saved runs settled stays settled, unless the duet refutes it.
        (("inconclusive", "pass"), ("pass", "inconclusive"), ("pass", "pass")),
        (("inconclusive", "improvement"), ("pass", "pass"), ("pass", "improvement")),
        (("inconclusive", "pass"), ("pass", "regression"), ("pass", "regression")),
    ],
)
def test_which_verdict_stands(stored, beside, stands):
    found = combined(verdicts(*stored), verdicts(*beside, by=SIDE_BY_SIDE))
    assert tuple(one.status for one in found) == stands


@pytest.mark.parametrize(
    ("stored", "beside", "stands", "judged_by"),
    [
        ("regression", "pass", "regression", SAVED_RUNS),
        ("regression", "inconclusive", "regression", SAVED_RUNS),
        ("regression", "improvement", "regression", SAVED_RUNS),
        ("regression", "regression", "regression", SIDE_BY_SIDE),
        ("inconclusive", "pass", "pass", SIDE_BY_SIDE),
        ("pass", "inconclusive", "pass", SAVED_RUNS),
    ],
)
def test_what_other_software_may_have_done_is_not_refuted_side_by_side(
    stored, beside, stands, judged_by
):
    software = "TensorFlow 2.20.0 → 2.21.0"
    theirs = [replace(one, software=software) for one in verdicts(stored, stored)]
    for found in combined(theirs, verdicts(beside, beside, by=SIDE_BY_SIDE)):
        assert (found.status, found.judged_by, found.software) == (stands, judged_by, software)
        is_unrefuted = (stored, judged_by) == ("regression", SAVED_RUNS)
        assert (software in found.reason) is is_unrefuted
        is_open = is_unrefuted and beside == "inconclusive"
        assert ("the two revisions did not decide" in found.reason) is is_open
        assert bool(found.advice) is is_unrefuted


def test_the_duet_ends_when_it_decides_what_was_asked():
    beside = verdicts("pass", "inconclusive", by=SIDE_BY_SIDE)
    assert is_settled(verdicts("inconclusive", "pass"), beside, pairs=3)
    assert not is_settled(verdicts("inconclusive", "regression"), beside, pairs=3)
    assert is_settled(verdicts("inconclusive", "regression"), beside, pairs=12)


def test_who_judges_alone_says_why():
    stored = verdicts("regression", "pass")
    assert alone(stored, "no git") == (replace(stored[0], no_duet="no git"), stored[1])


def test_only_what_saved_runs_settle_is_not_measured_again():
    answers = {status: is_open(verdicts(status, "pass")[0]) for status in STATUSES}
    assert answers == {
        "regression": True,
        "inconclusive": True,
        "not-comparable": True,
        "no-baseline": True,
        "improvement": False,
        "pass": False,
    }


def test_how_many_pairs_would_decide_what_was_asked():
    stored = verdicts("inconclusive", "regression")
    beside = verdicts("inconclusive", "inconclusive", by=SIDE_BY_SIDE)

    def wanted(first, second, stored=stored, beside=beside):
        needed = [
            replace(one, pairs_to_decide=pairs)
            for one, pairs in zip(beside, (first, second), strict=True)
        ]
        return pairs_wanted(stored, needed)

    assert wanted(7, 9) == 9
    assert wanted(9, 7) == 9
    assert wanted(7, None) is None
    assert wanted(None, None) is None
    # A metric that was not asked about, or is decided, does not count.
    assert wanted(7, 9, stored=verdicts("inconclusive", "pass")) == 7
    assert wanted(7, None, stored=verdicts("inconclusive", "pass")) == 7
    assert wanted(7, None, beside=verdicts("inconclusive", "pass")) == 7
    assert wanted(7, 9, beside=verdicts("pass", "regression")) == 0


def test_advice_goes_to_what_is_inconclusive():
    one, other = verdicts("inconclusive", "regression")
    one = replace(one, advice=("what helped before",))
    assert with_advice([one, other], "look") == (replace(one, advice=("look",)), other)


@pytest.mark.parametrize("rule", [combined, pairs_wanted, lambda one, two: is_settled(one, two, 3)])
def test_both_rules_judge_the_same_metrics(rule):
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter"):
        rule(verdicts("inconclusive", "pass"), verdicts("inconclusive", "pass")[:1])


VERDICTS = st.tuples(st.sampled_from(STATUSES), st.sampled_from(STATUSES))


@tried(100)
@given(VERDICTS, VERDICTS)
def test_a_duet_never_hides_a_loss_that_it_saw(stored, beside):
    found = combined(verdicts(*stored), verdicts(*beside, by=SIDE_BY_SIDE))
    for theirs, mine, one in zip(stored, beside, found, strict=True):
        assert (one.status == "regression") == (mine == "regression")
        assert one.status in (theirs, mine)
    assert combined(found, verdicts(*beside, by=SIDE_BY_SIDE)) == found, "said twice, the same"
