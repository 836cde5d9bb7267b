"""What a bisection has found: text for a terminal, and JSON."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_tfthreads.core.abreast import Traced
from pytest_tfthreads.core.bisection import CERTAIN, Culprit
from pytest_tfthreads.core.bisection_state import Skipped
from pytest_tfthreads.core.commit import Commit
from pytest_tfthreads.core.format import (
    clock,
    metric_name,
    percent,
    plural,
    signed_percent,
    with_bounds,
)
from pytest_tfthreads.core.stats.estimates import LogRatio, change_from_log
from pytest_tfthreads.report import profiles

_CONFIDENCE = 0.95
_MOST_SHOWN = 10


@dataclass(frozen=True)
class RelativeChange:
    """A relative change with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, ratio: LogRatio) -> RelativeChange:
        half_width = ratio.half_width(0.5 + _CONFIDENCE / 2)
        logs = (ratio.log_ratio, ratio.log_ratio - half_width, ratio.log_ratio + half_width)
        return cls(*map(change_from_log, logs))

    def __str__(self) -> str:
        return with_bounds(self, signed_percent)

    def to_json(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class ChangeInParts:
    """A change of speed, and what it is made of: throughput = cores used ÷ CPU work a call."""

    throughput: LogRatio
    cpu_efficiency: LogRatio

    @property
    def cpu_work(self) -> float:
        """Of CPU time a call: above 0 is more."""
        return change_from_log(-self.cpu_efficiency.log_ratio)

    @property
    def cores_used(self) -> float:
        return change_from_log(self.throughput.log_ratio - self.cpu_efficiency.log_ratio)

    def __str__(self) -> str:
        return (
            f"throughput {RelativeChange.of(self.throughput)}: CPU work a call "
            f"{signed_percent(self.cpu_work)}, cores used {signed_percent(self.cores_used)}"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "throughput": RelativeChange.of(self.throughput).to_json(),
            "cpu_efficiency": RelativeChange.of(self.cpu_efficiency).to_json(),
            "cpu_work": self.cpu_work,
            "cores_used": self.cores_used,
        }


@dataclass(frozen=True)
class Bisection:
    """All that is told at the end.

    `commits` are the good end, those of which one made the change, and the bad end last. `culprit`
    is None where the ends do not differ, or it is not known whether they do. `branch`: the ends of
    the branch that was merged, where the culprit is a merge. `stopped`: why it ended without a
    certain culprit. `traces`: on both sides of the culprit, and why some could not be stored.
    """

    test: str
    metric: str
    commits: Sequence[Commit]
    ends: ChangeInParts | None
    culprit: Culprit | None
    change: ChangeInParts | None
    branch: tuple[str, str] | None
    skipped: Sequence[Skipped]
    rings: int
    processes: int
    seconds: float
    stopped: str = ""
    traces: Traced | None = None

    @property
    def is_certain(self) -> bool:
        return self.culprit is not None and self.culprit.is_certain


def render(found: Bisection) -> list[str]:
    """Lines of text."""
    good, bad = found.commits[0], found.commits[-1]
    lines = [f"{found.test}", f"  good {_line(good)}", f"  bad  {_line(bad)}"]
    if found.ends is not None:
        count = plural(len(found.commits) - 1, "commit")
        lines.append(f"  {count}, from good to bad {found.ends}")
    lines.append("")
    culprit = found.culprit
    if culprit is None:
        lines.append(found.stopped)
    else:
        where = found.commits[culprit.where.after + 1 : culprit.where.last + 1]
        name = metric_name(found.metric)
        if not culprit.is_certain:
            lines.append(f"{found.stopped} {_as_far_as_known(found, len(where))}")
        elif len(where) == 1:
            lines.append(f"{_kind(culprit)} of {name} is commit ({_certainty(culprit)} certain):")
        else:
            lines.append(
                f"{_kind(culprit)} of {name} is in one of these "
                f"{plural(len(where), 'commit')} ({_certainty(culprit)} certain), between which "
                "none can be measured:"
            )
        lines += _listed(where)
        if found.change is not None:
            lines.append(f"  {found.change}")
        lines += _others(found, culprit)
        if found.branch is not None:
            base, tip = found.branch
            lines.append(
                "  It is a merge. Which commit of the branch it was: "
                f"--good={base[:12]} --bad={tip[:12]}"
            )
    if found.skipped:
        verb = "was" if len(found.skipped) == 1 else "were"
        lines += ["", f"{plural(len(found.skipped), 'commit')} {verb} not measured:"]
        lines += [
            f"  {found.commits[one.position].short}: {one.why}"
            for one in found.skipped[:_MOST_SHOWN]
        ]
        lines += _and_more(len(found.skipped))
    processes = "1 process" if found.processes == 1 else f"{found.processes} processes"
    lines += ["", f"{processes} in {plural(found.rings, 'ring')}, {clock(found.seconds)}"]
    if found.traces is not None:
        row = profiles.Row(found.test, found.traces.traces)
        lines += ["", *profiles.render([row], platform.node(), ("after", "before"))]
        lines += found.traces.unwritten
    return lines


def _as_far_as_known(found: Bisection, left: int) -> str:
    """Where the change is, if that is not certain: in one of the commits that are `left`."""
    commits = plural(left, "commit")
    if left == len(found.commits) - 1:
        return f"No commit can be left out yet; {commits} may have done it:"
    where = "this commit" if left == 1 else f"one of these {commits}"
    return (
        f"With {percent(CERTAIN)} probability the change of {metric_name(found.metric)} is in "
        f"{where}:"
    )


def to_json(found: Bisection) -> dict[str, Any]:
    culprit = found.culprit
    return {
        "test": found.test,
        "metric": found.metric,
        "good": _json_of(found.commits[0]),
        "bad": _json_of(found.commits[-1]),
        "commits": len(found.commits) - 1,
        "ends": found.ends and found.ends.to_json(),
        "certain": found.is_certain,
        "probability": culprit and culprit.probability,
        "found": []
        if culprit is None
        else [
            _json_of(one) for one in found.commits[culprit.where.after + 1 : culprit.where.last + 1]
        ],
        "change": found.change and found.change.to_json(),
        "others": culprit and culprit.others,
        "other": []
        if culprit is None or culprit.other is None
        else [
            _json_of(one) for one in found.commits[culprit.other.after + 1 : culprit.other.last + 1]
        ],
        "skipped": [
            {"commit": found.commits[one.position].id, "why": one.why} for one in found.skipped
        ],
        "rings": found.rings,
        "processes": found.processes,
        "seconds": found.seconds,
        "stopped": found.stopped,
        "profile": found.traces and found.traces.traces.to_json(),
    }


def _others(found: Bisection, culprit: Culprit) -> list[str]:
    if culprit.other is None:
        return []
    where = found.commits[culprit.other.after + 1 : culprit.other.last + 1]
    if len(where) == 1:
        return ["There is another change, in commit", *_listed(where)]
    return [
        f"There is another change, in one of {len(where)} commits: "
        f"{where[0].short} to {where[-1].short}"
    ]


def _kind(culprit: Culprit) -> str:
    return "The largest change" if culprit.other is not None else "The change"


def _certainty(culprit: Culprit) -> str:
    # More digits would claim more than anybody can know of a machine.
    return f"{min(100 * culprit.probability, 99.9):.1f} %"


def _listed(commits: Sequence[Commit]) -> list[str]:
    shown = [f"  {_line(one)}" for one in commits[:_MOST_SHOWN]]
    return [*shown, *_and_more(len(commits))]


def _and_more(count: int) -> list[str]:
    return [f"  and {count - _MOST_SHOWN} more"] if count > _MOST_SHOWN else []


def _line(commit: Commit) -> str:
    return f"{commit.short}  {commit.date[:10]}  {commit.subject}"


def _json_of(commit: Commit) -> dict[str, Any]:
    return {"commit": commit.id, "date": commit.date, "subject": commit.subject}
