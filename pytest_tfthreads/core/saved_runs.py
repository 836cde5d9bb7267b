"""Saved runs: from the text of pytest-benchmark's files to measurements that can be judged by.

The files come from anywhere (another job, another version, a text editor), so nothing in them is
believed: whatever is wrong becomes one `BaselineError` that names file, benchmark and field.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pytest_tfthreads.core.comparable import conditions, kinship, why_not_comparable
from pytest_tfthreads.core.decode import (
    FLATTENED,
    Count,
    DecodeError,
    NotNegative,
    decode,
    encode,
)
from pytest_tfthreads.core.file_reading import read_file
from pytest_tfthreads.core.format import printable
from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import Verdict
from pytest_tfthreads.core.hosts import Host
from pytest_tfthreads.core.measurement import SCHEMA, Measurement, Pools, Sample
from pytest_tfthreads.core.op_profile import Trace, Traces
from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.threads import ConfigError, Configuration, ThreadConfig, ThreadCount

Loads = Callable[[str], Any]
"""As `json.loads`."""

_OURS = "tf_threads"  # the name of our part of a file, and of each of its benchmarks


class BaselineError(ValueError):
    """A saved run that cannot be used; the message names the file and what to do.

    Of texts in the file nothing is left that a terminal would obey.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class NotOursError(BaselineError):
    """A run of pytest-benchmark in which nothing was measured by this plugin.

    Nothing is wrong with it: suites with and without marked tests may share a directory.
    """


@dataclass(frozen=True)
class StoredMeasurement:
    """A test in a saved run: what was measured, and what was found.

    `name` is that of the benchmark in its file. `group` is the same for all configurations of a
    test. `verdicts` are those of then, `pairs` those of a comparison side by side.
    `took_turns_with_baseline`: the measurement is of the processes of those pairs; else it is of
    others, which took turns with the test's other configurations. `same_as`: id of the
    configuration as which it was measured, where this is another name of it. `beside_environment`:
    it was compared with another environment, so the verdicts say nothing of the code.
    `beside_named`: with a revision that the user named, which may have had the loss already.
    """

    name: str
    group: str
    configuration: Configuration
    measurement: Measurement
    verdicts: tuple[Verdict, ...] = ()
    pairs: tuple[Pair, ...] = ()
    traces: Traces | None = None
    same_as: str = ""
    took_turns_with_baseline: bool = False
    beside_environment: bool = False
    beside_named: bool = False

    @property
    def has_regressed(self) -> bool:
        """Whether the code had: another environment that is faster says nothing of the code."""
        is_of_code = not self.beside_environment
        return is_of_code and any(one.status == "regression" for one in self.verdicts)

    @property
    def was_found_tolerable(self) -> bool:
        """Whether each verdict was decided, and none is a regression."""
        return all(verdict.status in ("pass", "improvement") for verdict in self.verdicts)

    @property
    def named(self) -> str:
        """The time of the run by which the test was judged, if the user had named that run."""
        return next((verdict.named for verdict in self.verdicts if verdict.named), "")

    @property
    def tolerance(self) -> dict[str, float]:
        """What was tolerated when it was judged, by metric; of a test that was not, nothing."""
        return {one.metric: one.tolerance for one in self.verdicts if 0 < one.tolerance < 1}

    @property
    def trace(self) -> Trace | None:
        """Of the code that was measured."""
        return None if self.traces is None else self.traces.now

    @property
    def candidate(self) -> Candidate:
        """As one of the configurations of its test."""
        return Candidate.of(self.configuration, self.measurement, self.same_as)


def _place(measurement: Measurement) -> tuple[Host, dict[str, Any]]:
    """Where, and under which conditions, it was made."""
    return Host.of(measurement), conditions(measurement)


def _together(stored: Sequence[StoredMeasurement]) -> StoredMeasurement:
    """Measurements of one test in one place at one time: as if one had had all the processes."""
    *_, last = stored
    if len(stored) == 1:
        return last
    samples: list[Sample] = []
    for one in stored:
        first = 1 + max((sample.ring or 0 for sample in samples), default=-1)
        samples += [
            sample if sample.ring is None else replace(sample, ring=first + sample.ring)
            for sample in one.measurement.samples
        ]
    return replace(
        last,
        measurement=replace(
            last.measurement,
            samples=tuple(samples),
            flags=tuple(dict.fromkeys(flag for one in stored for flag in one.measurement.flags)),
            spreads=None,  # that of all these processes is not known
        ),
        verdicts=tuple(verdict for one in stored for verdict in one.verdicts),
        pairs=tuple(pair for one in stored for pair in one.pairs),
        took_turns_with_baseline=any(one.took_turns_with_baseline for one in stored),
    )


@dataclass(frozen=True)
class StoredRun:
    """One saved run of a suite."""

    label: str  # names the file
    datetime: str  # as the file has it
    commit: str | None  # the same
    dirty: bool  # the working tree had changes beside the commit
    # By node id, one measurement at least, in the order of the file. There are several where
    # several workers ran the test (pytest-xdist's --dist=each), perhaps on other hosts.
    tests: Mapping[str, tuple[StoredMeasurement, ...]]
    failed: frozenset[str] = frozenset()  # tests that were to be measured, but failed
    complete: bool = True  # the run did not end before all its tests

    @property
    def has_regressed(self) -> bool:
        """Whether any test had, on any host."""
        return any(one.has_regressed for stored in self.tests.values() for one in stored)

    @property
    def moment(self) -> dt.datetime:
        """When it was saved."""
        return moment_of(self.datetime)

    def closest(self, test: str, now: Measurement) -> StoredMeasurement | None:
        """The measurement of a test to compare with: comparable, and of the most similar place.

        Of those that are alike the last; where none is comparable, the last of all. Workers in one
        place count as more processes of one measurement.
        """
        stored = self.tests.get(test, ())
        if not stored:
            return None
        closest = max(
            reversed(stored),
            key=lambda one: (
                why_not_comparable(now, one.measurement) is None,
                kinship(now, one.measurement),
            ),
        )
        place = _place(closest.measurement)
        return _together([one for one in stored if _place(one.measurement) == place])

    @property
    def title(self) -> str:
        """File, date and commit, for people."""
        commit = short_commit(self.commit, self.dirty)
        return f"{self.label} ({self.datetime}{commit and f', commit {commit}'})"

    def condensed(self) -> StoredRun:
        """The same figures without the single rounds: all that is needed to judge by."""
        return replace(
            self,
            tests={
                test: tuple(replace(one, measurement=one.measurement.condensed()) for one in stored)
                for test, stored in self.tests.items()
            },
        )

    def to_json(self) -> dict[str, Any]:
        """For another process of this version."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StoredRun:
        """Raises `DecodeError`, as `parse_run` does for what no speed comes out of."""
        run = decode(cls, data)
        for several in run.tests.values():
            for one in several:
                decode(_Machine, one.measurement.machine, "machine")
                one.measurement.check()
        return run


_NO_COMMIT = ("", "unknown", "unversioned")
"""What pytest-benchmark saves where there is no repository, or where git refuses it."""


def moment_of(datetime: str) -> dt.datetime:
    """When a run was saved; of a date that cannot be read, the beginning of time."""
    try:
        moment = dt.datetime.fromisoformat(datetime.replace("Z", "+00:00"))
    except ValueError:
        return dt.datetime.min.replace(tzinfo=dt.timezone.utc)
    # pytest-benchmark 4 saves UTC, and does not say so.
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.timezone.utc)


def short_commit(commit: str | None, dirty: bool) -> str:
    """For people; empty where pytest-benchmark found none."""
    if commit is None or commit in _NO_COMMIT:
        return ""
    return f"{commit:.12}{' and changes' if dirty else ''}"


def read_run(path: Path, loads: Loads = json.loads) -> StoredRun:
    """Read a saved run; raises `BaselineError` for whatever is wrong with the file.

    `NotOursError` where nothing is wrong, but nothing was measured by this plugin.
    """
    try:
        text = read_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path}: cannot be read: {error}") from error
    return parse_run(text, str(path), loads)


def parse_run(text: str, label: str, loads: Loads = json.loads) -> StoredRun:
    """From a file's text; a benchmark that this plugin did not measure is left out.

    Raises `BaselineError` for a file that is truncated, not pytest-benchmark's, made without this
    plugin or by a newer one, or that has a wrong value anywhere in what is needed of it.
    """
    data = _parse_json(text, label, loads)
    if not isinstance(data, dict) or not {"benchmarks", "machine_info"} <= data.keys():
        raise BaselineError(
            f"{label}: JSON, but no saved run of pytest-benchmark (it has no 'benchmarks' and "
            "'machine_info')"
        )
    try:
        run = decode(_File, data)
    except DecodeError as error:
        raise BaselineError(f"{label}: {error}") from error
    tests: dict[str, list[StoredMeasurement]] = {}
    names = set()
    for benchmark in run.benchmarks:
        ours = None if benchmark.extra_info is None else benchmark.extra_info.tf_threads
        if ours is None:
            continue
        if benchmark.fullname in names:
            raise BaselineError(f"{label}: {benchmark.fullname} is in it twice")
        names.add(benchmark.fullname)
        try:
            test, stored = _stored(benchmark.fullname, ours)
        except DecodeError as error:
            raise BaselineError(f"{label}: {benchmark.fullname}: {error}") from error
        tests.setdefault(test, []).append(stored)
    if not tests:
        raise NotOursError(
            f"{label}: none of its benchmarks was measured by pytest-tfthreads; mark the tests "
            "with @pytest.mark.tf_threads and save a run with --benchmark-save"
        )
    about = run.tf_threads or _AboutRun()
    commit = run.commit_info or {}
    commit_id = commit.get("id")
    return StoredRun(
        label=label,
        datetime=run.datetime,
        commit=commit_id if isinstance(commit_id, str) and commit_id not in _NO_COMMIT else None,
        dirty=commit.get("dirty") is True,
        tests={test: tuple(stored) for test, stored in tests.items()},
        failed=about.failed,
        complete=about.complete,
    )


# -- the file, as pytest-benchmark and we write it ------------------------------------------------


@dataclass(frozen=True)
class _ExtraInfo:
    tf_threads: object = None  # looked at only where the benchmark is ours, to name it in errors


@dataclass(frozen=True)
class _Benchmark:
    fullname: str
    extra_info: _ExtraInfo | None = None


@dataclass(frozen=True)
class _AboutRun:
    failed: frozenset[str] = frozenset()
    complete: bool = True


@dataclass(frozen=True)
class _File:
    benchmarks: tuple[_Benchmark, ...]
    datetime: str
    commit_info: Mapping[str, Any] | None = None
    tf_threads: _AboutRun | None = None


@dataclass(frozen=True)
class _Schema:
    schema: Count


@dataclass(frozen=True)
class _Machine:
    """What must be known of a machine to compare with it, and to tell it from others."""

    cpu: str
    physical: Count
    logical: Count
    quota: NotNegative | None
    host: str | None = None
    python: str | None = None
    tensorflow: str | None = None


_OF_ENVIRONMENT = re.compile(r" \(Python [0-9.]+\)")


@dataclass(frozen=True)
class _Duet:
    """`took_turns` and `of_saved_run` are not there in runs of earlier versions."""

    against: str
    pairs: tuple[Pair, ...]
    took_turns: bool | None = None
    of_saved_run: bool | None = None

    @property
    def has_the_measurement(self) -> bool:
        """Whether the processes of the measurement are those that took turns with the baseline."""
        return bool(self.pairs) if self.took_turns is None else self.took_turns

    @property
    def is_of_environments(self) -> bool:
        """Whether the other side ran in another environment, whose Python its name then tells."""
        return _OF_ENVIRONMENT.search(self.against) is not None


@dataclass(frozen=True)
class _Recorded:
    """What is recorded of a measurement.

    `test` is there where several workers measured each test: then the name of the benchmark names
    the worker, too. Runs of early versions have no `group` and no `configuration`.
    """

    measurement: Annotated[Measurement, FLATTENED]
    test: str | None = None
    group: str | None = None
    configuration: Configuration | None = None
    verdicts: tuple[Verdict, ...] = ()
    duet: _Duet | None = None
    profile: Traces | None = None
    same_as: str = ""


def _parse_json(text: str, label: str, loads: Loads) -> object:
    try:
        return loads(text)
    # RecursionError: brackets nested by the thousand.
    except (ValueError, RecursionError) as error:
        raise BaselineError(
            f"{label}: no JSON, or cut off: {error}; save the run again with --benchmark-save"
        ) from error


def _stored(name: str, ours: object) -> tuple[str, StoredMeasurement]:
    """A benchmark's test, and its measurement. Raises `DecodeError`."""
    schema = decode(_Schema, ours, _OURS).schema
    if schema > SCHEMA:
        raise DecodeError(
            f"schema {schema} is newer than {SCHEMA}, the one this version knows; update "
            "pytest-tfthreads, or save the run again with this version",
            f"{_OURS}:",
        )
    recorded = decode(_Recorded, ours, _OURS)
    measurement = recorded.measurement
    decode(_Machine, measurement.machine, f"{_OURS}.machine")
    try:
        measurement.check()
    except DecodeError as error:
        raise error.within(_OURS) from error
    return recorded.test or name, StoredMeasurement(
        name=name,
        group=recorded.group or name,
        configuration=recorded.configuration or _asked_for(measurement.requested),
        measurement=measurement,
        verdicts=recorded.verdicts,
        pairs=() if recorded.duet is None else recorded.duet.pairs,
        took_turns_with_baseline=recorded.duet is not None and recorded.duet.has_the_measurement,
        beside_environment=recorded.duet is not None and recorded.duet.is_of_environments,
        beside_named=recorded.duet is not None and recorded.duet.of_saved_run is False,
        traces=recorded.profile,
        same_as=recorded.same_as,
    )


def _asked_for(pools: Pools) -> Configuration:
    try:
        threads = ThreadConfig(
            ThreadCount.parse(pools.intra, "intra"), ThreadCount.parse(pools.inter, "inter")
        )
    except ConfigError as error:
        raise DecodeError(f"is impossible: {error}", _OURS) from error
    return Configuration.named(threads.id, threads)
