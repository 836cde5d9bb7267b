"""Which faults of a place are the machine's, and not the commit's."""

import errno
import os

import pytest

from pytest_tfthreads.runner.machine_faults import is_of_machine

NO_ROOM = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("problem", "is_so"),
    [
        (
            f"commit 1 cannot be checked out: {OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))}",
            True,
        ),
        ("`git worktree` failed in /x: fatal: unable to write file: Disk quota exceeded", True),
        ("`git worktree` did not end within 900 seconds in /x.", True),
        ("`git read-tree` failed in /x: fatal: unable to access 'https://x/': Could not …", True),
        ("`git worktree` failed in /x: smudge filter lfs failed", False),
        (
            "`git worktree` failed in /x: warning: unable to access '/root/.config/git': "
            "Permission denied fatal: smudge filter lfs failed",
            False,
        ),
        ("`git worktree` failed: warning: x fatal: unable to access 'https://x/': y", True),
        ("the submodule lib has no commit 1, which 2 needs.", False),
        ("work._bisect is compiled on the current side", False),
    ],
)
def test_what_the_machine_lacks_is_told_from_what_a_commit_is(problem, is_so) -> None:
    assert is_of_machine(problem) == is_so
