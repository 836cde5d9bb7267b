"""Why a test got its verdicts: each sentence once."""

from __future__ import annotations

from pytest_tfthreads.core.format import metric_name
from pytest_tfthreads.core.gate.verdict import Verdict
from pytest_tfthreads.report.html.content import Subject
from pytest_tfthreads.report.html.words import name_of

_EXPLAINED = ("regression", "improvement")  # of others the table says it all


def reasons(subject: Subject) -> list[str]:
    """Each reason worth reading, what to do, and what was judged by."""
    sentences = []
    unjudged: dict[str, list[str]] = {}
    for case in subject.cases:
        for verdict in case.verdicts:
            if verdict.status in _EXPLAINED:
                sentences.append(
                    f"{verdict.status}: {name_of(case)}, {metric_name(verdict.metric)}: "
                    f"{verdict.reason}"
                )
            elif verdict.change is None:
                unjudged.setdefault(f"{verdict.status}: {verdict.reason}", []).append(name_of(case))
    for reason, names in unjudged.items():
        sentences.append(f"{reason} ({', '.join(dict.fromkeys(names))})")
    verdicts = subject.verdicts
    advice: dict[str, dict[str, str]] = {}  # what follows a colon is of a single measurement
    for verdict in verdicts:
        for piece in verdict.advice:
            told = f"{_purpose(verdict)}: {piece}"
            advice.setdefault(piece.partition(":")[0], {}).setdefault(told, verdict.configuration)
    for of_each in advice.values():
        told, configuration = next(iter(of_each.items()))
        others = (
            f" (this is for {configuration}; figures differ elsewhere)" if len(of_each) > 1 else ""
        )
        sentences.append(f"{told}{others}")
    sentences += dict.fromkeys(
        f"judged against {verdict.judged_against}" for verdict in verdicts if verdict.judged_against
    )
    sentences += dict.fromkeys(
        f"not measured side by side: {verdict.no_duet}" for verdict in verdicts if verdict.no_duet
    )
    if any(verdict.corrected for verdict in verdicts):
        sentences.append("changes are corrected by the reference workload measured beside the test")
    return sentences


def _purpose(verdict: Verdict) -> str:
    return "improved" if verdict.status == "improvement" else "to decide"
