"""pytest-benchmark's files: written whole or not at all, and looked at before."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_tfthreads.benchmark_bridge.cprofile_dump import ANOTHER_FILE, DUMP_OPTION, dump_prefix
from pytest_tfthreads.names import SAVING_PLUGIN
from pytest_tfthreads.system import files
from pytest_tfthreads.xdist_bridge import roles

_STORAGE = "mend that, or save in another directory with --benchmark-storage"
# How pytest-benchmark's storage looks for files of saved runs.
_NUMBERED = "[0-9][0-9][0-9][0-9]_"


def why_unwritable(config: pytest.Config) -> list[str]:
    """What will keep pytest-benchmark's files from being written, as far as that is known before.

    Each names its option and the mend. In a process that only distributes tests, profiles are left
    out: they are written where the tests run.
    """
    session = getattr(config, "_benchmarksession", None)
    if session is None:
        return []
    found = []
    path = _path(session.json)
    if path is not None and (why := files.why_unwritable(path)):
        found.append(f"--benchmark-json: {path} cannot be written: {why}; {ANOTHER_FILE}")
    storage = session.storage
    if (session.save or session.autosave) and _is_directory(storage):
        directory = Path(storage.path, storage.default_machine_id or "")
        if why := files.why_no_file_in(directory, makes_directories=True):
            found.append(
                f"{_asked(session)}: no run can be saved in {directory}: {why}; {_STORAGE}"
            )
    prefixes = {"--benchmark-histogram": session.histogram}
    if not roles.is_controller(config):
        prefixes[DUMP_OPTION] = dump_prefix(config)
    for option, prefix in prefixes.items():
        if not prefix:
            continue
        directory = Path(f"{prefix}.file").parent
        if why := files.why_no_file_in(directory, makes_directories=True):
            found.append(
                f"{option}: no file can be written in {directory.absolute()}: {why}; mend that, or "
                "give another prefix of files"
            )
    if session.histogram and (why := _why_no_histograms()):
        found.append(f"--benchmark-histogram: {why}")
    return found


def _why_no_histograms() -> str:
    try:
        import pytest_benchmark.histogram  # noqa: F401
    except ImportError:
        return "pygal draws it, and is not installed: pip install 'pytest-benchmark[histogram]'"
    return ""


def _asked(session: Any) -> str:
    """The option that asked for the run to be saved."""
    return "--benchmark-save" if session.save else "--benchmark-autosave"


def _is_directory(storage: Any) -> bool:
    """Whether runs are saved as files, in the way that `Saving` takes over."""
    from pytest_benchmark.storage.file import FileStorage

    return getattr(type(storage), "save", None) is FileStorage.save


class Saving:
    """A plugin: pytest-benchmark's session writes files whole or not at all, numbers once only.

    pytest-benchmark itself looks for the next number and then writes the file in place: two jobs
    may take one number, and a job that is killed leaves half a run. Storages that are no
    directories stay as they are. `has_failed`: a file could not be written, and the user was told.

    --benchmark-json is replaced as a whole too, where its directory allows. Before version 5.3
    pytest-benchmark empties that file when it reads its options; then it stays empty until the
    whole text is there.

    All that holds in runs without marked tests too: a number is safe only if all who save take it
    in the same way, and suites with and without marked tests share a directory. What pytest is to
    survive beyond that begins with `guard`.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.has_failed = False
        self.is_broken = False  # pytest-benchmark raised, and its traceback was shown
        self._is_guarding = False
        self._session: Any = getattr(config, "_benchmarksession", None)
        if self._session is None:
            return
        self._write_json_in_place = self._session.save_json
        self._session.save_json = self._save_json
        if _is_directory(self._session.storage):
            self._session.storage.save = self._save_run

    def guard(self) -> None:
        """From now on, what pytest-benchmark cannot write or do keeps nobody else's results back.

        What it raises would end pytest before all tables, verdicts and counts.
        """
        session = self._session
        if session is None or self._is_guarding:
            return
        self._is_guarding = True
        if not _is_directory(session.storage):
            session.storage.save = functools.partial(self._save_elsewhere, session.storage.save)
        session.handle_saving = functools.partial(self._unbroken, session.handle_saving)
        session.finish = functools.partial(self._unbroken, session.finish)
        session.display = functools.partial(self._display, session.display)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        # Not `exitstatus`: others may have changed it meanwhile, and pytester's sessions have none.
        if getattr(session, "exitstatus", None) == pytest.ExitCode.OK and self.has_failed:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _save_run(self, output_json: Mapping[str, Any], save: str) -> None:
        storage = self._session.storage
        directory = storage.get(save).parent
        try:
            path = files.write_numbered(
                directory,
                f"_{save}.json",
                _text(output_json),
                lambda: {int(file.name[:4]) for file in storage.query(_NUMBERED)},
            )
        except files.NoNumberLeftError as error:
            self._fail(
                f"{_asked(self._session)}: this run was not saved: {error}, and there are no "
                "higher ones; move old runs away, or save in another directory with "
                "--benchmark-storage"
            )
        except OSError as error:
            self._fail(
                f"{_asked(self._session)}: this run was not saved in {directory}: "
                f"{error.strerror}; {_STORAGE}"
            )
        else:
            storage.logger.info(f"Saved benchmark data in: {path}")

    def _save_elsewhere(
        self, save_run: Callable[..., None], output_json: Mapping[str, Any], save: str
    ) -> None:
        try:
            save_run(output_json, save)
        except Exception as error:  # each kind of storage has errors of its own
            self._fail(
                f"{_asked(self._session)}: this run was not saved in {self._session.storage}: "
                f"{type(error).__name__}: {error}; {_STORAGE}"
            )

    def _save_json(self, output_json: Mapping[str, Any]) -> None:
        target = self._session.json
        path = _path(target)
        try:
            is_done = path is not None and files.replace_whole(path, _text(output_json))
            if not is_done and self._is_guarding:
                self._write_json_in_place(output_json)
        except OSError as error:
            name = path or getattr(target, "name", target)
            self._fail(
                f"--benchmark-json: {name} was not written: {error.strerror}; {ANOTHER_FILE}"
            )
            return
        if is_done:
            if not isinstance(target, Path):
                target.close()
            self._session.logger.info(f"Wrote benchmark data in: {target}", purple=True)
        elif not self._is_guarding:
            self._write_json_in_place(output_json)

    def _unbroken(self, step: Callable[[], None]) -> None:
        told = ""
        try:
            step()
        except Exception:  # of whatever hooks other plugins have for it
            told = traceback.format_exc()
        if told:
            self.is_broken = True
            self._session.logger.error(f"\n{told}")

    def _display(self, display: Callable[[pytest.TerminalReporter], None], to: Any) -> None:
        """Show the tables, also of groups whose histogram cannot be written."""
        if not self._session.histogram:
            display(to)
            return
        if why := _why_no_histograms():
            self._fail(f"--benchmark-histogram: {why}")
            self._session.histogram = None
            display(to)
            return
        from pytest_benchmark import histogram

        make_histogram = histogram.make_histogram
        histogram.make_histogram = functools.partial(self._make_histogram, make_histogram)
        try:
            display(to)
        finally:
            histogram.make_histogram = make_histogram

    def _make_histogram(self, make_histogram: Callable[..., Any], *args: Any) -> Any:
        """What pytest-benchmark's own answers: the path of the file, which it then prints."""
        try:
            return make_histogram(*args)
        except OSError as error:
            path = error.filename or self._session.histogram
            self._fail(
                f"--benchmark-histogram: {path} was not written: {error.strerror}; mend that, or "
                "give another prefix of files"
            )
            return "none, see above"

    def _fail(self, message: str) -> None:
        self.has_failed = True
        self._session.logger.error(message)


def saving_of(config: pytest.Config) -> Saving:
    """The run's, which begins with the first call."""
    saving: Saving | None = config.pluginmanager.get_plugin(SAVING_PLUGIN)
    if saving is None:
        saving = Saving(config)
        config.pluginmanager.register(saving, SAVING_PLUGIN)
    return saving


def _text(output_json: Mapping[str, Any]) -> bytes:
    from pytest_benchmark.utils import safe_dumps

    return bytes(safe_dumps(output_json, ensure_ascii=True, indent=4).encode())


def _path(target: Any) -> Path | None:
    """Of --benchmark-json: a path, before 5.3 an open file; None if that has no path (stdout)."""
    if isinstance(target, Path):
        return target
    try:
        path = Path(target.name)
        return path if os.path.samestat(path.stat(), os.fstat(target.fileno())) else None
    except (AttributeError, TypeError, ValueError, OSError):
        return None
