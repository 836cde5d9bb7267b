"""All that a duet's verdict says, how far ahead it sees, and what must hold for any pairs."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import measurement, sample
from properties import tried
from pytest_tfthreads.core.gate.duet import (
    BETWEEN,
    BETWEEN_DOF,
    BEYOND,
    INTERPRETERS,
    LOOKS,
    MOST_FORESEEN,
    STORED_DOF,
    errors_of_look,
    is_decided,
    judge_duet,
    luck,
    mean_ratio,
    pairs_to_decide,
    status_by_looks,
    with_luck,
)
from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import (
    Change,
    Errors,
    Policy,
    Verdict,
    detectable_loss,
    status_of,
)
from pytest_tfthreads.core.stats.estimates import LogRatio, student_t

NOW = measurement(sample([0.2], [0.6]), sample([0.2], [0.6]))
THEN = measurement(sample([0.1], [0.2]), sample([0.1], [0.2]))
POLICY = Policy({"throughput": 0.05, "cpu_efficiency": 0.1})


def duet(pairs, stored=(), hypotheses=2, policy=POLICY):
    return judge_duet("test_x", NOW, THEN, pairs, stored, policy, hypotheses, "main (0123456)")


# By hand: of 12 pairs, three interpreters have 4 each. The squares of these shares sum up to 1/3,
# and the spread of the pairs shows (1 - 1/3) / 11.
@pytest.mark.parametrize(
    ("pairs", "interpreters", "hidden"),
    [(4, 2, 1 / 2 - 1 / 6), (12, 3, 1 / 3 - 2 / 33), (5, 3, 9 / 25 - 4 / 25), (7, 1, 1.0)],
)
def test_the_luck_that_pairs_hide(pairs, interpreters, hidden):
    assert luck(pairs, interpreters, between=1.0) == pytest.approx(hidden, rel=1e-12)
    assert luck(pairs, interpreters, between=0.1) == pytest.approx(0.01 * hidden, rel=1e-12)


@pytest.mark.parametrize("interpreters", [1, 2, 3])
def test_pairs_with_an_interpreter_each_hide_no_luck(interpreters):
    assert luck(interpreters, interpreters, between=1.0) == (interpreters == 1)


def test_hidden_luck_joins_the_variance_with_its_degrees_of_freedom():
    joined = with_luck(LogRatio(0.1, 1e-4, 5.0), 2e-4)
    assert joined.log_ratio == 0.1
    assert joined.variance == pytest.approx(3e-4)
    assert joined.dof == pytest.approx(9e-8 / (1e-8 / 5 + 4e-8 / 20))
    assert with_luck(joined, 0.0) == joined


def test_more_pairs_take_away_their_spread_and_not_the_luck_that_they_share():
    """Of one interpreter a side, all pairs share its luck."""

    def is_decided_with(count):
        shown, hidden = (3e-4 - BETWEEN**2) * 6 / count, BETWEEN**2
        dof = (shown + hidden) ** 2 / (shown**2 / (8 + count - 6) + hidden**2 / BETWEEN_DOF)
        foreseen = LogRatio(-0.04, shown + hidden, dof)
        return status_of(foreseen, 0.05, errors_of_look(count, 2), BEYOND) != "inconclusive"

    expected = next(count for count in range(7, 101) if is_decided_with(count))
    assert pairs_to_decide(LogRatio(-0.04, 3e-4, 8.0), 6, 0.05, 2, interpreters=1) == expected
    assert pairs_to_decide(LogRatio(-0.04, 3e-4, 8.0), 6, 0.05, 2, interpreters=3) < expected


def test_all_that_is_said_of_a_regression():
    logs = [math.log(0.5) + noise for noise in (0.0, 0.01, -0.01)]
    pairs = [Pair(one, one - math.log(1.5)) for one in logs]
    throughput, efficiency = duet(pairs)
    ratio, errors = mean_ratio(logs, interpreters=INTERPRETERS), errors_of_look(3, 2)
    half = student_t(1 - errors.passed, ratio.dof) * ratio.sd
    assert throughput == Verdict(
        test="test_x",
        metric="throughput",
        status="regression",
        configuration="2×1",
        unit="images",
        now=NOW.throughput,
        tolerance=0.05,
        reason="50 % slower: CPU work +200 %, parallelism +50 % (2.0 → 3.0 cores used)",
        judged_against="main (0123456)",
        baseline=THEN.throughput,
        change=Change(
            pytest.approx(-0.5),
            pytest.approx(0.5 * math.exp(-half) - 1),
            pytest.approx(0.5 * math.exp(half) - 1),
            pytest.approx(1 - 2 * errors.passed),
        ),
        detectable=detectable_loss(ratio, 0.05, errors, BEYOND),
        rule=throughput.rule,
        judged_by="side by side",
    )
    assert throughput.rule == (
        "side by side, a loss is a regression if it is more than 3.5 % as measured and more than "
        "2 % for certain (0.7 and 0.4 of the tolerance)"
    )
    assert efficiency.reason == (
        "67 % less a CPU-second: CPU work +200 %, wall time +100 %, "
        "parallelism +50 % (2.0 → 3.0 cores used)"
    )
    assert (efficiency.tolerance, efficiency.judged_by) == (0.1, "side by side")
    assert "more than 7 % as measured and more than 4 % for certain" in efficiency.rule


def test_errors_are_shared_by_looks_and_hypotheses():
    assert errors_of_look(3, 10) == Errors(
        pytest.approx(0.1 * 0.005), pytest.approx(0.1 * 0.005), pytest.approx(0.1 * 0.05)
    )
    assert errors_of_look(12, 1) == Errors(
        pytest.approx(0.035), pytest.approx(0.035), pytest.approx(0.035)
    )


def test_a_verdict_is_that_of_its_own_metric_and_of_the_stored_pairs():
    stored = [[Pair(0.2, 0.001), Pair(-0.2, -0.001)] * 2] * 3
    pairs = [Pair(0.0, -0.3), Pair(0.01, -0.31), Pair(-0.01, -0.29)]
    throughput, efficiency = duet(pairs, stored)
    assert (throughput.status, efficiency.status) == ("inconclusive", "regression")
    expected = mean_ratio([0.0, 0.01, -0.01], [[0.2, -0.2, 0.2, -0.2]] * 3, INTERPRETERS)
    assert throughput.detectable == detectable_loss(expected, 0.05, errors_of_look(3, 2), BEYOND)
    assert throughput.pairs_to_decide == pairs_to_decide(expected, 3, 0.05, 2)
    assert efficiency.pairs_to_decide is None
    passed, _ = duet([Pair(0.0, 0.0)] * 3)
    assert (passed.status, passed.pairs_to_decide, passed.rule) == ("pass", None, "")


def test_stored_pairs_count_by_their_degrees_of_freedom():
    """1 where that is all there is; `STORED_DOF` at the most."""
    little = mean_ratio([0.0, 0.0, 0.0], [[0.3, 0.1]], between=0.0)
    none = mean_ratio([0.0, 0.0, 0.0], between=0.0)
    assert little.dof == none.dof + 1
    assert little.variance * little.dof == pytest.approx(none.variance * none.dof + 0.02 / 3)
    much = mean_ratio([0.0, 0.0, 0.0], [[0.3, 0.1]] * 9, between=0.0)
    assert much.dof == none.dof + STORED_DOF
    per_dof = 0.02 * 9 / 9
    assert much.variance * much.dof == pytest.approx(
        none.variance * none.dof + STORED_DOF * per_dof / 3
    )


def test_advice_where_pairs_are_left_and_where_none_are():
    def advice(spread, count, efficiency=0.0, tolerance=POLICY.tolerance):
        noise = [(-1) ** n for n in range(count)]
        found = duet(
            [Pair(spread * one, efficiency * one) for one in noise],
            policy=POLICY.with_tolerance(tolerance),
        )
        assert found[0].status == "inconclusive"
        if efficiency:
            assert found[1].advice == found[0].advice
        return found[0].advice

    def would_pass(spread):
        ratio = mean_ratio([spread * (-1) ** n for n in range(12)], interpreters=INTERPRETERS)
        lowest = 1 - math.exp(ratio.log_ratio - student_t(1 - 0.7 * 0.05, ratio.dof) * ratio.sd)
        return math.ceil(100 * lowest)

    def tolerate(throughput, cpu_efficiency):
        return (
            "tolerate more: it would have passed with a tolerance of "
            f"throughput={throughput}%,cpu_efficiency={cpu_efficiency}% (--tf-threads-tolerance, "
            "or `tolerance` of the marker)"
        )

    assert advice(0.1, 11) == (
        "more pairs: the duet ended after 11, and up to 12 may help (--tf-threads-max-processes)",
    )
    quieter = (
        "12 pairs did not decide it, nor would a few more: measure on a quieter machine, or each "
        "process for longer (--benchmark-max-time)"
    )
    for spread in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        assert advice(spread, 12) == (quieter, tolerate(would_pass(spread), 10))
    # Of a test that failed by its other metric no tolerance is named that would have let it pass.
    slow = duet([Pair(0.2 * (-1) ** n, -0.3 + 0.001 * (-1) ** n) for n in range(12)])
    assert [one.status for one in slow] == ["inconclusive", "regression"]
    assert slow[0].advice == (quieter,)
    # What passes keeps its tolerance, and what is open too is in the same value.
    tolerance = {"throughput": 0.05, "cpu_efficiency": 0.125}
    assert advice(0.2, 12, tolerance=tolerance) == (quieter, tolerate(would_pass(0.2), 12.5))
    assert advice(0.2, 12, 0.4) == (quieter, tolerate(would_pass(0.2), would_pass(0.4)))
    assert advice(15.0, 12) == (quieter,)


def test_a_tolerance_that_is_advised_passes():
    pairs = [Pair(0.2 * (-1) ** n, 0.3 * (-1) ** n) for n in range(12)]
    (*_, advice), _ = (one.advice for one in duet(pairs))
    shares = re.findall(r"(\w+)=([0-9.]+)%", advice)
    wider = POLICY.with_tolerance({metric: float(share) / 100 for metric, share in shares})
    assert [one.status for one in duet(pairs, policy=wider)] == ["pass", "pass"]


def test_how_far_a_verdict_is_foreseen():
    """As if all further pairs were like those so far, with the errors of each look."""
    ratio, pairs = LogRatio(0.0, 0.04**2 / 3, 4.5), 3

    def is_open(count):
        foreseen = LogRatio(0.0, ratio.variance * pairs / count, ratio.dof + count - pairs)
        return status_of(foreseen, 0.05, errors_of_look(count, 8), BEYOND) == "inconclusive"

    found = pairs_to_decide(ratio, pairs, 0.05, 8)
    assert found is not None
    assert [is_open(count) for count in range(pairs + 1, found + 1)] == [
        *[True] * (found - pairs - 1),
        False,
    ]
    assert pairs_to_decide(LogRatio(0.0, 1e-9, 4.5), pairs, 0.05, 8) == pairs + 1
    # The last that is looked at is the hundredth.
    spreads = [0.2 * 1.002**n for n in range(400)]
    seen = [pairs_to_decide(LogRatio(0.0, one**2 / 3, 4.5), 3, 0.05, 8) for one in spreads]
    known = [one for one in seen if one is not None]
    assert max(known) == MOST_FORESEEN == 100
    assert None in seen


def test_pairs_after_a_look_that_decides_are_not_looked_at():
    loss = [math.log(0.8)] * 3
    assert status_by_looks([*loss, *[0.5] * 9], 0.05, 2) == "regression"
    noisy = [-0.05, 0.05, 0.0]
    assert status_by_looks(noisy, 0.05, 2) == "inconclusive"
    assert status_by_looks([*noisy, *[math.log(0.7)] * 9], 0.05, 2) != "pass"


def test_when_a_duet_is_over():
    open_, closed = duet([Pair(0.1, 0.0), Pair(-0.1, 0.0), Pair(0.0, 0.0)])
    assert (open_.status, closed.status) == ("inconclusive", "pass")
    assert not is_decided([open_, closed], LOOKS[-1] - 1)
    assert is_decided([open_, closed], LOOKS[-1])
    assert is_decided([closed], 1)


# -- for any pairs --------------------------------------------------------------------------------

LOGS = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=12)
STORED = st.lists(st.lists(st.floats(-0.3, 0.3), max_size=6), max_size=4)
WORST_FIRST = ("regression", "inconclusive", "pass", "improvement")


def close(one, other):
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)


@tried(150)
@given(LOGS, STORED, st.floats(-0.2, 0.2), st.randoms(use_true_random=False))
def test_a_mean_of_pairs_depends_on_no_order_and_moves_with_them(logs, stored, shift, random):
    found = mean_ratio(logs, stored)
    shuffled, runs = [*logs], [*stored]
    random.shuffle(shuffled)
    random.shuffle(runs)
    # What all pairs of a saved run have in common is a change of speed, and no noise.
    moved = mean_ratio(
        [one + shift for one in shuffled], [[one - shift for one in run] for run in runs]
    )
    mirrored = mean_ratio([-one for one in logs], stored)
    assert min(logs) - 1e-12 <= found.log_ratio <= max(logs) + 1e-12
    assert close(moved.log_ratio, found.log_ratio + shift)
    assert close(mirrored.log_ratio, -found.log_ratio)
    for other in (moved, mirrored):
        assert close(other.variance, found.variance)
        assert close(other.dof, found.dof)


@tried(100)
@given(LOGS, STORED, st.floats(0, 0.5), st.sampled_from([1, 2, 26, 400]))
def test_a_slower_candidate_is_judged_no_better(logs, stored, slower, hypotheses):
    def statuses(by):
        pairs = [Pair(one - by, one - by) for one in logs]
        runs = [[Pair(one, one) for one in run] for run in stored]
        return [one.status for one in duet(pairs, runs, hypotheses)]

    for now, then in zip(statuses(slower), statuses(0.0), strict=True):
        assert WORST_FIRST.index(now) <= WORST_FIRST.index(then)


def test_pairs_far_apart_are_believed_more_than_what_is_expected():
    found = mean_ratio([0.1, -0.1, 0.05, -0.05], between=0.0)
    squares, prior = 0.025, 0.015**2
    weight = 2.5 * (3 * prior / squares) ** 2
    assert found.dof == pytest.approx(3 + weight)
    assert found.variance == pytest.approx((squares + weight * prior) / found.dof / 4)
    with pytest.raises(ValueError, match=r"^a mean needs a pair or more$"):
        mean_ratio([])


def test_without_saved_pairs_a_loss_is_limited_as_in_the_verdict():
    assert status_by_looks([math.log(0.955)] * 12, 0.05, 1) == "regression"
    assert status_by_looks([math.log(0.97)] * 12, 0.05, 1) == "pass"


def test_what_is_foreseen_is_limited_as_in_the_verdict():
    """A little less than the tolerance: too little for saved runs, and enough side by side."""
    found = pairs_to_decide(LogRatio(-0.0505, 0.01**2 / 3, 4.5), 3, 0.05, 1)
    assert found is not None
    assert found <= LOOKS[-1]
