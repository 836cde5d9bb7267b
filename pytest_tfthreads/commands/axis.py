"""The commits along which a command's runs are put in order."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_tfthreads.core.commits import Commits
from pytest_tfthreads.revision.commits import commits_around


def commits_of(options: argparse.Namespace) -> Commits:
    """Of the repository that holds the storage, or the first of the files that are named."""
    place: Path = options.runs[0].parent if options.runs else options.storage
    return commits_around(place) if place.is_dir() else Commits()
