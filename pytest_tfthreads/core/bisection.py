"""Which commit changed the speed of a test: bisection by answers that may be wrong.

Commits have positions, oldest first: 0 is the good end and `count` the bad end. A *ring* measures
some candidates beside both ends, so that a candidate is placed between two known speeds. With `x`
the log speed of the candidate over the mean (of logarithms) of the two ends, a candidate as fast as
the good end has `x = -D/2` and one as slow as the bad end `x = +D/2`, where `D` is the log of the
bad end's speed over the good end's. The ends are those of the same ring, so what the machine did
meanwhile cancels out.

No answer is taken for the truth. `Posterior` is the probability of each commit to have made the
(largest) change, by Bayes' rule over two kinds of histories:

- one change, at any commit alike;
- two changes with a level between them that may be any, also one outside of both ends (a loss that
  was taken back in part). A level that is neither is then evidence of another change, not noise.

A reading spreads about its level as Student's t with few degrees of freedom, so one that is far off
decides nothing. Its scale is the moderated spread of all readings about their commits' means, and
never below what commits differ by without a change that anybody made (memory layout). And any
single commit may be an odd one, whose level says nothing of its neighbours.

Where candidates are to be measured next is asked of the information that their answers would bring:
with one candidate and one change this is the commit that halves the probability (M. Horstein,
"Sequential transmission using noiseless feedback", 1963; R. Waeber, "Probabilistic bisection search
for stochastic root-finding", 2013).

The constants were chosen by simulated histories with a known truth; tests/core/test_bisection.py
holds the rates.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pytest_tfthreads.core.decode import Count
from pytest_tfthreads.core.gate.duet import (
    BETWEEN,
    EXPECTED,
    EXPECTED_DOF,
    INTERPRETERS,
    mean_ratio,
)
from pytest_tfthreads.core.stats.estimates import LogRatio, student_p, sum_of_squares
from pytest_tfthreads.core.stats.moderation import Difference

CERTAIN = 0.99
"""The probability of one commit, or of a range that cannot be divided, that ends a bisection."""
LOOKS = (4, 8, 16, 32)
"""Rings of the two ends after which it is asked whether they differ."""
ENDS_ERROR = (0.002, 0.003, 0.004, 0.001)
"""How often each look may find a difference that is not there: 1 % in all."""
ALIKE = 0.02
"""The difference (of logarithms) of the two ends that is too small for the last look."""
SURE_OF_OTHERS = 0.9
"""The probability from which on another change is told."""
ANOTHER = 0.2
"""Share of the ends' difference from which on another change counts as one."""

_TWO_CHANGES = 0.05  # how likely two changes are before anything is measured
_ODD = 0.004  # how likely it is of any commit that its level says nothing of its neighbours
_TAIL_DOF = 4.0
_COMMIT_SPREAD = 0.004  # between commits that nobody changed the speed of
_COARSENESS = 0.05  # of the ends' difference: levels need not be told apart better than this
_READING_SHARE = 0.75  # variance of a reading, over that of a pair of processes: (1 + 1/2) / 2
_LEVELS = tuple(step / 10 for step in range(-10, 21))  # in units of the ends' difference
_AS_GOOD, _AS_BAD = _LEVELS.index(0.0), _LEVELS.index(1.0)
_PARTS = 4  # of a stretch of commits that were not measured, between which candidates may be
_WORTH_DIVIDING = 0.01
_NEGLIGIBLE = 1e-4
_WORTH_A_PROCESS = 0.05  # bits


def _share_of_first(level: float) -> float:
    """How far the first of two changes is the larger, where the level between them is this."""
    first, second = abs(level), abs(1 - level)
    if math.isclose(first, second):
        return 0.5
    return float(first > second)


_SHARES = tuple(map(_share_of_first, _LEVELS))


@dataclass(frozen=True)
class Reading:
    """A candidate in one ring: log of its speed over that of each end."""

    position: Count
    to_good: Difference
    to_bad: Difference

    @property
    def between(self) -> float:
        """Log of its speed over the mean of both ends."""
        return (self.to_good.log_ratio + self.to_bad.log_ratio) / 2

    @property
    def se(self) -> float:
        return (self.to_good.se + self.to_bad.se) / 2


@dataclass(frozen=True)
class RingReadings:
    """Processes that took turns: both ends (log of the bad one's speed over the good one's), and
    the candidates, if there were any.
    """

    ends: Difference
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True)
class Stretch:
    """The commits after position `after`, up to and with `last`."""

    after: int
    last: int

    @property
    def commits(self) -> int:
        return self.last - self.after


@dataclass(frozen=True)
class Culprit:
    """What is known of the commit that made the largest change.

    `where` holds several commits where those between cannot be measured, or not enough was.
    `others` is the probability that there is another change of `ANOTHER` of the ends' difference or
    more, and `other` where it most probably is, if that is sure enough to be told.
    """

    where: Stretch
    probability: float
    is_certain: bool
    others: float
    other: Stretch | None


def ends_ratio(rings: Sequence[RingReadings]) -> LogRatio:
    """Log of the bad end's speed over the good end's, from all rings; raises `ValueError` on none.

    A ring is the sample.
    """
    return mean_ratio([ring.ends.log_ratio for ring in rings], interpreters=INTERPRETERS)


def ends_differ(rings: Sequence[RingReadings]) -> bool:
    """Whether the two ends are surely not of the same speed, at the look that is due.

    False between two looks.
    """
    error = dict(zip(LOOKS, ENDS_ERROR, strict=True)).get(len(rings))
    if error is None:
        return False
    ratio = ends_ratio(rings)
    return student_p(ratio.log_ratio / ratio.sd, ratio.dof) <= error


def ends_are_alike(rings: Sequence[RingReadings]) -> bool:
    """Whether the two ends surely differ by less than `ALIKE`, as far as an interval of 95 % tells.

    Never after fewer rings than the last look but one has.
    """
    if len(rings) < LOOKS[-2]:
        return False
    ratio = ends_ratio(rings)
    return abs(ratio.log_ratio) + ratio.half_width(0.975) < ALIKE


def step_of(rings: Sequence[RingReadings], count: int, where: Stretch) -> LogRatio:
    """Log of the speed at the end of a stretch over that before it.

    Both were measured, or are ends. Raises `ValueError` where one of them was not.
    """
    if (where.after, where.last) == (0, count):
        return ends_ratio(rings)
    ends = ends_ratio(rings)
    readings = _by_position(rings)
    spread = _spread(readings)
    dof = ends.dof + sum(len(one) - 1 for one in readings.values())
    total, variance = 0.0, 0.0
    for position, sign in ((where.last, 1), (where.after, -1)):
        if position in (0, count):
            total += sign * ends.log_ratio * (0.5 if position else -0.5)
            variance += ends.variance / 4
        elif position in readings:
            found = readings[position]
            total += sign * fmean(one.between for one in found)
            variance += spread**2 / len(found)
        else:
            raise ValueError(f"the commit at position {position} was not measured")
    return LogRatio(total, variance, dof)


class Posterior:
    """What rings say of `count` commits, of which some cannot be measured.

    Raises `ValueError` where there is no ring, no commit, or a reading of a position beyond them.
    """

    def __init__(
        self, count: int, rings: Sequence[RingReadings], unmeasurable: Collection[int] = ()
    ) -> None:
        readings = _by_position(rings)
        if count < 1 or not all(0 < position < count for position in readings):
            raise ValueError(f"{count} commits, and readings at {sorted(readings)}")
        self._count = count
        self._unmeasurable = frozenset(unmeasurable)
        self._measurable = [one for one in range(count + 1) if one not in self._unmeasurable]
        self._readings = readings
        measured = [0, *sorted(readings), count]
        self._stretches = [Stretch(*pair) for pair in itertools.pairwise(measured)]
        self._weigh(_log_likelihoods(readings, ends_ratio(rings)))

    def _weigh(self, by_position: Mapping[int, Sequence[float]]) -> None:
        """Probabilities of one change in each stretch, and of two, by the level between them."""
        rows = [by_position[position] for position in sorted(by_position)]
        sums = [[0.0, *itertools.accumulate(column)] for column in zip(*rows, strict=True)]
        if not rows:
            sums = [[0.0] for _ in _LEVELS]
        good, bad = sums[_AS_GOOD], sums[_AS_BAD]
        pairs = math.comb(self._count, 2)
        two = _TWO_CHANGES if pairs else 0.0
        logs: dict[tuple[int, int, int | None], float] = {}
        for first, stretch in enumerate(self._stretches):
            before = good[first]
            weight = (1 - two) * stretch.commits / self._count
            logs[first, first, None] = math.log(weight) + before + bad[-1] - bad[first]
            for second in range(first, len(self._stretches)):
                ways = (
                    math.comb(stretch.commits, 2)
                    if first == second
                    else stretch.commits * self._stretches[second].commits
                )
                if not ways:
                    continue
                fixed = math.log(two * ways / pairs / len(_LEVELS)) + before
                fixed += bad[-1] - bad[second]
                for level, column in enumerate(sums):
                    logs[first, second, level] = fixed + column[second] - column[first]
        most = max(logs.values())
        weights = {one: math.exp(log - most) for one, log in logs.items()}
        total = sum(weights.values())
        self._histories = {one: weight / total for one, weight in weights.items()}

    @property
    def culprit(self) -> Culprit:
        """The stretch that most probably has the largest change in it, as short as is known."""
        masses = self._masses()
        place = max(range(len(masses)), key=masses.__getitem__)
        probability = min(masses[place], 1.0)
        is_divisible = self._is_divisible(place)
        others, of_other = self._others(place)
        is_certain = probability >= CERTAIN and not is_divisible
        if not is_certain and (pair := self._sure_pair()) is not None:
            # Two changes of about the same size: both are known, only not which is the larger.
            is_certain, place = True, max(pair, key=masses.__getitem__)
            others, of_other = self._others(place)
            probability = self._pair_probability(pair)
        where = self._stretches[place]
        if not is_certain:
            joined = self._joined(place)
            mass = sum(masses[one] for one in joined)
            if mass >= CERTAIN and not any(map(self._is_divisible, joined)):
                is_certain, probability = True, min(mass, 1.0)
                where = Stretch(self._stretches[joined[0]].after, self._stretches[joined[-1]].last)
                of_other = [0.0 if one in joined else of_other[one] for one in range(len(masses))]
                others = sum(of_other)
        other = max(range(len(masses)), key=of_other.__getitem__)
        is_told = others >= SURE_OF_OTHERS and of_other[other] >= SURE_OF_OTHERS
        return Culprit(
            where=where,
            probability=probability,
            is_certain=is_certain,
            others=others,
            other=self._stretches[other] if is_told else None,
        )

    def probable(self, share: float = CERTAIN) -> Stretch:
        """The commits from the first to the last of those that together have this probability."""
        ranked = sorted(enumerate(self._masses()), key=lambda one: -one[1])
        chosen, total = [], 0.0
        for place, mass in ranked:
            chosen.append(place)
            total += mass
            if total >= share:
                break
        return Stretch(self._stretches[min(chosen)].after, self._stretches[max(chosen)].last)

    def probability_of(self, where: Stretch) -> float:
        """How probably the largest change is in these commits; they end where stretches do."""
        return min(
            1.0,
            sum(
                mass
                for stretch, mass in zip(self._stretches, self._masses(), strict=True)
                if where.after <= stretch.after and stretch.last <= where.last
            ),
        )

    def candidates(self, most: int) -> list[int]:
        """Positions to be measured next, side by side: those whose answers would tell the most.

        At most so many, and none more than is worth a process; one at least, unless there is none
        between the ends that can be measured.
        """
        histories, places = self._divided()
        chosen: list[int] = []
        groups: dict[tuple[int, int], tuple[int, ...]] = dict.fromkeys(histories, ())
        known = 0.0
        while len(chosen) < most:
            best, gain = -1, 0.0
            for place in places:
                if place in chosen:
                    continue
                found: dict[tuple[int, ...], float] = {}
                for one, weight in histories.items():
                    key = (*groups[one], _kind(place, *one))
                    found[key] = found.get(key, 0.0) + weight
                bits = _entropy(found.values()) - known
                if bits > gain + 1e-12:
                    best, gain = place, bits
            if best < 0 or (chosen and gain < _WORTH_A_PROCESS):
                break
            chosen.append(best)
            known += gain
            groups = {one: (*group, _kind(best, *one)) for one, group in groups.items()}
        return sorted(chosen)

    def _masses(self) -> list[float]:
        """For each stretch, how probably the largest change is in it."""
        masses = [0.0] * len(self._stretches)
        for (first, second, level), weight in self._histories.items():
            share = 1.0 if level is None else _SHARES[level]
            masses[first] += weight * share
            masses[second] += weight * (1 - share)
        return masses

    def _others(self, place: int) -> tuple[float, list[float]]:
        """How probable another change is beside the one in this stretch, and in which stretch."""
        of_other = [0.0] * len(self._stretches)
        for (first, second, level), weight in self._histories.items():
            if level is None or first == second or place not in (first, second):
                continue
            where = second if place == first else first
            share = abs(1 - _LEVELS[level]) if place == first else abs(_LEVELS[level])
            if share >= ANOTHER - 1e-9:
                of_other[where] += weight
        return sum(of_other), of_other

    def _sure_pair(self) -> tuple[int, int] | None:
        """The two stretches that certainly have a change each, if neither can be divided."""
        pairs: dict[tuple[int, int], float] = {}
        for (first, second, level), weight in self._histories.items():
            if level is not None and first != second and ANOTHER <= _LEVELS[level] <= 1 - ANOTHER:
                pairs[first, second] = pairs.get((first, second), 0.0) + weight
        best = max(pairs, key=pairs.__getitem__, default=None)
        if best is None or pairs[best] < CERTAIN or any(map(self._is_divisible, best)):
            return None
        return best

    def _pair_probability(self, pair: tuple[int, int]) -> float:
        found = (
            weight
            for (first, second, level), weight in self._histories.items()
            if level is not None and (first, second) == pair
        )
        return min(sum(found), 1.0)

    def _joined(self, place: int) -> range:
        """The stretches about this one between which nothing more can be measured.

        A commit that was measured, and cannot be any more, divides them for ever as it does now.
        """
        first = last = place
        while self._stretches[first].after in self._unmeasurable:
            first -= 1
        while self._stretches[last].last in self._unmeasurable:
            last += 1
        return range(first, last + 1)

    def _is_divisible(self, place: int) -> bool:
        return bool(self._within(self._stretches[place]))

    def _within(self, stretch: Stretch) -> list[int]:
        """Positions in a stretch that can be measured, and were not."""
        return [one for one in self._measurable if stretch.after < one < stretch.last]

    def _divided(self) -> tuple[dict[tuple[int, int], float], list[int]]:
        """Probable histories by (first, last) change, as positions, and possible candidates.

        Of a stretch that is probable enough, parts are looked at. One change is (k, k).
        """
        masses = [0.0] * len(self._stretches)
        for (first, second, _), weight in self._histories.items():
            masses[first] += weight / 2
            masses[second] += weight / 2
        parts: list[list[Stretch]] = []
        places = [one for one in self._readings if one not in self._unmeasurable]
        for stretch, mass in zip(self._stretches, masses, strict=True):
            within = self._within(stretch) if mass >= _WORTH_DIVIDING else []
            cuts = _evenly(within, _PARTS - 1)
            places += cuts
            ends = [stretch.after, *cuts, stretch.last]
            parts.append([Stretch(*pair) for pair in itertools.pairwise(ends)])
        by_stretches: dict[tuple[int, int, bool], float] = {}
        for (first, second, level), weight in self._histories.items():
            # A level as good as an end's is no other change.
            is_one = level is None or _LEVELS[level] in (0.0, 1.0)
            if is_one and level is not None:
                first = second = second if _LEVELS[level] == 0.0 else first
            key = first, second, is_one
            by_stretches[key] = by_stretches.get(key, 0.0) + weight
        histories: dict[tuple[int, int], float] = {}
        for (first, second, is_one), weight in by_stretches.items():
            for one, share in _spread_over(parts[first], parts[second], is_one):
                if weight * share > _NEGLIGIBLE:
                    histories[one] = histories.get(one, 0.0) + weight * share
        return histories, places


def _spread_over(
    firsts: Sequence[Stretch], seconds: Sequence[Stretch], is_one: bool
) -> Iterator[tuple[tuple[int, int], float]]:
    """The positions of the changes of a history, by the parts of two stretches, with their share.

    A part stands for its last commit: with that it begins to be seen.
    """
    if is_one:
        total = sum(part.commits for part in firsts)
        yield from (((part.last, part.last), part.commits / total) for part in firsts)
        return
    same = firsts is seconds
    ways = {
        (one.last, other.last): (
            math.comb(one.commits, 2) if one == other else one.commits * other.commits
        )
        for one, other in itertools.product(firsts, seconds)
        if not same or one.last <= other.last
    }
    total = sum(ways.values())
    yield from ((one, count / total) for one, count in ways.items() if count)


def _kind(position: int, first: int, second: int) -> int:
    """Before all changes, between them, or after."""
    return (position >= first) + (position >= second)


def _entropy(weights: Collection[float]) -> float:
    """In bits; the weights need not add up to 1."""
    total = sum(weights)
    return -sum(weight / total * math.log2(weight / total) for weight in weights if weight > 0)


def _evenly(positions: Sequence[int], most: int) -> list[int]:
    """At most so many of them, which divide them into parts of about the same size."""
    if len(positions) <= most:
        return [*positions]
    return [positions[(part + 1) * len(positions) // (most + 1)] for part in range(most)]


def _by_position(rings: Sequence[RingReadings]) -> dict[int, list[Reading]]:
    found: dict[int, list[Reading]] = {}
    for ring in rings:
        for reading in ring.readings:
            found.setdefault(reading.position, []).append(reading)
    return found


def _spread(readings: Mapping[int, Sequence[Reading]]) -> float:
    """Of a reading about its commit's level, moderated by what is expected."""
    dof = sum(len(found) - 1 for found in readings.values())
    squares = sum(sum_of_squares([one.between for one in found]) for found in readings.values())
    expected = _READING_SHARE * EXPECTED**2
    return math.sqrt((squares + EXPECTED_DOF * expected) / (dof + EXPECTED_DOF))


def _log_likelihoods(
    readings: Mapping[int, Sequence[Reading]], ends: LogRatio
) -> dict[int, list[float]]:
    """Of each measured commit, by its level."""
    middle = ends.log_ratio / 2
    spread = _spread(readings)
    se = fmean([one.se for found in readings.values() for one in found] or [0.0])
    # All processes of a commit have one interpreter, and half of what two differ by is its.
    of_commit = _COMMIT_SPREAD**2 + BETWEEN**2 / 2
    floor = of_commit + (_COARSENESS * ends.log_ratio) ** 2 + ends.variance / 4
    result = {}
    for position, found in readings.items():
        logs = [0.0] * len(_LEVELS)
        for reading in found:
            # Where blocks scatter more than they do elsewhere, a reading says less.
            noisier = max(1.0, reading.se / se) if se else 1.0
            # The floor is the commit's, and no number of readings removes it.
            variance = (spread * noisier) ** 2 + floor * len(found)
            for place, level in enumerate(_LEVELS):
                off = reading.between - (level * ends.log_ratio - middle)
                logs[place] -= (_TAIL_DOF + 1) / 2 * math.log1p(off**2 / (_TAIL_DOF * variance))
        most = max(logs)
        likelihoods = [math.exp(log - most) for log in logs]
        odd = _ODD * fmean(likelihoods)
        result[position] = [math.log((1 - _ODD) * one + odd) + most for one in likelihoods]
    return result
