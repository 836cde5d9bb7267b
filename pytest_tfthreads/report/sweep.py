"""What a sweep over thread configurations says: recommendation → text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from pytest_tfthreads.core.comparison import Candidate, Ratio
from pytest_tfthreads.core.recommendation import Configuration, Recommendation
from pytest_tfthreads.core.search import SearchCost
from pytest_tfthreads.core.statistics import Estimate
from pytest_tfthreads.core.sweep import Sweep
from pytest_tfthreads.core.words import NOTHING, hundredths, percent, whole, with_bounds
from pytest_tfthreads.report.table import aligned


def render(sweep: Sweep) -> list[str]:
    """Lines of text: a table of the configurations, what to use, what limits, what to paste."""
    if sweep.recommendation is None:
        return [
            f"{sweep.test}: its configurations took no turns with one another, so they are not "
            "compared"
        ]
    return [*_advice_in_full(sweep.recommendation), *cost(sweep.search)]


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
    best = recommendation.best
    lines = [
        f"{recommendation.test}: {label(best.candidate)} is recommended  "
        "([intervals]: 95 % for all pairs together)",
        *_table(recommendation),
    ]
    for sentence in (*advice(recommendation), *recommendation.limits):
        lines += textwrap.wrap(sentence, 108, initial_indent="  ", subsequent_indent="    ")
    lines += [f"    {line}" for line in recommendation.settings]
    return lines


def label(candidate: Candidate) -> str:
    """Short name of a configuration: threads as asked for, what they came to, and its terms."""
    threads, pools = candidate.threads, candidate.pools
    asked, counted = f"{threads.intra.text}×{threads.inter.text}", f"{pools.intra}×{pools.inter}"
    name = asked if asked == counted else f"{asked} ({counted})"
    return " ".join((name, candidate.terms.lstrip("-"))).rstrip()


def _table(recommendation: Recommendation) -> list[str]:
    rows: list[Sequence[str]] = [
        ("intra×inter", "× best", "× 1×1", "CPU eff. × best", "parallel eff., %", ""),
        *(_cells(one, recommendation) for one in recommendation.configurations),
    ]
    return [f"  {line}" for line in aligned(rows, range(1, len(rows[0]) - 1))]


def _cells(one: Configuration, recommendation: Recommendation) -> Sequence[str]:
    verdict = "tied" if one.tied else "slower"
    if one.id == recommendation.best.id:
        verdict = "best"
    return (
        label(one.candidate),
        times(one.throughput_to_best),
        times(one.throughput_to_single),
        times(one.cpu_efficiency_to_best),
        of_percent(one.parallel_efficiency),
        verdict,
    )


def advice(recommendation: Recommendation) -> list[str]:
    """Sentences: which configuration is best for what."""
    best, efficient = recommendation.best, recommendation.most_efficient
    tied = [one for one in recommendation.configurations if one.tied and one.id != best.id]
    sentence = f"best for throughput: {label(best.candidate)}"
    if tied:
        names = ", ".join(label(one.candidate) for one in tied)
        sentence += f", with the fewest CPU-seconds an item of those tied ({names})"
    sentences = [sentence]
    if efficient.id == best.id:
        sentences.append("best for CPU efficiency: the same")
    else:
        sentences.append(f"best for CPU efficiency: {_worth(efficient)}")
    if efficient.id != best.id:
        knee = recommendation.knee
        same = {best.id: "the first", efficient.id: "the second"}.get(knee.id, _worth(knee))
        sentences.append(f"knee between them (most throughput × CPU efficiency): {same}")
    if recommendation.not_compared:
        names = ", ".join(recommendation.not_compared)
        sentences.append(f"not compared, for they took no turns with the others: {names}")
    return sentences


def _worth(one: Configuration) -> str:
    cpu, throughput = times(one.cpu_efficiency_to_best), times(one.throughput_to_best)
    return f"{label(one.candidate)} ({cpu} × the best's, at {throughput} × its throughput)"


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
