"""All configurations of a test stay on one worker.

pytest-xdist's own schedulers deal the tests out, whichever `--dist` chooses. They are shown one
test for each group of configurations, and what they deal, take back or lose is the whole group.
Without such groups they see what they always do.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

from pytest_tfthreads.core.threads import without_case

_SCHEDULERS = {
    "LoadScheduling",
    "LoadScopeScheduling",
    "LoadFileScheduling",
    "LoadGroupScheduling",
    "WorkStealingScheduling",
}


def can_deal_groups(scheduler: Any) -> bool:
    """Whether it is one of pytest-xdist's own, which deal units as well as tests."""
    # By its name, for a subclass is somebody's own, who may rely on seeing every test.
    kind = type(scheduler)
    return kind.__module__.startswith("xdist.") and kind.__name__ in _SCHEDULERS


class GroupScheduling:
    """A scheduler of pytest-xdist that deals whole groups.

    It stands between pytest-xdist's session, which speaks of tests by their index in the
    collection, and one of pytest-xdist's schedulers, `inner`, which speaks of *units* by their
    index: a group of configurations, or a test that is in none. To `inner` a unit is a test, with
    the id of the unit's first; the workers it knows are `_Worker`s.

    Whatever else a plugin may ask a scheduler for (its `config`, its `log`) is `inner`'s.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._collected: dict[Any, Sequence[str]] = {}  # by pytest-xdist's worker
        self._workers: dict[Any, _Worker] = {}
        self._units = Units(())
        self._shown = False  # whether `inner` has seen the tests
        self._torn: list[int] = []  # units that a dead worker left unfinished
        # The scope schedulers do, with all of the unit; the others leave the lost unit out.
        self._deals_lost_again = hasattr(inner, "workqueue")

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":  # a copy that is not complete yet
            raise AttributeError(name)
        return getattr(self._inner, name)

    # -- what pytest-xdist's session asks ---------------------------------------------------------

    @property
    def nodes(self) -> list[Any]:
        return [worker.node for worker in self._inner.nodes]

    @property
    def collection_is_completed(self) -> bool:
        return len(self._collected) >= int(self._inner.numnodes)

    @property
    def tests_finished(self) -> bool:
        return not self._torn and bool(self._inner.tests_finished)

    @property
    def has_pending(self) -> bool:
        return bool(self._torn) or bool(self._inner.has_pending)

    # -- what it tells ----------------------------------------------------------------------------

    def add_node(self, node: Any) -> None:
        self._workers[node] = _Worker(node, self._units)
        self._inner.add_node(self._workers[node])

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        self._collected[node] = collection
        if self._shown:
            self._show(node)

    def schedule(self) -> None:
        """Deal the tests out; later, deal to those who came since."""
        if not self._shown:
            self._shown = True
            if self._agree():
                self._units.learn(next(iter(self._collected.values())))
            for node in self._collected:
                self._show(node)
            self._inner.schedule()
        else:
            self._mend()
            # The scope schedulers give a worker that came later one unit at a time. It starts a
            # test only if it knows the next: with a unit of one test it would wait for ever.
            self._inner.schedule()
            self._inner.schedule()
        self._pass_over()

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        worker = self._workers[node]
        worker.queue.remove(item_index)
        unit = self._units.complete(item_index, duration)
        if not self._units.left(unit):
            self._inner.mark_test_complete(worker, unit, self._units.took_s(unit))
        self._mend()
        self._pass_over()

    def mark_test_pending(self, item: str) -> None:
        """Run a test again that a worker died of: some plugin's wish.

        Raises NotImplementedError where pytest-xdist's own scheduler does.
        """
        if self._deals_lost_again:
            self._inner.mark_test_pending(item)
        unit = self._units.renew(item)
        if unit not in self._torn:
            self._torn.append(unit)

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        """A worker gave back what it was asked for.

        All of it or nothing; in older releases what it had not begun, which may tear a group.
        """
        worker = self._workers[node]
        given = set(indices)
        units = dict.fromkeys(map(self._units.unit_of, indices))
        whole = [unit for unit in units if given.issuperset(self._units.left(unit))]
        kept = [index for index in indices if self._units.unit_of(index) not in whole]
        worker.queue = [index for index in worker.queue if index not in given]
        if kept:
            worker.send(kept)
        self._inner.remove_pending_tests_from_node(worker, whole)
        self._pass_over()

    def remove_node(self, node: Any) -> str | None:
        """The worker has gone; the answer is the test it died of, if it was to run any more.

        Raises KeyError if it was never there.
        """
        worker = self._workers.pop(node)
        if not self._shown:
            self._collected.pop(node, None)  # its replacement will collect
        lost = worker.queue[0] if worker.queue else None
        if lost is not None and self._units.is_grouped(lost):
            # Else a scope scheduler would have it run again, and reported twice.
            self._units.complete(lost)
        self._inner.remove_node(worker)
        if lost is None:
            return None
        unit = self._units.unit_of(lost)
        if not self._deals_lost_again and self._units.left(unit, but=lost):
            self._torn.append(unit)
        self._pass_over()
        return self._units.ids[lost]

    # -- between the two --------------------------------------------------------------------------

    def _agree(self) -> bool:
        first, *others = self._collected.values()
        return all(other == first for other in others)

    def _show(self, node: Any) -> None:
        """Show a worker's collection to `inner`, which complains of one that differs."""
        collection = self._collected[node]
        shown = self._units.leaders() if collection == self._units.ids else collection
        self._inner.add_node_collection(self._workers[node], shown)

    def _mend(self) -> None:
        """Have the rest of torn units run, by one worker each."""
        torn, self._torn = self._torn, []
        for unit in torn:
            self._inner.mark_test_pending(self._units.leaders()[unit])

    def _pass_over(self) -> None:
        """Mark units as complete in `inner` where the worker has nothing left to run of them."""
        while any(worker.empty for worker in self._workers.values()):
            for worker in list(self._workers.values()):
                empty, worker.empty = worker.empty, []
                for unit in empty:
                    self._inner.mark_test_complete(worker, unit, 0)


class Units:
    """What is dealt as a whole: the configurations of one test, or any other test by itself.

    A test is known by its index in the collection, a unit by its index among the units.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self.learn(ids)

    def learn(self, ids: Sequence[str]) -> None:
        """These are the tests."""
        self.ids = ids
        self._members: list[list[int]] = []
        self._unit_of: list[int] = []
        self._complete: set[int] = set()
        self._took_s: dict[int, float] = {}
        of_group: dict[str, int] = {}
        for index, nodeid in enumerate(ids):
            group = without_case(nodeid)
            unit = len(self._members)
            if group != nodeid:
                unit = of_group.setdefault(group, unit)
            if unit == len(self._members):
                self._members.append([])
            self._members[unit].append(index)
            self._unit_of.append(unit)

    def leaders(self) -> list[str]:
        """The id of each unit's first test."""
        return [self.ids[members[0]] for members in self._members]

    def unit_of(self, index: int) -> int:
        return self._unit_of[index]

    def is_grouped(self, index: int) -> bool:
        return without_case(self.ids[index]) != self.ids[index]

    def left(self, unit: int, but: int | None = None) -> list[int]:
        """Its tests that are not complete, in order."""
        return [
            index for index in self._members[unit] if index not in self._complete and index != but
        ]

    def took_s(self, unit: int) -> float:
        """How long its tests took together."""
        return self._took_s.get(unit, 0)

    def complete(self, index: int, duration_s: float = 0) -> int:
        """The test has run, or was lost; the answer is its unit."""
        unit = self._unit_of[index]
        self._complete.add(index)
        self._took_s[unit] = self.took_s(unit) + duration_s
        return unit

    def renew(self, nodeid: str) -> int:
        """The test is to run again; the answer is its unit."""
        index = self.ids.index(nodeid)
        self._complete.discard(index)
        return self._unit_of[index]


class _Worker:
    """One of pytest-xdist's workers (`node`), as a scheduler sees it that deals units."""

    def __init__(self, node: Any, units: Units) -> None:
        self.node = node
        self.gateway = node.gateway
        self.queue: list[int] = []  # tests, by index, that it is still to complete
        self.empty: list[int] = []  # units dealt to it that have nothing left to run
        self._units = units

    def __repr__(self) -> str:
        return repr(self.node)

    @property
    def shutting_down(self) -> bool:
        return bool(self.node.shutting_down)

    def shutdown(self) -> None:
        self.node.shutdown()

    def send(self, indices: Sequence[int]) -> None:
        self.queue += indices
        with _unless_it_has_died():
            self.node.send_runtest_some(indices)

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        tests = []
        for unit in indices:
            left = self._units.left(unit)
            if not left:
                self.empty.append(unit)
            tests += left
        if tests:
            self.send(tests)

    def send_steal(self, indices: Sequence[int]) -> None:
        asked_back = [index for unit in indices for index in self._units.left(unit)]
        with _unless_it_has_died():
            self.node.send_steal(asked_back)


def _unless_it_has_died() -> AbstractContextManager[None]:
    """What is sent to a dead worker raises OSError until pytest-xdist has noticed its death.

    Then its tests are dealt anew, so nothing is lost. pytest-xdist itself would end the run.
    """
    return suppress(OSError)
