"""The whole report of a run."""

from __future__ import annotations

from pytest_tfthreads.report.html.content import RunContent, Subject
from pytest_tfthreads.report.html.elements import element, markup
from pytest_tfthreads.report.html.oddities import machine, odd
from pytest_tfthreads.report.html.overview import overview
from pytest_tfthreads.report.html.subject import section
from pytest_tfthreads.report.html.words import file_and_name, moment
from pytest_tfthreads.report.page import Section, page

_TITLE = "TensorFlow threads"
_HOW = (
    (
        "Throughput",
        "Items a second of wall time: all items of a process ÷ all its measured seconds.",
    ),
    (
        "CPU efficiency",
        "Items a second of CPU time, that of all threads of the process. Throughput = CPU "
        "efficiency × cores used.",
    ),
    (
        "Intervals",
        "A process is one sample: its rounds are not independent. [95 %] is Student's t over "
        "processes. Configurations of a test take turns, so the ratios between them are known "
        "better than the speeds.",
    ),
    (
        "Verdicts",
        "regression: a loss beyond the tolerance that is certain. pass: such a loss is ruled out. "
        "inconclusive: neither; “Finds a loss” is the loss that would have been seen.",
    ),
)


def render(content: RunContent) -> bytes:
    """The file. Raises `LibraryMissingError`."""
    anchors = {one.test: f"test-{place}" for place, one in enumerate(content.subjects, start=1)}
    sections = [Section("overview", "Overview", overview(content, anchors))]
    if oddities := odd(content):
        sections.append(Section("odd", "What was odd", oddities))
    sections += [_of_test(subject, anchors[subject.test]) for subject in content.subjects]
    sections.append(Section("machine", "Machine and versions", machine(content)))
    explained = (part for name, text in _HOW for part in (element("dt", name), element("dd", text)))
    facts = markup(element("dl", *explained, class_="facts"))
    sections.append(Section("how", "How to read it", facts))
    text = page(_TITLE, sections, lead=_lead(content))
    # A saved run may hold half a surrogate pair, which no encoding takes.
    return text.encode("utf-8", "replace")


def _of_test(subject: Subject, anchor: str) -> Section:
    file, name = file_and_name(subject.test)
    return Section(anchor, name, section(subject, anchor), kicker=file)


def _lead(content: RunContent) -> str:
    commit = f", commit {content.commit}" if content.commit else ""
    return markup(element("p", f"{moment(content.when)}{commit} · {content.source}"))
