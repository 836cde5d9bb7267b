"""The orders of one pytest session, which say what measuring processes have to do."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from pytest_tfthreads.benchmark_bridge import comparing
from pytest_tfthreads.core.threads import to_spec
from pytest_tfthreads.engine.interleaving import Ring
from pytest_tfthreads.engine.interpreter import module_path
from pytest_tfthreads.engine.order import ItemToRun, Order, PytestCall, Terms
from pytest_tfthreads.engine.preload import Preload
from pytest_tfthreads.pytest_bridge import collection
from pytest_tfthreads.pytest_bridge.attempts import Attempts
from pytest_tfthreads.pytest_bridge.command_line import with_options
from pytest_tfthreads.pytest_bridge.coverage_data import options_of_run
from pytest_tfthreads.pytest_bridge.options import Settings, is_interactive
from pytest_tfthreads.pytest_bridge.settled_options import settled_options
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.variants import Variant
from pytest_tfthreads.system.machine import Machine
from pytest_tfthreads.xdist_bridge import roles

_PAIR = 2  # of a duet
_NO_COVERAGE = (
    "tests with the marker do not count for coverage here: they may be measured side by side, and "
    "only one of the two sides could be traced. They count with --tf-threads-duet=off, and in a "
    "run without --benchmark-compare and --tf-threads-duet"
)


class Orders:
    """Writes the orders of one pytest session."""

    def __init__(
        self, config: pytest.Config, settings: Settings, machine: Machine, attempts: Attempts
    ) -> None:
        self._config = config
        self._attempts = attempts
        self._settings = settings
        self._machine = machine
        self._serials = itertools.count()
        self._calls: dict[Variant, PytestCall] = {}
        self.preload: Preload | None = None  # what interpreters import of the project

    @property
    def is_interactive(self) -> bool:
        """Whether tests have the terminal to themselves, for a debugger."""
        return is_interactive(self._config)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of the summary should know of how tests are run."""
        is_left_out = _may_be_in_a_duet(self._config, self._settings) and options_of_run(
            self._config
        )
        return (_NO_COVERAGE,) if is_left_out else ()

    def granted(self, item_run: ItemRun) -> int:
        """How many CPUs it runs on."""
        requested = item_run.requested
        return item_run.case.granted_cpus(
            requested.intra, requested.inter, self._machine.counts.logical
        )

    def write(
        self,
        item_run: ItemRun,
        place: int,
        ring: Ring,
        ring_id: int | None = None,
        iterations: int | None = None,
        budget_share: float = 1.0,
        traces: str | None = None,
    ) -> tuple[Order, ...]:
        """For each process of the member, which is at this place of its ring: one an instance.

        With a debugger, or for a trace, the first instance runs alone. `ring_id`: the number of its
        ring, `None` if it is alone there. `iterations`: calls a round, if they are settled.
        `budget_share`: of the time for which rounds would be measured. `traces`: a directory for a
        trace, instead of measuring.
        """
        # A debugger's process shares the terminal's group with pytest, and must not stop it. And
        # what is traced goes through in one turn.
        takes_turns = not self.is_interactive and traces is None
        first = replace(
            self._terms(item_run, place),
            iterations=iterations,
            rounds_a_turn=ring.rounds_a_turn if takes_turns else None,
            ring=ring_id,
            budget_share=budget_share,
            traces=traces,
            instances=item_run.instances if takes_turns else 1,
        )
        others = (
            replace(first, process=self._number(place, instance), serial=next(self._serials))
            for instance in range(1, first.instances)
        )
        call, item = self._call(item_run.variant), self.item(item_run)
        return tuple(Order(call, item, terms) for terms in (first, *others))

    def write_shared(self, item_run: ItemRun, place: int, files: Sequence[str]) -> Order:
        """For a process that tests share, the first of which this is; `files` are those of all.

        `place`: among the processes that are shared at the same time.
        """
        call = replace(self._call(item_run.variant), roots=())  # no modules are compared
        return Order(call, self.item(item_run), self._terms(item_run, place), tuple(files))

    def item(self, item_run: ItemRun) -> ItemToRun:
        """The item as its process finds it."""
        return item_run.variant.item(self._item(item_run.item))

    def _terms(self, item_run: ItemRun, place: int) -> Terms:
        """Those of a process that takes no turns."""
        return Terms(
            intra=item_run.requested.intra,
            inter=item_run.requested.inter,
            cpu_count=self.granted(item_run),
            process=self._number(place),
            serial=next(self._serials),
        )

    def _number(self, place: int, instance: int = 0) -> int:
        """Of a process of this session, among all of the run that are alive at once."""
        places = max(self._settings.group, _PAIR)
        of_first_instances = places * roles.count_of_workers(self._config)
        first = 1 + place + roles.number_of(self._config) * places
        return first + instance * of_first_instances

    def _call(self, variant: Variant) -> PytestCall:
        if variant not in self._calls:
            here = _call_here(self._config, self._settings, self.preload)
            self._calls[variant] = variant.call(here)
        return self._calls[variant]

    def _item(self, item: pytest.Item) -> ItemToRun:
        return ItemToRun(
            nodeid=collection.nodeid_of(item),
            path=str(item.path),
            own_part=collection.own_part_of(item),
            has_hook=bool(item.ihook.pytest_tfthreads_configure.get_hookimpls()),
            left_out=self._attempts.left_out,
        )


def _call_here(config: pytest.Config, settings: Settings, preload: Preload | None) -> PytestCall:
    """As the current tree's measuring processes call pytest."""
    invocation = config.invocation_params
    writer = (
        config.get_terminal_writer() if config.pluginmanager.hasplugin("terminalreporter") else None
    )
    # In a duet only one of two sides could collect coverage, and both have to be alike.
    coverage = None if _may_be_in_a_duet(config, settings) else options_of_run(config)
    return PytestCall(
        args=with_options(list(map(str, invocation.args)), _more_options(config, settings)),
        argv=tuple(sys.argv),
        invocation_dir=str(invocation.dir),
        sys_path=module_path(),
        plugins=tuple(plugin for plugin in invocation.plugins or () if isinstance(plugin, str)),
        basetemp=_basetemp(config),
        interactive=is_interactive(config),
        colors=bool(writer and writer.hasmarkup),
        terminal_width=writer.fullwidth if writer else 80,
        workerinput=getattr(config, "workerinput", None),
        options=settled_options(config),
        coverage=coverage,
        # What is imported before coverage.py begins would not be seen by it.
        preload=preload if coverage is None else None,
    )


def _may_be_in_a_duet(config: pytest.Config, settings: Settings) -> bool:
    may_be_open = settings.duet_if_open and comparing.compares(config)
    return settings.duet is not None or settings.abreast is not None or may_be_open


@contextlib.contextmanager
def terminal(config: pytest.Config, interactive: bool) -> Iterator[Sequence[int]]:
    """The descriptors that the test may use as its own, where its output is not captured."""
    if config.getoption("capture", "no") == "no":
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


def _more_options(config: pytest.Config, settings: Settings) -> Iterator[str]:
    """What must be said on the command line, because a plugin acts on it at once."""
    if config.pluginmanager.hasplugin("pytest_cov"):
        yield "--no-cov"  # it would trace, and so slow, what is measured; coverage_data collects
    if settings.search:  # in a process with fewer CPUs the machine would look smaller
        yield f"--tf-threads={to_spec(settings.configs)}"


def _basetemp(config: pytest.Config) -> str | None:
    """The run's own, below which processes have theirs, as pytest-xdist's workers do."""
    factory = getattr(config, "_tmp_path_factory", None)  # absent under -p no:tmpdir
    try:
        return None if factory is None else str(factory.getbasetemp())
    except OSError:  # a test that asks for a directory is told by its own process
        return None
