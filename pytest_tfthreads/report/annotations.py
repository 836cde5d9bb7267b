"""Verdicts as annotations of GitHub Actions: lines of output that it shows beside the code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_tfthreads.core.format import printable
from pytest_tfthreads.core.gate.verdict import STATUSES, Policy, Verdict, judged_nothing
from pytest_tfthreads.report.verdicts import failure_message, summary

MOST_OF_A_KIND = 10
"""GitHub shows no more errors, warnings or notices of one step."""

_UNFAILED = {"not-comparable": "warning", "no-baseline": "warning", "improvement": "notice"}


@dataclass(frozen=True)
class SourcePlace:
    """Where a test is: its file from the top of the repository, and the line, the first being 1."""

    file: str
    line: int | None = None


@dataclass(frozen=True)
class _Annotation:
    kind: str  # error, warning or notice
    title: str
    message: str
    place: SourcePlace | None = None

    @property
    def command(self) -> str:
        properties = {"title": self.title}
        if self.place is not None:
            line = {} if self.place.line is None else {"line": str(self.place.line)}
            properties = {"file": self.place.file, **line, **properties}
        listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
        return f"::{self.kind} {listed}::{_data(self.message)}"


def render(
    judged: Sequence[tuple[Verdict, SourcePlace]], policy: Policy, notes: Sequence[str] = ()
) -> list[str]:
    """Workflow commands, each a line of its own, worst first, as many of a kind as GitHub shows.

    Errors are verdicts that fail their test (or a run, where nothing was judged), warnings say what
    was not judged, notices what is faster. `notes` tell why nothing was judged.
    """
    verdicts = [verdict for verdict, _ in judged]
    annotations = []
    if judged_nothing(verdicts):
        message = "\n".join([summary(verdicts), *notes])
        kind = "error" if policy.fails_run(verdicts) else "warning"
        annotations.append(_Annotation(kind, "nothing was judged", message))
    of_lines: dict[tuple[str, str, SourcePlace], list[Verdict]] = {}
    for verdict, place in sorted(judged, key=lambda one: STATUSES.index(one[0].status)):
        kind = "error" if policy.fails(verdict) else _UNFAILED.get(verdict.status, "")
        if kind:
            of_lines.setdefault((kind, verdict.status, place), []).append(verdict)
    annotations += [_of_line(*key, verdicts) for key, verdicts in of_lines.items()]
    return [
        one.command
        for kind in ("error", "warning", "notice")
        for one in _limited([annotation for annotation in annotations if annotation.kind == kind])
    ]


def _of_line(
    kind: str, status: str, place: SourcePlace, verdicts: Sequence[Verdict]
) -> _Annotation:
    """All that is to be said of the tests of one line, each thing once.

    A parametrised test is many tests there; and without a baseline both metrics say the same.
    """
    tests = list(dict.fromkeys(verdict.test for verdict in verdicts))
    texts: dict[str, dict[str, None]] = {}
    for one in verdicts:
        text = failure_message(one) if one.change is not None else one.reason
        texts.setdefault(text, {})[one.test] = None
    parts = [text if len(tests) == 1 else f"{', '.join(of)}\n{text}" for text, of in texts.items()]
    title = tests[0] if len(tests) == 1 else f"{len(tests)} tests"
    return _Annotation(kind, f"{status}: {title}", "\n".join(parts), place)


def _limited(annotations: Sequence[_Annotation]) -> Iterable[_Annotation]:
    if len(annotations) <= MOST_OF_A_KIND:
        return annotations
    shown = annotations[: MOST_OF_A_KIND - 1]
    rest = len(annotations) - len(shown)
    kind = shown[0].kind
    more = f"GitHub shows {MOST_OF_A_KIND} of a kind; the others are in this step's output"
    return [*shown, _Annotation(kind, f"{rest} more {kind}s", more)]


def _data(text: str) -> str:
    """As GitHub's toolkit does it (escapeData): no text can end the command and begin another."""
    # The output is a terminal's, too.
    text = re.sub(r"[^\r\n]+", lambda found: printable(found[0]), text)
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As GitHub's toolkit does it (escapeProperty)."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
