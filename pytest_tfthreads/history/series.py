"""Saved runs as lines: one for each test on each machine, through all its runs.

What a history needs of a saved run is little beside all its rounds, and small enough to be handed
from the process that reads the file to the one that looks at them all.
"""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from pytest_tfthreads.core.comparable import SOFTWARE, conditions, fingerprint, shown
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.saved_runs import StoredRun, moment_of
from pytest_tfthreads.core.stats.change_points import (
    ChangePoint,
    Segmentation,
    Session,
    Shift,
    segmentation,
    shifts_between,
)
from pytest_tfthreads.core.stats.estimates import (
    FAMILYWISE_ERROR,
    Estimate,
    Spread,
    mean_of_ratios,
)
from pytest_tfthreads.core.stats.known_changes import Known, with_known
from pytest_tfthreads.core.tolerance import METRICS

VERSIONS = {**SOFTWARE, "plugin": "pytest-tfthreads"}
"""What is recorded of the software beside the code under test, by its name in a saved file."""
_PLACE = {"host": "host", "tensorflow": "TensorFlow", "python": "Python"}

Facts = tuple[tuple[str, str], ...]
"""What something is, name by name."""


@dataclass(frozen=True)
class Point:
    """A test in one saved run. `speeds`: by metric, units a second or a CPU-second, one a process.

    `place` says on which host and with which versions it was measured. `measured_s` is how long a
    process measured. `reference_speeds` are calls a second of the reference workload, one a
    process; none where a process had none. `spreads`: by metric, where the run recorded them.
    `others_taken` is the share of the granted CPUs that other programs took; `None`: not known.
    """

    machine: Facts
    conditions: Facts
    place: Facts
    unit: str
    versions: Mapping[str, str]
    speeds: Mapping[str, tuple[float, ...]]
    measured_s: float
    regressed: bool
    reference_speeds: tuple[float, ...] = ()
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    others_taken: float | None = None

    def estimate(self, metric: str) -> Estimate:
        """The speed with its 95 % interval over processes, as the run recorded it."""
        return mean_of_ratios(self.speeds[metric], spread=self.spreads.get(metric))

    def session(self, metric: str) -> Session:
        return Session(tuple(map(math.log, self.speeds[metric])), self.measured_s)


@dataclass(frozen=True)
class RunOrigin:
    """Where a saved run comes from, and how the run ended.

    `name` is the file's; its leading digits are the run's `number`. `failed`: tests, by node id.
    """

    path: str
    name: str
    number: str
    datetime: str
    commit: str | None
    dirty: bool
    complete: bool
    failed: frozenset[str]

    @property
    def moment(self) -> dt.datetime:
        """When it was saved."""
        return moment_of(self.datetime)


@dataclass(frozen=True)
class Run(RunOrigin):
    """A saved run without its rounds; `points` by test (node id).

    A test has several points where several workers ran it (pytest-xdist's --dist=each).
    """

    points: Mapping[str, tuple[Point, ...]]

    @property
    def all_points(self) -> list[Point]:
        return [point for points in self.points.values() for point in points]

    @property
    def regressed(self) -> frozenset[str]:
        """Tests that had regressed, on any host."""
        found = self.points.items()
        return frozenset(test for test, points in found if any(point.regressed for point in points))


@dataclass(frozen=True)
class Line:
    """One test on one machine: its point in each of some runs, by the run's place among them all.

    `distinct` says what tells it from other lines of the test on that machine; mostly nothing.
    """

    test: str
    machine: Facts
    points: Mapping[int, Point]
    distinct: Facts = ()

    @property
    def runs(self) -> tuple[int, ...]:
        """Places of the runs that have it, in their order."""
        return tuple(self.points)

    @property
    def unit(self) -> str:
        return self.points[self.runs[0]].unit

    def segmentations(self, error: float) -> dict[str, Segmentation]:
        """Levels and changes by metric; `error` as in `changes.course`."""
        return {metric: segmentation(self.sessions(metric), error) for metric in METRICS}

    def sessions(self, metric: str) -> list[Session]:
        """One a run."""
        return [point.session(metric) for point in self.points.values()]


def run_of(stored: StoredRun) -> Run:
    """What a history needs of a saved run."""
    return Run(
        **name_of(stored.label),
        datetime=stored.datetime,
        commit=stored.commit,
        dirty=stored.dirty,
        complete=stored.complete,
        failed=stored.failed,
        points={
            test: tuple(_point(one.measurement, one.has_regressed) for one in several)
            for test, several in stored.tests.items()
        },
    )


def name_of(path: str) -> dict[str, str]:
    """The fields of a `Run` that follow from its file: `path`, `name` and `number`."""
    file = path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".json")
    number, _, name = file.partition("_")
    numbered = number.isascii() and number.isdigit() and bool(name)
    return {
        "path": path,
        "name": name if numbered else file,
        "number": number if numbered else "",
    }


def in_order(runs: Iterable[Run], places: Mapping[str, int]) -> list[Run]:
    """Runs by the place of their commit, then by time.

    A run whose commit has no place follows the last run that is not later than it: so an old
    release that was measured again today does not carry this year's runs back to its own place.
    """
    by_time = sorted(runs, key=lambda run: run.moment)
    placed = sorted(
        (run for run in by_time if run.commit in places), key=lambda run: places[run.commit or ""]
    )
    # The earliest moment from each placed run on: it only grows, and so can be searched.
    earliest: list[dt.datetime] = []
    for run in reversed(placed):
        earliest.append(min(run.moment, earliest[-1]) if earliest else run.moment)
    earliest.reverse()
    after: dict[int, list[Run]] = {}
    for run in by_time:
        if run.commit not in places:
            after.setdefault(bisect_right(earliest, run.moment), []).append(run)
    ordered = after.get(0, [])
    for index, run in enumerate(placed):
        ordered += [run, *after.get(index + 1, ())]
    return ordered


def lines_of(runs: Sequence[Run], wanted: Callable[[str], bool] = lambda _: True) -> list[Line]:
    """The lines of all wanted tests, by test, each test's by the first run of theirs.

    Runs are on one line if their speeds of the test may be compared (`baseline`): on other
    machines, or under other conditions, they are on another. Where one run has several points of a
    line (pytest-xdist's --dist=each), hosts or versions that differ there make lines of their own.
    """
    found: dict[tuple[str, Facts, Facts], list[tuple[int, Point]]] = {}
    for index, run in enumerate(runs):
        for test, several in run.points.items():
            if wanted(test):
                for point in several:
                    key = (test, point.machine, point.conditions)
                    found.setdefault(key, []).append((index, point))
    lines = [
        (Line(test, machine, points), (*facts, *place))
        for (test, machine, facts), all_points in found.items()
        for place, points in _by_place(all_points)
    ]
    return sorted(_told_apart(lines), key=lambda line: line.test)


def segmentations_of(
    lines: Sequence[Line],
    known: Callable[[Line, str], Sequence[Known]] = lambda line, metric: (),
) -> list[dict[str, Segmentation]]:
    """Of each line, levels and changes by metric.

    The chance of any change that is not there is to be 5 % for all of them together. `known` are
    changes of a line and metric that were measured side by side: they replace what was found.
    """
    histories = len(METRICS) * len(lines)
    return [
        {
            metric: with_known(found, line.sessions(metric), known(line, metric))
            for metric, found in line.segmentations(FAMILYWISE_ERROR / histories).items()
        }
        for line in lines
    ]


def reference_shifts(line: Line, changes: Sequence[ChangePoint]) -> list[Shift | None]:
    """How the reference workload's speed moved with each change; None where a run lacks it.

    What moves it is the machine, or TensorFlow, which multiplies its matrices.
    """
    points = line.points.values()
    if not changes or not all(point.reference_speeds for point in points):
        return [None] * len(changes)
    sessions = [
        Session(tuple(map(math.log, point.reference_speeds)), point.measured_s) for point in points
    ]
    return [*shifts_between(sessions, changes)]


def others_around(line: Line, change: ChangePoint) -> tuple[float, float] | None:
    """The share of the granted CPUs that other programs took, on the old and the new level.

    Means of the runs that know; `None` where a level has no such run.
    """
    shares = [point.others_taken for point in line.points.values()]
    before, after = (
        [share for share in shares[level.start : level.stop] if share is not None]
        for level in (change.old, change.new)
    )
    return (fmean(before), fmean(after)) if before and after else None


def version_changes(earlier: Point, later: Point) -> list[tuple[str, str, str]]:
    """What differs of the software beside the code under test: name, before, after."""
    return [
        (words, earlier.versions.get(key, "unknown"), later.versions.get(key, "unknown"))
        for key, words in VERSIONS.items()
        if earlier.versions.get(key) != later.versions.get(key)
    ]


def _by_place(points: Sequence[tuple[int, Point]]) -> list[tuple[Facts, dict[int, Point]]]:
    """Points of runs as lines: what distinguishes each, and its points. A run may have several."""
    by_run: dict[int, list[Point]] = {}
    for index, point in points:
        by_run.setdefault(index, []).append(point)
    telling = {
        name
        for several in by_run.values()
        for facts in zip(*(one.place for one in several), strict=True)
        for name, _ in facts
        if len(set(facts)) > 1
    }
    lines: dict[Facts, dict[int, Point]] = {}
    for index, point in points:
        place = tuple((name, value) for name, value in point.place if name in telling)
        line = lines.setdefault(place, {})
        line[index] = _joined(line[index], point) if index in line else point
    return [*lines.items()]


def _joined(first: Point, second: Point) -> Point:
    """Two measurements in one place at one time: as if one had had all the processes."""
    references = (first.reference_speeds, second.reference_speeds)
    others = [one.others_taken for one in (first, second) if one.others_taken is not None]
    return replace(
        first,
        speeds={name: (*one, *second.speeds[name]) for name, one in first.speeds.items()},
        measured_s=min(first.measured_s, second.measured_s),
        regressed=first.regressed or second.regressed,
        reference_speeds=sum(references, ()) if all(references) else (),
        spreads={},
        others_taken=fmean(others) if others else None,
    )


def _point(measurement: Measurement, regressed: bool) -> Point:
    samples, spreads = measurement.samples, measurement.spreads
    references = [sample.reference_wall_s for sample in samples]
    machine, of_test = line_of(measurement)
    company = measurement.contention
    return Point(
        machine=machine,
        conditions=of_test,
        place=_in_words({name: measurement.machine.get(key) for key, name in _PLACE.items()}),
        unit=measurement.unit,
        versions={key: str(value) for key in VERSIONS if (value := measurement.machine.get(key))},
        speeds={
            "throughput": tuple(measurement.throughputs),
            "cpu_efficiency": tuple(measurement.cpu_efficiencies),
        },
        measured_s=fmean(sum(sample.wall_s) for sample in samples),
        regressed=regressed,
        reference_speeds=tuple(1 / reference for reference in references if reference)
        if all(references)
        else (),
        spreads={}
        if spreads is None
        else {"throughput": spreads.throughput, "cpu_efficiency": spreads.cpu_efficiency},
        others_taken=None if company is None else company.taken,
    )


def line_of(measurement: Measurement) -> tuple[Facts, Facts]:
    """The machine and the conditions: what makes a test's speeds be on one line."""
    return _in_words(fingerprint(measurement)), _in_words(conditions(measurement))


def _in_words(facts: Mapping[str, object]) -> Facts:
    return tuple((words, shown(value)) for words, value in facts.items())


def _told_apart(lines: Sequence[tuple[Line, Facts]]) -> list[Line]:
    """With what differs between the lines of a test on a machine."""
    seen: dict[tuple[str, Facts], list[Facts]] = {}
    for line, facts in lines:
        seen.setdefault((line.test, line.machine), []).append(facts)
    result = []
    for line, facts in lines:
        alike = seen[line.test, line.machine]
        distinct = tuple(fact for fact in facts if any(fact not in one for one in alike))
        result.append(replace(line, distinct=distinct))
    return result
