"""What a measuring process is told to do.

An order has three parts: how pytest is called (`PytestCall`), which item is to run (`ItemToRun`),
and how it is to be measured (`Terms`). Whoever sends the order adds what only the sender knows
(`SentOrder`). Each part is built once, and is never changed. A process that tests share is told its
items one by one (`SharedStep`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.engine.preload import Preload

Start = Literal["fork", "fresh"]
"""How a measuring process is started: forked from an interpreter, or as a new Python process."""


@dataclass(frozen=True)
class PytestCall:
    """How pytest is called in the measuring processes: once for each session and variant.

    `basetemp`: a directory below which each process has one of its own; `None` where there are no
    temporary directories. `interactive`: the terminal is handed over, for a debugger. `workerinput`
    is that of the pytest-xdist worker that orders, if it is one. `options` are those that plugins
    have settled for the run, by name. `roots`: directories; which modules a process imported from
    there is to be told. `coverage`: how code coverage is to be collected, if it is. `preload`: what
    the interpreter imports of the project before it forks.
    """

    args: tuple[str, ...]
    argv: tuple[str, ...]
    invocation_dir: str
    sys_path: tuple[str, ...]
    plugins: tuple[str, ...] = ()
    basetemp: str | None = None
    interactive: bool = False
    colors: bool = False
    terminal_width: int = 80
    workerinput: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    roots: tuple[str, ...] = ()
    coverage: Mapping[str, Any] | None = None
    preload: Preload | None = None


@dataclass(frozen=True)
class ItemToRun:
    """Where pytest finds the item, and what else is its own.

    `path`: the file to collect, absolute. `own_part`: what follows in the id of the items to
    collect there, from the first `::`. `has_hook`: `pytest_tfthreads_configure` is implemented for
    it, so the runtime has to wait for that. `left_out`: plugins whose own ways of running a test
    are not for this one.
    """

    nodeid: str
    path: str
    own_part: str
    has_hook: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Terms:
    """How one process measures.

    `intra`, `inter`: sizes of the thread pools, 0 for TensorFlow's own choice. `cpu_count`: how
    many CPUs it is granted. `process`: its number among the processes of this run that are alive at
    once, from 1; `serial`: its number among all that this session has ordered, from 0.
    `iterations`: calls a round, where a process before has settled them. After `rounds_a_turn`
    rounds the process stops until it is told to go on; `None`: never. `ring`: the number of the
    ring whose processes take turns; `None`: the process is alone. `budget_share`: of the time for
    which rounds would be measured. `traces`: a directory; nothing is measured, but a trace is
    written there. `instances`: how many processes of the configuration run at once.

    Raises `ValueError` where nothing could be measured by these terms.
    """

    intra: int
    inter: int
    cpu_count: int
    process: int = 1
    serial: int = 0
    iterations: int | None = None
    rounds_a_turn: int | None = None
    ring: int | None = None
    budget_share: float = 1.0
    traces: str | None = None
    instances: int = 1

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}, not {least} or more")
        if not 0 < self.budget_share <= 1:
            raise ValueError(f"budget_share is {self.budget_share}, not above 0 and at most 1")
        if self.traces is not None and self.rounds_a_turn is not None:
            raise ValueError("a process that is traced takes no turns")


_LEAST: Mapping[str, int] = {
    "intra": 0,
    "inter": 0,
    "cpu_count": 1,
    "process": 1,
    "serial": 0,
    "iterations": 1,
    "rounds_a_turn": 1,
    "ring": 0,
    "instances": 1,
}
"""The smallest values of the terms that are counts."""


@dataclass(frozen=True)
class Order:
    """One item under one configuration, for one measuring process.

    `files`: of a process that tests share, all files with tests that it may be told to run,
    absolute, that of `item` among them. Empty: the process runs the item, and ends.
    """

    call: PytestCall
    item: ItemToRun
    terms: Terms
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class SharedStep:
    """One item that a shared process is to run.

    `next_id`: the node id of the item that it is told to run afterwards, for which it keeps the
    fixtures that both share; `None`: the process ends after this item. `ends_if_failed`: the
    process also ends if this item fails, because the run does.
    """

    item: ItemToRun
    next_id: str | None = None
    ends_if_failed: bool = False


@dataclass(frozen=True)
class SentOrder:
    """An order on its way: what is known only when its process is started.

    `cpus`: on which the process starts. `ordered_at_s`: `time.monotonic()`, which is one clock for
    all processes of the machine.
    """

    order: Order
    start: Start
    cpus: tuple[int, ...]
    ordered_at_s: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the fields."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SentOrder:
        """Raises `DecodeError`."""
        return decode(cls, data)
