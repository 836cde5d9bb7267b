"""What is compared by `releases`: the places that the user has named, in their order."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_tfthreads.core.abreast import Place
from pytest_tfthreads.core.commit import Commit


@dataclass(frozen=True)
class Release:
    """A revision of the code, or an environment, or the current tree.

    `name` is how the user names it, and that of no other; `commit` is None where the current tree's
    code runs.
    """

    name: str
    place: Place
    commit: Commit | None = None
    tags: tuple[str, ...] = ()
