"""Is this code slower than that, where processes of both took turns on the same CPUs?

A pair of processes gives one log ratio for each metric (`pairs`); the pair is the sample. After
`LOOKS` pairs we look whether they decide. With x the mean log ratio:

- regression: we are sure at the suite's level that x is below -margin (0.4 × tolerance: 2 % where
  5 % is tolerated), and x itself is below -`BEYOND` × tolerance (3.5 %);
- improvement: the same upwards;
- pass: we are 95 % sure that x is above -tolerance;
- else inconclusive: more pairs, or after the last look, what would help.

Where other programs held one side back more than the other, a change of throughput has to be one
without that, too (`held_back_more`): they waited in other moments, and no code made that.

So a loss of the tolerance or more is found, one of the margin or less passes, and one between the
two is decided by which side of `BEYOND` its estimate is on, once the interval is narrow enough for
either. On recorded pairs that spread by 1 to 3 %, in a suite of one test, a loss of 3 % is called a
regression in 6 to 12 of 100 duets, one of 4 % in 71 to 80, one of 5 % in 96 or more. Against saved
runs the estimate must be beyond the tolerance itself; here that would miss half of the losses just
as large, which turns can see.

Three looks are three chances to be wrong, so they share every error (Bonferroni): little of it for
the first, which is to decide what is clear, most for the last, after which nothing can be gained.

The spread of pairs is moderated, as in `noise`: a weighted mean of the variance of these pairs, of
those in saved runs about their own means, and of what is to be expected. Pairs that are farther
apart than that are believed more than it is, and then need to be more: what is expected counts the
less, the more they speak against it.

All processes of a side that are forked from one interpreter have its luck in common, such as its
address layout, and pairs of the same two interpreters do not show it in their spread. So each side
has `INTERPRETERS` of them in turn, and what remains of their luck enters the variance of the mean
(`luck`).

The constants were chosen by the rates of false alarms and of detection on recorded pairs and on
drawn ones; benchmarks/gate/replay.py prints them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from pytest_tfthreads.core.format import round_percent, signed_percent
from pytest_tfthreads.core.gate.others import held_back_more
from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import (
    MARGIN,
    PASS_ERROR,
    SIDE_BY_SIDE,
    Errors,
    Judged,
    Policy,
    Verdict,
    conclude,
    level_of_one,
    status_of,
)
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.stats.estimates import (
    LogRatio,
    change_from_log,
    share_spent,
    sum_of_squares,
)
from pytest_tfthreads.core.tolerance import METRICS

LOOKS = (3, 6, 12)
"""Numbers of pairs after which the verdict is looked at."""
SPENT = (0.1, 0.2, 0.7)
"""Share of every error that each look may spend."""
BEYOND = 0.7
"""Share of the tolerance that the estimate of a regression exceeds: midway between the margin and
the tolerance, so that a loss of either is rarely taken for the other."""
EXPECTED = 0.015
"""Spread (of a logarithm) between pairs that is expected: the median of what was recorded."""
EXPECTED_DOF = 2.5
"""Degrees of freedom that it counts for."""
UNREPEATED = 0.1
"""The same before the first look. One pair or two say little or nothing of their own spread, and
some workloads spread like this: the expected spread alone must not decide."""
UNREPEATED_DOF = 4.0
MOST_FORESEEN = 100
"""The most pairs of which it is said that they would decide a verdict."""
INTERPRETERS = 3
"""So many interpreters each side has. One pair after the other is forked from them, in turn."""
BETWEEN = 0.008
"""Standard deviation, from one pair of interpreters to the next, of the log ratio of the speeds of
unchanged code: that of graphs of small ops. benchmarks/gate/interpreters.py measures it."""
BETWEEN_DOF = 20.0
"""Degrees of freedom that it counts for: it was measured, but of other workloads."""
STORED_DOF = 2.5
"""The most degrees of freedom that pairs of saved runs count for: the machine of today may be
noisier."""


def judge_duet(
    test: str,
    now: Measurement,
    then: Measurement,
    pairs: Sequence[Pair],
    stored: Sequence[Sequence[Pair]],
    policy: Policy,
    hypotheses: int,
    against: str,
) -> tuple[Verdict, Verdict]:
    """Verdicts on throughput and on CPU efficiency after these pairs.

    `now` is the candidate's measurement and `then` the baseline's, in words `against`. `stored`
    are pairs of this test in saved runs, run by run: what they say of the noise. `hypotheses` is
    how many verdicts the suite will have. Raises `ValueError` where there is no pair, or no
    hypothesis.
    """
    if not pairs:
        raise ValueError(f"{test}: a duet needs a pair or more")
    errors = errors_of_look(len(pairs), hypotheses)
    # A fresh process is an interpreter of its own: no pair shares one with another.
    interpreters = MOST_FORESEEN if now.start == then.start == "fresh" else INTERPRETERS
    ratios = {
        metric: mean_ratio(
            [getattr(pair, metric) for pair in pairs],
            [[getattr(pair, metric) for pair in run] for run in stored],
            interpreters,
        )
        for metric in METRICS
    }
    verdicts = [
        conclude(
            Judged(
                test=test,
                metric=metric,
                now=now,
                then=then,
                against=against,
                ratio=ratios[metric],
                other_log_ratio=other.log_ratio,
                remedies=_remedies(len(pairs)),
            ),
            policy.tolerance[metric],
            errors,
            BEYOND,
        )
        for metric, other in zip(METRICS, reversed(ratios.values()), strict=True)
    ]
    hindered = held_back_more(now, then, len(pairs))
    foreseen = ratios
    throughput = _beside_others(verdicts[0], ratios["throughput"], hindered, len(pairs))
    if throughput is not verdicts[0]:
        verdicts[0] = throughput
        foreseen = {**ratios, "throughput": _unhindered(ratios["throughput"], hindered)}
    if len(pairs) >= LOOKS[-1]:
        verdicts = _with_wider_tolerance(verdicts, ratios, errors.passed)
    throughput, cpu_efficiency = verdicts
    return (
        _by_duet(throughput, foreseen, len(pairs), hypotheses, interpreters),
        _by_duet(cpu_efficiency, foreseen, len(pairs), hypotheses, interpreters),
    )


def _beside_others(verdict: Verdict, ratio: LogRatio, hindered: float, pairs: int) -> Verdict:
    """The same, if the estimate says so too without what others held back from one side.

    A loss with and none without, or none with and a loss without, is open: the two contradict each
    other. A gain that others made is none.
    """
    if not hindered:
        return verdict
    log_ratio = _unhindered(ratio, hindered).log_ratio
    is_loss = log_ratio < math.log1p(-BEYOND * verdict.tolerance)
    is_gain = log_ratio > math.log1p(BEYOND * verdict.tolerance)
    why = _what_others_did(ratio, hindered)
    reason = f"{verdict.reason}; {why}"
    if verdict.status != "inconclusive" and (verdict.status == "regression") != is_loss:
        # Summaries tell the advice of what is open, and no reason.
        advice = (f"a quieter machine: {why}", *_remedies(pairs))
        return replace(verdict, status="inconclusive", reason=reason, rule="", advice=advice)
    if verdict.status == "improvement" and not is_gain:
        return replace(verdict, status="pass", reason=reason, rule="", advice=())
    return verdict


def _unhindered(ratio: LogRatio, hindered: float) -> LogRatio:
    return replace(ratio, log_ratio=ratio.log_ratio + hindered)


def _what_others_did(ratio: LogRatio, hindered: float) -> str:
    change = signed_percent(change_from_log(_unhindered(ratio, hindered).log_ratio))
    side = "this side back more than the baseline" if hindered > 0 else "the baseline back more"
    return f"other programs held {side}, and without that the change is {change}"


def is_decided(verdicts: Sequence[Verdict], pairs: int) -> bool:
    """No more pairs are needed: every metric is decided, or the looks are used up."""
    return pairs >= LOOKS[-1] or all(verdict.status != "inconclusive" for verdict in verdicts)


def errors_of_look(pairs: int, hypotheses: int) -> Errors:
    """How often each verdict of the look at so many pairs may be wrong; raises `ValueError`."""
    spent = share_spent(LOOKS, SPENT, pairs)
    level = spent * level_of_one(hypotheses)
    return Errors(level, level, spent * PASS_ERROR)


def status_by_looks(logs: Sequence[float], tolerance: float, hypotheses: int) -> str:
    """The verdict on one metric of a test without saved pairs, from one log ratio a pair.

    Pairs that come after a look that decides are not looked at.
    """
    status = "inconclusive"
    for look in LOOKS:
        ratio = mean_ratio(logs[:look], interpreters=INTERPRETERS)
        status = status_of(ratio, tolerance, errors_of_look(look, hypotheses), BEYOND)
        if status != "inconclusive":
            break
    return status


def mean_ratio(
    logs: Sequence[float],
    stored: Sequence[Sequence[float]] = (),
    interpreters: int = 1,
    between: float = BETWEEN,
) -> LogRatio:
    """The mean of one log ratio a pair, with a moderated variance.

    `stored` are those of saved runs, run by run. `interpreters`: how many each side has, which pair
    after pair has in turn; `between`: what one of them changes. Raises `ValueError` where there is
    no pair.
    """
    if not logs:
        raise ValueError("a mean needs a pair or more")
    is_repeated = len(logs) >= LOOKS[0]
    expected = EXPECTED if is_repeated else UNREPEATED
    expected_dof = EXPECTED_DOF if is_repeated else UNREPEATED_DOF
    all_stored_dof = sum(len(run) - 1 for run in stored if run)
    stored_dof = min(STORED_DOF, all_stored_dof)
    stored_variance = (
        sum(sum_of_squares(run) for run in stored if run) / all_stored_dof
        if all_stored_dof
        else 0.0
    )
    prior_dof = stored_dof + expected_dof
    prior = (stored_dof * stored_variance + expected_dof * expected**2) / prior_dof
    own_dof = len(logs) - 1
    squares = sum_of_squares(logs)
    if squares > own_dof * prior:
        prior_dof *= (own_dof * prior / squares) ** 2
    dof = own_dof + prior_dof
    variance = (squares + prior_dof * prior) / dof / len(logs)
    return with_luck(LogRatio(fmean(logs), variance, dof), luck(len(logs), interpreters, between))


def with_luck(shown: LogRatio, hidden: float) -> LogRatio:
    """With the `luck` of interpreters in the variance.

    Degrees of freedom are those of F. E. Satterthwaite, "An approximate distribution of estimates
    of variance components", 1946. Where pairs alone have few, a little luck can make the far ends
    of an interval narrower all the same; simulated error rates keep to what is promised.
    """
    if not hidden:
        return shown
    variance = shown.variance + hidden
    dof = variance**2 / (shown.variance**2 / shown.dof + hidden**2 / BETWEEN_DOF)
    return LogRatio(shown.log_ratio, variance, dof)


def luck(pairs: int, interpreters: int, between: float = BETWEEN) -> float:
    """Of the variance of a mean, what the luck of interpreters adds to that which pairs show.

    `between` is the standard deviation from one pair of interpreters to the next. Nothing where
    each pair has its own: their spread shows all. All of it where all pairs have the same.
    """
    if pairs <= interpreters:
        return 0.0 if interpreters > 1 else between**2
    counts = [len(range(one, pairs, interpreters)) for one in range(interpreters)]
    shared = sum((count / pairs) ** 2 for count in counts)
    shown = (1 - shared) / (pairs - 1)
    return float(between**2 * (shared - shown))


def pairs_to_decide(
    ratio: LogRatio,
    pairs: int,
    tolerance: float,
    hypotheses: int,
    interpreters: int = INTERPRETERS,
) -> int | None:
    """With how many pairs all together the verdict would be decided, if all are as these `pairs`.

    None where a hundred would not do. `interpreters`: how many each side has.
    """
    for count in range(pairs + 1, MOST_FORESEEN + 1):
        shown = max(0.0, ratio.variance - luck(pairs, interpreters)) * pairs / count
        foreseen = with_luck(
            LogRatio(ratio.log_ratio, shown, ratio.dof + count - pairs), luck(count, interpreters)
        )
        errors = errors_of_look(count, hypotheses)
        if status_of(foreseen, tolerance, errors, BEYOND) != "inconclusive":
            return count
    return None


def _by_duet(
    verdict: Verdict,
    ratios: Mapping[str, LogRatio],
    pairs: int,
    hypotheses: int,
    interpreters: int,
) -> Verdict:
    """As the duet's; a regression with its two limits, both of which are below the tolerance."""
    verdict = replace(verdict, judged_by=SIDE_BY_SIDE)
    if verdict.status == "inconclusive":
        ratio = ratios[verdict.metric]
        needed = pairs_to_decide(ratio, pairs, verdict.tolerance, hypotheses, interpreters)
        return replace(verdict, pairs_to_decide=needed)
    if verdict.status != "regression":
        return verdict
    certain, measured = (round_percent(share * verdict.tolerance) for share in (MARGIN, BEYOND))
    return replace(
        verdict,
        rule=(
            f"side by side, a loss is a regression if it is more than {measured} as measured and "
            f"more than {certain} for certain ({BEYOND} and {MARGIN} of the tolerance)"
        ),
    )


def _remedies(pairs: int) -> tuple[str, ...]:
    if pairs < LOOKS[-1]:
        return (
            f"more pairs: the duet ended after {pairs}, and up to {LOOKS[-1]} may help "
            "(--tf-threads-max-processes)",
        )
    return (
        f"{pairs} pairs did not decide it, nor would a few more: measure on a quieter machine, or "
        "each process for longer (--benchmark-max-time)",
    )


def _with_wider_tolerance(
    verdicts: Sequence[Verdict], ratios: Mapping[str, LogRatio], pass_error: float
) -> list[Verdict]:
    """With the advice to tolerate as much, in one value for the test, as its open verdicts need.

    Where the other metric has regressed, no such value would have let the test pass.
    """
    if any(one.status == "regression" for one in verdicts):
        return list(verdicts)
    tolerances = {}
    for one in verdicts:
        tolerances[one.metric] = f"{100 * one.tolerance:g}%"
        if one.status == "inconclusive":
            ratio = ratios[one.metric]
            lowest = change_from_log(ratio.log_ratio - ratio.half_width(1 - pass_error))
            whole = math.ceil(-100 * lowest)  # as people write it
            if whole >= 100 or whole <= 100 * one.tolerance:  # noise is not what keeps it open
                return list(verdicts)
            tolerances[one.metric] = f"{whole}%"
    value = ",".join(f"{metric}={share}" for metric, share in tolerances.items())
    advice = (
        "tolerate more: it would have passed with a tolerance of "
        f"{value} (--tf-threads-tolerance, or `tolerance` of the marker)"
    )
    return [
        replace(one, advice=(*one.advice, advice)) if one.status == "inconclusive" else one
        for one in verdicts
    ]
