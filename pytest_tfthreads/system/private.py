"""Directories that are this user's alone."""

from __future__ import annotations

import os
import stat

WRITABLE = stat.S_IWGRP | stat.S_IWOTH
ACCESSIBLE = stat.S_IRWXG | stat.S_IRWXO


def why_not_private(found: os.stat_result, forbidden: int) -> str:
    """Why a directory is not this user's alone, as the end of a sentence; empty where it is.

    `found` is of the directory: of `lstat` where a link to one will not do. `forbidden`: what
    others must not be allowed, `WRITABLE` or `ACCESSIBLE`. A directory that is ours and no link
    stays so: even in a sticky directory nobody else can replace it.
    """
    if stat.S_ISLNK(found.st_mode):
        return "is a symbolic link"
    if not stat.S_ISDIR(found.st_mode):
        return "is no directory"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, not to user {os.geteuid()}, who runs this"
    if found.st_mode & forbidden:
        what = "written" if found.st_mode & WRITABLE else "read"
        return f"may be {what} by others (mode {stat.S_IMODE(found.st_mode):o})"
    return ""
