"""Tests that measure nothing share a process, where pytest itself would run them in one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import pytest

from pytest_tfthreads.benchmark_bridge import benchmark_items
from pytest_tfthreads.engine.order import Order, SharedStep
from pytest_tfthreads.engine.reply import RecordedWarning
from pytest_tfthreads.pytest_bridge import collection, outcomes
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.runner.executor import Executor, Job, SharedJob
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.orders import Orders
from pytest_tfthreads.runner.variants import Variant
from pytest_tfthreads.system.machine import Machine
from pytest_tfthreads.xdist_bridge import roles


@dataclass(frozen=True)
class ProcessPlace:
    """Which tests share a process: those of one stretch and one slot.

    All processes of a stretch may be alive at once, each in a slot, from 0. They end with it.
    """

    stretch: int
    slot: int


def places(kinds: Sequence[Hashable | None], limit: int) -> list[ProcessPlace | None]:
    """The place of each test, in the order in which tests run.

    Tests share a process if they are of one kind, and in one stretch. A stretch ends before a test
    that shares with nobody (kind None, and no place), and before the kind that would be one more
    than `limit`.
    """
    found: list[ProcessPlace | None] = []
    stretch, slots = 0, dict[Hashable, int]()
    for kind in kinds:
        if kind is None or (kind not in slots and len(slots) == limit):
            stretch, slots = stretch + 1, {}
        if kind is None:
            found.append(None)
        else:
            found.append(ProcessPlace(stretch, slots.setdefault(kind, len(slots))))
    return found


class Sharing:
    """The shared processes of one session: who runs in which, and when each ends.

    A process is told with each test which one it runs next, and so keeps the fixtures of the
    module, the class and the session that both use, as pytest does.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        machine: Machine,
        orders: Orders,
        executor: Executor,
    ) -> None:
        self._config = config
        self._settings = settings
        self._machine = machine
        self._orders = orders
        self._executor = executor
        self._items: Sequence[pytest.Item] = ()  # of the session, in the order in which they run
        self._places: dict[str, ProcessPlace] = {}  # by node id
        self._chains: dict[ProcessPlace, list[pytest.Item]] = {}
        self._alive: dict[ProcessPlace, Order] = {}
        self._has_run: set[str] = set()
        self._file_by_file = False

    def plan(self, items: Sequence[pytest.Item], variant: Variant) -> None:
        """These are the session's marked tests that are run in processes, in their order."""
        runs = [
            ItemRun(self._config, self._settings, self._machine, item, variant) for item in items
        ]
        found = places([self._kind(run) for run in runs], self._settings.group)
        self._places.clear()
        self._chains.clear()
        for item, place in zip(items, found, strict=True):
            if place is not None:
                self._places[item.nodeid] = place
                self._chains.setdefault(place, []).append(item)

    def shares(self, item: pytest.Item) -> bool:
        """Whether the item is to run in a shared process."""
        return item.nodeid in self._places

    @property
    def first_ones(self) -> set[str]:
        """The node ids of the tests with which a process begins, as far as can be foreseen."""
        return {chain[0].nodeid for chain in self._chains.values()}

    def run(self, item_run: ItemRun, nextitem: pytest.Item | None) -> bool:
        """Run it in the process that it shares; whether that could be done.

        `nextitem`: what pytest runs next here, whatever that is.
        """
        item = item_run.item
        place = self._places[item.nodeid]
        self._end_others(item, place)
        chain = self._chains[place]
        to_come = chain[chain.index(item) + 1 :]
        if self._file_by_file:
            to_come = [one for one in to_come if one.path == item.path]
        order = self._alive.get(place)
        if order is None:
            files = dict.fromkeys(str(one.path) for one in (item, *to_come))
            order = self._orders.write_shared(item_run, place.slot, list(files))
        answer = self._executor.run_shared(
            SharedJob(
                Job(
                    order,
                    item_run.variant.home,
                    item_run.case.env,
                    item_run.case.timeout_s or self._settings.timeout_s,
                ),
                self._step(item_run, nextitem, [one for one in to_come if _is_in(one, order)]),
                item.nodeid,
                roles.number_of(self._config) * order.terms.cpu_count,
            )
        )
        self._alive[place] = order
        if answer.has_ended:
            del self._alive[place]
        if not answer.was_set_up and len(order.files) > 1:
            # One of the other files may have brought it down, so this test is tried alone.
            self._file_by_file = True
            return False
        self._has_run.add(item.nodeid)
        item_run.take(answer.result, answer.begun_s)
        return True

    def end(self) -> None:
        """Let all shared processes end, before anything else is run."""
        for problem in self._executor.end_shared():
            outcomes.replay_warnings(self._config, [_not_taken_down(problem)])
        self._alive.clear()

    def _kind(self, item_run: ItemRun) -> Hashable | None:
        """What tests have in common that may share a process; None if this one does not."""
        item = item_run.item
        if (
            not self._settings.share
            or self._orders.is_interactive
            or collection.mistake_of(item) is not None
            or benchmark_items.is_missing(item)
            or benchmark_items.may_measure_directly(item)
        ):
            return None
        hooks = item.ihook.pytest_tfthreads_configure.get_hookimpls()
        return (
            item_run.requested,
            self._orders.granted(item_run),
            item_run.case.env,
            tuple(id(hook.function) for hook in hooks),
        )

    def _end_others(self, item: pytest.Item, place: ProcessPlace) -> None:
        """End processes of another stretch; and this test's own if it is run once more.

        Each run of a test that a plugin runs again has a process that has not seen it.
        """
        is_again = item.nodeid in self._has_run
        if is_again or any(one.stretch != place.stretch for one in self._alive):
            self.end()

    def _step(
        self, item_run: ItemRun, nextitem: pytest.Item | None, to_come: Sequence[pytest.Item]
    ) -> SharedStep:
        following = None
        if nextitem in to_come:
            following = nextitem
        elif nextitem is not None and to_come and self._runs_in_order(item_run.item, nextitem):
            following = to_come[0]
        return SharedStep(
            self._orders.item(item_run),
            None if following is None else collection.nodeid_of(following),
            ends_if_failed=self._ends_if_failed(item_run.item.session),
        )

    def _runs_in_order(self, item: pytest.Item, nextitem: pytest.Item) -> bool:
        """Whether all tests that were collected run here, one after the other.

        Workers of pytest-xdist learn only of the next one.
        """
        if roles.is_worker(self._config):
            return False
        items = item.session.items
        at = items.index(item)
        return items[at + 1 : at + 2] == [nextitem]

    def _ends_if_failed(self, session: pytest.Session) -> bool:
        """Whether the run ends if one more test fails."""
        most = self._config.getoption("maxfail", 0)
        if self._config.getoption("stepwise", False):
            return True
        return bool(most) and session.testsfailed + 1 >= most


def _is_in(item: pytest.Item, order: Order) -> bool:
    return str(item.path) in order.files


def _not_taken_down(problem: str) -> RecordedWarning:
    return RecordedWarning(
        message=f"a process that tests shared could not take down their fixtures: {problem}",
        module="pytest",
        category="PytestWarning",
        filename=__file__,
        lineno=0,
        nodeid="",
    )
