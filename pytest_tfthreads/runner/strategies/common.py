"""What the strategies share: the seed of their orders, the shared member, and an early end."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_tfthreads.core.threads import InstanceCount, ThreadConfig, ThreadCount
from pytest_tfthreads.pytest_bridge import collection
from pytest_tfthreads.pytest_bridge.options import Settings
from pytest_tfthreads.runner.item_run import ItemRun

_ONE_THREAD = (
    ThreadConfig(ThreadCount("1"), ThreadCount("1")),
    ThreadConfig(ThreadCount("1"), ThreadCount("1"), InstanceCount("1")),
)


def seed_of(settings: Settings, item_runs: Sequence[ItemRun]) -> str:
    """Of the orders in which the configurations of a test are set up."""
    return f"{settings.seed} {collection.group_of(item_runs[0].item)}"


def shared_of(item_runs: Sequence[ItemRun]) -> int:
    """The configuration that all rings have among them: one thread each, if it is there."""
    threads = [item_run.case.threads for item_run in item_runs]
    return next((threads.index(one) for one in _ONE_THREAD if one in threads), 0)


def end_early(item_runs: Sequence[ItemRun]) -> None:
    """Cut off what comes after that which will end the session: pytest.exit(), -x, --maxfail.

    `item_runs` are all configurations of the test, in the order in which pytest reports them. Where
    the session goes on after all, as it does if a plugin runs what failed again and it passes,
    those that were cut short are measured anew.
    """
    session = item_runs[0].item.session
    maxfail = session.config.getoption("maxfail")
    failed = session.testsfailed
    for index, one in enumerate(item_runs):
        failed += one.counts_as_failed
        if one.ending is not None or (maxfail and failed >= maxfail):
            for later in item_runs[index + 1 :]:
                later.was_ended_early |= later.goes_on
                later.is_cut_short |= later.goes_on and len(later.runs) < later.processes
                later.goes_on = False
