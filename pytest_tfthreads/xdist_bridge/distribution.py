"""The controller's hooks: which tests there are, which worker runs which, and whether it can.

pytest-xdist makes its scheduler before workers have collected, and nothing is known of marked
tests then. So the scheduler stays as pytest-xdist made it. Workers tell of marked tests while they
collect; the controller hears of that before it gets the first collection with one in it, and
nothing has been dealt out yet. Then a scheduler that deals whole groups takes the other's place.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Generator, Sequence
from typing import Any

import pytest

from pytest_tfthreads import __version__
from pytest_tfthreads.xdist_bridge.briefing import (
    ELSEWHERE,
    MARKED,
    MEASURES,
    REFUSED,
    UNLEASED,
    VERSION,
    WAITING,
    Briefing,
    listen,
)
from pytest_tfthreads.xdist_bridge.interpreters import ModulePaths

_SESSION = "dsession"  # the name under which pytest-xdist registers its plugin of the controller
_UNKNOWN_MARK = "Unknown pytest.mark.tf_threads"


class Distribution:
    """Of one run.

    `marked` is called when workers have collected marked tests: at least once for all of them,
    before any of these tests is run. `elsewhere` is called if a worker cannot measure them.
    `before_measuring` is called when it is known that something will be measured, and may raise
    `pytest.UsageError`. `why_unleased` says why workers could not lease CPUs.
    """

    def __init__(
        self,
        config: pytest.Config,
        seed: int,
        marked: Callable[[], None],
        elsewhere: Callable[[], None],
    ) -> None:
        self.baseline: str | None = None  # what workers judge by
        self.before_measuring: Callable[[], None] | None = None
        self._config = config
        self._seed = seed
        self.copies = 1  # how many workers run each test
        self.why_unleased: dict[str, None] = {}
        self._marked = marked
        self._elsewhere = elsewhere
        self._make_scheduler: Callable[[], Any] | None = None
        self._paths = ModulePaths()
        self._collected: dict[str, Any] = {}  # workers by name
        self._collections: dict[str, Sequence[str]] = {}  # their tests' ids, in the same way
        self._to_do: dict[tuple[str, str], Callable[[], None]] = {}  # by test and worker
        self._versions: dict[str, str] = {}  # of the plugin, by worker
        self._saw_marked = False
        self._will_measure = False
        self._saw_elsewhere = False
        self._refused: dict[str, str] = {}  # why, by worker
        self._slots: dict[str, int] = {}  # of the workers that live

    def _is_each(self) -> bool:
        return bool(self._config.getoption("dist") == "each")

    def worker_to_name(self, report: pytest.TestReport) -> str:
        """Whose report it is, where each worker runs all tests; else nothing."""
        return str(getattr(report, "worker_id", "")) if self._is_each() else ""

    def in_order(self, report: pytest.TestReport, action: Callable[[], None]) -> None:
        """Do this when the session ends, in the order of collection, once for each test.

        Workers finish in any order; of a test that was run again the last time counts.
        """
        self._to_do[report.nodeid, self.worker_to_name(report)] = action

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, None]:
        # Before pytest-benchmark's own wrapper saves what there is.
        collected = dict.fromkeys(itertools.chain.from_iterable(self._collections.values()))
        places = {nodeid: place for place, nodeid in enumerate(collected)}

        def place(key: tuple[str, str]) -> tuple[int, str, int, str]:
            nodeid, worker = key
            # Of "gw2" and "gw10" the shorter comes first.
            return places.get(nodeid, len(places)), nodeid, len(worker), worker

        for key in sorted(self._to_do, key=place):
            self._to_do[key]()
        yield

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_newgateway(self, gateway: Any) -> None:
        self._paths.learn(gateway)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        # Another plugin may bring a scheduler of its own, and workers start before it is asked.
        deciding = self._config.hook.pytest_xdist_make_scheduler.get_hookimpls()
        own = (self, self._config.pluginmanager.get_plugin(_SESSION))
        self.copies = node.workerinput["workercount"] if self._is_each() else 1
        Briefing(
            version=__version__,
            seed=self._seed,
            slot=self._slot_of(node.gateway.id),
            whole_groups=all(one.plugin in own for one in deciding),
            copies=self.copies,
            baseline=self.baseline,
            channel=listen(node, functools.partial(self._hear, node.gateway.id)),
        ).send_to(node)
        self._paths.prepare(node.gateway)

    @pytest.hookimpl(optionalhook=True, hookwrapper=True)
    def pytest_xdist_make_scheduler(
        self, config: pytest.Config, log: Any
    ) -> Generator[None, Any, None]:
        outcome = yield
        if outcome.excinfo is None:
            kind: Callable[[pytest.Config, Any], Any] = type(outcome.get_result())
            self._make_scheduler = functools.partial(kind, config, log)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        if self._saw_elsewhere:
            self._elsewhere()
        if self._saw_marked:
            self._marked()
            self._keep_groups_together()
        self._collected[node.gateway.id] = node
        self._collections[node.gateway.id] = ids
        if self._saw_marked:
            self._refuse_unfit()
        if self._will_measure and self.before_measuring is not None:
            self.before_measuring()

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: Any) -> None:
        # From a worker without this plugin: here the mark is known.
        if str(warning_message.message).startswith(_UNKNOWN_MARK):
            self._refuse_unfit()

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        self._slots.pop(node.gateway.id, None)
        # Else pytest-xdist would start another one, which could do it no better.
        reason = self._refused.get(node.gateway.id)
        if reason or self._saw_marked:
            # What another version stumbles over tells less than that it is another.
            self._refuse_other_version(node)
        if reason:
            raise pytest.UsageError(f"{_title(node)}: {reason}")
        if "unrecognized arguments" in str(error) and "--tf-threads" in str(error):
            raise pytest.UsageError(_without_plugin(node))

    def _slot_of(self, worker: str) -> int:
        """The first that is free: whoever is started for a dead worker has its slot."""
        taken = set(self._slots.values())
        self._slots[worker] = next(one for one in itertools.count() if one not in taken)
        return self._slots[worker]

    def _hear(self, worker: str, kind: str, text: str) -> None:
        if kind == VERSION:
            self._versions[worker] = text
        elif kind == MARKED:
            self._saw_marked = True
        elif kind == ELSEWHERE:
            self._saw_elsewhere = True
        elif kind == REFUSED:
            self._refused[worker] = text
        elif kind == MEASURES:
            self._will_measure = True
        elif kind == WAITING:
            show(self._config, f"[{worker}] tf_threads: waiting for the CPUs: {text}")
        elif kind == UNLEASED:
            self.why_unleased[text] = None

    def _keep_groups_together(self) -> None:
        """Replace the scheduler by one that deals whole groups, if nothing was dealt out yet."""
        session: Any = self._config.pluginmanager.get_plugin(_SESSION)
        scheduler = getattr(session, "sched", None)
        if scheduler is None or scheduler.collection_is_completed or self._make_scheduler is None:
            return
        from pytest_tfthreads.xdist_bridge.scheduling import GroupScheduling, can_deal_groups

        if not can_deal_groups(scheduler):
            return
        successor = GroupScheduling(self._make_scheduler())
        for worker in scheduler.nodes:
            successor.add_node(worker)
            if (ids := self._collections.get(worker.gateway.id)) is not None:
                successor.add_node_collection(worker, ids)
        session.sched = successor

    def _refuse_unfit(self) -> None:
        """Raises `pytest.UsageError` if a worker cannot measure the marked tests."""
        for worker, node in self._collected.items():
            if worker not in self._versions:
                raise pytest.UsageError(_without_plugin(node))
            self._refuse_other_version(node)

    def _refuse_other_version(self, node: Any) -> None:
        """Raises `pytest.UsageError` if the worker is known to have another one."""
        version = self._versions.get(node.gateway.id, __version__)
        if version != __version__:
            raise pytest.UsageError(
                f"{_title(node)} has pytest-tfthreads {version}, and this run has "
                f"{__version__}: install the same version there"
            )


def show(config: pytest.Config, line: str) -> None:
    """Write a line to the terminal at once."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(line)
        reporter.flush()  # a pipe, as logs of CI are, would keep it until all is over


def _without_plugin(node: Any) -> str:
    return (
        f"{_title(node)} does not run pytest-tfthreads, so tests marked with tf_threads cannot be "
        f"measured there: install pytest-tfthreads {__version__} in its environment (with "
        "pytest-xdist and TensorFlow), or leave that --tx out"
    )


def _title(node: Any) -> str:
    python = getattr(node, "workerinfo", {}).get("executable")
    return f"--tx: worker {node.gateway.id} ({python or node.gateway.spec})"
