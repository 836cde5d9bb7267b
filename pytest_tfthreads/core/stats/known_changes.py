"""Changes that were measured side by side, in a history that guesses changes from its sessions.

Between two sessions of which that is known, what sessions say of a change counts for nothing:

- where there is none, a change that was found there is left out, and its two levels are one;
- where there is one, it has the measured size. Sessions only say where it lies, if the two have
  others between them.

A level between the two that is certainly below both of them, or above both, stays all the same:
side by side, nothing was measured there. The levels at its two ends are as far apart as measured.

Levels that a measured change joins have its size between them. All their sessions tell how high
they are together, but for those that neither of their neighbours bears out.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from pytest_tfthreads.core.stats.change_points import (
    CONFIDENCE,
    FAR,
    ChangePoint,
    Noise,
    Segment,
    Segmentation,
    Session,
    Shift,
    borne_out,
)


@dataclass(frozen=True)
class Known:
    """From session `after` to session `by` the speed moved by `shift`, measured side by side.

    `is_change`: the shift is certainly one; otherwise there certainly is none that matters.
    """

    after: int
    by: int
    shift: Shift
    is_change: bool

    @property
    def starts(self) -> range:
        """The sessions with which a level could begin that the change brings."""
        return range(self.after + 1, self.by + 1)


@dataclass(frozen=True)
class _Link:
    """How a level follows from the one before: by a measured change, or by what was found."""

    start: int
    known: Known | None
    found: ChangePoint | None


def with_known(
    found: Segmentation, sessions: Sequence[Session], known: Sequence[Known]
) -> Segmentation:
    """The history with these changes in place of what was found there.

    Where two of `known` are about the same sessions, the one of fewer sessions counts, then the
    first.
    """
    taken = _apart(known)
    if not taken:
        return found
    noise = found.noise
    all_points = [fmean(session.log_speeds) for session in sessions]
    steps = {one: _start(all_points, one, noise) for one in taken if one.is_change}
    points = _borne_out(all_points, steps, noise)
    covered = {start for one in taken for start in one.starts}
    links = [_Link(one.index, None, one) for one in found.changes if one.index not in covered]
    ends: list[Known] = []
    for one in taken:
        own = _changes_between(found, points, one, taken)
        links += [_Link(change.index, None, change) for change in own]
        if own:
            ends.append(one)
        elif one in steps:
            links.append(_Link(steps[one], one, None))
    links.sort(key=lambda link: link.start)
    placed = {link.known: link.start for link in links if link.known is not None}
    points = _borne_out(all_points, placed, noise)
    starts = [0, *(link.start for link in links)]
    levels = [
        level
        for chain in _chains(links, ends)
        for level in _joined(noise, points, [*itertools.pairwise([*starts, len(points)])], chain)
    ]
    levels.sort(key=lambda level: level.start)
    changes = tuple(
        _change(found, link, old, new)
        for link, (old, new) in zip(links, itertools.pairwise(levels), strict=True)
    )
    return Segmentation(tuple(levels), changes, noise)


def _apart(known: Sequence[Known]) -> list[Known]:
    taken: list[Known] = []
    for one in sorted(known, key=lambda one: len(one.starts)):
        if all(one.after >= other.by or one.by <= other.after for other in taken):
            taken.append(one)
    return taken


def _start(points: Sequence[float], known: Known, noise: Noise) -> int:
    """Where the new level begins: where a step of this size fits the sessions best.

    A session that fits nowhere says nothing of the place, so misfits have a bound.
    """
    most = FAR**2 * noise.of_points

    def misfit(start: int) -> float:
        size = known.shift.log_ratio
        without = [
            points[index] - (size if index >= start else 0.0)
            for index in range(known.after, known.by + 1)
        ]
        level = median(without)
        return sum(min((point - level) ** 2, most) for point in without)

    return min(known.starts, key=misfit)


def _borne_out(points: Sequence[float], steps: Mapping[Known, int], noise: Noise) -> list[float]:
    """As `borne_out` has it, where a measured change bears out the sessions on both its sides.

    `steps`: where each of these changes has its new level begin.
    """
    heights = [
        sum(one.shift.log_ratio for one, start in steps.items() if start <= index)
        for index in range(len(points))
    ]
    level = borne_out(
        [point - height for point, height in zip(points, heights, strict=True)], noise
    )
    return [point + height for point, height in zip(level, heights, strict=True)]


def _changes_between(
    found: Segmentation, points: Sequence[float], known: Known, taken: Sequence[Known]
) -> list[ChangePoint]:
    """Changes that were found there, as far as they lead to levels below or above both ends.

    `taken` are all that are known.
    """
    inside = [change for change in found.changes if change.index in known.starts]
    if len(inside) < 2:
        return []
    first, last = inside[0], inside[-1]
    start = max([first.old.start, *(one.by for one in taken if one.by <= known.after)])
    stop = min([last.new.stop, *(one.after + 1 for one in taken if one.after >= known.by)])
    size = known.shift.log_ratio
    ends = [*points[start : first.index], *(point - size for point in points[last.index : stop])]
    low, high = sorted((fmean(ends), fmean(ends) + size))
    noise, of_shift = found.noise, known.shift.half_width(0.5 + CONFIDENCE / 2)
    apart = []
    for level in (change.new for change in inside[:-1]):
        height = fmean(points[level.start : level.stop])
        of_means = [noise.half_width(level.stop - level.start), noise.half_width(len(ends))]
        if max(low - height, height - high) > math.hypot(*of_means, of_shift):
            apart.append(level)
    return [one for one in inside if apart and apart[0].start <= one.index <= apart[-1].stop]


@dataclass(frozen=True)
class _Chain:
    """Levels that measured shifts join, by their places, each with its height over the first."""

    heights: Mapping[int, float]
    shifts: tuple[Shift, ...] = ()

    def longer(self, place: int, earlier: int, shift: Shift) -> _Chain:
        """With one more level, so far from an earlier one."""
        height = self.heights[earlier] + shift.log_ratio
        return _Chain({**self.heights, place: height}, (*self.shifts, shift))


def _chains(links: Sequence[_Link], ends: Sequence[Known]) -> list[_Chain]:
    """All levels: those together that measured changes join, or the `ends` of what is known."""
    starts = [0, *(link.start for link in links)]
    joined = {
        place: (place - 1, link.known.shift)
        for place, link in enumerate(links, start=1)
        if link.known is not None
    }
    for one in ends:
        first, last = (bisect_right(starts, session) - 1 for session in (one.after, one.by))
        joined[last] = first, one.shift
    chains: list[_Chain] = []
    for place in range(len(starts)):
        if place not in joined:
            chains.append(_Chain({place: 0.0}))
            continue
        earlier, shift = joined[place]
        own = next(number for number, one in enumerate(chains) if earlier in one.heights)
        chains[own] = chains[own].longer(place, earlier, shift)
    return chains


def _joined(
    noise: Noise, points: Sequence[float], spans: Sequence[tuple[int, int]], chain: _Chain
) -> list[Segment]:
    """Levels with measured shifts between them."""
    figures = [
        points[index] - height
        for place, height in chain.heights.items()
        for index in range(*spans[place])
    ]
    base = fmean(figures)
    of_shifts = [shift.half_width(0.5 + CONFIDENCE / 2) for shift in chain.shifts]
    uncertain = math.hypot(noise.half_width(len(figures)), *of_shifts)
    return [
        Segment(*spans[place], base + height, uncertain) for place, height in chain.heights.items()
    ]


def _change(found: Segmentation, link: _Link, old: Segment, new: Segment) -> ChangePoint:
    if link.known is not None:
        return ChangePoint(old, new, link.known.after, link.known.by, link.known.shift, True)
    assert link.found is not None
    noise = found.noise
    sizes = 1 / (old.stop - old.start) + 1 / (new.stop - new.start)
    shift = Shift(new.log_speed - old.log_speed, noise.of_means * sizes, noise.dof)
    return ChangePoint(old, new, link.found.after, link.found.by, shift)
