"""Verdicts get no better where code gets slower, and do not depend on units."""

import math
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from builders import measurement, sample
from properties import tried
from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.gate.verdict import (
    Errors,
    Policy,
    detectable_loss,
    judge,
    judge_all,
    level_of_one,
    status_of,
)
from pytest_tfthreads.core.stats.estimates import LogRatio

WORST_FIRST = ("regression", "inconclusive", "pass", "improvement")
RATIOS = st.builds(LogRatio, st.floats(-1, 1), st.floats(1e-8, 0.05), st.floats(1, 50))
TOLERANCES = st.floats(0.001, 0.9)
LEVELS = st.builds(Errors, st.floats(1e-6, 0.2), st.floats(1e-6, 0.2), st.floats(1e-3, 0.2))


@tried(400)
@given(RATIOS, TOLERANCES, LEVELS, st.sampled_from([0.5, 1.0]), st.floats(0, 1))
def test_a_faster_one_is_judged_no_worse(ratio, tolerance, errors, beyond, faster):
    now = status_of(ratio, tolerance, errors, beyond)
    better = status_of(
        replace(ratio, log_ratio=ratio.log_ratio + faster), tolerance, errors, beyond
    )
    assert WORST_FIRST.index(better) >= WORST_FIRST.index(now)


@tried(200)
@given(RATIOS, TOLERANCES, LEVELS, st.floats(1, 10))
def test_what_is_less_sure_is_seen_less(ratio, tolerance, errors, wider):
    loss = detectable_loss(ratio, tolerance, errors)
    assert 0 < loss <= 1
    noisy = replace(ratio, variance=ratio.variance * wider)
    assert detectable_loss(noisy, tolerance, errors) >= loss * (1 - 1e-9)
    if status_of(noisy, tolerance, errors) == "regression":
        assert status_of(ratio, tolerance, errors) == "regression"
    if status_of(noisy, tolerance, errors) == "pass":
        assert status_of(ratio, tolerance, errors) in ("pass", "improvement")


@tried(200)
@given(RATIOS, st.integers(1, 400), st.integers(1, 400))
def test_a_larger_suite_reports_no_more(ratio, few, many):
    few, many = sorted((few, many))
    of_few, of_many = (
        status_of(ratio, 0.05, Errors(level, level)) for level in map(level_of_one, (few, many))
    )
    if of_many in ("regression", "improvement"):
        assert of_few == of_many


ROUNDS = st.lists(st.floats(0.01, 0.02), min_size=2, max_size=4)


@st.composite
def judged_tests(draw):
    """A measurement, its saved runs, and whether all ran the reference workload."""
    reference_s = draw(st.none() | st.floats(1e-3, 2e-3))

    def process():
        return sample(
            draw(ROUNDS), iterations=1000, reference_wall_s=reference_s, reference_cpu_s=reference_s
        )

    def session():
        return measurement(*(process() for _ in range(draw(st.integers(1, 3)))))

    return session(), tuple(session() for _ in range(draw(st.integers(1, 5))))


def with_calls(one, iterations):
    return replace(one, samples=tuple(replace(s, iterations=iterations) for s in one.samples))


def in_unit(one, factor):
    return replace(one, items=one.items * factor)


@tried(100)
@given(judged_tests(), st.integers(300, 3000), st.integers(0, 2000))
def test_a_faster_measurement_is_judged_no_worse(test, iterations, more):
    now, saved = test
    history = History(saved, "saved", titles=("run",) * len(saved))
    verdicts = [
        judge("test", with_calls(now, calls), history, Policy(), 2)
        for calls in (iterations, iterations + more)
    ]
    for slower, faster in zip(*verdicts, strict=True):
        assert WORST_FIRST.index(faster.status) >= WORST_FIRST.index(slower.status)
        assert faster.change.value >= slower.change.value - 1e-9
        assert slower.change.low <= slower.change.value <= slower.change.high
        assert slower.reason


@tried(100)
@given(judged_tests(), st.integers(-20, 20))
def test_verdicts_do_not_depend_on_the_unit_of_work(test, power):
    now, saved = test
    factor = 2.0**power
    titles = ("run",) * len(saved)
    one = judge("test", now, History(saved, "saved", titles=titles), Policy(), 2)
    scaled = tuple(in_unit(each, factor) for each in saved)
    other = judge("test", in_unit(now, factor), History(scaled, "", titles=titles), Policy(), 2)
    for mine, theirs in zip(one, other, strict=True):
        assert mine.status == theirs.status
        assert math.isclose(mine.change.value, theirs.change.value, abs_tol=1e-12)
        assert math.isclose(mine.now.value * factor, theirs.now.value, rel_tol=1e-9)


@tried(60)
@given(st.lists(judged_tests(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_verdicts_do_not_depend_on_the_order_of_tests(tests, random):
    measured = [
        (f"test_{number}", now, History(saved, "saved", titles=("run",) * len(saved)))
        for number, (now, saved) in enumerate(tests)
    ]
    verdicts = {(one.test, one.metric): one for one in judge_all(measured, Policy())}
    shuffled = [*measured]
    random.shuffle(shuffled)
    for other in judge_all(shuffled, Policy()):
        one = verdicts[other.test, other.metric]
        # Sums in another order may differ in their last digits.
        assume(math.isclose(one.change.low, other.change.low, rel_tol=1e-9, abs_tol=1e-12))
        assert other.status == one.status
