"""Where processes of a user meet that share a machine's CPUs: a directory of that user alone."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from pytest_tfthreads.system.private import ACCESSIBLE, WRITABLE, why_not_private
from pytest_tfthreads.system.temporary import temporary_directory

PLACE_VARIABLE = "PYTEST_TFTHREADS_LEASES"
HOW_TO_CHOOSE = (
    f"name a directory of your own (mode 700) on a local disk in the environment variable "
    f"{PLACE_VARIABLE}; the directory above it must exist"
)

_NAME = "pytest-tfthreads"
_RUN_USER = Path("/run/user")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class UnsafePlaceError(Exception):
    """The directory for leases is none that this user alone can write.

    Others could hold up or mislead this user there.
    """


def find_place(environ: Mapping[str, str] = os.environ, run_user: Path = _RUN_USER) -> Path:
    """The directory in which this user's processes coordinate; only what it lies in must exist.

    That is $PYTEST_TFTHREADS_LEASES; or a directory in the user's runtime directory, which is found
    also where sudo or tox have taken XDG_RUNTIME_DIR out of the environment; or one in the
    directory for temporary files. Who has another place is not seen: other users, containers with a
    /tmp of their own, jobs with a TMPDIR of their own. For those there is the variable.

    Raises `OSError` where there is no directory for temporary files.
    """
    if chosen := environ.get(PLACE_VARIABLE):
        return Path(chosen).absolute()  # a test may change the working directory
    uid = os.geteuid()
    for runtime in (environ.get("XDG_RUNTIME_DIR"), run_user / str(uid)):
        if runtime and _is_private(Path(runtime)):
            return Path(runtime) / _NAME
    return temporary_directory() / f"{_NAME}-{uid}"


def machine_folder(place: Path) -> Path:
    """The directory of this machine in the place, made if it is not there.

    CPU numbers mean nothing on another machine, and a place may be on a shared file system. The
    kernel's name for its run tells machines apart and is the same in all containers of one.
    Raises `UnsafePlaceError`, and `OSError` where nothing can be made or read there.
    """
    # Not its parents: where a container lacks the directory that it should share with others, one
    # of its own would look as well, and nobody would meet there.
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    if wrong := why_not_private(place.lstat(), WRITABLE):
        raise UnsafePlaceError(f"{place} {wrong}")
    folder = place / _machine_name()
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _is_private(directory: Path) -> bool:
    try:
        return not why_not_private(directory.stat(), ACCESSIBLE)
    except OSError:
        return False


def _machine_name() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return platform.node() or "machine"
