"""What saved runs leave open is judged side by side, metric by metric."""

from dataclasses import replace

import pytest

from pytest_tfthreads.core.gate.two_rules import alone, combined, is_settled
from pytest_tfthreads.core.gate.verdict import SAVED_RUNS, SIDE_BY_SIDE, Verdict
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


def test_the_duet_ends_when_it_decides_what_was_asked():
    beside = verdicts("pass", "inconclusive", by=SIDE_BY_SIDE)
    assert is_settled(verdicts("inconclusive", "pass"), beside, pairs=3)
    assert not is_settled(verdicts("inconclusive", "regression"), beside, pairs=3)
    assert is_settled(verdicts("inconclusive", "regression"), beside, pairs=12)


def test_who_judges_alone_says_why():
    stored = verdicts("regression", "pass")
    assert alone(stored, "no git") == (replace(stored[0], no_duet="no git"), stored[1])
