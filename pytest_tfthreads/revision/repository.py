"""The repository that holds the current tree, and the commits that somebody names there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.revision.clone import Clone, Revision
from pytest_tfthreads.revision.git import RevisionError, ask, lines, run

_COMMIT_ID = re.compile(r"[0-9a-f]{7,64}")
_ABBREVIATED_ID = re.compile(r"[0-9a-f]{4,63}")
_FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DUET = "--tf-threads-duet="
NOT_KNOWN_IF_CHANGED = "whether the current tree has uncommitted changes is not known"
_BY_MESSAGE = ":/"  # the latest commit whose message has the text that follows


@dataclass(frozen=True)
class NamedCommit:
    """The commit that somebody has named."""

    commit: str  # full id
    name: str  # the name that git knows it by, which may be another one than was asked for
    notes: tuple[str, ...] = ()  # what people should know of how it was found


@dataclass(frozen=True)
class Repository:
    """The repository that holds the current tree, which may be one of several worktrees."""

    top: Path  # of the current tree
    common: Path  # what all its worktrees share: the .git directory of the first

    @classmethod
    def holding(cls, here: Path) -> Repository:
        """Raises `RevisionError` where there is none, or none that git trusts."""
        answer = run(here, "rev-parse", "--show-toplevel")
        if answer.code != 0:
            raise RevisionError(_why_none(here, answer.words))
        top = Path(answer.output.removesuffix("\n")).resolve()
        return cls(top, (top / ask(top, "rev-parse", "--git-common-dir")).resolve())

    @property
    def head(self) -> str | None:
        """The commit of the current tree; None before the first."""
        return self._commit("HEAD")

    @property
    def is_changed(self) -> bool:
        """Whether a tracked file, or one in a submodule, differs from the commit.

        Raises `RevisionError`, for example where git does not trust a submodule's owner.
        """
        # To recognise a renamed file takes contents, which a partial clone may lack.
        options = ("--porcelain", "--untracked-files=no", "--no-renames")
        return bool(ask(self.top, "status", *options))

    def find(self, rev: str, trusted: bool, asked_by: str = _DUET) -> NamedCommit:
        """The commit that `rev` names.

        Where `rev` is not trusted it must be an id: a branch of the name would not do. One that is
        trusted may also be a branch that only a remote has, as `main` often is in a clone of CI.
        `asked_by` is what the user types before the name of a revision: messages say what to type.
        Raises `RevisionError` where it is none, or the repository has no such commit.
        """
        if not trusted and not _COMMIT_ID.fullmatch(rev):
            raise RevisionError(
                f"the baseline names {_quoted(rev)} as its commit, which is no commit id (7 to 64 "
                f"hexadecimal digits, in lower case). Name a revision: {asked_by}REV."
            )
        if rev.startswith("-"):
            raise RevisionError(
                f"{_quoted(rev)} is no git revision: it looks like an option. If a branch has "
                "that name, write it in full, refs/heads/…"
            )
        if not rev.isprintable():
            raise RevisionError(
                f"{_quoted(rev)} is no git revision: it has characters that cannot be printed. "
                "Name a commit, a tag or a branch."
            )
        commit = self._commit(rev)
        if commit is None:
            if trusted and (found := self._on_a_remote(rev, asked_by)):
                return found
            raise RevisionError(self._missing(rev, asked_by))
        if not trusted and not commit.startswith(rev):
            raise RevisionError(
                f"the baseline names commit {rev}, and here this is the name of something else, "
                f"at commit {commit}. Name a revision: {asked_by}REV."
            )
        return NamedCommit(commit, rev, self._rivals(rev) if trusted else ())

    def _commit(self, rev: str) -> str | None:
        if rev.startswith(_BY_MESSAGE):  # the whole name is, whatever stands at its end
            found = self._id(rev)
            return None if found is None else self._id(f"{found}^{{commit}}")
        return self._id(f"{rev}^{{commit}}")

    def _id(self, rev: str) -> str | None:
        answer = run(self.top, "rev-parse", "--verify", "--quiet", rev)
        found = answer.output.removesuffix("\n")
        # "^HEAD" is a revision for git, and no commit.
        return found if answer.code == 0 and _FULL_ID.fullmatch(found) else None

    def _on_a_remote(self, rev: str, asked_by: str) -> NamedCommit | None:
        """The commit, where only a remote has a branch of this name.

        Raises `RevisionError` where remotes have different ones.
        """
        asked = Revision.of(rev)
        if not asked.name or self._commit(asked.name) is not None:
            return None
        name = asked.name.removeprefix("refs/").removeprefix("heads/")
        found = {
            place: commit
            for one in [*(f"{remote}/" for remote in lines(ask(self.top, "remote"))), ""]
            if (commit := self._commit(f"refs/remotes/{(place := one + name)}{asked.way}"))
        }
        if not found:
            return None
        default = run(self.top, "config", "--get", "checkout.defaultRemote").output.strip()
        preferred = f"{default}/{name}"
        place = preferred if preferred in found else next(iter(found))
        if len(set(found.values())) > 1 and place != preferred:
            raise RevisionError(
                f"the repository {self.top} has no {_quoted(asked.name)} of its own, and its "
                f"remotes have different ones: {', '.join(found)}. Name one of them, "
                f"{asked_by}{place}{asked.way}."
            )
        note = f"there is no branch or tag {asked.name} in this clone: {place} is taken for it"
        return NamedCommit(found[place], place + asked.way, (note,))

    def _rivals(self, rev: str) -> tuple[str, ...]:
        """That a name has several meanings, of which git takes the first."""
        asked = Revision.of(rev)
        if not asked.name or asked.name.startswith("refs/"):
            return ()
        places = [f"refs/{kind}/{asked.name}" for kind in ("tags", "heads", "remotes")]
        found = {place: commit for place in places if (commit := self._commit(place))}
        for commit in self._beginning_with(asked.name):
            found.setdefault(commit, commit)
        if len(set(found.values())) <= 1:
            return ()
        taken, *others = found
        return (
            f"{asked.name} is the name of several commits: {taken} is taken, as git does; for "
            f"another write {' or '.join(others)}",
        )

    def _beginning_with(self, digits: str) -> list[str]:
        """The commits whose ids begin with these digits; none where they are no digits."""
        if not _ABBREVIATED_ID.fullmatch(digits):
            return []
        objects = run(self.top, "rev-parse", f"--disambiguate={digits}").output.split()
        kinds = {one: run(self.top, "cat-file", "-t", one).output.strip() for one in objects}
        return [one for one, kind in kinds.items() if kind == "commit"]

    def _missing(self, rev: str, asked_by: str) -> str:
        headline = f"the repository {self.top} has no commit {_quoted(rev)}"
        if self.head is None and not ask(self.top, "for-each-ref", "--count=1"):
            return f"{headline}: it has no commit at all. Commit first."
        if len(several := self._beginning_with(rev)) > 1:
            return (
                f"{headline}: several ids begin like that, {', '.join(several)}. Write more digits."
            )
        kind = run(self.top, "cat-file", "-t", rev).output.strip()
        if kind in ("tree", "blob"):
            return f"{headline}: it is a {kind}. Name a commit, {asked_by}REV."
        name = Revision.of(rev).name
        start = self._commit(name) if name else None
        return f"{headline}. {Clone.of(self.top).lacks(rev, start, asked_by)}"


def _why_none(here: Path, words: str) -> str:
    """Why git finds no tree in a directory, from its own words."""
    other = "or compare two environments: python=PATH in place of a revision."
    if "dubious ownership" in words:
        return (
            f"git does not trust the repository that holds {here}, because another user owns it: "
            f"{words}\nThat is usual in containers. Run the command that git names (`git config "
            "--global --add safe.directory …`) as the user that runs pytest, " + other
        )
    if "must be run in a work tree" in words or "cannot use bare repository" in words:
        return (
            f"this needs a git repository with a tree checked out, and {here} is in one without: "
            f"{words}\nRun it in a clone, or in a tree that `git worktree add` makes, {other}"
        )
    pointer = next((dot_git for dot_git in _dot_gits(here) if os.path.isfile(dot_git)), None)
    if pointer is not None and "not a git repository" in words:
        return (
            f"{pointer} says that the repository is elsewhere, and git finds none there: {words}\n"
            "Was only a worktree or a submodule copied or mounted? Bring the repository that it "
            f"belongs to to the same place, or run it in a clone, {other}"
        )
    return (
        f"this needs a git repository with a tree checked out, and git finds none in {here}: "
        f"{words}\nRun it in a clone (an archive or an image without .git is none), {other}"
    )


def _dot_gits(here: Path) -> Iterator[Path]:
    dot_gits = (parent / ".git" for parent in (here, *here.parents))
    yield from (dot_git for dot_git in dot_gits if os.path.exists(dot_git))


def _quoted(rev: str) -> str:
    """For a message: as Python writes it, without what a terminal may act on, and not too long."""
    return repr(rev if len(rev) <= 80 else f"{rev[:80]}…")
