"""Submodules of a checkout, taken from those of the current tree, without the network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pytest_tfthreads.revision import git
from pytest_tfthreads.revision.clone import Clone
from pytest_tfthreads.revision.git import RevisionError

_GITLINK = "160000"


def check_out(commit: str, current: Path, checkout: Path, index: Path, lock_fd: int) -> list[Path]:
    """Fill in the submodules that a commit records, and theirs; returns those that are left out.

    `current` is the tree whose submodules have the objects, `checkout` where the commit is checked
    out, `index` a place for a file of git's. Left out are those that are not initialised in
    `current`. Raises `RevisionError` where one does not have the commit that is recorded.
    """
    left_out = []
    for path, pinned in _recorded(current, commit):
        source, target = current / path, checkout / path
        if not _is_initialised(source):
            left_out.append(path)
            continue
        if git.run(source, "cat-file", "-e", f"{pinned}^{{commit}}").code != 0:
            clone = Clone.of(source)
            depth = " --depth=1" if clone.is_shallow else ""
            remote = clone.remotes[0] if clone.remotes else "origin"
            raise RevisionError(
                f"the submodule {path} has no commit {pinned}, which {commit} "
                f"needs. Get it with `git -C {path} fetch{depth} {remote} {pinned}`."
            )
        # Files, and no repository: there is nothing to register and nothing to remove.
        real = os.path.realpath(target)  # target.resolve() raises on a loop of links
        if real != os.path.join(os.path.realpath(checkout), path):
            raise RevisionError(
                f"commit {commit} has a link on the way to its submodule {path}, which leads to "
                f"{real}: nothing is written there. Compare with another revision."
            )
        target.mkdir(parents=True, exist_ok=True)
        index.unlink(missing_ok=True)
        git.ask(
            source,
            f"--work-tree={target}",
            "read-tree",
            "--reset",
            "-u",
            "--no-recurse-submodules",
            pinned,
            env={"GIT_INDEX_FILE": str(index)},
            keep_fds=[lock_fd],
            may_fetch=True,
        )
        left_out += [path / one for one in check_out(pinned, source, target, index, lock_fd)]
    return left_out


def _recorded(tree: Path, commit: str) -> Iterator[tuple[Path, str]]:
    """Paths of the submodules of a commit, and the commits that they are recorded at."""
    listed = git.ask(tree, "ls-tree", "-r", "-z", "--full-tree", commit, may_fetch=True)
    for entry in git.names(listed):
        described, _, path = entry.partition("\t")
        mode, _, object_id = described.split(" ")
        if mode == _GITLINK:
            yield Path(path), object_id


def _is_initialised(path: Path) -> bool:
    if not os.path.isdir(path):
        return False
    found = git.run(path, "rev-parse", "--show-toplevel")
    return found.code == 0 and Path(found.output.removesuffix("\n")) == path
