"""Files from directories that others may fill: only what is a file, of a size that can be meant.

A pipe in the place of a file would hold its reader up for ever. A device, or a file with a hole of
many gigabytes, would take all memory.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 1 << 30
"""A saved run holds some 65 kB of each configuration: this is enough for 16,000 of them."""
_CHUNK_BYTES = 1 << 20
_OPEN_ALREADY = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
"""Where a shell puts what a command prints: only the user's own command line names that."""
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# Windows has O_BINARY alone.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)


class UnfitFileError(OSError):
    """What is there is no file, or too large to be the one that is meant.

    The message says what it is and what mends that. It does not name the path.
    """


def read_file(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """All that a file holds. Raises `UnfitFileError`, and `OSError` as `Path.read_bytes` does."""
    check_fit(path, most_bytes)  # before it is opened: opening alone moves some devices
    descriptor = os.open(path, _FLAGS)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        # Others may have put something else there meanwhile.
        _check(os.fstat(descriptor), path, most_bytes)
        if hasattr(os, "O_NONBLOCK"):
            os.set_blocking(descriptor, True)  # whoever fills a pipe may take its time
        data = bytearray()
        while chunk := file.read(_CHUNK_BYTES):
            data += chunk
            if len(data) > most_bytes:  # some file systems do not know a file's size before
                raise _too_large(len(data), most_bytes)
    return bytes(data)


def check_fit(path: Path, most_bytes: int = MOST_BYTES) -> None:
    """The same check alone: nothing is opened. Raises as `read_file` does."""
    _check(os.stat(path), path, most_bytes)


def _check(found: os.stat_result, path: Path, most_bytes: int) -> None:
    is_given = str(path).startswith(_OPEN_ALREADY) and stat.S_ISFIFO(found.st_mode)
    if not stat.S_ISREG(found.st_mode) and not is_given:
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        what = f"a link to {kind}" if os.path.islink(path) else kind
        raise UnfitFileError(f"it is {what}, no file; remove it, or move it elsewhere")
    if found.st_size > most_bytes:
        raise _too_large(found.st_size, most_bytes)


def _too_large(size: int, most_bytes: int) -> UnfitFileError:
    return UnfitFileError(
        f"it has {size:,} bytes, and more than {most_bytes:,} are not read; remove it, or move it "
        "elsewhere"
    )
