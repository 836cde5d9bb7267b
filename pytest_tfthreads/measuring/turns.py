"""Taking turns, in the process that takes them: it stops itself, and pytest lets it go on."""

from __future__ import annotations

import signal
from typing import Any

from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.core.layout import Layout, Ready, agree
from pytest_tfthreads.engine.protocol import Connection
from pytest_tfthreads.system import linux
from pytest_tfthreads.system.originals import ORIGINALS


class Turns:
    """Stops this process whenever its turn is over.

    `rounds_a_turn`: rounds until then; None where it is not to stop at all. `off_turn_s`: seconds
    for which it stood still so far. `took_part`: it waited for its first turn.
    """

    def __init__(self, connection: Connection, rounds_a_turn: int | None) -> None:
        self.off_turn_s = 0.0
        self._connection = connection
        self._rounds_a_turn = rounds_a_turn
        self.took_part = False
        self._rounds = 0

    def ready(self, ready: Ready) -> Layout:
        """Say that the rounds can begin; returns when they may, with what the group agreed."""
        if self._rounds_a_turn is None:
            return agree([ready])
        return decode(Layout, self._wait_for_others(ready), "layout")

    def ready_for_own_rounds(self) -> None:
        """The same for a test that lays out its rounds itself."""
        if self._rounds_a_turn is not None:
            self._wait_for_others(None)

    @property
    def rounds(self) -> int:
        """Rounds so far."""
        return self._rounds

    def ends_with_this_round(self) -> bool:
        """Whether `round_over` is about to stop this process."""
        rounds_a_turn = self._rounds_a_turn
        return (
            rounds_a_turn is not None and self.took_part and (self._rounds + 1) % rounds_a_turn == 0
        )

    def round_over(self) -> None:
        """A round has ended: so may the turn."""
        is_last = self.ends_with_this_round()
        self._rounds += 1
        if is_last:
            self.stand_still()

    def stand_still(self) -> None:
        """Stop this process, with all its threads and children, until pytest lets it go on."""
        began_s = ORIGINALS.monotonic()
        # A test's own time limit (pytest-timeout's, say) is for the time in which it runs.
        alarm_s, interval_s = ORIGINALS.setitimer(signal.ITIMER_REAL, 0)
        linux.stop()
        ORIGINALS.setitimer(signal.ITIMER_REAL, alarm_s, interval_s)
        self.off_turn_s += ORIGINALS.monotonic() - began_s

    def _wait_for_others(self, ready: Ready | None) -> Any:
        self.took_part = True
        self._connection.send("ready", {"ready": encode(ready)})
        self.stand_still()
        body, _ = self._connection.receive()
        return body["layout"]
