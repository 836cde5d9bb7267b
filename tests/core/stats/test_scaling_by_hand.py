"""The scaling law by hand: its intervals by brute force, its words from laws that are given."""

import itertools
import math
from dataclasses import replace
from functools import partial
from statistics import fmean

import pytest
from scipy.optimize import minimize, minimize_scalar

from pytest_tfthreads.core.stats.estimates import Estimate, student_t
from pytest_tfthreads.core.stats.scaling import EXPECTED_DOF, Law, Scaling, fit, speedup

EXPECTED = 0.012**2


def law_of(counts, contention, coherency, *offs):
    """Rings of these thread counts, each with its own distances from the law."""
    return [
        [
            (n, level + math.log(speedup(n, contention, coherency)) + off)
            for n, off in zip(counts, ring, strict=True)
        ]
        for level, ring in enumerate(offs)
    ]


class BruteForce:
    """Least squares of a ring's logarithms about its own level, and the F limit."""

    def __init__(self, rings, expected=EXPECTED):
        self.rings = rings
        self.counts = sorted({n for ring in rings for n, _ in ring})
        starts = itertools.product((0.1, 0.8), (0.03, 0.3))
        found = min(
            (
                minimize(
                    lambda one: self.squares(one[0], one[1] ** 2),
                    start,
                    method="Nelder-Mead",
                    bounds=[(0, 1), (0, math.sqrt(10))],
                    options={"xatol": 1e-10, "fatol": 1e-16, "maxiter": 4000},
                )
                for start in starts
            ),
            key=lambda found: found.fun,
        )
        self.best, least = (found.x[0], found.x[1] ** 2), found.fun
        off = [
            (n, one)
            for ring in rings
            for n, one in zip((n for n, _ in ring), self.residuals(ring, *self.best), strict=True)
        ]
        groups = [[one for n, one in off if n == count] for count in self.counts]
        dof = sum(len(ring) - 1 for ring in rings) - 2 + EXPECTED_DOF
        variance = (least + EXPECTED_DOF * expected) / dof
        if len(self.counts) > 3:
            of_law = sum(len(one) * fmean(one) ** 2 for one in groups) / (len(self.counts) - 3)
            variance = max(variance, of_law)
        self.limit = least + variance * student_t(0.975, dof) ** 2

    def residuals(self, ring, contention, coherency):
        off = [log - math.log(speedup(n, contention, coherency)) for n, log in ring]
        return [one - fmean(off) for one in off]

    def squares(self, contention, coherency):
        return sum(
            one**2 for ring in self.rings for one in self.residuals(ring, contention, coherency)
        )

    def least(self, parameters, most):
        """Over what is left free, from 0 to `most`."""
        found = minimize_scalar(
            lambda one: self.squares(*parameters(one)),
            bounds=(0, most),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return min(found.fun, *(self.squares(*parameters(one)) for one in (0.0, most)))

    def contention(self, value):
        return self.least(lambda root: (value, root**2), math.sqrt(10))

    def coherency(self, value):
        return self.least(lambda contention: (contention, value), 1.0)

    def peak(self, value):
        return self.least(lambda root: (1 - (root * value) ** 2, root**2), 1 / value)

    def speedup(self, value, threads):
        excess = threads / value - 1
        return self.least(
            lambda one: (one, (excess - one * (threads - 1)) / threads / (threads - 1)),
            min(1.0, excess / (threads - 1)),
        )


NOISY = (
    (0.01, -0.02, 0.015, 0.0),
    (-0.012, 0.0, 0.01, -0.02),
    (0.0, 0.02, -0.02, 0.01),
)
MISSED = ((0.01, -0.03, 0.03, -0.01),) * 3


def assert_ends_at_the_limit(by_hand, estimate, profile, lowest, highest):
    """Or at one of these bounds, where the best fit is within the limit."""
    assert lowest <= estimate.low <= estimate.value <= estimate.high <= highest
    for bound, end in ((estimate.low, lowest), (estimate.high, highest)):
        if bound == end:
            assert profile(bound) <= by_hand.limit
        else:
            assert profile(bound) == pytest.approx(by_hand.limit, rel=1e-2)


@pytest.mark.parametrize(
    "rings",
    [
        law_of((1, 2, 4, 8), 0.1, 0.02, *NOISY),
        law_of((1, 2, 4, 8), 0.1, 0.02, *MISSED),
        law_of((1, 2, 4), 0.2, 0.05, (0.0, 0.0, 0.0)),
        [*law_of((1, 2, 4, 8), 0.1, 0.02, *NOISY), *law_of((2, 8), 0.1, 0.02, (0.01, 0.03))],
        law_of((1, 2, 3, 4, 8), 0.1, 0.02, *[(0.01, -0.03, 0.0, 0.03, -0.01)] * 3),
        law_of((1, 2, 4, 8), 0.1, 0.001, *NOISY),
        law_of((1, 2, 4, 8), 0.9, 0.3, *NOISY),
    ],
    ids=["noisy", "no such law", "three", "unequal rings", "five", "no peak", "falling"],
)
def test_intervals_end_where_the_best_fit_reaches_the_limit(rings):
    by_hand = BruteForce(rings)
    law = fit("intra", 1, rings, EXPECTED).law
    assert (law.contention.value, law.coherency.value) == pytest.approx(by_hand.best, abs=1e-5)
    most = by_hand.counts[-1]
    assert law.most == most
    assert law.efficiency.value == pytest.approx(speedup(most, *by_hand.best) / most, rel=1e-4)
    assert law.farther.value == pytest.approx(speedup(2 * most, *by_hand.best), rel=1e-3)
    for estimate, profile, lowest, highest in (
        (law.contention, by_hand.contention, 0.0, 1.0),
        (law.coherency, by_hand.coherency, 0.0, 10.0),
        (law.efficiency, lambda one: by_hand.speedup(one * most, most), 0.0, 1.0),
        (law.farther, lambda one: by_hand.speedup(one, 2 * most), 0.0, 2.0 * most),
    ):
        assert_ends_at_the_limit(by_hand, estimate, profile, lowest, highest)
    assert (law.peak is None) == (law.coherency.low == 0)
    if law.peak is not None:
        contention, coherency = by_hand.best
        assert law.peak.value == pytest.approx(math.sqrt((1 - contention) / coherency), rel=1e-3)
        assert by_hand.peak(law.peak.low) == pytest.approx(by_hand.limit, rel=1e-2)
        assert by_hand.peak(law.peak.high) == pytest.approx(by_hand.limit, rel=1e-2)


def test_some_of_these_laws_have_a_peak():
    exact = law_of((1, 2, 4, 8), 0.1, 0.02, *NOISY)
    assert fit("intra", 1, exact, EXPECTED).law.peak is not None


def test_no_more_than_all_work_is_serial():
    """Two threads have 85 % of the throughput of one, and four 76.5 %: σ would be above 1."""
    rings = [[(1, 0.0), (2, math.log(0.85)), (4, math.log(0.765))]] * 3
    by_hand = BruteForce(rings)
    law = fit("intra", 1, rings, EXPECTED).law
    assert law.contention.value == law.contention.high == 1
    assert (law.peak.value, law.peak.low) == (0, 0)
    assert_ends_at_the_limit(by_hand, law.contention, by_hand.contention, 0.0, 1.0)
    assert_ends_at_the_limit(by_hand, law.coherency, by_hand.coherency, 0.0, 10.0)
    for estimate, threads in ((law.efficiency.scaled(4), 4), (law.farther, 8)):
        profile = partial(by_hand.speedup, threads=threads)
        assert_ends_at_the_limit(by_hand, estimate, profile, 0.0, threads)


def test_what_scales_without_a_limit_or_not_at_all_is_said_to():
    linear = fit("inter", 5, law_of((1, 2, 4), 0.0, 0.0, (0, 0, 0)), 0.0)
    assert (linear.axis, linear.fixed, linear.counts) == ("inter", 5, (1, 2, 4))
    assert linear.refusal is None
    nothing, whole, twice = (Estimate(one, one, one) for one in (0.0, 1.0, 8.0))
    assert linear.law == Law(nothing, nothing, None, 4, whole, twice)
    flat = fit("intra", 1, law_of((1, 2, 4), 1.0, 0.0, (0, 0, 0)), EXPECTED).law
    assert (flat.contention.value, flat.coherency.value, flat.most_gain) == (1, 0, 1)


def test_a_law_without_noise_is_found_to_seven_places():
    law = fit("intra", 1, law_of((1, 2, 4, 8), 0.1, 0.02, (0,) * 4), EXPECTED).law
    assert (law.contention.value, law.coherency.value) == pytest.approx((0.1, 0.02), abs=1e-8)


@pytest.mark.parametrize(
    ("peak", "expected", "is_open"), [(75, 1e-8, False), (75, 1e-7, True), (84, 1e-9, True)]
)
def test_a_peak_is_open_above_where_it_may_be_at_ten_times_the_most_threads(
    peak, expected, is_open
):
    """Of at most 8 threads: from 80 on."""
    rings = law_of((1, 2, 4, 8), 0.1, 0.9 / peak**2, (0,) * 4, (0,) * 4)
    by_hand = BruteForce(rings, expected)
    found = fit("intra", 1, rings, expected).law.peak
    assert found.value == pytest.approx(peak, rel=1e-4)
    assert by_hand.peak(found.low) == pytest.approx(by_hand.limit, rel=1e-2)
    assert (by_hand.peak(80) <= by_hand.limit or peak > 80) == is_open
    assert (found.high is None) == is_open
    if not is_open:
        assert by_hand.peak(found.high) == pytest.approx(by_hand.limit, rel=1e-2)


def test_a_ring_of_one_number_of_threads_says_nothing():
    exact = law_of((1, 2, 4), 0.2, 0.05, (0.0, 0.0, 0.0))
    same = [[(16, 1.0)], [(8, 1.0), (8, 2.0)]]
    assert fit("intra", 1, [*exact, *same], EXPECTED) == fit("intra", 1, exact, EXPECTED)
    few = fit("inter", 7, [[(1, 0.0), (2, 0.5)], *same], EXPECTED)
    words = "2 comparable thread counts, of which it takes 3"
    assert few == Scaling("inter", 7, (1, 2), None, words)
    assert few.sentence == f"inter-op threads: no scaling law ({words})"
    assert few.keyword == ""


def test_a_law_is_refused_for_what_it_would_miss_by():
    """Of 1, 2 and 4 threads the middle one is lower than any law allows."""
    scaling = fit("intra", 1, [[(1, 0.0), (2, -1.0), (4, 0.0)]] * 3, EXPECTED)
    assert scaling.law is None
    assert scaling.refusal == "it would miss the measured throughput by 67 %"


def test_a_law_is_refused_where_the_serial_share_may_be_anything():
    rings = law_of((1, 2, 4, 8), 0.1, 0.02, *[(0.02, -0.06, 0.06, -0.02)] * 3)
    scaling = fit("intra", 1, rings, EXPECTED)
    assert scaling.law is None
    assert scaling.refusal == "the serial share may be anything from 0.0 % to 32 %"
    by_hand = BruteForce(rings)
    assert by_hand.contention(0.0) < by_hand.limit
    assert by_hand.contention(0.315) < by_hand.limit < by_hand.contention(0.325)


SERIAL = Law(
    contention=Estimate(0.25, 0.2, 0.3),
    coherency=Estimate(0.0, 0.0, 0.01),
    peak=None,
    most=4,
    efficiency=Estimate(0.5, 0.45, 0.55),
    farther=Estimate(2.9, 2.5, 3.2),
)
PEAKED = replace(SERIAL, coherency=Estimate(0.05, 0.04, 0.06), peak=Estimate(3.9, 3.5, 4.4), most=8)
SCALES = replace(SERIAL, contention=Estimate(0.01, 0.0, 0.02), efficiency=Estimate(0.97, 0.9, 1.0))
FLAT = replace(SERIAL, contention=Estimate(0.95, 0.9, 1.0))


@pytest.mark.parametrize(
    ("law", "sentence", "keyword"),
    [
        (
            SERIAL,
            "25 % [20, 30] serial: 8 inter-op threads would give 2.9 [2.5, 3.2] times one "
            "thread, no number more than 4.0 [3.3, 5.0] times",
            "25 % serial",
        ),
        (
            PEAKED,
            "25 % [20, 30] serial, 5 % [4, 6] crosstalk a pair: more than 4 "
            "inter-op threads cannot help",
            "no gain beyond 4 inter-op threads",
        ),
        (
            SCALES,
            "scales to 4 inter-op threads at 97 % [90, 100] efficiency",
            "scales to 4 inter-op threads",
        ),
        (
            FLAT,
            "inter-op threads: no number up to 4 gives more than 1.04 times one thread",
            "more inter-op threads do not help",
        ),
    ],
    ids=["serial", "peaked", "scales", "flat"],
)
def test_a_law_in_words(law, sentence, keyword):
    scaling = Scaling("inter", 2, (1, 2, 4), law, None)
    assert scaling.sentence == sentence
    assert scaling.keyword == keyword


def test_a_law_is_written():
    data = Scaling("inter", 2, (1, 2, 4), PEAKED, None).to_json()
    assert data.pop("sentence").startswith("25 %")
    assert data == {
        "axis": "inter",
        "fixed": 2,
        "terms": "",
        "counts": [1, 2, 4],
        "refusal": None,
        "law": {
            "contention": {"value": 0.25, "low": 0.2, "high": 0.3},
            "coherency": {"value": 0.05, "low": 0.04, "high": 0.06},
            "peak": {"value": 3.9, "low": 3.5, "high": 4.4},
            "most": 8,
            "efficiency": {"value": 0.5, "low": 0.45, "high": 0.55},
            "farther": {"value": 2.9, "low": 2.5, "high": 3.2},
        },
    }
    assert Scaling("inter", 2, (1, 2, 4), SERIAL, None).to_json()["law"]["peak"] is None
    refused = Scaling("inter", 2, (1,), None, "why").to_json()
    assert (refused["law"], refused["refusal"]) == (None, "why")


@pytest.mark.parametrize(
    ("peak", "most", "useful"),
    [
        (Estimate(4.0, 3.0, 4.4), 8, 4),
        (Estimate(4.0, 3.0, 4.5), 8, 5),  # 4 · 5 < 4.5² <= 5 · 6
        (Estimate(0.5, 0.1, 0.9), 8, 1),
        (Estimate(4.0, 3.0, 8.4), 4, 8),
        (Estimate(4.0, 3.0, 8.6), 4, None),
        (Estimate(4.0, 3.0, None), 4, None),
    ],
)
def test_the_last_number_that_can_be_useful(peak, most, useful):
    assert replace(PEAKED, peak=peak, most=most).last_useful == useful
