"""Files that a test reads, and that git does not have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pytest_tfthreads.revision import git
from pytest_tfthreads.revision.counterparts import Counterparts

_QUOTED = re.compile(r"'([^']+)'")
_REST_OF_A_PATH = r"/([^'\"\s:,;)]+)"


def missing_file(problem: str, counterparts: Counterparts) -> str:
    """What is said beside a problem that names a file which only the current tree has, or nothing.

    Weights and data are often ignored by git: then no checkout has them, and no revision could be
    compared with.
    """
    for within in _paths_in(problem, counterparts.root):
        here = counterparts.top / within
        is_there = os.path.lexists(counterparts.root / within)
        if is_there or not os.path.isfile(here) or not counterparts.is_current(str(here)):
            continue
        if not git.run(counterparts.top, "ls-files", "-z", "--", str(here)).output:
            return (
                f". {within} is in the current tree, but not in git, so a checkout of the other "
                "revision is without it: add the file to git, or have the test read it from a "
                "place outside of the repository"
            )
    return ""


def _paths_in(problem: str, root: Path) -> Iterator[str]:
    """Of the other side: what the text names below its root, or in quotes and relative."""
    found = re.findall(re.escape(str(root)) + _REST_OF_A_PATH, problem)
    yield from (path.rstrip(".") for path in found)  # a sentence may end there
    yield from (path for path in _QUOTED.findall(problem) if not os.path.isabs(path))
