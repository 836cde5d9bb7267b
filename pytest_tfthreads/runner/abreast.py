"""One test at several revisions and environments, side by side, as a command asks for them.

The command has started this run of pytest, and asks over a socket: again and again, for what it
asks next depends on the answers. Interpreters of places that it asks for again are still there.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence

from pytest_tfthreads.core.abreast import AtPlace, Found, Opening, Place, Wish
from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.core.schedule import plan_rings
from pytest_tfthreads.engine.environment import EnvironmentUnfitError
from pytest_tfthreads.engine.interpreter import Home
from pytest_tfthreads.engine.protocol import Connection, ConnectionClosedError
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.own_code import why_unfit
from pytest_tfthreads.runner.rings import Rings
from pytest_tfthreads.runner.variants import OpenVariant, Variant


class Abreast:
    """Carries out what the command at the other end of a socket wishes.

    `open_place` makes a place ready, with the current tests laid over its code; it raises
    `RevisionError` or `EnvironmentUnfitError`. `release` ends the interpreters of a home.
    """

    def __init__(
        self,
        descriptor: int,
        open_place: Callable[[Place], OpenVariant],
        release: Callable[[Home], None],
    ) -> None:
        self._connection = Connection(socket.socket(fileno=descriptor))
        self._open_place = open_place
        self._release = release
        self._open: dict[Place, OpenVariant] = {}

    def begin(self, tests: Sequence[str], problem: str = "") -> None:
        """Tell which tests were collected, or what is in the way."""
        opening = Opening(tuple(tests), problem)
        with contextlib.suppress(ConnectionClosedError):  # the command has gone: `run` ends at once
            self._connection.send("measured", encode(opening))

    def run(
        self,
        here: ItemRun,
        item_run_at: Callable[[Variant], ItemRun],
        rings: Rings,
        limit: int,
        seed: str,
    ) -> None:
        """Measure a test in the current tree once, and then wherever the command wishes.

        Until the command hangs up, or the test cannot be measured in the current tree.
        """
        rings.expect(processes=1, passes=None)
        rings.run(0, [here])
        problem = here.problem
        if not problem and not here.samples:
            problem = "it measures nothing: it needs one of the fixtures benchmark, tf_benchmark"
        self.begin([here.item.nodeid], problem)
        modules = here.runs[-1].reply.modules if here.runs else {}
        number = 1
        with contextlib.suppress(ConnectionClosedError):
            while not problem:
                message, _ = self._connection.receive()
                wish = decode(Wish, message["wish"])
                found = self._measure(wish, item_run_at, rings, modules, number, limit, seed)
                number += wish.passes
                self._connection.send("measured", encode(found))
        self._connection.hang_up()

    def close(self) -> None:
        """Leave nothing behind; processes have gone."""
        self._connection.close()
        for variant in self._open.values():
            variant.close()
        self._open.clear()

    def _measure(
        self,
        wish: Wish,
        item_run_at: Callable[[Variant], ItemRun],
        rings: Rings,
        here: Mapping[str, str],
        number: int,
        limit: int,
        seed: str,
    ) -> Found:
        self._leave(set(wish.places))
        answers = [AtPlace()] * len(wish.places)
        runs: dict[int, ItemRun] = {}
        for index, place in enumerate(wish.places):
            try:
                runs[index] = item_run_at(self._opened(place))
            except (RevisionError, EnvironmentUnfitError) as error:
                answers[index] = AtPlace(problem=" ".join(str(error).split()))
        seconds = 0.0
        members = [*runs]
        plan = plan_rings([wish.passes] * len(members), limit, 0, f"{seed} {number}")
        for done, ring in enumerate(plan if members else []):
            going = [runs[members[place]] for place in ring if runs[members[place]].goes_on]
            if len(going) < 2:
                break
            rings.expect(sum(runs[members[at]].goes_on for it in plan[done:] for at in it), None)
            seconds += rings.run(number + done, going)
            for index, run in runs.items():
                if not answers[index].problem:
                    answers[index] = _so_far(run, here)
                    run.goes_on = run.goes_on and not answers[index].problem
        return Found(tuple(answers), seconds)

    def _opened(self, place: Place) -> OpenVariant:
        if place not in self._open:
            self._open[place] = self._open_place(place)
        return self._open[place]

    def _leave(self, wanted: set[Place]) -> None:
        """Places that are not wanted now: each has TensorFlow in memory, and files on the disk."""
        for place in [one for one in self._open if one not in wanted]:
            variant = self._open.pop(place)
            self._release(variant.home)
            variant.close()


def _so_far(run: ItemRun, here: Mapping[str, str]) -> AtPlace:
    """What a place's processes brought; `here`: modules of the current tree's process."""
    variant, samples = run.variant, run.samples
    if not (run.runs or run.problem):
        return AtPlace()
    if unfit := why_unfit(run, here):
        return AtPlace(samples, unfit.problem, unfit.is_mistake)
    reply = run.runs[-1].reply
    if sameness := variant.sameness(reply.modules):
        return AtPlace(samples, sameness)
    tensorflow = reply.runtime.get("tensorflow")
    return AtPlace(samples, tensorflow=None if tensorflow is None else str(tensorflow))
