"""What is compared by `releases`, and what has been found: the data that reports show."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_tfthreads.core.abreast import AtPlace, Place
from pytest_tfthreads.core.commit import Commit
from pytest_tfthreads.core.comparable import SOFTWARE
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.variants.steps import Step, Steps

UNMEASURED = "unmeasured"
FAILING = ("regression", "open", UNMEASURED)
"""What the last step of a test may be that makes the command fail, if the user says so."""


@dataclass(frozen=True)
class Release:
    """A revision of the code, or an environment, or the current tree.

    `name` is how the user names it, and that of no other; `commit` is None where the current tree's
    code runs.
    """

    name: str
    place: Place
    commit: Commit | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestOver:
    """One configuration of one test: what came of each release, and what its steps are.

    `passes` were measured of its releases, or of those that were open still. `to_close_s`: how
    long it takes to decide the steps that are open, as far as they can be.
    """

    __test__ = False  # pytest collects what is called Test…

    nodeid: str
    at: tuple[AtPlace, ...]  # by release
    steps: Steps = field(default_factory=lambda: dict.fromkeys(METRICS, ()))
    passes: int = 0
    to_close_s: float = 0.0

    @property
    def is_compared(self) -> bool:
        """Whether two releases could be measured beside each other."""
        return any(
            one.to_first or one.to_previous for several in self.steps.values() for one in several
        )

    @property
    def open_steps(self) -> list[tuple[str, Step]]:
        """Each with its metric."""
        return [
            (metric, one)
            for metric, several in self.steps.items()
            for one in several
            if one.is_open
        ]

    def step(self, metric: str, name: str) -> Step | None:
        """The step at the release of that name."""
        return next((one for one in self.steps[metric] if one.name == name), None)


@dataclass(frozen=True)
class Changed:
    """What differs between two releases besides speed, from the earlier to the later one.

    `commits` are those that only the later one has, in the order of history; `lost` is how many
    only the earlier one has; None where one of the two is no commit. `has_changes`: the later one
    is the current tree, with changes that are not committed.
    """

    earlier: str
    later: str
    commits: tuple[Commit, ...] | None = None
    lost: int = 0
    has_changes: bool = False
    versions: tuple[tuple[str, str, str], ...] = ()  # of what, before, after


@dataclass(frozen=True)
class Over:
    """All that is told at the end.

    `changed` are the steps from each release to the next one, and those over a release that a test
    could not be measured at. `left_out` are tests that were not begun, `stopped` says why.
    """

    releases: tuple[Release, ...]
    tests: tuple[TestOver, ...]
    changed: tuple[Changed, ...]
    tolerance: Mapping[str, float]
    processes: int
    elapsed_s: float
    left_out: tuple[str, ...] = ()
    stopped: str = ""

    def failing(self, fail_on: frozenset[str]) -> list[tuple[str, str]]:
        """The tests whose last step is one of these, each with that word."""
        last = self.releases[-1].name
        found = [(one.nodeid, word) for one in self.tests for word in _last_words(one, last)]
        found += [(nodeid, UNMEASURED) for nodeid in self.left_out]
        return [one for one in dict.fromkeys(found) if one[1] in fail_on]


def changes_of_software(
    test: TestOver, earlier: int, later: int
) -> tuple[tuple[str, str, str], ...]:
    """What a test met of other software at two releases, by their places: name, before, after."""
    before, after = (_software(test.at[place]) for place in (earlier, later))
    return tuple(
        (words, before.get(name, "unknown"), after.get(name, "unknown"))
        for name, words in SOFTWARE.items()
        if before and after and before.get(name) != after.get(name)
    )


def pairs_of(releases: Sequence[Release], tests: Sequence[TestOver]) -> list[tuple[int, int]]:
    """The steps that are told of, as places of two releases: those in a row, and any over a gap."""
    places = {one.name: place for place, one in enumerate(releases)}
    found = set(itertools.pairwise(range(len(releases))))
    for test in tests:
        for several in test.steps.values():
            for step in several:
                if step.to_previous is not None:
                    found.add((places[step.to_previous.since], places[step.name]))
    return sorted(found, key=lambda pair: (pair[1], -pair[0]))


def _last_words(test: TestOver, last: str) -> Iterator[str]:
    for metric in METRICS:
        step = test.step(metric, last)
        change = None if step is None else step.to_previous
        yield UNMEASURED if change is None else change.status


def _software(at: AtPlace) -> dict[str, str]:
    if at.measurement is None:
        return {}
    known = {name: at.measurement.machine.get(name) for name in SOFTWARE}
    return {name: str(version) for name, version in known.items() if version is not None}
