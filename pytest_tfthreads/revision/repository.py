"""The repository that holds the current tree, and the commits that somebody names there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.revision.git import RevisionError, ask, run

_COMMIT_ID = re.compile(r"[0-9a-f]{7,64}")
_FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


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
            raise RevisionError(
                f"this needs a git repository with a tree checked out, and git finds "
                f"none in {here}: {answer.words}\n"
                "Run it in a clone, or compare two environments with "
                "--tf-threads-duet=python=PATH."
            )
        top = Path(answer.output.removesuffix("\n")).resolve()
        return cls(top, (top / ask(top, "rev-parse", "--git-common-dir")).resolve())

    @property
    def head(self) -> str | None:
        """The commit of the current tree; None before the first."""
        return self._find("HEAD")

    @property
    def is_changed(self) -> bool:
        """Whether a tracked file, or one in a submodule, differs from the commit."""
        return bool(ask(self.top, "status", "--porcelain", "--untracked-files=no"))

    def commit(self, rev: str, trusted: bool) -> str:
        """The full id of the commit that `rev` names.

        Where `rev` is not trusted it must be an id: a branch of the name would not do. Raises
        `RevisionError` where it is none, or the repository has no such commit.
        """
        if not trusted and not _COMMIT_ID.fullmatch(rev):
            raise RevisionError(
                f"the baseline names {_quoted(rev)} as its commit, which is no commit id (7 to 64 "
                "hexadecimal digits, in lower case). Name a revision: --tf-threads-duet=REV."
            )
        if rev.startswith("-") or not rev.isprintable():
            raise RevisionError(f"{_quoted(rev)} is no git revision.")
        commit = self._find(rev)
        if commit is None:
            raise RevisionError(self._missing(rev))
        if not trusted and not commit.startswith(rev):
            raise RevisionError(
                f"the baseline names commit {rev}, and here this is the name of something else, "
                f"at commit {commit}. Name a revision: --tf-threads-duet=REV."
            )
        return commit

    def _find(self, rev: str) -> str | None:
        answer = run(self.top, "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")
        found = answer.output.removesuffix("\n")
        # "^HEAD" is a revision for git, and no commit.
        return found if answer.code == 0 and _FULL_ID.fullmatch(found) else None

    def _missing(self, rev: str) -> str:
        headline = f"the repository {self.top} has no commit {_quoted(rev)}."
        shallow = ask(self.top, "rev-parse", "--is-shallow-repository") == "true"
        mends = ["`git fetch --unshallow`" if shallow else "`git fetch --all --tags`"]
        if _FULL_ID.fullmatch(rev):
            mends.append(f"`git fetch origin {rev}`, which brings it alone")
        mend = f"Get it with {' or '.join(mends)}"
        if shallow:
            return (
                f"{headline} This is a shallow clone. {mend}; with GitHub's actions/checkout, set "
                "`fetch-depth: 0`."
            )
        return f"{headline} {mend}, or name another revision: --tf-threads-duet=REV."


def _quoted(rev: str) -> str:
    """For a message: as Python writes it, without what a terminal may act on, and not too long."""
    return repr(rev if len(rev) <= 80 else f"{rev[:80]}…")
