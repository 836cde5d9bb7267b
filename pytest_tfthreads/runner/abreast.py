"""Tests at several revisions and environments, side by side, as a command asks for them.

The command has started this run of pytest, and asks over a socket: again and again, for what it
asks next depends on the answers. Interpreters of places that it asks for again are still there.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_tfthreads.core.abreast import (
    AtPlace,
    Begun,
    Collected,
    Ended,
    MeasuredPlaces,
    Place,
    Selected,
    Traced,
    TraceWish,
    Wish,
)
from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.op_profile import Traces
from pytest_tfthreads.engine.environment import EnvironmentUnfitError
from pytest_tfthreads.engine.protocol import Connection, ConnectionClosedError, MessageKind
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.machine_faults import is_of_machine
from pytest_tfthreads.runner.rings import Rings
from pytest_tfthreads.runner.strategies.at_places import AtPlaces
from pytest_tfthreads.runner.traces import Profiles
from pytest_tfthreads.runner.variants import OpenVariant, Variant
from pytest_tfthreads.system.leases.leases import LeaseTimeoutError

_CANNOT_BE_HAD = (RevisionError, EnvironmentUnfitError, LeaseTimeoutError, OSError)


class Abreast:
    """Carries out what the command at the other end of a socket wishes.

    `open_place` makes a place ready, with the current tests laid over its code; it raises
    `RevisionError`, `EnvironmentUnfitError` or `LeaseTimeoutError`. `leave` ends the interpreters
    of a variant. `limit`: how many processes take turns with each other at most.
    """

    def __init__(
        self,
        descriptor: int,
        open_place: Callable[[Place], OpenVariant],
        leave: Callable[[OpenVariant], None],
        limit: int,
    ) -> None:
        self._connection = Connection(socket.socket(fileno=descriptor))
        self._open_place = open_place
        self._leave = leave
        self._limit = limit
        self._open: dict[Place, OpenVariant] = {}
        self._rings_done = 0
        self._passes_done = 0
        self.has_gone = False
        """Whether the command has hung up: nobody waits for anything more."""

    def collected(self, tests: Sequence[Selected]) -> None:
        """Tell which tests will be run."""
        self._tell("collected", encode(Collected(tuple(tests), self._limit)))

    def run(
        self,
        begun: Begun,
        here: Mapping[str, str],
        item_run_at: Callable[[Variant], ItemRun],
        measurement_of: Callable[[ItemRun], Measurement | None],
        rings: Rings,
        seed: str,
    ) -> None:
        """Measure a test wherever the command wishes, until that asks for the next one.

        `here` are the files of the modules that the test imports in the current tree, by name.
        """
        self._tell("begun", encode(begun))
        try:
            while not self.has_gone:
                message, _ = self._connection.receive()
                if message["kind"] == "next":
                    return
                if message["kind"] == "trace":
                    traced = self._trace(decode(TraceWish, message), item_run_at, rings)
                    self._tell("traced", encode(traced))
                    continue
                wish = decode(Wish, message)
                found = self._measure(wish, here, item_run_at, measurement_of, rings, seed)
                self._tell("found", encode(found))
        except ConnectionClosedError:
            self.has_gone = True

    def end(self, exit_code: int) -> None:
        """Tell that no test will begin any more."""
        self._tell("over", encode(Ended(exit_code)))
        self._connection.hang_up()

    def close(self) -> None:
        """Leave nothing behind; processes have gone."""
        self._connection.close()
        for variant in self._open.values():
            variant.close()
        self._open.clear()

    def _tell(self, kind: MessageKind, body: Mapping[str, Any]) -> None:
        if self.has_gone:
            return
        try:
            self._connection.send(kind, body)
        except ConnectionClosedError:
            self.has_gone = True

    def _measure(
        self,
        wish: Wish,
        here: Mapping[str, str],
        item_run_at: Callable[[Variant], ItemRun],
        measurement_of: Callable[[ItemRun], Measurement | None],
        rings: Rings,
        seed: str,
    ) -> MeasuredPlaces:
        self._leave_all_but(wish.places)
        answers: dict[int, AtPlace] = {}
        opened: dict[int, OpenVariant] = {}
        for index, place in enumerate(wish.places):
            try:
                opened[index] = self._opened(place)
            except _CANNOT_BE_HAD as error:
                answers[index] = _why_not(error)
        members = [item_run_at(one) for one in opened.values()]
        interpreters = [wish.places[index].interpreters for index in opened]
        at_places = AtPlaces(members, here, rings, interpreters)
        done = self._rings_done, self._passes_done
        at_places.run(wish.passes, self._limit, seed, *done, self._check_that_it_listens)
        self._rings_done += at_places.rings_done
        self._passes_done += wish.passes
        for member, (index, variant) in enumerate(opened.items()):
            answer = at_places.at(member, measurement_of)
            answers[index] = replace(answer, notes=tuple(variant.notes))
        return MeasuredPlaces(tuple(answers[index] for index in range(len(wish.places))))

    def _trace(
        self, wish: TraceWish, item_run_at: Callable[[Variant], ItemRun], rings: Rings
    ) -> Traced:
        self._leave_all_but([wish.now, wish.then])
        try:
            now, then = (item_run_at(self._opened(place)) for place in (wish.now, wish.then))
        except _CANNOT_BE_HAD as error:
            traces = Traces(wish.directory, platform.node(), problems=(str(error),))
            return Traced(traces)
        taken = Profiles(rings, Path(wish.directory), wish.option).take(now, then)
        return Traced(taken.traces, taken.unwritten)

    def _check_that_it_listens(self) -> None:
        """A command that was killed waits for nothing: the machine is for others to use."""
        if self._connection.has_closed():
            raise ConnectionClosedError

    def _opened(self, place: Place) -> OpenVariant:
        if place not in self._open:
            self._open[place] = self._open_place(place)
        return self._open[place]

    def _leave_all_but(self, wanted: Sequence[Place]) -> None:
        """Places that are not wanted now: each has TensorFlow in memory, and files on the disk."""
        for place in [one for one in self._open if one not in wanted]:
            variant = self._open.pop(place)
            self._leave(variant)
            variant.close()


def _why_not(error: Exception) -> AtPlace:
    problem = " ".join(str(error).split())
    others_measured = isinstance(error, LeaseTimeoutError)
    return AtPlace(problem=problem, is_of_machine=others_measured or is_of_machine(problem))
