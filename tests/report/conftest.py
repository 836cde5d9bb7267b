"""A made-up run that has everything a report can show, and text that must not become markup."""

import math
import random

import pytest

from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import Change, Verdict
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.op_profile import OpProfile, OpTime, Trace, Traces
from pytest_tfthreads.core.stats.scaling import speedup
from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.sweep.recommendation import recommend
from pytest_tfthreads.core.sweep.search import SearchCost
from pytest_tfthreads.core.threads import ThreadConfig, ThreadCount
from pytest_tfthreads.report.html.content import MeasuredCase, RunContent, Subject

EVIL = "</script><img src=x onerror=\"document.title='owned'\"><!--<script>"
MACHINE = {
    "cpu": f"Model X {EVIL}",
    "physical": 4,
    "logical": 8,
    "quota": None,
    "tensorflow": "2.21.0",
    "python": "3.13.0",
}


def sample(speed, cores, ring, seed):
    """A process on a machine of two speeds."""
    rng = random.Random(seed)
    wall_s = [0.005 * rng.choice((1.0, 1.6)) / speed for _ in range(150)]
    return Sample(
        wall_s=tuple(wall_s),
        cpu_s=tuple(cores * one for one in wall_s),
        iterations=10,
        warmup_rounds=5,
        setup_s=0.1,
        max_rss_bytes=300 << 20,
        voluntary_switches=1,
        involuntary_switches=2,
        cpus=(0, 1),
        ring=ring,
        turn_rounds=2,
        reference_wall_s=0.001,
        reference_cpu_s=0.002,
    )


def candidate(intra, inter, terms="", unit="images", flags=()):
    effective = Pools(intra or 8, inter or 8)
    speed = speedup(effective.intra, 0.1, 0.002) * (1.0 if effective.inter == 1 else 0.95)
    measurement = Measurement(
        requested=Pools(intra, inter),
        effective=effective,
        cpus=tuple(range(effective.intra)),
        start="fork",
        items=32,
        unit=unit,
        samples=tuple(sample(speed, 0.9 * effective.intra, ring, ring) for ring in range(3)),
        machine=MACHINE,
        flags=flags,
    )
    threads = ThreadConfig(ThreadCount.parse(intra, "intra"), ThreadCount.parse(inter, "inter"))
    return Candidate(threads.id + terms, threads, measurement)


@pytest.fixture
def make_candidate():
    return candidate


def verdict(nodeid, one, metric, status, change=None):
    figure = getattr(one.measurement, metric)
    return Verdict(
        test=nodeid,
        metric=metric,
        status=status,
        configuration="1×1",
        unit=one.measurement.unit,
        now=figure,
        tolerance=0.05,
        reason=f"why it is {status}",
        judged_against="" if change is None else f"0001_x.json {EVIL}",
        baseline=None if change is None else figure.scaled(1.1),
        change=change,
        detectable=None if change is None else 0.12,
        corrected=change is not None,
        advice=("save this run",) if status == "improvement" else (),
    )


def subject(test, candidates, statuses=(), pairs=(), search=None, traces=None):
    cases = []
    for place, one in enumerate(candidates):
        nodeid = f"{test}[{one.id}]"
        found = ()
        if statuses:
            status, value = statuses[place % len(statuses)]
            change = None if value is None else Change(value, value - 0.03, value + 0.03)
            found = tuple(
                verdict(nodeid, one, metric, status, change)
                for metric in ("throughput", "cpu_efficiency")
            )
        cases.append(
            MeasuredCase(
                nodeid, one, found, tuple(pairs), traces, took_turns_with_baseline=bool(pairs)
            )
        )
    compared = recommend(test, candidates) if len(candidates) > 1 and not pairs else None
    return Subject(test, tuple(cases), compared, search)


STATUSES = (
    ("regression", -0.31),
    ("inconclusive", -0.04),
    ("pass", 0.01),
    ("improvement", 0.2),
    ("no-baseline", None),
)


def trace(title, path, ops):
    times = tuple(OpTime(op, 1.0, seconds) for op, seconds in ops.items())
    return Trace(title, path, OpProfile(10, 0.02, 0.004, times))


TRACES = Traces(
    "/home/me/traces",
    "host",
    trace("now", "a b/plugins/profile/1", {"Conv2D": 0.01, f"Mean{EVIL}": 0.002}),
    trace(f"v1.0 {EVIL}", "b", {"_MklNativeConv2D": 0.007, "Conv2D": 0.001}),
    (f"no other trace {EVIL}",),
)


@pytest.fixture(scope="session")
def content():
    grid = [candidate(intra, inter) for intra in (1, 2, 4, 8) for inter in (1, 2)]
    pairs = [Pair(math.log(0.97 + 0.01 * nth), 0.01) for nth in range(6)]
    return RunContent(
        when="2026-11-23T10:00:00+00:00",
        source="0007_main.json",
        commit="0123456789ab and changes",
        subjects=(
            subject(
                "tests/test_a.py::test_grid", grid, STATUSES, search=SearchCost(8, 20, 9, 60, 5, 40)
            ),
            subject(
                f"tests/test_a.py::test_line[{EVIL}]",
                [
                    candidate(one, 1, unit="<b>u</b>", flags=("oversubscribed",))
                    for one in (1, 2, 0)
                ],
            ),
            subject(
                "tests/test_b.py::TestClass::test_duet",
                [candidate(2, 1), candidate(4, 1)],
                STATUSES[2:4],
                pairs,
                traces=TRACES,
            ),
            subject(
                "tests/test_b.py::test_terms",
                [
                    candidate(intra, inter, terms)
                    for terms in ("-XLA=0", "-XLA=1")
                    for intra in (1, 2)
                    for inter in (1, 2)
                ],
            ),
            subject("tests/test_b.py::test_single", [candidate(1, 1, flags=("new-flag",))]),
        ),
        failures={"tests/test_b.py::test_broken[intra1-inter1]": f"call failed: boom {EVIL}"},
        complete=False,
        notes=(f"0003_old.json: cut off {EVIL}",),
    )
