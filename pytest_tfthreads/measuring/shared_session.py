"""The pytest session of a process that tests share: items one by one, and nothing is measured."""

from __future__ import annotations

import resource
import traceback
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

import pytest

from pytest_tfthreads.benchmark_bridge import benchmark_fixture
from pytest_tfthreads.core.decode import decode
from pytest_tfthreads.engine import reply as replies
from pytest_tfthreads.engine.order import Order, SentOrder, SharedStep
from pytest_tfthreads.engine.protocol import Connection, ConnectionClosedError, MessageKind
from pytest_tfthreads.engine.reply import Reply
from pytest_tfthreads.measuring import runtime
from pytest_tfthreads.measuring.interrupt import Interrupt
from pytest_tfthreads.measuring.session import MeasuringSession, Problem, Told
from pytest_tfthreads.measuring.target import Target
from pytest_tfthreads.system.originals import ORIGINALS

_CHANGED = "the test has changed what its process may do, or TensorFlow's threads"
_STARVED = "the test has left no memory to its process"


class SharedSession(MeasuringSession):
    """The plugin that runs the items that it is told, as one pytest session does.

    It collects all files of its order, and stands still whenever it waits for an item.
    """

    def __init__(
        self, sent: SentOrder, connection: Connection, own_runtime: runtime.Runtime
    ) -> None:
        super().__init__(sent, connection, own_runtime)
        self._limits = _limits()
        self._items: dict[str, pytest.Item] = {}
        self._interrupt = Interrupt()

    @staticmethod
    def _target_of(order: Order) -> Target:
        return Target.of(order.files, "", order.call.invocation_dir)

    def reply(self) -> Reply:
        try:
            return super().reply()
        except Exception as error:  # what a test has left in its reports can raise anything
            return Reply(replies.outcome_of_error(error), traceback.format_exc())

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._items = {item.nodeid: item for item in items}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._interrupt.listen()
        self._say("ready", {"ready": None})
        # What asks for `benchmark` all the same is found out, and measured elsewhere.
        with benchmark_fixture.unmeasured(session.config):
            while (step := self._next_step()) is not None:
                if self._ends_with(step, session):
                    return True
                try:
                    self._say("done", self.reply().to_json())
                except ConnectionClosedError:
                    raise
                except Exception as error:  # as in `reply`
                    told = replies.unsent(error, traceback.format_exc())
                    self._say("done", told.to_json())
        self._told.outcome = replies.FINISHED
        session._setupstate.teardown_exact(None)
        return True

    def _say(self, kind: MessageKind, body: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        with self._interrupt.held():  # else half a message could be sent
            super()._say(kind, body, fds)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        self._interrupt.listen_no_more()

    def _next_step(self) -> SharedStep | None:
        """Wait for it; None: there is none."""
        self._turns.stand_still()
        self._told = Told()
        self._turns.off_turn_s = 0.0
        body, _ = self._connection.receive()
        return None if body["step"] is None else decode(SharedStep, body["step"])

    def _ends_with(self, step: SharedStep, session: pytest.Session) -> bool:
        """Run an item; whether the session has come to its end with it."""
        self._to_run = step.item
        self._has_called_benchmark = False
        item = self._item = self._items.get(step.item.nodeid)
        nextitem = None if step.next_id is None else self._items.get(step.next_id)
        if item is None:
            self._told.other_ids = self._other_ids(self._items.values())
            session._setupstate.teardown_exact(nextitem)
            return step.next_id is None
        # pytest's own limit, so that fixtures of modules are taken down while this item is reported
        session.config.option.maxfail = session.testsfailed + 1 if step.ends_if_failed else 0
        session._setupstate.teardown_exact(item)  # where it is not the one that was announced
        self._run(item, nextitem)
        return step.next_id is None or bool(session.shouldfail or session.shouldstop)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, None]:
        is_unchanged = False
        try:
            yield from super().pytest_runtest_call(item)
            is_unchanged = self._is_as_at_the_start()
        finally:
            if not is_unchanged:
                item.session.shouldstop = _CHANGED  # so fixtures are taken down with this item

    def _is_as_at_the_start(self) -> bool:
        """Whether the process is still what all its tests asked for: its threads, its limits."""
        try:
            return self._runtime.verify_again() and _limits() == self._limits
        # By this test, for which it was no mistake; or the test has left nothing to look with: no
        # memory, no descriptors.
        except Exception:
            return False

    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]
    ) -> None:
        if call.excinfo is not None and replies.lacks_memory(call.excinfo.value):
            node.session.shouldstop = _STARVED

    def _other_ids(self, items: Iterable[pytest.Item]) -> list[str]:
        path = self._to_run.path
        return super()._other_ids(item for item in items if str(item.path) == path)

    def _problems_of_item(self) -> Sequence[Problem]:
        nodeid = self._to_run.nodeid
        own = [one for one in self._problems if nodeid.startswith(one.nodeid)]
        return own or self._problems


def _limits() -> list[tuple[int, int]]:
    """Those of this process, of files, memory and the like: soft and hard."""
    names = sorted(name for name in dir(resource) if name.startswith("RLIMIT_"))
    return [ORIGINALS.getrlimit(getattr(resource, name)) for name in names]
