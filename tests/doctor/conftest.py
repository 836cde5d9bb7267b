"""Pairs of processes that ran the same code, as the doctor measures them."""

import math
import random

import pytest

from builders import unchanged_process
from pytest_tfthreads.doctor.power import Trial


@pytest.fixture
def sample():
    return unchanged_process


@pytest.fixture
def trial():
    """Build one: pairs whose processes each spread by `spread`, and meet the same weather."""

    def build(count=6, spread=0.01, weather=0.03, seed=1, reference_s=0.001):
        rng = random.Random(seed)

        def process(ring, sky):
            round_s = 0.01 * math.exp(sky + rng.gauss(0, spread))
            return unchanged_process(round_s, math.exp(rng.gauss(0, spread)), ring, reference_s)

        skies = [rng.gauss(0, weather) for _ in range(count)]
        return Trial(
            tuple((process(ring, sky), process(ring, sky)) for ring, sky in enumerate(skies))
        )

    return build
