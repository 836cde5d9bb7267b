"""Which configuration to use, and what the others are worth: from candidates to advice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from pytest_tfthreads.core.format import percent
from pytest_tfthreads.core.measurement import TENSORFLOWS_CHOICE, Pools
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.stats.moderation import IdPair, expected_variance
from pytest_tfthreads.core.stats.scaling import Scaling, fit
from pytest_tfthreads.core.sweep.comparison import Candidate, Comparison, Ratio, compare
from pytest_tfthreads.core.sweep.pipelines import pool_lines
from pytest_tfthreads.core.sweep.teams import Figures, launch_lines, pareto_front
from pytest_tfthreads.core.threads import InstanceCount, ThreadCount

SCHEMA = 1

_NEAR = 0.9  # of the fastest one's throughput, as estimated
_OfPair = Callable[[str, str], Ratio]

_ONE_THREAD = Pools(1, 1)
OPEN = "whether more threads help is open"
"""How a sentence on limits begins that decides nothing."""
_HELP = 1.25  # a gain that cannot be ruled out, and that somebody would want


@dataclass(frozen=True)
class RatedConfiguration:
    """What one configuration is worth.

    `..._to_best` is against the recommended configuration, `..._to_single` against intra 1,
    inter 1 under the same terms, `..._to_default` against TensorFlow's own choice for both pools
    under the same terms; `None` where that was not measured.
    """

    candidate: Candidate
    tied: bool  # no configuration is measurably faster
    throughput_to_best: Ratio
    throughput_to_single: Ratio | None
    throughput_to_default: Ratio | None
    cpu_efficiency_to_best: Ratio
    cpu_efficiency_to_single: Ratio | None
    # Speed-up over one thread, divided by the threads that it can keep busy: its larger pool, of
    # all instances together.
    parallel_efficiency: Estimate | None

    @property
    def id(self) -> str:
        return self.candidate.id

    def to_json(self) -> dict[str, Any]:
        pools = self.candidate.pools
        efficiency = self.parallel_efficiency
        data_threads = self.candidate.measurement.data_threads
        return {
            "id": self.id,
            "intra": pools.intra,
            "inter": pools.inter,
            **({} if data_threads is None else {"data_threads": data_threads}),
            "tied": self.tied,
            "throughput_to_best": _json(self.throughput_to_best),
            "throughput_to_single": _json(self.throughput_to_single),
            "throughput_to_default": _json(self.throughput_to_default),
            "cpu_efficiency_to_best": _json(self.cpu_efficiency_to_best),
            "cpu_efficiency_to_single": _json(self.cpu_efficiency_to_single),
            "parallel_efficiency": None if efficiency is None else efficiency.to_json(),
        }


@dataclass(frozen=True)
class Gain:
    """Throughput of the recommended configuration over that of another one.

    `over`: "default" (TensorFlow's own choice for both pools) or "1×1".
    """

    over: str
    throughput: Ratio

    @property
    def is_itself(self) -> bool:
        """The recommended configuration is the one that it is compared with."""
        return self.throughput.rings == 0


@dataclass(frozen=True)
class Recommendation:
    """Advice for one test."""

    test: str
    configurations: tuple[RatedConfiguration, ...]  # in the order given, without those not compared
    # The recommended one. No configuration is measurably faster. Of those that are `tied` in that,
    # none takes measurably fewer CPU-seconds an item; and of those left, `best` has the fewest
    # threads. It is oversubscribed only where it is measurably better than the best of the others.
    best: RatedConfiguration
    # Ids of those left before the last step: told apart from one another in neither figure.
    equals: tuple[str, ...]
    # Chosen in the same way, CPU efficiency first; `best` itself unless that is measurably beaten.
    most_efficient: RatedConfiguration
    # The same by throughput × CPU efficiency.
    knee: RatedConfiguration
    scalings: tuple[Scaling, ...]  # along each pool
    limits: tuple[str, ...]  # sentences on what limits the workload
    limit: str  # the first of them in a few words; empty where there is none
    settings: tuple[str, ...]  # lines to paste for `best`
    not_compared: tuple[str, ...]  # ids
    # With several instances: those that none beats in both throughput and the time of a call, by
    # their figures as measured; most throughput first, the shortest call last. Else empty.
    front: tuple[RatedConfiguration, ...] = ()
    # Other names of these configurations. They are not compared: each is the same as another one.
    aliases: tuple[Candidate, ...] = ()

    def aliases_of(self, configuration: RatedConfiguration) -> list[Candidate]:
        """Its other names."""
        return [alias for alias in self.aliases if alias.same_as == configuration.id]

    @property
    def is_pool_swept(self) -> bool:
        """Whether configurations differ in the size of a tf.data pipeline's private pool."""
        return is_pool_swept([one.candidate for one in self.configurations])

    @property
    def shortest_call(self) -> RatedConfiguration | None:
        """Where several instances were measured: the configuration that answers soonest."""
        return self.front[-1] if self.front else None

    @property
    def gain(self) -> Gain | None:
        """What the recommended configuration is worth to those who use it.

        Over TensorFlow's default where that was measured, else over 1×1; `None` where neither was.
        """
        if self.best.throughput_to_default is not None:
            return Gain("default", self.best.throughput_to_default)
        if self.best.throughput_to_single is not None:
            return Gain("1×1", self.best.throughput_to_single)
        return None

    @property
    def undecided(self) -> tuple[str, ...]:
        """Those sentences of `limits` that decide nothing: more measuring may change the advice."""
        return tuple(sentence for sentence in self.limits if sentence.startswith(OPEN))

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "test": self.test,
            "best": self.best.id,
            "tied": [
                configuration.id for configuration in self.configurations if configuration.tied
            ],
            "equals": list(self.equals),
            "most_efficient": self.most_efficient.id,
            "knee": self.knee.id,
            "configurations": [configuration.to_json() for configuration in self.configurations],
            "scalings": [scaling.to_json() for scaling in self.scalings],
            "limits": list(self.limits),
            "limit": self.limit,
            "settings": list(self.settings),
            "not_compared": list(self.not_compared),
            "front": [configuration.id for configuration in self.front],
        }


def recommend(test: str, candidates: Sequence[Candidate]) -> Recommendation | None:
    """Advice from one test's configurations; `None` if no two of them can be compared.

    Of those that are the same, the one that was measured stands for all.

    The knee is that of D. Eager, J. Zahorjan and E. Lazowska, "Speedup versus efficiency in
    parallel systems" (1989): where efficiency ÷ time an item is greatest. Efficiency here is
    items a CPU-second, for threads that sleep take no CPU from anybody.
    Raises `ValueError` where two candidates have the same id.
    """
    aliases = aliases_among(candidates)
    candidates = [one for one in candidates if one not in aliases]
    comparison = compare(candidates)
    if not comparison.compared:
        return None
    compared = [candidate for candidate in candidates if candidate.id in comparison.compared]
    choice = _Choice({one.id: one for one in compared})
    tied = _unbeaten(comparison.compared, comparison.throughput)
    best, equals = choice.by(
        comparison.throughput, comparison.cpu_efficiency, _eligible(compared, comparison)
    )
    most_efficient, efficient = choice.by(comparison.cpu_efficiency, comparison.throughput)
    if best in efficient:
        most_efficient = best
    # A third name only where the other two are measurably worse at both together.
    third, knees = choice.by(comparison.balance, comparison.balance)
    knee = next((one for one in (best, most_efficient) if one in knees), third)

    singles = {one.terms: one.id for one in reversed(compared) if _is_single(one)}
    defaults = {
        one.terms: one.id
        for one in reversed(compared)
        if one.measurement.requested == TENSORFLOWS_CHOICE and one.instances == 1
    }
    configurations = {
        one.id: _configuration(
            one,
            comparison,
            best,
            singles.get(one.terms),
            defaults.get(one.terms),
            one.id in tied,
        )
        for one in compared
    }
    fitted = [
        _scaling(axis, compared, comparison, configurations[best].candidate.terms)
        for axis in ("intra", "inter")
        if len({getattr(one.pools, axis) for one in compared if one.instances == 1}) > 1
    ]
    # Two counts are no attempt at a law, so its absence is no news.
    fits = [
        (scaling.keyword, f"{scaling.sentence}{_where(scaling.terms, compared)}")
        for scaling in fitted
        if len(scaling.counts) > 2 and _is_borne_out(scaling, compared, comparison, best)
    ]
    limits = [*_no_gain(compared, comparison, singles, best), *fits]
    return Recommendation(
        test=test,
        configurations=tuple(configurations.values()),
        best=configurations[best],
        equals=tuple(equals),
        most_efficient=configurations[most_efficient],
        knee=configurations[knee],
        scalings=tuple(fitted),
        limits=tuple(sentence for _, sentence in limits),
        limit=next((keyword for keyword, _ in limits if keyword), ""),
        settings=settings(
            configurations[best].candidate,
            sets_pools=not is_pool_swept(compared),
        ),
        not_compared=comparison.not_compared,
        front=tuple(configurations[one.id] for one in _front(compared)),
        aliases=aliases,
    )


def aliases_among(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those that are other names of candidates that are there too."""
    ids = {one.id for one in candidates if not one.same_as}
    return tuple(one for one in candidates if one.same_as in ids)


def _is_single(candidate: Candidate) -> bool:
    return candidate.pools == _ONE_THREAD and candidate.instances == 1


def _front(compared: Sequence[Candidate]) -> tuple[Figures, ...]:
    if all(one.instances == 1 for one in compared):
        return ()
    return pareto_front(
        [Figures(one.id, one.measurement.throughput.value, one.call_s) for one in compared]
    )


@dataclass(frozen=True)
class _Choice:
    """How one configuration is chosen among those compared."""

    candidates: Mapping[str, Candidate]

    def by(
        self, first: _OfPair, second: _OfPair, eligible: Sequence[str] | None = None
    ) -> tuple[str, list[str]]:
        """The one chosen by these two figures, and all that it was tied with in both.

        The figures decide only where they tell configurations apart; then the fewest threads do,
        and nothing is left to a lucky digit.
        """
        ids = list(self.candidates if eligible is None else eligible)
        within = [one for one in ids if not self._is_oversubscribed(one)]
        if within:
            chosen, _ = self._of(within, first, second)
            # Beyond the CPUs only for a gain that was seen.
            better = [
                one
                for one in ids
                if first(one, chosen).above
                or (not first(one, chosen).distinct and second(one, chosen).above)
            ]
            ids = [one for one in ids if one in within or one in better]
        return self._of(ids, first, second)

    def _of(self, ids: list[str], first: _OfPair, second: _OfPair) -> tuple[str, list[str]]:
        equals = _unbeaten(_unbeaten(ids, first), second)
        return min(equals, key=self._size), equals

    def _size(self, one: str) -> tuple[bool, int, int]:
        candidate = self.candidates[one]
        pools, instances = candidate.pools, candidate.instances
        return (
            self._is_oversubscribed(one),
            instances * threads(candidate),
            instances * (pools.intra + pools.inter),
        )

    def _is_oversubscribed(self, one: str) -> bool:
        return "oversubscribed" in self.candidates[one].measurement.flags


def threads(candidate: Candidate) -> int:
    """How many CPUs an instance of a configuration can keep busy: the larger of its two pools.

    Where TensorFlow chose a size that could not be counted, it is taken for the CPUs granted.
    """
    pools = candidate.pools
    unknown = 0 in (pools.intra, pools.inter)
    return max(pools.intra, pools.inter, len(candidate.measurement.cpus) if unknown else 0)


def is_pool_swept(candidates: Sequence[Candidate]) -> bool:
    """Whether they differ in the size of a tf.data pipeline's private pool.

    Then nothing is to be set of TensorFlow's two pools: they do not reach the pipeline, and would
    limit a model beside it.
    """
    return len({one.measurement.data_threads for one in candidates}) > 1


def settings(candidate: Candidate, sets_pools: bool = True) -> tuple[str, ...]:
    """Lines to paste: the marker as asked for, calls and environment with the numbers it meant.

    Of a tf.data pipeline also those for its pool. Without `sets_pools`, TensorFlow's two pools are
    left alone.
    """
    asked, pools = candidate.threads, candidate.measurement.requested
    arguments = f"intra={_literal(asked.intra)}, inter={_literal(asked.inter)}"
    if asked.instances is not None:
        arguments += f", instances={_literal(asked.instances)}"
    lines = [f"@pytest.mark.tf_threads({arguments})"]
    lines += pool_lines(candidate.measurement.data_threads)
    sizes = {"intra": pools.intra, "inter": pools.inter} if sets_pools else {}
    variables = []
    for name, count in sizes.items():
        if count == 0:
            continue
        lines.append(f"tf.config.threading.set_{name}_op_parallelism_threads({count})")
        variables.append(f"TF_NUM_{name.upper()}OP_THREADS={count}")
    if candidate.placements:
        lines += launch_lines(candidate.placements, variables, "COMMAND")
    elif variables:
        lines.append(" ".join(variables))
    left = [name for name, count in sizes.items() if count == 0]
    if left:
        lines.append(f"# {' and '.join(left)}: nothing to set, the number is TensorFlow's choice")
    if candidate.terms:
        lines.append(f"# measured under the terms {candidate.terms.lstrip('-')}")
    return tuple(lines)


def _eligible(compared: Sequence[Candidate], comparison: Comparison) -> list[str]:
    """All, but for those that a search only glanced at and found to be more than a tenth slower.

    A glance tells little apart, and being small is no reason to recommend what was left behind.
    """
    fastest = max(comparison.compared, key=comparison.log_throughput)
    return [
        one.id
        for one in compared
        if "glance" not in one.measurement.flags
        or comparison.throughput(one.id, fastest).estimate.value >= _NEAR
    ]


def _unbeaten(ids: Sequence[str], ratio: _OfPair) -> list[str]:
    """Those that none is measurably above.

    More than "not told apart from the first": a noisy candidate may be tied with the first and
    yet be measurably below the second.
    """
    unbeaten = [one for one in ids if not any(ratio(other, one).above for other in ids)]
    return unbeaten or list(ids)  # medians need not be transitive: each might beat another


def _configuration(
    candidate: Candidate,
    comparison: Comparison,
    best: str,
    single: str | None,
    default: str | None,
    tied: bool,
) -> RatedConfiguration:
    to_single = None if single is None else comparison.throughput(candidate.id, single)
    known = min(candidate.pools.intra, candidate.pools.inter) > 0
    return RatedConfiguration(
        candidate=candidate,
        tied=tied,
        throughput_to_best=comparison.throughput(candidate.id, best),
        throughput_to_single=to_single,
        throughput_to_default=None
        if default is None
        else comparison.throughput(candidate.id, default),
        cpu_efficiency_to_best=comparison.cpu_efficiency(candidate.id, best),
        cpu_efficiency_to_single=None
        if single is None
        else comparison.cpu_efficiency(candidate.id, single),
        parallel_efficiency=to_single.estimate.scaled(
            1 / (candidate.instances * threads(candidate))
        )
        if to_single and known
        else None,
    )


def _no_gain(
    compared: Sequence[Candidate], comparison: Comparison, singles: Mapping[str, str], best: str
) -> list[tuple[str, str]]:
    """Each in a few words and as a sentence.

    Said wherever one thread is measured and nothing is measurably faster, fit or no fit.
    But not finding a gain is only finding none where a gain worth having would have been seen.
    """
    sentences = []
    for terms, single in singles.items():
        alone = [one for one in compared if one.terms == terms and one.instances == 1]
        others = [one.id for one in alone if not _is_single(one)]
        ratios = [comparison.throughput(other, single) for other in others]
        if not ratios or any(ratio.above for ratio in ratios):
            continue
        most = max(ratio.estimate.high or 0.0 for ratio in ratios)
        where = _where(terms, compared)
        of_one = " of one instance" if any(one.instances > 1 for one in compared) else ""
        nothing = f"no configuration{of_one} is measurably faster than 1×1"
        bound = f"at most {percent(most - 1)}" if most > 1 else "none"
        more = "--tf-threads-processes=N measures more"
        # What is recommended instead of 1×1 all the same, and why, which "do not help" would deny.
        instead = best in others
        if instead and any(comparison.cpu_efficiency(other, single).above for other in others):
            reason = f"(gain: {bound}); the recommended one takes fewer CPU-seconds an item"
            keyword = "more threads are not known to be faster"
            sentences.append((keyword, f"{keyword}{where}: {nothing} {reason}"))
        elif instead:
            seems = "the recommended one seems to be faster than 1×1, but not measurably"
            sentences.append((OPEN, f"{OPEN}{where}: {seems}; {more}"))
        elif most <= _HELP:
            keyword = "more threads do not help" + (" one instance" if of_one else "")
            sentences.append((keyword, f"{keyword}{where}: {nothing} (gain: {bound})"))
        else:
            gain = f"a gain of {percent(most - 1)} is not ruled out"
            sentences.append((OPEN, f"{OPEN}{where}: {nothing}, but {gain}; {more}"))
    return sentences


def _where(terms: str, compared: Sequence[Candidate]) -> str:
    """Under which terms something holds, for a sentence; nothing where all have the same."""
    if len({one.terms for one in compared}) == 1:
        return ""
    return f" ({terms.lstrip('-') or 'no other terms'})"


def _is_borne_out(
    scaling: Scaling, compared: Sequence[Candidate], comparison: Comparison, best: str
) -> bool:
    """Whether the measured differences say what the law says that was fitted under its terms.

    The law smooths over all thread counts of its slice. A sentence of it beside a recommendation
    that pairs of configurations were told apart for must not deny that recommendation.
    """
    law = scaling.law
    if law is None:
        return True
    chosen = next(one for one in compared if one.id == best)
    useful = law.last_useful
    if useful is not None and getattr(chosen.pools, scaling.axis) > useful:
        return False
    along = [
        one
        for one in compared
        if one.terms == scaling.terms
        and one.instances == 1
        and _fixed(one, scaling.axis) == scaling.fixed
    ]
    ones = [one.id for one in along if getattr(one.pools, scaling.axis) == 1]
    gains = any(
        comparison.throughput(one.id, single).above
        for single in ones
        for one in along
        if one.id != single
    )
    if not law.gains:
        return not gains
    return gains or not ones


def _fixed(candidate: Candidate, axis: str) -> int:
    return candidate.pools.inter if axis == "intra" else candidate.pools.intra


def _scaling(
    axis: str, compared: Sequence[Candidate], comparison: Comparison, terms_of_best: str
) -> Scaling:
    """Fit along the slice with the most thread counts, then under the terms of the best one.

    Of several such slices, that with the fewest fixed threads.
    """
    other = "inter" if axis == "intra" else "intra"
    slices: dict[tuple[str, int], dict[str, int]] = {}
    for one in compared:
        moving, fixed = getattr(one.pools, axis), getattr(one.pools, other)
        is_within = "oversubscribed" not in one.measurement.flags
        if moving > 0 and fixed > 0 and is_within and one.instances == 1:
            slices.setdefault((one.terms, fixed), {})[one.id] = moving
    if not slices:
        return fit(axis, 0, [], 0.0)
    (terms, fixed), counts = min(
        slices.items(),
        key=lambda item: (-len({*item[1].values()}), item[0][0] != terms_of_best, item[0][1]),
    )
    shared = {
        pair: rings
        for pair, rings in comparison.wall.items()
        if pair[0] in counts and pair[1] in counts
    }
    if not shared:
        return replace(fit(axis, fixed, [], 0.0), terms=terms)
    variance = fmean(expected_variance([*rings.values()]) for rings in shared.values())
    return replace(fit(axis, fixed, _ring_levels(shared, counts), variance / 2), terms=terms)


def _ring_levels(
    shared: dict[IdPair, Any], counts: dict[str, int]
) -> list[list[tuple[int, float]]]:
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


def _literal(count: ThreadCount | InstanceCount) -> str:
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
