"""Tables of one test: the figures beside its plots."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from pytest_tfthreads.core.format import (
    NOTHING,
    bounds,
    duration,
    hundredths,
    mebibytes,
    metric_name,
    milliseconds,
    number,
    percent,
    ranges,
    signed_percent,
    time_unit,
)
from pytest_tfthreads.core.stats.estimates import change_from_log
from pytest_tfthreads.core.sweep.recommendation import RatedConfiguration
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.report.html.content import MeasuredCase, Subject
from pytest_tfthreads.report.html.elements import (
    element,
    name_cell,
    number_cell,
    table,
)
from pytest_tfthreads.report.html.words import badge, change, name_of, seconds_of_a_call
from pytest_tfthreads.report.sweep import has_default, of_percent, same, times


def speeds(subject: Subject) -> Element:
    """Throughput, CPU efficiency, and what each configuration is worth against the others."""
    unit = subject.cases[0].measurement.unit
    found = subject.recommendation
    worth = (
        {configuration.id: configuration for configuration in found.configurations} if found else {}
    )
    with_default = found is not None and has_default(found)
    headers: list[Element | str] = [
        "intra×inter",
        _number(f"{unit}/s [95 %]"),
        _number(f"{unit}/CPU-s [95 %]"),
    ]
    if worth:
        headers += [
            *([_number("Throughput × default")] if with_default else []),
            _number("Throughput × 1×1"),
            _number("Throughput × recommended"),
            _number("CPU efficiency × recommended"),
            _number("Speed-up over 1×1 ÷ threads, %"),
            "Standing",
        ]
    rows = []
    for case in subject.cases:
        throughput, efficiency = case.measurement.throughput, case.measurement.cpu_efficiency
        cells = [
            name_cell(name_of(case)),
            number_cell(number(throughput.value), bounds(throughput)),
            number_cell(number(efficiency.value), bounds(efficiency)),
        ]
        if worth:
            one = worth.get(case.candidate.same_as or case.candidate.id)
            if case.candidate.same_as and one is not None:
                cells += _empty(with_default, same(one.candidate))
            else:
                cells += _worth(one, case is subject.best, with_default)
        rows.append(_row(cells, subject, case))
    caption = "Speed by configuration"
    if with_default:
        caption += "; the default is TensorFlow's own choice (auto×auto)"
    if worth:
        caption += "; of ratios the intervals hold for all pairs together (95 %)"
    return table(caption, headers, rows)


def _worth(one: RatedConfiguration | None, is_best: bool, with_default: bool) -> list[Element]:
    if one is None:
        return _empty(with_default, "not compared")
    single, default = one.throughput_to_single, one.throughput_to_default
    texts = (
        *([times(default)] if with_default else []),
        times(single),
        times(one.throughput_to_best),
        times(one.cpu_efficiency_to_best),
        of_percent(one.parallel_efficiency),
    )
    cells = []
    for text in texts:
        value, _, interval = text.partition(" ")
        cells.append(number_cell(value, interval))
    word = "recommended" if is_best else "tied" if one.tied else "slower"
    return [*cells, element("td", word)]


def _empty(with_default: bool, word: str) -> list[Element]:
    empty = [number_cell(NOTHING) for _ in range(5 if with_default else 4)]
    return [*empty, element("td", word)]


def taken_apart(subject: Subject) -> Element:
    """Wall time = CPU work ÷ cores used."""
    seconds = [seconds_of_a_call(case.measurement) for case in subject.cases]
    scale, unit = time_unit(max(one.value for both in seconds for one in both))
    rows = []
    for case, both in zip(subject.cases, seconds, strict=True):
        measurement = case.measurement
        wall, cpu = (one.scaled(1 / scale) for one in both)
        cores = measurement.cores_used
        cells = [
            name_cell(name_of(case)),
            number_cell(number(wall.value), bounds(wall)),
            number_cell(number(cpu.value), bounds(cpu)),
            number_cell(hundredths(cores.value), bounds(cores, hundredths)),
            number_cell(str(len(measurement.granted))),
            number_cell(percent(measurement.utilization)),
            element("td", ", ".join(measurement.flags) or NOTHING),
        ]
        rows.append(_row(cells, subject, case))
    headers: list[Element | str] = [
        "intra×inter",
        _number(f"Wall, {unit} a call"),
        _number(f"= CPU work, CPU-{unit} a call"),
        _number("÷ cores used"),
        _number("CPUs granted"),
        _number("Used of them"),
        "Flags",
    ]
    return table("Wall time taken apart, 95 % intervals", headers, rows)


def processes(subject: Subject) -> Element:
    """How many there were, and how far they lie apart."""
    unit = subject.cases[0].measurement.unit
    rows = []
    for case in subject.cases:
        samples = case.measurement.samples
        speeds = [case.measurement.items * sample.calls_a_second for sample in samples]
        references = [
            sample.reference_wall_s for sample in samples if sample.reference_wall_s is not None
        ]
        cells = [
            name_cell(name_of(case)),
            number_cell(str(len(samples))),
            number_cell(str(sum(len(sample.wall_s) for sample in samples))),
            number_cell(number(min(speeds))),
            number_cell(number(max(speeds))),
            number_cell(hundredths(max(speeds) / min(speeds))),
            number_cell(
                f"{milliseconds(min(references))} to {milliseconds(max(references))}"
                if references
                else NOTHING
            ),
            number_cell(f"{max(sample.max_rss_bytes for sample in samples) / 2**20:,.0f}"),
        ]
        rows.append(_row(cells, subject, case))
    headers: list[Element | str] = [
        "intra×inter",
        _number("Processes"),
        _number("Rounds"),
        _number(f"Slowest, {unit}/s"),
        _number(f"Fastest, {unit}/s"),
        _number("Fastest ÷ slowest"),
        _number("Reference workload, ms"),
        _number("Memory, MiB"),
    ]
    return table("Processes: how far they lie apart", headers, rows)


def instances(subject: Subject) -> Element | None:
    """What there is to say of several instances beside their speed; None where there are none."""
    teams = [case for case in subject.cases if case.measurement.instances > 1]
    if not teams:
        return None
    rows = []
    for case in teams:
        measurement = case.measurement
        latency, memory = measurement.latency, measurement.max_pss_bytes
        cells = [
            name_cell(name_of(case)),
            number_cell(str(measurement.instances)),
            number_cell(NOTHING if latency is None else duration(latency.median_s)),
            number_cell(NOTHING if latency is None else duration(latency.p99_s)),
            number_cell(NOTHING if latency is None else str(latency.calls_a_round)),
            number_cell(
                NOTHING if measurement.imbalance is None else percent(measurement.imbalance)
            ),
            number_cell(NOTHING if memory is None else mebibytes(memory)),
            element("td", "; ".join(map(ranges, measurement.instance_cpus))),
        ]
        rows.append(_row(cells, subject, case))
    headers: list[Element | str] = [
        "intra×inter",
        _number("Instances"),
        _number("A call, median"),
        _number("99th percentile"),
        _number("Calls a round"),
        _number("Slowest behind fastest"),
        _number("Memory of all"),
        "CPUs of each at first",
    ]
    return table("Instances at once: a call as one caller sees it", headers, rows)


def verdicts(subject: Subject) -> Element:
    """Each verdict with what it was judged by."""
    rows = [
        _row(
            [
                name_cell(name_of(case)),
                element("td", metric_name(verdict.metric)),
                number_cell(
                    NOTHING if verdict.baseline is None else number(verdict.baseline.value),
                    "" if verdict.baseline is None else bounds(verdict.baseline),
                ),
                number_cell(number(verdict.now.value), bounds(verdict.now)),
                number_cell(*change(verdict)),
                number_cell(
                    NOTHING if verdict.detectable is None else f"from {percent(verdict.detectable)}"
                ),
                element("td", NOTHING if verdict.change is None else verdict.judged_by),
                element("td", badge(verdict.status)),
            ],
            subject,
            case,
        )
        for case in subject.cases
        for verdict in case.verdicts
    ]
    unit = subject.cases[0].measurement.unit
    headers: list[Element | str] = [
        "intra×inter",
        "Metric",
        _number("Baseline [95 %]"),
        _number("Now [95 %]"),
        _number("Change [interval]"),
        _number("Finds a loss"),
        "Judged by",
        "Verdict",
    ]
    caption = f"Verdicts; throughput in {unit}/s, CPU efficiency in {unit}/CPU-s"
    return table(caption, headers, rows)


def pairs(subject: Subject) -> Element:
    """What each pair of a duet says."""
    rows = []
    for case in subject.cases:
        for metric in METRICS:
            logs = [getattr(pair, metric) for pair in case.pairs]
            changes = ", ".join(signed_percent(change_from_log(log)) for log in logs)
            cells = [
                name_cell(name_of(case)),
                element("td", metric_name(metric)),
                element("td", changes),
            ]
            rows.append(_row(cells, subject, case))
    headers = ("intra×inter", "Metric", "Change of each pair")
    return table("Pairs of processes side by side", headers, rows)


def _row(cells: list[Element], subject: Subject, case: MeasuredCase) -> Element:
    return element("tr", *cells, **({"class_": "chosen"} if case is subject.best else {}))


def _number(text: str) -> Element:
    return element(
        "th", text.replace(" %", "\u00a0%").replace("CPU-", "CPU\u2011"), class_="number"
    )
