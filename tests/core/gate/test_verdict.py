"""The rule of the gate, its words, and its rates on recorded noise."""

import json
import math
import random
from dataclasses import replace

import pytest

from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.contention import Contention
from pytest_tfthreads.core.gate.verdict import METRICS, Policy, Verdict, judge, judge_all
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.stats.drift import (
    CORRECTED,
    FLOOR,
    STATE_SPREAD,
    UNCORRECTED,
    WITHIN,
    default_within,
    predict,
)
from pytest_tfthreads.core.stats.estimates import holm


def session(speeds, cores=2.0, reference_s=0.01, items=1, calls=1000):
    """One process a speed (calls a second), each using this many cores, measured for long."""
    return Measurement(
        requested=Pools(2, 1),
        effective=Pools(2, 1),
        cpus=(0, 1, 2, 3),
        start="fork",
        items=items,
        unit="images",
        samples=tuple(
            Sample(
                (calls / one,), (cores * calls / one,), calls, 1, 0, 0, 0, 0, (0,),
                reference_wall_s=reference_s, reference_cpu_s=reference_s,
            )
            for one in speeds
        ),
    )  # fmt: skip


def around(speed, spread=0.0, processes=3, seed=1, **fields):
    rng = random.Random(seed)
    return session([speed * math.exp(rng.gauss(0, spread)) for _ in range(processes)], **fields)


def quiet_history(runs=20, **fields):
    return History(
        tuple(around(100, 0.003, seed=seed, **fields) for seed in range(runs)), "0020_x.json"
    )


EXACT = History((session([100] * 3),) * 20)


def statuses(now, history, policy=None, hypotheses=26):
    verdicts = judge("test_x", now, history, policy or Policy(), hypotheses)
    assert [verdict.metric for verdict in verdicts] == list(METRICS)
    return [verdict.status for verdict in verdicts]


def test_one_saved_run_is_enough_to_fail_twice_as_slow():
    history = History((around(100, 0.1),))
    assert statuses(around(50, 0.1, seed=2), history) == ["regression"] * 2
    assert statuses(around(100, 0.1, seed=2), history) == ["inconclusive"] * 2
    assert statuses(around(200, 0.1, seed=2), history) == ["improvement"] * 2


def test_one_saved_run_of_one_process_too():
    """The least that can be stored, and silent clocks: the defaults alone decide."""
    assert statuses(session([50]), History((session([100]),)), hypotheses=2) == ["regression"] * 2
    assert statuses(session([95]), History((session([100]),)), hypotheses=2) == ["inconclusive"] * 2


def test_a_quiet_machine_becomes_sharp():
    assert statuses(around(100, 0.003, seed=99), quiet_history()) == ["pass"] * 2
    assert statuses(around(90, 0.003, seed=99), quiet_history()) == ["regression"] * 2
    assert statuses(around(111, 0.003, seed=99), quiet_history()) == ["improvement"] * 2


def beside(measurement, others):
    found = Contention(runqueue_share=others, others_share=others)
    samples = tuple(replace(sample, contention=found) for sample in measurement.samples)
    return replace(measurement, samples=samples)


def test_a_verdict_that_is_open_or_fails_names_who_else_was_running():
    now, quiet = "other programs took 38 % of the granted CPUs while this was measured", 0.01
    then = "other programs took 50 % of the granted CPUs while the baseline was measured"
    noisy = around(100, 0.1)
    for speed, history, status in (
        (100, History((noisy,)), "inconclusive"),
        (5, quiet_history(), "regression"),
    ):
        for shares, words in (
            ((0.38, quiet), [now]),
            ((quiet, 0.5), [then]),
            ((0.38, 0.5), [now, then]),
            ((quiet, quiet), []),
        ):
            judged_by = replace(
                history,
                measurements=tuple(beside(one, shares[1]) for one in history.measurements),
            )
            measured = beside(around(speed, 0.1, seed=2), shares[0])
            found, _ = judge("t", measured, judged_by, Policy(), 26)
            assert found.status == status
            assert found.reason.count("other programs") == len(words)
            assert all(f"; {one}" in found.reason for one in words)
    passed, _ = judge("t", beside(around(100, 0.003), 0.38), quiet_history(), Policy(), 26)
    assert passed.status == "pass"
    assert "other programs" not in passed.reason


def test_tolerance_is_a_limit_of_its_own_for_each_metric():
    policy = Policy({"throughput": 0.05, "cpu_efficiency": 0.3})
    assert statuses(around(90, 0.003, seed=99), quiet_history(), policy) == ["regression", "pass"]
    # Surely slower by something, but by no more than is tolerated.
    tolerant = Policy(dict.fromkeys(METRICS, 0.15))
    assert statuses(around(90, 0.003, seed=99), quiet_history(), tolerant) != ["regression"] * 2


def test_lost_parallelism_is_no_cpu_efficiency():
    slow, _ = judge("t", session([70] * 3, cores=1.4), EXACT, Policy(), 26)
    assert slow.status == "regression"
    assert slow.reason == "30 % slower: CPU work +0.0 %, parallelism −30 % (2.0 → 1.4 cores used)"
    assert statuses(session([70] * 3, cores=1.4), EXACT) == ["regression", "pass"]


def test_burnt_cpu_is_no_throughput():
    _, burnt = judge("t", session([100] * 3, cores=3.0), EXACT, Policy(), 26)
    assert statuses(session([100] * 3, cores=3.0), EXACT) == ["pass", "regression"]
    assert burnt.reason == (
        "33 % less a CPU-second: CPU work +50 %, wall time +0.0 %, "
        "parallelism +50 % (2.0 → 3.0 cores used)"
    )


def test_the_parts_multiply():
    """Wall time = CPU work / cores used, whatever the noise."""
    now, then = around(60, 0.2, cores=2.5), around(100, 0.1, cores=3.6, seed=5)
    verdicts = judge("t", now, History((then,)), Policy(), 2)
    wall, cpu = (1 / (1 + verdict.change.value) for verdict in verdicts)
    parallelism = now.cores_used.value / then.cores_used.value
    assert wall == pytest.approx(cpu / parallelism, rel=1e-9)


def test_the_reference_takes_the_machine_of_the_day_out():
    history = quiet_history(reference_s=0.01)
    slow_day = around(80, 0.003, seed=99, reference_s=0.0125)
    throughput, efficiency = judge("t", slow_day, history, Policy(), 26)
    assert (throughput.status, efficiency.status) == ("pass", "pass")
    assert throughput.corrected
    assert (
        "ran the reference workload 20 % slower than when the baseline was measured"
        in throughput.reason
    )
    plain = around(80, 0.003, seed=99, reference_s=0.0101)
    throughput, _ = judge("t", plain, history, Policy(), 26)
    assert throughput.status == "regression"
    assert "the machine itself" not in throughput.reason


def test_no_correction_unless_both_sides_have_the_reference():
    without = quiet_history(reference_s=None)
    verdict, _ = judge("t", around(80, reference_s=0.0125), without, Policy(), 26)
    assert (verdict.corrected, verdict.change.value) == (False, pytest.approx(-0.2, abs=0.01))
    # Older runs without it teach nothing about corrected figures; they do not disturb either.
    mixed = History((*without.measurements, around(100, reference_s=0.01)))
    verdict, _ = judge("t", around(80, reference_s=0.0125), mixed, Policy(), 26)
    assert verdict.corrected
    assert verdict.change.value == pytest.approx(0, abs=1e-9)
    assert verdict.status == "inconclusive"


def test_burnt_cpu_is_not_corrected_away():
    """A thread that burns a core makes the reference's CPU time grow as well as the work's."""
    now = around(100, cores=3.0, reference_s=0.01)
    now = replace(now, samples=tuple(replace(one, reference_cpu_s=0.02) for one in now.samples))
    assert statuses(now, quiet_history(reference_s=0.01)) == ["pass", "regression"]


def test_inconclusive_says_what_would_help():
    verdict, _ = judge("t", around(90, 0.1), History((around(100, 0.1, seed=2),)), Policy(), 26)
    assert verdict.status == "inconclusive"
    assert "too noisy to tell from a tolerated 5 %: a loss of" in verdict.reason
    assert verdict.detectable > 0.2
    assert "there is 1" in verdict.advice[0]
    assert "--tf-threads-processes=6" in verdict.advice[1]
    assert len(verdict.advice) == 2


def test_what_could_be_detected_is_detected_four_times_of_five():
    """Draws from the very noise that the prediction assumes, of the detectable change."""
    history, rng = quiet_history(), random.Random(3)
    verdict, _ = judge("t", around(100), history, Policy(), 26)
    prediction = predict(*_logs(around(100), history), CORRECTED)
    true = math.log1p(-verdict.detectable)
    spread = prediction.sd * math.sqrt(prediction.dof / (prediction.dof - 2))
    found = [
        judge("t", around(100 * math.exp(true + rng.gauss(0, spread))), history, Policy(), 26)[0]
        for _ in range(400)
    ]
    share = sum(one.status == "regression" for one in found) / 400
    assert share == pytest.approx(0.8, abs=0.05)


def _logs(now, history):
    sessions = [
        [math.log(sample.calls_a_second) for sample in one.samples]
        for one in (now, *history.measurements)
    ]
    return sessions[0], sessions[1:]


def test_a_release_that_made_it_faster_is_no_spread_between_sessions():
    slow = [[0.0, 0.002, -0.002]] * 10
    fast = [[0.5, 0.502, 0.498]] * 10
    once = predict(fast[0], [*slow, *fast], UNCORRECTED)
    every_time = predict(
        fast[0], [one for both in zip(slow, fast, strict=True) for one in both], UNCORRECTED
    )
    assert math.sqrt(once.between) < 0.07 < 0.15 < math.sqrt(every_time.between)


def test_history_pulls_the_default_down_but_not_below_the_floor():
    spreads = [
        math.sqrt(predict([0.0, 0.001], [[0.0, 0.001]] * runs, UNCORRECTED).between / 2)
        for runs in (1, 2, 5, 20, 200)
    ]
    assert spreads[0] == pytest.approx(UNCORRECTED.spread)
    assert spreads == sorted(spreads, reverse=True)
    assert FLOOR <= spreads[-1] < 0.012


@pytest.mark.parametrize(("now", "history"), [([], [[0.0]]), ([0.0], []), ([0.0], [[]])])
def test_nothing_to_predict_from(now, history):
    with pytest.raises(ValueError, match="process or more"):
        predict(now, history, UNCORRECTED)


def test_no_baseline_is_a_verdict():
    history = History((), problem="there is no saved run", status="not-comparable")
    for verdict in judge("t", around(100), history, Policy(), 2):
        assert (verdict.status, verdict.reason) == ("not-comparable", "there is no saved run")
        assert verdict.change is None
        assert not Policy().fails(verdict)
        assert Policy(fail_on=frozenset({"not-comparable"})).fails(verdict)


def test_more_hypotheses_ask_for_more():
    history = History((around(100, 0.05),))
    now = around(77, 0.05, seed=2)
    few, many = (judge("t", now, history, Policy(), m)[0] for m in (2, 2000))
    assert (few.status, many.status) == ("regression", "inconclusive")
    assert few.detectable < many.detectable


def test_verdicts_are_plain_json():
    verdict, _ = judge("t", around(50), quiet_history(), Policy(), 2)
    data = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert data["change"]["value"] == pytest.approx(-0.5, abs=0.01)
    assert data["baseline"]["value"] == pytest.approx(100, rel=0.01)
    assert (data["status"], data["judged_against"]) == ("regression", "0020_x.json")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tolerance": {"throughput": 0.05}}, "one for each"),
        ({"tolerance": dict.fromkeys(METRICS, 0.0)}, "between 0 and 1"),
        ({"tolerance": dict.fromkeys(METRICS, 1.0)}, "between 0 and 1"),
        ({"tolerance": dict.fromkeys(METRICS, math.nan)}, "between 0 and 1"),
        ({"fail_on": frozenset({"regresion"})}, "known verdicts"),
    ],
)
def test_impossible_policies(fields, message):
    with pytest.raises(ValueError, match=message):
        Policy(**fields)


def test_impossible_hypotheses():
    with pytest.raises(ValueError, match="at least this one"):
        judge("t", around(1), quiet_history(), Policy(), 0)


def test_holm():
    # m = 4, 5 %: the smallest at 1.25 %, then 1.67 %, 2.5 % fails and ends it.
    levels = holm([0.026, 0.01, 0.5, 0.015])
    assert levels == pytest.approx([0.025, 0.0125, 0.025, 0.05 / 3])
    assert [p <= level for p, level in zip([0.026, 0.01, 0.5, 0.015], levels, strict=True)] == [
        False, True, False, True,
    ]  # fmt: skip
    assert holm([]) == []


def test_complete_runs_find_at_least_as_much():
    """Holm's levels are never stricter than those of one test at a time."""
    history = History((around(100, 0.05),))
    suite = [(f"t{n}", around(100 - 4 * n, 0.05, seed=n), history) for n in range(13)]
    suite.append(("new", around(1), History((), problem="none")))
    together = judge_all(suite, Policy())
    assert [verdict.test for verdict in together] == [test for test, _, _ in suite for _ in METRICS]
    alone = [one for each in suite for one in judge(*each, Policy(), 26)]
    found = [{v.test for v in vs if v.status == "regression"} for vs in (alone, together)]
    assert found[0] < found[1]
    assert together[-1].status == "no-baseline"


def unchanged_tests(replay, rng, stored):
    """Of recorded noise (benchmarks/gate/replay.py)."""
    return [replay.draw(rng, stored, 6) for _ in range(300)]


@pytest.mark.parametrize("stored", [1, 5])
def test_on_recorded_noise_the_naive_rules_fail_one_unchanged_test_in_three(replay, stored):
    unchanged = unchanged_tests(replay, random.Random(7), stored)
    assert replay.share(unchanged, replay.rules.mean_rule) > 0.25
    assert replay.share(unchanged, replay.rules.t_rule) > 0.25


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("stored", [1, 5])
@pytest.mark.parametrize("reference", [True, False], ids=["corrected", "plain"])
def test_rates_on_recorded_noise(replay, reference, stored, metric):
    rng, rule = random.Random(7), replay.rules.stored_rule(reference, replay.SUITE)
    unchanged = unchanged_tests(replay, rng, stored)
    assert replay.share(unchanged, rule, metric) <= (0.01 if reference else 0.03)
    twice = [one.slower(2) for one in unchanged[:150]]
    assert replay.share(twice, rule, metric) >= 0.9
    # An honest rule does not pass what it cannot see.
    slower = [replay.draw(rng, stored, 6, "slower20") for _ in range(100)]
    assert replay.share(slower, rule, metric, "pass") <= 0.03


def test_a_short_measurement_is_a_single_draw(replay):
    """Two rounds, one process, one saved run: the machine's two speeds are all that is seen."""
    rng = random.Random(7)
    replays = [replay.draw(rng, 1, 1).first(2) for _ in range(300)]
    known, unknown = (replay.rules.stored_rule(False, 2, longer) for longer in (1, 1000))
    assert replay.share(replays, unknown) > 0.03
    assert replay.share(replays, known) < 0.005


def test_a_short_measurement_is_not_judged_by_luck():
    """34 % slower was two milliseconds in the slow state of a CPU."""
    long, short = (
        judge("t", session([66], calls=calls), History((session([100], calls=calls),)), Policy(), 2)
        for calls in (1000, 1)
    )
    assert [one.status for one in long] == ["regression"] * 2
    assert [one.status for one in short] == ["inconclusive"] * 2
    assert "a process measured for 0.01 s" in short[0].advice[0]
    assert "--benchmark-max-time" in short[0].advice[0]
    # The shorter of the two counts, whichever it is.
    for now, then in ((1, 1000), (1000, 1)):
        baseline = History((session([100], calls=then),))
        verdict, _ = judge("t", session([66], calls=now), baseline, Policy(), 2)
        assert verdict.status == "inconclusive"


def test_the_default_spread_follows_the_time_measured():
    variances = [default_within(seconds) for seconds in (0, 0.002, 0.05, 0.25, 0.5, 1, 10)]
    assert variances == sorted(variances, reverse=True)
    assert variances[0] == pytest.approx(WITHIN**2 + STATE_SPREAD**2)
    # Two states a factor of 1.8 apart, each half of the time: log speeds ± log(1.8) / 2.
    assert pytest.approx(math.log(1.8) / 2, abs=0.005) == STATE_SPREAD
    assert math.sqrt(default_within(0.25)) == pytest.approx(0.1829, abs=0.0001)
    assert math.sqrt(default_within(math.inf)) == pytest.approx(WITHIN)


def test_a_history_of_short_measurements_teaches_that_they_agree():
    now, runs = [0.0, 0.001, -0.001], [[0.0, 0.001, -0.001]] * 20
    assert (
        predict(now, runs[:1], UNCORRECTED, 0.002).sd
        > 3 * predict(now, runs, UNCORRECTED, 0.002).sd
    )


def test_policy_per_test():
    policy = Policy().with_tolerance({"throughput": 0.2})
    assert policy.tolerance == {"throughput": 0.2, "cpu_efficiency": 0.05}


def test_verdicts_survive_json():
    now = around(90, 0.1)
    judged = judge("t", now, History((around(100, 0.1, seed=2),), "0001.json"), Policy(), 2)
    unjudged = judge("t", now, History((), problem="none"), Policy(), 2)
    for verdict in (*judged, *unjudged):
        assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
