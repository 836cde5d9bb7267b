"""Other programs ran beside one side and not beside the other: the comparison is less sure."""

import itertools
import math
from dataclasses import replace

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.contention import Contention
from pytest_tfthreads.core.gate.others import (
    ENOUGH_RUNS,
    differ,
    scatter_beside_others,
    spread_by_others,
)
from pytest_tfthreads.core.gate.verdict import Policy, judge
from pytest_tfthreads.core.tolerance import METRICS

RUNS = 60  # so many alike that a loss of 20 % is found
CALLS = 1000
SHARES = (0.0, 0.02, 0.1, 0.38, 0.5, 0.9, 1.0)


def measured(speed=100.0, cores=2.0, reference_s=None, company=None):
    """Three processes of so many calls a second, beside this company."""
    wall_s = CALLS / speed
    one = sample(
        (wall_s,),
        (cores * wall_s,),
        iterations=CALLS,
        reference_wall_s=reference_s,
        reference_cpu_s=reference_s,
        contention=company,
    )
    return measurement(one, one, one)


def beside(share):
    return Contention(runqueue_share=share, others_share=share, steal_share=0.0)


def verdicts(now, then, runs=RUNS):
    found = judge("t", now, History((then,) * runs, "a run"), Policy(), 2)
    return dict(zip(METRICS, found, strict=True))


def spread(metric, now, then, cores_used=2.0, waits_are_corrected=False):
    return spread_by_others(metric, now, then, cores_used, waits_are_corrected)


@pytest.mark.parametrize("waits_are_corrected", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_the_more_the_company_differs_the_less_sure(metric, waits_are_corrected):
    spreads = [
        spread(metric, beside(share), beside(0.0), waits_are_corrected=waits_are_corrected)
        for share in SHARES
    ]
    assert spreads[0] == 0
    assert all(one < other for one, other in itertools.pairwise(spreads))
    other_way = [
        spread(metric, beside(0.0), beside(share), waits_are_corrected=waits_are_corrected)
        for share in SHARES
    ]
    assert spreads == pytest.approx(other_way)
    assert all(map(math.isfinite, spreads))


def test_what_others_take_moves_throughput_as_far_as_the_threads_work():
    """By the whole of it where one core or more is busy; what is waited for is another matter."""
    taken = replace(beside(0.5), runqueue_share=0.0), replace(beside(0.0), runqueue_share=0.0)
    works = [spread("throughput", *taken, cores_used=cores) for cores in (0.02, 0.5, 1.0, 2.0)]
    assert works == pytest.approx([0.01, 0.25, 0.5, 0.5])
    assert spread("cpu_efficiency", *taken, cores_used=0.02) == pytest.approx(0.5)
    held_back = beside(0.5), beside(0.0)
    waits = 1.4 * math.log(2)
    assert spread("throughput", *held_back) == pytest.approx(waits)
    assert spread("throughput", *held_back, waits_are_corrected=True) == pytest.approx(0.5)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("now", "then"),
    [
        (None, None),
        (beside(0.5), None),
        (None, beside(0.5)),
        (beside(0.5), Contention(runqueue_share=0.1)),
        (Contention(steal_share=0.5), beside(0.0)),
        *((beside(share), beside(share)) for share in SHARES),
    ],
)
def test_company_that_is_alike_or_not_known_changes_nothing(metric, now, then):
    assert spread(metric, now, then) == 0
    assert not differ(now, then)
    for reference_s in (None, 0.001):
        with_company, without = (
            verdicts(
                measured(80, reference_s=reference_s, company=one),
                measured(reference_s=reference_s, company=other),
            )
            for one, other in ((now, then), (None, None))
        )
        assert with_company[metric].change == without[metric].change
        assert with_company[metric].status == "regression"


@pytest.mark.parametrize("metric", METRICS)
def test_company_makes_speeds_scatter_until_saved_runs_have_taught_how_far(metric):
    def scatter(now, then, runs, cores_used=2.0):
        return scatter_beside_others(metric, beside(now), beside(then), cores_used, runs)

    assert scatter(0.5, 0.5, 1) == scatter(0.1, 0.5, 1) == scatter(0.5, 0.1, 1) == 0.5
    by_runs = [scatter(0.5, 0.5, runs) for runs in range(1, ENOUGH_RUNS + 2)]
    assert by_runs == sorted(by_runs, reverse=True)
    assert by_runs[-2:] == [0.0, 0.0]
    assert by_runs[-3] > 0
    assert scatter(0.0, 0.0, 1) == 0
    assert scatter(0.5, 0.5, 1, cores_used=0.1) == (0.05 if metric == "throughput" else 0.5)
    assert scatter_beside_others(metric, None, beside(0.5), 2.0, 1) == 0
    assert scatter_beside_others(metric, beside(0.5), Contention(), 2.0, 1) == 0


@pytest.mark.parametrize(
    ("now", "then", "speed", "cores"),
    [(0.17, 0.49, 57, 1.6), (0.32, 0.49, 46, 1.25), (0.50, 0.51, 55, 0.97)],
)
def test_no_single_run_beside_others_fails_what_company_has_been_seen_to_make(
    now, then, speed, cores
):
    """Unchanged pipelines of tf.data, beside a busy loop and more."""
    one = measured(speed, cores, company=beside(now))
    found = verdicts(one, measured(100, 1.0, company=beside(then)), runs=1)
    assert {verdict.status for verdict in found.values()} == {"inconclusive"}
    at_rest = verdicts(measured(speed, cores), measured(100, 1.0), runs=1)
    assert at_rest["cpu_efficiency"].status == "regression"


def test_time_that_went_to_other_machines_is_company_too():
    stolen = Contention(others_share=0.1, steal_share=0.4)
    assert stolen.taken == pytest.approx(0.5)
    assert Contention(others_share=0.1).taken == pytest.approx(0.1)
    assert Contention(runqueue_share=0.1, steal_share=0.4).taken is None
    assert Contention(others_share=0.9, steal_share=0.4).taken == 1
    assert spread("cpu_efficiency", stolen, beside(0.5)) == pytest.approx(0)


@pytest.mark.parametrize("reference_s", [None, 0.001])
@pytest.mark.parametrize(("then", "now"), [(0.5, 0.0), (0.0, 0.5), (0.1, 0.4)])
def test_no_cpu_efficiency_is_lost_for_certain_where_a_neighbour_came_or_went(
    then, now, reference_s
):
    """Small ops did 16 % less a CPU-second when the neighbour on one of two CPUs had gone."""
    found = verdicts(
        measured(80, 2.0, reference_s, beside(now)), measured(100, 2.0, reference_s, beside(then))
    )
    alike = verdicts(
        measured(80, 2.0, reference_s, beside(now)), measured(100, 2.0, reference_s, beside(now))
    )
    assert found["cpu_efficiency"].status == "inconclusive"
    assert alike["cpu_efficiency"].status == "regression"
    assert found["cpu_efficiency"].change.value == alike["cpu_efficiency"].change.value
    assert found["cpu_efficiency"].detectable > alike["cpu_efficiency"].detectable


def test_a_loss_far_beyond_what_company_explains_is_still_found():
    found = verdicts(measured(50, company=beside(0.1)), measured(company=beside(0.0)))
    assert found["cpu_efficiency"].status == "regression"


def test_a_reference_that_stands_for_the_test_has_corrected_what_threads_waited():
    """It needs as many CPUs as the test, so it has waited as long."""
    now = measured(50, reference_s=0.002, company=beside(0.5))
    alike, other = (
        verdicts(now, measured(100, reference_s=0.001, company=beside(share)))["throughput"]
        for share in (0.5, 0.0)
    )
    assert alike.status == "pass"
    assert other.change.value == alike.change.value == pytest.approx(0)


@pytest.mark.parametrize("cores", [1.0, 2.0])
@pytest.mark.parametrize(("now", "then"), [(0.0, 0.5), (0.5, 0.0)])
def test_a_reference_does_not_say_what_work_costs_beside_others(now, then, cores):
    """Small ops were 41 % faster beside a busy loop, and the reference workload was slower."""
    slower = verdicts(
        measured(78, cores, 0.0009, beside(now)), measured(100, cores, 0.001, beside(then))
    )
    assert slower["throughput"].corrected
    assert slower["throughput"].status == "inconclusive"
    faster = verdicts(
        measured(128, cores, 0.0011, beside(now)), measured(100, cores, 0.001, beside(then))
    )
    assert faster["throughput"].status == "inconclusive"


def test_throughput_without_a_reference_fails_nobody_who_had_half_of_the_cpus():
    now = measured(45, company=beside(0.5))
    assert verdicts(now, measured(company=beside(0.0)))["throughput"].status == "inconclusive"
    assert verdicts(now, measured(company=beside(0.5)))["throughput"].status == "regression"


def test_a_test_whose_threads_never_waited_lost_no_throughput_to_others():
    """One that sleeps, beside programs that take all that it leaves of the CPUs."""
    then = replace(beside(0.95), runqueue_share=0.001)
    found = verdicts(measured(80, 0.02, company=beside(0.0)), measured(100, 0.02, company=then))
    assert found["throughput"].status == "regression"
    assert found["cpu_efficiency"].status == "inconclusive"


def test_an_open_verdict_tells_of_company_that_held_nothing_back():
    """Threads that found a free CPU each time, and yet shared caches with another program."""
    then = replace(beside(0.5), runqueue_share=0.0)
    now = replace(beside(0.0), runqueue_share=0.0)
    verdict = verdicts(measured(80, company=now), measured(company=then))["cpu_efficiency"]
    assert verdict.status == "inconclusive"
    assert (
        "; other programs took 50 % of the granted CPUs while the baseline was measured"
        in verdict.reason
    )
    assert verdict.reason.count("other programs") == 1


@pytest.mark.parametrize("reference_s", [None, 0.001])
@pytest.mark.parametrize("metric", METRICS)
def test_where_company_differs_only_a_saved_run_in_the_same_company_would_help(metric, reference_s):
    alike, other = (
        verdicts(
            measured(96, reference_s=reference_s, company=beside(now)),
            measured(reference_s=reference_s, company=beside(0.5)),
        )[metric]
        for now in (0.5, 0.0)
    )
    assert alike.status == other.status == "inconclusive"
    assert other.advice == (
        "a saved run beside which other programs take as much of the CPUs as now "
        "(--benchmark-autosave), or measuring side by side (--tf-threads-duet)",
    )
    assert not any("other programs" in one for one in alike.advice)
