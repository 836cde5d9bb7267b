"""Measures tests at releases for as long as a step is open and there is time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Protocol

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.time_limit import TimeLimit
from pytest_tfthreads.core.abreast import AtPlace, Begun, Collected, MeasuredPlaces, Place
from pytest_tfthreads.core.eta import Pace
from pytest_tfthreads.core.format import clock, plural
from pytest_tfthreads.core.gate.duet import INTERPRETERS
from pytest_tfthreads.core.schedule import plan_neighbours
from pytest_tfthreads.core.variants.released import Release, TestOver
from pytest_tfthreads.core.variants.steps import LOOKS, kept, look_after, steps
from pytest_tfthreads.report.releases import budget_words

WITHOUT_BUDGET = 24
"""The most passes of a test where no budget is given."""
_AT_A_TIME = 2
"""Passes that are asked for at once: the second reverses the first's order of set-up."""
_OF_FIRST: Sequence[int] = (*range(LOOKS[0], 1, -_AT_A_TIME), 1)
"""Passes that a first look may have: an odd number would leave orders of set-up unbalanced."""


class MeasuringRun(Protocol):
    """A run of pytest that measures as it is told; see `pytest_run.PytestRun`."""

    @property
    def collected(self) -> Collected:
        """The tests that it will run."""

    def __iter__(self) -> Iterator[Begun]:
        """Each test as it begins; `measure` is then about it."""

    def measure(self, places: Sequence[Place], passes: int) -> MeasuredPlaces:
        """So many processes at each of these places, in turns."""


@dataclass
class Comparing:
    """Compares the tests of a run at releases; what is complete is in `tests`, whatever comes.

    `tell` is given a line of progress. Where there is a budget of `budget_s` seconds, it is kept
    to: tests that get no time any more are in `left_out`. `interpreters`: how many a release has.
    """

    releases: Sequence[Release]
    tolerance: Mapping[str, float]
    budget_s: float | None
    tell: Callable[[str], None]
    clock_s: Callable[[], float] = time.monotonic
    interpreters: int = INTERPRETERS
    tests: list[TestOver] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    stopped: str = ""
    processes: int = 0
    elapsed_s: float = 0.0
    _start_s: float = field(default=0.0, init=False)  # of an interpreter
    _has_started: int = field(default=0, init=False)  # passes whose interpreters run

    def run(self, run: MeasuringRun) -> None:
        """Measure all tests of a run; raises what it raises, when `stopped` says why."""
        self._time = TimeLimit(self.budget_s, self.clock_s)
        collected = run.collected
        self._limit = collected.limit
        self._pace = Pace(fmean(one.process_s for one in collected.tests))
        self._count = len(collected.tests)
        self.left_out = [one.nodeid for one in collected.tests]
        self.tell(
            f"{plural(self._count, 'test')} at {len(self.releases)} releases: a process in the "
            "current tree comes first"
        )
        try:
            for begun in run:
                # pytest passes over tests that turn out to measure nothing.
                while self.left_out and self.left_out[0] != begun.nodeid:
                    self.left_out.pop(0)
                    self._count -= 1
                self._pace = self._pace.after(1, begun.process_s)
                self._start_s = max(self._start_s, begun.start_s)
                self.processes += 1
                passes = self._passes_of_first()
                if passes < 1:
                    self.stopped = self._too_short()
                    return
                if self.processes == 1:
                    self._announce(passes)
                self._test(run, begun, passes)
            self.left_out = []
        except KeyboardInterrupt:
            self.stopped = "interrupted"
            raise
        except CommandError as error:
            self.stopped = str(error)
            raise
        finally:
            self.elapsed_s = self._time.spent_s

    def _announce(self, passes: int) -> None:
        """With one process in the current tree done."""
        whole_s = self._first_looks_s(passes)
        what = (
            f"{passes} {'pass' if passes == 1 else 'passes'} of each test: about {clock(whole_s)}"
        )
        if self.budget_s is None:
            self.tell(f"{what}, and more where a step stays open (up to {WITHOUT_BUDGET} passes)")
        elif passes < LOOKS[0]:
            self.tell(
                f"{what}: that is what the budget of {clock(self.budget_s)} leaves, and steps are "
                f"seldom certain with fewer than {LOOKS[0]} passes ({self._enough()})"
            )
        else:
            self.tell(f"{what}, and more where a step stays open, within {clock(self.budget_s)}")

    def _test(self, run: MeasuringRun, begun: Begun, until: int) -> None:
        """With a first look after `until` passes."""
        test = TestOver(begun.nodeid, tuple(AtPlace() for _ in self.releases))
        members = [*range(len(self.releases))]
        passes = 0
        most = WITHOUT_BUDGET if self.budget_s is None else LOOKS[-1]
        while len(members) > 1 and passes < until:
            self._progress(begun, passes, until, len(members))
            some = min(_AT_A_TIME, until - passes)
            test = self._measured(run, test, members, passes, some)
            passes += some
            members = [one for one in members if not test.at[one].problem]
            if passes < until and len(members) > 1:
                continue
            test, members = self._looked_at(test, passes, most)
            if self.tests and self.tests[-1].nodeid == begun.nodeid:
                self.tests.pop()
            else:
                self.left_out.pop(0)
            self.tests.append(test)
            look = look_after(passes)
            if len(members) < 2 or look is None or look > most:
                return
            if not self._allows(look - passes, len(members)):
                return
            until = look

    def _measured(
        self,
        run: MeasuringRun,
        test: TestOver,
        members: Sequence[int],
        passes_before: int,
        passes: int,
    ) -> TestOver:
        began_s = self.clock_s()
        to_start_s = self._to_start_s(passes_before + passes)
        places = [
            replace(self.releases[one].place, interpreters=self.interpreters) for one in members
        ]
        found = run.measure(places, passes)
        self._has_started = max(self._has_started, passes_before + passes)
        # What is left includes checking out.
        seconds = max(0.0, self.clock_s() - began_s - to_start_s)
        self.processes += found.processes
        self._pace = self._pace.after(self._processes_of(passes, len(members)), seconds)
        at = list(test.at)
        for member, answer in zip(members, found.places, strict=True):
            at[member] = at[member].joined(answer)
        return replace(test, at=tuple(at))

    def _looked_at(self, test: TestOver, passes: int, most: int) -> tuple[TestOver, list[int]]:
        """What is known now, and the releases that a look to come could decide something of.

        These are the ends of open steps, and the first; none where no look up to `most` passes
        would decide any.
        """
        places = {one.name: place for place, one in enumerate(self.releases)}
        speeds = {
            name: at.measurement
            for (name, place) in places.items()
            if (at := test.at[place]).measurement is not None and not at.problem
        }
        found = steps(speeds, self.tolerance, passes, self._count, self.interpreters)
        test = replace(test, steps=kept(test.steps, found), passes=passes, to_close_s=0.0)
        needed = [
            ({next(iter(speeds)), change.since, step.name}, change.needed)
            for _, step in test.open_steps
            if (change := step.to_previous) is not None and change.needed is not None
        ]
        if not needed:
            return test, []
        to_close_s = self._seconds_of(
            max(look for _, look in needed) - passes,
            len(set().union(*(names for names, _ in needed))),
        )
        soon = set().union(*(names for names, look in needed if look <= most))
        return replace(test, to_close_s=to_close_s), sorted(places[name] for name in soon)

    def _progress(self, begun: Begun, done: int, until: int, members: int) -> None:
        is_new = not (self.tests and self.tests[-1].nodeid == begun.nodeid)
        to_come = len(self.left_out) - is_new
        left_s = self._seconds_of(until - done, members) + self._to_start_s(until)
        left_s += to_come * self._first_s(LOOKS[0])
        self.tell(
            f"test {len(self.tests) + is_new} of {self._count}, {begun.nodeid}: pass {done + 1} of "
            f"{until}, about {clock(left_s)} left"
        )

    # -- time -------------------------------------------------------------------------------------

    def _processes_of(self, passes: int, members: int) -> int:
        """Where rings are limited, some members are in several rings of a pass."""
        rings = plan_neighbours(range(members), 1, self._limit, "")
        return passes * sum(map(len, itertools.chain.from_iterable(rings)))

    def _seconds_of(self, passes: int, members: int) -> float:
        return self._processes_of(passes, members) * self._pace.process_s

    def _first_s(self, passes: int) -> float:
        """Seconds for the first look at a test, with its process in the current tree."""
        return self._seconds_of(passes, len(self.releases)) + self._pace.process_s

    def _first_looks_s(self, passes: int) -> float:
        """Seconds for the first looks at all tests left.

        The next of them was measured in the current tree already.
        """
        looks_s = len(self.left_out) * self._first_s(passes)
        return looks_s - self._pace.process_s + self._to_start_s(passes)

    def _to_start_s(self, passes: int) -> float:
        """Seconds until the interpreters of so many passes run at all releases."""
        started, needed = (min(count, self.interpreters) for count in (self._has_started, passes))
        return max(0, needed - started) * len(self.releases) * self._start_s

    def _passes_of_first(self) -> int:
        """Of the first look: as many as time is left for at all tests that are left."""
        left_s = self._time.left_s
        return next((one for one in _OF_FIRST if self._first_looks_s(one) <= left_s), 0)

    def _too_short(self) -> str:
        what = "a pass of each test that is left" if len(self.left_out) > 1 else "a pass"
        return f"{self._time.too_short_for(what, self._first_looks_s(1))} ({self._enough()})"

    def _enough(self) -> str:
        seconds = self._time.spent_s + self._first_looks_s(LOOKS[0])
        return f"--budget={budget_words(seconds)} has time for {LOOKS[0]} of each test"

    def _allows(self, passes: int, members: int) -> bool:
        """Whether a further look has time: each test may take its share of what is left."""
        to_come = len(self.left_out)
        free_s = self._time.left_s - to_come * self._first_s(LOOKS[0])
        return self._seconds_of(passes, members) <= free_s / (to_come + 1)
