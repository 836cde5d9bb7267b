"""Rows of `replay` beyond what was recorded: whole suites, lasting losses, accepted steps, noise.

Whole suites are recorded: one session is new and others are saved runs, for all workloads alike.
Histories are longer than what was recorded, so they are drawn: normal noise with the spread between
sessions and between processes that the recordings have after the correction, or that of a quiet
machine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from recorded import ALL, WITHOUT_TF_DATA, Process, Replay, draw_suite
from rules import measurement

from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.gate.duet import LOOKS, status_by_looks
from pytest_tfthreads.core.gate.suite_drift import drifts_of
from pytest_tfthreads.core.gate.verdict import Policy, judge
from pytest_tfthreads.core.measurement import Measurement

SUITE = 26
RUNS = 10
"""Saved runs before something happens."""
PROCESSES = 3
LATER = (1, 5, 20)
"""Runs after a loss within which it is to be found."""
SEED = 4
_SITTINGS = 6


@dataclass(frozen=True)
class Weather:
    """Spreads (of a logarithm) between sessions and between processes."""

    name: str
    between: float
    within: float

    def session(self, rng: random.Random, log_speed: float) -> Measurement:
        own = rng.gauss(-log_speed, self.between)
        times = [math.exp(own + rng.gauss(0, self.within)) for _ in range(PROCESSES)]
        return measurement([Process(30 * one, 30 * one, 30.0, 30.0) for one in times], True)


WEATHERS = (Weather("as recorded", 0.028, 0.058), Weather("quiet", 0.01, 0.02))


@dataclass(frozen=True)
class SuiteRates:
    """Of whole suites: with any regression, and of those of the session that was the worst."""

    any_regression: float
    worst_session: float


def suite_rates(
    count: int, stored: int, processes: int, cases: Sequence[str], reference: bool, seed: int = SEED
) -> SuiteRates:
    """Suites of unchanged code, of the recorded cases."""
    rng = random.Random(seed)
    failed: dict[int, list[bool]] = {}
    for number in range(count):
        session = number % _SITTINGS
        suite = draw_suite(rng, session, stored, processes, cases)
        failed.setdefault(session, []).append(_any_regression(suite, reference))
    shares = [fmean(one) for one in failed.values()]
    return SuiteRates(fmean(shares), max(shares))


def _any_regression(suite: Sequence[Replay], reference: bool) -> bool:
    tests = [
        (
            measurement(one.now, reference),
            tuple(measurement(session, reference) for session in one.history),
        )
        for one in suite
    ]
    drifts = drifts_of(history for _, history in tests)
    return any(
        verdict.status == "regression"
        for now, history in tests
        for verdict in judge("a test", now, History(history), Policy(), 2 * len(tests), drifts)
    )


def _status(now: Measurement, history: Sequence[Measurement]) -> str:
    """Of throughput."""
    return judge("a test", now, History(tuple(history)), Policy(), SUITE)[0].status


def found_within(
    rng: random.Random, weather: Weather, work: float, count: int, runs: int = max(LATER)
) -> list[int]:
    """Of histories with extra work from some run on: in which run after that it was found.

    Every run is saved; one that regressed is no baseline. One more than `runs`: never.
    """
    result = []
    for _ in range(count):
        history = [weather.session(rng, 0.0) for _ in range(RUNS)]
        found = runs + 1
        for run in range(1, runs + 1):
            now = weather.session(rng, -math.log1p(work))
            if _status(now, history) == "regression":
                found = run
                break
            history.append(now)
        result.append(found)
    return result


def found_after_step(
    rng: random.Random, weather: Weather, step: float, ago: int, work: float, count: int
) -> float:
    """Share in which extra work is found, where the speed rose by `step` some runs ago."""
    found = 0
    for _ in range(count):
        history = [
            weather.session(rng, math.log1p(step) if run >= RUNS - ago else 0.0)
            for run in range(RUNS)
        ]
        now = weather.session(rng, math.log1p(step) - math.log1p(work))
        found += _status(now, history) == "regression"
    return found / count


def fails_far_apart(count: int, spread: float, hypotheses: int, seed: int = SEED) -> float:
    """Share of duets of unchanged code whose pairs spread so (normal) that are regressions."""
    rng = random.Random(seed)
    return fmean(
        status_by_looks([rng.gauss(0, spread) for _ in range(LOOKS[-1])], 0.05, hypotheses)
        == "regression"
        for _ in range(count)
    )


def lines(count: int) -> Iterator[str]:
    """The rows: `count` suites, and a quarter of that histories a figure."""
    yield "\nwhole suites of unchanged code with any false regression (promised: 5 %), %"
    yield f"{'saved runs × processes':44s}   any  worst session"
    for name, cases in (("10 tests", WITHOUT_TF_DATA), ("13 tests", ALL)):
        for reference in (False, True):
            for stored, processes in ((1, 3), (2, 6), (5, 3), (5, 6)):
                rates = suite_rates(count, stored, processes, cases, reference)
                how = f"{name}{', reference' if reference else ''}, {stored} × {processes}"
                shares = f"{100 * rates.any_regression:5.1f}  {100 * rates.worst_session:5.0f}"
                yield f"{how:44s} {shares}"
    yield "\nduets of unchanged code that fail, by the spread of their pairs, %"
    for hypotheses in (SUITE, 2):
        shares = ", ".join(
            f"{100 * spread:.0f} %: {100 * fails_far_apart(10 * count, spread, hypotheses):.2f}"
            for spread in (0.03, 0.06, 0.12, 0.25)
        )
        yield f"{f'm {hypotheses}, promised {5 / hypotheses:.2f} %':44s} {shares}"
    rng = random.Random(SEED)
    histories = max(1, count // 4)
    yield f"\nextra work from run {RUNS + 1} on, every run saved: found within 1 / 5 / 20 runs, %"
    for weather in WEATHERS:
        for work in (0.0, 0.1, 0.2):
            found = found_within(rng, weather, work, histories)
            shares = " / ".join(
                f"{100 * fmean(one <= within for one in found):.1f}" for within in LATER
            )
            yield f"{f'{weather.name}, {100 * work:.0f} % more work':44s} {shares}"
    yield f"\n{RUNS} saved runs, 20 % faster since some runs: 0 / 10 / 20 % more work found, %"
    for weather in WEATHERS:
        for step, ago in ((0.0, 0), (0.2, 3), (0.2, 6)):
            shares = " / ".join(
                f"{100 * found_after_step(rng, weather, step, ago, work, histories):.1f}"
                for work in (0.0, 0.1, 0.2)
            )
            what = f"{weather.name}, {f'{ago} runs ago' if step else 'never'}"
            yield f"{what:44s} {shares}"
