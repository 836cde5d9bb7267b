"""pytest's reports and warnings, on their way from measuring processes to this session."""

from __future__ import annotations

import itertools
import os
import re
import sys
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest
from _pytest import reports as pytest_reports
from _pytest.skipping import evaluate_xfail_marks

from pytest_tfthreads.engine.reply import RecordedWarning
from pytest_tfthreads.system.originals import ORIGINALS

_PHASES: tuple[Literal["setup", "call", "teardown"], ...] = ("setup", "call", "teardown")
_LINE_LENGTH = 400
# TensorFlow's words.
_TOO_LATE = (
    "cannot be modified after",
    "Virtual CPUs already set",
    "Collective ops must be configured at program startup",
)
_FINAL = ("passed", "failed", "skipped")


def serialized(config: pytest.Config, report: pytest.TestReport) -> Any:
    """A report as it becomes JSON."""
    data = config.hook.pytest_report_to_serializable(config=config, report=report)
    # The hook is pytest's own plugin's, which `-p no:reports` leaves out, and others' for theirs.
    return pytest_reports.pytest_report_to_serializable(report) if data is None else data


def restore(config: pytest.Config, data: Mapping[str, Any]) -> pytest.TestReport:
    """A report as it was before it became JSON."""
    report = config.hook.pytest_report_from_serializable(config=config, data=data)
    if report is None:  # as above
        report = pytest_reports.pytest_report_from_serializable(dict(data))
    assert isinstance(report, pytest.TestReport)
    # JSON knows no tuples, but pytest tells a skip by its being one.
    if isinstance(report.longrepr, list):
        report.longrepr = tuple(report.longrepr)
    report.location = tuple(report.location)  # type: ignore[assignment]
    report.sections = _pairs(report.sections)
    if "_subtest.context" in data:  # of a subtest, whose values pytest quotes once more
        object.__setattr__(report.context, "kwargs", data["_subtest.context"]["kwargs"])
    report.user_properties = _pairs(report.user_properties)
    return report


def _pairs(values: Sequence[Any]) -> list[Any]:
    # A test or a plugin may have added anything to them, not only pairs.
    return [tuple(value) if isinstance(value, list) else value for value in values]


def failed(
    item: pytest.Item, message: str, begun_s: float, by_test: bool = False
) -> list[pytest.TestReport]:
    """Reports of a test whose process gave none: its call failed.

    `begun_s`: as `ORIGINALS.monotonic()`, for a clock that is set back meanwhile must make no
    duration negative. `by_test`: the test itself has brought its process down, as an xfail mark may
    expect.
    """
    expected = _expected_failure(item) if by_test else None

    def report(when: Literal["setup", "call", "teardown"]) -> pytest.TestReport:
        is_call = when == "call"
        ended_s, took_s = ORIGINALS.time(), ORIGINALS.monotonic() - begun_s
        return pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords=dict.fromkeys(item.keywords, 1),
            outcome=("failed" if expected is None else "skipped") if is_call else "passed",
            longrepr=message if is_call else None,
            when=when,
            duration=took_s if is_call else 0,
            start=ended_s - took_s if when != "teardown" else ended_s,
            stop=ended_s if when != "setup" else ended_s - took_s,
        )

    reports = [report(when) for when in _PHASES]
    if expected is not None:
        reports[1].wasxfail = expected
    return reports


def _expected_failure(item: pytest.Item) -> str | None:
    """The reason of the xfail mark that expects that the test fails; None where there is none.

    One with `raises=` expects an exception, and nothing was raised.
    """
    config = item.config
    if not config.pluginmanager.hasplugin("skipping") or config.getoption("runxfail"):
        return None
    try:
        expected = evaluate_xfail_marks(item)
    except pytest.fail.Exception:  # its condition cannot be evaluated here
        return None
    return None if expected is None or expected.raises is not None else expected.reason


def hint_for(error: str) -> str:
    """What to do about an error of TensorFlow's that says that something was configured too late.

    Nothing where it is none of them.
    """
    if not any(text in error for text in _TOO_LATE):
        return ""
    return (
        "TensorFlow's runtime runs before conftest files and test modules are imported, with the "
        "threads of @pytest.mark.tf_threads. What must be configured before it starts (logical "
        "devices, collective ops) belongs in the hook pytest_tfthreads_configure(config, "
        "tf_threads) of a conftest.py. Threads are the marker's to set."
    )


def skipped(item: pytest.Item, reason: str) -> list[pytest.TestReport]:
    """Reports of a test that was not run."""
    now_s = ORIGINALS.time()
    path, line, _ = item.location
    return [
        pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords=dict.fromkeys(item.keywords, 1),
            outcome="skipped" if when == "setup" else "passed",
            longrepr=(path, (line or 0) + 1, f"Skipped: {reason}") if when == "setup" else None,
            when=when,
            duration=0,
            start=now_s,
            stop=now_s,
        )
        for when in ("setup", "teardown")
    ]


def is_final(report: pytest.TestReport) -> bool:
    """Whether its outcome is one of pytest's own.

    Plugins that run a test again have other ones, for the runs before the last.
    """
    return report.outcome in _FINAL


def is_of_subtest(report: pytest.TestReport) -> bool:
    """Whether it is of a part of a test's call, and the call has a report of its own."""
    return hasattr(report, "context")


def passed(reports: Sequence[pytest.TestReport]) -> bool:
    """Whether each phase has. A part of a call that was skipped leaves that to the call."""
    return not any(map(_ends_it, reports))


def _ends_it(report: pytest.TestReport) -> bool:
    if is_of_subtest(report):
        return report.failed
    return is_final(report) and not report.passed


_OF_SYNTAX = re.compile(r'File "(.*)", line ([0-9]+)')


def in_a_line(report: pytest.TestReport) -> str:
    """Why a phase of a test did not pass, in a line."""
    return f"{report.when} {report.outcome}: {reason_of(report)}"


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The same without the phase."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text: str = report.longreprtext if crash is None else crash.message
    if isinstance(report.longrepr, tuple):  # of a skip: path, line, reason
        text = report.longrepr[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Of a traceback as pytest writes it, what was raised.
    raised = [line.removeprefix("E ").strip() for line in lines if line.startswith("E ")]
    if isinstance(report.longrepr, str) and not raised:
        # Of a process that failed: a headline of several lines, then what it has left behind.
        headline = itertools.takewhile(lambda line: not line.startswith("--- "), lines)
        lines = [textwrap.shorten(" ".join(headline), _LINE_LENGTH, placeholder=" …")]
    if raised and (place := _OF_SYNTAX.match(raised[0])):  # the error itself comes last
        return f"{raised[-1]} ({os.path.basename(place[1])}, line {place[2]})"
    return (raised or lines or [""])[0]


def merge(processes: Sequence[Sequence[pytest.TestReport]]) -> list[pytest.TestReport]:
    """One report a phase: of the first process that did not pass, as long as all of them took."""
    deciding = next((reports for reports in processes if not passed(reports)), processes[0])
    took_s: dict[str | None, float] = dict.fromkeys(_PHASES, 0.0)
    for report in itertools.chain.from_iterable(processes):
        if not is_of_subtest(report):
            took_s[report.when] += report.duration
    for report in deciding:
        if not is_of_subtest(report):
            report.duration = took_s[report.when]
    return list(deciding)


def note_process(reports: Sequence[pytest.TestReport], turn: int) -> None:
    """Say which of a measurement's processes it was that did not pass, if not the first."""
    for report in reports:
        if turn and _ends_it(report):
            text = f"in process {turn + 1}; those before it passed"
            report.sections.append(("tf_threads", text))


def replay_warnings(config: pytest.Config, recorded: Sequence[RecordedWarning]) -> None:
    """Have this session's summary show what a measuring process warned of."""
    for one in recorded:
        message = warnings.WarningMessage(
            message=one.message,
            category=_category(one.module, one.category),
            filename=one.filename,
            lineno=one.lineno,
        )
        config.hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": message,
                "when": "runtest",
                "nodeid": one.nodeid,
                "location": None,
            }
        )


def _category(module: str, name: str) -> type[Warning]:
    # Nothing is imported for it: that may take long, fail in any way, or start threads.
    category = getattr(sys.modules.get(module), name, None)
    if isinstance(category, type) and issubclass(category, Warning):
        return category
    return type(name, (UserWarning,), {"__module__": module})
