"""What the report of a run is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import Verdict
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.op_profile import Traces
from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.sweep.recommendation import Recommendation
from pytest_tfthreads.core.sweep.search import SearchCost
from pytest_tfthreads.core.variants.course import Course


@dataclass(frozen=True)
class OverReleases:
    """One configuration of a test as `releases` measured it; `when` that was.

    `courses`: by metric, all of the same releases, and never empty.
    """

    when: str
    courses: Mapping[str, Course]

    @property
    def releases(self) -> tuple[str, ...]:
        """The names of the releases, in their order."""
        return next(iter(self.courses.values())).releases


@dataclass(frozen=True)
class MeasuredCase:
    """One configuration of a test; `verdicts` and `pairs` (of a duet) where it was judged.

    `took_turns_with_baseline`: in the duet, and not with the test's other configurations. `traces`
    where they were to be taken, `over` where the test was measured over releases, too.
    """

    nodeid: str
    candidate: Candidate
    verdicts: tuple[Verdict, ...] = ()
    pairs: tuple[Pair, ...] = ()
    traces: Traces | None = None
    over: OverReleases | None = None
    took_turns_with_baseline: bool = False

    @property
    def measurement(self) -> Measurement:
        return self.candidate.measurement


@dataclass(frozen=True)
class Subject:
    """A test and all its configurations; no `recommendation` where they were not compared."""

    test: str
    cases: tuple[MeasuredCase, ...]
    recommendation: Recommendation | None = None
    search: SearchCost | None = None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return tuple(verdict for case in self.cases for verdict in case.verdicts)

    @property
    def is_duet(self) -> bool:
        """Whether configurations were measured beside their baselines, not beside each other."""
        return any(case.pairs and case.took_turns_with_baseline for case in self.cases)

    @property
    def best(self) -> MeasuredCase | None:
        """The recommended configuration, or the only one."""
        if self.recommendation is None:
            return self.cases[0] if len(self.cases) == 1 else None
        best = self.recommendation.best.id
        return next(case for case in self.cases if case.candidate.id == best)


@dataclass(frozen=True)
class RunContent:
    """One run. `source` says in words where it comes from, `commit` of which code.

    `failures`: node ids of tests that were to be measured but failed, and why, where that is
    known. Not `complete`: it ended before all its tests had. `notes` are sentences on what else a
    reader should know.
    """

    when: str
    source: str
    subjects: tuple[Subject, ...] = ()
    commit: str = ""
    failures: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True
    notes: tuple[str, ...] = ()

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for subject in self.subjects for verdict in subject.verdicts]

    @property
    def cases(self) -> list[MeasuredCase]:
        return [case for subject in self.subjects for case in subject.cases]
