"""A history as reports show it: its runs, the lines through them, and every change with its place.

Nothing is judged here: `core.stats.change_points` says what changed, and git what lies between two
commits.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_tfthreads.core.contention import CONTENDED
from pytest_tfthreads.core.format import metric_unit, one_line, percent, plural
from pytest_tfthreads.core.stats.change_points import ChangePoint, Segmentation, Shift
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.history.commits import Between, Commits
from pytest_tfthreads.history.entries import Entry
from pytest_tfthreads.history.series import (
    Facts,
    Line,
    Point,
    Run,
    others_around,
    reference_shifts,
    version_changes,
)

_SHORT_ID = 12


@dataclass(frozen=True)
class DatedChange:
    """A change, and what lies between the last run surely before it and the first surely after.

    `earlier`, `later` and `likely` (the first run of the new level) are places of runs. `versions`
    are name, before and after. `reference` is how the reference workload moved meanwhile.
    `others_taken` is the share of the granted CPUs that other programs took, before and after.
    """

    line: Line
    metric: str
    change: ChangePoint
    earlier: int
    later: int
    likely: int
    commits: Between | None
    versions: tuple[tuple[str, str, str], ...]
    reference: Shift | None
    others_taken: tuple[float, float] | None


@dataclass(frozen=True)
class Timeline:
    """Runs in their order, lines with the course of each metric, the commits of the repository."""

    runs: Sequence[Run]
    lines: Sequence[tuple[Line, Mapping[str, Segmentation]]]
    commits: Commits

    @cached_property
    def machines(self) -> dict[Facts, str]:
        """A letter for each machine, in the order in which they first ran."""
        firsts: dict[Facts, int] = {}
        for line, _ in self.lines:
            firsts[line.machine] = min(firsts.get(line.machine, line.runs[0]), line.runs[0])
        ordered = sorted(firsts, key=lambda machine: (firsts[machine], machine))
        return {machine: letter(index) for index, machine in enumerate(ordered)}

    @cached_property
    def found(self) -> list[DatedChange]:
        """All changes, by place."""
        found = []
        for line, segmentations in self.lines:
            changes = [
                (metric, change) for metric in METRICS for change in segmentations[metric].changes
            ]
            references = [
                None if change.is_measured else reference  # no machine of another day is in it
                for (_, change), reference in zip(
                    changes, reference_shifts(line, [one for _, one in changes]), strict=True
                )
            ]
            points = tuple(line.points.values())
            found += [
                self._found(line, points, metric, one, reference)
                for (metric, one), reference in zip(changes, references, strict=True)
            ]
        return sorted(found, key=lambda one: (one.later, one.earlier, one.line.test))

    def title(self, run: Run) -> str:
        """Its file's name, date and commit, for people."""
        return f"{run_name(run)} ({one_line(run.datetime[:10])}, {commit_words(run, self.commits)})"

    def _found(
        self,
        line: Line,
        points: Sequence[Point],
        metric: str,
        change: ChangePoint,
        reference: Shift | None,
    ) -> DatedChange:
        runs = line.runs
        earlier, later = runs[change.after], runs[change.by]
        between = self.commits.between(self.runs[earlier].commit, self.runs[later].commit)
        return DatedChange(
            line=line,
            metric=metric,
            change=change,
            earlier=earlier,
            later=later,
            likely=runs[change.index],
            commits=between,
            versions=tuple(version_changes(points[change.after], points[change.by])),
            reference=reference,
            # What was measured side by side had the same company on both sides.
            others_taken=None if change.is_measured else others_around(line, change),
        )


def run_name(run: Run) -> str:
    return one_line("_".join(part for part in (run.number, run.name) if part))


def commit_words(run: Run | Entry, commits: Commits) -> str:
    """Of a run: its commit's short id and tags, marked if it had changes beside."""
    if run.commit is None:
        return "unknown commit"
    names = [run.commit[:_SHORT_ID], *commits.tags.get(run.commit, ())]
    return one_line(" ".join([*names, "and changes"] if run.dirty else names))


def machine_words(machine: Facts) -> str:
    """A machine's fingerprint in a line."""
    facts = dict(machine)
    model = facts.pop("CPU model", "unknown CPU")
    rest = ", ".join(f"{words}: {value}" for words, value in facts.items() if value != "none")
    return one_line(f"{model} ({rest})")


def line_words(line: Line, letter: str) -> str:
    """Which line of its test it is: the machine's letter, and what else tells it from others."""
    return one_line("; ".join([letter, *(f"{words}: {value}" for words, value in line.distinct)]))


def unit_words(line: Line, metric: str) -> str:
    return one_line(metric_unit(metric, line.unit))


def commits_words(found: DatedChange, timeline: Timeline) -> str:
    """The range of commits as git takes it, how many they are, and their tags."""
    earlier, later = timeline.runs[found.earlier], timeline.runs[found.later]
    if earlier.commit is None or later.commit is None:
        return "commits unknown"
    if earlier.commit == later.commit:
        words = f"the same commit {one_line(later.commit[:_SHORT_ID])}"
    else:
        words = f"{one_line(earlier.commit[:_SHORT_ID])}..{one_line(later.commit[:_SHORT_ID])}"
        if found.commits is None:
            words += " (not in this repository)"
        else:
            count = found.commits.count
            tags = "".join(f", {one_line(tag)}" for tag in found.commits.tags)
            words += f" ({plural(count, 'commit')}{tags})"
    dirty = [word for word, run in (("earlier", earlier), ("later", later)) if run.dirty]
    return f"{words}, with changes beside the {' and the '.join(dirty)}" if dirty else words


def versions_words(found: DatedChange) -> str:
    """Which versions changed, if any."""
    return ", ".join(one_line(f"{name} {old} → {new}") for name, old, new in found.versions)


def others_words(found: DatedChange) -> str:
    """What other programs took before and after, if that differs enough to be told."""
    if found.others_taken is None:
        return ""
    before, after = found.others_taken
    if abs(after - before) < CONTENDED:
        return ""
    return f"other programs {percent(before)} → {percent(after)}"


def letter(index: int) -> str:
    """The name of a machine in tables."""
    letters = string.ascii_uppercase
    return letters[index] if index < len(letters) else f"M{index + 1}"
