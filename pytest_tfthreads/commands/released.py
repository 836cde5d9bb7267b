"""The releases that a command line names: revisions, ranges of tags, environments."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.core.abreast import Place
from pytest_tfthreads.core.format import plural
from pytest_tfthreads.core.variants.released import Release
from pytest_tfthreads.engine.environment import Environment, EnvironmentUnfitError
from pytest_tfthreads.names import PYTHON
from pytest_tfthreads.revision.clone import Clone
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.repository import NOT_KNOWN_IF_CHANGED, Repository
from pytest_tfthreads.revision.tags import (
    Tagged,
    commit_of,
    is_ancestor,
    tags_between,
    tags_up_to,
)

CURRENT = "."
_BETWEEN = ".."
_ASKED_BY = "pytest-tfthreads releases "
_HEAD = "HEAD"


@dataclass(frozen=True)
class Named:
    """The releases in their order; `notes`: what the user should know of how they were found."""

    releases: tuple[Release, ...]
    notes: tuple[str, ...]


def named(texts: Sequence[str], last: int | None, directory: Path) -> Named:
    """What the arguments name, the `last` tags of HEAD's history before them.

    Each commit and each environment is there once. Raises `CommandError`, which names the argument.
    """
    finder = _Finder(directory)
    found = [] if last is None else finder.last_tags(last)
    for text in texts:
        found += finder.of(text)
    releases: dict[Place, Release] = {}
    for release in found:
        first = releases.setdefault(release.place, release)
        if first.name != release.name:
            finder.notes.append(f"{release.name} is {first.name}, and is measured once")
    if len(releases) < 2:
        only = "".join(f", and this names only {one.name}" for one in releases.values())
        only += f" ({'; '.join(finder.notes)})" if finder.notes else ""
        raise CommandError(
            f"releases are compared with each other{only}: name two or more, such as v1.0 HEAD, "
            f"v1.0..HEAD (all tags between), --last=5 HEAD, or {PYTHON}PATH {CURRENT} (the current "
            "tree in another environment and in this one)"
        )
    finder.note_changes(list(releases.values()))
    return Named(_distinct([*releases.values()]), tuple(dict.fromkeys(finder.notes)))


@dataclass
class _Finder:
    """Looks into the repository only where an argument needs one."""

    directory: Path
    notes: list[str] = field(default_factory=list)

    def of(self, text: str) -> list[Release]:
        if text == CURRENT:
            return [Release(CURRENT, Place())]
        if text.startswith(PYTHON):
            return [self._environment(text)]
        try:
            if _BETWEEN in text:
                return self._range(text)
            return [self._revision(text)]
        except RevisionError as error:
            raise CommandError(f"{text}: {error}") from error

    def last_tags(self, count: int) -> list[Release]:
        try:
            found = tags_up_to(self._repository.top, self._commit(_HEAD))
        except RevisionError as error:
            raise CommandError(f"--last={count}: {error}") from error
        if not found:
            raise CommandError(
                f"--last={count}: no commit of HEAD's history has a tag here; fetch tags (git "
                "fetch --tags), or name revisions"
            )
        if len(found) < count:
            tagged = plural(len(found), "tagged commit")
            self.notes.append(f"HEAD's history has {tagged} only{self._of_shallow}")
        return [_tagged(one) for one in found[-count:]]

    def note_changes(self, releases: Sequence[Release]) -> None:
        """That HEAD is not what lies in the current tree."""
        if any(one.commit is None for one in releases):
            return
        try:
            of_head = [one for one in releases if one.commit and one.commit.id == self._head]
            if of_head and self._repository.is_changed:
                self.notes.append(
                    f"the current tree has changes that are not committed: {of_head[0].name} is "
                    f"measured without them, and {CURRENT} would be with them"
                )
        except RevisionError as error:
            self.notes.append(f"{NOT_KNOWN_IF_CHANGED}: {error}")

    @functools.cached_property
    def _repository(self) -> Repository:
        return Repository.holding(self.directory)

    @functools.cached_property
    def _of_shallow(self) -> str:
        """What to add to an answer that a shallow clone gives."""
        if not Clone.of(self._repository.top).is_shallow:
            return ""
        return (
            ", as far as this shallow clone knows: `git fetch --unshallow --tags` brings the whole "
            "history and its tags"
        )

    @functools.cached_property
    def _head(self) -> str | None:
        return self._repository.head

    def _environment(self, text: str) -> Release:
        try:
            environment = Environment.other(text.removeprefix(PYTHON))
        except EnvironmentUnfitError as error:
            raise CommandError(
                f"{text}: {error} ({CURRENT} is the current tree in this environment)"
            ) from error
        return Release(text, Place(python=None if environment is None else environment.python))

    def _revision(self, text: str) -> Release:
        tagged = commit_of(self._repository.top, self._commit(text))
        return Release(text, Place(tagged.commit.id), tagged.commit, tagged.tags)

    def _range(self, text: str) -> list[Release]:
        first, _, last = text.partition(_BETWEEN)
        if not first or last.startswith("."):
            raise RevisionError(
                "this is no range of releases: write FIRST..LAST, such as v1.0..HEAD, for these "
                "two and all tags between"
            )
        ends = [self._revision(first), self._revision(last or _HEAD)]
        ids = [one.place.commit or "" for one in ends]
        top = self._repository.top
        if ids[0] != ids[1] and not is_ancestor(top, *ids):
            turned = f": write {last}..{first}" if is_ancestor(top, *reversed(ids)) else ""
            raise RevisionError(
                f"{first} is no ancestor of {last or _HEAD}{turned or self._of_shallow}"
            )
        between = [_tagged(one) for one in tags_between(top, *ids) if one.commit.id not in ids]
        if not between:
            self.notes.append(f"{text}: there is no tag between the two{self._of_shallow}")
        return [ends[0], *between, ends[1]]

    def _commit(self, rev: str) -> str:
        found = self._repository.find(rev, trusted=True, asked_by=_ASKED_BY)
        self.notes += found.notes
        return found.commit


def _tagged(one: Tagged) -> Release:
    return Release(one.tags[0], Place(one.commit.id), one.commit, one.tags)


def _distinct(releases: Sequence[Release]) -> tuple[Release, ...]:
    """With names that tell them apart: a tag may be called as git calls something else."""
    names = [one.name for one in releases]
    return tuple(
        one if names.count(one.name) == 1 else replace(one, name=f"{one.name} ({_short(one)})")
        for one in releases
    )


def _short(one: Release) -> str:
    return one.commit.short if one.commit is not None else CURRENT
