"""What `releases` would have found of a test, from its speeds: for the product's own writer."""

import random
from dataclasses import replace

import builders
from pytest_tfthreads.core.abreast import AtPlace, Place
from pytest_tfthreads.core.commit import Commit
from pytest_tfthreads.core.variants.released import Over, Release, TestOver
from pytest_tfthreads.core.variants.steps import LOOKS, steps

TOLERANCE = {"throughput": 0.05, "cpu_efficiency": 0.05}


def over_of(tests, names, spread=0.001):
    """`tests`: by node id a measurement and, of each release, its speed or why there is none.

    Each release was measured in so many rings as the first look has passes.
    """
    releases = tuple(
        Release(name, Place(f"{place:040x}"), Commit(f"{place:040x}", (), "2026-01-01", name))
        for place, name in enumerate(names)
    )
    found = tuple(_test(nodeid, names, spread, *one) for nodeid, one in tests.items())
    return Over(releases, found, (), TOLERANCE, processes=1, elapsed_s=1.0)


def _test(nodeid, names, spread, measurement, speeds):
    draw = random.Random(1)
    at = [
        AtPlace(problem=speed)
        if isinstance(speed, str)
        else AtPlace(
            measurement=replace(
                measurement,
                samples=tuple(
                    builders.sample([(1 + draw.gauss(0, spread)) / speed] * 4, ring=ring)
                    for ring in range(LOOKS[0])
                ),
                spreads=None,
            )
        )
        for speed in speeds
    ]
    known = {
        name: one.measurement
        for name, one in zip(names, at, strict=True)
        if one.measurement is not None
    }
    return TestOver(nodeid, tuple(at), steps(known, TOLERANCE), LOOKS[0])
