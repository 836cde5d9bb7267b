"""Where traces are, and which ops take the time: text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_tfthreads.core.trace import OpProfile, Trace, Traces

_TOP = 5
_OUTSIDE = "outside of ops"


@dataclass(frozen=True)
class Row:
    """One test under one configuration, and what was traced of it."""

    name: str
    traces: Traces


def render(rows: Sequence[Row], host: str) -> list[str]:
    """Lines of text; `host` is the machine on which they are read."""
    lines = []
    places = dict.fromkeys((row.traces.host, row.traces.directory) for row in rows)
    for place in places:
        where = "" if place[0] == host else f" on {place[0]}"
        lines.append(f"Traces{where}: tensorboard --logdir {_clean(place[1])}")
        for row in rows:
            if (row.traces.host, row.traces.directory) == place:
                lines += [f"  {line}" for line in _of_test(row)]
    return lines


def _of_test(row: Row) -> Iterator[str]:
    traces = row.traces
    if traces.now is not None:
        yield f"{row.name}: {_clean(traces.now.path or '')}"
        if traces.baseline is None:
            yield f"  {_in_a_line(traces.now.profile)}"
        else:
            yield from (f"  {line}" for line in _side_by_side(traces.now, traces.baseline))
    for problem in traces.problems:
        yield f"{row.name}: {_clean(problem)}"


def _in_a_line(profile: OpProfile) -> str:
    ops = ", ".join(f"{_clean(one.op)} {_ms(one.self_s)}" for one in profile.ops[:_TOP])
    return (
        f"ms a call: {_ms(profile.wall_s)}; {_OUTSIDE} {_ms(profile.outside_s)}; "
        f"the ops' own: {ops or 'none'}"
    )


def _side_by_side(now: Trace, then: Trace) -> Iterator[str]:
    mine, theirs = now.profile, then.profile
    shown = dict.fromkeys(one.op for profile in (mine, theirs) for one in profile.ops[:_TOP])
    rows = [
        ("ms a call", "now", "baseline"),
        *((_clean(op), _ms(mine.self_s(op)), _ms(theirs.self_s(op))) for op in shown),
        (_OUTSIDE, _ms(mine.outside_s), _ms(theirs.outside_s)),
        ("in all", _ms(mine.wall_s), _ms(theirs.wall_s)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    yield f"baseline: {_clean(then.title)}" + (f": {_clean(then.path)}" if then.path else "")
    for words, *figures in rows:
        padded = (one.rjust(width) for one, width in zip(figures, widths[1:], strict=True))
        yield "  ".join([words.ljust(widths[0]), *padded])


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.3g}"


def _clean(text: str) -> str:
    """A line, whatever a saved run says."""
    return "".join(one if one.isprintable() else "?" for one in text)
