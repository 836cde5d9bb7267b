"""Bisection by noisy answers: simulated histories with a known truth."""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass

import pytest

from pytest_tfthreads.core.bisection import (
    CERTAIN,
    LOOKS,
    Culprit,
    Posterior,
    Reading,
    RingReadings,
    Stretch,
    ends_are_alike,
    ends_differ,
    ends_ratio,
    step_of,
)
from pytest_tfthreads.core.stats.moderation import Difference

COUNT = 64
PASSES = 2
AT_ONCE = 3
MOST_RINGS = 60

Level = Callable[[int], float]  # log speed by position


def measured(log_ratio: float) -> Difference:
    return Difference(log_ratio, 0.003)


@dataclass
class World:
    """Processes spread by `pair_spread / √2`, one of 20 four times as much; commits differ by 0.3 %
    without a change of anybody's.
    """

    draw: random.Random
    level: Level
    pair_spread: float
    count: int = COUNT
    broken: Collection[int] = ()

    def __post_init__(self) -> None:
        self._offsets = [self.draw.gauss(0, 0.003) for _ in range(self.count + 1)]
        self.rings: list[RingReadings] = []
        self.unmeasurable: set[int] = set()

    def measure(self, *positions: int) -> None:
        good, bad = self._speed(0), self._speed(self.count)
        readings = []
        for position in positions:
            speed = self._speed(position)
            readings.append(Reading(position, measured(speed - good), measured(speed - bad)))
        self.rings.append(RingReadings(measured(bad - good), tuple(readings)))

    def bisect(self) -> Culprit | None:
        """None where the ends were not told apart."""
        while not ends_differ(self.rings):
            if len(self.rings) >= LOOKS[-1] or ends_are_alike(self.rings):
                return None
            due = next(look for look in LOOKS if look > len(self.rings))
            while len(self.rings) < due:
                self.measure()
        while True:
            posterior = Posterior(self.count, self.rings, self.unmeasurable)
            culprit = posterior.culprit
            wanted = posterior.candidates(AT_ONCE)
            if culprit.is_certain or not wanted or len(self.rings) >= MOST_RINGS:
                return culprit
            self.unmeasurable.update(set(wanted) & set(self.broken))
            runnable = [one for one in wanted if one not in self.broken]
            for _ in range(PASSES if runnable else 0):
                self.measure(*runnable)

    def _speed(self, position: int) -> float:
        spread = self.pair_spread / 2**0.5 * (4 if self.draw.random() < 0.05 else 1)
        return self.level(position) + self._offsets[position] + self.draw.gauss(0, spread)


def steps(*changes: tuple[int, float]) -> Level:
    """Each change is made by the commit at its position."""
    return lambda position: sum(size for place, size in changes if position >= place)


def the(position: int) -> Stretch:
    return Stretch(position - 1, position)


@pytest.mark.parametrize(
    ("loss", "pair_spread", "least_found"),
    [(0.05, 0.01, 40), (0.05, 0.02, 38), (0.1, 0.03, 38), (-0.7, 0.02, 40)],
)
def test_a_commit_that_is_certain_is_the_right_one(loss, pair_spread, least_found) -> None:
    draw = random.Random(f"{loss} {pair_spread}")
    found = right = rings = 0
    for _ in range(40):
        place = draw.randint(1, COUNT)
        world = World(draw, steps((place, -loss)), pair_spread)
        culprit = world.bisect()
        rings += len(world.rings)
        if culprit is not None and culprit.is_certain:
            found += 1
            right += culprit.where == the(place)
            assert culprit.probability >= CERTAIN
    assert found >= least_found
    assert right >= found - 1  # 99 % of 40
    assert rings / 40 < 25


def test_ends_of_the_same_speed_are_seldom_told_apart() -> None:
    draw = random.Random(1)
    worlds = [World(draw, steps(), 0.02) for _ in range(300)]
    # By what a commit's own offset adds, some more than the 1 % that the looks may spend.
    assert sum(world.bisect() is not None for world in worlds) <= 12


def test_looks_at_ends_of_the_same_speed_end_early_where_pairs_spread_little() -> None:
    draw = random.Random(1)
    rings = []
    for pair_spread in (0.01, 0.06):
        world = World(draw, steps(), pair_spread)
        assert world.bisect() is None
        rings.append((len(world.rings), ends_are_alike(world.rings)))
    assert rings == [(LOOKS[-2], True), (LOOKS[-1], False)]


def test_a_difference_that_pairs_nearly_hide_is_found_at_the_last_look() -> None:
    draw = random.Random(1)
    worlds = [World(draw, steps((COUNT // 2, -0.05)), 0.04) for _ in range(40)]
    for world in worlds:
        world.bisect()
    early = sum(
        any(ends_differ(world.rings[:look]) for look in LOOKS[:-1] if look <= len(world.rings))
        for world in worlds
    )
    found = sum(any(ring.readings for ring in world.rings) for world in worlds)
    assert found >= 36
    assert early <= found - 4


def test_commits_that_cannot_be_measured_leave_a_range() -> None:
    draw = random.Random(2)
    for _ in range(10):
        place = draw.randint(3, COUNT - 3)
        broken = {place - 2, place - 1}
        world = World(draw, steps((place, -0.2)), 0.02, broken=broken)
        culprit = world.bisect()
        assert culprit is not None
        assert culprit.is_certain
        assert culprit.where == Stretch(place - 3, place)
        assert step_of(world.rings, COUNT, culprit.where).log_ratio == pytest.approx(-0.2, abs=0.05)


def test_where_nothing_between_the_ends_can_be_measured_all_are_the_range() -> None:
    world = World(random.Random(3), steps((2, -0.2)), 0.01, count=4)
    for _ in range(4):
        world.measure()
    posterior = Posterior(4, world.rings, {1, 2, 3})
    assert posterior.candidates(3) == []
    assert posterior.culprit.where == Stretch(0, 4)
    assert posterior.culprit.is_certain


def test_a_single_commit_between_the_ends_is_the_answer_at_once() -> None:
    world = World(random.Random(4), steps((1, 0.2)), 0.01, count=1)
    assert world.bisect() == Culprit(the(1), pytest.approx(1.0), True, 0.0, None)


@pytest.mark.parametrize("second", [-0.2, 0.3], ids=["another-loss", "taken-back-in-part"])
def test_of_several_changes_the_largest_is_found_and_that_there_are_others(second) -> None:
    draw = random.Random(5)
    told = 0
    for _ in range(20):
        first, last = sorted(draw.sample(range(1, COUNT + 1), 2))
        world = World(draw, steps((first, -0.6), (last, second)), 0.02)
        culprit = world.bisect()
        assert culprit is not None
        assert culprit.where == the(first)
        if culprit.other is not None:
            told += 1
            assert culprit.other.after < last <= culprit.other.last
    assert told >= 18


def test_two_changes_of_one_size_are_both_told() -> None:
    draw = random.Random(6)
    both = 0
    for _ in range(10):
        first, last = sorted(draw.sample(range(1, COUNT + 1), 2))
        culprit = World(draw, steps((first, -0.3), (last, -0.3)), 0.02).bisect()
        assert culprit is not None
        assert culprit.where in (the(first), the(last))
        both += {culprit.where, culprit.other} == {the(first), the(last)}
    assert both >= 8


def test_a_reading_far_off_decides_nothing() -> None:
    world = World(random.Random(7), steps((5, -0.1)), 0.01, count=8)
    for _ in range(4):
        world.measure(2, 4, 6)
    odd = Reading(4, measured(-0.4), measured(-0.3))
    world.rings.append(RingReadings(measured(-0.1), (odd,)))
    culprit = Posterior(8, world.rings).culprit
    assert culprit.where == Stretch(4, 6)


def test_the_first_candidates_divide_the_commits_evenly() -> None:
    world = World(random.Random(8), steps((9, -0.2)), 0.01)
    for _ in range(4):
        world.measure()
    assert Posterior(COUNT, world.rings).candidates(1) == [32]
    assert Posterior(COUNT, world.rings).candidates(3) == [16, 32, 48]
    assert Posterior(COUNT, world.rings, range(30, 36)).candidates(1) in ([29], [36])


def test_what_is_probable_contains_the_change_before_it_is_certain() -> None:
    draw = random.Random(9)
    held = 0
    for _ in range(40):
        place = draw.randint(1, COUNT)
        world = World(draw, steps((place, -0.05)), 0.02)
        for _ in range(4):
            world.measure(16, 32, 48)
        probable = Posterior(COUNT, world.rings).probable(0.95)
        held += probable.after < place <= probable.last
    assert held >= 36


def test_a_change_is_as_large_as_the_ends_differ_where_it_is_the_only_one() -> None:
    world = World(random.Random(10), steps((3, -0.1)), 0.01)
    for _ in range(8):
        world.measure(2, 3)
    assert step_of(world.rings, COUNT, Stretch(0, COUNT)) == ends_ratio(world.rings)
    step = step_of(world.rings, COUNT, the(3))
    assert abs(step.log_ratio + 0.1) < step.half_width(0.999)
    with pytest.raises(ValueError, match="position 4 was not measured"):
        step_of(world.rings, COUNT, Stretch(3, 4))


@pytest.mark.parametrize("position", [0, COUNT, COUNT + 1])
def test_an_end_is_no_candidate(position) -> None:
    reading = Reading(position, measured(0.0), measured(0.0))
    with pytest.raises(ValueError, match="readings at"):
        Posterior(COUNT, [RingReadings(measured(-0.1), (reading,))])
