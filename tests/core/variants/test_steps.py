"""Speeds at several variants whose true steps are known."""

import itertools
import math
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.gate.duet import BETWEEN, INTERPRETERS
from pytest_tfthreads.core.schedule import plan_neighbours
from pytest_tfthreads.core.variants.steps import LOOKS, Step, VariantChange, kept, steps

TOLERANCE = {"throughput": 0.05, "cpu_efficiency": 0.05}
BLOCKS, PASSES = 12, 6
SPREAD = 0.008  # between processes
WEATHER = 0.2  # of the machine, from turn to turn, for all of a ring
TRUE_STEPS = [0, -0.05, 0, 0.03, 0, -0.10, 0, 0, 0.10, 0, 0]
BEYOND = {-0.10: "regression", 0.10: "improvement"}


def measured(speeds, draw, limit=8, passes=PASSES, without=()):
    """One test at variants named by their numbers, with these true speeds (None: cannot run)."""
    places = [place for place, speed in enumerate(speeds) if speed is not None]
    samples = {place: [] for place in places}
    planned = plan_neighbours(places, passes, limit, str(draw.random()))
    for number, ring in enumerate(itertools.chain.from_iterable(planned)):
        weather = [math.exp(draw.gauss(0, WEATHER)) for _ in range(BLOCKS)]
        for place in ring:
            own = math.exp(draw.gauss(0, SPREAD)) / speeds[place]
            wall_s = [0.01 * one * own * math.exp(draw.gauss(0, 0.02)) for one in weather]
            samples[place].append(sample(wall_s, ring=number, turn_rounds=1))
    return {str(place): measurement(*several) for place, several in samples.items()}


def speeds_of(changes):
    return list(
        itertools.accumulate(changes, lambda speed, change: speed * (1 + change), initial=1)
    )


def test_steps_of_known_size_are_called_what_they_are():
    draw = random.Random(1)
    runs = 40
    truths = speeds_of(TRUE_STEPS)
    found, wrong, outside = [], 0, 0
    for _ in range(runs):
        each = steps(measured(truths, draw), TOLERANCE, interpreters=INTERPRETERS)["throughput"]
        found += [
            (true, step.to_previous.status) for true, step in zip(TRUE_STEPS, each, strict=True)
        ]
        statuses = zip(TRUE_STEPS, each, strict=True)
        wrong += any(
            step.to_previous.status in ("regression", "improvement") and true == 0
            for true, step in statuses
        )
        changes = [
            (change.ratio.estimate, truths[place] / truths[int(change.since)])
            for place, step in enumerate(each, start=1)
            for change in (step.to_first, step.to_previous)
        ]
        outside += any(not one.low <= truth <= one.high for one, truth in changes)
    assert wrong == 0
    assert outside <= 4  # of 40, where 2 are to be expected
    for true, status in BEYOND.items():
        assert all(one == status for size, one in found if size == true)
    fives = [one for size, one in found if size == -0.05]
    assert fives.count("regression") >= 0.5 * runs
    assert set(fives) <= {"regression", "open"}
    none = [one for size, one in found if size == 0]
    assert none.count("no-change") >= 0.8 * len(none)
    assert all(one != "regression" for size, one in found if size == 0.03)


def test_each_is_compared_with_the_first_and_with_the_one_before_that_ran():
    each = steps(measured([1.0, None, 0.8, 0.8], random.Random(2)), TOLERANCE)
    assert set(each) == set(TOLERANCE)
    second, last = each["throughput"]
    assert (second.name, last.name) == ("2", "3")
    assert second.to_first is second.to_previous
    assert second.to_first.since == "0"
    assert second.to_first.ratio.estimate.value == pytest.approx(0.8, abs=0.03)
    assert (last.to_first.since, last.to_previous.since) == ("0", "2")
    assert last.to_first.ratio.estimate.value == pytest.approx(0.8, abs=0.03)
    assert (last.to_first.status, last.to_previous.status) == ("regression", "no-change")


def test_no_change_is_an_interval_within_the_tolerance_on_both_sides():
    """The logarithm of a gain of 5 % is nearer to zero than that of a loss of 5 %."""
    draw = random.Random(6)
    ends, called = [], []
    for _ in range(150):
        speeds = measured([1.0, draw.uniform(0.96, 1.04)], draw)
        (step,) = steps(speeds, TOLERANCE)["throughput"]
        if step.to_previous.status in ("no-change", "open"):
            _, *interval = step.to_previous.relative
            ends.append(interval)
            called.append(step.to_previous.status)
    within = [low > -0.05 and high < 0.05 for low, high in ends]
    assert called == ["no-change" if one else "open" for one in within]
    assert any(0.05 < high < 1 / 0.95 - 1 for _, high in ends)


@pytest.mark.parametrize(("count", "ratios"), [(2, 1), (3, 3), (12, 21)])
def test_the_family_is_what_is_asked(count, ratios):
    each = steps(measured([1.0] * count, random.Random(3)), TOLERANCE)["cpu_efficiency"]
    assert len(each) == count - 1
    assert each[-1].to_previous.ratio.confidence == pytest.approx(1 - 0.05 / 2 / ratios)


def test_a_single_pass_leaves_small_changes_open():
    each = steps(measured([1.0, 1.0, 0.5], random.Random(4), passes=1), TOLERANCE)["throughput"]
    assert [one.to_previous.status for one in each] == ["open", "regression"]


def test_without_turns_or_with_one_variant_there_is_nothing_to_say():
    one = measured([1.0, None], random.Random(5))
    assert steps(one, TOLERANCE) == dict.fromkeys(TOLERANCE, ())
    alone = measurement(sample(ring=None), sample(ring=None))
    (step,) = steps({"a": alone, "b": alone}, TOLERANCE)["throughput"]
    assert (step.to_first, step.to_previous) == (None, None)


def test_open_steps_are_decided_at_later_looks_and_what_is_decided_stays():
    draw = random.Random(6)
    truths = speeds_of(TRUE_STEPS)
    for _ in range(5):
        # What more passes would bring: all of a late look, its first passes being the first look.
        whole = measured(truths, draw, limit=len(truths), passes=LOOKS[1])
        part = {name: replace(one, samples=one.samples[: LOOKS[0]]) for name, one in whole.items()}
        first, second = (
            steps(some, TOLERANCE, look, interpreters=INTERPRETERS)
            for some, look in ((part, LOOKS[0]), (whole, LOOKS[1]))
        )
        second = kept(first, second)
        assert [one.to_previous.status for one in second["throughput"]][1] == "regression"
        for before, after in zip(first["throughput"], second["throughput"], strict=True):
            if not before.is_open:
                assert after.to_previous is before.to_previous
                continue
            assert before.to_previous.needed in (*LOOKS[1:], None)
            assert after.to_previous.ratio.rings == LOOKS[1]
            assert after.to_previous.ratio.confidence > before.to_previous.ratio.confidence


def test_what_was_not_measured_again_says_no_more_than_before():
    part = measured([1.0, 1.0, 0.97], random.Random(7), passes=2)
    first = steps(part, TOLERANCE, LOOKS[0])
    assert kept(first, steps(part, TOLERANCE, LOOKS[1])) == first


def change(since, status, rings=6):
    return VariantChange(since, SimpleNamespace(rings=rings), None, status)


def kept_steps(before, now):
    """By throughput: name, change to the first and to the one before; as (since, status)."""
    each = kept({"throughput": before}, {"throughput": now})["throughput"]
    return {
        step.name: [one and (one.since, one.status) for one in (step.to_first, step.to_previous)]
        for step in each
    }


def test_what_was_decided_stays_where_a_variant_drops_out_later():
    slower, same, still_open = "regression", "no-change", "open"
    b = Step("b", change("a", same), change("a", same))
    c = Step("c", change("a", still_open), change("b", slower))
    d = Step("d", change("a", slower), change("c", still_open))
    # c drops out: its step stays, in its place, and d is compared with the one that is left.
    later = Step("d", change("a", slower, 12), change("b", slower, 12))
    assert kept_steps((b, c, d), (b, later)) == {
        "b": [("a", same), ("a", same)],
        "c": [("a", still_open), ("b", slower)],
        "d": [("a", slower), ("b", slower)],
    }
    # d drops out: nobody knows whether anything changed there.
    assert list(kept_steps((b, c, d), (b, c))) == ["b", "c"]
    # b drops out: the step from b to c was decided, whatever a to c would be.
    found = kept_steps((b, c, d), (Step("c", change("a", same, 12), change("a", same, 12)), d))
    assert found["b"] == [("a", same), ("a", same)]
    assert found["c"] == [("a", same), ("b", slower)]
    # a drops out: later changes to the first are since b.
    b_first = Step("c", change("b", slower), change("b", slower))
    found = kept_steps((b, c, d), (b_first, Step("d", change("b", slower, 12), d.to_previous)))
    assert found == {
        "b": [None, ("a", same)],
        "c": [("b", slower), ("b", slower)],
        "d": [("b", slower), ("c", still_open)],
    }
    # Only one is left.
    assert list(kept_steps((b, c, d), ())) == ["b", "c"]


@pytest.mark.parametrize("interpreters", [1, 3])
def test_the_luck_of_interpreters_is_no_step(interpreters):
    draw = random.Random(interpreters)
    outside = words = 0
    for _ in range(100):
        luck = [[draw.gauss(0, BETWEEN / math.sqrt(2)) for _ in range(3)] for _ in range(2)]
        samples = [[], []]
        for ring in range(LOOKS[2]):
            for place in range(2):
                log = luck[place][ring % interpreters] + draw.gauss(0, 0.003)
                wall_s = [0.01 * math.exp(-log + draw.gauss(0, 0.001)) for _ in range(4)]
                samples[place].append(sample(wall_s, ring=ring, turn_rounds=1))
        speeds = {name: measurement(*some) for name, some in zip("ab", samples, strict=True)}
        (step,) = steps(speeds, dict.fromkeys(TOLERANCE, 0.01), LOOKS[2], 1, interpreters)[
            "throughput"
        ]
        estimate = step.to_previous.ratio.estimate
        outside += not estimate.low <= 1 <= estimate.high
        words += step.to_previous.status in ("regression", "improvement")
    assert outside <= 3
    assert words == 0
