"""Tests at several places side by side: what a command and a run of pytest say to each other.

A *place* is a revision of the code, in an environment. The run says which tests were collected,
and of each of them that it begins. The command then asks for processes at places, as often as it
likes, for what it asks next depends on the answers; and when it asks for the next test, the run
goes on. At last the run says that it is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pytest_tfthreads.core.decode import Count, DecodeError, NotNegative
from pytest_tfthreads.core.measurement import Measurement, Sample
from pytest_tfthreads.core.op_profile import Traces
from pytest_tfthreads.core.stats.moderation import Difference
from pytest_tfthreads.core.sweep.comparison import blocks, ring_differences


@dataclass(frozen=True)
class Place:
    """A commit (None: the current tree), and an interpreter (None: that of the command).

    `python` is an interpreter or the directory of a virtual environment. The processes of one pass
    after the other are forked from so many running `interpreters` of it in turn.
    """

    commit: str | None = None
    python: str | None = None
    interpreters: Count = field(default=1, compare=False)

    @property
    def title(self) -> str:
        """For people."""
        code = "the current tree" if self.commit is None else f"commit {self.commit:.12}"
        return code if self.python is None else f"{code} with {self.python}"


@dataclass(frozen=True)
class Selected:
    """One configuration of a marked test, which may measure."""

    nodeid: str
    process_s: NotNegative  # how long one of its processes is expected to take


@dataclass(frozen=True)
class Collected:
    """What the run says first: the tests that it will run, in that order.

    No more than `limit` places can take turns with each other at once (`--tf-threads-group`).
    """

    tests: tuple[Selected, ...]
    limit: Count


@dataclass(frozen=True)
class Begun:
    """A test that was measured in the current tree, by one process in `process_s` seconds.

    `problem`: why it could not be measured there; at other places it may be. `start_s`: what passed
    beside the process; before the first process of a run, an interpreter is started.
    """

    nodeid: str
    process_s: NotNegative
    problem: str = ""
    start_s: NotNegative = 0.0


@dataclass(frozen=True)
class Ended:
    """The run is over, with pytest's exit code: it may have stopped before its last test."""

    exit_code: int


@dataclass(frozen=True)
class Wish:
    """So many processes at each of these places, which take turns with each other.

    Where there are more places than may take turns at once, each meets the first one and its
    predecessor, and these then have more processes.
    """

    places: tuple[Place, ...]
    passes: Count


@dataclass(frozen=True)
class TraceWish:
    """A trace of the test at each of two places, in processes of their own, stored in a directory.

    `directory` is a whole path, `option` what the user has named it by.
    """

    now: Place
    then: Place
    directory: str
    option: str


@dataclass(frozen=True)
class Traced:
    """The answer to a wish for traces. `unwritten`: messages on those that could not be stored."""

    traces: Traces
    unwritten: tuple[str, ...] = ()


@dataclass(frozen=True)
class AtPlace:
    """What came of a place.

    `problem`: why there is no more of a `measurement`; what was measured before that is there.
    `is_mistake`: the problem is how the project is set up, and would be that of every place.
    `is_of_machine`: nothing is there for want of something that the machine lacks, such as room.
    `same_code`: why the test ran the current tree's code there, though nothing is wrong.
    """

    measurement: Measurement | None = None
    problem: str = ""
    is_mistake: bool = False
    is_of_machine: bool = False
    same_code: str = ""
    notes: tuple[str, ...] = ()  # for the reader

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Of its processes, in order."""
        return () if self.measurement is None else self.measurement.samples

    def joined(self, later: AtPlace) -> AtPlace:
        """With what came of the same place, for the same test, afterwards.

        Latency, imbalance and memory of several instances stay those of the first measurement.
        """
        if self.measurement is None or later.measurement is None:
            measurement = self.measurement or later.measurement
        else:
            measurement = replace(
                self.measurement,
                samples=self.samples + later.samples,
                flags=_once(self.measurement.flags, later.measurement.flags),
            )
        return replace(later, measurement=measurement, notes=_once(self.notes, later.notes))


@dataclass(frozen=True)
class MeasuredPlaces:
    """The answer to a wish: its places in their order.

    Samples with the same `ring` took turns with each other; no ring has its number twice in a run.
    """

    places: tuple[AtPlace, ...]

    @property
    def processes(self) -> int:
        """That measured something."""
        return sum(len(place.samples) for place in self.places)

    def check(self) -> None:
        """Raises `DecodeError` for measurements of which nothing comes out."""
        for number, place in enumerate(self.places):
            if place.measurement is not None:
                try:
                    place.measurement.check()
                except DecodeError as error:
                    raise error.within(f"places[{number}].measurement") from error


def by_ring(found: MeasuredPlaces) -> Iterator[Mapping[int, Sample]]:
    """The samples of each ring, by the index of their place."""
    rings: dict[int, dict[int, Sample]] = {}
    for index, place in enumerate(found.places):
        for sample in place.samples:
            if sample.ring is not None:
                rings.setdefault(sample.ring, {})[index] = sample
    yield from (rings[ring] for ring in sorted(rings))


def differences(first: Sample, second: Sample) -> tuple[Difference, Difference] | None:
    """Of the logs of the first's throughput and CPU efficiency over the second's, by their turns.

    None where no clock moved. A call of either side is one of the same work.
    """
    return ring_differences(blocks(first, 1.0), blocks(second, 1.0))


def _once(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(first + second))
