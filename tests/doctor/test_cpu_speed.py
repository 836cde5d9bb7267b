"""CPUs with two speeds, with one, and with none that keeps."""

import random

import pytest

from pytest_tfthreads.doctor.cpu_speed import Loop, steadiness, two_speeds


def scattered(kind, count=400, seed=3):
    rng = random.Random(seed)
    return [kind(rng) for _ in range(count)]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_two_speeds(share):
    times = scattered(
        lambda rng: (2.3e-3 if rng.random() < share else 1.27e-3) * (1 + rng.gauss(0, 0.02))
    )
    found = two_speeds(times)
    assert found.fast_s == pytest.approx(1.27e-3, rel=0.02)
    assert found.slow_s == pytest.approx(2.3e-3, rel=0.02)
    assert found.slow_share == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize(
    "kind",
    [
        lambda rng: 1e-3,
        lambda rng: 1e-3 * (1 + rng.gauss(0, 0.02)),
        lambda rng: 1e-3 * rng.lognormvariate(0, 0.3),
        lambda rng: 1e-3 * rng.uniform(1, 2),
        lambda rng: 1e-3 * (1 + rng.expovariate(5)),
        lambda rng: 5e-3 if rng.random() < 0.01 else 1e-3,
        lambda rng: 1e-3 if rng.random() < 0.5 else 1.1e-3,
    ],
    ids=["one", "narrow", "wide", "even", "tail", "rare", "near"],
)
def test_no_two_speeds(kind):
    assert two_speeds(scattered(kind)) is None


def test_too_few_to_tell():
    assert two_speeds([1e-3, 2e-3]) is None


def process(cpu_s, cpus=(0, 1), wall=1.0, count=40):
    return [Loop(cpu, wall * cpu_s(cpu), cpu_s(cpu)) for cpu in cpus for _ in range(count)]


def test_cpus_of_two_kinds_and_processes():
    processes = [process(lambda cpu: 1e-3 * (1 + cpu)), process(lambda cpu: 1.1e-3 * (1 + cpu))]
    found = steadiness(processes)
    assert [one.cpu for one in found.cpus] == [0, 1]
    assert found.slowest_cpu == pytest.approx(2, rel=0.01)
    assert found.between_processes.value == pytest.approx(0.067, rel=0.05)
    assert all(one.held_up == 0 for one in found.cpus)


def test_what_others_took():
    (one,) = steadiness([process(lambda cpu: 1e-3, (0,), wall=2.0)] * 2).cpus
    assert one.held_up == pytest.approx(0.5)
    assert one.median_s == pytest.approx(1e-3)


def test_a_clock_that_ticks_coarsely():
    ticking = [Loop(0, 1e-3, 0.01 if number % 10 == 0 else 0.0) for number in range(50)]
    (one,) = steadiness([ticking, ticking]).cpus
    assert one.median_s == pytest.approx(1e-3)
    assert one.two_speeds is None


def test_too_little_to_say():
    with pytest.raises(ValueError, match="measure for longer"):
        steadiness([process(lambda cpu: 1e-3, count=2)] * 2)
    with pytest.raises(ValueError, match="no spread"):
        steadiness([process(lambda cpu: 1e-3)])
