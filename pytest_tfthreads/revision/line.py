"""The line of commits from a good one to a bad one, along first parents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.core.commit import Commit
from pytest_tfthreads.revision.clone import Clone
from pytest_tfthreads.revision.git import RevisionError, run
from pytest_tfthreads.revision.repository import Repository
from pytest_tfthreads.revision.tags import commit_of, is_ancestor, log


@dataclass(frozen=True)
class CommitLine:
    """Commits, oldest first, each the first parent of the next: the good end to the bad one.

    A merge stands for all that it brought. `notes`: what people should know of how its ends were
    found.
    """

    commits: tuple[Commit, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def between(cls, repository: Repository, good: str, bad: str) -> CommitLine:
        """From two names of commits, which the user has typed.

        Raises `RevisionError` where there is no such commit, or the good one is not on the line of
        first parents of the bad one.
        """
        top = repository.top
        ends = [
            repository.find(rev, trusted=True, asked_by=option)
            for rev, option in ((good, "--good="), (bad, "--bad="))
        ]
        first, last = (one.commit for one in ends)
        if first == last:
            raise RevisionError(
                f"--good={good} and --bad={bad} are both commit {first[:12]}: name two commits."
            )
        newer = [one.commit for one in log(top, "--first-parent", f"{first}..{last}")]
        before = newer[0].parents[:1] if newer else ()
        if before != (first,):
            raise RevisionError(_why_no_line(top, good, bad, first, last, before))
        notes = tuple(note for one in ends for note in one.notes)
        return cls((commit_of(top, first).commit, *newer), notes)

    @property
    def count(self) -> int:
        """How many commits there are of which one made the change."""
        return len(self.commits) - 1


def branch_of(repository: Repository, merge: Commit) -> tuple[str, str] | None:
    """Where the branch that a merge brought begins and ends: full ids of a good and a bad end.

    The good end is where the branch's line of first parents leaves what was merged into: what the
    branch itself has merged may be newer. None for no merge of two, and where the line begins with
    a commit of its own.
    """
    if len(merge.parents) != 2:
        return None
    into, tip = merge.parents
    of_branch = [one.commit for one in log(repository.top, "--first-parent", f"{into}..{tip}")]
    before = of_branch[0].parents[:1] if of_branch else ()
    return (before[0], tip) if before else None


def _why_no_line(
    top: Path, good: str, bad: str, first: str, last: str, before: tuple[str, ...]
) -> str:
    if is_ancestor(top, first, last):
        instead = f" Name --good={before[0][:12]}, where that line leaves it." if before else ""
        return (
            f"--good={good} came into --bad={bad} by a merge, and is not on its line of first "
            f"parents: commits of that line lack what --good has.{instead}"
        )
    if is_ancestor(top, last, first):
        return (
            f"--bad={bad} is older than --good={good}. A test that became faster is found the same "
            f"way: name the older commit with --good."
        )
    if Clone.of(top).is_shallow:
        return (
            f"--good={good} is not known to be an ancestor of --bad={bad}: this is a shallow "
            "clone. `git fetch --unshallow` brings the whole history."
        )
    base = run(top, "merge-base", first, last)
    instead = f" Name --good={base.output[:12]}, where they part." if base.code == 0 else ""
    return (
        f"--good={good} is no ancestor of --bad={bad}, so no commit leads from one to the "
        f"other.{instead}"
    )
