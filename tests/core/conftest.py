"""Configurations whose speed is known, as if they had been measured in turns."""

import math
import random

import pytest

from builders import unchanged_process
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.threads import InstanceCount, ThreadConfig, ThreadCount
from repository import program

PHYSICAL = 4


def pool(count):
    return {"physical": PHYSICAL, "auto": 0}.get(count, count)


@pytest.fixture
def candidate():
    """Build one: relative `speed`, CPU-seconds an item relative to a second of work (`cost`).

    All members of a ring share its weather, a factor a block; `noise` is a process's own.
    """
    rng = random.Random(11)

    def build(
        intra,
        inter=1,
        speed=1.0,
        cost=1.0,
        rings=(0, 1, 2),
        terms="",
        noise=0.0,
        instances=None,
        **fields,
    ):
        samples = []
        for ring in rings:
            weather = random.Random(ring)
            own = math.exp(rng.gauss(0, noise)) if noise else 1.0
            work_s = [own * weather.choice((0.003, 0.006)) for _ in range(20) for _ in range(2)]
            samples.append(
                Sample(
                    wall_s=tuple(one / speed for one in work_s),
                    cpu_s=tuple(one * cost for one in work_s),
                    iterations=10,
                    warmup_rounds=10,
                    setup_s=0.1,
                    max_rss_bytes=1,
                    voluntary_switches=0,
                    involuntary_switches=0,
                    cpus=(0,),
                    ring=ring,
                    turn_rounds=2,
                )
            )
        threads = ThreadConfig(
            ThreadCount.parse(intra, "intra"),
            ThreadCount.parse(inter, "inter"),
            None if instances is None else InstanceCount.parse(instances, "instances"),
        )
        requested = Pools(pool(intra), pool(inter))
        effective = Pools(requested.intra or PHYSICAL, requested.inter or PHYSICAL)
        known = {"requested": requested, "effective": effective, "items": 32, "unit": "images"}
        if instances is not None and instances > 1:
            fields = {
                "instances": instances,
                "instance_cpus": tuple((cpu,) for cpu in range(instances)),
                **fields,
            }
        measurement = Measurement(
            **{**known, "cpus": (0,), "start": "fork", "samples": tuple(samples), **fields}
        )
        return Candidate(threads.id + terms, threads, measurement)

    return build


@pytest.fixture(scope="session")
def replay():
    """benchmarks/gate/replay.py as a module; its neighbours are `replay.rules` and so on."""
    return program("gate/replay.py")


@pytest.fixture
def sample():
    return unchanged_process
