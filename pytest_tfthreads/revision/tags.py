"""The commits of a repository's history with their tags, as git tells of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.core.commit import Commit
from pytest_tfthreads.revision.git import ask, run

_FORMAT = "--format=%H%x00%P%x00%cI%x00%s%x00%D"
_FIELDS = 5
_TAG = "tag: "
_RELEASE = re.compile(r"[^0-9]*\d")


@dataclass(frozen=True)
class Tagged:
    """A commit with its tags: none, or that which looks most like a release's first."""

    commit: Commit
    tags: tuple[str, ...]


def tags_up_to(top: Path, commit: str) -> list[Tagged]:
    """All tagged commits that a commit reaches, in the order of history, its own among them."""
    return [one for one in log(top, commit) if one.tags]


def tags_between(top: Path, first: str, last: str) -> list[Tagged]:
    """Tagged commits after `first` and up to `last` that have both in their history, in its order.

    Those of other branches, that have not the first, lie not between the two.
    """
    found = log(top, "--ancestry-path", f"{first}..{last}")
    return [one for one in found if one.tags]


def commits_between(top: Path, earlier: str, later: str) -> list[Commit]:
    """The commits that one has and the other has not, in the order of history."""
    return [one.commit for one in log(top, f"{earlier}..{later}")]


def commit_of(top: Path, commit: str) -> Tagged:
    """What git tells of a commit, by its full id."""
    (found,) = log(top, "--no-walk", commit)
    return found


def is_ancestor(top: Path, first: str, last: str) -> bool:
    return run(top, "merge-base", "--is-ancestor", first, last).code == 0


def log(top: Path, *which: str) -> Iterator[Tagged]:
    """Commits in the order of history.

    `which`: full ids that git has named, so that none can be another option.
    """
    order = () if "--no-walk" in which else ("--date-order", "--reverse")
    output = ask(
        top, "log", "--no-show-signature", "--decorate-refs=refs/tags/*", "-z", _FORMAT,
        *order, *which, "--",
    )  # fmt: skip
    fields = output.removesuffix("\0").split("\0") if output else []
    for start in range(0, len(fields), _FIELDS):
        commit, parents, date, subject, decoration = fields[start : start + _FIELDS]
        tags = sorted(tags_in(decoration), key=lambda name: (not _RELEASE.match(name), name))
        yield Tagged(Commit(commit, tuple(parents.split()), date, subject), tuple(tags))


def tags_in(decoration: str) -> tuple[str, ...]:
    """The tags that git's %D names, in its order."""
    # git allows a comma in the name of a tag, but no space.
    names = decoration.split(", ")
    return tuple(name.removeprefix(_TAG) for name in names if name.startswith(_TAG))
