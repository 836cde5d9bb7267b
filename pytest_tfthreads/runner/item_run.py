"""One item, and what its processes have brought so far."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pytest_tfthreads.core.measurement import Pools, Sample
from pytest_tfthreads.engine import reply as replies
from pytest_tfthreads.engine.failure import (
    DESCRIPTORS_CLOSED,
    UNREADABLE,
    Failure,
    preload_failure,
)
from pytest_tfthreads.engine.measuring_process import Launched
from pytest_tfthreads.engine.reply import Outcome, RecordedWarning, Reply
from pytest_tfthreads.pytest_bridge import collection, interruption, outcomes
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.pytest_bridge.raised import Described
from pytest_tfthreads.runner.variants import CurrentTree, Variant
from pytest_tfthreads.system.machine import Machine

_MOST_IDS = 5
_SAME_TESTS = (
    "Its module must collect the same tests whatever CPUs and threads it is given, and in a duet "
    "on both sides."
)
_SAME = "On this machine it is the same configuration as {}, and was run once with it."
_HEADLINES: Mapping[Outcome, str] = {
    replies.MISCONFIGURED: "The configuration is not in force:",
    replies.NOT_COLLECTED: (
        "The measuring process could not collect this test, though pytest did here."
    ),
    replies.CONFIGURE_FAILED: "It was raised in the hook pytest_tfthreads_configure:",
    replies.DESCRIPTORS_CLOSED: DESCRIPTORS_CLOSED,
    replies.INTERNAL_ERROR: (
        "pytest, a plugin or pytest-tfthreads itself broke down in the measuring process; the "
        "test is not to blame."
    ),
    replies.OUT_OF_MEMORY: (
        "The measuring process got no more memory, and pytest or a plugin broke down for want of "
        "it. Use a smaller batch, or raise the limit of its memory (ulimit -v, RLIMIT_AS)."
    ),
    replies.TOO_LARGE: (
        "What is to be reported of this test is too large: what it printed, logged and raised, and "
        "its extra_info and user_properties. Have the test print less, or write to a file."
    ),
}
"""How outcomes without a test run are called."""


class ItemRun:
    """One item, and what its processes have brought so far.

    `processes` are measured one after the other, each of them `instances` at once.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        machine: Machine,
        item: pytest.Item,
        variant: Variant,
    ) -> None:
        case = collection.case_of(item)
        assert case is not None
        counts = machine.counts
        self.item = item
        self.variant = variant
        self.case = case
        self.requested = Pools(
            case.threads.intra.resolve(counts), case.threads.inter.resolve(counts)
        )
        self.instances = case.team_size(self.requested.intra, self.requested.inter, counts)
        self.processes = case.processes or settings.processes
        self.runs: list[Launched] = []
        self.goes_on = True
        self.was_ended_early = False  # by -x: it would have gone on
        self.is_cut_short = False  # by -x, before it was measured and judged in full
        self.ending: BaseException | None = None  # with which it asks the session to end
        self.aliases: list[ItemRun] = []  # the same configuration under other names
        self.measured_as: ItemRun | None = None  # the one of which it is an alias
        self._config = config
        self._reports: list[list[pytest.TestReport]] = []
        self._raised: list[Mapping[str, Described]] = []  # of each of those, by phase
        self._states: list[Mapping[str, Any]] = []
        self._uses_benchmark = False

    @property
    def has_reports(self) -> bool:
        return bool(self._reports) or self.ending is not None

    @property
    def is_cut_off(self) -> bool:
        """It will never be run."""
        return not self.goes_on and not self.has_reports

    @property
    def has_failed(self) -> bool:
        return any(not outcomes.passed(reports) for reports in self._reports)

    @property
    def counts_as_failed(self) -> bool:
        """For -x and --maxfail, which a skip or an expected failure does not concern."""
        return any(report.failed for reports in self._reports for report in reports)

    @property
    def problem(self) -> str:
        """Why it has come to no measurement, in a line; nothing where all is well."""
        if self.ending is not None:
            is_exit = isinstance(self.ending, pytest.exit.Exception)
            told = repr(self.ending) if is_exit else type(self.ending).__name__
            return f"it asks for the end of the session ({told})"
        for reports in self._reports:
            for report in reports:
                if not outcomes.passed([report]):
                    return outcomes.in_a_line(report)
        return ""

    @property
    def measured_runs(self) -> list[Launched]:
        """Those with a sample: a test may measure in one process and not in the next."""
        return [run for run in self.runs if run.reply.sample is not None]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Of those that measured, in order."""
        return tuple(run.reply.sample for run in self.runs if run.reply.sample is not None)

    @property
    def uses_benchmark(self) -> bool:
        """Whether one of its processes asked for pytest-benchmark's fixture."""
        return self._uses_benchmark

    @property
    def states(self) -> list[Mapping[str, Any]]:
        """What plugins sent from its processes."""
        return self._states

    @property
    def raised(self) -> Mapping[str, Described]:
        """What was raised, by phase, in the process whose reports are shown."""
        return self._raised[self._told] if self._reports else {}

    @property
    def _told(self) -> int:
        """Which process's reports are shown: the first that did not pass, else the first."""
        passed = [outcomes.passed(reports) for reports in self._reports]
        return passed.index(False) if False in passed else 0

    @property
    def iterations(self) -> int | None:
        """Calls a round, as its first process settled them."""
        # Not its sample's, which may be of several instances together.
        record = self.runs[0].reply.benchmark if self.runs else None
        return None if record is None else record.iterations

    def take(self, result: Launched | Failure, begun_s: float) -> None:
        """What a process brought."""
        if isinstance(result, Failure):
            self.fail(str(result), begun_s, by_test=result.is_by_test)
            return
        self.ending = _ending_of(result.reply)
        if self.ending is not None:
            self.goes_on = False
            return
        if result.reply.outcome == replies.SKIPPED:
            self.goes_on = False
            self.skip(result.reply.message)
            return
        failure = self._failure_of(result.reply)
        if failure is not None:
            self.fail(str(failure), begun_s)
            return
        try:
            reports = [outcomes.restore(self._config, data) for data in result.reply.reports]
        except Exception as error:  # plugins restore their own reports, and may raise anything
            self.fail(f"garbled: {UNREADABLE} ({error!r})", begun_s)
            return
        self.runs.append(result)
        self._uses_benchmark |= result.reply.uses_benchmark
        self._states += result.reply.states
        for report in reports:
            report.nodeid = self.item.nodeid  # which pytest-xdist may have changed here
            hint = outcomes.hint_for(report.longreprtext) if report.failed else ""
            if hint:
                report.sections.append(("tf_threads", hint))
        self._add(reports, result.reply.raised)
        if result.reply.sample is None:
            self.goes_on = False

    @property
    def names(self) -> list[ItemRun]:
        """Itself, and those that share its measurement."""
        return [self, *self.aliases]

    def share(self, measured: ItemRun) -> None:
        """Take over all that became of the same configuration under another name.

        What plugins sent, and warnings, are told once, with that one.
        """
        self.measured_as = measured
        self.is_cut_short = measured.is_cut_short
        self.runs, self.goes_on, self.ending = measured.runs, measured.goes_on, measured.ending
        self._uses_benchmark = measured._uses_benchmark
        self._reports = [
            [self._renamed(report, measured) for report in reports] for reports in measured._reports
        ]
        self._raised = [*measured._raised]

    def _renamed(self, report: pytest.TestReport, measured: ItemRun) -> pytest.TestReport:
        mine = copy.copy(report)
        mine.nodeid, mine.location = self.item.nodeid, self.item.location
        mine.keywords = dict.fromkeys(self.item.keywords, 1)
        told = [("tf_threads", _SAME.format(measured.item.nodeid))] if report.failed else []
        mine.sections = [*report.sections, *told]
        mine.user_properties = [*report.user_properties]
        return mine

    def absorb(self, other: ItemRun) -> None:
        """Take over what other processes of the same test reported, and nothing that they measured.

        Those of a duet that followed: if one failed, the test has.
        """
        self._reports += other._reports
        self._raised += other._raised
        self._states += other._states
        self.ending = self.ending or other.ending
        self.goes_on = self.goes_on and other.goes_on

    def _failure_of(self, reply: Reply) -> Failure | None:
        """What a process answered where it could not run its test: the reason comes first."""
        if reply.outcome == replies.NO_TENSORFLOW:
            return preload_failure(reply.message)
        headline = _HEADLINES.get(reply.outcome)
        if headline is None:
            return None
        known = collection.marked_ids(self._config)
        if isinstance(self.variant, CurrentTree) and not set(reply.other_ids) <= set(known):
            return Failure(reply.outcome, _ids_change(self.item, reply.other_ids))
        parts = [reply.reason, headline, outcomes.hint_for(reply.message), reply.message]
        if reply.outcome == replies.NOT_COLLECTED and (
            not reply.reason or reply.reason.startswith("not found")
        ):
            parts.insert(2, _SAME_TESTS)
        return Failure(reply.outcome, "\n".join(part for part in parts if part))

    def fail(self, message: str, begun_s: float, by_test: bool = False) -> None:
        """It has no result; `by_test`: through what the test itself did."""
        self._add(outcomes.failed(self.item, message, begun_s, by_test), {})

    def skip(self, reason: str) -> None:
        self._reports.append(outcomes.skipped(self.item, reason))
        self._raised.append({})

    def _add(self, reports: list[pytest.TestReport], raised: Mapping[str, Described]) -> None:
        self._reports.append(reports)
        self._raised.append(raised)
        if not outcomes.passed(reports):
            self.goes_on = False
            outcomes.note_process(reports, len(self._reports) - 1)

    def reports(self) -> list[pytest.TestReport]:
        """Of all its processes, as pytest gets them; its warnings go to the session at once."""
        if self.runs and self.measured_as is None:
            told = self.runs[-1 if self.has_failed else 0]
            outcomes.replay_warnings(self._config, told.reply.warnings)
            if self.instances > 1 and not self.uses_benchmark and not self.has_failed:
                outcomes.replay_warnings(self._config, [_one_instance(self.item)])
        return outcomes.merge(self._reports) if self._reports else []


def _one_instance(item: pytest.Item) -> RecordedWarning:
    # The same words for all tests: pytest tells them once, with all the tests.
    return RecordedWarning(
        message="a test that measures nothing runs in one process, whatever instances it asks for",
        module="pytest",
        category="PytestWarning",
        filename=str(item.path),
        lineno=0,
        nodeid=item.nodeid,
    )


def _ids_change(item: pytest.Item, others: Sequence[str]) -> str:
    shown = "\n".join(f"  {other}" for other in others[:_MOST_IDS])
    left_out = len(others) - _MOST_IDS
    more = f"\n  … {left_out} more" if left_out > 0 else ""
    return (
        "The test's id is another one in each process.\n"
        f"Here it is\n  {item.nodeid}\nand in the measuring process there is\n{shown}{more}\n"
        "Give the parameters ids that do not change, with ids=[...] or pytest.param(..., id=...). "
        "Addresses, random values and the time do change."
    )


def _ending_of(reply: Reply) -> BaseException | None:
    try:
        if reply.outcome == replies.SESSION_EXIT:
            pytest.exit(reply.message, returncode=reply.exit_code)
    except BaseException as ending:  # what pytest raises here is its own affair
        return ending
    if reply.outcome != replies.INTERRUPTED:
        return None
    return interruption.interrupt(reply.message, reply.interrupted_at)
