"""Figures that follow from samples."""

import json
from dataclasses import replace

import pytest

from pytest_tfthreads.core.decode import DecodeError
from pytest_tfthreads.core.measurement import Latency, Measurement, Pools, Sample
from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.threads import ThreadConfig


def sample(wall_s=(0.5, 1.5), cpu_s=(1.0, 2.0), iterations=10):
    return Sample(
        wall_s=wall_s,
        cpu_s=cpu_s,
        iterations=iterations,
        warmup_rounds=50,
        setup_s=0.1,
        max_rss_bytes=1 << 20,
        voluntary_switches=3,
        involuntary_switches=4,
        cpus=(0, 2),
    )


def measurement(*samples, items=4):
    return Measurement(
        requested=Pools(2, 0),
        effective=Pools(2, 4),
        cpus=(0, 2),
        start="fork",
        items=items,
        unit="images",
        samples=samples,
        machine={"cpu": "test"},
        flags=("oversubscribed",),
    )


def test_figures_of_one_process():
    one = measurement(sample())
    # 2 rounds of 10 calls of 4 images, in 2 s of wall time and 3 CPU-seconds
    assert one.throughput.value == pytest.approx(40)
    assert one.cpu_efficiency.value == pytest.approx(80 / 3)
    assert one.cores_used.value == pytest.approx(1.5)
    assert one.utilization == pytest.approx(0.75)
    assert one.throughput.low is None


def test_throughput_is_efficiency_times_cores_used_exactly():
    many = measurement(sample(), sample((2.0, 0.1), (2.1, 0.4)), sample((1.0, 1.0), (0.7, 3.0)))
    product = many.cpu_efficiency.value * many.cores_used.value
    assert many.throughput.value == pytest.approx(product, rel=1e-12)


def test_rounds_are_no_samples():
    few, many = sample((1.0, 2.0), (1.0, 2.0)), sample((1.0, 2.0) * 500, (1.0, 2.0) * 500)
    slow_few, slow_many = sample((2.0, 4.0), (2.0, 4.0)), sample((2.0, 4.0) * 500, (2.0, 4.0) * 500)
    assert measurement(few, slow_few).throughput == measurement(many, slow_many).throughput


def test_survives_json():
    before = measurement(sample(), sample((2.0, 0.1), (2.1, 0.4)))
    data = json.loads(json.dumps(before.to_json()))
    assert Measurement.from_json(data) == before
    assert data["schema"] == 1
    assert data["effective"] == {"intra": 2, "inter": 4}
    assert data["processes"][0]["wall_s"] == [0.5, 1.5]


def test_of_several_instances_more_is_known_and_of_one_nothing_is_added():
    one = measurement(sample())
    team = replace(
        one,
        instances=2,
        instance_cpus=((0, 2), (1, 3)),
        latency=Latency(0.01, 0.02, 3),
        imbalance=0.1,
        max_pss_bytes=1 << 30,
    )
    data = json.loads(json.dumps(team.to_json()))
    assert Measurement.from_json(data) == team
    assert data.keys() - one.to_json().keys() == {
        "instances",
        "instance_cpus",
        "instance_nodes",
        "latency",
        "imbalance",
        "max_pss_bytes",
    }
    assert (one.utilization, team.utilization) == (pytest.approx(0.75), pytest.approx(0.375))
    with pytest.raises(DecodeError, match="instances is 0"):
        Measurement.from_json({**data, "instances": 0})


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"instances": 2}, "instance_cpus are not of 2 instances"),
        ({"instances": 2, "instance_cpus": ((0,), ())}, "instance_cpus are not of 2"),
        ({"instances": 2, "instance_cpus": ((0,),) * 3}, "instance_cpus are not of 2"),
        (
            {"instances": 2, "instance_cpus": ((0,), (1,)), "instance_nodes": (0,)},
            "instance_nodes are not of 2 instances",
        ),
    ],
)
def test_each_instance_has_cpus(wrong, place):
    with pytest.raises(DecodeError, match=place):
        replace(measurement(sample()), **wrong).check()


def test_of_several_instances_a_call_takes_what_one_caller_sees():
    team = replace(measurement(sample()), instances=2, latency=Latency(0.01, 0.02, 3))
    candidate = Candidate("intra2-inter4-x2", ThreadConfig(), team)
    assert (candidate.call_s, candidate.instances) == (0.01, 2)


@pytest.mark.parametrize(
    "wrong",
    [{"wall_s": ()}, {"cpu_s": (1.0,)}, {"iterations": 0}, {"cpu_s": (0.0, 0.0)}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_impossible_samples(wrong):
    with pytest.raises(ValueError, match="round"):
        sample(**wrong)


@pytest.mark.parametrize("which", ["reference_wall_s", "reference_cpu_s"])
@pytest.mark.parametrize("seconds", [0.0, 1e-320])
def test_a_reference_workload_has_a_speed(which, seconds):
    with pytest.raises(ValueError, match="s a call of the reference workload"):
        replace(sample(), **{which: seconds})


def test_latency_is_the_median_and_the_value_that_99_of_100_calls_do_not_exceed():
    assert Latency.of([*map(float, range(1, 201))], 3) == Latency(100.5, 198.0, 3)
    assert Latency.of([7.0], 1) == Latency(7.0, 7.0, 1)
