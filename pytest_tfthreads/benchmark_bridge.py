"""The only module that touches pytest-benchmark's private parts; tox tests the versions it knows.

In a measuring process it sets the defaults of the `benchmark` fixture and reads what it measured;
in the pytest process it adds measurements to pytest-benchmark's session, from where its table,
its files and its comparisons take them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tfthreads.process import files

if TYPE_CHECKING:
    from collections.abc import Callable

_FIXTURE = "benchmark"
EXTRA_INFO = "tf_threads"
_ONLY = pytest.StashKey[bool]()
_COMPARES = pytest.StashKey[bool]()
_COMPARED = pytest.StashKey[Any]()  # what pytest-benchmark was to compare with
UNMEASURED = (
    "--benchmark-only: pytest-benchmark measures nothing under pytest-xdist; mark tests with "
    "@pytest.mark.tf_threads, or leave -n (--numprocesses, --dist, --tx) out"
)

# pytest-benchmark's defaults; a value that differs was set by the user.
_STOCK_OPTIONS = {"min_time": 5e-6, "max_time": 1.0, "calibration_precision": 10}
# How pytest-benchmark's storage looks for files of saved runs.
_NUMBERED = "[0-9][0-9][0-9][0-9]_"
# More of them teach a machine's drift no better, and take time to read.
_MOST_RUNS = 30
_WARMUP_OPTIONS = {"warmup", "warmup_iterations"}

# What pytest-benchmark's session does once for the whole run, in the pytest process.
_OPTIONS_OF_THE_RUN: dict[str, Any] = {
    "benchmark_save": None,
    "benchmark_autosave": None,
    "benchmark_json": None,
    "benchmark_compare": [],
    "benchmark_compare_fail": None,
    "benchmark_histogram": [],
    "benchmark_group_by": "group",  # by param:intra, which only the pytest process adds
}


@dataclass(frozen=True)
class BenchmarkRecord:
    """What one use of `benchmark` left; `data` are seconds a call, one for each round."""

    data: tuple[float, ...]
    iterations: int
    group: str | None
    options: Mapping[str, Any]
    extra_info: Mapping[str, Any]
    cprofile: tuple[tuple[Any, ...], ...] | None

    @property
    def rounds(self) -> int:
        return len(self.data)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BenchmarkRecord:
        profile = data["cprofile"]
        return cls(
            data=tuple(data["data"]),
            iterations=data["iterations"],
            group=data["group"],
            options=data["options"],
            extra_info=data["extra_info"],
            cprofile=None if profile is None else tuple(tuple(row) for row in profile),
        )


@dataclass(frozen=True)
class BenchmarkSettings:
    """pytest-benchmark's options for one test, and which of them are the user's own."""

    min_time_s: float
    max_time_s: float
    own: frozenset[str]
    own_timer: Callable[[], float] | None
    own_warmup: bool


@dataclass(frozen=True)
class SavedRuns:
    """Files of saved runs, oldest first; the last is the one to compare with.

    `named`: the user chose it. `problem`: why there is none, in words.
    """

    files: tuple[Path, ...] = ()
    named: bool = False
    problem: str = ""


# -- in the measuring process ---------------------------------------------------------------------


def leave_git_alone() -> None:
    """Keep pytest-benchmark from asking git, five times over, for the name of an autosaved file.

    It does so whenever it adds its options, and a measuring process saves nothing.
    """
    from pytest_benchmark import plugin

    plugin.get_tag = lambda *_: "unused"


def prepare_options(config: pytest.Config) -> None:
    """Leave to the pytest process what is done once for the whole run."""
    for name, value in _OPTIONS_OF_THE_RUN.items():
        if hasattr(config.option, name):
            setattr(config.option, name, value)


def read_settings(item: pytest.Item) -> BenchmarkSettings | None:
    """What holds for this item's `benchmark`; None where pytest-benchmark is switched off."""
    session = getattr(item.config, "_benchmarksession", None)
    if session is None:
        return None
    from pytest_benchmark.timers import default_timer

    marker = item.get_closest_marker("benchmark")
    said = dict(marker.kwargs) if marker else {}
    timer = said.get("timer", session.options["timer"].target)
    options = {**session.options, **said}
    stock = {name for name, value in _STOCK_OPTIONS.items() if float(options[name]) == value}
    return BenchmarkSettings(
        min_time_s=float(options["min_time"]),
        max_time_s=float(options["max_time"]),
        own=frozenset(_STOCK_OPTIONS.keys() - stock),
        own_timer=None if timer is default_timer else timer,
        own_warmup=bool(session.options["warmup"]) or bool(said.keys() & _WARMUP_OPTIONS),
    )


def budget_s(item: pytest.Item) -> float:
    """For how long rounds of the item are to be measured, in each process; 0 if nobody knows."""
    try:
        settings = read_settings(item) if measures(item) else None
    except (TypeError, ValueError):  # an option that is no number: its own process will tell
        return 0.0
    return 0.0 if settings is None else settings.max_time_s


def is_pedantic(item: pytest.Item) -> bool:
    """Whether the item's `benchmark` runs in pedantic mode, with the user's own rounds."""
    fixture = getattr(item, "funcargs", {}).get(_FIXTURE)
    return getattr(fixture, "_mode", None) == "benchmark.pedantic(...)"


def override(item: pytest.Item, **options: Any) -> None:
    """Set options of this item's `benchmark`, whatever else says otherwise."""
    marker = item.get_closest_marker("benchmark")
    said = dict(marker.kwargs) if marker else {}
    item.add_marker(pytest.mark.benchmark(**{**said, **options}), append=False)


def extract(config: pytest.Config, options: Mapping[str, Any]) -> BenchmarkRecord | None:
    """What the item measured; None if it measured nothing (no fixture, disabled, failed).

    `options` are recorded instead of those that pytest-benchmark was given.
    """
    session = getattr(config, "_benchmarksession", None)
    measured = [one for one in session.benchmarks if one and not one.has_error] if session else []
    if not measured:
        return None
    metadata = measured[-1]
    profile = metadata.cprofile_stats
    return BenchmarkRecord(
        data=tuple(metadata.stats.data),
        iterations=metadata.iterations,
        group=metadata.group,
        options={**metadata.as_dict(include_data=False, stats=False)["options"], **options},
        extra_info=metadata.extra_info,
        cprofile=None
        if profile is None
        else tuple((*function, *figures[:4]) for function, figures in profile.stats.items()),
    )


# -- in the pytest process ------------------------------------------------------------------------


def joined(records: Sequence[BenchmarkRecord]) -> BenchmarkRecord:
    """The rounds of all processes as one record; all else is the first one's."""
    return replace(records[0], data=tuple(itertools.chain(*(one.data for one in records))))


def compares(config: pytest.Config) -> bool:
    """Whether --benchmark-compare is given."""
    if config.stash.get(_COMPARES, False):
        return True
    session = getattr(config, "_benchmarksession", None)
    return session is not None and bool(session.compare)


def saved_runs(config: pytest.Config) -> SavedRuns:
    """The run that --benchmark-compare names, or the latest, and those that were saved before."""
    session = getattr(config, "_benchmarksession", None)
    if session is None:
        return SavedRuns(problem="pytest-benchmark is switched off")
    storage = session.storage
    if not hasattr(storage, "query"):
        return SavedRuns(problem=f"saved runs are read from files only, not from {storage}")
    history = [Path(file) for file in storage.query(_NUMBERED)]
    if session.compare is True or not session.compare:
        problem = "" if history else f"there is no saved run in {storage}; make one with "
        return SavedRuns(
            tuple(history[-_MOST_RUNS:]), problem=problem and f"{problem}--benchmark-save"
        )
    chosen = [Path(file) for file in storage.query(session.compare)]
    if not chosen:
        return SavedRuns(problem=f"no saved run in {storage} matches {session.compare!r}")
    last = chosen[-1]
    before = history[: history.index(last)] if last in history else []
    return SavedRuns((*before[-_MOST_RUNS:], last), named=True)


def commit_of(config: pytest.Config) -> str:
    """Of which code a run is, as its saved file would say; empty where nobody knows."""
    if getattr(config, "_benchmarksession", None) is None:
        return ""
    from pytest_tfthreads.core.baseline import short_commit

    info = config.hook.pytest_benchmark_generate_commit_info(config=config)
    return short_commit(info.get("id"), bool(info.get("dirty")))


def hold_only(config: pytest.Config) -> None:
    """Keep --benchmark-only from pytest-benchmark, which refuses it beside pytest-xdist.

    To be called under pytest-xdist before pytest-benchmark is configured; `return_only` gives it
    back. With --benchmark-disable the refusal is right.
    """
    held = config.getoption("benchmark_only", False)
    if held and (config.getoption("benchmark_enable") or not config.getoption("benchmark_disable")):
        config.option.benchmark_only = False
        config.stash[_ONLY] = True


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


def return_only(config: pytest.Config) -> None:
    """Have --benchmark-only hold, from now on, if `hold_only` held it."""
    session = getattr(config, "_benchmarksession", None)
    if session is not None and config.stash.get(_ONLY, False):
        config.option.benchmark_only = session.only = True
        session.skip = False


def was_held(config: pytest.Config) -> bool:
    """Whether --benchmark-only is given where pytest-benchmark measures nothing."""
    return config.stash.get(_ONLY, False)


def skip_unmeasured(items: Sequence[pytest.Item]) -> None:
    """Skip benchmarks that pytest-benchmark would not measure, though --benchmark-only is given."""
    for item in items:
        if _uses_benchmark(item) and was_held(item.config):
            item.add_marker(pytest.mark.skip(reason=UNMEASURED))


def warn_of_no_measurements(config: pytest.Config, unmeasured: Sequence[pytest.Item]) -> None:
    """Let pytest-benchmark say that pytest-xdist disables benchmarks only where it is so.

    `unmeasured` are the items of which that may be true. Releases before 5.3 say it before tests
    are collected.
    """
    session = getattr(config, "_benchmarksession", None)
    if session is not None and not any(map(_uses_benchmark, unmeasured)):
        session.xdist_benchmark_found = False


def leave_files_to_the_controller(config: pytest.Config) -> None:
    """Have pytest-benchmark's session of a pytest-xdist worker write nothing.

    Some releases measure `benchmark.pedantic` there in tests without the marker, and the worker
    would write that over what the controller writes.
    """
    session: Any = getattr(config, "_benchmarksession", None)
    if session is not None:
        session.json = session.save = session.autosave = session.histogram = None


@contextlib.contextmanager
def unmeasured(config: pytest.Config) -> Iterator[None]:
    """Meanwhile `benchmark` calls what it is given once, as with --benchmark-disable."""
    session: Any = getattr(config, "_benchmarksession", None)
    if session is None:
        yield
        return
    before, session.disabled = session.disabled, True
    try:
        yield
    finally:
        session.disabled = before


def is_missing(item: pytest.Item) -> bool:
    """Whether the item needs pytest-benchmark, but it does not run here at all."""
    return _uses_benchmark(item) and not hasattr(item.config, "_benchmarksession")


def is_skipped(item: pytest.Item) -> bool:
    """Whether the item is a benchmark, and --benchmark-skip holds."""
    session = getattr(item.config, "_benchmarksession", None)
    return session is not None and session.skip and _uses_benchmark(item)


def measures(item: pytest.Item) -> bool:
    """Whether the item is a benchmark, and not only to be tried out (--benchmark-disable)."""
    off = item.config.getoption("benchmark_disable", False)
    on = item.config.getoption("benchmark_enable", False)
    return _uses_benchmark(item) and (on or not off)


def _uses_benchmark(item: pytest.Item) -> bool:
    return _FIXTURE in getattr(item, "fixturenames", ())


def add(
    config: pytest.Config,
    nodeid: str,
    name: str,
    param: str | None,
    params: Mapping[str, Any],
    record: BenchmarkRecord,
    tf_threads: Mapping[str, Any],
) -> None:
    """Add a measurement to pytest-benchmark's session, as if it had been measured here."""
    from pytest_benchmark.stats import Metadata

    profile = record.cprofile
    metadata = Metadata(
        SimpleNamespace(
            name=name,
            fullname=nodeid,
            group=record.group,
            param=param,
            params=dict(params),
            extra_info={**record.extra_info, EXTRA_INFO: dict(tf_threads)},
            cprofile_stats=None
            if profile is None
            else SimpleNamespace(
                stats={tuple(row[:3]): (*row[3:], {}) for row in profile}, total_tt=0
            ),
            has_error=False,
        ),
        iterations=record.iterations,
        options=dict(record.options),
    )
    for seconds in record.data:
        metadata.update(seconds * record.iterations)
    config._benchmarksession.benchmarks.append(metadata)  # type: ignore[attr-defined]


class Saving:
    """A plugin: pytest-benchmark's session writes files whole or not at all, numbers once only.

    pytest-benchmark itself looks for the next number and then writes the file in place: two jobs
    may take one number, and a job that is killed leaves half a run. Storages that are no
    directories stay as they are. `has_failed`: a file could not be written, and the user was told.

    --benchmark-json is replaced as a whole too, where its directory allows. Before version 5.3
    pytest-benchmark empties that file when it reads its options; then it stays empty until the
    whole text is there.
    """

    def __init__(self, config: pytest.Config) -> None:
        # In runs without marked tests too: a number is safe only if all who save take it in the
        # same way, and suites with and without marked tests share a directory.
        self.has_failed = False
        self._session: Any = getattr(config, "_benchmarksession", None)
        if self._session is None:
            return
        from pytest_benchmark.storage.file import FileStorage

        self._write_json_in_place = self._session.save_json
        self._session.save_json = self._save_json
        if getattr(type(self._session.storage), "save", None) is FileStorage.save:
            self._session.storage.save = self._save_run

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
                f"--benchmark-save: this run was not saved: {error}, and there are no higher ones; "
                "move old runs away, or save in another directory with --benchmark-storage"
            )
        except OSError as error:
            self._fail(
                f"--benchmark-save: this run was not saved in {directory}: {error.strerror}; "
                "mend that, or save in another directory with --benchmark-storage"
            )
        else:
            storage.logger.info(f"Saved benchmark data in: {path}")

    def _save_json(self, output_json: Mapping[str, Any]) -> None:
        target = self._session.json
        path = _path(target)
        try:
            is_done = path is not None and files.replace_whole(path, _text(output_json))
        except OSError as error:
            self._fail(
                f"--benchmark-json: {path} was not written: {error.strerror}; mend that, or name "
                "another file"
            )
            return
        if not is_done:
            self._write_json_in_place(output_json)
            return
        if not isinstance(target, Path):
            target.close()
        self._session.logger.info(f"Wrote benchmark data in: {target}", purple=True)

    def _fail(self, message: str) -> None:
        self.has_failed = True
        self._session.logger.error(message)


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
