"""What a profiler's trace says: which ops take the time of a call.

A trace has a line for each thread, and on it spans that lie within each other. An op's own time
(self time) is that of its span without the ops within it, on the thread that ran it: the threads
that help with one op have no spans of their own.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pytest_tfthreads.core.decode import FLATTENED, Count, NotNegative, decode, encode

MOST_OPS = 20
"""How many ops are kept of a trace, those with the most time."""
ROUND = "tf_threads round"
"""The span of a round, which tells what belongs to it."""

# TensorFlow's names. An op that Python calls has no span but this one, within a span that names it.
_EAGER_KERNEL = "KernelAndDeviceFunc::Run"
_ITERATOR = "Iterator::"


@dataclass(frozen=True)
class Span:
    """A piece of a thread's time, in picoseconds from whenever.

    `kind` is the type of the op (`MatMul`, `Iterator::Map`) where TensorFlow tells it, and
    `eager_op` what a span says of the op that Python calls within it: its type, or nothing where
    it is a function.
    """

    name: str
    start_ps: int
    duration_ps: int
    kind: str = ""
    eager_op: str | None = None

    @property
    def end_ps(self) -> int:
        return self.start_ps + max(0, self.duration_ps)


@dataclass(frozen=True)
class OpTime:
    """One type of op: how often it ran, and its own seconds, a call of the benchmarked function."""

    op: str
    count: NotNegative
    self_s: NotNegative


@dataclass(frozen=True)
class OpProfile:
    """Where the time of a call goes: means over `calls` calls, in seconds.

    `outside_s` is the part of `wall_s` in which no op ran: Python, and TensorFlow's dispatch and
    scheduling. Ops run side by side, so their times may add up to more than `wall_s`. `ops` are
    those with the most time, longest first.
    """

    calls: Count
    wall_s: NotNegative
    outside_s: NotNegative
    ops: tuple[OpTime, ...]

    @classmethod
    def of(cls, lines: Sequence[Sequence[Span]], iterations: int) -> OpProfile:
        """From the threads' spans, those of rounds among them, of so many calls each.

        What began outside of a round is not counted. Raises `ValueError` where there is no round.
        """
        rounds = sorted(
            (span.start_ps, span.end_ps) for line in lines for span in line if span.name == ROUND
        )
        if not rounds:
            raise ValueError("no round is in the trace")
        totals: dict[str, tuple[int, int]] = {}
        busy: list[tuple[int, int]] = []
        for line in lines:
            for op, span, self_ps in _self_times(_ops(line)):
                end_ps = _end_of_round(rounds, span.start_ps)
                if end_ps is not None:
                    count, sum_ps = totals.get(op, (0, 0))
                    totals[op] = (count + 1, sum_ps + self_ps)
                    busy.append((span.start_ps, min(span.end_ps, end_ps)))
        calls = len(rounds) * iterations
        wall_ps = sum(end - start for start, end in rounds)
        times = [
            OpTime(op, count / calls, sum_ps / 1e12 / calls)
            for op, (count, sum_ps) in totals.items()
        ]
        return cls(
            calls=calls,
            wall_s=wall_ps / 1e12 / calls,
            outside_s=(wall_ps - _covered_ps(busy)) / 1e12 / calls,
            ops=tuple(sorted(times, key=lambda one: (-one.self_s, one.op))[:MOST_OPS]),
        )

    def self_s(self, op: str) -> float | None:
        """Of one type of op; `None` where it is not among those with the most time."""
        return next((one.self_s for one in self.ops if one.op == op), None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the fields."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OpProfile:
        """Raises `DecodeError`."""
        return decode(cls, data)


@dataclass(frozen=True)
class Trace:
    """A stored trace, or what a saved run tells of one.

    `path` is its directory, seen from that of all traces; nothing where only the saved run is left.
    `title` says which code it is of, for people.
    """

    title: str
    path: str | None
    profile: Annotated[OpProfile, FLATTENED]


@dataclass(frozen=True)
class TraceResult:
    """What a process that was to be traced tells: a profile, or the problem why there is none.

    `is_unwritten`: the problem is that the directory, or its disk, did not take the trace.
    """

    profile: OpProfile | None = None
    problem: str = ""
    is_unwritten: bool = False

    def __post_init__(self) -> None:
        if (self.profile is None) is not bool(self.problem):
            raise ValueError("it has both a profile and a problem, or neither")


@dataclass(frozen=True)
class Traces:
    """The traces of one test under one configuration, below `directory` of the machine `host`.

    `problems`: why some could not be taken.
    """

    directory: str
    host: str
    now: Trace | None = None
    baseline: Trace | None = None
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the fields."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Traces:
        """Raises `DecodeError`."""
        return decode(cls, data)


def _ops(line: Sequence[Span]) -> Iterator[tuple[str, Span]]:
    """The spans of ops, outer ones first, each with the type of its op."""
    around: list[Span] = []  # those that name the op that Python calls
    for span in sorted(line, key=lambda one: (one.start_ps, -one.duration_ps)):
        while around and around[-1].end_ps <= span.start_ps:
            around.pop()
        if span.eager_op is not None:
            around.append(span)
        elif span.name == _EAGER_KERNEL:
            # That of a function waits for the function's own ops, on other threads.
            if around and around[-1].eager_op:
                yield around[-1].eager_op, span
        elif span.kind.startswith(_ITERATOR) or (span.kind and span.name.endswith(f":{span.kind}")):
            yield span.kind, span


def _self_times(ops: Iterable[tuple[str, Span]]) -> Iterator[tuple[str, Span, int]]:
    """Each op with its own picoseconds."""
    within: list[tuple[str, Span, int]] = []  # the last one lies within all before it
    for op, span in ops:
        while within and within[-1][1].end_ps <= span.start_ps:
            yield within.pop()
        if within:
            outer, outer_span, self_ps = within.pop()
            shared_ps = min(span.end_ps, outer_span.end_ps) - span.start_ps
            within.append((outer, outer_span, max(0, self_ps - shared_ps)))
        within.append((op, span, max(0, span.duration_ps)))
    yield from within


def _end_of_round(rounds: Sequence[tuple[int, int]], start_ps: int) -> int | None:
    """When the round ends in which this is; `None` if it is in none."""
    place = bisect.bisect_right(rounds, (start_ps, math.inf)) - 1
    return rounds[place][1] if place >= 0 and start_ps < rounds[place][1] else None


def _covered_ps(pieces: Iterable[tuple[int, int]]) -> int:
    """The time that any of the pieces covers."""
    covered, until = 0, 0
    for start, end in sorted(pieces):
        covered += max(0, end - max(start, until))
        until = max(until, end)
    return covered
