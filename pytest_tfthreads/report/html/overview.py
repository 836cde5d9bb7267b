"""The first part of the report: how the run went, and a line for each test."""

from __future__ import annotations

from collections import Counter
from xml.etree.ElementTree import Element

from pytest_tfthreads.core.format import NOTHING, bounds, hundredths, number
from pytest_tfthreads.core.gate.verdict import STATUSES
from pytest_tfthreads.report.html.content import RunContent, Subject
from pytest_tfthreads.report.html.elements import element, markup, number_cell, table
from pytest_tfthreads.report.html.words import badge, change, file_and_name, name_of, worst
from pytest_tfthreads.report.sweep import times

_TABLE = "tests"
_MEASURED = "measured"
_COLUMNS = {
    "Test": "",
    "Use": "",
    "Throughput": "number",
    "A CPU-second": "number",
    "Cores used": "number",
    "Gain": "number",
    "Against baseline": "",
    "Flags": "",
}


def overview(content: RunContent, anchors: dict[str, str]) -> str:
    """Tiles, a filter and a table that sorts; `anchors` leads from a test to its section."""
    rows = [_row(subject, anchors[subject.test]) for subject in content.subjects]
    headers = [_sortable(name, class_) for name, class_ in _COLUMNS.items()]
    legend = (
        "Each test under the configuration to use, with 95 % intervals; changes with those "
        "of their verdicts. Gain: over TensorFlow's default where that was measured, else over "
        "1×1. "
        "Headings sort."
    )
    return markup(_tiles(content), _filter(content), table(legend, headers, rows, id=_TABLE))


def _tiles(content: RunContent) -> Element:
    verdicts = Counter(verdict.status for verdict in content.verdicts)
    processes = sum(len(case.measurement.samples) for case in content.cases)
    figures = {
        "Tests": len(content.subjects),
        "Configurations": len(content.cases),
        "Processes": processes,
        **{f"Verdict {status}": verdicts[status] for status in STATUSES if verdicts[status]},
    }
    if content.failures:
        figures["Failed"] = len(content.failures)
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", f"{figure:,}"))
            for name, figure in figures.items()
        ),
        class_="tiles",
    )


def _filter(content: RunContent) -> Element:
    statuses = [
        status
        for status in STATUSES
        if any(verdict.status == status for verdict in content.verdicts)
    ]
    fields = [
        element("label", "Filter by words", element("input", type="search", name="words")),
    ]
    if statuses:
        options = [element("option", "any", value="")]
        options += [element("option", status, value=status) for status in statuses]
        fields.append(element("label", "Verdict", element("select", *options, name="status")))
    fields.append(element("span", role="status", class_="muted"))
    return element("form", *fields, class_="filter", data_table=_TABLE, hidden="")


def _row(subject: Subject, anchor: str) -> Element:
    file, name = file_and_name(subject.test)
    link = element("a", name, href=f"#{anchor}", title=subject.test)
    above = [element("small", file.rpartition("/")[2]), element("br")] if file else []
    flags = dict.fromkeys(flag for case in subject.cases for flag in case.measurement.flags)
    statuses = dict.fromkeys(verdict.status for verdict in subject.verdicts)
    cells = [
        element("th", *above, link, scope="row", class_="name"),
        *_speeds(subject),
        _judged(subject),
        element("td", ", ".join(flags)),
    ]
    for cell, name in zip(cells[1:], list(_COLUMNS)[1:], strict=True):
        cell.set("data-label", name)  # on a narrow screen, where the heads of columns are far away
    return element(
        "tr",
        *cells,
        data_status=" ".join(statuses) or _MEASURED,
    )


def _speeds(subject: Subject) -> list[Element]:
    best = subject.best
    if best is None:
        text = f"{len(subject.cases)} configurations, "
        # Those of a duet take turns with the other side, which gives verdicts, no recommendation.
        text += "each beside its baseline" if subject.is_duet else "not compared with one another"
        return [element("td", text), *(_empty() for _ in range(4))]
    measurement = best.measurement
    throughput, efficiency = measurement.throughput, measurement.cpu_efficiency
    cores = measurement.cores_used
    cells = [
        element("td", name_of(best)),
        number_cell(
            f"{number(throughput.value)} {measurement.unit}/s",
            bounds(throughput),
            data_sort=repr(throughput.value),
        ),
        number_cell(number(efficiency.value), bounds(efficiency), data_sort=repr(efficiency.value)),
        number_cell(
            f"{hundredths(cores.value)} of {len(measurement.granted)}",
            bounds(cores, hundredths),
            data_sort=repr(cores.value),
        ),
    ]
    recommendation = subject.recommendation
    gain = recommendation and recommendation.gain
    if not gain:
        return [*cells, _empty()]
    value, _, interval = times(gain.throughput).partition(" ")
    sort = repr(gain.throughput.estimate.value)
    return [*cells, number_cell(f"{value} × {gain.over}", interval, data_sort=sort)]


def _judged(subject: Subject) -> Element:
    status = worst(subject.verdicts)
    if not status:
        return element("td", NOTHING, data_sort="")
    same = [verdict for verdict in subject.verdicts if verdict.status == status]
    of_all = f"{len(same)} of {len(subject.verdicts)}" if len(subject.verdicts) > 1 else ""
    children: list[Element | str] = [badge(status)]
    if of_all:
        children += [" ", element("small", of_all)]
    changed = [verdict for verdict in same if verdict.change is not None]
    if changed:
        most = min(changed, key=lambda one: one.change.value if one.change else 0.0)
        if status == "improvement":
            most = max(changed, key=lambda one: one.change.value if one.change else 0.0)
        children += [element("br"), element("small", " ".join(change(most)))]
    return element("td", *children, data_sort=str(STATUSES.index(status)))


def _sortable(name: str, class_: str = "") -> Element:
    button = element("button", name, type="button")
    return element("th", button, class_=class_) if class_ else element("th", button)


def _empty() -> Element:
    return element("td", NOTHING, data_sort="", class_="number")
