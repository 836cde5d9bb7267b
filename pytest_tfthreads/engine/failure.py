"""Why a measuring process gave no result, and whose fault that is."""

from __future__ import annotations

import os
import re
import signal
import stat
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_tfthreads.core.format import mebibytes
from pytest_tfthreads.engine.protocol import BROKEN_EXIT_CODE, MUTE_EXIT_CODE, NO_MEMORY_EXIT_CODE
from pytest_tfthreads.engine.reply import Outcome

_EXCERPT_BYTES = 4000
_MACHINERY = re.compile(
    r'\s*File "(.*/site-packages/(_pytest|pluggy)/.*'
    r'|.*/pytest_tfthreads/(\w+/)*\w+\.py|<string>)", '
)
# The file that a Python function called from inside a graph is seen in.
_PY_FUNCTION = "script_ops.py"
_RING_OF_ERRORS = "in _fix_exception_context"
"""Where Python's contextlib goes round for ever if an error is, by way of others, its own context.
So it may be with MemoryErrors: Python keeps some of them, to be raised again and again."""

# What is written before an abort for want of memory, by Python and by C++.
_NO_MEMORY = ("Cannot recover from MemoryErrors", "std::bad_alloc")

DESCRIPTORS_CLOSED = (
    "The test closed file descriptors that it does not own, pytest's and ours among them. Look for "
    "os.closerange() or os.close() in the test or in what it calls."
)


FailureKind = Literal[
    "no-lease",
    "crashed",
    "timed-out",
    "out-of-memory",
    "exited",
    "garbled",
    "preload",
    "interpreter",
    "misconfigured",
    "too-little-memory",
    "never-together",
]
"""How a process ended that could not tell itself; others are outcomes of replies."""
KilledFor = Literal["time-out", "descriptors", "garbled", "unreadable", "stuck", "abandoned"]
"""Why we killed a process, or would have: what it sent is no message, or no answer."""
# Kinds of ends that a test brings about itself.
_BY_TEST: tuple[FailureKind, ...] = ("crashed", "timed-out", "out-of-memory", "exited")


@dataclass(frozen=True)
class Failure:
    """A process without a result, as the user reads it: what kind of end, and why."""

    kind: FailureKind | Outcome
    message: str
    has_run: bool = True  # whether any of the test may have been run

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"

    @property
    def is_by_test(self) -> bool:
        """Whether the test itself has brought its process down."""
        return self.has_run and self.kind in _BY_TEST


@dataclass(frozen=True)
class Ending:
    """All that is known from outside about a process that ended without an answer."""

    code: int  # as os.waitstatus_to_exitcode: negative for a signal
    seconds: float
    max_rss_bytes: int
    killed_for: KilledFor | None
    inter: int
    oom_kills: int | None  # of the cgroup while it ran; None where the kernel does not tell
    output: str  # last output that pytest had captured
    log: str  # what went past pytest: fatal tracebacks, stacks, native output
    unreadable: str = ""  # what is wrong with its answer, if that is why
    stuck: str = ""  # why it could not go on, if that is why


WROTE_TO_US = (
    "The test wrote to a file descriptor that it does not own, the one by which its process "
    "answers. Look for os.write() or os.fdopen() with a number that the test did not open."
)


UNREADABLE = (
    "What the measuring process reported of this test cannot be read here. Either a plugin's "
    "reports are not those that it makes in this process, or the test wrote to a file descriptor "
    "that it does not own."
)


def explain(ending: Ending) -> Failure:
    """The failure of a process that ended without an answer."""
    kind, headline = _headline(ending)
    return Failure(
        kind,
        _with_sections(
            headline,
            [("last captured output", ending.output), ("stderr of the process", ending.log)],
        ),
    )


def excerpt(fd: int) -> str:
    """The beginning and the end of a file, without moving its position (its writers share it).

    Nothing of what can be read only once or not at all: pipes, sockets, terminals, files that were
    opened for writing only, a disk that fails.
    """
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return ""
        if status.st_size <= 2 * _EXCERPT_BYTES:
            return _read(fd, 0, status.st_size)
        head = _read(fd, 0, _EXCERPT_BYTES)
        tail = _read(fd, status.st_size - _EXCERPT_BYTES, _EXCERPT_BYTES)
    except OSError:
        return ""
    left_out = status.st_size - 2 * _EXCERPT_BYTES
    return f"{head}\n[… {left_out:,} bytes left out …]\n{tail}"


def _read(fd: int, start: int, count: int) -> str:
    return os.pread(fd, count, start).decode(errors="replace").strip()


def excerpt_of_stacks(fd: int) -> str:
    """The same, without the frames of pytest and of this plugin below the test."""
    lines = excerpt(fd).splitlines()
    return "\n".join(line for line in lines if not _MACHINERY.match(line))


def preload_failure(trace: str, log: str = "") -> Failure:
    """TensorFlow could not be imported."""
    headline = (
        "TensorFlow cannot be imported, so nothing can be measured. Install it for this "
        "interpreter (`pip install tensorflow`, or your own build), or leave "
        "the tests with the marker out (`-m 'not tf_threads'`)."
    )
    return Failure("preload", _with_sections(headline, [("traceback", trace), ("stderr", log)]))


INTERPRETER_DIED = (
    "The interpreter that starts measuring processes died while a process was running: killed from "
    "outside, or by the test, which may signal its parent or all processes of its user."
)


def interpreter_failure(what: str, log: str) -> Failure:
    """The interpreter that starts measuring processes has gone or never came up."""
    return Failure("interpreter", _with_sections(what, [("its stderr", log)]))


def _headline(ending: Ending) -> tuple[FailureKind | Outcome, str]:
    after = f"after {ending.seconds:.1f} s (peak memory {mebibytes(ending.max_rss_bytes)})"
    if ending.killed_for == "time-out":
        text = (
            f"The measuring process hung: it was killed {after}. The stacks of its threads are "
            "below. If the test only needs longer, raise --tf-threads-timeout or the marker's "
            "timeout."
        )
        if ending.inter == 1 and _PY_FUNCTION in ending.log:
            text += (
                " Likely cause: inter=1. A tf.function that is called inside a py_function or "
                "numpy_function waits for the only inter-op thread, which waits for it "
                "(tensorflow#32454); use inter=2 or more."
            )
        if _RING_OF_ERRORS in ending.log:
            text += (
                " Likely cause: no memory was left (ulimit -v, RLIMIT_AS, a cgroup), and Python's "
                "contextlib went round in the MemoryErrors that followed; use a smaller batch, or "
                "raise the limit."
            )
        return "timed-out", text
    if ending.killed_for == "stuck":
        return "misconfigured", (
            f"The measuring process could not go on when it was told to, {after}: {ending.stuck}."
        )
    if ending.killed_for == "garbled":
        return "garbled", f"{WROTE_TO_US} Its process could not answer and ended {after}."
    if ending.killed_for == "unreadable":
        return "garbled", f"{UNREADABLE} ({ending.unreadable})"
    if ending.code == MUTE_EXIT_CODE or _was_killed_mute(ending):
        return (
            "exited",
            f"{DESCRIPTORS_CLOSED} Its process could not answer and ended {after}.",
        )
    if ending.code == NO_MEMORY_EXIT_CODE or _gave_up_for_memory(ending):
        return "out-of-memory", (
            f"The measuring process got no more memory, not even to report its test, {after}. "
            "Use a smaller batch, or raise the limit of its memory (ulimit -v, RLIMIT_AS)."
        )
    if ending.code == BROKEN_EXIT_CODE:
        return "internal-error", (
            f"The measuring process could not report its test, and ended {after}: its own code "
            "failed, as the traceback below says. Does the test take away what pytest or "
            "pytest-tfthreads need, such as their modules from sys.modules? If not, please report "
            "it."
        )
    if ending.code >= 0:
        return "exited", (
            f"The measuring process exited early, with code {ending.code}, {after}, before its "
            "test had finished: something called os._exit() or the C function exit()."
        )
    name = _signal_words(-ending.code)
    if -ending.code == signal.SIGKILL and ending.oom_kills != 0:
        by = "by the kernel for lack of memory"
        if not ending.oom_kills:
            by = f"probably {by} (unless the test, or somebody else, sent the signal)"
        return "out-of-memory", (
            f"The measuring process was killed by SIGKILL, {by}, {after}. Use a smaller batch, or "
            "give the machine or its cgroup more memory."
        )
    return "crashed", f"The measuring process was killed by {name} {after}."


def _gave_up_for_memory(ending: Ending) -> bool:
    """Whether Python or C++ has aborted the process because it got no more memory."""
    return ending.code == -signal.SIGABRT and any(words in ending.log for words in _NO_MEMORY)


def _was_killed_mute(ending: Ending) -> bool:
    """Whether our SIGKILL ended it because it had closed its way to answer."""
    # A dying process closes its way to answer too, and on a machine that stands still its end is
    # told late: then we wanted to kill what was dead already, and its code says of what.
    return (
        ending.killed_for == "descriptors"
        and ending.code == -signal.SIGKILL
        and not ending.oom_kills
    )


def signal_name(number: int) -> str:
    """Signals from 32 on have no names, but for the first and the last of them."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _signal_words(number: int) -> str:
    name = signal_name(number)
    description = signal.strsignal(number)
    return f"{name} ({description.lower()})" if description else name


def _with_sections(headline: str, sections: Sequence[tuple[str, str]]) -> str:
    parts = [textwrap.fill(headline, 100, break_long_words=False, break_on_hyphens=False)]
    parts += [f"--- {title} ---\n{text}" for title, text in sections if text]
    return "\n".join(parts)
