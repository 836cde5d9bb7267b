"""Exactly where one verdict becomes another, and all that a verdict says."""

import math
import random
from dataclasses import replace

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.gate.correction import (
    BY_BOTH,
    BY_WALL,
    CONTENTION_SHARE,
    NOT,
    anchor_of,
    log_speeds,
    wall_time_lost,
)
from pytest_tfthreads.core.gate.suite_drift import drifts_of
from pytest_tfthreads.core.gate.verdict import (
    MARGIN,
    PASS_ERROR,
    POWER,
    Change,
    Errors,
    Judged,
    Policy,
    Verdict,
    conclude,
    detectable_loss,
    judge,
    judge_all,
    judged_nothing,
    level_of_one,
    status_of,
)
from pytest_tfthreads.core.measurement import Pools, Spreads
from pytest_tfthreads.core.stats.drift import AGREED, CORRECTED, UNCORRECTED, Drift, predict
from pytest_tfthreads.core.stats.estimates import (
    LogRatio,
    Spread,
    holm,
    mean_of_ratios,
    student_t,
)

EXACT = Errors(0.01, 0.01)
A_BIT = 1e-9


def sure(log_ratio):
    """A ratio without any error: what is left of the rule are its limits."""
    return LogRatio(log_ratio, 0.0, 10.0)


def process(speed, cores=2.0, reference_s=None, seconds=1.0):
    """One that measured for so long, at so many calls a second, with so many cores."""
    calls = round(speed * seconds)
    known = {"reference_wall_s": reference_s, "reference_cpu_s": reference_s}
    return sample([calls / speed], [cores * calls / speed], iterations=calls, **known)


def measured(*speeds, cores=2.0, reference_s=None, seconds=1.0, **fields):
    found = [process(speed, cores, reference_s, seconds) for speed in speeds]
    return measurement(*found, **fields)


# -- the rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize("beyond", [0.7, 1.0])
@pytest.mark.parametrize("tolerance", [0.05, 0.2])
def test_limits_where_all_is_sure(tolerance, beyond):
    loss, gain = math.log1p(-beyond * tolerance), math.log1p(beyond * tolerance)

    def status(log_ratio):
        return status_of(sure(log_ratio), tolerance, EXACT, beyond)

    assert status(loss - A_BIT) == "regression"
    assert status(loss) == ("pass" if beyond < 1 else "inconclusive")
    assert status(loss + A_BIT) == "pass"
    assert status(gain) == "pass"
    assert status(gain + A_BIT) == "improvement"
    # Unless said otherwise, the tolerance itself is the limit.
    whole = math.log1p(-tolerance)
    assert status_of(sure(whole - A_BIT), tolerance, EXACT) == "regression"
    assert status_of(sure(whole + A_BIT), tolerance, EXACT) == "pass"


def test_what_is_within_the_margin_is_neither_lost_nor_won():
    loss, gain = math.log1p(-MARGIN * 0.1), math.log1p(MARGIN * 0.1)
    limits = {loss - A_BIT: "regression", loss: "pass", gain: "pass", gain + A_BIT: "improvement"}
    for log_ratio, expected in limits.items():
        assert status_of(sure(log_ratio), 0.1, EXACT, beyond=0.1) == expected


def test_each_verdict_has_its_own_error():
    errors = Errors(slower=0.001, faster=0.01, passed=0.1)
    sd, dof, tolerance = 0.05, 7.0, 0.1

    def status(log_ratio):
        return status_of(LogRatio(log_ratio, sd**2, dof), tolerance, errors)

    slower = math.log1p(-MARGIN * tolerance) - student_t(0.999, dof) * sd
    faster = math.log1p(MARGIN * tolerance) + student_t(0.99, dof) * sd
    passes = math.log1p(-tolerance) + student_t(0.9, dof) * sd
    assert status(slower - A_BIT) == "regression"
    assert status(slower + A_BIT) == "inconclusive"
    assert status(faster - A_BIT) == "pass"
    assert status(faster + A_BIT) == "improvement"
    assert status(passes - A_BIT) == "inconclusive"
    assert status(passes + A_BIT) == "pass"


def test_what_is_detectable():
    """The larger of two limits, and beyond it what four measurements of five stay below."""
    errors, dof = Errors(0.001, 0.5, 0.5), 6.0

    def detectable(sd, beyond=1.0):
        return detectable_loss(LogRatio(0.3, sd**2, dof), 0.1, errors, beyond)

    def by_hand(sd, limit):
        return 1 - math.exp(-limit - student_t(POWER, dof) * sd)

    wide, narrow = 0.05, 0.001
    certain = -math.log1p(-MARGIN * 0.1) + student_t(0.999, dof) * wide
    assert detectable(wide) == pytest.approx(by_hand(wide, certain))
    assert detectable(narrow) == pytest.approx(by_hand(narrow, -math.log(0.9)))
    ratio = LogRatio(0.0, narrow**2, dof)
    assert detectable_loss(ratio, 0.1, errors) == detectable(narrow)
    assert detectable(narrow, 0.7) == pytest.approx(by_hand(narrow, -math.log(0.93)))


def test_levels():
    assert level_of_one(1) == 0.05
    assert level_of_one(26) == 0.05 / 26
    with pytest.raises(ValueError, match=r"^0 hypotheses; there is at least this one$"):
        level_of_one(0)
    assert Errors(0.01, 0.02) == Errors(0.01, 0.02, PASS_ERROR)


# -- what a verdict says --------------------------------------------------------------------------


def judged(log_ratio=0.0, sd=0.0, metric="throughput", other=0.0, **fields):
    known = {
        "test": "test_x",
        "metric": metric,
        "now": measured(50, 50, cores=3.0, effective=Pools(2, 1)),
        "then": measured(100, 100, cores=2.0),
        "against": "a run",
        "ratio": LogRatio(log_ratio, sd**2, 8.0),
        "other_log_ratio": other,
        "advice": ("save it",),
        "remedies": ("measure more",),
    }
    return Judged(**{**known, **fields})


def test_all_that_is_said_of_a_regression():
    one = judged(math.log(0.5), 0.01, other=math.log(1 / 3), named="a day")
    errors = Errors(0.01, 0.01, 0.05)
    half = student_t(0.95, 8.0) * 0.01
    assert conclude(one, 0.05, errors) == Verdict(
        test="test_x",
        metric="throughput",
        status="regression",
        configuration="2×1",
        unit="images",
        now=one.now.throughput,
        tolerance=0.05,
        reason="50 % slower: CPU work +200 %, parallelism +50 % (2.0 → 3.0 cores used)",
        judged_against="a run",
        baseline=one.then.throughput,
        change=Change(
            pytest.approx(-0.5),
            pytest.approx(0.5 * math.exp(-half) - 1),
            pytest.approx(0.5 * math.exp(half) - 1),
            pytest.approx(0.9),
        ),
        detectable=detectable_loss(one.ratio, 0.05, errors),
        rule=(
            "against saved runs, a loss is a regression if it is more than 5 % as estimated and "
            "more than 2 % for certain (the tolerance, and 0.4 of it)"
        ),
        named="a day",
    )


def test_the_other_metric_has_its_own_speeds():
    one = judged(math.log(1.5), metric="cpu_efficiency", other=math.log(1.2))
    found = conclude(one, 0.05, EXACT)
    assert (found.now, found.baseline) == (one.now.cpu_efficiency, one.then.cpu_efficiency)
    assert found.reason == (
        "50 % more a CPU-second: CPU work −33 %, wall time −17 %, "
        "parallelism −20 % (2.0 → 3.0 cores used)"
    )
    assert (found.advice, found.rule, found.measured) == (("save it",), "", None)


def test_which_side_is_told():
    assert conclude(judged(0.5), 0.05, EXACT).reason.startswith("65 % faster: ")
    less = conclude(judged(-0.5, metric="cpu_efficiency"), 0.05, EXACT)
    assert less.reason.startswith("39 % less a CPU-second: ")


def test_all_that_is_said_of_what_stays_open():
    found = conclude(judged(-0.03, 0.1), 0.05, EXACT)
    assert (found.status, found.advice, found.rule) == ("inconclusive", ("measure more",), "")
    seen = round(100 * found.detectable)
    assert found.reason == (
        "3.0 % slower: CPU work +0.0 %, parallelism −3.0 % (2.0 → 3.0 cores used); "
        f"too noisy to tell from a tolerated 5 %: a loss of {seen} % would have been seen"
    )
    passed = conclude(judged(-0.03), 0.05, EXACT)
    assert (passed.status, passed.advice) == ("pass", ())
    assert passed.reason == "−3.0 %; a loss of 5 % is ruled out"


def test_where_threads_were_not_counted_those_asked_for_are_named():
    now = measured(50, effective=None, requested=Pools(3, 7))
    assert conclude(judged(now=now), 0.05, EXACT).configuration == "3×7"
    now = measured(50, effective=Pools(4, 1), requested=Pools(0, 0))
    assert conclude(judged(now=now), 0.05, EXACT).configuration == "4×1"


@pytest.mark.parametrize(
    ("cores", "words"), [(1.94, "1.9"), (0.95, "0.9"), (0.949, "0.95"), (0.0213, "0.021")]
)
def test_cores_in_words(cores, words):
    then = measured(100, cores=cores)
    assert f"({words} → 3.0 cores used)" in conclude(judged(0.5, then=then), 0.05, EXACT).reason


def test_a_correction_makes_a_verdict_only_milder():
    loss, gain = math.log1p(-0.05), math.log1p(0.05)

    def status(log_ratio, measured_log_ratio, beyond=1.0, corrected=True):
        one = judged(log_ratio, corrected=corrected, measured_log_ratio=measured_log_ratio)
        return conclude(one, 0.05, EXACT, beyond).status

    assert status(-0.5, loss - A_BIT) == "regression"
    assert status(-0.5, loss) == "inconclusive"
    assert status(0.5, gain + A_BIT) == "improvement"
    assert status(0.5, gain) == "pass"
    assert status(-0.5, loss, corrected=False) == "regression"
    assert status(0.5, gain, corrected=False) == "improvement"
    # `beyond` limits what was measured, too.
    assert status(-0.5, math.log1p(-0.7 * 0.05) - A_BIT, 0.7) == "regression"
    assert status(0.5, math.log1p(0.7 * 0.05), 0.7) == "pass"
    # What passes or is open stays so, whatever was measured.
    assert status(0.0, -0.5) == "pass"
    assert status(0.0, 0.5) == "pass"


def corrected(log_ratio, measured_log_ratio, now_s=0.001, then_s=0.001, sd=0.0):
    one = judged(
        log_ratio,
        sd,
        corrected=True,
        measured_log_ratio=measured_log_ratio,
        now=measured(50, 50, reference_s=now_s),
        then=measured(100, 100, reference_s=then_s),
    )
    return conclude(one, 0.05, EXACT)


def test_what_was_measured_is_told_beside_what_was_corrected():
    found = corrected(-0.5, math.log(0.6))
    assert found.corrected
    assert found.measured == pytest.approx(-0.4)
    assert corrected(0.0, 0.0).reason == "+0.0 %; a loss of 5 % is ruled out"
    slow = corrected(0.0, math.log(0.8), now_s=0.00125)
    assert slow.reason == (
        "+0.0 %; a loss of 5 % is ruled out; the machine itself ran the reference workload 20 % "
        "slower than when the baseline was measured; as measured the change is −20 %"
    )
    fast = corrected(0.0, math.log(1.25), then_s=0.00125)
    assert fast.reason.endswith(
        "; the machine itself ran the reference workload 25 % faster than when the baseline was "
        "measured; as measured the "
        "change is +25 %"
    )


@pytest.mark.parametrize(("factor", "is_told"), [(1.09, False), (1.12, True), (0.89, True)])
def test_a_machine_that_is_much_the_same_is_no_news(factor, is_told):
    found = corrected(0.0, 0.0, now_s=0.001, then_s=0.001 * factor)
    assert ("the machine itself" in found.reason) is is_told


def test_a_loss_that_only_the_correction_shows_is_said_to_be_one():
    found = corrected(-0.5, 0.0)
    assert found.status == "inconclusive"
    assert found.reason == (
        "39 % slower: CPU work +0.0 %, parallelism −39 % (2.0 → 2.0 cores used); but without "
        "the correction for the machine's speed the change is +0.0 %, and a loss that only the "
        "correction makes is not called a regression"
    )
    assert found.advice == (
        "measuring side by side (--tf-threads-duet), which needs no correction",
    )
    # So too where the loss may be within the tolerance, but not all of it.
    found = corrected(-0.06, 0.0, sd=0.01)
    assert -0.05 < found.change.high < -0.02
    assert found.status == "inconclusive"
    assert "a loss that only the correction makes is not called" in found.reason
    # Where a loss was measured, or the interval reaches what is tolerated, it is only noise.
    for one in (corrected(-0.2, -0.2, sd=0.15), corrected(-0.06, 0.0, sd=0.05)):
        assert one.status == "inconclusive"
        assert "too noisy to tell from a tolerated 5 %" in one.reason


# -- saved runs -----------------------------------------------------------------------------------


def the_judged(now, history, policy=None, drifts=None):
    return judge("test_x", now, history, policy or Policy(), 2, drifts)


def test_a_test_that_has_nothing_to_be_compared_with():
    now = measured(100, effective=None, requested=Pools(3, 1), unit="words")
    history = History((), problem="why", status="not-comparable", baseline="a run")
    policy = Policy({"throughput": 0.1, "cpu_efficiency": 0.2})
    assert the_judged(now, history, policy) == tuple(
        Verdict(
            test="test_x",
            metric=metric,
            status="not-comparable",
            configuration="3×1",
            unit="words",
            now=getattr(now, metric),
            tolerance=policy.tolerance[metric],
            reason="why",
            judged_against="a run",
        )
        for metric in ("throughput", "cpu_efficiency")
    )


def logs(*measurements):
    return [log_speeds(one.samples, "throughput") for one in measurements]


def change_of(prediction):
    half = student_t(1 - PASS_ERROR, prediction.dof) * prediction.sd
    x = prediction.log_ratio
    return [math.expm1(one) for one in (x, x - half, x + half)]


def shown(verdict):
    return [verdict.change.value, verdict.change.low, verdict.change.high]


def test_the_prediction_is_that_of_all_runs_and_the_shortest_time():
    runs = [measured(100, 101, seconds=seconds) for seconds in (2.0, 0.3, 1.0)]
    now = measured(97, 98, seconds=4.0)
    history = History(tuple(runs), "the last", titles=("one", "two", "three"))
    found = the_judged(now, history)[0]
    expected = predict(logs(now)[0], logs(*runs), UNCORRECTED, 0.3)
    assert shown(found) == pytest.approx(change_of(expected), rel=1e-2)
    assert found.judged_against == "the mean of 3 runs, one to three"
    assert found.baseline.value == pytest.approx(100.5, rel=1e-3)
    assert found.baseline == mean_of_ratios([one.throughput.value for one in runs])
    assert not found.corrected
    drift = Drift(0.5, 9.0)
    far = the_judged(now, history, drifts={("throughput", NOT): drift})[0]
    expected = predict(logs(now)[0], logs(*runs), UNCORRECTED, 0.3, suite=drift)
    assert shown(far) == pytest.approx(change_of(expected), rel=1e-2)


def test_a_named_run_alone_is_the_baseline():
    runs = (measured(100, 101), measured(80, 81))
    history = History(runs, "the last", titles=("one", "two"), named="a day")
    found = the_judged(measured(79, 80), history)[0]
    expected = predict(logs(measured(79, 80))[0], logs(*runs), UNCORRECTED, 1.0, level=(1,))
    assert shown(found) == pytest.approx(change_of(expected), rel=1e-6)
    assert (found.judged_against, found.named) == ("two", "a day")
    assert found.baseline == runs[1].throughput


def test_places_of_accepted_runs_are_those_among_the_runs_that_count():
    """Two runs without the reference come first; the steps down after them were accepted."""
    old = [measured(500, 500) for _ in range(2)]
    steady = [measured(100 + n % 2, 100, reference_s=0.001) for n in range(8)]
    slow = [measured(50 + n % 2, 50, reference_s=0.001) for n in range(4)]
    runs = (*old, *steady, *slow)
    titles = tuple(map(str, range(len(runs))))
    now = measured(50, 50, reference_s=0.001)

    def against(**fields):
        return the_judged(now, History(runs, titles=titles, **fields))[0].judged_against

    assert against() == "the mean of 8 runs, 2 to 9"
    assert against(beside=frozenset({10})) == "the mean of 4 runs, 10 to 13"
    assert against(beside=frozenset({8})) == "the mean of 8 runs, 2 to 9"
    assert against(since=10) == "the mean of 4 runs, 10 to 13"
    assert against(since=13) == "13"
    assert against(since=2) == against(since=1) == "the mean of 8 runs, 2 to 9"


def test_the_latest_run_decides_how_all_are_corrected():
    now = measured(100, 100, reference_s=0.001)
    then = measured(80, 80, reference_s=0.002)
    with_it = the_judged(now, History((then,)))[0]
    assert with_it.corrected
    assert with_it.measured == pytest.approx(0.25)
    anchor = anchor_of(then.samples)
    both = [log_speeds(one.samples, "throughput", BY_WALL, anchor) for one in (now, then)]
    expected = predict(both[0], both[1:], CORRECTED, 1.0)
    assert shown(with_it) == pytest.approx(change_of(expected), rel=1e-2)
    plain = the_judged(now, History((then, measured(80, 80))))[0]
    assert (plain.corrected, plain.measured) == (False, None)


def test_what_is_judged_needs_the_reference_too():
    """A reference that was never run now must not be made up, nor one that needs other cores."""
    then = measured(100, 100, reference_s=0.001)
    for found in the_judged(measured(80, 80), History((then,))):
        assert (found.corrected, found.measured) == (False, None)
        assert found.change.value == pytest.approx(-0.2, abs=1e-6)


def test_by_which_clock_is_corrected_depends_on_both_sides():
    """One core beside a reference on two is slowed down by less than the reference is."""

    def beside(cores, wall_s, cpu_s):
        one = replace(process(80, cores), reference_wall_s=wall_s, reference_cpu_s=cpu_s)
        return measurement(one, one)

    def change(now, then):
        found = the_judged(now, History((then,)))[0]
        assert found.corrected
        return found.change.value

    stands, alone = beside(2.0, 0.001, 0.0025), beside(1.0, 0.002, 0.004)
    assert change(alone, stands) == pytest.approx(0.6)
    assert change(stands, alone) == pytest.approx(1 / 1.6 - 1)
    assert change(beside(2.0, 0.002, 0.004), stands) == pytest.approx(1.0)


def test_contention_that_is_not_corrected_makes_speeds_less_sure():
    def beside(wall_s, cpu_s, speed=100):
        one = process(speed, 1.0)
        return measurement(*(replace(one, reference_wall_s=wall_s, reference_cpu_s=cpu_s),) * 2)

    then, now = beside(0.001, 0.001), beside(0.002, 0.001)
    found = the_judged(now, History((then,)))[1]
    anchor = anchor_of(then.samples)
    both = [log_speeds(one.samples, "cpu_efficiency", BY_BOTH, anchor) for one in (now, then)]
    expected = predict(both[0], both[1:], AGREED, 1.0)
    more = (CONTENTION_SHARE * wall_time_lost(now.samples, anchor)) ** 2
    assert more == pytest.approx((0.5 * math.log(2)) ** 2)
    less_sure = replace(expected, variance=expected.variance + more)
    assert shown(found) == pytest.approx(change_of(less_sure), rel=1e-2)
    # The wall time of the reference takes the neighbour out of throughput: nothing to be unsure of.
    steady = the_judged(beside(0.001, 0.001), History((then,)))[1]
    assert found.detectable > steady.detectable


def test_more_processes_do_not_help_against_contention():
    def beside(wall_s, *speeds):
        found = [process(speed, 1.0) for speed in speeds]
        return measurement(
            *(replace(one, reference_wall_s=wall_s, reference_cpu_s=0.001) for one in found)
        )

    then, steady = beside(0.001, 80, 120), beside(0.001, 80, 121)
    crowded = beside(0.003, 80, 121)
    for now, helps in ((steady, True), (crowded, False)):
        found = the_judged(now, History((then,)))[1]
        assert found.status == "inconclusive"
        assert any("more processes" in one for one in found.advice) is helps


def test_short_runs_are_no_level_of_their_own_by_luck():
    """A CPU that flips between two speeds explains what long runs could not have by chance."""

    def against(seconds):
        runs = [measured(speed, seconds=seconds) for speed in (1000,) * 4 + (1200,) * 2]
        titles = tuple(map(str, range(len(runs))))
        now = measured(1200, seconds=seconds)
        return the_judged(now, History(tuple(runs), titles=titles))[0].judged_against

    assert against(2.0) == "the mean of 2 runs, 4 to 5"
    assert against(0.01) == "the mean of 6 runs, 0 to 5"


def test_remedies():
    def advice(now, *runs, policy=None):
        found = the_judged(now, History(runs), policy)[0]
        assert found.status == "inconclusive"
        return found.advice

    longer = "longer measurements (--benchmark-max-time): a process measured for 0.2 s"
    saved = (
        "more saved runs (--benchmark-autosave) teach how far this machine drifts from one run to "
        "the next; so far there {}"
    )
    processes = "more processes, such as --tf-threads-processes={}"
    short = measured(95, 99, 90, seconds=0.2)
    noisy = [
        measured(speed, 1.5 * speed, reference_s=0.001) for speed in (100, 101, 99, 100, 102) * 3
    ]
    long = measured(95, 142, reference_s=0.001)
    assert advice(short, measured(100, 100)) == (longer, saved.format("is 1"), processes.format(6))
    assert advice(measured(95, 99), short) == (longer, saved.format("is 1"), processes.format(4))
    assert advice(long, *noisy) == (processes.format(4),)
    assert advice(long, *noisy[:10]) == (processes.format(4),)
    assert advice(long, *noisy[:9])[0] == saved.format("are 9")
    steady = measured(100, 100, 100)
    assert advice(measured(96, 96, 96), steady, steady) == (saved.format("are 2"),)
    exactly = measured(96, 96, seconds=0.5)
    assert not any("longer" in one for one in advice(exactly, steady))


def test_complete_runs_are_judged_at_holms_levels():
    """By hand: p of a loss within the margin, and of a gain within it, each in its own family."""
    speeds = [40, 45, 50, 61, 100, 165, 200, 220, 250]
    then = measured(98, 100, 102)
    suite = [
        (f"test_{speed}", measured(0.98 * speed, speed, 1.02 * speed), History((then,)))
        for speed in speeds
    ]
    found = [one for one in judge_all(suite, Policy()) if one.metric == "throughput"]
    ratios = [
        predict(logs(now)[0], logs(then), UNCORRECTED, 1.0)
        for _, now, _ in suite
        for _ in ("throughput", "cpu_efficiency")
    ]
    margin, margin_up = math.log1p(-0.02), math.log1p(0.02)
    levels = zip(
        holm([one.p_value(margin) for one in ratios]),
        holm([1 - one.p_value(margin_up) for one in ratios]),
        strict=True,
    )
    expected = [
        status_of(one, 0.05, Errors(*level)) for one, level in zip(ratios, levels, strict=True)
    ]
    assert [one.status for one in found] == expected[::2]
    assert {"regression", "improvement", "inconclusive"} == set(expected)
    # Bonferroni's level would have found less, of both kinds.
    alone = [status_of(one, 0.05, Errors(*[0.05 / len(ratios)] * 2)) for one in ratios]
    for kind in ("regression", "improvement"):
        assert alone.count(kind) < expected.count(kind)


def test_each_machine_drifts_by_itself():
    here, there = {"cpu": "x"}, {"cpu": "y"}

    def run(machine, *speeds):
        return [measured(speed, 1.01 * speed, machine=machine) for speed in speeds]

    wild = History(tuple(run(here, 100, 140, 80, 130, 90)))
    calm = History(tuple(run(there, 100, 101, 100, 99, 100)))
    now_here, now_there = run(here, 100)[0], run(there, 100)[0]
    both = [
        ("wild", now_here, wild),
        ("calm", now_there, calm),
        ("new", now_there, History((), problem="none")),
    ]
    together = judge_all(both, Policy())
    by_itself = judge_all(both[1:], Policy())
    assert [one.change for one in together[2:]] == [one.change for one in by_itself]
    drifts = drifts_of([wild.measurements])
    beside_others = judge("wild", now_here, wild, Policy(), 6, drifts)
    assert [one.change for one in together[:2]] == [one.change for one in beside_others]
    unaware = judge("wild", now_here, wild, Policy(), 6)
    assert [one.change for one in together[:2]] != [one.change for one in unaware]
    assert [one.test for one in together] == ["wild", "wild", "calm", "calm", "new", "new"]


# -- what fails -----------------------------------------------------------------------------------


def test_which_verdicts_fail_a_test_and_a_run():
    now = measured(100)
    nothing = the_judged(now, History((), problem="none"))
    something = the_judged(now, History((now,)))
    default, strict = Policy(), Policy(fail_on=frozenset({"no-baseline", "inconclusive"}))
    assert judged_nothing([])
    assert judged_nothing(nothing)
    assert not judged_nothing([*nothing, *something])
    assert strict.fails_run(nothing)
    assert strict.fails_run([])
    assert not strict.fails_run([*nothing, *something])
    assert not default.fails_run(nothing)
    assert [strict.fails(one) for one in (nothing[0], something[0])] == [True, True]
    assert not default.fails(nothing[0])
    assert default.fails(the_judged(measured(10), History((now,)))[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"tolerance": {"throughput": 0.05}},
            r"^tolerance of \['throughput'\]; expected one for each of \('throughput', 'cpu_eff",
        ),
        ({"fail_on": frozenset({"x", "pass", "b"})}, r"^fail on \['b', 'x'\]; known verdicts are "),
        (
            {"tolerance": {"throughput": 0.05, "cpu_efficiency": 1.0}},
            r"^tolerance of cpu_efficiency: 1.0 is not between 0 and 1$",
        ),
    ],
)
def test_what_is_wrong_with_a_policy(fields, message):
    with pytest.raises(ValueError, match=message):
        Policy(**fields)
    changed = Policy(fail_on=frozenset({"pass"})).with_tolerance({"cpu_efficiency": 0.5})
    assert changed == Policy({"throughput": 0.05, "cpu_efficiency": 0.5}, frozenset({"pass"}))


def test_an_improvement_asks_for_a_new_baseline():
    found = the_judged(measured(300, 300), History((measured(100, 100),)))[0]
    assert (found.status, found.rule) == ("improvement", "")
    assert found.advice == (
        "save this run (--benchmark-autosave): later runs are compared with the new speed",
    )


def test_the_interval_of_a_baseline_of_several_runs_holds_what_they_differ_by():
    """Each of its runs was sure of itself."""
    sure = Spread(0.001, 50.0)
    runs = tuple(
        measurement(*(sample((wall_s,)) for _ in range(3)), spreads=Spreads(sure, sure, sure))
        for wall_s in (1.0, 1.2)
    )
    verdict, _ = judge("t", runs[1], History(runs, "two runs"), Policy(), 2)
    assert verdict.baseline.low < runs[1].throughput.value < verdict.baseline.value
    assert verdict.baseline.value < runs[0].throughput.value < verdict.baseline.high
    alone, _ = judge("t", runs[1], History(runs[:1], "a run"), Policy(), 2)
    assert alone.baseline == runs[0].throughput


def test_processes_of_a_run_that_agree_say_nothing_of_other_runs():
    runs = (measured(*[100] * 9), measured(120, 120))
    for verdict in judge("t", runs[1], History(runs, "two runs"), Policy(), 2):
        slower, faster = (getattr(run, verdict.metric).value for run in runs)
        assert verdict.baseline.value == pytest.approx(math.sqrt(slower * faster))
        assert verdict.baseline.low < slower < faster < verdict.baseline.high


def test_the_interval_of_a_baseline_of_several_runs_holds_its_speed():
    """Runs differ by 8 %, and the three processes of each by 2 %."""
    rng = random.Random(5)
    draws, held = 200, 0
    for _ in range(draws):
        days = [100 * math.exp(rng.gauss(0, 0.08)) for _ in range(5)]
        runs = [
            measured(*(day * math.exp(rng.gauss(0, 0.02)) for _ in range(3)), seconds=100)
            for day in days
        ]
        verdict, _ = judge("t", runs[-1], History(tuple(runs)), Policy(), 2)
        held += verdict.baseline.low < 100 < verdict.baseline.high
    assert held >= 0.9 * draws
