"""The present level of a test: the saved runs with which a new one is compared.

They are those since the last accepted change. The change points of the history (`changes`) say
where the speed changed. A change is accepted

- if it is an improvement;
- if its first run was measured side by side with its baseline and found to be no regression;
- if the user named its run as the baseline (`since`).

A loss that nobody accepted changes nothing: runs at the lower level, which were inconclusive one by
one, are left out, and the level stays what it was until the speed comes back. So a slow run does
not become what the next one is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence

from pytest_tfthreads.core.stats.change_points import Segment, Session, segmentation

CHANGE_ERROR = 0.01
"""How often an unchanged history may show any change: a level that begins too late, or without its
slow runs, looks faster than it is."""


def present_level(
    sessions: Sequence[Session], since: int = 0, beside: Container[int] = ()
) -> tuple[int, ...]:
    """Indices of the saved sessions, oldest first, that make the level; never none.

    It begins with the session `since` at the earliest. `beside` are those that were measured side
    by side with their baselines without a regression. Raises `ValueError` where there is none.
    """
    first, *later = segmentation(sessions[since:], CHANGE_ERROR).levels
    accepted, members = first, [*range(first.start, first.stop)]
    for level in later:
        indices = range(level.start, level.stop)
        if not _differ(accepted, level):
            members += indices
        elif level.log_speed > accepted.log_speed or since + level.start in beside:
            accepted, members = level, [*indices]
    return tuple(since + index for index in members)


def _differ(one: Segment, other: Segment) -> bool:
    return abs(one.log_speed - other.log_speed) > math.hypot(one.half_width, other.half_width)
