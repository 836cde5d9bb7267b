"""The commits along which a command's runs are put in order."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pytest_tfthreads.commands.saved import named_files
from pytest_tfthreads.history.commit_log import commits_around
from pytest_tfthreads.history.commits import Commits


def commits_of(options: argparse.Namespace) -> Commits:
    """Of the repository that holds the storage, or the first of the files that are named."""
    files = named_files(options)
    place: Path = files[0].parent if files else options.storage
    return commits_around(place) if os.path.isdir(place) else Commits()
