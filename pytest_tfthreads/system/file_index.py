"""What was once read of files, kept for the next process: an index in the user's cache directory.

Reading a file takes as long as its size; what a command needs of the file is little. So the texts
that were made of files are kept in a SQLite database, each under its file's path and *stamp* (size,
times and inode). A text counts only while the file has that stamp.

The index is a cache and nothing else. Where the index cannot be had, all works without it, and no
message says so: the cache directory is not writable or not this user's alone, SQLite is missing,
another process rebuilds the index. What is damaged is removed and made anew. Every row has a
digest, so a damaged database that SQLite can still read misleads nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pytest_tfthreads.system.originals import ORIGINALS
from pytest_tfthreads.system.private import WRITABLE, why_not_private

if TYPE_CHECKING:
    import sqlite3

try:
    import fcntl
except ImportError:  # Windows: there is no index
    fcntl = None  # type: ignore[assignment]

NO_INDEX_VARIABLE = "PYTEST_TFTHREADS_NO_INDEX"
"""With any value but an empty one, no index is read or written."""
MOST_BYTES = 256 << 20
"""What the texts of an index may take; above that, those that were written first go."""
SETTLED_NS = 2_000_000_000
"""A file that changed so shortly before it was read may change again within one tick of its file
system's clock, and keep its stamp: what is read of such a file is not kept."""

_FOLDER = "pytest-tfthreads"
_FILE = "saved-runs.sqlite"
_JOURNALS = ("-journal", "-wal", "-shm")
_SCHEMA = 1  # of the table
_BUSY_S = 2.0  # how long another process is waited for that writes
_TABLE = """
    CREATE TABLE texts (
        file BLOB NOT NULL, kind TEXT NOT NULL, stamp TEXT NOT NULL, text BLOB NOT NULL,
        digest BLOB NOT NULL, PRIMARY KEY (file, kind)
    )
"""

_Made = TypeVar("_Made")


def read_through_index(
    kind: str,
    paths: Sequence[Path],
    read: Callable[[Sequence[Path]], Sequence[_Made]],
    to_text: Callable[[Path, _Made], str | None],
    from_text: Callable[[Path, str], _Made],
) -> list[_Made]:
    """What `read` makes of each file, from the index where the file has not changed since.

    `kind` names all that the texts depend on beside the file: what they hold, and the version of
    what made them. `to_text` gives `None` for what is not to be kept. `from_text` makes the same
    again; it raises `ValueError` for a text that it does not know, and the file is read again.
    """
    with _opened() as index:
        if index is None:
            return [*read(paths)]
        stamps = {path: stamp for path in paths if (stamp := _stamp_of(path))}
        known = {}
        for path, text in index.texts(kind, stamps).items():
            # RecursionError: brackets nested by the thousand.
            with contextlib.suppress(ValueError, RecursionError):
                known[path] = from_text(path, text)
        unknown = [path for path in dict.fromkeys(paths) if path not in known]
        found = dict(zip(unknown, read(unknown), strict=True)) if unknown else {}
        settled_ns = ORIGINALS.time_ns() - SETTLED_NS
        texts = {
            path: to_text(path, made)
            for path, made in found.items()
            # As it was before it was read, and as it is now: else the text may be of either.
            if path in stamps
            and stamps[path] == _stamp_of(path)
            and _changed_ns(stamps[path]) <= settled_ns
        }
        worth_keeping = {path: text for path, text in texts.items() if text is not None}
        if worth_keeping:
            index.keep(kind, stamps, worth_keeping)
    return [known[path] if path in known else found[path] for path in paths]


# -- a file's stamp -------------------------------------------------------------------------------


def _stamp_of(path: Path) -> str:
    """What changes with the file's content; empty where there is no such file.

    The time of the last change of the inode is among it: programs set the time of modification as
    they like (`cp -p`, `rsync -t`), this one nobody can.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ""
    if not stat.S_ISREG(found.st_mode):
        return ""
    return f"{found.st_ctime_ns} {found.st_mtime_ns} {found.st_size} {found.st_ino}"


def _changed_ns(stamp: str) -> int:
    return int(stamp.partition(" ")[0])


# -- the database ---------------------------------------------------------------------------------


class _Index:
    """An open database, in a folder that this process has a lock on.

    A failure of the database loses texts, and is no failure of anything else.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self._file = folder / _FILE
        self._lock = lock
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Raises `sqlite3.Error` for what is no database, and `OSError`."""
        import sqlite3

        # Made here, so that nobody else can read the file whatever the umask; SQLite's journals
        # take the permissions over.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(self._file, timeout=_BUSY_S, isolation_level=None)
        # A power failure may damage the index, which the digests tell; waiting for the disk costs
        # more than the index saves.
        self._execute("PRAGMA synchronous = OFF")
        if self._schema() != _SCHEMA:
            with self._transaction():
                schema = self._schema()  # another process may have been quicker
                if schema == 0:
                    self._execute(_TABLE)
                    self._execute(f"PRAGMA user_version = {_SCHEMA}")
                elif schema != _SCHEMA:
                    raise sqlite3.DatabaseError("of another version")

    def texts(self, kind: str, stamps: Mapping[Path, str]) -> dict[Path, str]:
        """Of those files that have the stamp with which their text was kept."""
        found: dict[Path, str] = {}
        query = "SELECT text, digest FROM texts WHERE file = ? AND kind = ? AND stamp = ?"
        for path, stamp in stamps.items():
            key = _key(path)
            row = self._execute(query, key, kind, stamp).fetchone()
            if row is not None:
                text, digest = row
                if isinstance(text, bytes) and digest == _digest(key, kind, stamp, text):
                    found[path] = text.decode("ascii")
        return found

    def keep(self, kind: str, stamps: Mapping[Path, str], texts: Mapping[Path, str]) -> None:
        """Keep texts, and drop those of files that are gone and those that are too many."""
        insert = "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?)"
        with self._transaction():
            for path, text in texts.items():
                key, stamp, data = _key(path), stamps[path], text.encode("ascii")
                digest = _digest(key, kind, stamp, data)
                self._execute(insert, key, kind, stamp, data, digest)
            self._drop_what_is_gone()
            self._drop_what_is_too_much()

    def renew(self) -> bool:
        """Begin anew; false, and nothing has changed, where another process has the index open.

        A database must not be removed under a process that uses it: that process's journal would
        be taken for the new database's. Raises as `open` does.
        """
        self.close()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        for ending in ("", *_JOURNALS):
            self._file.with_name(_FILE + ending).unlink(missing_ok=True)
        self.open()
        fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _schema(self) -> int:
        (schema,) = self._execute("PRAGMA user_version").fetchone()
        return int(schema)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connected().rollback()
            raise
        self._execute("COMMIT")

    def _execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._connected().execute(statement, values)

    def _connected(self) -> sqlite3.Connection:
        assert self._connection is not None, "the index is not open"
        return self._connection

    def _drop_what_is_gone(self) -> None:
        for (file,) in self._execute("SELECT DISTINCT file FROM texts").fetchall():
            if not isinstance(file, bytes) or not os.path.lexists(file):
                self._execute("DELETE FROM texts WHERE file = ?", file)

    def _drop_what_is_too_much(self) -> None:
        total = 0
        query = "SELECT rowid, length(text) FROM texts ORDER BY rowid DESC"
        for row, size in self._execute(query).fetchall():
            total += size
            if total > MOST_BYTES:
                self._execute("DELETE FROM texts WHERE rowid <= ?", row)
                return


class _Guarded:
    """An index that never fails: what cannot be had is left, and what is damaged is made anew."""

    def __init__(self, index: _Index) -> None:
        self._index: _Index | None = index
        self._try(_Index.open, None)

    def texts(self, kind: str, stamps: Mapping[Path, str]) -> dict[Path, str]:
        return self._try(lambda index: index.texts(kind, stamps), {})

    def keep(self, kind: str, stamps: Mapping[Path, str], texts: Mapping[Path, str]) -> None:
        self._try(lambda index: index.keep(kind, stamps, texts), None)

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    def _try(self, do: Callable[[_Index], _Made], otherwise: _Made) -> _Made:
        import sqlite3

        if self._index is None:
            return otherwise
        try:
            return do(self._index)
        # ValueError, TypeError: SQLite read the file, and there is something else in it.
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            is_usable = False
            if not _is_passing(error):
                with contextlib.suppress(sqlite3.Error, OSError):
                    is_usable = self._index.renew()
            if not is_usable:
                self.close()
            return otherwise


def _is_passing(error: Exception) -> bool:
    """Whether it says nothing against the database: another process writes, the disk is full."""
    words = ("locked", "full", "readonly", "unable to open")
    return isinstance(error, OSError) or any(word in str(error) for word in words)


def _has_sqlite() -> bool:
    """Python can be built without."""
    try:
        import sqlite3  # noqa: F401
    except ImportError:
        return False
    return True


@contextmanager
def _opened() -> Iterator[_Guarded | None]:
    """None where there can be no index."""
    folder = None if fcntl is None or os.environ.get(NO_INDEX_VARIABLE) else _private_folder()
    if folder is None or not _has_sqlite():
        yield None
        return
    # Shared: any number of processes may use the index at once, unless one makes it anew.
    with _locked(folder) as lock:
        if lock is None:
            yield None
            return
        index = _Guarded(_Index(folder, lock))
        try:
            yield index
        finally:
            index.close()


@contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """A descriptor of the folder with a shared lock; None where that is not to be had."""
    descriptor = None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # or the file system knows no locks: then SQLite would not be safe either
        if descriptor is not None:
            os.close(descriptor)
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _private_folder() -> Path | None:
    """The folder in the user's cache directory, made if need be; None where others may write it."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    try:
        caches = Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache"
        if not caches.exists() and _is_ours(caches.parent.stat()):
            caches.mkdir(mode=0o700)  # as the XDG Base Directory Specification has it
        folder = caches / _FOLDER
        # Not in another user's directory, in which `sudo` may leave us: that user could not use
        # the folder, which would be root's.
        if not _is_ours(caches.stat()):
            return None
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        return folder if _is_ours(folder.lstat()) else None
    except (OSError, RuntimeError, ValueError):  # RuntimeError: the user has no home
        return None


def _is_ours(found: os.stat_result) -> bool:
    return not why_not_private(found, WRITABLE)


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))


def _digest(key: bytes, kind: str, stamp: str, text: bytes) -> bytes:
    head = f"{len(key)} {kind}\n{stamp}\n".encode()
    return hashlib.blake2b(head + key + text, digest_size=16).digest()
