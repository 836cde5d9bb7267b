"""What readers should know before they believe the figures, and what these were measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pytest_tfthreads.report.console import FLAGS
from pytest_tfthreads.report.html.content import RunContent
from pytest_tfthreads.report.html.elements import (
    bullets,
    element,
    markup,
    name_cell,
    table,
)
from pytest_tfthreads.report.html.words import file_and_name

_MACHINE_WORDS = {
    "cpu": "CPU",
    "physical": "Physical cores granted",
    "logical": "CPUs granted",
    "quota": "CPU quota of the cgroup, CPUs",
    "tensorflow": "TensorFlow",
    "python": "Python",
    "onednn": "oneDNN",
}


def odd(content: RunContent) -> str:
    """Failures, notes, and flags with the measurements that have them; empty where nothing was."""
    parts = []
    if not content.complete:
        parts.append(element("p", "The run ended before all selected tests had been run."))
    if content.failures:
        rows = [
            element("tr", name_cell(test), element("td", why or "the file does not say why"))
            for test, why in content.failures.items()
        ]
        parts.append(table("Failed, and left out of all figures", ("Test", "Why"), rows))
    if flags := _flags(content):
        rows = [
            element(
                "tr",
                name_cell(flag),
                element("td", FLAGS.get(flag, "unknown to this version")),
                element("td", ", ".join(tests)),
            )
            for flag, tests in flags.items()
        ]
        headers = ("Flag", "Meaning", "Tests, and how many of their configurations")
        parts.append(table("Flags of measurements", headers, rows))
    if content.notes:
        parts.append(bullets(content.notes))
    return markup(*parts)


def machine(content: RunContent) -> str:
    """A list for each machine and set of versions: one, but for runs that were put together."""
    machines: dict[str, dict[str, str]] = {}
    tests: dict[str, list[str]] = {}
    for subject in content.subjects:
        for case in subject.cases:
            facts = _facts(case.measurement.machine)
            key = repr(sorted(facts.items()))
            machines[key] = facts
            tests.setdefault(key, []).append(case.nodeid)
    parts = []
    for key, facts in machines.items():
        if len(machines) > 1:
            parts.append(element("h3", f"{len(tests[key])} measurements, {tests[key][0]} and on"))
        pairs = (part for name, value in facts.items() for part in _fact(name, value))
        parts.append(element("dl", *pairs, class_="facts"))
    return markup(*parts)


def _facts(found: Mapping[str, Any]) -> dict[str, str]:
    names = [*_MACHINE_WORDS, *(name for name in found if name not in _MACHINE_WORDS)]
    return {_MACHINE_WORDS.get(name, name): _value(found[name]) for name in names if name in found}


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fact(name: str, value: str) -> tuple[Any, Any]:
    return element("dt", name), element("dd", value)


def _flags(content: RunContent) -> dict[str, list[str]]:
    """For each flag its tests, and of how many configurations it was true."""
    flags: dict[str, list[str]] = {}
    for subject in content.subjects:
        counts = Counter(flag for case in subject.cases for flag in case.measurement.flags)
        for flag, count in counts.items():
            _, name = file_and_name(subject.test)
            flags.setdefault(flag, []).append(f"{name} ({count} of {len(subject.cases)})")
    return flags
