"""Files that are there whole or not at all, even if others write them too or a process is killed.

A file is written under another name in its directory, as a *part*, and gets its own name when it
is complete. The process that writes a part locks it, and the kernel releases the lock when that
process ends. So the part of a killed process is recognised, and the next process that saves removes
it. Nobody waits for a lock. On a file system without locks, the parts of killed processes stay; all
else holds there too.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: there files are written in place, which the commands do
    fcntl = None  # type: ignore[assignment]

HIGHEST_NUMBER = 9999
# Files under these names are open already, and who has them open would go on with the old one.
_DESCRIPTORS = ("/dev/std", "/dev/fd/", "/proc/")
_NO_OTHER_FILE = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS),  # the file itself may be writable
        *(errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG),  # there is no file that could be lost
    }
)
"""What a directory says that takes no new file."""
_NOT_REPLACED = frozenset({errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV})
"""What is said of a file that is mounted by itself, or another user's in a sticky directory."""
_MOST_LINKS = 40  # as the kernel has it
_OPEN_TO_ALL = stat.S_ISVTX | stat.S_IWOTH  # as the mode of /tmp
_LONGEST_IN_A_PART = 100  # bytes of a file's name, beside which there is room for more anywhere


class NoNumberLeftError(Exception):
    """A directory has a file of the highest number."""


def write_numbered(
    directory: Path, ending: str, data: bytes, taken: Callable[[], set[int]]
) -> Path:
    """Make a file NNNN{ending} and return its path; its number is above those that are `taken()`.

    Processes that call this for one directory at a time each get a number of their own. Raises
    `NoNumberLeftError`, and `OSError` where the directory or the disk does not take the file: then
    nothing of it is left.
    """
    for leftover in directory.glob(".[0-9][0-9][0-9][0-9].part"):
        _remove_dead(leftover)
    number = _above(taken())
    while number <= HIGHEST_NUMBER:
        part = directory / f".{number:04}.part"
        descriptor = _claim(part)
        if descriptor is not None:
            with _held(part, descriptor):
                _write(descriptor, data)
                # Who had this part before may have got ready since the numbers were read.
                if number not in taken():
                    path = directory / f"{number:04}{ending}"
                    part.replace(path)
                    return path
        number = max(number + 1, _above(taken()))
    raise NoNumberLeftError(f"{directory} has a file of the number {HIGHEST_NUMBER}")


def replace_whole(path: Path, data: bytes) -> bool:
    """Make a file, or put it in the place of another, whose permissions it takes over.

    False, and nothing has changed, where that cannot be: the path is a device or a pipe, say, or
    its directory is missing or takes no other file. Raises `OSError` where the disk takes neither
    the data nor another file, and for a link that others have put there; what was there is still
    there then.
    """
    if fcntl is None:
        return False
    path = _followed(path)  # or a symbolic link would be replaced, not its file
    if str(path).startswith(_DESCRIPTORS):
        return False
    if os.path.lexists(path) and not path.is_file():
        return False
    for leftover in _parts_of(path):
        _remove_dead(leftover)
    number = 0
    while True:
        part = _part_of(path, number)
        number += 1
        try:
            descriptor = _claim(part)
        except OSError as error:
            if error.errno in _NO_OTHER_FILE:
                return False
            raise
        if descriptor is None:
            continue
        with _held(part, descriptor):
            _write(descriptor, data)
            try:
                if path.exists():
                    os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
                part.replace(path)
            except OSError as error:
                if error.errno in _NOT_REPLACED:
                    return False
                raise
            return True


def write_file(path: Path, data: bytes) -> None:
    """Make a file, whole or not at all where that can be, else in place.

    Raises `OSError` as `replace_whole` does, and where the file cannot be written in place.
    """
    if not replace_whole(path, data):
        with os.fdopen(_opened_in_place(path), "wb") as file:
            file.write(data)


def why_unwritable(path: Path, makes_directories: bool = False) -> str:
    """Why a file cannot be written, as a sentence; empty where nothing is known against it.

    Nothing is opened or made for the answer. So a full disk, say, is not known before.
    `makes_directories`: missing directories above the file will be made.
    """
    if str(path).startswith(_DESCRIPTORS):
        return ""
    try:
        followed = _followed(path)
    except FileNotFoundError:  # a link has just gone, or the current directory has
        followed = path
    except OSError as error:  # others have put a link there
        return str(error.strerror)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        is_link = path.is_symlink()  # its file will be made, but no directory for that
        directory = (followed if is_link else path).parent
        return why_no_file_in(directory, makes_directories and not is_link)
    except OSError as error:
        return _why_unreachable(path.parent, error)
    if stat.S_ISDIR(mode):
        return "it is a directory"
    return "" if _may(path, os.W_OK) else _why_denied(path)


def why_no_file_in(directory: Path, makes_directories: bool = False) -> str:
    """What will keep files from being made in a directory; see `why_unwritable`."""
    above = (directory, *directory.parents)
    there = next((one for one in above if os.path.lexists(one)), directory)
    if there != directory and not makes_directories:
        return f"there is no directory {directory}"
    try:
        if not stat.S_ISDIR(there.stat().st_mode):
            return f"{there} is no directory"
    except OSError as error:
        return _why_unreachable(there, error)
    return "" if _may(there, os.W_OK | os.X_OK) else f"{there}: {_why_denied(there)}"


def _why_unreachable(directory: Path, error: OSError) -> str:
    if error.errno in (errno.ENOTDIR, errno.ENOENT):
        there = next(
            parent for parent in (directory, *directory.parents) if os.path.lexists(parent)
        )
        return f"{there} is no directory"
    return _in_words(error.errno)


def _why_denied(path: Path) -> str:
    # Windows has no such call.
    is_read_only = hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY
    return _in_words(errno.EROFS if is_read_only else errno.EACCES)


def _in_words(number: int | None) -> str:
    text = os.strerror(number or 0)
    return text[:1].lower() + text[1:]


def _may(path: Path, mode: int) -> bool:
    """Whether this process may, as the user whose rights it has."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _followed(path: Path) -> Path:
    """Where links lead, all but the last of which are there; as it is where they lead in circles.

    The kernel refuses to follow links of others in directories such as /tmp, where it is told to
    (fs.protected_symlinks). Who reads a link, as here, is not refused anything, so the same rule is
    kept here: it raises `PermissionError`, which says whose link that is.
    """
    for _ in range(_MOST_LINKS):
        link = _link_at(path)
        if link is None or str(path).startswith(_DESCRIPTORS):
            break
        directory = os.stat(path.parent)
        is_open_to_all = directory.st_mode & _OPEN_TO_ALL == _OPEN_TO_ALL
        if is_open_to_all and link.st_uid not in (os.geteuid(), directory.st_uid):
            raise PermissionError(
                errno.EACCES,
                f"{path} is a link that user {link.st_uid} has made in a directory open to all",
            )
        path = path.parent / os.readlink(path)
    return Path(os.path.realpath(path.parent), path.name)


def _opened_in_place(path: Path) -> int:
    """A descriptor of the file, emptied; raises `OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    path = _followed(path)
    if not str(path).startswith(_DESCRIPTORS):
        # Whoever may write there may have put a link in the place of the file meanwhile.
        flags |= getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags, 0o666)


def _link_at(path: Path) -> os.stat_result | None:
    try:
        found = os.lstat(path)
    except OSError:  # whoever opens the file is told why
        return None
    return found if stat.S_ISLNK(found.st_mode) else None


def _part_of(path: Path, number: int) -> Path:
    return path.with_name(f".{_name_in_parts(path)}.{number}.part")


def _name_in_parts(path: Path) -> str:
    """No longer than a long name of the file itself."""
    name = os.fsencode(path.name)
    is_short = len(name) <= _LONGEST_IN_A_PART
    return path.name if is_short else hashlib.sha256(name).hexdigest()[:32]


def _parts_of(path: Path) -> list[Path]:
    """Of all who write this file, or who were killed in it: several may have done so at once."""
    pattern = re.compile(rf"\.{re.escape(_name_in_parts(path))}\.[0-9]+\.part")
    try:
        return [path.parent / name for name in os.listdir(path.parent) if pattern.fullmatch(name)]
    except OSError:  # it can be written in, perhaps, and not looked at
        return []


def _above(numbers: set[int]) -> int:
    return max(numbers, default=0) + 1


def _claim(part: Path) -> int | None:
    """A descriptor of this new and empty file, locked; None while another process has it."""
    while True:
        try:
            descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            if not _remove_dead(part):
                return None
            continue
        # Until it was locked, it could be taken for a dead process's.
        if _lock(descriptor) is not False and _is_at(part, descriptor):
            return descriptor
        os.close(descriptor)


@contextmanager
def _held(part: Path, descriptor: int) -> Iterator[None]:
    """Afterwards the part is gone, if it has not got another name, and so is its lock."""
    try:
        yield
    finally:
        if _is_at(part, descriptor):
            part.unlink()
        os.close(descriptor)


def _remove_dead(part: Path) -> bool:
    """Remove the part of a process that is no more; false if it must stay."""
    try:
        # For writing: NFS gives an exclusive lock on no other file. A link is nobody's part.
        descriptor = os.open(part, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        with open(descriptor, "r+b") as file:
            if not _lock(file.fileno()):
                return False
            if _is_at(part, file.fileno()):
                part.unlink()
    except FileNotFoundError:
        return True
    except OSError:  # another user's, who will remove it
        return False
    return True


def _lock(descriptor: int) -> bool | None:
    """Whether the lock was to be had; None where the file system knows none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether this is the name of the open file still: it may be removed, or have got another."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
