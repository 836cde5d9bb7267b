"""What saved runs leave open, or would fail: measured beside the baseline's commit, at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_tfthreads import collection
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.pairs import Duet
from pytest_tfthreads.core.two_rules import alone, combined, is_open, is_settled
from pytest_tfthreads.core.verdict import Verdict
from pytest_tfthreads.gate import Gate
from pytest_tfthreads.isolation.duets import Duets
from pytest_tfthreads.isolation.on_demand import BaselineOnDemand
from pytest_tfthreads.isolation.progress import Progress
from pytest_tfthreads.isolation.results import Results
from pytest_tfthreads.isolation.rings import Rings
from pytest_tfthreads.isolation.sides import Baseline, Here, Side
from pytest_tfthreads.isolation.strategies.common import end_early, seed_of
from pytest_tfthreads.options import Settings

_DEBUGGED = "with --pdb or --trace a test is not run side by side"


@dataclass(frozen=True)
class Beside:
    """What came of a test that saved runs did not settle.

    `duet` was run and compared `now`, the current side's processes of it; or `why` says why not.
    """

    duet: Duet | None = None
    now: Measurement | None = None
    why: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_compared(self) -> bool:
        """Whether the duet gave verdicts."""
        return self.duet is not None and self.duet.baseline is not None and self.now is not None


class SideBySide:
    """Runs duets of tests that saved runs do not settle, while the baseline can be had.

    `here` is the current side; `progress` begins a test anew on a side.
    """

    def __init__(
        self,
        rings: Rings,
        results: Results,
        settings: Settings,
        baseline: BaselineOnDemand,
        here: Here,
        progress: Callable[[Progress, Side], Progress],
    ) -> None:
        self._rings = rings
        self._results = results
        self._settings = settings
        self._baseline = baseline
        self._here = here
        self._progress = progress

    def run(self, members: Sequence[Progress], gate: Gate) -> dict[str, Beside]:
        """By node id, of the members that saved runs did not settle."""
        found = {}
        for one in members:
            measurement = self._results.measurement(one)
            if measurement is None or not one.goes_on:
                continue
            stored = gate.judge(collection.nodeid_of(one.item), measurement, one.case)
            if any(map(is_open, stored)):
                found[one.item.nodeid] = self._beside(one, stored, gate)
                end_early(members)
        return found

    def _beside(self, member: Progress, stored: Sequence[Verdict], gate: Gate) -> Beside:
        if self._rings.are_interactive:
            return Beside(why=_DEBUGGED)
        baseline = self._baseline.get()
        if baseline is None:
            return Beside(why=self._baseline.problem)
        return self._run(member, stored, gate, baseline)

    def _run(
        self, member: Progress, stored: Sequence[Verdict], gate: Gate, baseline: Baseline
    ) -> Beside:
        test = collection.nodeid_of(member.item)
        now = self._progress(member, replace(self._here, roots=baseline.roots))

        def has_enough(duet: Duet) -> bool:
            measured = self._results.measurement(now)
            return measured is not None and is_settled(
                stored, gate.judge_duet(test, measured, member.case, duet), len(duet.pairs)
            )

        duet = Duets(self._rings, self._results).run(
            now=now,
            then=self._progress(member, baseline),
            looks=self._settings.looks,
            seed=seed_of(self._settings, [member]),
            has_enough=has_enough,
            goes_on_alone=False,
        )
        member.absorb(now)
        if duet.is_mistake:
            self._baseline.give_up(duet.problem)
        return Beside(duet, self._results.measurement(now), duet.problem, tuple(baseline.notes))


def judged(
    test: str, measurement: Measurement, member: Progress, gate: Gate, beside: Beside | None
) -> tuple[Verdict, ...]:
    """The verdicts that stand for a test that was measured, and then perhaps run side by side."""
    stored = gate.judge(test, measurement, member.case)
    if beside is None:
        return stored
    if beside.duet is None or beside.now is None or not beside.is_compared:
        return alone(stored, beside.why)
    return combined(stored, gate.judge_duet(test, beside.now, member.case, beside.duet))
