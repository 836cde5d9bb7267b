"""Who this process is in a distributed run."""

from __future__ import annotations

import pytest

from pytest_tfthreads.xdist_bridge.briefing import read_briefing


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def is_controller(config: pytest.Config) -> bool:
    """Whether this process hands all tests on to workers."""
    if is_worker(config) or config.getoption("collectonly"):
        return False
    return config.getoption("dist", "no") != "no" and bool(config.getoption("tx", None))


def shared_run(config: pytest.Config) -> str:
    """The name of this run where other workers take part in it; else nothing."""
    told = getattr(config, "workerinput", {})
    return str(told["testrunuid"]) if told.get("workercount", 1) > 1 else ""


def gets_whole_groups(config: pytest.Config) -> bool:
    """Whether all configurations of a test come to this process, if one does."""
    if not is_worker(config):
        return True
    briefing = read_briefing(config)
    return briefing is not None and briefing.whole_groups


def number_of(config: pytest.Config) -> int:
    """Of this worker of pytest-xdist among all that live, from 0; 0 where it is none."""
    briefing = read_briefing(config)
    return 0 if briefing is None else briefing.slot


def count_of_workers(config: pytest.Config) -> int:
    """How many workers take part in the run; 1 where this process is none."""
    count: int = getattr(config, "workerinput", {}).get("workercount", 1)
    return count


def seed_of_run(config: pytest.Config, own: int) -> int:
    """The controller's, which its summary names; without one this process's own."""
    briefing = read_briefing(config)
    return own if briefing is None else briefing.seed
