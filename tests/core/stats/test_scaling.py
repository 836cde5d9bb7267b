"""The scaling law finds what was put in, and refuses where it cannot."""

import math
import random

import pytest

from pytest_tfthreads.core.stats.scaling import fit, speedup

NOISE = 0.012


def rings(contention, coherency, counts, passes=3, noise=NOISE, seed=3):
    rng = random.Random(seed)
    return [
        [
            (n, level + math.log(speedup(n, contention, coherency)) + rng.gauss(0, noise))
            for n in counts
        ]
        for level in (rng.gauss(0, 0.3) for _ in range(passes))
    ]


def test_speedup_of_known_laws():
    assert speedup(8, 0, 0) == 8
    assert speedup(4, 1, 0) == 1
    assert speedup(1, 0.3, 0.2) == 1
    assert speedup(4, 0.1, 0.05) == pytest.approx(4 / (1 + 0.3 + 0.6))


@pytest.mark.parametrize(
    ("contention", "coherency"), [(0.31, 0.0), (0.1, 0.03), (0.0, 0.0), (0.02, 0.002), (0.5, 0.5)]
)
def test_parameters_are_recovered_exactly_without_noise(contention, coherency):
    law = fit("intra", 1, rings(contention, coherency, (1, 2, 4, 8), noise=0), 1e-8).law
    assert law.contention.value == pytest.approx(contention, abs=2e-3)
    assert law.coherency.value == pytest.approx(coherency, abs=1e-3)
    assert law.efficiency.value == pytest.approx(speedup(8, contention, coherency) / 8, rel=2e-3)
    assert law.farther.value == pytest.approx(speedup(16, contention, coherency), rel=2e-2)
    if coherency:
        assert law.peak.value == pytest.approx(math.sqrt((1 - contention) / coherency), rel=2e-2)


@pytest.mark.parametrize("variance", [0.0, 1e-20, 1e-14, 1e-12])
@pytest.mark.parametrize(
    ("contention", "coherency"), [(0.31, 0.0), (0.1, 0.03), (0.0, 0.0), (0.02, 0.002), (0.5, 0.5)]
)
def test_hardly_any_noise_is_less_than_the_digits_of_the_fit(contention, coherency, variance):
    measured = rings(contention, coherency, (1, 2, 4, 8), noise=math.sqrt(variance))
    law = fit("intra", 1, measured, variance).law
    assert law.contention.low <= law.contention.value <= law.contention.high
    assert law.contention.value == pytest.approx(contention, abs=2e-3)


def test_the_level_of_a_ring_says_nothing():
    same = rings(0.3, 0.01, (1, 2, 4))
    moved = [[(n, log + 5 * index) for n, log in ring] for index, ring in enumerate(same)]
    one, other = fit("intra", 1, same, NOISE**2).law, fit("intra", 1, moved, NOISE**2).law
    assert one.contention.value == pytest.approx(other.contention.value, abs=1e-4)


@pytest.mark.parametrize(
    ("contention", "coherency", "counts", "passes"),
    [(0.31, 0.0, (1, 2, 4), 3), (0.1, 0.03, (1, 2, 4, 8), 3), (0.3, 0.05, (1, 2, 4), 1)],
)
def test_intervals_cover(contention, coherency, counts, passes):
    seeds = range(20)
    covered = {"contention": 0, "coherency": 0, "efficiency": 0}
    truth = {
        "contention": contention,
        "coherency": coherency,
        "efficiency": speedup(counts[-1], contention, coherency) / counts[-1],
    }
    for seed in seeds:
        points = rings(contention, coherency, counts, passes, seed=seed)
        law = fit("intra", 1, points, NOISE**2).law
        for name, true in truth.items():
            estimate = getattr(law, name)
            covered[name] += estimate.low - 1e-6 <= true <= estimate.high + 1e-6
    assert min(covered.values()) >= 17


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([], "0 comparable thread counts"),
        (rings(0.3, 0.0, (1, 2)), "2 comparable thread counts"),
        ([[(1, 0.0)], [(2, 0.5)], [(4, 0.9)]], "0 comparable"),  # never in turns with one another
        ([[(1, 0.0), (2, 0.0), (4, 1.0), (8, 0.0)]] * 3, "miss the measured throughput"),
        (rings(0.3, 0.0, (1, 2, 3), noise=0.2, seed=1), "serial share may be anything|miss"),
    ],
    ids=["none", "two", "alone", "no law", "too noisy"],
)
def test_points_that_identify_no_law(points, reason):
    import re

    scaling = fit("inter", 2, points, NOISE**2)
    assert scaling.law is None
    assert re.search(reason, scaling.refusal)
    assert scaling.sentence.startswith("inter-op threads: no scaling law (")


def test_sentences():
    def sentence(contention, coherency, counts=(1, 2, 4)):
        return fit("intra", 1, rings(contention, coherency, counts), NOISE**2).sentence

    serial = sentence(0.31, 0.0)
    assert " % [" in serial
    assert "serial: 8 intra-op threads would give 2.5" in serial
    assert "no number more than 3." in serial
    assert sentence(0.05, 0.05, (1, 2, 4, 8)).endswith("more than 4 intra-op threads cannot help")
    assert sentence(0.01, 0.0).startswith("scales to 4 intra-op threads at 9")
    assert "no number up to 4 gives more than 1.0" in sentence(1.0, 0.0)
    assert "no number up to 4 gives more than 1.0" in sentence(0.9, 1.0)
