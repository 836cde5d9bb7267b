"""What a sweep over thread configurations says: recommendation → text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from pytest_tfthreads.core.format import (
    NOTHING,
    duration,
    hundredths,
    percent,
    plural,
    whole,
    with_bounds,
)
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.sweep.comparison import Candidate, Ratio
from pytest_tfthreads.core.sweep.pipelines import with_pool
from pytest_tfthreads.core.sweep.recommendation import OPEN, RatedConfiguration, Recommendation
from pytest_tfthreads.core.sweep.result import Sweep
from pytest_tfthreads.core.sweep.search import SearchCost
from pytest_tfthreads.report.table import aligned, table


def render(sweep: Sweep) -> list[str]:
    """Lines of text: a table of the configurations, what to use, what limits, what to paste."""
    if sweep.recommendation is None and sweep.is_one:
        names = "; ".join(f"{one} is {measured}" for one, measured in sweep.same.items())
        return [f"{sweep.test}: the same configuration under several names here ({names})"]
    if sweep.recommendation is None:
        return [
            f"{sweep.test}: its configurations took no turns with one another, so they are not "
            "compared"
        ]
    return [*_advice_in_full(sweep.recommendation), *cost(sweep.search)]


def overview(recommendations: Sequence[Recommendation]) -> list[str]:
    """Lines of text: a line for each test, and the lines to paste for those that gain."""
    names = _short_names([recommendation.test for recommendation in recommendations])
    rows = [
        (
            names[recommendation.test],
            recommended(recommendation),
            _short_gain(recommendation),
            _cores(recommendation.best.candidate),
            recommendation.limit or NOTHING,
        )
        for recommendation in recommendations
    ]
    headers = ("Test", "Recommended", "Throughput [95 %]", "Cores used", "What limits it")
    return [*table(headers, rows), *_to_paste(recommendations, names)]


def _short_names(tests: Sequence[str]) -> dict[str, str]:
    """Node ids without their file, as far as the rest tells them apart."""
    short = {test: test.partition("::")[2] or test for test in tests}
    return short if len(set(short.values())) == len(short) else {test: test for test in tests}


def _short_gain(recommendation: Recommendation) -> str:
    gain = recommendation.gain
    if gain is None:
        return NOTHING
    if gain.is_itself:
        return "is the default" if gain.over == "default" else "is 1×1"
    tie = "" if gain.throughput.distinct else ", tied"
    return f"{times(gain.throughput)} × {gain.over}{tie}"


def _cores(candidate: Candidate) -> str:
    measurement = candidate.measurement
    return f"{hundredths(measurement.cores_used.value)} of {len(measurement.granted)}"


def _to_paste(recommendations: Sequence[Recommendation], names: Mapping[str, str]) -> list[str]:
    """The lines of each setting once, with the tests that measurably gain by it."""
    tests: dict[tuple[str, ...], list[str]] = {}
    for recommendation in recommendations:
        if recommendation.gain is not None and recommendation.gain.throughput.above:
            tests.setdefault(recommendation.settings, []).append(names[recommendation.test])
    lines = []
    for settings, several in tests.items():
        lines += ["", *textwrap.wrap(f"For {', '.join(several)}:", 100, break_on_hyphens=False)]
        lines += [f"    {line}" for line in settings]
    return lines


def cost(search: SearchCost | None) -> list[str]:
    """A line on what the search took; none where there was no search."""
    if search is None:
        return []
    return [
        f"  search: {search.configurations} of {search.grid_configurations} configurations in "
        f"{search.processes} processes and {search.seconds:.0f} s; the full grid takes "
        f"{search.grid_processes}, about {search.grid_s:.0f} s"
    ]


def _advice_in_full(recommendation: Recommendation) -> list[str]:
    lines = [
        f"{recommendation.test}: {recommended(recommendation)} is recommended"
        + _gain(recommendation)
        + (f"; {OPEN}" if recommendation.undecided else ""),
        *_table(recommendation),
        *_legend(recommendation),
    ]
    for sentence in (*advice(recommendation), *recommendation.limits):
        lines += textwrap.wrap(sentence, 108, initial_indent="  ", subsequent_indent="    ")
    lines += [f"    {line}" for line in recommendation.settings]
    return lines


def recommended(recommendation: Recommendation) -> str:
    """Short name of the recommended configuration, with the pool of a tf.data pipeline."""
    best = recommendation.best.candidate
    return with_pool(label(best), best.measurement.data_threads)


def label(candidate: Candidate) -> str:
    """Short name of a configuration: threads as asked for, what they came to, and its terms."""
    threads, pools = candidate.threads, candidate.pools
    asked, counted = f"{threads.intra.text}×{threads.inter.text}", f"{pools.intra}×{pools.inter}"
    name = asked if asked == counted else f"{asked} ({counted})"
    if threads.instances is not None:
        symbol = threads.instances.text
        words = plural(candidate.instances, "instance")
        name += f" × {words}" if symbol.isdecimal() else f" × {words} ({symbol})"
    return " ".join((name, candidate.suffix.lstrip("-"))).rstrip()


def _table(recommendation: Recommendation) -> list[str]:
    default = has_default(recommendation)
    rows: list[Sequence[str]] = [
        (
            "intra×inter",
            "× recommended",
            *(["× default"] if default else []),
            "× 1×1",
            "CPU efficiency",
            *([] if default else ["a thread, %"]),  # six columns of figures are too wide to read
            "",
        ),
    ]
    for configuration in recommendation.configurations:
        rows.append(_cells(configuration, recommendation))
        rows += [
            (label(alias), *([NOTHING] * (len(rows[0]) - 2)), same(configuration.candidate))
            for alias in recommendation.aliases_of(configuration)
        ]
    return [f"  {line}" for line in aligned(rows, range(1, len(rows[0]) - 1))]


def _cells(one: RatedConfiguration, recommendation: Recommendation) -> Sequence[str]:
    default = has_default(recommendation)
    verdict = "tied" if one.tied else "slower"
    if one.id == recommendation.best.id:
        verdict = "recommended"
    return (
        label(one.candidate),
        times(one.throughput_to_best),
        *([times(one.throughput_to_default)] if default else []),
        times(one.throughput_to_single),
        times(one.cpu_efficiency_to_best),
        *([] if default else [of_percent(one.parallel_efficiency)]),
        verdict,
    )


def same(measured: Candidate) -> str:
    """Of another name of a configuration that was measured."""
    return f"the same configuration as {label(measured)}"


def has_default(recommendation: Recommendation) -> bool:
    """Whether TensorFlow's default was measured too."""
    return any(
        configuration.throughput_to_default for configuration in recommendation.configurations
    )


def _gain(recommendation: Recommendation) -> str:
    """What it is worth, for the first line."""
    gain = recommendation.gain
    if gain is None:
        return ""
    if gain.is_itself:
        return ": TensorFlow's default" if gain.over == "default" else ""
    over = "TensorFlow's default" if gain.over == "default" else gain.over
    tie = "" if gain.throughput.distinct else " (tied)"
    return f": {times(gain.throughput)} times {over}{tie}"


def _legend(recommendation: Recommendation) -> list[str]:
    """What the columns are."""
    last = "a thread: speed-up over 1×1 ÷ threads"
    if has_default(recommendation):
        last = "default: TensorFlow's own choice (auto×auto)"
    text = (
        "×: throughput over that of another configuration; CPU efficiency: items a CPU-second, "
        f"× recommended; {last}. [Intervals] hold for all pairs together (95 %)."
    )
    return textwrap.wrap(text, 108, initial_indent="  ", subsequent_indent="  ")


def advice(recommendation: Recommendation) -> list[str]:
    """Sentences: which configuration is best for what."""
    best, efficient = recommendation.best, recommendation.most_efficient
    others = [
        configuration
        for configuration in recommendation.configurations
        if configuration.tied and configuration.id != best.id
    ]
    equals = [other for other in others if other.id in recommendation.equals]
    dearer = [other for other in others if other.cpu_efficiency_to_best.inverse.above]
    rest = [other for other in others if other not in equals and other not in dearer]
    sentence = f"best for throughput: {label(best.candidate)}"
    if dearer:
        sentence += f", with fewer CPU-seconds an item than others as fast ({_names(dearer)})"
    if equals:
        sentence += f"; tied ({_names(equals)}); the smallest of them"
    if rest:
        sentence += f"; not measurably slower either: {_names(rest)}"
    sentences = [sentence]
    if efficient.id == best.id:
        sentences.append("best for CPU efficiency: the same")
    else:
        sentences.append(f"best for CPU efficiency: {_worth(efficient)}")
    if efficient.id != best.id:
        knee = recommendation.knee
        name = label(knee.candidate) if knee.id in (best.id, efficient.id) else _worth(knee)
        sentences.append(f"most throughput × CPU efficiency: {name}")
    sentences += _aims(recommendation)
    crowded = [
        configuration
        for configuration in recommendation.configurations
        if "crowded-pool" in configuration.candidate.measurement.flags
    ]
    if crowded:
        sentences.append(
            "tf.data's own pool has more threads than CPUs granted, so that they limit the "
            f"pipeline: {_names(crowded)}; give the marker cpus= as many as the pool has threads, "
            "or the pool fewer threads"
        )
    if recommendation.not_compared:
        names = ", ".join(recommendation.not_compared)
        sentences.append(f"not compared, because they took no turns with the others: {names}")
    return sentences


def _aims(recommendation: Recommendation) -> list[str]:
    """Where several instances were measured: what is best for which aim."""
    shortest = recommendation.shortest_call
    if shortest is None:
        return []
    best, most = recommendation.best, recommendation.front[0]
    # What has a little more as measured is no better, and would read as a contradiction.
    tie = "" if most.id == best.id else f"; tied with {_call(most)}"
    sentences = [
        f"most throughput of all instances together: {_call(best)}, cores used: "
        f"{_cores(best.candidate)}{tie}",
        f"shortest time of a call: {_call(shortest)}",
    ]
    told = (best.id, most.id, shortest.id)
    between = [one for one in recommendation.front if one.id not in told]
    if between:
        sentences.append("between them: " + "; ".join(f"{_call(one)}" for one in between))
    return sentences


def _call(one: RatedConfiguration) -> str:
    speed = "" if one.throughput_to_best.rings == 0 else f" at {times(one.throughput_to_best)} × "
    speed += "the recommended one's throughput" if speed else ""
    latency = one.candidate.measurement.latency
    slowest = "" if latency is None else f", 99 % within {duration(latency.p99_s)}"
    return f"{label(one.candidate)} ({duration(one.candidate.call_s)} a call{slowest}{speed})"


def _names(configurations: Sequence[RatedConfiguration]) -> str:
    return ", ".join(label(configuration.candidate) for configuration in configurations)


def _worth(one: RatedConfiguration) -> str:
    cpu, throughput = times(one.cpu_efficiency_to_best), times(one.throughput_to_best)
    return (
        f"{label(one.candidate)} ({cpu} × the recommended one's, at {throughput} × its throughput)"
    )


def times(ratio: Ratio | None) -> str:
    """A ratio of speeds: "1.23 [1.10, 1.37]", or "1" of a configuration to itself."""
    if ratio is None:
        return NOTHING
    if ratio.rings == 0:  # to itself
        return whole(ratio.estimate.value)
    return with_bounds(ratio.estimate, hundredths)


def of_percent(estimate: Estimate | None) -> str:
    """Percent with their interval, without the sign."""
    if estimate is None:
        return NOTHING
    if estimate.low == estimate.high:
        return percent(estimate.value).removesuffix(" %")
    return with_bounds(estimate, percent).replace(" %", "")
