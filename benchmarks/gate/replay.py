"""How often the gate against stored files fails unchanged code, and what it finds; naive rules too.

    python benchmarks/gate/replay.py [JUDGEMENTS]

Replays recorded sittings (tests/core/data/sittings.json, see "about" there): a random workload,
some of its sittings in random order as saved runs of `p` processes each, and another sitting as the
new run of `p` processes. A judgement counts as found where the rule says "regression" (naive rules:
where they fail). "found" of burn20 counts CPU efficiency, where a thread burns 20 % of a core.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance

from pytest_tfthreads.core.baseline import History
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.statistics import student_p
from pytest_tfthreads.core.verdict import Policy, judge

DATA = Path(__file__).parents[2] / "tests" / "core" / "data" / "sittings.json"
RECORDED = json.loads(DATA.read_text(encoding="utf-8"))
CASES = RECORDED["cases"]
SITTINGS = 6
HYPOTHESES = 26
"""Of a suite as large as the recorded one: 13 workloads, two metrics."""

Figures = list[float]  # wall_s, cpu_s, reference_wall_s, reference_cpu_s of one process


@dataclass(frozen=True)
class Replay:
    """One new sitting and the stored ones before it, oldest first."""

    now: list[Figures]
    history: list[list[Figures]]

    def slower(self, factor: float) -> Replay:
        """The same, with a synthetic slowdown of the new sitting."""
        now = [[wall * factor, cpu * factor, *reference] for wall, cpu, *reference in self.now]
        return Replay(now, self.history)

    def scaled(self, noise: float) -> Replay:
        """The same on a machine that is this much noisier: about the mean of all sittings."""
        all_figures = [one for sitting in (self.now, *self.history) for one in sitting]
        means = [fmean(math.log(one[column]) for one in all_figures) for column in range(4)]

        def scale(sitting: list[Figures]) -> list[Figures]:
            return [
                [
                    math.exp(mean + noise * (math.log(figure) - mean))
                    for figure, mean in zip(one, means, strict=True)
                ]
                for one in sitting
            ]

        return Replay(scale(self.now), [scale(one) for one in self.history])


Rule = Callable[[Replay, str], str]  # of a metric: its verdict


def draw(rng: random.Random, stored: int, processes: int, variant: str = "unchanged") -> Replay:
    """A random case and sitting in which the variant was recorded, and `stored` other sittings."""
    case = CASES[rng.choice([name for name, case in CASES.items() if variant in case])]
    sitting = rng.choice(list(case[variant]))
    others = [str(one) for one in range(SITTINGS) if str(one) != sitting]
    return Replay(
        now=rng.sample(case[variant][sitting], min(processes, len(case[variant][sitting]))),
        history=[
            rng.sample(case["unchanged"][other], processes) for other in rng.sample(others, stored)
        ],
    )


def measurement(sitting: Sequence[Figures], reference: bool) -> Measurement:
    """As if all rounds of a process had been one."""
    return Measurement(
        requested=Pools(1, 1),
        effective=Pools(1, 1),
        cpus=(0,),
        start="fork",
        items=1,
        unit="calls",
        samples=tuple(
            Sample(
                wall_s=(wall_s,),
                cpu_s=(cpu_s,),
                iterations=30,
                warmup_rounds=6,
                setup_s=0,
                max_rss_bytes=0,
                voluntary_switches=0,
                involuntary_switches=0,
                cpus=(0,),
                reference_wall_s=reference_wall_s / 30 if reference else None,
                reference_cpu_s=reference_cpu_s / 30 if reference else None,
            )
            for wall_s, cpu_s, reference_wall_s, reference_cpu_s in sitting
        ),
    )


def gate(reference: bool) -> Rule:
    """The plugin's rule, with and without the correction by the reference workload."""

    def rule(replay: Replay, metric: str) -> str:
        history = History(tuple(measurement(one, reference) for one in replay.history))
        now = measurement(replay.now, reference)
        verdicts = judge("a test", now, history, Policy(), HYPOTHESES)
        return next(one.status for one in verdicts if one.metric == metric)

    return rule


def mean_rule(replay: Replay, metric: str) -> str:
    """pytest-benchmark's `--benchmark-compare-fail=mean:5%`, over all processes."""
    return _failed(fmean(_times(replay.now, metric)), fmean(_times(replay.history[-1], metric)))


def min_rule(replay: Replay, metric: str) -> str:
    """The fastest process against the fastest (rounds are not kept here)."""
    return _failed(min(_times(replay.now, metric)), min(_times(replay.history[-1], metric)))


def t_rule(replay: Replay, metric: str) -> str:
    """5 % slower and, at 1 %, Student's t over processes: it knows no drift between sittings."""
    now, then = ([math.log(one) for one in _times(each, metric)] for each in _sides(replay))
    pooled = (variance(now) + variance(then)) / 2
    if not pooled:
        return "pass"
    statistic = (fmean(now) - fmean(then)) / math.sqrt(pooled * (1 / len(now) + 1 / len(then)))
    significant = student_p(statistic, len(now) + len(then) - 2) < 0.01
    return "regression" if significant and fmean(now) - fmean(then) > math.log(1.05) else "pass"


def _sides(replay: Replay) -> tuple[list[Figures], list[Figures]]:
    return replay.now, replay.history[-1]


def _times(sitting: Sequence[Figures], metric: str) -> list[float]:
    return [one[0 if metric == "throughput" else 1] for one in sitting]


def _failed(now_s: float, then_s: float) -> str:
    return "regression" if now_s > 1.05 * then_s else "pass"


def share(replays: Sequence[Replay], rule: Rule, metric: str, status: str = "regression") -> float:
    """Share of the replays in which the rule gives this verdict."""
    return fmean(rule(replay, metric) == status for replay in replays)


def main(count: int) -> None:
    """Print the table."""
    print(f"{count} judgements a figure, seed 4, {HYPOTHESES} hypotheses a suite; all in %")
    print(
        f"{'':46s}  unchanged: fails pass | slower: 5   10   20   50  100 | burn20 || noise × 2, "
        "/2, /10: fails | /10: pass, 10 % slower"
    )
    rules = [
        ("gate, corrected by a reference", gate(reference=True), (1, 2, 5)),
        ("gate, no reference", gate(reference=False), (1, 2, 5)),
        ("mean:5%", mean_rule, (1,)),
        ("min:5%", min_rule, (1,)),
        ("pooled t-test and 5 %", t_rule, (1,)),
    ]
    for name, rule, histories in rules:
        for metric in ("throughput", "cpu_efficiency"):
            for stored in histories:
                for processes in (3, 6):
                    print(
                        f"{name:31s}{metric[:4]} {stored} × {processes}",
                        _line(random.Random(4), rule, metric, stored, processes, count),
                    )


def _line(
    rng: random.Random, rule: Rule, metric: str, stored: int, processes: int, count: int
) -> str:
    unchanged = [draw(rng, stored, processes) for _ in range(count)]
    some = unchanged[: count // 4]

    def found(replays: Sequence[Replay], status: str = "regression") -> str:
        return f"{100 * share(replays, rule, metric, status):5.1f}"

    def of(variant: str) -> str:
        return found([draw(rng, stored, processes, variant) for _ in range(count // 4)])

    quiet = [replay.scaled(0.1) for replay in some]
    return "  ".join(
        (
            "         ",
            found(unchanged),
            found(unchanged, "pass"),
            "|",
            *(of(variant) for variant in ("slower5", "slower10", "slower20")),
            *(found([replay.slower(factor) for replay in some]) for factor in (1.5, 2)),
            "|",
            of("burn20"),
            "||",
            *(found([replay.scaled(noise) for replay in some]) for noise in (2, 0.5)),
            found(quiet),
            "|",
            found(quiet, "pass"),
            found([replay.slower(1.1) for replay in quiet]),
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
