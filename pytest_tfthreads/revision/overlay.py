"""Lays the current tests over an older revision's code, so that both sides run the same test."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.revision import git
from pytest_tfthreads.revision.counterparts import Counterparts
from pytest_tfthreads.revision.git import RevisionError

_TEST_DIRECTORIES = {"tests", "test", "testing", "benchmarks", "benchmark", "bench", "perf"}
# What setuptools-scm, hatch-vcs and others write when a package is built, of its version only.
_VERSION_FILE = re.compile(r"_*version(_info)?_*\.py")


@dataclass(frozen=True)
class Overlay:
    """What counts as tests: files that are in use, and directories that are laid over whole."""

    files: tuple[Path, ...]
    directories: tuple[Path, ...]

    @classmethod
    def of(
        cls,
        top: Path,
        modules: Iterable[Path],
        conftests: Iterable[Path],
        config_file: Path | None,
    ) -> Overlay:
        """Of test modules, conftest files in use, and pytest's configuration file.

        The topmost directory above a test module that has a name for tests is taken whole, with
        its helpers. A module elsewhere is taken alone: what is beside it is code under test.
        """
        located = [_located(module) for module in modules]
        files = {*located, *map(_located, conftests)}
        if config_file is not None:
            files.add(_located(config_file))
        directories = {
            directory for module in located if (directory := _tests_directory(top, module))
        }
        return cls(tuple(sorted(files)), tuple(sorted(directories)))


def lay_over(overlay: Overlay, counterparts: Counterparts) -> None:
    """Replace the counterparts of these tests; what has no counterpart stays as it is.

    Of a directory come the files that git knows or would add, and nothing else remains there.
    Raises `RevisionError` if they cannot be listed or written.
    """
    try:
        for directory in overlay.directories:
            target = counterparts.counterpart(directory)
            if target is not None:
                _make_way(target, counterparts.root)
                for file in _files_in(directory):
                    # Links as they are: they may lead to the other revision's own code.
                    _copy(
                        file, target / file.relative_to(directory), counterparts.root, follow=False
                    )
        for file in overlay.files:  # in those directories, too: git may ignore them
            target = counterparts.counterpart(file)
            if target is not None:
                _copy(file, target, counterparts.root, follow=True)
    except OSError as error:
        raise RevisionError(
            f"the current tests cannot be laid over the other revision: {error}"
        ) from error


def bring_version_files(counterparts: Counterparts) -> list[Path]:
    """Copy files with a package's version that git ignores; returns those that were copied.

    A build writes them, so that a checkout is without, and its package cannot be imported. Raises
    `RevisionError` if they cannot be listed or written.
    """
    options = ("--others", "--ignored", "--exclude-standard", "--directory")
    brought = []
    for name in git.names(git.ask(counterparts.top, "ls-files", "-z", *options)):
        source = counterparts.top / name
        target = counterparts.counterpart(source)
        if not _VERSION_FILE.fullmatch(source.name) or not os.path.isfile(source) or target is None:
            continue
        # A package that is a link there has its files elsewhere: nothing is put in its place.
        is_package = target.parent.is_dir() and not _is_behind_link(target)
        if is_package and not os.path.lexists(target):
            try:
                _copy(source, target, counterparts.root, follow=True)
            except OSError as error:
                raise RevisionError(f"{source} cannot be copied: {error}") from error
            brought.append(Path(name))
    return brought


def laid_over_only(
    modules: Mapping[str, str], overlay: Overlay, counterparts: Counterparts
) -> str | None:
    """What is wrong if the checkout's side imported nothing of its revision; else None.

    `modules` are its modules' files by name.
    """
    laid_over = {counterparts.counterpart(path) for path in (*overlay.files, *overlay.directories)}
    own = [Path(file).resolve() for file in modules.values() if counterparts.is_checked_out(file)]
    if not own or any(laid_over.isdisjoint((file, *file.parents)) for file in own):
        return None
    return (
        "All that the other revision's side imported from the repository are tests, and the "
        "current ones were laid over them: both sides ran the same code. Keep the code to be "
        "measured outside of such directories; and if it is installed, install it editable (`pip "
        "install -e .`), or compare two environments: python=PATH in place of a revision. Laid "
        "over are directories named "
        f"{', '.join(sorted(_TEST_DIRECTORIES))}."
    )


def _located(path: Path) -> Path:
    """Without links to its directory, which git does not look behind."""
    return path.parent.resolve() / path.name


def _tests_directory(top: Path, module: Path) -> Path | None:
    if top not in module.parents:
        return None
    above = [parent for parent in module.parents if top in parent.parents]
    return next((one for one in reversed(above) if one.name in _TEST_DIRECTORIES), None)


def _files_in(directory: Path) -> Iterator[Path]:
    """Files that git knows there or would add, those of repositories within it too."""
    listed = git.ask(directory, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in dict.fromkeys(git.names(listed)):  # one that is in conflict is listed three times
        path = directory / name
        if path.is_dir() and not path.is_symlink():
            if os.path.lexists(path / ".git"):  # a submodule's is absent until it is initialised
                yield from _files_in(path)
        elif os.path.lexists(path):
            yield path


def _copy(source: Path, target: Path, root: Path, follow: bool) -> None:
    _make_way(target, root)
    shutil.copy2(source, target, follow_symlinks=follow)


def _make_way(target: Path, root: Path) -> None:
    """Free a place inside `root`, in directories that are there and are no links.

    The other revision may have a link above it, which leads out of the checkout: nothing behind
    that may be removed or written.
    """
    for parent in reversed([one for one in target.parents if root in one.parents]):
        if parent.is_symlink() or not parent.is_dir():
            _remove(parent)
            parent.mkdir()
    _remove(target)


def _remove(path: Path) -> None:
    """Whatever is there; what leads to it must have been looked at."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _is_behind_link(path: Path) -> bool:
    return os.path.realpath(path.parent) != str(path.parent)
