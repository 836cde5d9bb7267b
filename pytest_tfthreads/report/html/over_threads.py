"""Figures over the numbers of threads: heat maps of the grid, and how speed scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pytest_tfthreads.core.format import (
    bounds,
    hundredths,
    number,
    percent,
    small_percent,
    with_bounds,
)
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.stats.estimates import Estimate, from_log
from pytest_tfthreads.core.stats.scaling import Law, Scaling, speedup
from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.sweep.recommendation import RatedConfiguration, Recommendation
from pytest_tfthreads.report.html.content import MeasuredCase, Subject
from pytest_tfthreads.report.html.lines import error_bars
from pytest_tfthreads.report.html.words import name_of, plot_text, pool
from pytest_tfthreads.report.page import figure

_CELL_PX = 52
_FRAME_PX = 70
_SERIES = ("--series-1", "--series-2", "--series-3", "--series-4", "--series-5")
_MARKS = ("circle", "square", "diamond", "triangle-up", "cross")
_ASIDE = 1.025
_NARROWEST = 2  # factor that the colours span, or noise would look like a pattern
_BRIGHT = 0.55  # share of the scale from which Cividis is brighter than the middle
_ON_BRIGHT, _ON_DARK = "#111111", "#ffffff"
_POINTS = 40  # of a curve
_MOST_CELLS_IN_A_ROW = 6  # whose intervals fit into the cells


def is_grid(subject: Subject) -> bool:
    """Whether two axes have several sizes, so that a heat map shows more than a line."""
    return len(_varying(subject.cases)) > 1


def heat_maps(anchor: str, subject: Subject) -> list[str]:
    """Throughput and CPU efficiency over two axes; a pair for each kind of terms.

    Over intra × inter, a pair for each number of instances, too; where one of the pools has a
    single size, over the other one × instances.
    """
    varying = _varying(subject.cases)
    axes = (_INTRA, _INTER) if len(varying) != 2 else varying
    kinds: dict[tuple[str, str], list[MeasuredCase]] = {}
    for case in subject.cases:
        instances = "" if _INSTANCES in axes else _instances_given(case.candidate)
        kinds.setdefault((_kind(case.candidate), instances), []).append(case)
    figures = []
    for place, ((kind, instances), cases) in enumerate(kinds.items()):
        notes = ", ".join(filter(None, (instances, kind.lstrip("-"))))
        under = f" ({notes})" if notes else ""
        unit = cases[0].measurement.unit
        best = subject.best
        figures += [
            _heat_map(
                f"{anchor}-heat-throughput-{place}",
                cases,
                lambda one: one.throughput,
                f"Throughput, {unit}/s{under}",
                best,
                axes,
            ),
            _heat_map(
                f"{anchor}-heat-efficiency-{place}",
                cases,
                lambda one: one.cpu_efficiency,
                f"CPU efficiency, {unit}/CPU-s{under}",
                best,
                axes,
            ),
        ]
    return figures


def scaling(anchor: str, recommendation: Recommendation) -> list[str]:
    """A curve along each pool, with the law that was fitted along it."""
    figures = (_curve(anchor, recommendation, one) for one in recommendation.scalings)
    return [one for one in figures if one]


def _heat_map(
    name: str,
    cases: Sequence[MeasuredCase],
    estimate_of: Callable[[Measurement], Estimate],
    caption: str,
    best: MeasuredCase | None,
    axes: Sequence[_Axis],
) -> str:
    across, down = axes
    columns = _names_on([across.of(case.candidate) for case in cases])
    rows = _names_on([down.of(case.candidate) for case in cases])
    cells = {(across.of(case.candidate), down.of(case.candidate)): case for case in cases}
    values: list[list[float | None]] = []
    texts: list[dict[str, Any]] = []
    speeds = [estimate_of(case.measurement).value for case in cases]
    most = max(speeds)
    least = min(*speeds, most / _NARROWEST)
    for row in rows:
        found = [cells.get((column, row)) for column in columns]
        estimates = [None if one is None else estimate_of(one.measurement) for one in found]
        values.append([None if estimate is None else estimate.value for estimate in estimates])
        texts += [
            {
                "x": plot_text(column),
                "y": plot_text(row),
                "text": _cell(one, len(columns)),
                "hovertext": f"{plot_text(name_of(case))}: {with_bounds(one)}",
                "color": _ON_BRIGHT if one.value > least + _BRIGHT * (most - least) else _ON_DARK,
            }
            for column, case, one in zip(columns, found, estimates, strict=True)
            if case is not None and one is not None
        ]
    shapes = []
    if best is not None and best in cases:
        x, y = columns.index(across.of(best.candidate)), rows.index(down.of(best.candidate))
        shapes.append(
            {
                "type": "rect",
                "x0": x - 0.47,
                "x1": x + 0.47,
                "y0": y - 0.46,
                "y1": y + 0.46,
                "line": {"color": "--series-2", "width": 3},
            }
        )
    return figure(
        name,
        [
            {
                "type": "heatmap",
                "x": [plot_text(one) for one in columns],
                "y": [plot_text(one) for one in rows],
                "z": values,
                "hoverinfo": "skip",
                "colorscale": "Cividis",
                "zmin": least,
                "zmax": most,
                "showscale": False,
                "xgap": 2,
                "ygap": 2,
            },
            # Not the heat map's own text: plotly.js 4.1 puts its lines on top of each other.
            {
                "type": "scatter",
                "mode": "text",
                **{
                    name: [text[name] for text in texts] for name in ("x", "y", "text", "hovertext")
                },
                "textfont": {"color": [text["color"] for text in texts]},
                "hoverinfo": "text",
                "showlegend": False,
            },
        ],
        {
            "height": _FRAME_PX + _CELL_PX * len(rows),
            "xaxis": {"type": "category", "title": {"text": across.title}, "showgrid": False},
            "yaxis": {"type": "category", "title": {"text": down.title}, "showgrid": False},
            "shapes": shapes,
        },
        caption=caption,
        details="Framed: recommended." if shapes else "",
    )


def _cell(estimate: Estimate, columns: int) -> str:
    value = f"<b>{number(estimate.value)}</b>"
    if estimate.low is None or columns > _MOST_CELLS_IN_A_ROW:
        return value
    return f'{value}<br><span style="font-size:8.5px">{bounds(estimate)}</span>'


def _curve(anchor: str, recommendation: Recommendation, along: Scaling) -> str:
    """Speed-up over 1×1 where that was measured, else over the recommended configuration."""
    axis, other = (("intra", "inter"), ("inter", "intra"))[along.axis == "inter"]
    lines: dict[int, list[tuple[int, RatedConfiguration]]] = {}
    # The law is drawn through the points that it was fitted to.
    terms = recommendation.best.candidate.terms if along.law is None else along.terms
    for one in recommendation.configurations:
        threads, fixed = getattr(one.candidate.pools, axis), getattr(one.candidate.pools, other)
        if threads and fixed and one.candidate.terms == terms and one.candidate.instances == 1:
            lines.setdefault(fixed, []).append((threads, one))
    lines = {fixed: line for fixed, line in sorted(lines.items()) if len(line) > 1}
    if not lines:
        return ""
    to_single = all(one.throughput_to_single for line in lines.values() for _, one in line)
    over = "1×1" if to_single else "the recommended configuration"
    data: list[dict[str, Any]] = []
    for place, (fixed, line) in enumerate(lines.items()):
        colour, mark = _SERIES[place % len(_SERIES)], _MARKS[place % len(_MARKS)]
        aside = _ASIDE ** (place - (len(lines) - 1) / 2)  # so that no interval hides another
        points = sorted(line, key=lambda one: one[0])
        ratios = [_speed(one, to_single) for _, one in points]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": f"{other} {fixed}",
                "x": [threads * aside for threads, _ in points],
                "customdata": [threads for threads, _ in points],
                "y": [ratio.value for ratio in ratios],
                "error_y": error_bars(ratios, colour),
                "line": {"color": colour, "width": 1.5},
                "marker": {"color": colour, "symbol": mark, "size": 8},
                "text": [with_bounds(ratio, hundredths) for ratio in ratios],
                "hovertemplate": f"{axis} %{{customdata}}, {other} {fixed}: %{{text}} × {over}"
                "<extra></extra>",
            }
        )
    counts = sorted({threads for line in lines.values() for threads, _ in line})
    are_several = len({one.candidate.terms for one in recommendation.configurations}) > 1
    under = f" ({terms.lstrip('-') or 'no other terms'})" if are_several else ""
    fitted = sorted(lines.get(along.fixed) or next(iter(lines.values())), key=lambda one: one[0])
    measured = [(threads, _speed(one, to_single).value) for threads, one in fitted]
    data += _references(along.law, measured, counts)
    highest = max(one["y"][place] for one in data for place in range(len(one["y"])))
    lowest = min(one["y"][place] for one in data for place in range(len(one["y"])))
    return figure(
        f"{anchor}-scaling-{axis}",
        data,
        {
            "height": 360,
            "showlegend": True,
            "xaxis": {
                "type": "log",
                "title": {"text": f"{axis}-op threads"},
                "tickvals": counts,
                "ticktext": [str(count) for count in counts],
            },
            "yaxis": {
                "type": "log",
                "title": {"text": f"throughput × {over}"},
                "tickvals": _ticks(lowest, highest),
                "ticktext": [f"{tick:g}" for tick in _ticks(lowest, highest)],
            },
        },
        caption=f"Scaling over {axis}-op threads{under}",
        details=f"95 % intervals, for all pairs together. {_law_in_words(along, other)}",
    )


def _references(
    law: Law | None, measured: Sequence[tuple[int, float]], counts: Sequence[int]
) -> list[dict[str, Any]]:
    """The ideal line, and the law, at the level of the points through which it was fitted."""
    threads_of_least, speed_of_least = measured[0]
    one_thread = speed_of_least / threads_of_least
    if law is not None:
        contention, coherency = law.contention.value, law.coherency.value
        one_thread = from_log(
            fmean(math.log(y / speedup(n, contention, coherency)) for n, y in measured)
        )
    ends = [counts[0], counts[-1]]
    lines: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "ideal",
            "x": ends,
            "y": [one_thread * n for n in ends],
            "line": {"color": "--faint", "width": 1.5, "dash": "dot"},
            "hoverinfo": "skip",
        }
    ]
    if law is not None:
        ratio = (ends[1] / ends[0]) ** (1 / _POINTS)
        curve = [ends[0] * ratio**step for step in range(_POINTS + 1)]
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "fitted law",
                "x": curve,
                "y": [one_thread * speedup(n, contention, coherency) for n in curve],
                "line": {"color": "--ink", "width": 1.5, "dash": "dash"},
                "hoverinfo": "skip",
            }
        )
    return lines


def _law_in_words(along: Scaling, other: str) -> str:
    if along.law is None:
        return f"No law was fitted: {along.refusal}."
    return (
        f"The law (Universal Scalability Law, at {other} {along.fixed}): "
        f"{with_bounds(along.law.contention, percent)} contention, "
        f"{with_bounds(along.law.coherency, small_percent)} coherency."
    )


def _speed(one: RatedConfiguration, to_single: bool) -> Estimate:
    single = one.throughput_to_single if to_single else None
    return (single or one.throughput_to_best).estimate


def _ticks(low: float, high: float) -> list[float]:
    """Powers of two, and one on either side."""
    return [
        2.0**power for power in range(math.floor(math.log2(low)), math.ceil(math.log2(high)) + 1)
    ]


def _names_on(names: Sequence[str]) -> list[str]:
    """Names on an axis in the order of their numbers."""
    return sorted(dict.fromkeys(names), key=_count)


def _count(name: str) -> tuple[int, str]:
    digits = name.rpartition("(")[2].rstrip(")")
    return (int(digits) if digits.isdecimal() else 0, name)


def _intra(one: Candidate) -> str:
    return pool(one.threads.intra, one.pools.intra)


def _inter(one: Candidate) -> str:
    return pool(one.threads.inter, one.pools.inter)


def _instances(one: Candidate) -> str:
    """4, or fill (4); 1 where nobody asked."""
    asked, count = one.threads.instances, str(one.instances)
    return count if asked is None or asked.text == count else f"{asked.text} ({count})"


def _kind(one: Candidate) -> str:
    """Its terms, and what else its id says beside the threads."""
    return one.terms + one.suffix.removeprefix(one.terms)


def _instances_given(one: Candidate) -> str:
    """For a caption; empty where nobody asked."""
    if one.threads.instances is None:
        return ""
    noun = "instance" if one.instances == 1 else "instances"
    return f"{_instances(one)} {noun}"


@dataclass(frozen=True)
class _Axis:
    """One of the three axes of configurations."""

    title: str
    of: Callable[[Candidate], str]  # a configuration's place on it


_INTRA = _Axis("intra-op threads", _intra)
_INTER = _Axis("inter-op threads", _inter)
_INSTANCES = _Axis("instances", _instances)


def _varying(cases: Sequence[MeasuredCase]) -> list[_Axis]:
    """The axes on which the configurations have several places, as they were asked for."""
    threads = [case.candidate.threads for case in cases]
    asked = {
        _INTRA: {one.intra.text for one in threads},
        _INTER: {one.inter.text for one in threads},
        _INSTANCES: {"1" if one.instances is None else one.instances.text for one in threads},
    }
    return [axis for axis, texts in asked.items() if len(texts) > 1]
