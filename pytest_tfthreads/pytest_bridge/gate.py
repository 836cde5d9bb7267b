"""The gate of a pytest run: finds the saved runs to judge by, and judges each measurement.

It judges by them, or, in a duet, by the baseline that was measured side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pytest_tfthreads.benchmark_bridge import comparing
from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.gate.duet import judge_duet
from pytest_tfthreads.core.gate.evidence import (
    histories_of,
    history_of,
    may_have_lost,
    pairs_of,
)
from pytest_tfthreads.core.gate.pairs import Duet
from pytest_tfthreads.core.gate.run_beside import run_beside
from pytest_tfthreads.core.gate.suite_drift import Drifts, drifts_of, machine_of
from pytest_tfthreads.core.gate.verdict import Policy, Verdict, judge
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.op_profile import Trace
from pytest_tfthreads.core.saved_runs import BaselineError, NotOursError, StoredRun
from pytest_tfthreads.core.storage import ENOUGH_FOR_DRIFT
from pytest_tfthreads.core.threads import Case
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.system.run_index import read_condensed
from pytest_tfthreads.xdist_bridge.briefing import read_briefing


def is_asked_for(config: pytest.Config, settings: Settings) -> bool:
    """Whether measurements are judged by others, saved or side by side."""
    if config.getoption("collectonly") or settings.abreast is not None:
        return False
    return comparing.compares(config) or settings.duet is not None


class Gate:
    """Judges by saved runs, oldest first, or by a duet beside the commit of one of them.

    `named`: the user chose the last run. `problem`: why nothing can be judged by them. `mistake`:
    what is wrong with the user's choice; then nothing is to be measured. `notes` tell of other
    files that are no use. `hypotheses` is how many verdicts the run will have.
    """

    def __init__(
        self,
        policy: Policy,
        hypotheses: int,
        runs: Sequence[StoredRun] = (),
        named: bool = False,
        problem: str = "",
        mistake: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        self.notes = tuple(notes)
        self.mistake = mistake
        self._policy = policy
        self._hypotheses = max(hypotheses, 2)
        self._runs = tuple(runs)
        self._named = named
        self._problem = problem
        self._drifts: dict[str, Drifts] = {}

    @classmethod
    def open(cls, config: pytest.Config, policy: Policy, hypotheses: int) -> Gate:
        """With the run that --benchmark-compare names, or the latest, and those before it.

        The latest is that of this Python on this kind of machine, as long as one that can be
        compared was saved by it: the runs of others come before all of its own.

        In a worker of pytest-xdist with those that its controller found: the worker may be on
        another host, without a saved run.
        """
        briefing = read_briefing(config)
        if briefing is not None and briefing.baseline is not None:
            return cls._told(briefing.baseline, policy, hypotheses * briefing.copies)
        saved = comparing.saved_runs(config)
        own = _read(saved.files, ENOUGH_FOR_DRIFT + saved.named)
        elsewhere = [_read(files, ENOUGH_FOR_DRIFT) for files in saved.elsewhere]
        others = sorted((run for one in elsewhere for run in one.runs), key=lambda run: run.moment)
        problem, mistake = saved.problem or own.last_problem, saved.mistake
        if saved.named:
            problem = own.not_ours.get(saved.files[-1], problem) if saved.files else problem
        elif not (problem or mistake or own.runs or others):
            whys = (one.last_problem for one in elsewhere)
            unmarked = (why for one in (*elsewhere, own) for why in one.not_ours.values())
            problem = next(filter(None, whys), "") or [*unmarked][-1]
        if saved.named and problem:
            mistake = comparing.useless(config, problem)
        notes = [why for one in (*elsewhere, own) for why in one.problems if why != problem]
        return cls(
            policy,
            hypotheses,
            [*others, *own.runs],
            saved.named,
            mistake or problem,
            mistake,
            notes,
        )

    @classmethod
    def _told(cls, text: str, policy: Policy, hypotheses: int) -> Gate:
        data = json.loads(text)
        runs = [StoredRun.from_json(run) for run in data["runs"]]
        return cls(policy, hypotheses, runs, data["named"], data["problem"], data["mistake"])

    def to_text(self) -> str:
        """For workers: what `open` finds there."""
        return json.dumps(
            {
                "runs": [run.condensed().to_json() for run in self._runs],
                "named": self._named,
                "problem": self._problem,
                "mistake": self.mistake,
            }
        )

    def baseline(self, current_commit: str | None) -> StoredRun | None:
        """The run to compare the suite with: the named one, or the latest without a regression.

        If all have one, the latest: as for a single test, see `history_of`. Runs of the current
        commit count only where there are no others: see `run_beside`.
        """
        if self._problem or not self._runs:
            return None
        if self._named:
            return self._runs[-1]
        sound = [run for run in self._runs if not run.has_regressed] or self._runs
        elsewhere = [run for run in sound if current_commit is None or run.commit != current_commit]
        return (elsewhere or sound)[-1]

    def baseline_of(
        self, test: str, now: Measurement, current_commit: str | None
    ) -> StoredRun | None:
        """The run beside whose commit one test is to be measured; see `run_beside`."""
        if self._problem or not self._runs:
            return None
        return self._runs[-1] if self._named else run_beside(self._runs, test, now, current_commit)

    @property
    def problem(self) -> str:
        """Why there is none."""
        return self._problem

    def judge(self, test: str, now: Measurement, case: Case) -> tuple[Verdict, Verdict]:
        """Throughput and CPU efficiency of a test that was just measured."""
        history = (
            History((), problem=self._problem)
            if self._problem
            else history_of(self._runs, test, now, self._named)
        )
        policy = self._policy.with_tolerance(dict(case.tolerance))
        return judge(test, now, history, policy, self._hypotheses, self._drifts_of(now))

    def judge_duet(
        self, test: str, now: Measurement, case: Case, duet: Duet
    ) -> tuple[Verdict, Verdict]:
        """The same of a test that was measured side by side with its baseline."""
        policy = self._policy.with_tolerance(dict(case.tolerance))
        if duet.baseline is None:
            history = History((), problem=duet.problem)
            return judge(test, now, history, policy, self._hypotheses)
        return judge_duet(
            test,
            now,
            duet.baseline,
            duet.pairs,
            pairs_of(self._runs, test, now),
            policy,
            self._hypotheses,
            f"{duet.against}, side by side in {_pairs(len(duet.pairs))} of processes",
        )

    def stored_trace(self, test: str, now: Measurement) -> Trace | None:
        """What the baseline's saved run tells of the test's trace, if one was taken."""
        if self._problem:
            return None
        return history_of(self._runs, test, now, self._named).trace

    def _drifts_of(self, now: Measurement) -> Drifts:
        """How far the suite's tests drift on a machine such as this."""
        machine = machine_of(now)
        if machine not in self._drifts:
            self._drifts[machine] = drifts_of(histories_of(self._runs, machine))
        return self._drifts[machine]

    def failing(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Those that fail their test."""
        return [verdict for verdict in verdicts if self._policy.fails(verdict)]


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


@dataclass(frozen=True)
class _Files:
    """What is in the latest files of one directory, each oldest first.

    `problems` say why files cannot be used, `last_problem` why the last of ours cannot. `not_ours`
    are runs of suites without marked tests, in words; nothing is wrong with those.
    """

    runs: Sequence[StoredRun]
    problems: Sequence[str]
    last_problem: str
    not_ours: Mapping[Path, str]


_MOST_WINDOWS = 10
"""How many times as many files are read where a test has no sound run among the latest."""


def _without_a_sound_run(found: Sequence[StoredRun | BaselineError]) -> set[str]:
    """The tests that had lost speed, or may have, in each of these runs on a machine of theirs."""
    sound: set[tuple[str, str]] = set()
    lost: set[tuple[str, str]] = set()
    for run in found:
        if not isinstance(run, BaselineError):
            for test, several in run.tests.items():
                for one in several:
                    has_lost = one.has_regressed or may_have_lost(one)
                    (lost if has_lost else sound).add((test, machine_of(one.measurement)))
    return {test for test, _ in lost - sound}


def _read(files: Sequence[Path], most: int) -> _Files:
    """The latest files, so many at most, beside those of suites without marked tests.

    More are read for a test that in all of them had regressed, or was left open with a loss: else a
    loss that nobody mends would push the last run before it out of sight, and become what is
    compared with.
    """
    latest: list[StoredRun | BaselineError] = []
    not_ours: dict[Path, str] = {}
    for end in range(len(files), 0, -most):
        paths = files[max(0, end - most) : end]
        for path, found in reversed([*zip(paths, read_condensed(paths), strict=True)]):
            if isinstance(found, NotOursError):
                not_ours[path] = str(found)
            else:
                latest.append(found)
        if len(latest) >= most and not _without_a_sound_run(latest):
            break
        if len(latest) >= _MOST_WINDOWS * most:
            break
    lost = _without_a_sound_run(latest[:most])
    older = [
        replace(run, tests=tests)
        for run in latest[most:]
        if not isinstance(run, BaselineError)
        and (tests := {test: found for test, found in run.tests.items() if test in lost})
    ]
    latest = [*latest[:most], *older][::-1]
    return _Files(
        runs=[one for one in latest if not isinstance(one, BaselineError)],
        problems=[str(one) for one in latest if isinstance(one, BaselineError)],
        last_problem=str(latest[-1]) if latest and isinstance(latest[-1], BaselineError) else "",
        not_ours=dict(reversed(not_ours.items())),
    )
