"""All that there is to see of one test."""

from __future__ import annotations

from pytest_tfthreads.report.html import (
    against_baseline,
    by_configuration,
    over_releases,
    over_threads,
    tables,
)
from pytest_tfthreads.report.html.advice import recommended
from pytest_tfthreads.report.html.content import Subject
from pytest_tfthreads.report.html.distributions import distributions
from pytest_tfthreads.report.html.elements import bullets, element, folded, markup
from pytest_tfthreads.report.html.reasons import reasons
from pytest_tfthreads.report.html.traces import traced

_EQUATION = (
    "Wall time = CPU work ÷ cores used, exactly. What takes longer either does more work, or "
    "does it on fewer cores."
)

_TOGETHER = (
    "Of several instances it is the time between the ends of two calls, whichever instance makes "
    "them."
)


def section(subject: Subject, anchor: str) -> str:
    """The HTML of its section."""
    parts = [markup(recommended(subject))]
    over = over_threads.is_grid(subject)
    speeds = (over_threads.heat_maps if over else by_configuration.speeds)(anchor, subject)
    found = subject.recommendation
    scaling = [] if found is None else over_threads.scaling(anchor, found)
    parts += [
        _heading("Speed by configuration"),
        _figures(speeds),
        _figures(scaling),
        markup(tables.speeds(subject)),
        _heading("Where the time goes"),
        markup(element("p", _EQUATION + _of_instances(subject), class_="equation")),
        _figures(by_configuration.taken_apart(anchor, subject), "narrow"),
        markup(folded(tables.taken_apart(subject))),
        *_instances(subject),
        _heading("Distributions"),
        _figures([distributions(anchor, subject)]),
        markup(folded(tables.processes(subject))),
    ]
    if subject.verdicts:
        seen = [
            *against_baseline.changes(anchor, subject),
            *against_baseline.pairs(anchor, subject),
        ]
        parts += [
            _heading("Against the baseline"),
            _figures(seen),
            markup(bullets(reasons(subject)), tables.verdicts(subject)),
        ]
        if any(case.pairs for case in subject.cases):
            parts.append(markup(folded(tables.pairs(subject), "The pairs as a table")))
    if releases := over_releases.of_subject(anchor, subject):
        parts += [_heading("Over releases"), releases]
    if ops := traced(anchor, subject):
        parts += [_heading("Which ops take the time"), ops]
    return "\n".join(parts)


def _of_instances(subject: Subject) -> str:
    several = any(case.measurement.instances > 1 for case in subject.cases)
    return f" {_TOGETHER}" if several else ""


def _instances(subject: Subject) -> list[str]:
    found = tables.instances(subject)
    return [] if found is None else [_heading("Instances"), markup(found)]


def _heading(text: str) -> str:
    return markup(element("h3", text))


def _figures(figures: list[str], width: str = "") -> str:
    return f'<div class="figures {width}">\n{"".join(figures)}</div>' if figures else ""
