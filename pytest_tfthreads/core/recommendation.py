"""Which configuration to use, and what the others are worth: from candidates to advice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pytest_tfthreads.core.comparison import Candidate, Comparison, Ratio, compare
from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.noise import Pair, expected_variance
from pytest_tfthreads.core.scaling import Scaling, fit
from pytest_tfthreads.core.statistics import Estimate
from pytest_tfthreads.core.threads import ThreadCount

SCHEMA = 1

_ONE_THREAD = Pools(1, 1)
_NEAR = 0.9  # of the fastest one's throughput, as estimated
_HELP = 1.25  # a gain that cannot be ruled out, and that somebody would want


@dataclass(frozen=True)
class Configuration:
    """What one configuration is worth.

    `..._to_best` is against the recommended configuration, `..._to_single` against intra 1,
    inter 1 under the same terms, `None` where that was not measured. `parallel_efficiency` is
    the speed-up over it, divided by the threads that the configuration can keep busy: the larger
    of its pools. `tied`: no configuration is measurably faster.
    """

    candidate: Candidate
    tied: bool
    throughput_to_best: Ratio
    throughput_to_single: Ratio | None
    cpu_efficiency_to_best: Ratio
    cpu_efficiency_to_single: Ratio | None
    parallel_efficiency: Estimate | None

    @property
    def id(self) -> str:
        return self.candidate.id

    def to_json(self) -> dict[str, Any]:
        pools = self.candidate.pools
        efficiency = self.parallel_efficiency
        return {
            "id": self.id,
            "intra": pools.intra,
            "inter": pools.inter,
            "tied": self.tied,
            "throughput_to_best": _json(self.throughput_to_best),
            "throughput_to_single": _json(self.throughput_to_single),
            "cpu_efficiency_to_best": _json(self.cpu_efficiency_to_best),
            "cpu_efficiency_to_single": _json(self.cpu_efficiency_to_single),
            "parallel_efficiency": None if efficiency is None else efficiency.to_json(),
        }


@dataclass(frozen=True)
class Recommendation:
    """Advice for one test; configurations in the order given, without those not compared.

    `best` is the recommended one: of those that none is measurably faster than (and that do not
    seem to be more than 10 % slower than the fastest), that of the fewest CPU-seconds an item, and
    of those tied in that too, the one with the most throughput × CPU efficiency. `most_efficient`
    is that of the most items a CPU-second; of those tied in it, none is measurably faster. `knee`
    has the most throughput × CPU efficiency; it is one of the other two unless that is measurably
    beaten. `limits` are sentences on what limits
    the workload, `settings` lines to paste for `best`.
    """

    test: str
    configurations: tuple[Configuration, ...]
    best: Configuration
    most_efficient: Configuration
    knee: Configuration
    scalings: tuple[Scaling, ...]
    limits: tuple[str, ...]
    settings: tuple[str, ...]
    not_compared: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "test": self.test,
            "best": self.best.id,
            "tied": [one.id for one in self.configurations if one.tied],
            "most_efficient": self.most_efficient.id,
            "knee": self.knee.id,
            "configurations": [one.to_json() for one in self.configurations],
            "scalings": [one.to_json() for one in self.scalings],
            "limits": list(self.limits),
            "settings": list(self.settings),
            "not_compared": list(self.not_compared),
        }


def recommend(test: str, candidates: Sequence[Candidate]) -> Recommendation | None:
    """Advice from one test's configurations; `None` if no two of them can be compared.

    The knee is that of D. Eager, J. Zahorjan and E. Lazowska, "Speedup versus efficiency in
    parallel systems" (1989): where efficiency ÷ time an item is greatest. Efficiency here is
    items a CPU-second, for threads that sleep take no CPU from anybody.
    Raises `ValueError` where two candidates have the same id.
    """
    comparison = compare(candidates)
    if not comparison.compared:
        return None
    compared = [one for one in candidates if one.id in comparison.compared]
    speed = {one.id: comparison.log_throughput(one.id) for one in compared}
    efficiency = {one.id: comparison.log_cpu_efficiency(one.id) for one in compared}

    tied = _unbeaten(comparison.compared, comparison.throughput)
    efficient = _unbeaten(comparison.compared, comparison.cpu_efficiency)
    # On a noisy machine much is tied; what seems to be far slower is no bargain all the same.
    fastest = max(tied, key=lambda one: speed[one])
    near = [one for one in tied if speed[one] >= speed[fastest] + math.log(_NEAR)]
    # What cannot be told apart in CPU-seconds either is not decided by their digits alone.
    best = max(
        _unbeaten(near, comparison.cpu_efficiency), key=lambda one: speed[one] + efficiency[one]
    )
    # Ties go to the higher throughput where it is measurably higher, not to a lucky digit.
    most_efficient = max(
        _unbeaten(efficient, comparison.throughput), key=lambda one: efficiency[one]
    )
    # A third name only where the other two are measurably worse at both together.
    knees = _unbeaten(comparison.compared, comparison.balance)
    knee = next(
        (one for one in (best, most_efficient) if one in knees),
        max(knees, key=lambda one: speed[one] + efficiency[one]),
    )

    singles = {one.terms: one.id for one in reversed(compared) if one.pools == _ONE_THREAD}
    configurations = {
        one.id: _configuration(one, comparison, best, singles.get(one.terms), one.id in tied)
        for one in compared
    }
    scalings = tuple(
        _scaling(axis, compared, comparison)
        for axis in ("intra", "inter")
        if len({getattr(one.pools, axis) for one in compared}) > 1
    )
    # Two counts are no attempt at a law, so its absence is no news.
    fits = [one.sentence for one in scalings if len(one.counts) > 2]
    return Recommendation(
        test=test,
        configurations=tuple(configurations.values()),
        best=configurations[best],
        most_efficient=configurations[most_efficient],
        knee=configurations[knee],
        scalings=scalings,
        limits=(*_no_gain(compared, comparison, singles), *fits),
        settings=settings(configurations[best].candidate),
        not_compared=comparison.not_compared,
    )


def settings(candidate: Candidate) -> tuple[str, ...]:
    """Lines to paste: the marker as asked for, calls and environment with the numbers it meant."""
    threads, pools = candidate.threads, candidate.measurement.requested
    lines = [
        f"@pytest.mark.tf_threads(intra={_literal(threads.intra)}, inter={_literal(threads.inter)})"
    ]
    variables = []
    for name, count in (("intra", pools.intra), ("inter", pools.inter)):
        if count == 0:
            continue
        lines.append(f"tf.config.threading.set_{name}_op_parallelism_threads({count})")
        variables.append(f"TF_NUM_{name.upper()}OP_THREADS={count}")
    if variables:
        lines.append(" ".join(variables))
    left = [name for name, count in (("intra", pools.intra), ("inter", pools.inter)) if count == 0]
    if left:
        lines.append(f"# {' and '.join(left)}: nothing to set, the number is TensorFlow's choice")
    if candidate.terms:
        lines.append(f"# measured under the terms {candidate.terms.lstrip('-')}")
    return tuple(lines)


def _unbeaten(ids: Sequence[str], ratio: Callable[[str, str], Ratio]) -> list[str]:
    """Those that none is measurably above.

    More than "not told apart from the first": a noisy candidate may be tied with the first and
    yet be measurably below the second.
    """
    unbeaten = [one for one in ids if not any(ratio(other, one).above for other in ids)]
    return unbeaten or list(ids)  # medians need not be transitive: each might beat another


def _configuration(
    candidate: Candidate, comparison: Comparison, best: str, single: str | None, tied: bool
) -> Configuration:
    to_single = None if single is None else comparison.throughput(candidate.id, single)
    threads = max(candidate.pools.intra, candidate.pools.inter)
    known = min(candidate.pools.intra, candidate.pools.inter) > 0
    return Configuration(
        candidate=candidate,
        tied=tied,
        throughput_to_best=comparison.throughput(candidate.id, best),
        throughput_to_single=to_single,
        cpu_efficiency_to_best=comparison.cpu_efficiency(candidate.id, best),
        cpu_efficiency_to_single=None
        if single is None
        else comparison.cpu_efficiency(candidate.id, single),
        parallel_efficiency=to_single.estimate.scaled(1 / threads) if to_single and known else None,
    )


def _no_gain(
    compared: Sequence[Candidate], comparison: Comparison, singles: dict[str, str]
) -> list[str]:
    """Said wherever one thread is measured and nothing is measurably faster, fit or no fit.

    But not finding a gain is only finding none where a gain worth having would have been seen.
    """
    sentences = []
    for terms, single in singles.items():
        others = [one.id for one in compared if one.terms == terms and one.pools != _ONE_THREAD]
        ratios = [comparison.throughput(one, single) for one in others]
        if not ratios or any(ratio.above for ratio in ratios):
            continue
        most = max(ratio.estimate.high or 0.0 for ratio in ratios)
        where = f" ({terms.lstrip('-')})" if terms else ""
        nothing = "no configuration is measurably faster than 1×1"
        if most <= _HELP:
            bound = f"at most {100 * (most - 1):.0f} %" if most > 1 else "none"
            sentences.append(f"more threads do not help{where}: {nothing} (gain: {bound})")
        else:
            sentences.append(
                f"whether more threads help is open{where}: {nothing}, but a gain of "
                f"{100 * (most - 1):.0f} % is not ruled out; --tf-threads-processes=N measures more"
            )
    return sentences


def _scaling(axis: str, compared: Sequence[Candidate], comparison: Comparison) -> Scaling:
    """Fit along the slice with the most thread counts, then with the fewest fixed threads."""
    other = "inter" if axis == "intra" else "intra"
    slices: dict[tuple[str, int], dict[str, int]] = {}
    for one in compared:
        moving, fixed = getattr(one.pools, axis), getattr(one.pools, other)
        if moving > 0 and fixed > 0 and "oversubscribed" not in one.measurement.flags:
            slices.setdefault((one.terms, fixed), {})[one.id] = moving
    if not slices:
        return fit(axis, 0, [], 0.0)
    (_, fixed), counts = min(
        slices.items(), key=lambda item: (-len({*item[1].values()}), item[0][1])
    )
    shared = {
        pair: rings
        for pair, rings in comparison.wall.items()
        if pair[0] in counts and pair[1] in counts
    }
    if not shared:
        return fit(axis, fixed, [], 0.0)
    variance = fmean(expected_variance([*rings.values()]) for rings in shared.values())
    return fit(axis, fixed, _ring_levels(shared, counts), variance / 2)


def _ring_levels(shared: dict[Pair, Any], counts: dict[str, int]) -> list[list[tuple[int, float]]]:
    """Threads and log throughput of each ring's members.

    The mean of a member's differences from all members is its least-squares level in the ring.
    """
    levels = []
    for ring in sorted({ring for rings in shared.values() for ring in rings}):
        differences: dict[str, list[float]] = {}
        for (first, second), rings in shared.items():
            if ring in rings:
                differences.setdefault(first, [0.0]).append(rings[ring].log_ratio)
                differences.setdefault(second, [0.0]).append(-rings[ring].log_ratio)
        levels.append([(counts[one], fmean(values)) for one, values in differences.items()])
    return levels


def _literal(count: ThreadCount) -> str:
    return count.text if count.text.isdecimal() else f'"{count.text}"'


def _json(ratio: Ratio | None) -> dict[str, Any] | None:
    if ratio is None:
        return None
    return {
        **ratio.estimate.to_json(),
        "distinct": ratio.distinct,
        "confidence": ratio.confidence,
        "rings": ratio.rings,
        "through": ratio.through,
    }
