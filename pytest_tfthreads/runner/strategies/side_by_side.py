"""What saved runs leave open, or would fail: measured beside the baseline's commit, at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_tfthreads.core.gate.budget import Budget
from pytest_tfthreads.core.gate.duet import LOOKS
from pytest_tfthreads.core.gate.pairs import Duet
from pytest_tfthreads.core.gate.two_rules import (
    alone,
    combined,
    is_open,
    is_settled,
    pairs_wanted,
    with_advice,
)
from pytest_tfthreads.core.gate.verdict import Verdict
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.pytest_bridge import collection
from pytest_tfthreads.pytest_bridge.gate import Gate
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.runner.baseline import saved_commit
from pytest_tfthreads.runner.duet import Duets
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.measurements import GLANCE, Results
from pytest_tfthreads.runner.on_demand import BaselinesOnDemand, NoBaselineError
from pytest_tfthreads.runner.rings import Rings
from pytest_tfthreads.runner.strategies.common import end_early, seed_of
from pytest_tfthreads.runner.variants import CurrentTree, OpenVariant, Variant

_DEBUGGED = "with --pdb or --trace a test is not run side by side"
_GLANCED_AT = "the search only glanced at it; without --tf-threads-search it is measured in full"
_NOT_ALWAYS = "the test measures in some of its processes and not in others"


@dataclass(frozen=True)
class Beside:
    """What came of a test that saved runs did not settle.

    `duet` was run and compared `now`, the current side's processes of it; or `why` says why not.
    """

    duet: Duet | None = None
    now: Measurement | None = None
    why: str = ""
    advice: str = ""  # what would have decided it, where the budget ended it
    notes: tuple[str, ...] = ()
    baseline: OpenVariant | None = None  # beside which it ran

    @property
    def is_compared(self) -> bool:
        """Whether the duet gave verdicts."""
        return self.duet is not None and self.duet.baseline is not None and self.now is not None


class SideBySide:
    """Runs duets of tests that saved runs do not settle, while the baseline can be had.

    `here` is the current side, and `current_commit` tells the commit that it is, if it is one, when
    that is needed; `progress` begins a test anew on a side.
    """

    def __init__(
        self,
        rings: Rings,
        results: Results,
        settings: Settings,
        baselines: BaselinesOnDemand,
        here: CurrentTree,
        current_commit: Callable[[], str | None],
        progress: Callable[[ItemRun, Variant], ItemRun],
        budget: Budget,
    ) -> None:
        self._rings = rings
        self._results = results
        self._settings = settings
        self._baselines = baselines
        self._here = here
        self._current_commit = current_commit
        self._progress = progress
        self._budget = budget

    def run(self, item_runs: Sequence[ItemRun], gate: Gate) -> dict[str, Beside]:
        """By node id, of the members that saved runs did not settle; under all their names."""
        found: dict[str, Beside] = {}
        for item_run in item_runs:
            measurement = self._results.measurement(item_run)
            if measurement is None:
                continue
            stored = [
                verdict
                for one in item_run.names
                for verdict in gate.judge(collection.nodeid_of(one.item), measurement, one.case)
            ]
            if not any(map(is_open, stored)):
                continue
            is_glance = GLANCE in measurement.flags
            if is_glance and not any(one.status == "regression" for one in stored):
                found |= {one.item.nodeid: Beside(why=_GLANCED_AT) for one in item_run.names}
            elif item_run.was_ended_early:
                item_run.is_cut_short = True
            elif not item_run.goes_on:
                found |= {one.item.nodeid: Beside(why=_NOT_ALWAYS) for one in item_run.names}
            else:
                self._budget.open()
                beside = self._beside(item_run, measurement, stored, gate)
                found |= {one.item.nodeid: beside for one in item_run.names}
                end_early(item_runs)
        return found

    def _beside(
        self, item_run: ItemRun, measured: Measurement, stored: Sequence[Verdict], gate: Gate
    ) -> Beside:
        if self._rings.are_interactive:
            return Beside(why=_DEBUGGED)
        test = collection.nodeid_of(item_run.item)
        try:
            commit = saved_commit(gate, test, measured, self._current_commit())
        except RevisionError as error:  # which more time would not mend
            return Beside(why=str(error))
        first = self._settings.looks[0]
        if not self._budget.allows_first(first):
            return Beside(why=_out_of_time(self._budget, first))
        try:
            baseline = self._baselines.get(commit)
        except NoBaselineError as error:
            return Beside(why=str(error))
        return self._run(item_run, stored, gate, baseline)

    def _run(
        self, item_run: ItemRun, stored: Sequence[Verdict], gate: Gate, baseline: OpenVariant
    ) -> Beside:
        now = self._progress(item_run, replace(self._here, roots=baseline.roots))

        looks, advice = self._settings.looks, ""

        def has_enough(duet: Duet) -> bool:
            nonlocal advice
            measured = self._results.measurement(now)
            if measured is None:
                return False
            beside, done = duet_verdicts(item_run, measured, gate, duet), len(duet.pairs)
            if is_settled(stored, beside, done):
                return True
            advice = end_by(self._budget, pairs_wanted(stored, beside), done, looks)
            return bool(advice)

        duet = Duets(self._rings, self._results).run(
            now=now,
            then=self._progress(item_run, baseline),
            looks=looks,
            seed=seed_of(self._settings, [item_run]),
            has_enough=has_enough,
            goes_on_alone=False,
        )
        item_run.absorb(now)
        if duet.is_mistake:
            self._baselines.give_up(duet.problem)
        return Beside(
            duet,
            self._results.measurement(now),
            duet.problem,
            duet.ended or advice,
            tuple(baseline.notes),
            baseline,
        )


def duet_verdicts(
    item_run: ItemRun, measurement: Measurement, gate: Gate, duet: Duet
) -> list[Verdict]:
    """Of a test under all its names: saved duets and tolerances may differ."""
    return [
        verdict
        for one in item_run.names
        for verdict in gate.judge_duet(collection.nodeid_of(one.item), measurement, one.case, duet)
    ]


def judged(
    test: str, measurement: Measurement, item_run: ItemRun, gate: Gate, beside: Beside | None
) -> tuple[Verdict, ...]:
    """The verdicts that stand for a test that was measured, and then perhaps run side by side."""
    stored = gate.judge(test, measurement, item_run.case)
    if beside is None:
        return stored
    if beside.duet is None or beside.now is None or not beside.is_compared:
        return alone(stored, beside.why)
    found = combined(stored, gate.judge_duet(test, beside.now, item_run.case, beside.duet))
    return with_advice(found, beside.advice) if beside.advice else found


def end_by(budget: Budget, wanted: int | None, done: int, looks: Sequence[int]) -> str:
    """Why the budget ends a duet after `done` pairs that did not decide it; nothing: it goes on.

    `wanted` is with how many pairs it would be decided, as far as that is to be seen.
    """
    if budget.total_s is None:
        return ""
    deciding = None if wanted is None else next((look for look in looks if look >= wanted), None)
    if deciding is not None and budget.allows_more(deciding - done):
        return ""
    if wanted is None:
        return (
            f"{done} pairs did not decide it, nor would many more: measure on a quieter machine, "
            "or each process for longer (--benchmark-max-time)"
        )
    if deciding is None and wanted <= LOOKS[-1]:
        return (
            f"{done} pairs did not decide it, and it would take about {wanted}: a larger "
            f"--tf-threads-max-processes ({LOOKS[-1]} at the most)"
        )
    if deciding is None:
        return (
            f"{done} pairs did not decide it, and it would take about {wanted}, more than a duet "
            "has: measure on a quieter machine, or each process for longer (--benchmark-max-time)"
        )
    more = deciding - done
    return (
        f"about {more * budget.pair_s:.0f} s more would have decided it ({more} pairs of "
        "processes): a larger --tf-threads-budget"
    )


def _out_of_time(budget: Budget, pairs: int) -> str:
    return (
        "too little of --tf-threads-budget was left to measure side by side; about "
        f"{pairs * budget.pair_s:.0f} s more would have been enough to begin"
    )
