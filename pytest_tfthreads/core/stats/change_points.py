"""Where in a history of sessions the speed changed for good: change points, their size and place.

A session (one run of the suite) has one log speed a process; its mean is one point of the history.
Points scatter about a level that stays until it changes. ruptures finds the levels, exactly: the
partition for which

    sum of squares about the levels / variance of a point + penalty · number of changes

is the least (PELT: Killick, Fearnhead and Eckley 2012). Neighbouring levels of that partition
differ by more than √penalty standard errors, so the penalty is the square of a quantile of
Student's t: a single change that is not there is shown in no more than `error` of unchanged
histories of independent points, each place a change can have being a chance to err (Bonferroni).

The variance of a point is learned from differences of successive points, as in `drift` and
moderated by its defaults, so that levels do not count as noise; differences far beyond the others
are clipped, so that a few changes or odd sessions do not either. Machines have better and worse
weeks: where points are like their neighbours within the levels that were found, a mean of them
varies more, and the levels are looked for again with that. A session that neither of its neighbours
bears out is no change.

The constants were chosen by the rates of false alarms and of detection on recorded noise;
benchmarks/history/rates.py prints them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from pytest_tfthreads.core.stats.drift import (
    EXPECTED_DOF,
    FLOOR,
    Expected,
    default_within,
    dof_of_steps,
    semivariance,
)
from pytest_tfthreads.core.stats.estimates import (
    FAMILYWISE_ERROR,
    Estimate,
    LogRatio,
    change_from_log,
    from_log,
    moderated_variance,
    student_t,
    sum_of_squares,
)

MISSING_LIBRARY = (
    "change points are found by ruptures, which is not installed: pip install ruptures"
)
LEAST_SITTINGS = 2
"""Sessions that make a level: what only one has seen may be that session's own."""
ENOUGH_SITTINGS = 2 * LEAST_SITTINGS
"""Sessions from which on a change can be found."""
CONFIDENCE = 0.95
NOISE = Expected(spread=0.07, weight=3.0, tests=1.0)
"""The spread of points about a level that is expected, beside that of their processes."""
FAR = 3.0
"""A point that is so many standard deviations from both neighbours is borne out by neither."""
_MOST_ALIKE = 0.9  # correlation of neighbours beyond which no change could ever be found
_CHANCE = 0.5  # standard errors of that correlation that are put down to chance
# LR statistic of a change's place that is exceeded in 5 % of cases: -2 log(1 - √0.95), from
# B. E. Hansen, "Sample splitting and threshold estimation" (2000).
_PLACE_LR = -2 * math.log(1 - math.sqrt(CONFIDENCE))


class ChangesUnavailableError(Exception):
    """ruptures is not installed; the message says how to mend it."""


@dataclass(frozen=True)
class Session:
    """Log speeds of one session, one a process, and for how long a process measured."""

    log_speeds: tuple[float, ...]
    measured_s: float = math.inf

    def __post_init__(self) -> None:
        if not self.log_speeds or not all(map(math.isfinite, self.log_speeds)):
            raise ValueError(f"a session needs finite log speeds: {self.log_speeds}")


@dataclass(frozen=True)
class Segment:
    """Sessions `start` to `stop` (without it) have this mean log speed; `half_width`: 95 %."""

    start: int
    stop: int
    log_speed: float
    half_width: float

    @property
    def speed(self) -> Estimate:
        """The speed itself, in the unit of the sessions' figures."""
        low, high = self.log_speed - self.half_width, self.log_speed + self.half_width
        return Estimate(from_log(self.log_speed), from_log(low), from_log(high))


@dataclass(frozen=True)
class Shift(LogRatio):
    """From one level to the next, as a relative change of speed: -0.31 is 31 % slower."""

    @property
    def value(self) -> float:
        return change_from_log(self.log_ratio)

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return change_from_log(self.log_ratio - self.half_width(0.5 + CONFIDENCE / 2))

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return change_from_log(self.log_ratio + self.half_width(0.5 + CONFIDENCE / 2))


@dataclass(frozen=True)
class ChangePoint:
    """From the `old` level to the `new` one, which begins with session `index`.

    The speed changed after session `after` and no later than at session `by` (95 %): `after` is
    index - 1 and `by` is index where the place is plain. `is_measured`: side by side, so that no
    session says how large it is.
    """

    old: Segment
    new: Segment
    after: int
    by: int
    shift: Shift
    is_measured: bool = False

    @property
    def index(self) -> int:
        return self.new.start


@dataclass(frozen=True)
class Noise:
    """Variance of a point about its level, and its degrees of freedom.

    `of_means` is the variance that a mean of n points has, times n: larger than `of_points` where
    neighbours are alike.
    """

    of_points: float
    of_means: float
    dof: float

    def half_width(self, points: int) -> float:
        """Of the 95 % interval of a mean of so many points."""
        return student_t(0.5 + CONFIDENCE / 2, self.dof) * math.sqrt(self.of_means / points)


@dataclass(frozen=True)
class Segmentation:
    """A history taken apart: `levels` and the `changes` between them, and its points' noise."""

    levels: tuple[Segment, ...]
    changes: tuple[ChangePoint, ...]
    noise: Noise

    @property
    def spread(self) -> float:
        """Standard deviation of a point's logarithm about its level."""
        return math.sqrt(self.noise.of_points)


def segmentation(sessions: Sequence[Session], error: float = FAMILYWISE_ERROR) -> Segmentation:
    """Levels and changes of a history, oldest first; `error` is that of this history alone.

    Raises `ValueError` on an empty history, `ChangesUnavailableError` without ruptures.
    """
    if not sessions:
        raise ValueError("a history needs at least one session")
    independent = noise_of(sessions)
    all_points = [fmean(session.log_speeds) for session in sessions]
    alike, left_over = -1.0, 0.0
    while left_over > alike:
        alike = left_over
        noise = _correlated(independent, alike, sessions)
        points = borne_out(all_points, noise)
        starts = [0, *_change_points(points, noise, error), len(points)]
        left_over = _likeness(points, starts)
    levels = tuple(
        Segment(start, stop, fmean(points[start:stop]), noise.half_width(stop - start))
        for start, stop in itertools.pairwise(starts)
    )
    changes = tuple(
        _change(points, before, after, noise) for before, after in itertools.pairwise(levels)
    )
    return Segmentation(levels, changes, noise)


def shifts_between(sessions: Sequence[Session], changes: Sequence[ChangePoint]) -> list[Shift]:
    """How another speed of the same sessions moved between the levels of each change."""
    if not changes:
        return []
    independent = noise_of(sessions)
    all_points = borne_out([fmean(session.log_speeds) for session in sessions], independent)
    shifts = []
    for change in changes:
        before = all_points[change.old.start : change.old.stop]
        after = all_points[change.new.start : change.new.stop]
        points, middle = [*before, *after], len(before)
        noise = _correlated(independent, _likeness(points, [0, middle, len(points)]), sessions)
        sizes = 1 / len(before) + 1 / len(after)
        shifts.append(Shift(fmean(after) - fmean(before), noise.of_means * sizes, noise.dof))
    return shifts


def noise_of(sessions: Sequence[Session]) -> Noise:
    """What a history says of its own noise, moderated by what is to be expected.

    Neighbours are taken for independent.
    """
    points = [fmean(session.log_speeds) for session in sessions]
    default = NOISE.spread**2 + _within(sessions)
    steps = len(points) - 1
    if steps < 1:
        return Noise(default, default, EXPECTED_DOF)
    dof = dof_of_steps(steps)
    learned = max(semivariance(points), FLOOR**2)
    moderated = moderated_variance(learned, dof, default, NOISE.weight)
    return Noise(moderated, moderated, dof + EXPECTED_DOF)


def borne_out(points: Sequence[float], noise: Noise) -> list[float]:
    """Points, but for those that are far from both neighbours: in their place the nearer one."""
    if len(points) < 3:
        return list(points)
    far = FAR * math.sqrt(noise.of_points)
    last = len(points) - 1
    result = []
    for index, point in enumerate(points):
        first = min(max(index - 1, 0), last - 2)
        middle = median(points[first : first + 3])
        result.append(middle if abs(point - middle) > far else point)
    return result


def _correlated(independent: Noise, alike: float, sessions: Sequence[Session]) -> Noise:
    """The noise of these sessions where `alike` is the correlation of neighbours."""
    if len(sessions) < 2:
        return independent
    of_points = independent.of_points / (1 - alike)
    return Noise(of_points, of_points * (1 + alike) / (1 - alike), independent.dof)


def _within(sessions: Sequence[Session]) -> float:
    """Mean variance of a point that is expected from processes measured for so long."""
    return fmean(
        default_within(session.measured_s) / len(session.log_speeds) for session in sessions
    )


def _likeness(points: Sequence[float], starts: Sequence[int]) -> float:
    """How much neighbouring points correlate within the levels with these bounds, beyond chance.

    0 for independent points. The figure is rounded, so that `segmentation`, which repeats until the
    figure no longer grows, comes to an end.
    """
    products = squares = 0.0
    for start, stop in itertools.pairwise(starts):
        level = points[start:stop]
        mean = fmean(level)
        squares += sum_of_squares(level)
        products += sum((one - mean) * (next_ - mean) for one, next_ in itertools.pairwise(level))
    chance = (_CHANCE * math.sqrt(len(points)) - (len(starts) - 1)) / len(points)
    correlation = products / max(squares, FLOOR**2 * len(points)) - chance
    return round(min(_MOST_ALIKE, max(0.0, correlation)), 1)


def _change_points(points: Sequence[float], noise: Noise, error: float) -> list[int]:
    """Indices at which a new level begins."""
    if len(points) < ENOUGH_SITTINGS:
        return []
    try:
        from ruptures.detection import KernelCPD
    except ImportError as problem:
        raise ChangesUnavailableError(MISSING_LIBRARY) from problem
    # KernelCPD takes arrays, and nobody here imports NumPy: a function of SciPy's returns one.
    from scipy.special import xlogy

    middle = median(points)
    places = len(points) - ENOUGH_SITTINGS + 1
    quantile = student_t(1 - error / 2 / places, noise.dof)
    array = xlogy([point - middle for point in points], math.e)
    search = KernelCPD(kernel="linear", min_size=LEAST_SITTINGS).fit(array)
    *starts, _ = search.predict(pen=quantile**2 * noise.of_means)
    return [int(start) for start in starts]


def _change(points: Sequence[float], before: Segment, after: Segment, noise: Noise) -> ChangePoint:
    sizes = 1 / (before.stop - before.start) + 1 / (after.stop - after.start)
    shift = Shift(after.log_speed - before.log_speed, noise.of_means * sizes, noise.dof)
    # How much worse the two levels fit where the change is put elsewhere between their middles.
    fits = {}
    total = 0.0
    for index in range(before.start, after.stop):
        if before.start + LEAST_SITTINGS <= index <= after.stop - LEAST_SITTINGS:
            fits[index] = total
        total += (points[index] - before.log_speed) ** 2 - (points[index] - after.log_speed) ** 2
    limit = fits[after.start] + _PLACE_LR * noise.of_means
    possible = [index for index, misfit in fits.items() if misfit <= limit]
    return ChangePoint(before, after, min(possible) - 1, max(possible), shift)
