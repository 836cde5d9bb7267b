"""What a measuring process is told: the work order of one item."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator, Sequence

import pytest

from pytest_tfthreads import collection
from pytest_tfthreads.attempts import Attempts
from pytest_tfthreads.core.threads import to_spec
from pytest_tfthreads.coverage_data import options_of_run
from pytest_tfthreads.isolation.progress import Progress
from pytest_tfthreads.options import Settings
from pytest_tfthreads.process.lockstep import Ring
from pytest_tfthreads.process.machine import Machine
from pytest_tfthreads.process.protocol import WorkOrder
from pytest_tfthreads.resolved import settled_options
from pytest_tfthreads.xdist_bridge import roles

_PAIR = 2  # of a duet


class Orders:
    """Writes the orders of one pytest session."""

    def __init__(
        self, config: pytest.Config, settings: Settings, machine: Machine, attempts: Attempts
    ) -> None:
        self._config = config
        self._attempts = attempts
        self._settings = settings
        self._machine = machine
        self._numbers = itertools.count()

    @property
    def is_interactive(self) -> bool:
        """Whether tests have the terminal to themselves, for a debugger."""
        return is_interactive(self._config)

    def granted(self, member: Progress) -> int:
        """How many CPUs it runs on."""
        requested = member.requested
        return member.case.granted_cpus(
            requested.intra, requested.inter, self._machine.counts.logical
        )

    def write(self, member: Progress, place: int, ring: Ring, iterations: int | None) -> WorkOrder:
        """For one process of the member, with `iterations` calls a round if they are settled.

        `place` is the member's in its ring.
        """
        config = self._config
        item = member.item
        requested = member.requested
        writer = (
            config.get_terminal_writer()
            if config.pluginmanager.hasplugin("terminalreporter")
            else None
        )
        return WorkOrder(
            nodeid=collection.nodeid_of(item),
            path=str(item.path),
            own_part=collection.own_part_of(item),
            intra=requested.intra,
            inter=requested.inter,
            cpus=self._machine.cpu_set(self.granted(member), ring.first_set),
            args=(
                *(str(arg) for arg in config.invocation_params.args),
                *_more_arguments(config, self._settings),
            ),
            plugins=tuple(
                plugin
                for plugin in config.invocation_params.plugins or ()
                if isinstance(plugin, str)
            ),
            argv=tuple(sys.argv),
            invocation_dir=str(config.invocation_params.dir),
            sys_path=tuple(sys.path),
            basetemp=_basetemp(config, f"tfthreads{next(self._numbers)}"),
            interactive=self.is_interactive,
            colors=bool(writer and writer.hasmarkup),
            terminal_width=writer.fullwidth if writer else 80,
            process=1 + place + roles.number_of(config) * max(self._settings.group, _PAIR),
            has_hook=bool(item.ihook.pytest_tfthreads_configure.get_hookimpls()),
            workerinput=getattr(config, "workerinput", None),
            iterations=iterations,
            # A debugger's process shares the terminal's group with pytest, and must not stop it.
            rounds_a_turn=None if self.is_interactive else ring.rounds_a_turn,
            left_out=self._attempts.left_out,
            options=settled_options(config),
            # Only one of two sides could collect, and both have to be alike.
            coverage=None if self._settings.duet else options_of_run(config),
        )


def is_interactive(config: pytest.Config) -> bool:
    """Whether tests have the terminal to themselves, for a debugger."""
    return bool(config.getoption("usepdb") or config.getoption("trace"))


@contextlib.contextmanager
def terminal(config: pytest.Config, interactive: bool) -> Iterator[Sequence[int]]:
    """The descriptors that the test may use as its own, where its output is not captured."""
    if config.getoption("capture") == "no":
        yield (0, 1, 2)
        return
    manager = config.pluginmanager.getplugin("capturemanager") if interactive else None
    if manager is None:
        yield ()
        return
    manager.suspend_global_capture(in_=True)
    try:
        yield (0, 1, 2)
    finally:
        manager.resume_global_capture()


def _more_arguments(config: pytest.Config, settings: Settings) -> Iterator[str]:
    """What must be said on the command line, because a plugin acts on it at once."""
    if config.pluginmanager.hasplugin("pytest_cov"):
        yield "--no-cov"  # it would trace, and so slow, what is measured; coverage_data collects
    if settings.search:  # in a process with fewer CPUs the machine would look smaller
        yield f"--tf-threads={to_spec(settings.configs)}"


def _basetemp(config: pytest.Config, name: str) -> str | None:
    """A directory below that of the run, as pytest-xdist's workers have."""
    factory = getattr(config, "_tmp_path_factory", None)  # absent under -p no:tmpdir
    return None if factory is None else str(factory.getbasetemp() / name)
