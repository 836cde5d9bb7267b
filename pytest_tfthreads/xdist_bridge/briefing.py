"""What the controller tells each worker before it starts, and what a worker tells it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_tfthreads import __version__

_INPUT = "tf_threads"  # our place in what pytest-xdist hands its workers

# What workers tell:
VERSION = "version"  # of their plugin, as soon as it is there
MARKED = "marked"  # that they have marked tests: the first one's id
MEASURES = "measures"  # that one of the tests that they will run measures: its id
ELSEWHERE = "elsewhere"  # that they have some, on a platform that cannot measure
WAITING = "waiting"  # for CPUs: who has them
UNLEASED = "unleased"  # that they cannot lease CPUs, and why
REFUSED = "refused"  # that they cannot do what the user wants, and why

_BRIEFING = pytest.StashKey["Briefing"]()


@dataclass(frozen=True)
class Briefing:
    """Of one worker; it travels as pytest-xdist's workerinput does, in builtin types.

    `version` is that of the controller's plugin, `seed` that of the run. `slot`: a number among the
    workers that live, from 0; who takes a dead worker's place has its slot. `whole_groups`: all
    configurations of a test come to this worker, if one does. `copies`: so many workers run each
    test. `baseline` is what the gate was told, and `None` where this run compares nothing.
    `channel` leads to the controller.
    """

    version: str
    seed: int
    slot: int
    whole_groups: bool
    copies: int
    baseline: str | None
    channel: Any

    def send_to(self, node: Any) -> None:
        """Leave it with what a worker (`node`) is given when it starts."""
        node.workerinput[_INPUT] = dict(vars(self))

    def tell(self, kind: str, text: str) -> None:
        """Tell the controller; where it has gone, there is nobody to be told."""
        try:
            self.channel.send({"kind": kind, "text": text})
        except (OSError, EOFError):
            pass


def listen(node: Any, told: Callable[[str, str], None]) -> Any:
    """A new channel to a worker; what comes of it is passed on, in a thread of execnet's."""

    def receive(message: Mapping[str, str]) -> None:
        told(message["kind"], message["text"])

    channel = node.gateway.newchannel()
    channel.setcallback(receive)
    return channel


def read_briefing(config: pytest.Config) -> Briefing | None:
    """What the controller told this worker; None if it is none, or there our plugin is off."""
    if _BRIEFING not in config.stash:
        # Taken out: what else reads or copies workerinput need not meet saved runs and channels.
        told = getattr(config, "workerinput", {}).pop(_INPUT, None)
        if told is None:
            return None
        config.stash[_BRIEFING] = _understood(told)
    return config.stash[_BRIEFING]


def _understood(told: Mapping[str, Any]) -> Briefing:
    """What a worker can believe of what it was told.

    Another version may have other fields, or mean something else by them. Of that only the channel
    is taken: its controller refuses this worker before any marked test is run, and has to hear of
    the worker's version and of the marked test.
    """
    version = told.get("version", "")
    if version == __version__:
        return Briefing(**told)
    return Briefing(
        version,
        seed=0,
        slot=0,
        whole_groups=False,
        copies=1,
        baseline=None,
        channel=told["channel"],
    )
