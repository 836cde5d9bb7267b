"""The commits of a repository in their order, with their tags."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from pytest_tfthreads.history.commits import Between, Commits
from pytest_tfthreads.revision.git import RevisionError, ask, lines
from pytest_tfthreads.revision.tags import tags_in

_FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LOG = ("log", "--no-show-signature", "--decorate-refs=refs/tags/*")


def commits_around(directory: Path, storage: Path) -> Commits:
    """All commits that HEAD, branches and tags reach in the repository that this directory is in.

    No commit comes before its parents; those of parallel branches are by date. There are none
    where there is no repository, or no git; nor where the repository is in the storage of saved
    runs, for its configuration would be data that git takes for the user's word.
    """
    try:
        if _is_in(storage, directory):
            return Commits()
        output = ask(
            directory, *_LOG, "--all", "--date-order", "--reverse", "--format=%H%x00%D", "--"
        )
    except RevisionError:
        return Commits()
    places, tags = {}, {}
    for place, line in enumerate(lines(output)):
        commit, _, decoration = line.partition("\0")
        places[commit] = place
        if found := tags_in(decoration):
            tags[commit] = found
    return Commits(places, tags, functools.cache(functools.partial(_between, directory)))


def _is_in(storage: Path, directory: Path) -> bool:
    """Whether the files of the directory's repository, or of its worktree, are in the storage.

    Raises `RevisionError` where it is in no repository.
    """
    real = Path(os.path.realpath(storage))
    for which in ("--git-dir", "--git-common-dir"):
        place = directory / ask(directory, "rev-parse", which)
        if Path(os.path.realpath(place)).is_relative_to(real):
            return True
    return False


def _between(directory: Path, earlier: str, later: str) -> Between | None:
    # git has named both; but a saved file has too, so that they are ids is seen to all the same.
    if not (_FULL_ID.fullmatch(earlier) and _FULL_ID.fullmatch(later)):
        return None
    try:
        output = ask(
            directory, *_LOG, "--reverse", "--format=%x00%D",
            "--end-of-options", f"{earlier}..{later}", "--",
        )  # fmt: skip
    except RevisionError:
        return None
    commits = [line.removeprefix("\0") for line in lines(output)]
    return Between(len(commits), tuple(tag for one in commits for tag in tags_in(one)))
