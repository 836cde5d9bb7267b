"""A commit of the user's repository, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Commit:
    """A commit as git tells of it; the subject is anybody's text."""

    id: str  # full
    parents: tuple[str, ...]
    date: str  # of the committer, ISO 8601
    subject: str

    @property
    def short(self) -> str:
        return self.id[:12]
