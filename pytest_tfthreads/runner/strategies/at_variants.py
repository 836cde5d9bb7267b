"""One test at several variants of its code, all of which take turns with each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from pytest_tfthreads.core.schedule import plan_neighbours
from pytest_tfthreads.core.threads import Configuration
from pytest_tfthreads.core.variants.measured import AtVariant, MeasuredAt
from pytest_tfthreads.pytest_bridge import collection
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.measurements import Results
from pytest_tfthreads.runner.own_code import why_unfit
from pytest_tfthreads.runner.rings import Rings
from pytest_tfthreads.runner.strategies.common import seed_of
from pytest_tfthreads.runner.variants import CurrentTree


class AtVariants:
    """Measures a test at variants; whoever cannot run it drops out, and the others go on.

    `members` are its runs by the names of the variants, in the order in which these follow each
    other; `passes` is how many processes each gets. Where rings are limited, a variant is measured
    in more than one ring of a pass, so that each meets the first one and its predecessor.
    """

    def __init__(
        self,
        members: Mapping[str, ItemRun],
        passes: int,
        rings: Rings,
        results: Results,
        settings: Settings,
    ) -> None:
        self._members = members
        self._passes = passes
        self._rings = rings
        self._results = results
        self._settings = settings
        self._problems: dict[str, str] = {}  # of those that dropped out
        self._notes: dict[str, str] = {}

    def run(self) -> MeasuredAt:
        """All passes, and what came of them."""
        number = done = 0
        seed = seed_of(self._settings, list(self._members.values()))
        while done < self._passes and len(going := self._going()) > 1:
            plan = plan_neighbours(
                range(len(going)), self._passes - done, self._settings.group, f"{seed} {done}"
            )
            for later, rings in enumerate(plan, start=1):
                for place, ring in enumerate(rings):
                    to_come = [*rings[place:], *itertools.chain(*plan[later:])]
                    self._rings.expect(sum(map(len, to_come)), self._passes)
                    taking_part = [going[index] for index in ring]
                    self._run_ring(number, [one for one in taking_part if one in self._going()])
                    number += 1
                done += 1
                # A ring may lack now what links it. One ring of all goes on in its balanced order.
                if len(self._going()) < 2 or (len(rings) > 1 and self._going() != going):
                    break
        return self._measured()

    def _going(self) -> list[str]:
        return [name for name in self._members if name not in self._problems]

    def _run_ring(self, number: int, names: list[str]) -> None:
        if not names:
            return
        self._rings.run(number, [self._members[name] for name in names])
        here = next(
            (
                one.runs[-1].reply.modules
                for one in self._members.values()
                if isinstance(one.variant, CurrentTree) and one.runs
            ),
            {},
        )
        for name in names:
            one = self._members[name]
            unfit = why_unfit(one, here)
            if unfit is not None:
                one.goes_on = False
                self._problems[name] = unfit.problem
            elif note := one.variant.sameness(one.runs[-1].reply.modules):
                self._notes[name] = note

    def _measured(self) -> MeasuredAt:
        first = next(iter(self._members.values()))
        return MeasuredAt(
            nodeid=collection.nodeid_of(first.item),
            group=collection.group_of(first.item),
            configuration=Configuration.named(first.case.id, first.case.threads),
            variants=tuple(self._at(name, one) for name, one in self._members.items()),
        )

    def _at(self, name: str, one: ItemRun) -> AtVariant:
        problem = self._problems.get(name, "")
        return AtVariant(
            name=name,
            title=one.variant.title,
            commit=one.variant.commit,
            python=one.variant.python_version,
            measurement=None if problem else self._results.measurement(one),
            problem=problem,
            notes=tuple(filter(None, [self._notes.get(name)])),
        )
