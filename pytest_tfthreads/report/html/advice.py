"""What a test's report recommends, and the lines to copy."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from pytest_tfthreads.core.sweep.recommendation import OPEN, Recommendation
from pytest_tfthreads.report import sweep as text
from pytest_tfthreads.report.html.content import Subject
from pytest_tfthreads.report.html.elements import bullets, element
from pytest_tfthreads.report.sweep import advice, cost


def recommended(subject: Subject) -> Element:
    """A box: what to use, why, what limits it, and how to have it."""
    found = subject.recommendation
    if found is None:
        return element("p", _why_not(subject), class_="muted")
    return element(
        "div",
        element("h3", f"Use {text.recommended(found)}" + (f"; {OPEN}" if found.undecided else "")),
        bullets([*advice(found), *found.limits, *(line.strip() for line in cost(subject.search))]),
        *_lines(found),
        class_="advice",
    )


def _why_not(subject: Subject) -> str:
    if len(subject.cases) == 1:
        return "Measured under one configuration, so there is none to recommend."
    if subject.is_duet:
        return (
            "In a duet each configuration takes turns with its baseline, so they are not "
            "compared with each other."
        )
    if sum(not case.candidate.same_as for case in subject.cases) == 1:
        return "Its configurations are the same on this machine, under several names."
    return "Its configurations took no turns with one another, so they are not compared."


def _lines(found: Recommendation) -> list[Element]:
    return [
        element(
            "div",
            element("code", line),
            element("button", "Copy", type="button", class_="copy", hidden=""),
            class_="line",
        )
        for line in found.settings
    ]
