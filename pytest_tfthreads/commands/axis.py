"""The commits along which a command's runs are put in order."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pytest_tfthreads.history.commit_log import commits_around
from pytest_tfthreads.history.commits import Commits


def commits_of(options: argparse.Namespace) -> Commits:
    """Of the repository that the current directory is in.

    The storage may be in another: whoever writes saved runs could have put it there.
    """
    return commits_around(Path(os.curdir), options.storage)
