"""Where traces are, and which ops take the time: text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_tfthreads.core.format import milliseconds, one_line, printable
from pytest_tfthreads.core.op_profile import OpProfile, Trace, Traces
from pytest_tfthreads.report.table import aligned

_TOP = 5
_OUTSIDE = "outside of ops"


@dataclass(frozen=True)
class Row:
    """One test under one configuration, and what was traced of it."""

    name: str
    traces: Traces


def render(
    rows: Sequence[Row], host: str, names: tuple[str, str] = ("now", "baseline")
) -> list[str]:
    """Lines of text; `host` is the machine on which they are read.

    `names` are those of a test's two traces, where it has two.
    """
    lines = []
    places = dict.fromkeys((row.traces.host, row.traces.directory) for row in rows)
    for place in places:
        where = "" if place[0] == host else f" on {place[0]}"
        lines.append(f"Traces{where}: tensorboard --logdir {printable(place[1])}")
        for row in rows:
            if (row.traces.host, row.traces.directory) == place:
                lines += [f"  {line}" for line in _of_test(row, names)]
    return [printable(line) for line in lines]


def _of_test(row: Row, names: tuple[str, str]) -> Iterator[str]:
    traces = row.traces
    if traces.now is not None:
        yield f"{row.name}: {printable(traces.now.path or '')}"
        if traces.baseline is None:
            yield f"  {_in_a_line(traces.now.profile)}"
        else:
            yield from (f"  {line}" for line in _side_by_side(traces.now, traces.baseline, names))
    for problem in traces.problems:
        yield f"{row.name}: {one_line(problem)}"


def _in_a_line(profile: OpProfile) -> str:
    ops = ", ".join(f"{one_line(one.op)} {milliseconds(one.self_s)}" for one in profile.ops[:_TOP])
    return (
        f"ms a call: {milliseconds(profile.wall_s)}; {_OUTSIDE} {milliseconds(profile.outside_s)}; "
        f"the ops' own: {ops or 'none'}"
    )


def _side_by_side(now: Trace, then: Trace, names: tuple[str, str]) -> Iterator[str]:
    mine, theirs = now.profile, then.profile
    shown = dict.fromkeys(one.op for profile in (mine, theirs) for one in profile.ops[:_TOP])
    rows = [
        ("ms a call", *names),
        *(
            (one_line(op), milliseconds(mine.self_s(op)), milliseconds(theirs.self_s(op)))
            for op in shown
        ),
        (_OUTSIDE, milliseconds(mine.outside_s), milliseconds(theirs.outside_s)),
        ("in all", milliseconds(mine.wall_s), milliseconds(theirs.wall_s)),
    ]
    yield f"{names[1]}: {one_line(then.title)}" + (f": {printable(then.path)}" if then.path else "")
    yield from aligned(rows, (1, 2))
