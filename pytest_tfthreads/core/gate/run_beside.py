"""The saved run beside whose commit a test is measured.

A duet has to begin at the speed that was accepted. A run that was saved while the test was
inconclusive and seemed slower may have lost speed already; a run of the same commit as the current
tree has the same code, and would find every loss tolerable.

Where the estimate shows no loss beyond the margin, an inconclusive run counts: else the commit of a
test that never passes would stay, and losses that were tolerated one by one would add up.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_tfthreads.core.comparable import why_not_comparable
from pytest_tfthreads.core.gate.evidence import (
    accepted_by_name,
    begin_of_level,
    may_have_lost,
    measured_in,
    of_this_python_first,
    without_regression,
)
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.saved_runs import StoredRun, short_commit


def run_beside(
    runs: Sequence[StoredRun], test: str, now: Measurement, current_commit: str | None
) -> StoredRun | None:
    """The run, of some that are given oldest first; None where there is none at all.

    `current_commit` is that of the current tree, None where the tree has changes or is no commit.
    Of the runs that the test can be compared with (else of those that have the test, else of all),
    the run is the latest in which no loss was left open, at another commit than the current one.
    Where there is none, the latest at the current commit; and where a loss was left open in all of
    them, the oldest.
    """
    accepted = accepted_by_name(runs, test, now)
    measured = measured_in(without_regression(runs, test, now, accepted), test, now)
    if not measured:
        sound = [run for run in runs if not run.has_regressed]
        return _latest(sound or runs, current_commit)
    comparable = [one for one in measured if why_not_comparable(now, one[1].measurement) is None]
    found = of_this_python_first(comparable, now) or measured
    found = found[begin_of_level(found, accepted) :]
    found = [(run, one) for run, one in found if _is_known(run)] or found
    settled = [
        (run, one) for run, one in found if run.datetime in accepted or not may_have_lost(one)
    ]
    # A pass beside a revision that the user named says nothing of the speed that was accepted.
    by_the_gate = [run for run, one in settled if not one.beside_named]
    return _latest(by_the_gate or [run for run, _ in settled] or [found[0][0]], current_commit)


def _latest(runs: Sequence[StoredRun], current_commit: str | None) -> StoredRun | None:
    elsewhere = [run for run in runs if run.commit != current_commit and _is_known(run)]
    return next(reversed(elsewhere or runs), None)


def _is_known(run: StoredRun) -> bool:
    """Whether its commit is what it measured."""
    return bool(short_commit(run.commit, dirty=False)) and not run.dirty
