"""All configurations of a test, pass by pass: the plain way."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_tfthreads.core.schedule import plan_rings
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.rings import Rings
from pytest_tfthreads.runner.strategies.common import end_early, seed_of, shared_of


def sweep(members: Sequence[ItemRun], rings: Rings, settings: Settings) -> None:
    """Measure each in as many processes as its measurement takes; all of a pass take turns."""
    plan = plan_rings(
        [one.processes - len(one.runs) for one in members],
        limit=settings.group,
        shared=shared_of(members),
        seed=seed_of(settings, members),
    )
    before = max(len(one.runs) for one in members)
    for number, ring in enumerate(plan):
        taking_part = [members[index] for index in ring if members[index].goes_on]
        rings.expect(
            sum(members[index].goes_on for later in plan[number:] for index in later),
            passes=max(one.processes for one in members),
        )
        if taking_part:
            rings.run(before + number, taking_part)
            end_early(members)
