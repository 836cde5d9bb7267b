"""Looks out for marked tests, and brings in what they need.

Every run of pytest has this, and nothing else of ours: so it imports what it needs when it needs
it, and has no hook that is called for each test that runs.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tfthreads import __version__
from pytest_tfthreads.names import ELSEWHERE_PLUGIN
from pytest_tfthreads.platforms import can_measure
from pytest_tfthreads.pytest_bridge.options import (
    Settings,
    is_any_given,
    is_for_command,
    read_settings,
    seed_of,
)

if TYPE_CHECKING:
    from pytest_tfthreads.hooks.elsewhere import Elsewhere
    from pytest_tfthreads.hooks.parts import Parts
    from pytest_tfthreads.xdist_bridge.briefing import Briefing
    from pytest_tfthreads.xdist_bridge.distribution import Distribution

_SETTINGS = pytest.StashKey[Settings]()
_SAVING = ("benchmark_save", "benchmark_autosave", "benchmark_json")
_PACKAGE = __name__.partition(".")[0]
# Of ours, by name. pytester runs pytest in its own process, and then forgets what was imported
# meanwhile, but packages keep their modules as attributes: imported anew, only half would be new.
_imported: dict[str, ModuleType] = {}


def settings_of(config: pytest.Config) -> Settings:
    """Of this run, read when they are first asked for. Raises `pytest.UsageError`."""
    if _SETTINGS not in config.stash:
        config.stash[_SETTINGS] = read_settings(config)
    return config.stash[_SETTINGS]


class Watch:
    """The hooks of a run in which no marked test has been seen yet.

    `Parts` are brought in with the first marked test; where an option asks for them at once; and
    in the controller of pytest-xdist when a worker tells of a marked test. Where tests cannot be
    measured `Elsewhere` takes their place.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._session: pytest.Session | None = None
        self._is_collecting = False
        self._saw_marked = False
        self._parts: Parts | None = None
        self._briefing: Briefing | None = None  # of a worker of pytest-xdist
        self._distribution: Distribution | None = None  # of its controller

    def start(self) -> None:
        """Do what cannot wait for a marked test. Raises `pytest.UsageError`."""
        for name, module in _imported.items():
            sys.modules.setdefault(name, module)
        config = self._config
        if is_any_given(config):
            settings_of(config)  # a mistake in them is told in any case
        is_distributed = (
            hasattr(config, "workerinput") or config.getoption("dist", "no") != "no"
        ) and self._is_distributed()
        if can_measure() and (self._is_asked_for() or (is_distributed and self._is_told_early())):
            self._bring_in()

    # -- hooks ------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        config = self._config
        # Without marked tests too: the number of a saved run is safe only if all who save take it
        # in the same way, and suites with and without marked tests share a directory.
        if can_measure() and any(config.getoption(name, None) for name in _SAVING):
            from pytest_tfthreads.benchmark_bridge.saving import saving_of

            saving_of(config)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collection(self) -> Generator[None, Any, None]:
        self._is_collecting = True
        outcome = yield
        self._is_collecting = False
        if self._parts is not None:
            self._parts.leasing.end_of_collection()
        if self._briefing is not None and outcome.excinfo is not None:
            error = outcome.excinfo[1]
            if isinstance(error, pytest.UsageError):  # which pytest-xdist would not show
                from pytest_tfthreads.xdist_bridge.briefing import REFUSED

                self._briefing.tell(REFUSED, str(error))

    def pytest_unconfigure(self) -> None:
        for name, module in tuple(sys.modules.items()):
            if name.startswith(_PACKAGE):
                _imported[name] = module

    # -- marked tests -----------------------------------------------------------------------------

    def saw(self, item: pytest.Item) -> None:
        """A marked test was collected."""
        is_first, self._saw_marked = not self._saw_marked, True
        if not can_measure():
            self._saw_elsewhere(item)
            return
        if is_first and self._briefing is not None:
            from pytest_tfthreads.xdist_bridge.briefing import MARKED

            self._briefing.tell(MARKED, item.nodeid)
        parts = self._bring_in(item.session)
        if is_first:
            parts.share(self._is_collecting)
        parts.results.saw_marked()
        parts.marked_tests.saw_marked(item)

    def saw_late(self, session: pytest.Session, items: Iterable[pytest.Item]) -> None:
        """These tests were marked after they were collected, and have their configurations now.

        `pytest_collection_finish` is running, and calls no hooks that are registered meanwhile.
        """
        was_there = self._parts is not None
        for item in items:
            self.saw(item)
        if self._parts is not None and not was_there:
            self._parts.marked_tests.pytest_collection_finish(session)

    def _saw_in_a_worker(self) -> None:
        if not can_measure():
            raise pytest.UsageError(
                "workers of pytest-xdist have collected marked tests on Linux, and pytest itself, "
                f"which judges and saves, runs on {sys.platform}: start pytest on Linux, too"
            )
        self._bring_in(self._session).results.saw_marked()

    def _saw_elsewhere(self, item: pytest.Item | None) -> None:
        elsewhere: Elsewhere | None = self._config.pluginmanager.get_plugin(ELSEWHERE_PLUGIN)
        if elsewhere is None:
            from pytest_tfthreads.hooks.elsewhere import Elsewhere

            elsewhere = Elsewhere(settings_of(self._config).elsewhere)
            self._config.pluginmanager.register(elsewhere, ELSEWHERE_PLUGIN)
            if self._briefing is not None:
                from pytest_tfthreads.xdist_bridge.briefing import ELSEWHERE

                self._briefing.tell(ELSEWHERE, "")
        if item is not None:
            elsewhere.saw_marked(item)

    # -- what they need ---------------------------------------------------------------------------

    def _bring_in(self, session: pytest.Session | None = None) -> Parts:
        """Register all that marked tests need, once; `session` has started, if there is one."""
        if self._parts is None:
            from pytest_tfthreads.hooks.parts import Parts

            self._parts = Parts(self._config, settings_of(self._config), self._distribution)
            self._parts.register(session)
        return self._parts

    def _is_distributed(self) -> bool:
        """Whether pytest-xdist runs this; its workers are greeted, and its controller's hooks set.

        What a worker was told is taken out of its input before other plugins can read that.
        """
        from pytest_tfthreads.xdist_bridge import roles
        from pytest_tfthreads.xdist_bridge.briefing import VERSION, read_briefing

        config = self._config
        if roles.is_worker(config):
            self._briefing = read_briefing(config)
            if self._briefing is not None:
                self._briefing.tell(VERSION, __version__)
            return True
        if not roles.is_controller(config):
            return False
        from pytest_tfthreads.xdist_bridge.distribution import Distribution

        self._distribution = Distribution(
            config, seed_of(config), self._saw_in_a_worker, lambda: self._saw_elsewhere(None)
        )
        config.pluginmanager.register(self._distribution, "tfthreads-distribution")
        return True

    def _is_asked_for(self) -> bool:
        """Whether an option has something to do or to say even if no test is marked."""
        if is_for_command(self._config):
            return True
        settings = self._config.stash.get(_SETTINGS, None)  # read already, if any is given
        return settings is not None and bool(
            settings.configs or settings.report or "no-baseline" in settings.policy.fail_on
        )

    def _is_told_early(self) -> bool:
        """Whether workers must be told what only a run with marked tests knows.

        Before pytest-benchmark is configured, --benchmark-only and --benchmark-compare are kept
        from it in both; the saved runs to judge by travel to the workers as they start.
        """
        config = self._config
        compares = config.getoption("benchmark_compare", []) not in ([], None)
        settings = config.stash.get(_SETTINGS, None)
        is_duet = settings is not None and settings.duet is not None
        return bool(config.getoption("benchmark_only", False)) or compares or is_duet
