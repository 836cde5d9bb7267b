"""What can be detected: by the gate's own rules, and found as often as it says."""

import itertools
import math
import random
from statistics import fmean, variance

import pytest

from builders import measurement
from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.gate.duet import (
    BETWEEN,
    INTERPRETERS,
    LOOKS,
    is_decided,
    judge_duet,
    status_by_looks,
)
from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import METRICS, Policy, judge
from pytest_tfthreads.core.stats.drift import UNCORRECTED, Expected, predict
from pytest_tfthreads.doctor.minimum_effect import (
    Limit,
    duet_limit,
    of_more_processes,
    saved_runs_limit,
)
from pytest_tfthreads.doctor.power import (
    SAVED_RUNS,
    Trial,
    by_duet,
    by_saved_runs,
    fitness,
)

TOLERANCE = dict.fromkeys(METRICS, 0.05)
HYPOTHESES = 20


@pytest.mark.parametrize("runs", SAVED_RUNS)
@pytest.mark.parametrize("reference_s", [0.001, None])
def test_the_gate_says_the_same_of_saved_runs(runs, reference_s, trial):
    made = trial(count=6, reference_s=reference_s)
    sides = [[pair[side] for pair in made.pairs] for side in (0, 1)]
    sessions = [measurement(*side[start : start + 3]) for side in sides for start in (0, 3)]
    *history, now = itertools.islice(itertools.cycle(sessions), runs + 1)
    verdicts = judge("test_x", now, History(tuple(history)), Policy(), HYPOTHESES)
    limits = by_saved_runs(made, runs, 3, TOLERANCE, HYPOTHESES)
    for verdict in verdicts:
        assert limits[verdict.metric].at_tolerance.value == pytest.approx(verdict.detectable)


def found_by_duets(sample, loss, spread, tolerance, duets=300):
    """Share of duets, judged look by look as a run does, that call this loss a regression."""
    rng = random.Random(7)
    one = measurement(sample(0.01))
    policy = Policy().with_tolerance(dict.fromkeys(METRICS, tolerance))
    found = 0
    for _ in range(duets):
        luck = [rng.gauss(0, BETWEEN) for _ in range(INTERPRETERS)]
        logs = [
            math.log1p(-loss) + luck[number % INTERPRETERS] + rng.gauss(0, spread)
            for number in range(LOOKS[-1])
        ]
        pairs = [Pair(log, log) for log in logs]
        for look in LOOKS:
            verdicts = judge_duet("test_x", one, one, pairs[:look], (), policy, HYPOTHESES, "HEAD")
            if is_decided(verdicts, look):
                break
        assert verdicts[0].status == status_by_looks(logs, tolerance, HYPOTHESES)
        found += verdicts[0].status == "regression"
    return found / duets


@pytest.mark.parametrize("spread", [0.005, 0.015, 0.04])
def test_what_is_detectable_is_found_four_times_of_five(spread, sample):
    rng = random.Random(5)
    many = duet_limit([rng.gauss(0, spread) for _ in range(200)], 0.05, HYPOTHESES)
    assert found_by_duets(sample, many.at_tolerance.value, spread, 0.05) == pytest.approx(
        0.8, abs=0.15
    )
    assert found_by_duets(sample, many.smallest.value, spread, 1e-6) == pytest.approx(0.8, abs=0.15)
    if many.set_tolerance is not None:
        assert found_by_duets(sample, 0.05, spread, many.set_tolerance) > 0.7
    else:
        assert found_by_duets(sample, 0.05, spread, 0.001) < 0.9


def test_few_pairs_tell_less():
    few, many = (duet_limit([0.02, -0.02] * half, 0.05, 2).smallest for half in (2, 20))
    assert few.high - few.low > 2 * (many.high - many.low)


def test_noise_widens_what_can_be_detected(trial):
    quiet, noisy = (by_duet(trial(spread=one), TOLERANCE, 2)["throughput"] for one in (0.005, 0.15))
    assert quiet.smallest.value < 0.025 < noisy.smallest.value
    assert quiet.set_tolerance == pytest.approx(0.05)
    assert noisy.set_tolerance is None
    for limit in (quiet, noisy):
        for one in (limit.smallest, limit.at_tolerance):
            assert one.low < one.value < one.high
        assert limit.smallest.value < limit.at_tolerance.value <= 0.05 + 1.5 * limit.smallest.value


def test_more_tests_need_more_certainty(trial):
    one, many = (by_duet(trial(), TOLERANCE, 2 * tests)["throughput"] for tests in (1, 100))
    assert one.smallest.value < many.smallest.value


def test_the_weather_matters_to_saved_runs_only(trial):
    clear, rough = (trial(spread=0.005, weather=one, reference_s=None) for one in (0, 0.2))
    duets = [by_duet(one, TOLERANCE, 2)["throughput"].smallest.value for one in (clear, rough)]
    assert duets[0] == pytest.approx(duets[1], rel=0.01)
    saved = [
        by_saved_runs(one, 10, 3, TOLERANCE, 2)["throughput"].smallest.value
        for one in (clear, rough)
    ]
    assert saved[0] < 0.6 * saved[1]


def test_runs_sharpen_where_the_machine_is_quieter_than_the_default(trial):
    smallest = [
        by_saved_runs(trial(spread=0.002, weather=0), runs, 3, TOLERANCE, 2)["throughput"].smallest
        for runs in SAVED_RUNS
    ]
    values = [one.value for one in smallest]
    assert values == sorted(values, reverse=True)


def test_fitness(trial):
    quiet = fitness(trial(spread=0.002, weather=0), dict.fromkeys(METRICS, 0.08), tests=1)
    assert quiet.is_fit_for_duet
    assert quiet.is_fit_for_saved_runs
    assert quiet.enough.runs in SAVED_RUNS[1:]
    assert all(one.set_tolerance for one in quiet.enough.limits.values())
    assert set(quiet.saved_runs) == set(SAVED_RUNS)

    shared = fitness(trial(spread=0.005, weather=0.2, reference_s=None), TOLERANCE, tests=10)
    assert shared.is_fit_for_duet
    assert shared.enough is None

    noisy = fitness(trial(spread=0.2), TOLERANCE, tests=10)
    assert not noisy.is_fit_for_duet
    assert noisy.detectable_tolerance >= max(one.smallest.value for one in noisy.duet.values())


def test_more_processes_where_they_spread(trial):
    made = trial(spread=0.03, weather=0, count=12)
    few, many = (by_saved_runs(made, 30, one, TOLERANCE, 2)["throughput"] for one in (3, 12))
    assert many.smallest.value < few.smallest.value


@pytest.mark.parametrize("times", [1, 2, 4])
def test_processes_that_were_not_measured_spread_as_those_that_were(times):
    """What the gate would take for the noise within runs is on average that of real processes."""
    rng = random.Random(3)

    def run(processes):
        return [rng.gauss(5.0, 0.1) for _ in range(processes)]

    def within(*runs):
        return predict(runs[0], runs[1:], UNCORRECTED).within

    of_few, real = [], []
    for _ in range(1000):
        of_few.append(within(*(of_more_processes(run(3), times) for _ in range(2))))
        real.append(within(*(run(3 * times) for _ in range(2))))
    assert fmean(of_few) == pytest.approx(fmean(real), rel=0.05)
    few = [0.0, 0.1, 0.3]
    more = of_more_processes(few, times)
    assert len(more) == 3 * times
    assert (fmean(more), variance(more)) == pytest.approx((fmean(few), variance(few)))
    assert of_more_processes([0.1], times) == [0.1] * times


def test_the_spread_is_known_no_better_for_more_processes_that_were_not_measured():
    sessions = [[0.0, 0.03, 0.06], [0.01, 0.03, 0.05]]
    quiet = Expected(0.001, 1000.0, 1.0)
    few, many = (
        saved_runs_limit(sessions, 30, 0.05, 2, quiet, math.inf, times).smallest for times in (1, 4)
    )
    assert many.value < few.value
    assert many.high / many.value > 0.7 * few.high / few.value


def test_no_fit_on_one_lucky_metric(trial):
    lucky = by_duet(trial(), {"throughput": 0.05, "cpu_efficiency": 0.001}, 2)
    assert lucky["throughput"].set_tolerance is not None
    assert lucky["cpu_efficiency"].set_tolerance is None
    assert all(isinstance(one, Limit) for one in lucky.values())


def test_no_spread_at_all_is_not_believed(sample):
    same = Trial(((sample(0.007), sample(0.007)),) * 3)
    assert by_duet(same, TOLERANCE, 2)["throughput"].smallest.value > 0.005


def test_too_little_to_say(trial, sample):
    with pytest.raises(ValueError, match="at least 3"):
        Trial(trial(count=3).pairs[:2])
    with pytest.raises(ValueError, match="no turns"):
        Trial(((sample(0.007, ring=0), sample(0.007, ring=1)),) * 3)
    with pytest.raises(ValueError, match="hypotheses"):
        fitness(trial(), TOLERANCE, tests=0)
