"""A bisection finds each step wherever it is, and depends on no unit and no order."""

import itertools
import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import measurement, sample
from properties import json_values, places, replaced, tried, value_or_error
from pytest_tfthreads.core.abreast import AtPlace, MeasuredPlaces
from pytest_tfthreads.core.bisection import (
    LOOKS,
    Posterior,
    Reading,
    RingReadings,
    Stretch,
    ends_are_alike,
    ends_differ,
    ends_ratio,
)
from pytest_tfthreads.core.bisection_state import Observed, Skipped, State
from pytest_tfthreads.core.stats.moderation import Difference
from pytest_tfthreads.core.tolerance import METRICS

MOST_COMMITS = 40
LOGS = st.floats(-3, 3)
SES = st.floats(0, 0.1)
DIFFERENCES = st.builds(Difference, LOGS, SES)


def some_of(count):
    """Commits between the two ends; none where there is none."""
    return st.lists(st.sampled_from(range(1, count)) if count > 1 else st.nothing(), unique=True)


@st.composite
def measured(draw):
    """How many commits there are, rings of any speeds, and which commits cannot be measured."""
    count = draw(st.integers(1, MOST_COMMITS))
    # The same few commits are measured again and again, as they are by a bisection.
    seen = draw(some_of(count))[:4]
    rings = []
    for _ in range(draw(st.integers(1, 8))):
        those = [one for one in seen if draw(st.booleans())]
        readings = [Reading(one, draw(DIFFERENCES), draw(DIFFERENCES)) for one in those]
        rings.append(RingReadings(draw(DIFFERENCES), tuple(readings)))
    return count, rings, set(draw(some_of(count)))


def stretches(count, rings):
    """The commits between neighbours that were measured, the ends among these."""
    seen = {reading.position for ring in rings for reading in ring.readings}
    return [Stretch(*pair) for pair in itertools.pairwise([0, *sorted(seen), count])]


def probabilities(count, rings, unmeasurable=()):
    posterior = Posterior(count, rings, unmeasurable)
    return [posterior.probability_of(one) for one in stretches(count, rings)]


@tried(200)
@given(measured())
def test_probabilities_are_some(case):
    count, _, _ = case
    found = probabilities(*case)
    assert all(0 <= one <= 1 for one in found)
    assert sum(found) == pytest.approx(1)
    posterior = Posterior(*case)
    assert posterior.probability_of(Stretch(0, count)) == pytest.approx(1)
    culprit = posterior.culprit
    assert 0 <= culprit.probability <= 1
    assert 0 <= culprit.others <= 1 + 1e-9
    wheres = [culprit.where, posterior.probable(), *(one for one in [culprit.other] if one)]
    for where in wheres:
        assert 0 <= where.after < where.last <= count
    assert posterior.probability_of(posterior.probable(0.9)) >= 0.9 - 1e-9


@tried(200)
@given(measured(), st.randoms(use_true_random=False))
def test_neither_the_order_of_rings_nor_that_of_their_candidates_matters(case, random):
    count, rings, unmeasurable = case
    mixed = [
        replace(ring, readings=tuple(random.sample(ring.readings, len(ring.readings))))
        for ring in random.sample(rings, len(rings))
    ]
    assert probabilities(count, mixed, unmeasurable) == pytest.approx(probabilities(*case))
    assert ends_differ(mixed) == ends_differ(rings)
    assert ends_are_alike(mixed) == ends_are_alike(rings)


@tried(200)
@given(measured())
def test_a_gain_is_as_probable_as_a_loss_of_its_size(case):
    count, rings, unmeasurable = case
    turned = [
        RingReadings(
            opposite(ring.ends),
            tuple(
                Reading(one.position, opposite(one.to_good), opposite(one.to_bad))
                for one in ring.readings
            ),
        )
        for ring in rings
    ]
    assert probabilities(count, turned, unmeasurable) == pytest.approx(probabilities(*case))


@tried(200)
@given(measured())
def test_it_does_not_matter_which_end_is_the_good_one(case):
    count, rings, _ = case
    backwards = [
        RingReadings(
            opposite(ring.ends),
            tuple(Reading(count - one.position, one.to_bad, one.to_good) for one in ring.readings),
        )
        for ring in rings
    ]
    assert probabilities(count, backwards)[::-1] == pytest.approx(probabilities(count, rings))


def opposite(difference):
    return replace(difference, log_ratio=-difference.log_ratio)


@tried(200)
@given(measured(), st.integers(0, 6))
def test_candidates_are_commits_between_the_ends_that_can_be_measured(case, most):
    count, _, unmeasurable = case
    found = Posterior(*case).candidates(most)
    assert found == sorted(set(found))
    assert len(found) <= most
    assert all(0 < one < count and one not in unmeasurable for one in found)


# -- a step without noise -------------------------------------------------------------------------

STEPS = st.floats(0.05, 1) | st.floats(-1, -0.05)


def ring_of(step, place, count, positions=()):
    """What a ring without noise says of a step that the commit at `place` has made."""
    readings = []
    for position in positions:
        speed = step if position >= place else 0.0
        readings.append(
            Reading(position, Difference(speed, 0.003), Difference(speed - step, 0.003))
        )
    return RingReadings(Difference(step, 0.003), tuple(readings))


@st.composite
def steps(draw):
    """A step, the position of its commit, and how many commits there are."""
    count = draw(st.integers(1, MOST_COMMITS))
    return draw(STEPS), draw(st.integers(1, count)), count


def bisected(step, unmeasurable=(), at_once=1):
    """What is known at the end of a bisection without noise."""
    count = step[-1]
    rings = [ring_of(*step)] * LOOKS[0]
    posterior = Posterior(count, rings, unmeasurable)
    while not posterior.culprit.is_certain:
        candidates = posterior.candidates(at_once)
        assert candidates, "it asks for more as long as it is not certain"
        rings += [ring_of(*step, candidates)] * 2
        assert len(rings) <= 60
        posterior = Posterior(count, rings, unmeasurable)
    return posterior.culprit


@tried(150)
@given(steps(), st.data(), st.integers(1, 3))
def test_each_step_is_found_between_commits_that_can_be_measured(step, data, at_once):
    _, place, count = step
    unmeasurable = data.draw(some_of(count))
    culprit = bisected(step, unmeasurable, at_once)
    ends = [one for one in range(count + 1) if one not in unmeasurable]
    assert culprit.where == Stretch(
        max(one for one in ends if one < place), min(one for one in ends if one >= place)
    )
    assert culprit.other is None


@pytest.mark.parametrize("size", [-0.1, 0.1])
def test_a_step_is_found_at_each_commit(size):
    for place in range(1, 21):
        assert bisected((size, place, 20)).where == Stretch(place - 1, place)


@tried(200)
@given(steps(), st.data())
def test_rings_that_say_the_same_make_the_true_commit_no_less_probable(step, data):
    _, place, count = step
    plan = data.draw(st.lists(some_of(count), min_size=1, max_size=4))
    rings = [ring_of(*step, one) for one in plan]
    (true,) = (one for one in stretches(count, rings) if one.after < place <= one.last)
    before = 0.0
    for times in range(1, 4):
        now = Posterior(count, rings * times).probability_of(true)
        assert now >= before - 1e-9
        before = now


@tried(100)
@given(STEPS, st.integers(1, 8))
def test_ends_that_were_told_apart_are_not_alike(size, times):
    rings = [ring_of(size, 1, 1)] * times
    assert not (ends_differ(rings) and ends_are_alike(rings))
    assert ends_ratio(rings).log_ratio == pytest.approx(size)


# -- what is kept ---------------------------------------------------------------------------------

READINGS = st.builds(Reading, st.integers(0, 2**40), DIFFERENCES, DIFFERENCES)
RINGS = st.builds(RingReadings, DIFFERENCES, st.lists(READINGS, max_size=3).map(tuple))
STATES = st.builds(
    State,
    test=st.text(),
    arguments=st.lists(st.text(), max_size=3).map(tuple),
    good=st.text(),
    bad=st.text(),
    metric=st.sampled_from(METRICS),
    observed=st.lists(st.builds(Observed, RINGS, RINGS), max_size=3).map(tuple),
    skipped=st.lists(st.builds(Skipped, st.integers(0, 99), st.text()), max_size=3).map(tuple),
    processes=st.integers(0, 10**6),
    seconds=st.floats(0, 1e9),
)


@tried(150)
@given(STATES)
def test_a_state_is_what_is_read_again(state):
    assert State.from_text(state.to_text()) == state


ONE = State(
    "test", ("-k", "x"), "0" * 40, "1" * 40, METRICS[0],
    (Observed(ring_of(0.1, 1, 4, (2,)), ring_of(0.1, 1, 4, (2,))),), (Skipped(3, "why"),), 6, 9.5,
)  # fmt: skip
DATA = json.loads(ONE.to_text())
PATHS = list(places(DATA))


@tried(200)
@given(st.sampled_from(PATHS), json_values())
def test_what_is_no_state_is_refused(path, new):
    state, error = value_or_error(
        ValueError, State.from_text, json.dumps(replaced(DATA, path, new))
    )
    if error is None:
        for one in itertools.chain(state.rings(METRICS[0]), state.rings(METRICS[1])):
            assert math.isfinite(one.ends.log_ratio)


def test_brackets_nested_by_the_thousand_are_no_state():
    text = ONE.to_text().replace(" 9.5", "[" * 100_000 + "]" * 100_000)
    with pytest.raises(ValueError, match="nested"):
        State.from_text(text)


ROUNDS = st.lists(st.floats(1e-3, 1), min_size=4, max_size=8)


@tried(100)
@given(st.lists(st.lists(ROUNDS, min_size=4, max_size=4), min_size=1, max_size=3), st.data())
def test_the_unit_of_speed_does_not_matter(rings, data):
    power = data.draw(st.integers(-20, 20))
    positions = (3, 1)

    def found(unit):
        samples = zip(
            *(
                [sample([unit * one for one in rounds], ring=ring, turn_rounds=2) for rounds in its]
                for ring, its in enumerate(rings)
            ),
            strict=True,
        )
        at_places = tuple(AtPlace(measurement=measurement(*its)) for its in samples)
        empty = replace(ONE, observed=(), skipped=())
        return empty.after(positions, MeasuredPlaces(at_places), 1.0)

    state = found(1.0)
    assert len(state.observed) == len(rings)
    assert found(2.0**power) == state
    assert [one.position for one in state.observed[0].throughput.readings] == [*positions]
