"""More processes of what the saved runs would fail: the last resort where no duet is possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_tfthreads.core.schedule import plan_rings
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.rings import Rings
from pytest_tfthreads.runner.strategies.common import end_early, seed_of, shared_of


def look_again(
    item_runs: Sequence[ItemRun],
    rings: Rings,
    settings: Settings,
    would_fail: Callable[[ItemRun], bool],
    has_time_for: Callable[[int], bool],
) -> None:
    """Measure more processes until nothing would fail, enough were measured, or time is used up.

    `has_time_for` tells whether there is time for so many processes more. All that took turns with
    suspects do so again, so that they meet what they met before; those that were left out of a
    search are not dragged in.
    """

    def is_suspicious(one: ItemRun) -> bool:
        return len(one.runs) < settings.most(one.processes) and would_fail(one)

    taking_part = [
        item_run for item_run in item_runs if item_run.measured_runs and item_run.goes_on
    ]
    number = sum(len(item_run.runs) for item_run in item_runs)  # beyond those of all rings before
    while taking_part:
        suspects = [one for one in taking_part if is_suspicious(one)]
        if not suspects:
            return
        more = max(
            min(suspect.processes, settings.most(suspect.processes) - len(suspect.runs))
            for suspect in suspects
        )
        suspected = {place for place, one in enumerate(taking_part) if one in suspects}
        plan: Sequence[Sequence[int]] = ()
        for count in range(more, 0, -1):
            plan = plan_rings(
                [count] * len(taking_part),
                limit=settings.group,
                shared=shared_of(taking_part),
                seed=f"{seed_of(settings, item_runs)} {number}",
            )
            # Rings without a suspect are not run.
            if has_time_for(sum(len(ring) for ring in plan if suspected.intersection(ring))):
                break
        else:
            return
        for place, ring in enumerate(plan):
            chosen = [taking_part[index] for index in ring if taking_part[index].goes_on]
            rings.expect(
                sum(map(len, plan[place:])),
                max(len(suspect.runs) for suspect in suspects) + count,
            )
            if any(one in suspects for one in chosen):
                rings.run(number, chosen)
                end_early(item_runs)
            number += 1
        for one in taking_part:
            one.is_cut_short |= one.was_ended_early and is_suspicious(one)
        taking_part = [one for one in taking_part if one.goes_on]
