"""How often each gate fails unchanged code, and what it finds: all rules in one table.

    python benchmarks/gate/replay.py [JUDGEMENTS]

Against saved runs: a random workload, some of its recorded sessions in random order as saved runs
of `p` processes each, and another session as the new run of `p` processes. The processes with 3 to
20 % of extra work really did it, in 5 workloads (4 without tf.data); × 2 is unchanged ones shifted,
as is all extra work where noise is divided by 10.
Side by side: recorded pairs of unchanged processes of one workload; no slowed ones were recorded,
so all extra work is unchanged pairs that are shifted. 5 % of extra work is a loss of 4.8 % of
speed, a little less than what is tolerated. A judgement counts as found where the rule says
"regression" (naive rules: where they fail). "burn20" is real: a thread burns 20 % of a core.
At the end come rows about more than one verdict: whole suites, lasting losses and accepted steps.

The constants of the plugin's rules were chosen on the same recordings, so take its rates for
estimates. No TensorFlow is needed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import histories
import rules
from recorded import ALL, WITHOUT_TF_DATA, Duet, Replay, draw, draw_duet
from rules import LOOKS, Rule

SUITE = 26
"""Hypotheses of a suite as large as the recorded one: 13 workloads, two metrics."""
ONE_TEST = 2
EXTRA_WORK = (0.03, 0.05, 0.1, 0.2)
LITTLE_WORK = (0.02, 0.04)
METRICS = ("throughput", "cpu_efficiency")
SEED = 4
NOISES = ("10 workloads without tf.data", WITHOUT_TF_DATA), ("all 13 workloads", ALL)


def share(
    replays: Sequence[Replay], rule: Rule, metric: str = "throughput", status: str = "regression"
) -> float:
    """Share of the replays in which the rule gives this verdict."""
    return fmean(rule(replay, metric) == status for replay in replays)


@dataclass(frozen=True)
class DuetRates:
    """Shares of duets, by metric: of regressions, of passes, of inconclusive ones; mean pairs.

    `any_regression` is that of a test: of either metric.
    """

    regression: tuple[float, float]
    passed: tuple[float, float]
    inconclusive: tuple[float, float]
    any_regression: float
    pairs: float


def duet_rates(duets: Sequence[Duet], hypotheses: int, tolerance: float = 0.05) -> DuetRates:
    results = [rules.duet(one, hypotheses, tolerance) for one in duets]

    def shares(status: str) -> tuple[float, float]:
        wall, cpu = (fmean(one[metric] == status for one in results) for metric in (0, 1))
        return wall, cpu

    return DuetRates(
        regression=shares("regression"),
        passed=shares("pass"),
        inconclusive=shares("inconclusive"),
        any_regression=fmean("regression" in one[:2] for one in results),
        pairs=fmean(one[2] for one in results),
    )


def draw_duets(
    count: int, stored: bool, cases: Sequence[str] = WITHOUT_TF_DATA, seed: int = SEED
) -> list[Duet]:
    rng = random.Random(seed)
    return [draw_duet(rng, LOOKS[-1], stored, cases) for _ in range(count)]


def main(count: int) -> None:
    """Print the table."""
    print(f"{count} judgements a figure of unchanged code (duets: {10 * count}), a quarter of the")
    print(f"others, seed {SEED}; all in % but pairs; m: hypotheses of the suite")
    for name, cases in NOISES:
        print(f"\n{name}")
        print(f"{'':44s}{'unchanged code':^28s}|{'regression reported at extra work of':^37s}|")
        print(
            f"{'rule, metric, saved runs × processes':44s}  fails    pass  unsure |"
            "     3 %     5 %    10 %    20 %  × 2 | burn20 | pairs"
        )
        for line in _naive_lines(count, cases):
            print(line, flush=True)
        for line in _stored_lines(count, cases):
            print(line, flush=True)
        for line in _duet_lines(10 * count, cases):
            print(line, flush=True)
    print("\nfails: of duets also of either metric, the test")
    for line in histories.lines(count):
        print(line, flush=True)


def _naive_lines(count: int, cases: Sequence[str]) -> Iterator[str]:
    for name, rule in (
        ("mean:5%", rules.mean_rule),
        ("min:5%", rules.min_rule),
        ("median:10%", rules.median_rule),
        ("pooled t-test and 5 %", rules.t_rule),
        ("rank test and 5 %", rules.rank_rule),
        ("hierarchical bootstrap, 5 %", rules.bootstrap_rule),
    ):
        for processes in (3, 6):
            found = _stored_line(rule, count, 1, processes, cases, "throughput", burns=False)
            yield f"{name + f', wall, 1 × {processes}':44s}{found}"


def _stored_lines(count: int, cases: Sequence[str]) -> Iterator[str]:
    for reference in (False, True):
        rule = rules.stored_rule(reference, SUITE)
        name = "saved runs, reference" if reference else "saved runs"
        for metric in METRICS:
            for stored in (1, 2, 5):
                for processes in (3, 6):
                    found = _stored_line(rule, count, stored, processes, cases, metric)
                    yield f"{f'{name}, {_short(metric)}, {stored} × {processes}':44s}{found}"
    rule = rules.stored_rule(False, SUITE)
    found = _stored_line(rule, count, 5, 6, cases, "throughput", burns=False, noise=0.1)
    yield f"{'saved runs, wall, 5 × 6, noise ÷ 10':44s}{found}"
    for name, longer in (("", 1.0), (", as if long", 1000.0)):
        rule = rules.stored_rule(False, ONE_TEST, longer)
        for processes in (1, 3):
            found = _stored_line(
                rule, count, 1, processes, cases, "throughput", burns=False, rounds=2
            )
            yield f"{f'2 rounds each{name}, wall, 1 × {processes}, m 2':44s}{found}"


def _stored_line(
    rule: Rule,
    count: int,
    stored: int,
    processes: int,
    cases: Sequence[str],
    metric: str,
    burns: bool = True,
    noise: float | None = None,
    rounds: int | None = None,
) -> str:
    rng = random.Random(SEED)

    def draws(variant: str, count: int) -> list[Replay]:
        replays = [draw(rng, stored, processes, variant, cases) for _ in range(count)]
        if noise is not None:
            replays = [one.scaled(noise) for one in replays]
        return replays if rounds is None else [one.first(rounds) for one in replays]

    unchanged = draws("unchanged", count)
    if noise is None:
        slowed = [draws(f"slower{100 * work:.0f}", count // 4) for work in EXTRA_WORK]
    else:  # scaling the noise would scale recorded extra work as well
        slowed = [[one.slower(1 + work) for one in unchanged[: count // 4]] for work in EXTRA_WORK]
    twice = [one.slower(2) for one in unchanged[: count // 4]]
    burnt = share(draws("burn20", count // 4), rule, metric) if burns else None
    return _row(
        [share(unchanged, rule, metric, one) for one in ("regression", "pass", "inconclusive")],
        [share(replays, rule, metric) for replays in slowed],
        share(twice, rule, metric),
        burnt,
    )


def _duet_lines(count: int, cases: Sequence[str]) -> Iterator[str]:
    for tolerance, hypotheses, stored in (
        (0.05, SUITE, False),
        (0.05, SUITE, True),
        (0.05, ONE_TEST, False),
        (0.05, ONE_TEST, True),
        (0.02, ONE_TEST, True),
    ):
        duets = draw_duets(count, stored, cases)
        unchanged = duet_rates(duets, hypotheses, tolerance)
        some = duets[: count // 4]
        slowed = [
            duet_rates([one.slower(1 + work) for one in some], hypotheses, tolerance)
            for work in EXTRA_WORK
        ]
        name = f"duet{', saved pairs' if stored else ''}, m {hypotheses}"
        if tolerance != 0.05:
            name += f", tolerance {100 * tolerance:.0f} %"
        for number, metric in enumerate(METRICS):
            row = _row(
                [unchanged.regression[number], unchanged.passed[number],
                 unchanged.inconclusive[number]],
                [one.regression[number] for one in slowed],
            )  # fmt: skip
            yield f"{f'{name}, {_short(metric)}':44s}{row} | {unchanged.pairs:4.1f}"
        either = f"{100 * unchanged.any_regression:7.2f}"
        pairs = ", ".join(f"{one.pairs:.1f}" for one in slowed)
        small = [
            duet_rates([one.slower(1 + work) for one in some], hypotheses, tolerance)
            for work in LITTLE_WORK
        ]
        found = "; ".join(
            f"{100 * work:.0f} %: {100 * one.regression[0]:.0f}, {100 * one.regression[1]:.0f}"
            for work, one in zip(LITTLE_WORK, small, strict=True)
        )
        yield (
            f"{'  either':44s}{either}   found (wall, CPU) at {found}; "
            f"pairs at {', '.join(f'{100 * one:.0f}' for one in EXTRA_WORK)} %: {pairs}"
        )


def _row(
    unchanged: Sequence[float],
    slowed: Sequence[float],
    twice: float | None = None,
    burnt: float | None = None,
) -> str:
    cells = [f"{100 * unchanged[0]:7.2f}", *(f"{100 * one:7.1f}" for one in unchanged[1:]), "|"]
    cells += [f"{100 * one:7.1f}" for one in slowed]
    cells += [f"{'' if one is None else f'{100 * one:.0f}':>4s}" for one in (twice,)]
    return " ".join([*cells, "|", f"{'' if burnt is None else f'{100 * burnt:.0f}':>6s}"])


def _short(metric: str) -> str:
    return {"throughput": "wall", "cpu_efficiency": "CPU"}[metric]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
