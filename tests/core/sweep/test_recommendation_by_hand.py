"""Single rules of a recommendation by hand: who is chosen, by what it is judged, what is fitted."""

import math
from dataclasses import replace
from statistics import fmean

import pytest

from pytest_tfthreads.core.format import percent
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.stats.moderation import Difference, expected_variance, median_se
from pytest_tfthreads.core.stats.scaling import Law, Scaling, fit
from pytest_tfthreads.core.sweep.comparison import Comparison, Ratio, compare
from pytest_tfthreads.core.sweep.recommendation import (
    aliases_among,
    is_pool_swept,
    recommend,
    settings,
    threads,
)

CROWDED = ("oversubscribed",)
GLANCE = ("glance",)


@pytest.mark.parametrize(
    ("intra", "inter", "fields", "expected"),
    [
        (2, 4, {}, 4),
        (4, 2, {}, 4),
        (2, 1, {"cpus": (0, 1, 2, 3)}, 2),
        ("auto", 1, {}, 4),
        ("auto", 1, {"effective": None, "cpus": (0, 1, 2)}, 3),
        (1, "auto", {"effective": None, "cpus": (0, 1, 2)}, 3),
        (5, "auto", {"effective": None, "cpus": (0, 1, 2)}, 5),
    ],
)
def test_what_a_configuration_keeps_busy(candidate, intra, inter, fields, expected):
    assert threads(candidate(intra, inter, **fields)) == expected


def chosen(*candidates):
    return recommend("test", candidates).best.id


@pytest.mark.parametrize(
    ("larger", "smaller"),
    [
        ({"intra": 4, "inter": 1}, {"intra": 2, "inter": 2}),
        ({"intra": 2, "inter": 2}, {"intra": 2, "inter": 1}),
        ({"intra": 2, "inter": 2}, {"intra": 1, "inter": 2}),
        ({"intra": 2, "inter": 2, "instances": 2}, {"intra": 4, "inter": 1}),
        ({"intra": 1, "inter": 1, "instances": 3}, {"intra": 2, "inter": 2}),
        ({"intra": 3, "inter": 1}, {"intra": 1, "inter": 1, "instances": 2}),
        ({"intra": 1, "inter": 1, "flags": CROWDED}, {"intra": 4, "inter": 4}),
    ],
)
def test_of_those_that_are_tied_the_smaller_is_chosen(candidate, larger, smaller):
    one, other = candidate(**larger), candidate(**smaller)
    assert chosen(one, other) == chosen(other, one) == other.id


@pytest.mark.parametrize(
    ("speed", "cost", "is_chosen"),
    [
        (1.0, 1.0, False),
        (1.5, 1.0, True),
        (1.5, 1.5, True),
        (1.0, 0.5, True),
        (0.5, 0.5, False),
        (1.0, 1.5, False),
    ],
)
def test_an_oversubscribed_one_needs_a_gain_in_the_first_figure_that_differs(
    candidate, speed, cost, is_chosen
):
    usual = candidate(4)
    crowded = candidate(2, speed=speed, cost=cost, flags=CROWDED)
    assert chosen(usual, crowded) == (crowded.id if is_chosen else usual.id)
    # Beside another that loses, too.
    slow = candidate(1, speed=0.3, cost=3.0, flags=CROWDED)
    assert chosen(slow, usual, crowded) == (crowded.id if is_chosen else usual.id)


@pytest.mark.parametrize(("speed", "is_chosen"), [(0.85, False), (0.95, True)])
def test_a_glance_is_enough_for_those_within_a_tenth_of_the_fastest(candidate, speed, is_chosen):
    """A single ring tells neither apart: the smaller would be chosen."""
    scatter = [1.0, 1.0, 3.0, 3.0, 0.4, 0.4, 1.0, 1.0] * 5

    def both_clocks(one):
        (sample,) = one.measurement.samples
        wall_s = tuple(map(math.prod, zip(sample.wall_s, scatter, strict=True)))
        cpu_s = tuple(map(math.prod, zip(sample.cpu_s, scatter, strict=True)))
        samples = (replace(sample, wall_s=wall_s, cpu_s=cpu_s),)
        return replace(one, measurement=replace(one.measurement, samples=samples))

    small = both_clocks(candidate(1, speed=speed, rings=(0,), flags=GLANCE))
    fastest = candidate(4, rings=(0,))
    advice = recommend("test", [small, fastest])
    assert all(one.tied for one in advice.configurations)
    assert advice.best.id == (small.id if is_chosen else fastest.id)
    in_full = replace(small, measurement=replace(small.measurement, flags=()))
    assert chosen(in_full, fastest) == small.id


def test_a_glance_is_judged_against_the_fastest_wherever_it_stands(candidate):
    scatter = (1.0, 1.0, 3.0, 3.0, 0.4, 0.4, 1.0, 1.0)
    small = scattered(candidate(1, speed=0.85, rings=(0,), flags=GLANCE), scatter)
    four, eight = candidate(4, rings=(0,)), candidate(8, speed=0.85, rings=(0,))
    advice = recommend("test", [small, four, eight])
    assert [one.tied for one in advice.configurations] == [True, True, False]
    assert advice.best.id == four.id


def test_where_each_is_beaten_by_another_the_smallest_is_chosen(candidate):
    """In two of three blocks the first is faster than the second, it than the third, and so on."""

    def turning(one, place):
        samples = tuple(
            replace(
                sample,
                wall_s=tuple(1.0 + (block + place) % 3 for block in range(20) for _ in range(2)),
                cpu_s=(1.0,) * 40,
            )
            for sample in one.measurement.samples
        )
        return replace(one, measurement=replace(one.measurement, samples=samples))

    rings = tuple(range(8))
    three = [turning(candidate(4 - place, rings=rings), place) for place in range(3)]
    comparison = compare(three)
    ids = [one.id for one in three]
    for faster, slower in zip(ids, [*ids[1:], ids[0]], strict=True):
        assert comparison.throughput(faster, slower).above
    advice = recommend("test", three)
    assert advice.best.id == "intra2-inter1"
    assert set(advice.equals) == set(ids)


def test_each_is_judged_against_the_best_the_single_and_the_default(candidate):
    candidates = [
        candidate(2, speed=1.4, cost=1.1),
        candidate(4, speed=2.0, cost=1.5),
        candidate(1, instances=2, speed=1.9, cost=1.2),
        candidate(1),
        candidate("auto", "auto", speed=1.5, cost=2.0),
        candidate(2, 2, speed=1.2, cost=1.6, terms="-X=1"),
    ]
    best, single, default = candidates[1].id, candidates[3].id, candidates[4].id
    comparison, advice = compare(candidates), recommend("test", candidates)
    assert advice.best.id == best
    *usual, other = advice.configurations
    for one in advice.configurations:
        assert one.throughput_to_best == comparison.throughput(one.id, best)
        assert one.cpu_efficiency_to_best == comparison.cpu_efficiency(one.id, best)
    for one in usual:
        assert one.throughput_to_single == comparison.throughput(one.id, single)
        assert one.cpu_efficiency_to_single == comparison.cpu_efficiency(one.id, single)
        assert one.throughput_to_default == comparison.throughput(one.id, default)
    assert (other.throughput_to_single, other.cpu_efficiency_to_single) == (None, None)
    assert (other.throughput_to_default, other.parallel_efficiency) == (None, None)
    assert [round(one.parallel_efficiency.value, 6) for one in usual] == [
        0.7, 0.5, 0.95, 1.0, 0.375
    ]  # fmt: skip
    assert advice.gain.throughput == advice.best.throughput_to_default


@pytest.mark.parametrize(("intra", "inter"), [("auto", 1), (1, "auto")])
def test_pools_that_could_not_be_counted_have_no_parallel_efficiency(candidate, intra, inter):
    unknown = candidate(intra, inter, effective=None, cpus=(0, 1))
    one = recommend("test", [candidate(1), unknown]).configurations[1]
    assert one.throughput_to_single is not None
    assert one.parallel_efficiency is None


def test_names_of_the_same_configuration(candidate):
    measured = candidate(4)
    alias, orphan = (
        replace(candidate(intra), same_as=same)
        for intra, same in (("physical", measured.id), (2, "gone"))
    )
    assert aliases_among([alias, measured, orphan]) == (alias,)
    # Another name is no measurement that a third one could be the same as.
    chain = replace(candidate(8), same_as=alias.id)
    assert aliases_among([alias, measured, chain]) == (alias,)
    advice = recommend("test", [alias, measured, candidate(1)])
    assert [one.id for one in advice.configurations] == [measured.id, "intra1-inter1"]
    assert advice.aliases == (alias,)
    assert advice.aliases_of(advice.configurations[0]) == [alias]
    assert advice.aliases_of(advice.configurations[1]) == []


def test_a_pool_is_swept_where_its_sizes_differ(candidate):
    one, two, none = (candidate(1, data_threads=size) for size in (1, 2, None))
    assert is_pool_swept([one, two])
    assert is_pool_swept([one, none])
    assert not is_pool_swept([one, one])
    assert not is_pool_swept([])


# -- what is fitted -------------------------------------------------------------------------------


def fitted(candidates, axis="intra"):
    return next(one for one in recommend("test", candidates).scalings if one.axis == axis)


def test_a_law_is_fitted_to_the_log_speeds_of_each_ring(candidate):
    speeds = {1: 1.0, 2: 1.7, 4: 2.4, 8: 2.5}
    rings = {1: (0, 1, 2), 2: (0, 1), 4: (0, 2), 8: (1, 2)}
    found = fitted([candidate(n, speed=speeds[n], rings=rings[n]) for n in speeds])
    members = [[n for n in speeds if ring in rings[n]] for ring in range(3)]
    expected_s = expected_variance([Difference(0.0, median_se(0.0, 20))])
    expected = fit(
        "intra", 1, [[(n, math.log(speeds[n])) for n in ring] for ring in members], expected_s / 2
    )
    assert (found.fixed, found.counts) == (1, (1, 2, 4, 8))
    for figure in ("contention", "coherency", "efficiency", "farther"):
        one, other = getattr(found.law, figure), getattr(expected.law, figure)
        assert one.to_json() == pytest.approx(other.to_json(), rel=1e-4, abs=1e-6)


def scattered(one, factors):
    """The same, its rounds longer by these factors in turns."""
    samples = tuple(
        replace(
            sample,
            wall_s=tuple(w * factors[n % len(factors)] for n, w in enumerate(sample.wall_s)),
        )
        for sample in one.measurement.samples
    )
    return replace(one, measurement=replace(one.measurement, samples=samples))


def test_what_scatters_in_the_slice_makes_its_law_less_sure(candidate):
    slice_ = [
        candidate(1),
        scattered(candidate(2, speed=1.7), (1.0, 1.0, 1.1, 1.1, 1.3, 1.3)),
        candidate(4, speed=2.4),
    ]
    wall = compare(slice_).wall
    variance = fmean(expected_variance([*rings.values()]) for rings in wall.values())
    assert variance > 2 * expected_variance([Difference(0.0, median_se(0.0, 20))])
    one_two, one_four, two_four = (rings[0].log_ratio for rings in wall.values())
    # A member's level is the mean of what it has more than each member, itself too.
    levels = [
        (1, (one_two + one_four) / 3),
        (2, (two_four - one_two) / 3),
        (4, (-one_four - two_four) / 3),
    ]
    expected = fit("intra", 1, [levels] * 3, variance / 2)
    outside = scattered(candidate(2, 2), (1.0, 1.0, 5.0, 5.0, 9.0, 9.0))
    for candidates in (slice_, [*slice_, outside]):
        found = fitted(candidates)
        assert found.law.contention.to_json() == pytest.approx(
            expected.law.contention.to_json(), rel=1e-4, abs=1e-6
        )


@pytest.mark.parametrize(
    ("others", "fixed", "counts"),
    [
        ([], 2, (1, 2)),
        ([(4, 2, {})], 2, (1, 2, 4)),
        ([(4, 1, {})], 2, (1, 2)),
        ([(1, 1, {}), (2, 1, {})], 1, (1, 2)),
        ([(1, 1, {}), (2, 1, {}), (4, 2, {})], 2, (1, 2, 4)),
        ([(4, 2, {"flags": CROWDED})], 2, (1, 2)),
        ([(4, 2, {"instances": 2})], 2, (1, 2)),
        ([(4, 2, {"terms": "-X=1"})], 2, (1, 2)),
        ([("auto", 2, {"effective": None})], 2, (1, 2)),
        ([(n, "auto", {"effective": None}) for n in (1, 2, 4)], 2, (1, 2)),
        ([(2, 2, {"terms": "-X=1"}), (4, 2, {"terms": "-X=1"}), (8, 2, {"terms": "-X=1"})], 2,
         (2, 4, 8)),
    ],
)  # fmt: skip
def test_which_slice_is_fitted(candidate, others, fixed, counts):
    candidates = [candidate(1, 2), candidate(2, 2)]
    candidates += [candidate(intra, inter, **fields) for intra, inter, fields in others]
    scaling = fitted(candidates)
    assert (scaling.fixed, scaling.counts) == (fixed, counts)
    turned = [candidate(2, 1), candidate(2, 2)]
    turned += [candidate(inter, intra, **fields) for intra, inter, fields in others]
    other = fitted(turned, "inter")
    assert (other.axis, other.fixed, other.counts) == ("inter", fixed, counts)


def test_where_no_slice_can_be_fitted(candidate):
    crowded = [candidate(n, flags=CROWDED) for n in (1, 2, 4)]
    (scaling,) = recommend("test", crowded).scalings
    assert (scaling.axis, scaling.fixed, scaling.counts, scaling.law) == ("intra", 0, (), None)
    apart = [candidate(2, 2), candidate(1, 1)]
    intra, inter = recommend("test", apart).scalings
    assert [(one.axis, one.fixed, one.counts) for one in (intra, inter)] == [
        ("intra", 1, ()),
        ("inter", 1, ()),
    ]
    teams = [candidate(1), candidate(2, instances=2), candidate(1, 2, instances=2)]
    assert recommend("test", teams).scalings == ()


# -- which laws are told --------------------------------------------------------------------------

SERIAL = Law(
    contention=Estimate(0.25, 0.2, 0.3),
    coherency=Estimate(0.0, 0.0, 0.01),
    peak=None,
    most=4,
    efficiency=Estimate(0.5, 0.45, 0.55),
    farther=Estimate(2.9, 2.5, 3.2),
)
PEAKED = replace(SERIAL, peak=Estimate(3.9, 3.5, 4.4))
FLAT = replace(SERIAL, contention=Estimate(0.95, 0.9, 1.0))


@pytest.fixture(params=["intra", "inter"])
def along(request, candidate):
    """Build one with these threads along an axis, and 1 thread of the other pool."""

    def build(moving, fixed=1, **fields):
        pools = (moving, fixed) if request.param == "intra" else (fixed, moving)
        return candidate(*pools, **fields)

    build.axis = request.param
    return build


@pytest.fixture
def is_told(along, monkeypatch):
    """Whether a law is told that is said to fit these."""

    def told(law, *candidates):
        found = Scaling(along.axis, 1, (1, 2, 4), law, None if law else "the reason")
        monkeypatch.setattr(f"{recommend.__module__}.fit", lambda *_: found)
        several = len({one.terms for one in candidates}) > 1
        where = " (no other terms)" if several else ""
        return f"{found.sentence}{where}" in recommend("test", candidates).limits

    return told


def test_why_there_is_no_law_is_told(along, is_told):
    assert is_told(None, along(1), along(2), along(4))


def test_a_law_with_a_peak_is_told_where_no_more_threads_are_recommended(along, is_told):
    """The last number that is useful is 4."""
    slow = along(8, speed=0.5)
    for count in (2, 3, 4):
        assert is_told(PEAKED, slow, along(count, speed=2.0), along(1))
    assert not is_told(PEAKED, along(1), along(5, speed=2.0), along(2))
    assert is_told(SERIAL, along(1), along(5, speed=2.0), along(2))


def test_a_law_of_no_gain_is_told_where_none_was_measured(along, is_told):
    flat = [along(1), along(2), along(4)]
    assert is_told(FLAT, *flat)
    assert not is_told(FLAT, along(1), along(2, speed=1.5), along(4, speed=1.5))
    assert not is_told(FLAT, along(4), along(2), along(1, speed=0.5))
    # What is not of its slice neither bears it out nor denies it.
    assert is_told(FLAT, *flat, along(2, fixed=2, speed=2.0))
    assert is_told(FLAT, *flat, along(2, instances=2, speed=2.0))
    assert is_told(FLAT, *flat, along(1, fixed=2, speed=0.5), along(2, fixed=2))
    assert is_told(FLAT, *flat, along(1, terms="-X=1", speed=2.0))
    assert is_told(FLAT, *flat, along(2, terms="-X=1", speed=2.0))


def test_a_law_of_a_gain_is_told_where_one_was_measured_or_one_thread_was_not(along, is_told):
    assert is_told(SERIAL, along(1), along(2, speed=1.5), along(4, speed=1.5))
    flat = [along(2), along(4), along(8)]
    assert not is_told(SERIAL, along(1), *flat)
    assert is_told(SERIAL, *flat)
    assert is_told(SERIAL, along(1, fixed=2), *flat)
    # Neither is one thread under other terms that one thread, nor a gain over it a gain.
    assert is_told(SERIAL, *flat, along(1, terms="-X=1"))
    assert not is_told(SERIAL, along(1), *flat, along(2, terms="-X=1", speed=1.5))


def test_a_law_says_under_which_terms_it_was_fitted_where_there_are_several(candidate):
    named = [candidate(count, terms="-X=1-Y=2") for count in (1, 2, 4)]
    (sentence,) = (one for one in recommend("test", named).limits if one.startswith("intra-op"))
    assert sentence.endswith("times one thread")
    with_another = recommend("test", [*named, candidate(1), candidate(2)]).limits
    assert f"{sentence} (X=1-Y=2)" in with_another


def test_of_slices_alike_the_law_is_that_of_the_recommended_terms(candidate):
    plain = [candidate(count) for count in (1, 2, 4)]
    named = [candidate(count, speed=2.0, terms="-X=1") for count in (1, 2, 4)]
    for candidates in ([*plain, *named], [*named, *plain]):
        (scaling,) = recommend("test", candidates).scalings
        assert scaling.to_json()["terms"] == "-X=1"
    (scaling,) = recommend("test", [*plain, *named[:2]]).scalings
    assert scaling.terms == ""


# -- what is said of more threads -----------------------------------------------------------------

NOTHING = "no configuration is measurably faster than 1×1"
ONE_RING = {"rings": (0,)}


def said(*candidates):
    advice = recommend("test", candidates)
    return sorted(one for one in advice.limits if one.startswith(("more threads", "whether more")))


def most_gain(one, *others):
    comparison = compare([one, *others])
    return percent(max(comparison.throughput(each.id, one.id).estimate.high for each in others) - 1)


def test_more_threads_do_not_help_where_no_gain_worth_having_is_left(candidate):
    one, two, four = candidate(1), candidate(2), candidate(4, speed=0.9)
    (sentence,) = said(one, two, four)
    gain = most_gain(one, two, four)
    assert sentence == f"more threads do not help: {NOTHING} (gain: at most {gain})"
    assert recommend("test", [one, two, four]).limit == "more threads do not help"
    (sentence,) = said(one, candidate(2, speed=0.5), candidate(4, speed=0.5))
    assert sentence == f"more threads do not help: {NOTHING} (gain: none)"
    assert said(one, candidate(2, speed=1.5)) == []


def test_no_gain_is_left_where_an_interval_ends_at_1(candidate):
    """Holm's test tells apart what the interval of all pairs together would not."""
    one, other = candidate(1), candidate(2, speed=0.98)
    candidates = [one, other, candidate(4, speed=0.5)]
    ratio = compare(candidates).throughput(other.id, one.id)
    assert (ratio.distinct, ratio.estimate.high) == (True, 1.0)
    assert said(*candidates) == [f"more threads do not help: {NOTHING} (gain: none)"]


def test_more_threads_are_open_where_a_gain_is_not_ruled_out(candidate):
    one = candidate(1, cost=0.5, **ONE_RING)
    other = scattered(candidate(2, **ONE_RING), (1.0, 1.0, 1.5, 1.5, 0.6, 0.6))
    (sentence,) = said(one, other)
    open_ = "whether more threads help is open"
    assert sentence == (
        f"{open_}: {NOTHING}, but a gain of {most_gain(one, other)} is not ruled out; "
        "--tf-threads-processes=N measures more"
    )
    advice = recommend("test", [one, other])
    assert (advice.limit, advice.undecided) == (open_, advice.limits)


def test_a_quarter_is_the_most_that_is_no_gain_worth_having(candidate, monkeypatch):
    one, two = candidate(1), candidate(2)
    pair = (two.id, one.id)
    for most, beginning in (
        (1.25, "more threads do not help: "),
        (math.nextafter(1.25, 2.0), "whether more threads help is open: "),
    ):
        ratios = {pair: Ratio(Estimate(1.01, 0.9, most), distinct=False, confidence=0.95, rings=1)}
        known = Comparison((one.id, two.id), (), {}, ratios, ratios, ratios)
        monkeypatch.setattr(f"{recommend.__module__}.compare", lambda _, known=known: known)
        (sentence,) = said(one, two)
        assert sentence.startswith(beginning)


def test_a_configuration_that_takes_less_cpu_time_is_recommended_instead(candidate):
    one, other = candidate(1, cost=1.5), candidate(2, cost=1.0)
    keyword = "more threads are not known to be faster"
    assert said(one, other) == [
        f"{keyword}: {NOTHING} (gain: at most {most_gain(one, other)}); the recommended one takes "
        "fewer CPU-seconds an item"
    ]
    assert recommend("test", [one, other]).limit == keyword


def test_one_that_seems_to_be_faster_is_recommended_where_1x1_was_left_at_a_glance(candidate):
    scatter = (1.0, 1.0, 1.5, 1.5, 0.6, 0.6)
    one = scattered(candidate(1, speed=0.7, flags=GLANCE, **ONE_RING), scatter)
    assert said(one, candidate(2, **ONE_RING)) == [
        "whether more threads help is open: the recommended one seems to be faster than 1×1, but "
        "not measurably; --tf-threads-processes=N measures more"
    ]


def test_each_of_several_terms_has_its_sentence(candidate):
    plain = [candidate(1), candidate(2)]
    other = [candidate(1, terms="-X=1"), candidate(2, terms="-X=1")]
    sentences = said(*plain, *other)
    assert [one[: one.index(":")] for one in sentences] == [
        "more threads do not help (X=1)",
        "more threads do not help (no other terms)",
    ]
    # Where one of them gains, that is not said of it, nor where there is nothing beside 1×1.
    faster = candidate(4, speed=2.0)
    for terms in ([*plain, faster, *other], [*other, *plain, faster]):
        assert [one[: one.index(":")] for one in said(*terms)] == ["more threads do not help (X=1)"]
    assert [one[: one.index(":")] for one in said(other[0], *plain)] == [
        "more threads do not help (no other terms)"
    ]


def test_more_instances_are_not_more_threads(candidate):
    one, two = candidate(1), candidate(2)
    (sentence,) = said(one, two, candidate(1, instances=2, speed=3.0))
    gain = most_gain(one, two, candidate(1, instances=2, speed=3.0))
    assert sentence.startswith(
        "more threads do not help one instance: no configuration of one instance is measurably "
        "faster than 1×1 (gain: at most "
    )
    assert gain not in sentence


def test_nothing_is_said_in_a_few_words_where_nothing_limits(candidate):
    advice = recommend("test", [candidate(2), candidate(4, speed=1.5)])
    assert (advice.limit, advice.limits) == ("", ())


# -- what is written ------------------------------------------------------------------------------


def ratio_in_json(ratio):
    if ratio is None:
        return None
    return {
        "value": ratio.estimate.value,
        "low": ratio.estimate.low,
        "high": ratio.estimate.high,
        "distinct": ratio.distinct,
        "confidence": ratio.confidence,
        "rings": ratio.rings,
        "through": ratio.through,
    }


def test_what_tensorflow_chose_is_passed_over_and_the_other_pool_is_set(candidate):
    assert settings(candidate("auto", 3)) == (
        '@pytest.mark.tf_threads(intra="auto", inter=3)',
        "tf.config.threading.set_inter_op_parallelism_threads(3)",
        "TF_NUM_INTEROP_THREADS=3",
        "# intra: nothing to set, the number is TensorFlow's choice",
    )


def test_all_of_a_recommendation_is_written(candidate):
    candidates = [
        candidate(1, rings=(0, 1, 2, 3)),
        candidate(2, speed=1.6, cost=1.3, rings=(0, 1)),
        candidate(4, speed=1.6, cost=1.3, rings=(0, 1), data_threads=3),
        candidate("auto", "auto", speed=1.4, cost=2.0, rings=(2, 3), effective=None),
        candidate(1, instances=2, speed=1.6, rings=(0, 1, 2, 3)),
        candidate(8, rings=(None,)),
    ]
    advice = recommend("test", candidates)
    data = advice.to_json()
    two, four, team = (candidates[place].id for place in (1, 2, 4))
    assert data.pop("configurations") == [
        {
            "id": one.id,
            "intra": one.candidate.pools.intra,
            "inter": one.candidate.pools.inter,
            **({"data_threads": 3} if one.id == four else {}),
            "tied": one.id in (two, four, team),
            "throughput_to_best": ratio_in_json(one.throughput_to_best),
            "throughput_to_single": ratio_in_json(one.throughput_to_single),
            "throughput_to_default": ratio_in_json(one.throughput_to_default),
            "cpu_efficiency_to_best": ratio_in_json(one.cpu_efficiency_to_best),
            "cpu_efficiency_to_single": ratio_in_json(one.cpu_efficiency_to_single),
            "parallel_efficiency": one.parallel_efficiency and one.parallel_efficiency.to_json(),
        }
        for one in advice.configurations
    ]
    assert data == {
        "schema": 1,
        "test": "test",
        "best": team,
        "tied": [two, four, team],
        "equals": list(advice.equals),
        "most_efficient": advice.most_efficient.id,
        "knee": advice.knee.id,
        "scalings": [one.to_json() for one in advice.scalings],
        "limits": list(advice.limits),
        "limit": advice.limit,
        "settings": list(advice.settings),
        "not_compared": ["intra8-inter1"],
        "front": [one.id for one in advice.front],
    }
    assert advice.front
    assert len(advice.configurations) == 5
