"""The saved runs that --benchmark-compare asks for, and where runs are saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_COMPARES = pytest.StashKey[bool]()
_COMPARED = pytest.StashKey[Any]()  # what pytest-benchmark was to compare with
_SAVING = ("benchmark_save", "benchmark_autosave")


@dataclass(frozen=True)
class SavedRuns:
    """Files of saved runs, oldest first; the last is the one to compare with.

    `elsewhere` are those of each other kind of machine or Python, which are of use where `files`
    hold nothing that can be compared. `named`: the user chose the last one. `problem`: why there is
    none, in words. `mistake`: what is wrong with the user's choice, and what to write instead.
    """

    files: tuple[Path, ...] = ()
    elsewhere: tuple[tuple[Path, ...], ...] = ()
    named: bool = False
    problem: str = ""
    mistake: str = ""


def compares(config: pytest.Config) -> bool:
    """Whether --benchmark-compare is given."""
    if config.stash.get(_COMPARES, False):
        return True
    session = getattr(config, "_benchmarksession", None)
    # An empty value counts: it is a mistake, and must not switch the gate off.
    return session is not None and session.compare not in ([], None)


def saved_runs(config: pytest.Config) -> SavedRuns:
    """The run that --benchmark-compare names, or the latest, and those that were saved before.

    pytest-benchmark itself looks for the latest, and for numbers, only among runs of this Python
    version on this kind of machine; here those of others are found where it has none.
    """
    session = getattr(config, "_benchmarksession", None)
    if session is None:
        return SavedRuns(problem="pytest-benchmark is switched off; leave -p no:benchmark out")
    if not str(config.getoption("benchmark_storage")).strip():
        return SavedRuns(
            mistake="--benchmark-storage is empty; perhaps a variable is not set. Or leave it out"
        )
    storage = session.storage
    directory = _directory_of(storage)
    if directory is None:
        # Its own name may hold a password.
        return SavedRuns(
            problem="saved runs are read from files only, and --benchmark-storage names no "
            "directory"
        )
    from pytest_tfthreads.core.saved_runs import BaselineError
    from pytest_tfthreads.core.storage import Storage

    found = Storage(directory, storage.default_machine_id)
    if session.compare is True or session.compare in ([], None):
        own, elsewhere = found.of_this_kind(), found.of_other_kinds()
        is_saved = any(config.getoption(name) for name in _SAVING)
        mend = "this run is saved as the first" if is_saved else "make one with --benchmark-save"
        problem = f"there is no saved run in {storage}; {mend}"
        return SavedRuns(
            tuple(own), tuple(map(tuple, elsewhere)), problem="" if own or elsewhere else problem
        )
    text = str(session.compare)
    try:
        last = found.find(text)[-1]
    except BaselineError as error:
        return SavedRuns(named=True, mistake=_mistake(text, str(error)))
    return SavedRuns((*found.before(last), last), named=True)


def useless(config: pytest.Config, problem: str) -> str:
    """What is wrong with --benchmark-compare where the run that it names is of no use."""
    return _mistake(str(config.getoption("benchmark_compare")), problem)


def _mistake(text: str, problem: str) -> str:
    from pytest_tfthreads.core.storage import looks_like_tests

    if looks_like_tests(text):
        return (
            f"--benchmark-compare={text}: {problem}. Was {text} to be tested? Then write it before "
            "--benchmark-compare, which takes what follows it as its value"
        )
    hint = "write --benchmark-compare alone to compare with the latest run"
    if not text.strip():
        hint = f"perhaps a variable is not set. Or {hint}"
    return f"--benchmark-compare={text}: {problem}; {hint}"


def storage_of(config: pytest.Config) -> Path | None:
    """The directory of saved runs; None where they are no files, and without pytest-benchmark."""
    session = getattr(config, "_benchmarksession", None)
    return None if session is None else _directory_of(session.storage)


def _directory_of(storage: Any) -> Path | None:
    """Where it keeps saved runs as files; None where it is a service, such as Elasticsearch."""
    from pytest_benchmark.storage.file import FileStorage

    return Path(storage.path) if isinstance(storage, FileStorage) else None


def commit_of(config: pytest.Config) -> str:
    """Of which code a run is, as its saved file would say; empty where nobody knows."""
    if getattr(config, "_benchmarksession", None) is None:
        return ""
    from pytest_tfthreads.core.saved_runs import short_commit

    info = config.hook.pytest_benchmark_generate_commit_info(config=config)
    return short_commit(info.get("id"), bool(info.get("dirty")))


def leave_comparing_to_the_controller(config: pytest.Config) -> None:
    """Keep a worker's pytest-benchmark from reading saved runs, and from missing them.

    To be called before pytest-benchmark is configured; `compares` says what it would have.
    """
    if config.getoption("benchmark_compare", []) not in ([], None):
        config.stash[_COMPARES] = True
        config.stash[_COMPARED] = config.option.benchmark_compare
        config.option.benchmark_compare = []


def return_comparing(config: pytest.Config) -> None:
    """Have a worker's pytest-benchmark look for saved runs after all: nothing there is ours."""
    session = getattr(config, "_benchmarksession", None)
    if session is not None and config.stash.get(_COMPARES, False):
        config.stash[_COMPARES] = False
        session.compare = config.option.benchmark_compare = config.stash[_COMPARED]
        session.handle_loading()
