"""All configurations of a test, pass by pass: the plain way."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_tfthreads.core.schedule import plan_rings
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.rings import Rings
from pytest_tfthreads.runner.strategies.common import end_early, seed_of, shared_of


def sweep(item_runs: Sequence[ItemRun], rings: Rings, settings: Settings) -> None:
    """Measure each in as many processes as its measurement takes; all of a pass take turns."""
    plan = plan_rings(
        [item_run.processes - len(item_run.runs) for item_run in item_runs],
        limit=settings.group,
        shared=shared_of(item_runs),
        seed=seed_of(settings, item_runs),
    )
    before = max(len(item_run.runs) for item_run in item_runs)
    for number, ring in enumerate(plan):
        taking_part = [item_runs[index] for index in ring if item_runs[index].goes_on]
        rings.expect(
            sum(item_runs[index].goes_on for later in plan[number:] for index in later),
            passes=max(item_run.processes for item_run in item_runs),
        )
        if taking_part:
            rings.run(before + number, taking_part)
            end_early(item_runs)
