"""Is a measurement slower than its baseline? The rule, its words, and nothing of pytest.

`conclude` makes a verdict of what is known of a change of speed; `judge` and `judge_all` know it
from saved runs, `duet` from processes of both revisions that took turns. Of saved runs those of the
present level count (`level`), and the machine of the day is taken out as far as the reference
workload tells it (`correction`). With x the log of speed now / baseline, and for saved runs the
prediction interval of `drift` around it:

- regression: x is below -tolerance, and we are sure at the suite's level that it is below -margin
  (0.4 × tolerance: 2 % where 5 % is tolerated);
- improvement: the same upwards;
- pass: we are 95 % sure that x is above -tolerance;
- else inconclusive, with what could have been detected and what would sharpen it.

A correction can make a verdict milder, and makes no loss out of nothing: a regression or an
improvement is one without the correction too, as estimated. Else a loss is inconclusive, and a gain
a pass.

Sure at the suite's level: the chance of any false regression in a suite of unchanged code is to be
5 %. A test is judged when it is measured, before the others are, so each of m hypotheses (tests ×
metrics) gets 5 %/m (Bonferroni); `judge_all`, which has two complete runs, does better (Holm).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Annotated, Any

from pytest_tfthreads.core.comparable import History, changed_software
from pytest_tfthreads.core.contention import mean_of
from pytest_tfthreads.core.decode import Count, NotNegative, OneOf, Within, decode, encode
from pytest_tfthreads.core.format import percent, round_percent, signed_percent
from pytest_tfthreads.core.gate.correction import (
    BY_BOTH,
    BY_WALL,
    CONTENTION_SHARE,
    EXPECTED,
    NOT,
    anchor_of,
    correction_of,
    is_usable,
    log_speeds,
    wall_time_lost,
)
from pytest_tfthreads.core.gate.level import present_level
from pytest_tfthreads.core.gate.others import (
    ENOUGH_RUNS,
    differ,
    scatter_beside_others,
    spread_by_others,
)
from pytest_tfthreads.core.gate.suite_drift import Drifts, drifts_of, machine_of
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.stats.change_points import Session
from pytest_tfthreads.core.stats.drift import Prediction, predict
from pytest_tfthreads.core.stats.estimates import (
    FAMILYWISE_ERROR,
    Estimate,
    LogRatio,
    change_from_log,
    holm,
    mean_of_ratios,
)
from pytest_tfthreads.core.tolerance import METRICS

STATUSES = (
    "regression",
    "inconclusive",
    "not-comparable",
    "no-baseline",
    "improvement",
    "pass",
)
"""Worst first."""
FAILING = ("regression", "inconclusive", "no-baseline", "not-comparable")
"""Those that may fail a test, if the user says so."""
SAVED_RUNS = "saved runs"
SIDE_BY_SIDE = "side by side"
JUDGES = (SAVED_RUNS, SIDE_BY_SIDE)
PASS_ERROR = 0.05
POWER = 0.8
MARGIN = 0.4
"""Share of the tolerance that a regression must exceed for sure. All of it would be asking too
much: a change that is just a little beyond the tolerance could then never be reported."""
REFERENCE_SHIFT = 0.1
"""Changes of the machine's own speed beyond this are worth telling."""
ENOUGH_S = 0.5
"""A process that measured for less may owe its speed to the state that a CPU happened to be in."""
_NO_CORRECTION = ("measuring side by side (--tf-threads-duet), which needs no correction",)

ChangeOfSpeed = Annotated[float, Within(-1)]
"""As a share; all that can be lost is -1."""


@dataclass(frozen=True)
class Policy:
    """What is tolerated, by metric, as a share of the speed; and which verdicts fail a test.

    Raises `ValueError` on a metric or a verdict that does not exist, and on a tolerance that is no
    share between 0 and 1.
    """

    tolerance: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(METRICS, 0.05))
    fail_on: frozenset[str] = frozenset({"regression"})

    def __post_init__(self) -> None:
        if set(self.tolerance) != set(METRICS):
            raise ValueError(
                f"tolerance of {sorted(self.tolerance)}; expected one for each of {METRICS}"
            )
        for metric, share in self.tolerance.items():
            if not 0 < share < 1:
                raise ValueError(f"tolerance of {metric}: {share} is not between 0 and 1")
        if unknown := self.fail_on - set(STATUSES):
            raise ValueError(f"fail on {sorted(unknown)}; known verdicts are {STATUSES}")

    def with_tolerance(self, tolerance: Mapping[str, float]) -> Policy:
        """The same, where a test tolerates something else."""
        return replace(self, tolerance={**self.tolerance, **tolerance})

    def fails(self, verdict: Verdict) -> bool:
        """Whether the verdict fails its test."""
        return verdict.status in self.fail_on

    def fails_run(self, verdicts: Iterable[Verdict]) -> bool:
        """Whether a run with these verdicts, all that it has, fails for having judged nothing.

        It does where a missing baseline is to fail a test: then nothing must go unjudged unseen.
        """
        return "no-baseline" in self.fail_on and judged_nothing(verdicts)


@dataclass(frozen=True)
class Change:
    """A relative change of speed (-0.31: 31 % slower) with its interval.

    The interval's level, `confidence`, is that of the verdict: a pass is an interval whose lower
    end is within the tolerance. Against saved runs that is 90 %; a duet, which looks more than
    once, asks for more: 99, 98 and 93 % at its three looks.
    """

    value: ChangeOfSpeed
    low: ChangeOfSpeed
    high: ChangeOfSpeed
    confidence: Annotated[float, Within(0, 1)] = 0.9


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one metric of one test.

    `baseline` and `now` are speeds as measured, in units a second or a CPU-second; that of several
    runs is the mean of theirs, with an interval from one figure a run. `change` is corrected by the
    reference workload if `corrected`. `detectable` is the smallest loss of speed that would have
    been reported as a regression with 80 % probability. `change` and `detectable` are `None` where
    nothing was judged. `rule` says by what a regression is one, where the tolerance alone does not.
    `named` is when the baseline was measured, if the user chose the baseline: the user who names a
    run accepts its speed. `measured` is the change without the correction, where there is one.
    `judged_by` says which rule judged, and `no_duet` why saved runs alone had to judge what should
    have been measured side by side. `pairs_to_decide`: how many pairs of processes all together
    would have decided it, if they are as those that were measured. `software`: which versions
    differ from those beside which the saved baseline was measured.
    """

    test: str
    metric: Annotated[str, OneOf(METRICS)]
    status: Annotated[str, OneOf(STATUSES)]
    configuration: str
    unit: str
    now: Estimate
    tolerance: NotNegative
    reason: str
    judged_against: str = ""
    baseline: Estimate | None = None
    change: Change | None = None
    detectable: ChangeOfSpeed | None = None
    corrected: bool = False
    advice: tuple[str, ...] = ()
    rule: str = ""
    named: str = ""
    measured: ChangeOfSpeed | None = None
    judged_by: Annotated[str, OneOf(JUDGES)] = SAVED_RUNS
    no_duet: str = ""
    pairs_to_decide: Count | None = None
    software: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the fields."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """Raises `DecodeError`."""
        return decode(cls, data)


def judged_nothing(verdicts: Iterable[Verdict]) -> bool:
    """Whether no measurement had anything to be compared with; true of no verdicts, too."""
    return all(verdict.change is None for verdict in verdicts)


@dataclass(frozen=True)
class Judged:
    """One metric of one test that has a baseline: all that a verdict needs but the errors.

    `ratio` is of the speeds now / baseline, `other_log_ratio` that of the other metric. `against`
    names the baseline. `speed_then` is the speed of a baseline of several runs; `None`: that of
    `then`. `advice` is what to do if it improved, `remedies` if it stays inconclusive.
    `corrected`: by the reference workload; `measured_log_ratio` is then the ratio without that.
    """

    test: str
    metric: str
    now: Measurement
    then: Measurement
    against: str
    ratio: LogRatio
    other_log_ratio: float
    corrected: bool = False
    measured_log_ratio: float = 0.0
    advice: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    named: str = ""
    software: str = ""
    speed_then: Estimate | None = None


@dataclass(frozen=True)
class Errors:
    """How often each verdict may be wrong, one-sided; for `passed`: of a loss of the tolerance."""

    slower: float
    faster: float
    passed: float = PASS_ERROR


def judge(
    test: str,
    now: Measurement,
    history: History,
    policy: Policy,
    hypotheses: int,
    drifts: Drifts | None = None,
) -> tuple[Verdict, Verdict]:
    """Verdicts on throughput and on CPU efficiency, where the rest of the suite is not known yet.

    `hypotheses` is how many verdicts the suite will have: two a test that is measured. `drifts` is
    how far the suite's tests drift, as far as saved runs tell.
    """
    level = level_of_one(hypotheses)
    throughput, cpu_efficiency = (
        conclude(judged, policy.tolerance[judged.metric], Errors(level, level))
        if isinstance(judged, Judged)
        else judged
        for judged in _prepare(test, now, history, policy, drifts or {})
    )
    return throughput, cpu_efficiency


def judge_all(
    measured: Sequence[tuple[str, Measurement, History]],
    policy: Policy,
    own: Mapping[str, Mapping[str, float]] | None = None,
) -> list[Verdict]:
    """Verdicts on complete runs, two a test in the order given: Holm's step-down levels.

    `own`: by test, what it tolerates itself in place of the policy, by metric.
    """
    policies = {test: policy.with_tolerance(tolerance) for test, tolerance in (own or {}).items()}
    of_machine: dict[str, list[Sequence[Measurement]]] = {}
    for _, now, history in measured:
        of_machine.setdefault(machine_of(now), []).append(history.measurements)
    drifts = {machine: drifts_of(histories) for machine, histories in of_machine.items()}
    prepared = [
        one
        for test, now, history in measured
        for one in _prepare(test, now, history, policies.get(test, policy), drifts[machine_of(now)])
    ]
    judged = [one for one in prepared if isinstance(one, Judged)]
    slower, faster = [], []
    for one in judged:
        tolerance = policies.get(one.test, policy).tolerance[one.metric]
        low, high = _log_bounds(MARGIN * tolerance)
        slower.append(one.ratio.p_value(low))
        faster.append(1 - one.ratio.p_value(high))
    levels = zip(holm(slower), holm(faster), strict=True)
    return [
        conclude(one, policies.get(one.test, policy).tolerance[one.metric], Errors(*next(levels)))
        if isinstance(one, Judged)
        else one
        for one in prepared
    ]


def level_of_one(hypotheses: int) -> float:
    """The level of each verdict in a suite of so many (Bonferroni); raises `ValueError`."""
    if hypotheses < 1:
        raise ValueError(f"{hypotheses} hypotheses; there is at least this one")
    return FAMILYWISE_ERROR / hypotheses


def conclude(judged: Judged, tolerance: float, errors: Errors, beyond: float = 1.0) -> Verdict:
    """The rule: see the top of this file.

    `beyond` is the share of the tolerance that the estimate of a regression must exceed.
    """
    ratio = judged.ratio
    log_ratio = ratio.log_ratio
    corrected = status_of(ratio, tolerance, errors, beyond)
    status = _borne_out(judged, corrected, tolerance, beyond)
    is_unbelieved = corrected == "regression" and status == "inconclusive"
    detectable = detectable_loss(ratio, tolerance, errors, beyond)
    shown_width = ratio.half_width(1 - errors.passed)
    change = Change(
        change_from_log(log_ratio),
        change_from_log(log_ratio - shown_width),
        change_from_log(log_ratio + shown_width),
        1 - 2 * errors.passed,
    )
    return Verdict(
        test=judged.test,
        metric=judged.metric,
        status=status,
        configuration=_configuration(judged.now),
        unit=judged.now.unit,
        now=_speed(judged.now, judged.metric),
        tolerance=tolerance,
        reason=_unbelieved(judged, change)
        if is_unbelieved
        else _reason(judged, status, change, tolerance, detectable),
        judged_against=judged.against,
        baseline=judged.speed_then or _speed(judged.then, judged.metric),
        change=change,
        detectable=detectable,
        corrected=judged.corrected,
        advice=_NO_CORRECTION
        if is_unbelieved
        else {"improvement": judged.advice, "inconclusive": judged.remedies}.get(status, ()),
        rule=_rule(tolerance) if status == "regression" else "",
        measured=change_from_log(judged.measured_log_ratio) if judged.corrected else None,
        named=judged.named,
        software=judged.software,
    )


def _rule(tolerance: float) -> str:
    """By what a regression against saved runs is one."""
    certain, estimated = (round_percent(share * tolerance) for share in (MARGIN, 1))
    return (
        f"against saved runs, a loss is a regression if it is more than {estimated} as estimated "
        f"and more than {certain} for certain (the tolerance, and {MARGIN} of it)"
    )


def status_of(ratio: LogRatio, tolerance: float, errors: Errors, beyond: float = 1.0) -> str:
    """The rule itself, with the arguments of `conclude`."""
    log_ratio = ratio.log_ratio
    tolerated, _ = _log_bounds(tolerance)
    margin, margin_up = _log_bounds(MARGIN * tolerance)
    least, least_up = _log_bounds(beyond * tolerance)
    if log_ratio + ratio.half_width(1 - errors.slower) < margin and log_ratio < least:
        return "regression"
    if log_ratio - ratio.half_width(1 - errors.faster) > margin_up and log_ratio > least_up:
        return "improvement"
    if log_ratio - ratio.half_width(1 - errors.passed) > tolerated:
        return "pass"
    return "inconclusive"


def detectable_loss(
    ratio: LogRatio, tolerance: float, errors: Errors, beyond: float = 1.0
) -> float:
    """The smallest loss of speed, as a share, that `conclude` calls a regression 80 % of the time.

    It depends on how sure `ratio` is, and not on what it is.
    """
    margin, _ = _log_bounds(MARGIN * tolerance)
    least, _ = _log_bounds(beyond * tolerance)
    reported_from = max(-margin + ratio.half_width(1 - errors.slower), -least)
    # 80 % of the time the estimate is at most this much above the truth.
    return -change_from_log(-reported_from - ratio.half_width(POWER))


def _borne_out(judged: Judged, status: str, tolerance: float, beyond: float) -> str:
    """The verdict, as far as what was measured bears it out without the correction."""
    least, least_up = _log_bounds(beyond * tolerance)
    if judged.corrected and status == "regression" and judged.measured_log_ratio >= least:
        return "inconclusive"
    if judged.corrected and status == "improvement" and judged.measured_log_ratio <= least_up:
        return "pass"
    return status


@dataclass(frozen=True)
class _Compared:
    """One metric of a test beside the runs of its present level."""

    prediction: Prediction
    measured_log_ratio: float
    correction: str
    spread_by_others: float
    members: tuple[int, ...]  # of the history


def _prepare(
    test: str, now: Measurement, history: History, policy: Policy, drifts: Drifts
) -> list[Judged | Verdict]:
    if not history.measurements:
        return [
            Verdict(
                test=test,
                metric=metric,
                status=history.status,
                configuration=_configuration(now),
                unit=now.unit,
                now=_speed(now, metric),
                tolerance=policy.tolerance[metric],
                reason=history.problem,
                judged_against=history.baseline,
                named=history.named,
            )
            for metric in METRICS
        ]
    found = {metric: _compared(metric, now, history, drifts) for metric in METRICS}
    return [
        Judged(
            test=test,
            metric=metric,
            now=now,
            then=_joined([history.measurements[index] for index in one.members]),
            speed_then=_speed_of_runs(
                [history.measurements[index] for index in one.members], metric
            ),
            against=history.words_of(one.members),
            ratio=one.prediction,
            other_log_ratio=other.prediction.log_ratio,
            corrected=one.correction != NOT,
            measured_log_ratio=one.measured_log_ratio,
            named=history.named,
            software=changed_software(now, history.measurements[one.members[-1]]),
            advice=(
                "save this run (--benchmark-autosave): later runs are compared with the new speed",
            ),
            remedies=_remedies(
                one.prediction,
                one.spread_by_others,
                len(history.measurements),
                len(now.samples),
                min(_measured_s(now), _measured_s(history.measurements[-1])),
            ),
        )
        for (metric, one), other in zip(found.items(), reversed(found.values()), strict=True)
    ]


def _compared(metric: str, now: Measurement, history: History, drifts: Drifts) -> _Compared:
    """The latest saved run decides whether there is a correction."""
    correction = correction_of(metric, now.samples, history.measurements[-1].samples)
    # Without the correction a run's figure is of another kind: no step to it can be learned from.
    usable = [
        index
        for index, one in enumerate(history.measurements)
        if is_usable(metric, one.samples, correction)
    ]
    samples = [history.measurements[index].samples for index in usable]
    anchor = None if correction == NOT else anchor_of([one for each in samples for one in each])
    logs = [log_speeds(each, metric, correction, anchor) for each in samples]
    chosen = _level_of(history, usable, logs)
    prediction = predict(
        log_speeds(now.samples, metric, correction, anchor),
        logs,
        EXPECTED[correction],
        min(_measured_s(one) for one in (now, *(history.measurements[usable[n]] for n in chosen))),
        chosen,
        drifts.get((metric, correction)),
    )
    measured = fmean(log_speeds(now.samples, metric)) - fmean(
        fmean(log_speeds(samples[place], metric)) for place in chosen
    )
    then = [one for place in chosen for one in samples[place]]
    company = mean_of(one.contention for one in then if one.contention is not None)
    cores_used = max(fmean(one.cores_used for one in each) for each in (now.samples, then))
    spread = spread_by_others(metric, now.contention, company, cores_used, correction == BY_WALL)
    if correction == BY_BOTH:
        told = wall_time_lost(now.samples, anchor_of(then))
        spread = max(spread, CONTENTION_SHARE * abs(told))
    scatter = scatter_beside_others(metric, now.contention, company, cores_used, len(usable))
    prediction = _less_sure(prediction, math.hypot(spread, scatter))
    members = tuple(usable[place] for place in chosen)
    return _Compared(prediction, measured, correction, spread, members)


def _level_of(
    history: History, usable: Sequence[int], logs: Sequence[Sequence[float]]
) -> tuple[int, ...]:
    """Places in `usable` of the runs to compare with; of a named one, that one."""
    if history.named:
        return (len(usable) - 1,)
    sessions = [
        Session(tuple(each), _measured_s(history.measurements[index]))
        for index, each in zip(usable, logs, strict=True)
    ]
    since = sum(index < history.since for index in usable)
    beside = {place for place, index in enumerate(usable) if index in history.beside}
    return present_level(sessions, since, beside)


def _less_sure(prediction: Prediction, spread: float) -> Prediction:
    """Where other programs ran."""
    more = spread**2
    return replace(
        prediction, variance=prediction.variance + more, between=prediction.between + more
    )


def _joined(measurements: Sequence[Measurement]) -> Measurement:
    """The latest, with the processes of all. The spread of one run's is not that of several."""
    samples = tuple(sample for measurement in measurements for sample in measurement.samples)
    spreads = measurements[-1].spreads if len(measurements) == 1 else None
    return replace(measurements[-1], samples=samples, spreads=spreads)


def _log_bounds(share: float) -> tuple[float, float]:
    return math.log1p(-share), math.log1p(share)


def _measured_s(measurement: Measurement) -> float:
    return fmean(sum(sample.wall_s) for sample in measurement.samples)


def _speed(measurement: Measurement, metric: str) -> Estimate:
    estimate: Estimate = getattr(measurement, metric)
    return estimate


def _speed_of_runs(runs: Sequence[Measurement], metric: str) -> Estimate:
    """Of several runs the mean of theirs, as the verdict takes it, by one figure a run.

    Processes of one run share its day: they are no independent samples of the speed of several.
    """
    speeds = [_speed(run, metric) for run in runs]
    return speeds[0] if len(runs) == 1 else mean_of_ratios([speed.value for speed in speeds])


def _configuration(measurement: Measurement) -> str:
    pools = measurement.effective or measurement.requested
    return f"{pools.intra}×{pools.inter}"


def _reason(
    judged: Judged, status: str, change: Change, tolerance: float, detectable: float
) -> str:
    if status in ("regression", "improvement"):
        text = _taken_apart(judged, change)
    elif status == "pass":
        text = f"{signed_percent(change.value)}; a loss of {round_percent(tolerance)} is ruled out"
    else:
        text = (
            f"{_taken_apart(judged, change)}; too noisy to tell from a tolerated "
            f"{round_percent(tolerance)}: a loss of {percent(detectable)} would have been seen"
        )
    if status in ("regression", "inconclusive"):
        text += _others(judged)
    return text + _shift(judged)


def _unbelieved(judged: Judged, change: Change) -> str:
    """Why a regression by the corrected speeds is none."""
    measured = signed_percent(change_from_log(judged.measured_log_ratio))
    text = (
        f"{_taken_apart(judged, change)}; but without the correction for the machine's speed the "
        f"change is {measured}, and a loss that only the correction makes is not called a "
        "regression"
    )
    return text + _others(judged) + _shift(judged)


def _taken_apart(judged: Judged, change: Change) -> str:
    """Wall time a unit = CPU work a unit ÷ cores used; all three from the figures judged."""
    own, other = judged.ratio.log_ratio, judged.other_log_ratio
    throughput, efficiency = (own, other) if judged.metric == "throughput" else (other, own)
    cores = f"{_cores(judged.then)} → {_cores(judged.now)} cores used"
    work = f"CPU work {signed_percent(change_from_log(-efficiency))}"
    parallelism = (
        f"parallelism {signed_percent(change_from_log(throughput - efficiency))} ({cores})"
    )
    if judged.metric == "throughput":
        word = "slower" if change.value < 0 else "faster"
        return f"{percent(abs(change.value))} {word}: {work}, {parallelism}"
    word = "less" if change.value < 0 else "more"
    wall = f"wall time {signed_percent(change_from_log(-throughput))}"
    return f"{percent(abs(change.value))} {word} a CPU-second: {work}, {wall}, {parallelism}"


def _cores(measurement: Measurement) -> str:
    """1.94 → "1.9", and of less than one core two digits too: 0.0213 → "0.021"."""
    used = measurement.cores_used.value
    return f"{used:.1f}" if used >= 0.95 else f"{used:.2g}"


def _others(judged: Judged) -> str:
    """A sentence on who else was running, where others held back much from either side.

    Or where they ran beside one side only.
    """
    now, then = judged.now.contention, judged.then.contention
    apart = differ(now, then)
    return "".join(
        f"; {words} while {what} was measured"
        for found, what in ((now, "this"), (then, "the baseline"))
        if found is not None and (found.is_contended or apart) and (words := found.words())
    )


def _shift(judged: Judged) -> str:
    """A sentence on a large change of the machine's own speed."""
    if not judged.corrected:
        return ""
    now, then = (
        fmean(math.log(sample.reference_wall_s or 1.0) for sample in one.samples)
        for one in (judged.now, judged.then)
    )
    change = change_from_log(then - now)
    if abs(change) <= REFERENCE_SHIFT:
        return ""
    return (
        f"; the machine itself ran the reference workload {percent(abs(change))} "
        f"{'slower' if change < 0 else 'faster'} than when the baseline was measured; as "
        f"measured the change is {signed_percent(change_from_log(judged.measured_log_ratio))}"
    )


def _remedies(
    prediction: Prediction, by_others: float, runs: int, processes: int, measured_s: float
) -> tuple[str, ...]:
    if by_others**2 > prediction.variance / 2:  # nothing else would help
        return (
            "a saved run beside which other programs take as much of the CPUs as now "
            "(--benchmark-autosave), or measuring side by side (--tf-threads-duet)",
        )
    remedies = []
    if measured_s < ENOUGH_S:
        remedies.append(
            f"longer measurements (--benchmark-max-time): a process measured for {measured_s:.2g} s"
        )
    if runs < ENOUGH_RUNS:
        remedies.append(
            "more saved runs (--benchmark-autosave) teach how far this machine drifts from one run "
            f"to the next; so far there {'is' if runs == 1 else 'are'} {runs}"
        )
    if prediction.within > prediction.between / 2:
        remedies.append(f"more processes, such as --tf-threads-processes={2 * processes}")
    return tuple(remedies)
