"""The only module that touches pytest-benchmark's private parts; tox tests the versions it knows.

In a measuring process it sets the defaults of the `benchmark` fixture and reads what it measured;
in the pytest process it adds measurements to pytest-benchmark's session, from where its table,
its files and its comparisons take them.
"""

from __future__ import annotations

import contextlib
import functools
import marshal
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tfthreads.core.benchmark_record import BenchmarkRecord
from pytest_tfthreads.names import SAVING_PLUGIN
from pytest_tfthreads.system import files
from pytest_tfthreads.xdist_bridge import roles

if TYPE_CHECKING:
    from collections.abc import Callable

_FIXTURE = "benchmark"
EXTRA_INFO = "tf_threads"
_ONLY = pytest.StashKey[bool]()
_DUMP = pytest.StashKey[str]()
_DUMP_OPTION = "--benchmark-cprofile-dump"
_STORAGE = "mend that, or save in another directory with --benchmark-storage"
_ANOTHER_FILE = "mend that, or name another file"
_COMPARES = pytest.StashKey[bool]()
_COMPARED = pytest.StashKey[Any]()  # what pytest-benchmark was to compare with
UNMEASURED = (
    "--benchmark-only: pytest-benchmark measures nothing under pytest-xdist; mark tests with "
    "@pytest.mark.tf_threads, or leave -n (--numprocesses, --dist, --tx) out"
)

_TIMER_STEPS = 100
# pytest-benchmark's defaults; a value that differs was set by the user.
_STOCK_OPTIONS = {"min_time": 5e-6, "max_time": 1.0, "calibration_precision": 10}
# Times of single rounds, which our table does not have.
_COLUMNS_BESIDE_OURS = ("min", "median", "max", "stddev", "rounds", "iterations")
# How pytest-benchmark's storage looks for files of saved runs.
_NUMBERED = "[0-9][0-9][0-9][0-9]_"
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

    `elsewhere` are those of other machines and other Pythons, which are of use where `files` hold
    nothing that can be compared. `named`: the user chose the last one. `problem`: why there is
    none, in words. `mistake`: what is wrong with the user's choice, and what to write instead.
    """

    files: tuple[Path, ...] = ()
    elsewhere: tuple[Path, ...] = ()
    named: bool = False
    problem: str = ""
    mistake: str = ""


# -- in the measuring process ---------------------------------------------------------------------


def preload() -> None:
    """Import here what pytest-benchmark imports when a session begins, so that no fork has to."""
    import pytest_benchmark.storage.file  # noqa: F401


def leave_git_alone() -> None:
    """Keep pytest-benchmark from asking git, five times over, for the name of an autosaved file.

    It does so whenever it adds its options, and a measuring process saves nothing.
    """
    from pytest_benchmark import plugin

    plugin.get_tag = lambda *_: "unused"


def try_timers_briefly() -> None:
    """Keep pytest-benchmark from trying out its timer for a second, as it does before 5.3.

    That second would pass in every measuring process, on a CPU that is busy all the while.
    """
    from pytest_benchmark import fixture

    fixture.compute_timer_precision = precision_s


def precision_s(timer: Callable[[], float]) -> float | None:
    """The smallest of a hundred steps of a timer; None if it stands still for a second."""
    deadline_s = time.monotonic() + 1.0
    steps_s: list[float] = []
    before_s = timer()
    while len(steps_s) < _TIMER_STEPS and time.monotonic() < deadline_s:
        now_s = timer()
        if now_s > before_s:
            steps_s.append(now_s - before_s)
        before_s = now_s
    return min(steps_s, default=None)


def prepare_options(config: pytest.Config) -> None:
    """Leave to the pytest process what is done once for the whole run, and profiles to `extract`.

    pytest-benchmark writes a profile within the test, which would fail where that is impossible.
    """
    if dump := _cprofile_dump(config):
        config.stash[_DUMP] = dump
        config.option.benchmark_cprofile_dump = []
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
        settings = read_settings(item)
    except (TypeError, ValueError):  # an option that is no number: its own process will tell
        return 0.0
    return 0.0 if settings is None else settings.max_time_s


def is_fixture(value: object) -> bool:
    """Whether this is what pytest-benchmark's `benchmark` gives to a test."""
    module = sys.modules.get("pytest_benchmark.fixture")  # absent where it is switched off
    return module is not None and isinstance(value, module.BenchmarkFixture)


def was_called(fixture: object) -> bool:
    """Whether the test has measured something with this `benchmark`, or tried to."""
    return getattr(fixture, "_mode", None) is not None


def is_pedantic(fixture: object) -> bool:
    """Whether this `benchmark` runs in pedantic mode, with the user's own rounds."""
    return getattr(fixture, "_mode", None) == "benchmark.pedantic(...)"


def surround(fixture: Any, before: Callable[[], None], after: Callable[[], None]) -> None:
    """Call `before` and `after` around all rounds of this `benchmark` together.

    pytest-benchmark calls the function once more, untimed, to have its result: after `after`. Of a
    pedantic benchmark it does so only if a round has several calls.
    """
    make_runner = fixture._make_runner

    def surrounded(run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def around(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            is_over = False

            def end() -> None:
                nonlocal is_over
                if not is_over:
                    is_over = True
                    after()

            def untimed(*its_args: Any, **its_kwargs: Any) -> Any:
                end()
                return function(*its_args, **its_kwargs)

            # What is timed is the function itself, without a call more.
            fixture._make_runner = lambda _, *arguments: make_runner(function, *arguments)
            before()
            try:
                return run(untimed, *args, **kwargs)
            finally:
                end()

        return around

    fixture._raw = surrounded(fixture._raw)
    fixture._raw_pedantic = surrounded(fixture._raw_pedantic)


def override(item: pytest.Item, **options: Any) -> None:
    """Set options of this item's `benchmark`, whatever else says otherwise."""
    marker = item.get_closest_marker("benchmark")
    said = dict(marker.kwargs) if marker else {}
    item.add_marker(pytest.mark.benchmark(**{**said, **options}), append=False)


def extract(config: pytest.Config, options: Mapping[str, Any]) -> BenchmarkRecord | None:
    """What the item measured; None if it measured nothing (no fixture, disabled, failed).

    `options` are recorded instead of those that pytest-benchmark was given. The file of
    --benchmark-cprofile-dump is written, if it can be.
    """
    session = getattr(config, "_benchmarksession", None)
    measured = (
        [benchmark for benchmark in session.benchmarks if benchmark and not benchmark.has_error]
        if session
        else []
    )
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
        unwritten=_dumped(config, metadata),
    )


def _dumped(config: pytest.Config, metadata: Any) -> str:
    """Write the profile, if a file of it is wanted; why that was impossible, or nothing."""
    prefix = config.stash.get(_DUMP, "")
    if not prefix or metadata.cprofile_stats is None:
        return ""
    from pytest_benchmark.utils import slugify

    path = Path(f"{prefix}-{slugify(metadata.name)}.prof")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_file(path, marshal.dumps(metadata.cprofile_stats.stats))
    except OSError as error:
        return f"{_DUMP_OPTION}: {path} was not written: {error.strerror}; {_ANOTHER_FILE}"
    return ""


def _cprofile_dump(config: pytest.Config) -> str:
    """The value of --benchmark-cprofile-dump, which pytest-benchmark before 5.0 does not have."""
    given = config.getoption("benchmark_cprofile_dump", None) or [""]
    return str(given[0])


# -- in the pytest process ------------------------------------------------------------------------


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
        return SavedRuns(problem="pytest-benchmark is switched off")
    storage = session.storage
    if not hasattr(storage, "query"):
        return SavedRuns(problem=f"saved runs are read from files only, not from {storage}")
    from pytest_tfthreads.core.saved_runs import BaselineError
    from pytest_tfthreads.core.storage import ENOUGH_FOR_DRIFT, Storage

    found = Storage(Path(storage.path), storage.default_machine_id)
    if session.compare is True or session.compare in ([], None):
        latest, elsewhere = found.latest(ENOUGH_FOR_DRIFT), found.latest_elsewhere(ENOUGH_FOR_DRIFT)
        problem = f"there is no saved run in {storage}; make one with --benchmark-save"
        return SavedRuns(
            tuple(latest), tuple(elsewhere), problem="" if latest or elsewhere else problem
        )
    text = str(session.compare)
    try:
        last = found.find(text)[-1]
    except BaselineError as error:
        return SavedRuns(named=True, mistake=_mistake(text, str(error)))
    return SavedRuns((*found.before(last, ENOUGH_FOR_DRIFT), last), named=True)


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
    if session is None or not hasattr(session.storage, "query"):
        return None
    return Path(session.storage.path)


def commit_of(config: pytest.Config) -> str:
    """Of which code a run is, as its saved file would say; empty where nobody knows."""
    if getattr(config, "_benchmarksession", None) is None:
        return ""
    from pytest_tfthreads.core.saved_runs import short_commit

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


def is_enabled(config: pytest.Config) -> bool:
    """Whether benchmarks are measured, and not only tried out (--benchmark-disable)."""
    off = config.getoption("benchmark_disable", False)
    return bool(config.getoption("benchmark_enable", False) or not off)


def measures(item: pytest.Item) -> bool:
    """Whether the item is to be measured, as far as its arguments and their fixtures say.

    Another item may ask for `benchmark` while it runs (`request.getfixturevalue`), as steps of
    pytest-bdd do; and this one may have a fixture of that name which is not pytest-benchmark's. So
    what was measured is decided by what its process recorded.
    """
    return _uses_benchmark(item) and is_enabled(item.config)


def may_measure_directly(item: pytest.Item) -> bool:
    """Whether the item is to be measured, or has a `request` of its own to ask for `benchmark`.

    Steps of pytest-bdd do.
    """
    fixtures = getattr(item, "_fixtureinfo", None)
    could_ask = fixtures is not None and "request" in fixtures.argnames
    return measures(item) or (could_ask and is_enabled(item.config))


def may_measure(item: pytest.Item) -> bool:
    """Whether the item is to be measured, or could ask for `benchmark` while it runs.

    It could if it, or a fixture of the project that it uses, has `request`; fixtures of installed
    plugins nearly always have, and are not counted.
    """
    if may_measure_directly(item):
        return True
    fixtures = getattr(item, "_fixtureinfo", None)
    if fixtures is None or not is_enabled(item.config):
        return False
    return any(
        "request" in definition.argnames and _is_of_the_project(definition)
        for definitions in fixtures.name2fixturedefs.values()
        for definition in definitions
    )


def _is_of_the_project(fixture: Any) -> bool:
    """Whether a fixture is from a test's module or a conftest file, not from a plugin."""
    # Since 9.2 pytest warns of the public name.
    found = getattr(fixture, "_has_location", None)
    return bool(fixture.has_location if found is None else found)


def _uses_benchmark(item: pytest.Item) -> bool:
    return _FIXTURE in getattr(item, "fixturenames", ())


def holds_only_ours(config: pytest.Config) -> bool:
    """Whether tests were measured, and all of them with the marker."""
    session = getattr(config, "_benchmarksession", None)
    benchmarks = [] if session is None else session.benchmarks
    return bool(benchmarks) and all(
        EXTRA_INFO in (benchmark.extra_info or {}) for benchmark in benchmarks
    )


def shorten_table(config: pytest.Config) -> None:
    """Leave out of pytest-benchmark's table what ours says, unless its columns were asked for.

    Releases whose default is not `None` do not tell whether they were; their table stays as it is.
    """
    session = getattr(config, "_benchmarksession", None)
    if session is not None and config.getoption("benchmark_columns", ()) is None:
        session.columns = list(_COLUMNS_BESIDE_OURS)


def add(
    config: pytest.Config,
    nodeid: str,
    name: str,
    param: str | None,
    params: Mapping[str, Any],
    record: BenchmarkRecord,
    tf_threads: Mapping[str, Any],
) -> dict[str, Any]:
    """Add a measurement to pytest-benchmark's session, as if it had been measured here.

    Returns what will be written of `tf_threads`: it can be changed until then.
    """
    from pytest_benchmark.stats import Metadata

    written = dict(tf_threads)
    profile = record.cprofile
    metadata = Metadata(
        SimpleNamespace(
            name=name,
            fullname=nodeid,
            group=record.group,
            param=param,
            params=dict(params),
            extra_info={**record.extra_info, EXTRA_INFO: written},
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
    return written


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
        found.append(f"--benchmark-json: {path} cannot be written: {why}; {_ANOTHER_FILE}")
    storage = session.storage
    if (session.save or session.autosave) and _is_directory(storage):
        directory = Path(storage.path, storage.default_machine_id or "")
        if why := files.why_no_file_in(directory, makes_directories=True):
            found.append(f"--benchmark-save: no run can be saved in {directory}: {why}; {_STORAGE}")
    prefixes = {"--benchmark-histogram": session.histogram}
    if not roles.is_controller(config):
        prefixes[_DUMP_OPTION] = _cprofile_dump(config)
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
                f"--benchmark-save: this run was not saved: {error}, and there are no higher ones; "
                "move old runs away, or save in another directory with --benchmark-storage"
            )
        except OSError as error:
            self._fail(
                f"--benchmark-save: this run was not saved in {directory}: {error.strerror}; "
                f"{_STORAGE}"
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
                f"--benchmark-save: this run was not saved in {self._session.storage}: "
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
                f"--benchmark-json: {name} was not written: {error.strerror}; {_ANOTHER_FILE}"
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
