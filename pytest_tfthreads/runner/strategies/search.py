"""A good configuration without the full grid: `core.sweep.search` says where to look next."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from pytest_tfthreads.core.schedule import plan_rings
from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.sweep.search import NOTHING_KNOWN, SearchCost, look_back, next_look
from pytest_tfthreads.core.threads import CpuCounts
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.measurements import Results
from pytest_tfthreads.runner.rings import Rings
from pytest_tfthreads.runner.strategies.common import end_early, seed_of
from pytest_tfthreads.system.originals import ORIGINALS

# Share of the time to measure in a glance of a search: a third of the rounds shows 10 %.
_GLANCE = 0.3


def search(
    item_runs: Sequence[ItemRun],
    rings: Rings,
    results: Results,
    settings: Settings,
    counts: CpuCounts,
) -> SearchCost | None:
    """Measure what it takes to find a good configuration; the others are skipped.

    Returns what it took; None where not one was measured in full.
    """
    begun_s = ORIGINALS.monotonic()
    grid = [item_run.requested for item_run in item_runs]
    processes = [item_run.processes for item_run in item_runs]
    instances = [one.instances for one in item_runs]
    full_s: list[float] = []  # a process
    standing, number = NOTHING_KNOWN, 0
    rings.expect(processes=None, passes=None)
    while (look := next_look(grid, counts, processes, standing, instances)) is not None:
        plan = plan_rings(
            [1] * len(look.members), settings.group, 0, f"{seed_of(settings, item_runs)} {number}"
        )
        if any(item_runs[index].is_cut_off for index in look.members):
            break  # by -x
        for ring in plan:
            # The shared one and the hub are in several, and may have failed in one before.
            chosen = [item_runs[look.members[place]] for place in ring]
            taking_part = [one for one in chosen if one.goes_on]
            if not taking_part:
                continue
            seconds = rings.run(number, taking_part, _GLANCE if look.is_glance else 1.0)
            number += 1
            if not look.is_glance:
                full_s.append(seconds / len(taking_part))
        end_early(item_runs)
        standing = look_back(standing, look, *_found(item_runs, results))
        if any(not item_runs[index].goes_on for index in standing.alive):
            break  # by -x
    run = sum(len(item_run.runs) for item_run in item_runs)
    for one in item_runs:
        if not one.has_reports:
            one.skip("the search for a good configuration did without it")
    if not full_s:
        return None
    return SearchCost(
        configurations=sum(bool(item_run.runs) for item_run in item_runs),
        grid_configurations=len(item_runs),
        processes=run,
        grid_processes=sum(processes),
        seconds=ORIGINALS.monotonic() - begun_s,
        grid_s=fmean(full_s) * sum(processes),
    )


def _found(
    item_runs: Sequence[ItemRun], results: Results
) -> tuple[dict[int, Candidate], list[int]]:
    """Configurations by number: what was measured of them, and those that cannot be."""
    candidates = {
        index: candidate
        for index, one in enumerate(item_runs)
        if (candidate := results.candidate(one)) is not None
    }
    failed = [
        index for index, one in enumerate(item_runs) if one.has_reports and index not in candidates
    ]
    return candidates, failed
