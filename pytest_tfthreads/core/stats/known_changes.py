"""Changes that were measured side by side, in a history that guesses changes from its sessions.

Between two sessions of which that is known, what sessions say of a change counts for nothing:

- where there is none, a change that was found there is left out, and its two levels are one;
- where there is one, it has the measured size. Sessions only say where it lies, if the two have
  others between them.

Levels that a measured change joins have its size between them. All their sessions tell how high
they are together, but for those that neither of their neighbours bears out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
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
    all_points = [fmean(session.log_speeds) for session in sessions]
    covered = {start for one in taken for start in one.starts}
    links = [_Link(one.index, None, one) for one in found.changes if one.index not in covered]
    links += [
        _Link(_start(all_points, one, found.noise), one, None) for one in taken if one.is_change
    ]
    links.sort(key=lambda link: link.start)
    points = _borne_out(all_points, links, found.noise)
    bounds = [0, *(link.start for link in links), len(points)]
    levels: list[Segment] = []
    spans = [*itertools.pairwise(bounds)]
    for chain in _chains(links):
        levels += _joined(found, points, [spans[place] for place in chain], [
            link.known.shift for link in (links[place - 1] for place in chain[1:]) if link.known
        ])  # fmt: skip
    changes = tuple(
        _change(found, link, old, new)
        for link, (old, new) in zip(links, itertools.pairwise(levels), strict=True)
    )
    return Segmentation(tuple(levels), changes, found.noise)


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


def _borne_out(points: Sequence[float], links: Sequence[_Link], noise: Noise) -> list[float]:
    """As `borne_out` has it, where a measured change bears out the sessions on both its sides."""
    heights = [
        sum(link.known.shift.log_ratio for link in links if link.known and link.start <= index)
        for index in range(len(points))
    ]
    level = borne_out(
        [point - height for point, height in zip(points, heights, strict=True)], noise
    )
    return [point + height for point, height in zip(level, heights, strict=True)]


def _chains(links: Sequence[_Link]) -> list[list[int]]:
    """Places of levels, together where measured changes join them."""
    chains = [[0]]
    for place, link in enumerate(links, start=1):
        if link.known is None:
            chains.append([place])
        else:
            chains[-1].append(place)
    return chains


def _joined(
    found: Segmentation,
    points: Sequence[float],
    spans: Sequence[tuple[int, int]],
    shifts: Sequence[Shift],
) -> list[Segment]:
    """Levels with measured shifts between them."""
    heights = [0.0, *itertools.accumulate(shift.log_ratio for shift in shifts)]
    base = fmean(
        points[index] - height
        for (start, stop), height in zip(spans, heights, strict=True)
        for index in range(start, stop)
    )
    half_width = found.noise.half_width(spans[-1][1] - spans[0][0])
    of_shifts = [shift.half_width(0.5 + CONFIDENCE / 2) for shift in shifts]
    uncertain = math.hypot(half_width, *of_shifts)
    return [
        Segment(start, stop, base + height, uncertain)
        for (start, stop), height in zip(spans, heights, strict=True)
    ]


def _change(found: Segmentation, link: _Link, old: Segment, new: Segment) -> ChangePoint:
    if link.known is not None:
        return ChangePoint(old, new, link.known.after, link.known.by, link.known.shift, True)
    assert link.found is not None
    noise = found.noise
    sizes = 1 / (old.stop - old.start) + 1 / (new.stop - new.start)
    shift = Shift(new.log_speed - old.log_speed, noise.of_means * sizes, noise.dof)
    return ChangePoint(old, new, link.found.after, link.found.by, shift)
