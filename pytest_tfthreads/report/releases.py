"""What was found over releases: text for a terminal, JSON, and rows for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_tfthreads.core.abreast import AtPlace
from pytest_tfthreads.core.commit import Commit
from pytest_tfthreads.core.comparable import SOFTWARE
from pytest_tfthreads.core.format import (
    NOTHING,
    clock,
    metric_name,
    metric_unit,
    one_line,
    plural,
    round_percent,
)
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.variants.released import (
    UNMEASURED,
    Changed,
    Over,
    Release,
    TestOver,
)
from pytest_tfthreads.core.variants.steps import Step, VariantChange
from pytest_tfthreads.report.bisection import RelativeChange
from pytest_tfthreads.report.table import aligned

STATUS_WORDS: Mapping[str, str] = {
    "regression": "regression",
    "improvement": "improvement",
    "no-change": "no change",
    "open": "open",
}
_MOST_SUBJECTS = 5
_FIRST = "first"

COLUMNS = (
    "test",
    "release",
    "commit",
    "date",
    *SOFTWARE,
    "metric",
    "unit",
    "processes",
    "value",
    "low",
    "high",
    "to_first",
    "to_first_low",
    "to_first_high",
    "to_first_status",
    "previous",
    "to_previous",
    "to_previous_low",
    "to_previous_high",
    "status",
    "problem",
)
Cell = str | float | bool | None


def render(over: Over, failing: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of text."""
    lines: list[str] = []
    for test in over.tests:
        lines += [*_of_test(over, test), ""]
    certain = {
        (change.since, step.name)
        for test in over.tests
        for several in test.steps.values()
        for step in several
        if (change := step.to_previous) is not None
        and change.status in ("regression", "improvement")
    }
    lines += ["What changed from one release to the next:"]
    for changed in over.changed:
        lines += _of_change(changed, (changed.earlier, changed.later) in certain)
    lines += ["", *summary(over)]
    lines += [f"failed: {nodeid}: {_failure(nodeid, word, over)}" for nodeid, word in failing]
    return lines


def summary(over: Over) -> list[str]:
    """What is open and what was left out, and how the figures are meant."""
    lines = []
    open_steps = sum(len(test.open_steps) for test in over.tests)
    if open_steps:
        words = f"{plural(open_steps, 'step')} {'is' if open_steps == 1 else 'are'} open"
        more_s = sum(test.to_close_s for test in over.tests)
        if more_s:
            lines.append(
                f"{words}: about {clock(more_s)} more, with "
                f"--budget={budget_words(over.elapsed_s + more_s)}, would decide those that more "
                "passes can decide."
            )
        else:
            lines.append(
                f"{words}, and more passes would hardly decide: measure on a quieter machine, or "
                "each process for longer (--benchmark-max-time after --), or tolerate another "
                "change (--tolerance)."
            )
    if over.left_out:
        lines.append(f"Not measured: {', '.join(over.left_out)}.")
    if over.stopped:
        lines.append(f"Ended early: {over.stopped}.")
    lines.append(
        "Steps that are called regression or improvement are certain for the run as a whole (the "
        "chance of any false one is 5 %); intervals of a test hold together (95 %); "
        f"tolerated: {tolerated(over.tolerance)}."
    )
    processes = "1 process" if over.processes == 1 else f"{over.processes} processes"
    lines.append(f"{processes}, {clock(over.elapsed_s)}")
    return lines


def tolerated(tolerance: Mapping[str, float]) -> str:
    """By metric, in words: "5 %", or "5 % of throughput and 10 % of CPU efficiency"."""
    differ = len(set(tolerance.values())) > 1
    shares = (
        f"{round_percent(share)}{f' of {metric_name(metric)}' if differ else ''}"
        for metric, share in tolerance.items()
    )
    return " and ".join(dict.fromkeys(shares))


def budget_words(seconds: float) -> str:
    """A time as --budget takes it, in whole minutes: "12m"."""
    return f"{max(1, -(-int(seconds) // 60))}m"


def changed_words(changed: Changed) -> list[str]:
    """What differs besides the commits' subjects: their number, versions."""
    words = []
    if changed.commits is not None:
        count = plural(len(changed.commits), "commit")
        if changed.lost:
            count += f", and {changed.lost} of {changed.earlier} are not in it"
        if changed.has_changes:
            count += ", and changes that are not committed"
        words.append(count)
    words += [f"{name} {before} → {after}" for name, before, after in changed.versions]
    return words or ["the same code"]


def subjects(commits: Sequence[Commit] | None) -> list[str]:
    """The latest of them, a line each."""
    known = commits or ()
    shown = [f"{one.short}  {one.date[:10]}  {one.subject}" for one in known[-_MOST_SUBJECTS:]]
    more = len(known) - len(shown)
    return [*([f"{more} earlier ones"] if more else []), *shown]


def change_words(change: VariantChange | None) -> str:
    """A change with its interval."""
    if change is None:
        return NOTHING
    return str(shift_of(change))


def shift_of(change: VariantChange) -> RelativeChange:
    """The relative change with its interval."""
    return RelativeChange(*change.relative)


def note_of(test: TestOver, release: int) -> str:
    """What the reader should know of a test at a release; nothing, mostly."""
    at = test.at[release]
    return one_line(" ".join(filter(None, [at.problem, at.same_code, *at.notes])))


def to_json(over: Over, failing: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "releases": [_json_of_release(one) for one in over.releases],
        "changed": [
            {
                "from": one.earlier,
                "to": one.later,
                "commits": None
                if one.commits is None
                else [
                    {"commit": each.id, "date": each.date, "subject": each.subject}
                    for each in one.commits
                ],
                "lost": one.lost,
                "uncommitted": one.has_changes,
                "versions": {
                    name: {"before": before, "after": after} for name, before, after in one.versions
                },
            }
            for one in over.changed
        ],
        "tests": [
            {
                "test": test.nodeid,
                "passes": test.passes,
                "at": [
                    {"release": release.name, **_json_of_place(at)}
                    for release, at in zip(over.releases, test.at, strict=True)
                ],
                "steps": {
                    metric: [_json_of_step(one) for one in several]
                    for metric, several in test.steps.items()
                },
                "seconds_to_close": test.to_close_s,
            }
            for test in over.tests
        ],
        "tolerance": dict(over.tolerance),
        "failing": [{"test": nodeid, "status": word} for nodeid, word in failing],
        "not_measured": list(over.left_out),
        "stopped": over.stopped,
        "processes": over.processes,
        "seconds": over.elapsed_s,
    }


def rows(over: Over) -> Iterator[list[Cell]]:
    """A row for each test, release and metric, in the order of `COLUMNS`."""
    for test in over.tests:
        for release, at in zip(over.releases, test.at, strict=True):
            for metric in METRICS:
                step = test.step(metric, release.name)
                first, previous = (step.to_first, step.to_previous) if step else (None, None)
                machine = {} if at.measurement is None else at.measurement.machine
                known = (machine.get(name) for name in SOFTWARE)
                yield [
                    test.nodeid,
                    release.name,
                    release.commit.id if release.commit else None,
                    release.commit.date if release.commit else None,
                    *(None if version is None else str(version) for version in known),
                    metric,
                    metric_unit(metric, at.measurement.unit if at.measurement else "units"),
                    len(at.samples),
                    *_bounds(speed_of(at, metric)),
                    *_bounds(None if first is None else shift_of(first)),
                    None if first is None else first.status,
                    None if previous is None else previous.since,
                    *_bounds(None if previous is None else shift_of(previous)),
                    None if previous is None else previous.status,
                    at.problem or None,
                ]


def _of_test(over: Over, test: TestOver) -> Iterator[str]:
    yield test.nodeid
    if not test.is_compared:
        yield "  could not be compared:"
    cells = []
    for metric in METRICS if test.is_compared else ():
        name = metric_name(metric)
        header = [name[:1].upper() + name[1:], f"to {over.releases[0].name}", "to the one before"]
        cells.append([*header, "step"])
        cells += [_row(over, test, place, metric) for place in range(len(over.releases))]
    for line in aligned(cells) if cells else ():
        yield f"  {line}"
    for place, release in enumerate(over.releases):
        if note := note_of(test, place):
            yield f"  {release.name}: {note}"


def _row(over: Over, test: TestOver, place: int, metric: str) -> list[str]:
    release = over.releases[place]
    step = test.step(metric, release.name)
    if step is not None:
        return [f"  {release.name}", *step_cells(step, over.releases[0].name)]
    if test.at[place].problem:
        return [f"  {release.name}", NOTHING, NOTHING, "not measured"]
    return [f"  {release.name}", "", "", _FIRST]


def step_cells(step: Step, first: str) -> list[str]:
    """Change to the first and to the one before, and what is certain of the latter."""
    to_first, previous = step.to_first, step.to_previous
    cells = [change_words(to_first), change_words(previous)]
    if to_first is not None and to_first.since != first:
        cells[0] += f" (to {to_first.since})"
    if previous is None:
        return [*cells, "not compared: took no turns"]
    word = STATUS_WORDS[previous.status]
    if previous.needed is not None:
        word += f" ({previous.needed} passes would tell)"
    return [*cells, word]


def _of_change(changed: Changed, is_certain: bool) -> Iterator[str]:
    yield f"  {changed.earlier} → {changed.later}: {', '.join(changed_words(changed))}"
    if is_certain:
        for line in subjects(changed.commits):
            yield f"    {line}"


def _failure(nodeid: str, word: str, over: Over) -> str:
    last = over.releases[-1].name
    if word == UNMEASURED:
        is_measured = any(one.at[-1].samples for one in over.tests if one.nodeid == nodeid)
        return f"{'only' if is_measured else 'not'} measured at {last}"
    return f"the step to {last} is {'open' if word == 'open' else f'a {word}'}"


def speed_of(at: AtPlace, metric: str) -> Estimate | None:
    """Units a second or a CPU-second, with the interval over processes; None where unmeasured."""
    if at.measurement is None:
        return None
    measurement = at.measurement
    return measurement.throughput if metric == METRICS[0] else measurement.cpu_efficiency


def _bounds(estimate: Estimate | RelativeChange | None) -> tuple[Cell, Cell, Cell]:
    if estimate is None:
        return None, None, None
    return estimate.value, estimate.low, estimate.high


def _json_of_release(release: Release) -> dict[str, Any]:
    commit = release.commit
    return {
        "name": release.name,
        "commit": commit and commit.id,
        "date": commit and commit.date,
        "subject": commit and commit.subject,
        "tags": list(release.tags),
        "python": release.place.python,
    }


def _json_of_place(at: AtPlace) -> dict[str, Any]:
    machine = {} if at.measurement is None else at.measurement.machine
    return {
        **{
            metric: None if (speed := speed_of(at, metric)) is None else speed.to_json()
            for metric in METRICS
        },
        "unit": at.measurement and at.measurement.unit,
        "processes": len(at.samples),
        "versions": {name: machine[name] for name in SOFTWARE if name in machine},
        "problem": at.problem,
        "same_code": at.same_code,
        "notes": list(at.notes),
    }


def _json_of_step(step: Step) -> dict[str, Any]:
    return {
        "release": step.name,
        "to_first": _json_of_change(step.to_first),
        "to_previous": _json_of_change(step.to_previous),
    }


def _json_of_change(change: VariantChange | None) -> dict[str, Any] | None:
    if change is None:
        return None
    return {
        "since": change.since,
        **shift_of(change).to_json(),
        "confidence": change.ratio.confidence,
        "status": change.status,
        "passes": change.ratio.rings,
        "passes_needed": change.needed,
    }
