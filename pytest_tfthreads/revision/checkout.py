"""Another revision of the code under test, checked out in a private place for one run."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pytest_tfthreads.core.decode import decode
from pytest_tfthreads.core.file_reading import UnfitFileError, read_file
from pytest_tfthreads.revision import overlay, submodules
from pytest_tfthreads.revision.clone import Clone
from pytest_tfthreads.revision.counterparts import Counterparts, own_prefixes
from pytest_tfthreads.revision.git import RevisionError, ask_worktree
from pytest_tfthreads.revision.overlay import Overlay
from pytest_tfthreads.revision.repository import NOT_KNOWN_IF_CHANGED, NamedCommit, Repository
from pytest_tfthreads.system.locked_directory import PrivateDirectory, abandoned, still_held
from pytest_tfthreads.system.temporary import temporary_directory

_PREFIX = "pytest-tfthreads-revision-"
# What lies in the private directory.
_TREE = "tree"  # the worktree, in a directory of its own: it has the name of the current tree
_REGISTRATION = "registration.json"
_INDEX = "index"


class Checkout:
    """A revision of the repository that holds the current tree, until it is closed.

    It lives in a private temporary directory. What an interrupt leaves of it is removed when the
    process ends, and what a killed run leaves by the next run.
    """

    def __init__(
        self,
        place: PrivateDirectory,
        counterparts: Counterparts,
        commit: str,
        title: str,
        notes: tuple[str, ...],
    ) -> None:
        self._place = place
        self.counterparts = counterparts
        self.commit = commit  # full id
        self.title = title  # for people: "abc1234 (v1.2)"
        self.notes = notes  # what people should know of the two sides

    @classmethod
    def make(cls, here: Path, rev: str, trusted: bool, beside_current: bool = True) -> Checkout:
        """Check out `rev` of the repository that holds `here`.

        `trusted` says whether `rev` is what the user typed, in any form that git understands, or
        the commit id of a baseline file. `beside_current`: it is to be compared with the current
        tree, so people should know how that differs. Raises `RevisionError`.
        """
        repository = Repository.holding(here)
        found = repository.find(rev, trusted)
        commit = found.commit
        notes = list(notes_of(repository, found) if beside_current else found.notes)
        notes += clean_up_leftovers()
        _clean_up_at_exit()
        try:
            place = PrivateDirectory.make(temporary_directory(), _PREFIX)
        except OSError as error:
            raise RevisionError(
                "this needs a temporary directory that can be locked: "
                f"{error}. TMPDIR names another one."
            ) from error
        try:
            root = place.path / _TREE / (repository.top.name or "root")
            left_out = _check_out(repository, commit, place, root)
        except BaseException as error:
            _try_to_remove(place)
            if isinstance(error, OSError):
                raise RevisionError(f"commit {commit} cannot be checked out: {error}") from error
            if isinstance(error, RevisionError):
                clone = Clone.of(repository.top)
                if clone.is_partial:
                    raise RevisionError(f"{error}\n{clone.lacks_contents()}") from error
            raise
        if left_out:
            notes.append(
                "submodules that are not initialised in the current tree are missing on the other "
                f"side: {', '.join(map(str, left_out))}"
            )
        return cls(
            place=place,
            counterparts=Counterparts(repository.top, root, own_prefixes()),
            commit=commit,
            title=_short(commit) if commit.startswith(rev) else f"{_short(commit)} ({found.name})",
            notes=tuple(notes),
        )

    @property
    def top(self) -> Path:
        """Of the current tree, without symbolic links."""
        return self.counterparts.top

    @property
    def root(self) -> Path:
        """Of the checkout, without symbolic links."""
        return self.counterparts.root

    def counterpart(self, path: Path) -> Path | None:
        """Of a path in the current tree, whether or not it exists; None if it has none."""
        return self.counterparts.counterpart(path)

    def lay_over(self, tests: Overlay) -> None:
        """Replace the revision's tests by the current ones. Raises `RevisionError`."""
        overlay.lay_over(tests, self.counterparts)

    def bring_version_files(self) -> list[Path]:
        """Copy the version files that a build has written. Raises `RevisionError`."""
        return overlay.bring_version_files(self.counterparts)

    def close(self) -> None:
        """Remove all of it. Processes that still use it must have ended.

        Raises `RevisionError` if something cannot be removed; the next run tries again. A fork of
        the process that made it removes nothing.
        """
        if self._place.is_held:
            _remove(self._place)

    def __enter__(self) -> Checkout:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        elif self._place.is_held:
            _try_to_remove(self._place)


def clean_up_leftovers() -> list[str]:
    """Remove the checkouts of killed runs, and no living run's; returns what went wrong."""
    try:
        leftovers = list(abandoned(temporary_directory(), _PREFIX))
    except OSError as error:
        return [f"nobody looked for what killed runs have left: {error}"]
    return [complaint for place in leftovers if (complaint := _try_to_remove(place))]


@functools.cache
def _clean_up_at_exit() -> None:
    """Ctrl-C may come at any moment, also while a directory is made or removed."""
    atexit.register(_clean_up)


def _clean_up() -> None:
    """Without words: what cannot be removed is told by the next run, which tries again."""
    for place in still_held(_PREFIX):
        _try_to_remove(place)
    clean_up_leftovers()  # among them one that was made, and not locked yet


@dataclass(frozen=True)
class _Registration:
    """Where git has written down that a worktree is: kept beside it, for whoever cleans up."""

    common: Path  # the repository's directory
    worktree: str  # its name

    def write(self, place: Path) -> None:
        text = json.dumps({"common": str(self.common), "worktree": self.worktree})
        (place / _REGISTRATION).write_text(text)

    @classmethod
    def read(cls, place: Path) -> _Registration | None:
        """None where the run was killed before it could register anything.

        Raises `DecodeError` for what another version may have written.
        """
        try:
            fields = json.loads(read_file(place / _REGISTRATION))
        except (FileNotFoundError, UnfitFileError, ValueError, RecursionError):
            return None
        return decode(cls, fields, _REGISTRATION)

    def is_in_force(self, place: Path) -> bool:
        """Whether git still knows of it: see `gitdir` in gitrepository-layout(5)."""
        dot_git = place / _TREE / self.worktree / ".git"
        for file in self.common.glob("worktrees/*/gitdir"):
            try:
                if os.fsdecode(file.read_bytes()).rstrip("\n") == str(dot_git):
                    return True
            except FileNotFoundError:  # another run's, which has just gone
                continue
        return False


def _check_out(
    repository: Repository, commit: str, place: PrivateDirectory, root: Path
) -> list[Path]:
    root.parent.mkdir()
    _Registration(repository.common, root.name).write(place.path)
    ask_worktree(
        repository.top, "add", "--detach", "--force", str(root), commit,
        keep_fds=[place.fd], may_fetch=True,
    )  # fmt: skip
    return submodules.check_out(commit, repository.top, root, place.path / _INDEX, place.fd)


def _remove(place: PrivateDirectory) -> None:
    """The files first, the registration next, the rest last: so it can be done again.

    `git worktree prune` would also forget the user's own worktrees on a disk that is not mounted.
    An interrupt leaves the directory held: then it is removed when the process ends.
    """
    try:
        registration = _Registration.read(place.path)
        _remove_files(place.path / _TREE)
        if registration is not None and registration.is_in_force(place.path):
            tree = place.path / _TREE / registration.worktree
            # Twice --force: git locks one that it is just making.
            common = registration.common
            ask_worktree(common, "remove", "--force", "--force", str(tree), git_dir=common)
        _remove_files(place.path)
    except RevisionError:
        place.release()
        raise
    except (OSError, ValueError) as error:  # ValueError: of the registration, or a null byte there
        place.release()
        raise RevisionError(
            f"the temporary directory {place.path} cannot be removed: {error}"
        ) from error
    place.release()


def _try_to_remove(place: PrivateDirectory) -> str:
    """The complaint if it fails: the caller has something more important, the next run tries."""
    try:
        _remove(place)
    except RevisionError as error:
        return str(error)
    return ""


def _remove_files(directory: Path) -> None:
    if directory.is_symlink():  # not ours to follow
        directory.unlink()
    elif directory.exists():
        shutil.rmtree(directory)


def notes_of(repository: Repository, found: NamedCommit) -> list[str]:
    """What people should know of a revision that the current tree is compared with."""
    is_same = repository.head == found.commit
    notes = list(found.notes)
    try:
        is_changed = repository.is_changed
    except RevisionError as error:
        return [*notes, f"{NOT_KNOWN_IF_CHANGED}: {error}"]
    if is_changed:
        what = "all that the sides differ in" if is_same else "part of what is measured"
        notes.append(f"the current tree has uncommitted changes: they are {what}")
    elif is_same:
        notes.append(
            f"both sides are commit {_short(found.commit)}, and no tracked file is changed since"
        )
    return notes


def _short(commit: str) -> str:
    return commit[:7]
