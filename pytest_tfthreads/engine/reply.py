"""What a measuring process answers, once."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from pytest_tfthreads.core.benchmark_record import BenchmarkRecord
from pytest_tfthreads.core.decode import Count, DecodeError, NotNegative, Plain, decode, encode
from pytest_tfthreads.core.measurement import Pools, Sample
from pytest_tfthreads.core.op_profile import TraceResult
from pytest_tfthreads.engine.protocol import MessageTooLargeError

# How a measuring process came to its end, as far as it can tell itself.
FINISHED: Final = "finished"  # the item ran; passed or not is in its reports
NOT_COLLECTED: Final = "not-collected"
NO_TENSORFLOW: Final = "no-tensorflow"  # it cannot be imported
MISCONFIGURED: Final = "misconfigured"
CONFIGURE_FAILED: Final = "configure-failed"  # an implementation of pytest_tfthreads_configure
SKIPPED: Final = "skipped"  # by an implementation of it
SESSION_EXIT: Final = "session-exit"  # pytest.exit()
INTERRUPTED: Final = "interrupted"  # the test raised KeyboardInterrupt
INTERNAL_ERROR: Final = "internal-error"  # pytest or a plugin broke
DESCRIPTORS_CLOSED: Final = "descriptors-closed"  # pytest broke because the test closed its files
TOO_LARGE: Final = "too-large"  # what the test left for its reports cannot be sent
OUT_OF_MEMORY: Final = "out-of-memory"  # pytest or a plugin broke for want of memory

_LITTLE_BYTES = 1 << 20  # a process without so much can do nothing useful

Outcome = Literal[
    "finished",
    "not-collected",
    "no-tensorflow",
    "misconfigured",
    "configure-failed",
    "skipped",
    "session-exit",
    "interrupted",
    "internal-error",
    "descriptors-closed",
    "too-large",
    "out-of-memory",
]


def lacks_memory(error: BaseException) -> bool:
    """Whether this was raised, or something on the way to this, for want of memory."""
    seen: list[BaseException] = []
    one: BaseException | None = error
    # A test may have made a ring of causes.
    while one is not None and not any(one is another for another in seen):
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno == errno.ENOMEM):
            return True
        seen.append(one)
        one = one.__context__ if one.__cause__ is None else one.__cause__
    # Where memory is lacking Python may raise another error instead, such as SystemError.
    try:
        bytearray(_LITTLE_BYTES)
    except MemoryError:
        return True
    return False


def outcome_of_error(error: BaseException) -> Outcome:
    """Whose fault it is that pytest itself raised this, or that a reply could not be sent."""
    if lacks_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno == errno.EBADF:
        return DESCRIPTORS_CLOSED
    if isinstance(error, MessageTooLargeError):
        return TOO_LARGE
    return INTERNAL_ERROR


def unsent(error: Exception, details: str) -> Reply:
    """Instead of a reply that could not be sent for this; `details` is the traceback."""
    outcome = outcome_of_error(error)
    return Reply(outcome, str(error) if outcome == TOO_LARGE else details)


@dataclass(frozen=True)
class RaisedError:
    """An exception in plain data.

    `classes`: module and qualified name of its class and the bases, nearest first. `args`: `None`
    where JSON cannot hold them. `attributes` are those that it can hold.
    """

    classes: tuple[tuple[str, str], ...]
    text: str
    args: tuple[Any, ...] | None
    attributes: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("an exception has a class")


@dataclass(frozen=True)
class RecordedWarning:
    """A warning that a test caused; `category` is the qualified name of its class in `module`."""

    message: str
    module: str
    category: str
    filename: str
    lineno: int
    nodeid: str


@dataclass(frozen=True)
class CodePlace:
    """A line of source that was running, in the function of this name, which begins at
    `function_lineno`. Lines are counted from 1.
    """

    filename: str
    lineno: int
    name: str
    function_lineno: int


@dataclass(frozen=True)
class Reply:
    """What one measuring process answers, once.

    `reason`: the message in a line, where one line can say it. `other_ids`: of the same test, where
    it has no configuration of its id. `reports`: as pytest serializes them. `sample` and
    `benchmark` are there together, if it measured; `trace`, if it was to be traced. `modules`:
    files by name, for the `roots` of its order. `uses_benchmark`: pytest-benchmark's fixture was
    set up. `began_s`: where several instances measure at once, when each round of the sample began,
    by a clock that all processes share; `rounds_before`: rounds that its turns counted before
    these. `data_threads`: as in a measurement. `raised`: by phase, an exception and what caused it,
    outermost first. `interrupted_at`: where KeyboardInterrupt was raised, from the test's own code
    inwards. `states`: of plugins, for the pytest process.
    """

    outcome: Outcome
    message: str = ""
    reason: str = ""
    other_ids: tuple[str, ...] = ()
    exit_code: int | None = None
    reports: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[RecordedWarning, ...] = ()
    benchmark: BenchmarkRecord | None = None
    sample: Sample | None = None
    items: NotNegative = 1
    unit: str = "calls"
    data_threads: Count | None = None
    effective: Pools | None = None
    runtime: Mapping[str, Plain] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    trace: TraceResult | None = None
    uses_benchmark: bool = False
    raised: Mapping[str, tuple[RaisedError, ...]] = field(default_factory=dict)
    interrupted_at: tuple[CodePlace, ...] = ()
    states: tuple[Mapping[str, Any], ...] = ()
    began_s: tuple[NotNegative, ...] = ()
    rounds_before: Count = 0

    def __post_init__(self) -> None:
        if (self.sample is None) is not (self.benchmark is None):
            raise ValueError("it has one of sample and benchmark without the other")
        if self.began_s and len(self.began_s) != len(self.sample.wall_s if self.sample else ()):
            raise ValueError("it tells when rounds began that are not in its sample")
        if not all(self.raised.values()):
            raise ValueError("something was raised, and nothing is told of it")

    def to_json(self) -> dict[str, Any]:
        """Under the names of the fields; what a test has left in them stays as it is."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reply:
        """Raises `DecodeError` where no measuring process answers like this."""
        # Both sides are of one version, so that no name is of a later one.
        unknown = sorted(data.keys() - {one.name for one in fields(cls)})
        if unknown:
            raise DecodeError("is in no reply", unknown[0])
        return decode(cls, data)
