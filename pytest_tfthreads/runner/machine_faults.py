"""Faults of the machine (a full disk, say), told from those of a commit that cannot be had."""

from __future__ import annotations

import errno
import os
import re

# The words are the C library's and git's, which is run such that its words are in English.
_OF_MACHINE = (
    *map(
        os.strerror,
        (
            *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO),
            *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
        ),
    ),
    "did not end within",
    "out of memory",
    "unable to access",
    "Could not resolve host",
    "Could not read from remote repository",
)


def is_of_machine(problem: str) -> bool:
    """Whether a place cannot be had for want of room, memory, time or network.

    Another place may not be had either, and this one may be had later.
    """
    # git may also warn, of files of its own that it cannot read, say.
    complaints = re.sub(r"\bwarning: .*?(?=\b(?:error|fatal|warning): |$)", "", problem)
    return any(words in complaints for words in _OF_MACHINE)
