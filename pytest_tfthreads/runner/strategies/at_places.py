"""One test at several variants of its code, all of which take turns with each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from pytest_tfthreads.core.abreast import AtPlace
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.schedule import plan_neighbours
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.own_code import Unfit, why_unfit
from pytest_tfthreads.runner.rings import Rings

_ALONE = "no other place is left that could be measured beside it"


class AtPlaces:
    """Measures a test at variants; whoever cannot run it drops out, and the others go on.

    `members` are its runs there, in the order in which the variants follow each other. `here` are
    the files of the modules that the test imports in the current tree, by name. Where rings are
    limited, a variant is measured in more than one ring of a pass, so that each meets the first one
    and its predecessor. Each variant has its number of `interpreters`, pass by pass in turn.
    """

    def __init__(
        self,
        members: Sequence[ItemRun],
        here: Mapping[str, str],
        rings: Rings,
        interpreters: Sequence[int],
    ) -> None:
        self._members = members
        self._here = here
        self._rings = rings
        self._interpreters = interpreters
        self._unfit: dict[int, Unfit] = {}  # those that dropped out
        self.rings_done = 0

    def run(
        self,
        passes: int,
        limit: int,
        seed: str,
        first_ring: int,
        first_pass: int,
        check: Callable[[], None],
    ) -> None:
        """So many processes of each, at most `limit` at once.

        Rings count from `first_ring`, and passes from `first_pass`. `check` is called before each
        ring, and may raise what ends this.
        """
        done = 0
        while done < passes and len(going := self._going()) > 1:
            plan = plan_neighbours(going, passes - done, limit, f"{seed} {first_ring} {done}")
            for later, rings in enumerate(plan, start=1):
                for place, ring in enumerate(rings):
                    to_come = [*rings[place:], *itertools.chain(*plan[later:])]
                    self._rings.expect(sum(map(len, to_come)), passes)
                    check()
                    fit = [one for one in ring if one not in self._unfit]
                    self._run_ring(first_ring, first_pass + done, fit)
                done += 1
                # A ring may lack now what links it. One ring of all goes on in its balanced order.
                if len(self._going()) < 2 or (len(rings) > 1 and self._going() != going):
                    break

    def at(self, index: int, measurement_of: Callable[[ItemRun], Measurement | None]) -> AtPlace:
        """What came of a member."""
        one, unfit = self._members[index], self._unfit.get(index)
        return AtPlace(
            measurement=measurement_of(one),
            problem=_ALONE if unfit is None and not one.runs else unfit.problem if unfit else "",
            is_mistake=unfit is not None and unfit.is_mistake,
            same_code=one.variant.sameness(one.runs[-1].reply.modules) if one.runs else "",
        )

    def _going(self) -> list[int]:
        return [index for index in range(len(self._members)) if index not in self._unfit]

    def _run_ring(self, first_ring: int, pass_number: int, indices: Sequence[int]) -> None:
        if not indices:
            return
        taking_part = [self._members[index] for index in indices]
        deals = [pass_number % self._interpreters[index] for index in indices]
        self._rings.run(first_ring + self.rings_done, taking_part, deals=deals)
        self.rings_done += 1
        for index, one in zip(indices, taking_part, strict=True):
            unfit = why_unfit(one, self._here)
            if unfit is not None:
                one.goes_on = False
                self._unfit[index] = unfit
