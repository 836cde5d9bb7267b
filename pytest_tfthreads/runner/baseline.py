"""What a run is compared with side by side: finds it, and makes it ready."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pytest_tfthreads.core.abreast import Place
from pytest_tfthreads.core.format import printable_lines
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.saved_runs import StoredRun
from pytest_tfthreads.engine.environment import Environment, EnvironmentUnfitError
from pytest_tfthreads.engine.interpreter import Home
from pytest_tfthreads.names import PYTHON
from pytest_tfthreads.pytest_bridge.gate import Gate
from pytest_tfthreads.pytest_bridge.options import BASELINES_COMMIT
from pytest_tfthreads.revision.checkout import Checkout, notes_of
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.overlay import Overlay
from pytest_tfthreads.revision.repository import Repository
from pytest_tfthreads.runner.variants import (
    DUET_OPTION,
    AtRevision,
    CurrentTree,
    InEnvironment,
    OpenVariant,
)


def open_baseline(
    wanted: str, gate: Gate, config: pytest.Config, here: Home, modules: Sequence[Path]
) -> OpenVariant:
    """What --tf-threads-duet asks for, with the current tests (`modules`) laid over it.

    Raises `pytest.UsageError` where it cannot be had.
    """
    with _as_usage_error(wanted):
        if wanted.startswith(PYTHON):
            return InEnvironment(Environment.probe(wanted.removeprefix(PYTHON)), here)
        notes = []
        rev, trusted, run = _revision(wanted, gate, config)
        if run is not None and run.dirty:
            notes.append(
                f"{run.label} was saved with uncommitted changes: its commit is compared without "
                "them"
            )
        return _at_revision(rev, trusted, config, here, modules, notes)


def open_saved_commit(
    commit: str, config: pytest.Config, here: Home, modules: Sequence[Path]
) -> OpenVariant:
    """The commit of a saved run, where nobody has asked for it by name.

    Raises `RevisionError` where it cannot be had.
    """
    return _at_revision(commit, False, config, here, modules)


def saved_commit(gate: Gate, test: str, now: Measurement, current: str | None) -> str:
    """The commit of the saved run that a test is to be measured beside.

    `current` is the `current_commit`. Raises `RevisionError` where no commit is known, or more than
    the commit was measured there.
    """
    run = gate.baseline_of(test, now, current)
    commit = _commit_of(run, gate)
    if run is not None and run.dirty:
        raise RevisionError(
            f"{run.label} was saved with uncommitted changes, so its commit is not what was "
            "measured. Save a run of a clean tree; or name a revision, --tf-threads-duet=REV"
        )
    return commit


def open_place(
    place: Place, config: pytest.Config, here: CurrentTree, modules: Sequence[Path]
) -> OpenVariant:
    """What a command asks for, with the current tests (`modules`) laid over it.

    The environment of this process may be named as others are. Raises `RevisionError` and
    `EnvironmentUnfitError`.
    """
    environment = None if place.python is None else Environment.other(place.python)
    if place.commit is not None:
        return _at_revision(
            place.commit,
            False,
            config,
            here.home,
            modules,
            environment=environment,
            beside_current=False,
        )
    return here if environment is None else InEnvironment(environment, here.home)


def _at_revision(
    rev: str,
    trusted: bool,
    config: pytest.Config,
    here: Home,
    modules: Sequence[Path],
    notes: Sequence[str] = (),
    environment: Environment | None = None,
    beside_current: bool = True,
) -> AtRevision:
    """Raises `RevisionError`."""
    checkout = Checkout.make(config.rootpath, rev, trusted, beside_current)
    try:
        tests = Overlay.of(checkout.top, modules, _conftests(config), config.inipath)
        checkout.lay_over(tests)
        if brought := checkout.bring_version_files():
            text = (
                f"{', '.join(map(str, brought))}: written by a build, and not in git: the other "
                "side has the current tree's"
            )
            notes = [text, *notes]
        return AtRevision(checkout, tests, here, config, notes, environment)
    except BaseException:
        checkout.close()
        raise


def check_baseline(wanted: str, gate: Gate, config: pytest.Config) -> Sequence[str]:
    """Whether there is what --tf-threads-duet asks for, where others will open it.

    Returns what the reader of the summary should know of it. Raises `pytest.UsageError` where
    there is none.
    """
    with _as_usage_error(wanted):
        if wanted.startswith(PYTHON):
            Environment.probe(wanted.removeprefix(PYTHON))
            return ()
        repository = Repository.holding(config.rootpath)
        rev, trusted, _ = _revision(wanted, gate, config)
        return notes_of(repository, repository.find(rev, trusted))


@contextlib.contextmanager
def _as_usage_error(wanted: str) -> Iterator[None]:
    try:
        yield
    except (EnvironmentUnfitError, RevisionError) as error:
        hint = ""
        if os.path.exists(wanted):
            hint = f" Was {wanted} to be tested? Then write {DUET_OPTION}=baseline before it."
        text = printable_lines(f"{DUET_OPTION}: {error}{hint}")
        raise pytest.UsageError(text) from error


def current_commit(config: pytest.Config) -> str | None:
    """The commit that the current tree is; None where it has changes, or git does not know."""
    try:
        repository = Repository.holding(config.rootpath)
        is_changed, head = repository.is_changed, repository.head
    except RevisionError:  # whoever needs a commit will tell
        return None
    return None if is_changed else head


def _revision(wanted: str, gate: Gate, config: pytest.Config) -> tuple[str, bool, StoredRun | None]:
    """The name of a commit, whether it is the user's own word, and the saved run that names it."""
    if wanted != BASELINES_COMMIT:
        return wanted, True, None
    run = gate.baseline(current_commit(config))
    return _commit_of(run, gate), False, run


def _commit_of(run: StoredRun | None, gate: Gate) -> str:
    """Raises `RevisionError`."""
    if run is None:
        problem = gate.problem or "there is no saved run"
        raise RevisionError(
            f"the baseline's commit is not known ({problem}): name a commit yourself, "
            "--tf-threads-duet=REV"
        )
    if run.commit is None:
        raise RevisionError(
            f"{run.label} names no commit: it was saved outside of a git repository; name one "
            "yourself, --tf-threads-duet=REV"
        )
    return run.commit


def _conftests(config: pytest.Config) -> list[Path]:
    files = (getattr(plugin, "__file__", None) for plugin in config.pluginmanager.get_plugins())
    return [Path(file) for file in files if file and Path(file).name == "conftest.py"]
