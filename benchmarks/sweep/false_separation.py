"""How often a sweep tells configurations apart that are the same, and how often it should and does.

    python benchmarks/sweep/false_separation.py [GROUPS]

Replays recorded pairs of unchanged processes (recordings/unchanged_pairs.json, see "about"
there) as sweeps: a configuration's deviation in a pass is that of one recorded pair, with a random
sign, divided by √2 (half of a pair's variance is each member's), so two configurations of one
workload differ like a recorded pair. Prints for each kind of sweep the share of groups with any
false separation, and the share of a configuration's pairs told apart once it is 5, 10 and 20 %
faster than all others.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, variance

from pytest_tfthreads.core.stats.estimates import FAMILYWISE_ERROR, student_p
from pytest_tfthreads.core.stats.moderation import Difference, IdPair, median_se
from pytest_tfthreads.core.sweep.comparison import separate

DATA = Path(__file__).parents[2] / "recordings" / "unchanged_pairs.json"
CASES = json.loads(DATA.read_text(encoding="utf-8"))["cases"]
TF_DATA = [case for case in CASES if case.startswith("tfdata")]
OTHERS = [case for case in CASES if case not in TF_DATA]
WORST = ["conv-intra4"]


@dataclass(frozen=True)
class Deviation:
    """One process's log speed: of its blocks' median and mean; spreads and number of blocks."""

    median: float
    spread: float
    mean: float
    sd: float
    blocks: int = 0

    def scaled(self, factor: float) -> Deviation:
        by = abs(factor)
        return Deviation(
            factor * self.median, by * self.spread, factor * self.mean, by * self.sd, self.blocks
        )


Group = Mapping[str, Sequence[Deviation]]  # of each configuration, by pass
Rule = Callable[[Group], dict[IdPair, bool]]


def draw(
    rng: random.Random,
    members: int,
    passes: int,
    cases: Sequence[str],
    metric: str = "wall",
    noise: float = 1.0,
) -> dict[str, list[Deviation]]:
    """A group of identical configurations, each of a random case; `noise` multiplies it."""
    group = {}
    start = 0 if metric == "wall" else 4
    for member in range(members):
        case = CASES[rng.choice(cases)]
        rows = rng.choices(case["pairs"], k=passes)
        group[f"c{member}"] = [
            replace(Deviation(*row[start : start + 4]), blocks=case["blocks"]).scaled(
                noise * rng.choice((-1, 1)) / math.sqrt(2)
            )
            for row in rows
        ]
    return group


def faster(group: Group, member: str, ratio: float) -> dict[str, list[Deviation]]:
    """The same group, with one configuration this much faster."""
    by = math.log(ratio)
    moved = [
        Deviation(one.median + by, one.spread, one.mean + by, one.sd, one.blocks)
        for one in group[member]
    ]
    return {**{name: [*some] for name, some in group.items()}, member: moved}


def sweep_rule(group: Group) -> dict[IdPair, bool]:
    """The plugin's, all configurations in one ring."""
    return _distinct({pair: _differences(group, pair) for pair in itertools.combinations(group, 2)})


def linked_rule(group: Group) -> dict[IdPair, bool]:
    """The plugin's, in two rings: the last two names are one configuration, shared by both.

    It is another process in each ring; the result is about the first of its names.
    """
    *names, shared, again = group
    half = len(names) // 2
    observed = {}
    for ring, hub in ((names[:half], shared), (names[half:], again)):
        for pair in itertools.combinations([*ring, hub], 2):
            observed[pair[0], shared if pair[1] == hub else pair[1]] = _differences(group, pair)
    return _distinct(observed)


def rounds_rule(group: Group) -> dict[IdPair, bool]:
    """Naive: every block a sample (with Holm)."""

    def p_value(pair: IdPair) -> float:
        first, second = group[pair[0]], group[pair[1]]
        mean = fmean(one.mean - other.mean for one, other in zip(first, second, strict=True))
        of_mean = sum(one.sd**2 / one.blocks for one in (*first, *second)) / len(first) ** 2
        return student_p(mean / math.sqrt(of_mean), sum(one.blocks - 1 for one in first))

    return _holm(group, p_value)


def unmoderated_rule(group: Group) -> dict[IdPair, bool]:
    """Naive: a pair's own passes only (with Holm)."""
    return _holm(group, lambda pair: _own_p_value(group, pair))


def uncorrected_rule(group: Group) -> dict[IdPair, bool]:
    """Naive: a pair's own passes only, each pair at 5 %."""
    pairs = itertools.combinations(group, 2)
    return {pair: _own_p_value(group, pair) <= FAMILYWISE_ERROR for pair in pairs}


def false_separation(groups: Sequence[Group], rule: Rule) -> float:
    """Share of the groups, all of identical configurations, with any pair told apart."""
    return fmean(any(rule(group).values()) for group in groups)


def power(groups: Sequence[Group], rule: Rule, ratio: float, member: str = "c0") -> float:
    """Share of the faster configuration's pairs that are told apart."""
    told = []
    for group in groups:
        found = rule(faster(group, member, ratio))
        told += [distinct for pair, distinct in found.items() if member in pair]
    return fmean(told)


def _differences(group: Group, pair: IdPair) -> list[Difference]:
    return [
        Difference(
            one.median - other.median,
            math.hypot(median_se(one.spread, one.blocks), median_se(other.spread, other.blocks)),
        )
        for one, other in zip(group[pair[0]], group[pair[1]], strict=True)
    ]


def _distinct(observed: Mapping[IdPair, Sequence[Difference]]) -> dict[IdPair, bool]:
    return {pair: ratio.distinct for pair, ratio in separate(observed).items()}


def _own_p_value(group: Group, pair: IdPair) -> float:
    logs = [one.log_ratio for one in _differences(group, pair)]
    return student_p(fmean(logs) / math.sqrt(variance(logs) / len(logs)), len(logs) - 1)


def _holm(group: Group, p_value: Callable[[IdPair], float]) -> dict[IdPair, bool]:
    by_p = sorted((p_value(pair), pair) for pair in itertools.combinations(group, 2))
    distinct, found = True, {}
    for rank, (p, pair) in enumerate(by_p):
        distinct = distinct and p <= FAMILYWISE_ERROR / (len(by_p) - rank)
        found[pair] = distinct
    return found


def _line(groups: Sequence[Group], rule: Rule) -> str:
    powers = "  ".join(f"{100 * power(groups, rule, ratio):4.0f}" for ratio in (1.05, 1.1, 1.2))
    return f"{100 * false_separation(groups, rule):6.1f}    {powers}"


def main(count: int) -> None:
    """Print the table."""
    rng = random.Random(20)
    print(f"{count} groups a line, seed 20; all in %")
    print(f"{'':57s}false     5 %   10 %  20 % faster told apart")
    kinds = (
        ("mixed, without tf.data, wall", OTHERS, "wall", 1),
        ("mixed, without tf.data, CPU", OTHERS, "cpu", 1),
        ("the same, wall, noise × 2", OTHERS, "wall", 2),
        ("the same, wall, noise × 4", OTHERS, "wall", 4),
        ("the noisiest alone (conv-intra4), wall", WORST, "wall", 1),
        ("tf.data alone, wall", TF_DATA, "wall", 1),
        ("all mixed, wall", [*OTHERS, *TF_DATA], "wall", 1),
    )
    for passes in (1, 2, 3, 8):
        for members in (2, 3, 6, 12):
            for name, cases, metric, noise in kinds:
                groups = [draw(rng, members, passes, cases, metric, noise) for _ in range(count)]
                print(f"{passes} passes, {members:2d}: {name:40s} {_line(groups, sweep_rule)}")
    for passes in (1, 3, 8):
        groups = [draw(rng, 13, passes, OTHERS) for _ in range(count)]
        name = "mixed, in two rings, wall"
        print(f"{passes} passes, 12: {name:40s} {_line(groups, linked_rule)}")
    groups = [draw(rng, 6, 3, OTHERS) for _ in range(count)]
    for rule in (sweep_rule, rounds_rule, unmoderated_rule, uncorrected_rule):
        print(f"3 passes,  6: {rule.__name__:40s} {_line(groups, rule)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
