"""Saved runs: from the text of pytest-benchmark's files to measurements that can be judged by.

The files come from anywhere (another job, another version, a text editor), so nothing in them is
believed: whatever is wrong becomes one `BaselineError` that names file, benchmark and field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_tfthreads.core.measurement import SCHEMA, Measurement
from pytest_tfthreads.core.pairs import Pair
from pytest_tfthreads.core.trace import OpProfile, OpTime, Trace

Loads = Callable[[str], Any]
"""As `json.loads`."""

_FINGERPRINT = {
    "cpu": "CPU model",
    "physical": "physical CPUs granted",
    "logical": "logical CPUs granted",
    "quota": "CPU quota",
}
_KINSHIP = ("host", "python", "tensorflow")
"""What need not be the same; of several that may be compared, the one most alike is."""


RUNS_OF_PAIRS = 5
"""How many saved runs tell a duet its noise: the latest, for machines change."""
_LARGEST = 1e300
_LOG_LIMIT = 100.0  # of a ratio of two speeds, as a logarithm: any factor that can be


class BaselineError(ValueError):
    """A saved run that cannot be used; the message names the file and what to do."""


@dataclass(frozen=True)
class StoredMeasurement:
    """A test in a saved run: what was measured, and what `StoredRun` tells beside that."""

    measurement: Measurement
    regressed: bool = False
    pairs: tuple[Pair, ...] = ()
    profile: OpProfile | None = None
    named: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "measurement": self.measurement.condensed().to_json(),
            "regressed": self.regressed,
            "named": self.named,
            "pairs": [pair.to_json() for pair in self.pairs],
            "profile": None if self.profile is None else self.profile.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StoredMeasurement:
        profile = data["profile"]
        return cls(
            measurement=Measurement.from_json(data["measurement"]),
            regressed=data["regressed"],
            pairs=tuple(map(Pair.from_json, data["pairs"])),
            profile=None if profile is None else OpProfile.from_json(profile),
            named=data["named"],
        )


@dataclass(frozen=True)
class StoredRun:
    """One saved run of a suite: `measurements` by the test's node id.

    `label` names the file, `datetime` and `commit` are as the file has them. `regressed` are those
    that were judged a regression then: no baseline, or the next run would find nothing wrong.
    `pairs` are those of the tests that were compared side by side, `profiles` of those that were
    traced, `named` are the times of the runs that tests were judged by because the user named them.
    `failed` are those that were to be measured then, but failed; a run is not `complete` if it
    ended before all its tests. `elsewhere` has the further measurements of tests that several
    workers ran (pytest-xdist's --dist=each), on other hosts perhaps.
    """

    label: str
    datetime: str
    commit: str | None
    dirty: bool
    measurements: Mapping[str, Measurement]
    regressed: frozenset[str] = frozenset()
    pairs: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    profiles: Mapping[str, OpProfile] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    complete: bool = True
    elsewhere: Mapping[str, tuple[StoredMeasurement, ...]] = field(default_factory=dict)

    @property
    def has_regressed(self) -> bool:
        """Whether any test did, on any host."""
        others = (one for further in self.elsewhere.values() for one in further)
        return bool(self.regressed) or any(one.regressed for one in others)

    def of(self, test: str) -> tuple[StoredMeasurement, ...]:
        """All measurements of a test, in the order of the file."""
        if test not in self.measurements:
            return ()
        first = StoredMeasurement(
            self.measurements[test],
            test in self.regressed,
            self.pairs.get(test, ()),
            self.profiles.get(test),
            self.named.get(test, ""),
        )
        return (first, *self.elsewhere.get(test, ()))

    def closest(self, test: str, now: Measurement) -> StoredMeasurement | None:
        """The measurement of a test to compare with: comparable, and of the most similar place.

        Of those that are alike the last; where none is comparable, the last of all.
        """
        stored = self.of(test)
        return max(
            reversed(stored),
            key=lambda one: (
                why_not_comparable(now, one.measurement) is None,
                _kinship(now, one.measurement),
            ),
            default=None,
        )

    @property
    def title(self) -> str:
        """File, date and commit, for people."""
        commit = short_commit(self.commit, self.dirty)
        return f"{self.label} ({self.datetime}{commit and f', commit {commit}'})"

    def to_json(self) -> dict[str, Any]:
        """For another process of this version: all that is needed to judge by it, and no more."""
        return {
            "label": self.label,
            "datetime": self.datetime,
            "commit": self.commit,
            "dirty": self.dirty,
            "failed": sorted(self.failed),
            "complete": self.complete,
            "tests": {test: [one.to_json() for one in self.of(test)] for test in self.measurements},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StoredRun:
        values = dict(data)
        tests = {
            test: [StoredMeasurement.from_json(one) for one in stored]
            for test, stored in values.pop("tests").items()
        }
        return cls(**{**values, "failed": frozenset(values["failed"])}, **_by_test(tests))


@dataclass(frozen=True)
class History:
    """What one measurement is judged by: comparable measurements of its test, oldest first.

    `titles` are those of their runs, `baseline` that of the last, and `trace` is what is known of
    its trace. Those of the present level (`level`) are the baseline, which begins with `since` at
    the earliest; `beside` are those that were measured side by side with their baselines without a
    regression. If the user named a run, the last alone is the baseline, and `named` is its time.
    With no measurement, `problem` says why, and `status` is the verdict that follows.
    """

    measurements: tuple[Measurement, ...]
    baseline: str = ""
    problem: str = ""
    status: str = "no-baseline"
    trace: Trace | None = None
    titles: tuple[str, ...] = ()
    named: str = ""
    since: int = 0
    beside: frozenset[int] = frozenset()

    def words_of(self, members: Sequence[int]) -> str:
        """The runs of these measurements, for people."""
        if not self.titles or not members:
            return self.baseline
        first, last = self.titles[members[0]], self.titles[members[-1]]
        return first if first == last else f"the mean of {len(members)} runs, {first} to {last}"


def short_commit(commit: str | None, dirty: bool) -> str:
    """For people; empty where pytest-benchmark found none."""
    if commit in (None, "", "unknown", "unversioned"):
        return ""
    return f"{commit:.12}{' and changes' if dirty else ''}"


def read_run(path: Path, loads: Loads = json.loads) -> StoredRun:
    """Read a saved run; raises `BaselineError` for whatever is wrong with the file."""
    return parse_run(read_text(path), str(path), loads)


def read_text(path: Path) -> str:
    """Of a file; raises `BaselineError` where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path}: cannot be read: {error}") from error


def test_of(ours: Fields, fullname: str) -> str:
    """The node id: where several workers ran a test, its full name in a file names one, too."""
    return ours.text("test") if "test" in ours.data else fullname


def parse_json(text: str, label: str, loads: Loads = json.loads) -> object:
    """Raises `BaselineError`."""
    try:
        return loads(text)
    # RecursionError: brackets nested by the thousand.
    except (ValueError, RecursionError) as error:
        raise BaselineError(
            f"{label}: no JSON, or cut off: {error}; save the run again with --benchmark-save"
        ) from error


def parse_run(text: str, label: str, loads: Loads = json.loads) -> StoredRun:
    """From a file's text; a benchmark that this plugin did not measure is left out.

    Raises `BaselineError` for a file that is truncated, not pytest-benchmark's, made without this
    plugin or by a newer one, or that has a wrong value anywhere in what is needed of it.
    """
    data = parse_json(text, label, loads)
    if not isinstance(data, dict) or not {"benchmarks", "machine_info"} <= data.keys():
        raise BaselineError(
            f"{label}: JSON, but no saved run of pytest-benchmark (it has no 'benchmarks' and "
            "'machine_info')"
        )
    run = Fields(data, label)
    commit = run.optional("commit_info", Fields)
    tests: dict[str, list[StoredMeasurement]] = {}
    names = set()
    for number, value in enumerate(run.sequence("benchmarks")):
        one = Fields(value, f"{label}: benchmarks[{number}]")
        name = one.text("fullname")
        extra = one.optional("extra_info", Fields)
        ours = extra and extra.optional("tf_threads", Fields)
        if ours is None:
            continue
        if name in names:
            raise BaselineError(f"{label}: {name} is in it twice")
        names.add(name)
        ours = Fields(ours.data, f"{label}: {name}: tf_threads")
        tests.setdefault(test_of(ours, name), []).append(
            StoredMeasurement(
                _measurement(ours),
                _was_regression(ours),
                _pairs(ours),
                _profile(ours),
                _named(ours),
            )
        )
    if not tests:
        raise BaselineError(
            f"{label}: none of its benchmarks was measured by pytest-tfthreads; mark the tests "
            "with @pytest.mark.tf_threads and save a run with --benchmark-save"
        )
    about = run.optional("tf_threads", Fields) or Fields({}, label)
    commit_id = commit and commit.data.get("id")
    return StoredRun(
        label=label,
        datetime=run.text("datetime"),
        commit=commit_id if isinstance(commit_id, str) else None,
        dirty=commit is not None and commit.data.get("dirty") is True,
        failed=frozenset(about.texts("failed") if "failed" in about.data else ()),
        complete=about.flag("complete") if "complete" in about.data else True,
        **_by_test(tests),
    )


def _by_test(tests: Mapping[str, Sequence[StoredMeasurement]]) -> dict[str, Any]:
    """Fields of a run: for each test the first measurement, and the further ones."""
    return {
        "measurements": {test: one.measurement for test, (one, *_) in tests.items()},
        "regressed": frozenset(test for test, (one, *_) in tests.items() if one.regressed),
        "pairs": {test: one.pairs for test, (one, *_) in tests.items() if one.pairs},
        "profiles": {test: one.profile for test, (one, *_) in tests.items() if one.profile},
        "named": {test: one.named for test, (one, *_) in tests.items() if one.named},
        "elsewhere": {test: tuple(rest) for test, (_, *rest) in tests.items() if rest},
    }


def history_of(
    runs: Sequence[StoredRun], test: str, now: Measurement, named: bool = False
) -> History:
    """The comparable measurements of a test in saved runs, which are given oldest first.

    Where the user named a run (`named`), the baseline is that of the last run and no other. A run
    in which the test was found to have regressed is passed over, unless it is named, or a later run
    was judged by it because it had been named: so a regression that is to be accepted is accepted
    by its number.
    """
    if not runs:
        return History((), problem="there is no saved run; make one with --benchmark-save")
    accepted = _accepted(runs, test, now)
    if not named:
        runs = [
            run for run in runs if run.datetime in accepted or not _had_regressed(run, test, now)
        ] or runs
    measured = [(run, one) for run in runs if (one := run.closest(test, now)) is not None]
    if not measured or (named and measured[-1][0] is not runs[-1]):
        return History((), problem=_unmeasured(runs[-1:] if named else runs, test))
    reasons = [why_not_comparable(now, one.measurement) for _, one in measured]
    comparable = [found for found, reason in zip(measured, reasons, strict=True) if reason is None]
    if not comparable or (named and comparable[-1][0] is not runs[-1]):
        problem = f"{measured[-1][0].title} is not comparable: {reasons[-1]}"
        return History((), problem=problem, status="not-comparable")
    run, last = comparable[-1]
    return History(
        tuple(one.measurement for _, one in comparable),
        baseline=run.title,
        trace=None if last.profile is None else Trace(run.title, None, last.profile),
        titles=tuple(run.title for run, _ in comparable),
        named=run.datetime if named else "",
        since=max(
            (index for index, (run, _) in enumerate(comparable) if run.datetime in accepted),
            default=0,
        ),
        beside=frozenset(
            index for index, (_, one) in enumerate(comparable) if one.pairs and not one.regressed
        ),
    )


def pairs_of(runs: Sequence[StoredRun], test: str, now: Measurement) -> list[tuple[Pair, ...]]:
    """A test's pairs in the latest comparable saved runs that have any, latest last.

    A run that had regressed is among them: it is the scatter of pairs that is asked for, and a
    change of speed leaves that as it is.
    """
    found = [
        one.pairs
        for run in runs
        for one in run.of(test)
        if one.pairs and why_not_comparable(now, one.measurement) is None
    ]
    return found[-RUNS_OF_PAIRS:]


def _had_regressed(run: StoredRun, test: str, now: Measurement) -> bool:
    """Whether the test had, where it was measured then as now."""
    stored = run.closest(test, now)
    return stored is not None and stored.regressed


def _accepted(runs: Sequence[StoredRun], test: str, now: Measurement) -> frozenset[str]:
    """Times of the runs that the user named as the baseline of a later one."""
    measured = (run.closest(test, now) for run in runs)
    return frozenset(one.named for one in measured if one is not None and one.named)


def _kinship(now: Measurement, then: Measurement) -> int:
    """How many things are the same that need not be."""
    return sum(now.machine.get(key) == then.machine.get(key) for key in _KINSHIP)


def _unmeasured(runs: Sequence[StoredRun], test: str) -> str:
    """In words why a test is in none of these runs."""
    last = runs[-1]
    failed = [run for run in runs if test in run.failed]
    if failed:
        return f"the test failed when {failed[-1].title} was saved"
    if len(runs) > 1:
        return f"the test was not measured in any of {len(runs)} saved runs"
    early = "" if last.complete else ", which ended early"
    return f"the test was not measured in {last.title}{early}"


def why_not_comparable(now: Measurement, then: Measurement) -> str | None:
    """In words what differs so that speeds cannot be compared, or `None`.

    Clock readings and the versions of TensorFlow and Python may differ: releases are what people
    compare.
    """
    mine = {**fingerprint(now), **conditions(now)}
    theirs = {**fingerprint(then), **conditions(then)}
    differences = [
        f"{words}: {shown(value)} now, {shown(theirs[words])} then"
        for words, value in mine.items()
        if value != theirs[words]
    ]
    return "; ".join(differences) or None


def fingerprint(measurement: Measurement) -> dict[str, Any]:
    """What must be the same of two machines for speeds to be compared, in words."""
    return {words: measurement.machine.get(key) for key, words in _FINGERPRINT.items()}


def conditions(measurement: Measurement) -> dict[str, Any]:
    """What must be the same of two measurements of a test beside their machines, in words."""
    return {
        "CPUs of the test": len(measurement.cpus),
        "intra-op threads asked for": measurement.requested.intra,
        "inter-op threads asked for": measurement.requested.inter,
        "start of processes": measurement.start,
        "unit": measurement.unit,
        "items a call": measurement.items,
    }


def shown(value: object) -> str:
    """A value of `fingerprint` or `conditions` for people."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


class Fields:
    """A JSON object whose fields are taken out one by one, each with the type it must have."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise BaselineError(f"{where} is {_kind(data)}, not an object")
        self.data: dict[str, Any] = data
        self.where = where

    def __getitem__(self, name: str) -> Any:
        if name not in self.data:
            raise BaselineError(f"{self.where}: '{name}' is missing")
        return self.data[name]

    def wrong(self, name: str, expected: str) -> BaselineError:
        shown = _kind(self.data[name])
        return BaselineError(f"{self.where}: '{name}' is {shown}, not {expected}")

    def optional(self, name: str, kind: type[Fields]) -> Fields | None:
        value = self.data.get(name)
        return None if value is None else kind(value, f"{self.where}: '{name}'")

    def text(self, name: str) -> str:
        if not isinstance(self[name], str):
            raise self.wrong(name, "text")
        return str(self[name])

    def number(self, name: str) -> float:
        if not _is_number(self[name]):
            raise self.wrong(name, "a finite number >= 0")
        number: float = self[name]
        return number

    def integer(self, name: str) -> int:
        value = self[name]
        if not _is_number(value) or not isinstance(value, int):
            raise self.wrong(name, "an integer >= 0")
        return value

    def logarithm(self, name: str) -> float:
        """Of a ratio of speeds; it may be negative."""
        value = self[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.wrong(name, "a number")
        if not abs(value) <= _LOG_LIMIT:
            raise self.wrong(name, f"a number between -{_LOG_LIMIT:g} and {_LOG_LIMIT:g}")
        return float(value)

    def flag(self, name: str) -> bool:
        if not isinstance(self[name], bool):
            raise self.wrong(name, "true or false")
        return bool(self[name])

    def texts(self, name: str) -> list[str]:
        values = self.sequence(name)
        if not all(isinstance(one, str) for one in values):
            raise self.wrong(name, "a list of texts")
        return values

    def sequence(self, name: str) -> list[Any]:
        if not isinstance(self[name], list):
            raise self.wrong(name, "a list")
        return list(self[name])

    def numbers(self, name: str, kind: type[float] | type[int] = float) -> list[Any]:
        values = self.sequence(name)
        if _are_plain_floats(values) and kind is float:
            return values
        if not all(_is_number(one) and isinstance(one, (kind, int)) for one in values):
            raise self.wrong(name, f"a list of {kind.__name__} numbers >= 0")
        return values


def _measurement(data: Fields) -> Measurement:
    schema = data.integer("schema")
    if schema > SCHEMA:
        raise BaselineError(
            f"{data.where}: schema {schema} is newer than {SCHEMA}, the one this version knows; "
            "update pytest-tfthreads, or save the run again with this version"
        )
    effective = data.optional("effective", Fields)
    machine = Fields(data["machine"], f"{data.where}: 'machine'")
    machine.text("cpu")
    machine.integer("physical")
    machine.integer("logical")
    if machine["quota"] is not None:
        machine.number("quota")
    if data.sequence("cpus") == []:
        raise data.wrong("cpus", "a CPU or more")
    checked = {
        "intra": data.integer("intra"),
        "inter": data.integer("inter"),
        "effective": effective and {name: effective.integer(name) for name in ("intra", "inter")},
        "cpus": data.numbers("cpus", int),
        "start": data.text("start"),
        "items": data.number("items"),
        "unit": data.text("unit"),
        "processes": [
            _sample(Fields(one, f"{data.where}: processes[{number}]"))
            for number, one in enumerate(data.sequence("processes"))
        ],
        "machine": machine.data,
        "flags": [str(flag) for flag in data.sequence("flags")],
    }
    try:
        measurement = Measurement.from_json(checked)
        # Each value may be fine and yet nothing come out: no process, no items, 1e-320 s.
        figures = (measurement.throughput, measurement.cpu_efficiency, measurement.cores_used)
        if not all(0 < figure.value < math.inf for figure in figures):
            raise ValueError("a speed that is not finite")  # noqa: TRY301  # one message for all
    except (ValueError, ArithmeticError) as error:
        raise BaselineError(f"{data.where}: 'processes' are impossible: {error}") from error
    return measurement


def _was_regression(data: Fields) -> bool:
    return any(one.text("status") == "regression" for one in _verdicts(data))


def _named(data: Fields) -> str:
    """The time of the run by which the test was judged, if the user had named it."""
    named = (one.text("named") for one in _verdicts(data) if "named" in one.data)
    return next(filter(None, named), "")


def _verdicts(data: Fields) -> list[Fields]:
    if data.data.get("verdicts") is None:
        return []
    return [
        Fields(one, f"{data.where}: verdicts[{number}]")
        for number, one in enumerate(data.sequence("verdicts"))
    ]


def _pairs(data: Fields) -> tuple[Pair, ...]:
    duet = data.optional("duet", Fields)
    if duet is None:
        return ()
    duet.text("against")
    pairs = []
    for number, value in enumerate(duet.sequence("pairs")):
        pair = Fields(value, f"{duet.where}: pairs[{number}]")
        pairs.append(Pair(pair.logarithm("throughput"), pair.logarithm("cpu_efficiency")))
    return tuple(pairs)


def _profile(data: Fields) -> OpProfile | None:
    traces = data.optional("profile", Fields)
    now = traces and traces.optional("now", Fields)
    return None if now is None else op_profile(now)


def op_profile(now: Fields) -> OpProfile:
    """As `OpProfile.to_json` wrote it; raises `BaselineError`."""
    ops = []
    for number, value in enumerate(now.sequence("ops")):
        one = Fields(value, f"{now.where}: ops[{number}]")
        ops.append(OpTime(one.text("op"), one.number("count"), one.number("self_s")))
    return OpProfile(
        now.integer("calls"), now.number("wall_s"), now.number("outside_s"), tuple(ops)
    )


def _sample(data: Fields) -> dict[str, Any]:
    """Fields as in `Sample.to_json`; unknown ones are left out, later ones may be missing."""
    sample: dict[str, Any] = {name: data.numbers(name) for name in ("wall_s", "cpu_s")}
    sample["cpus"] = data.numbers("cpus", int)
    sample["setup_s"] = data.number("setup_s")
    for name in (
        "iterations",
        "warmup_rounds",
        "max_rss_bytes",
        "voluntary_switches",
        "involuntary_switches",
    ):
        sample[name] = data.integer(name)
    for name in ("ring", "turn_rounds"):
        if data.data.get(name) is not None:
            sample[name] = data.integer(name)
    for name in ("reference_wall_s", "reference_cpu_s"):
        if data.data.get(name) is not None:
            sample[name] = data.number(name)
    return sample


def _is_number(value: object) -> bool:
    # Python's parser takes NaN, Infinity and integers beyond any float; True is an int.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= _LARGEST


def _are_plain_floats(values: list[Any]) -> bool:
    """Whether `_is_number` certainly holds for each: rounds by the million are read in one go."""
    if set(map(type, values)) != {float}:
        return False
    # A NaN, which compares like nothing else, would show in the sum.
    return math.isfinite(sum(values)) and min(values) >= 0 and max(values) <= _LARGEST


def _kind(value: object) -> str:
    if value is None or isinstance(value, (bool, int, float, str)):
        shown = repr(value) if not isinstance(value, int) or abs(value) < 1e300 else "a huge number"
        return shown if len(shown) <= 40 else f"{shown[:37]}..."
    return "an object" if isinstance(value, dict) else "a list"
