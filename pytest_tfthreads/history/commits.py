"""The commits of a repository as the axis of a history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Between:
    """Commits that one commit has and an earlier one has not: how many, and the tags on them."""

    count: int
    tags: tuple[str, ...] = ()


def _unknown(earlier: str, later: str) -> Between | None:
    return None


@dataclass(frozen=True)
class Commits:
    """All known commits: `places` in their order, oldest first; `tags` of those that have any.

    `look` tells what lies between two of them.
    """

    places: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    look: Callable[[str, str], Between | None] = _unknown

    def between(self, earlier: str | None, later: str | None) -> Between | None:
        """What a commit has beyond another; None where one of them is not known here."""
        if earlier is None or later is None or not {earlier, later} <= self.places.keys():
            return None
        return self.look(earlier, later)
