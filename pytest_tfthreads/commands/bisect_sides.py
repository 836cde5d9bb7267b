"""`pytest-tfthreads bisect` with environments: did the code or the environment do it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.output import tell
from pytest_tfthreads.commands.pytest_run import Measuring
from pytest_tfthreads.commands.time_limit import TimeLimit
from pytest_tfthreads.core.abreast import AtPlace, Place
from pytest_tfthreads.core.format import metric_name, plural
from pytest_tfthreads.core.gate.duet import INTERPRETERS
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.two_causes import LOOKS, Cause, Combination, Effects, combinations
from pytest_tfthreads.engine.environment import Environment, EnvironmentUnfitError
from pytest_tfthreads.names import PYTHON
from pytest_tfthreads.report.bisection import RelativeChange

_SENTENCES: dict[Cause, str] = {
    "code": "The code made the difference, and the environment none that matters.",
    "environment": "The environment made the difference, and the code none that matters.",
    "both": "Both the code and the environment made a difference.",
    "neither": "Neither the code nor the environment made a difference that matters.",
    "open": "Which of the two made the difference is open: the machine was too noisy.",
}
COMBINATIONS = (
    "with good code, good environment",
    "with bad code, good environment",
    "with good code, bad environment",
    "with bad code, bad environment",
)


@dataclass(frozen=True)
class Side:
    """What --good or --bad says: a revision, an environment, or one of each."""

    rev: str | None
    python: str | None

    @classmethod
    def of(cls, texts: Sequence[str], option: str) -> Side:
        """Raises `CommandError` where there are two of a kind, or where a name is empty."""
        if empty := [one for one in texts if not one.removeprefix(PYTHON).strip()]:
            raise CommandError(f"{option}={empty[0]} names nothing; perhaps a variable is not set")
        pythons = [one.removeprefix(PYTHON) for one in texts if one.startswith(PYTHON)]
        revs = [one for one in texts if not one.startswith(PYTHON)]
        for found, kind in ((revs, "revision"), (pythons, "environment")):
            if len(found) > 1:
                raise CommandError(
                    f"{option} names {len(found)} {kind}s: {', '.join(found)}; name one, and "
                    "perhaps one revision and one python=PATH"
                )
        return cls(revs[0] if revs else None, pythons[0] if pythons else None)

    @property
    def environment(self) -> str | None:
        """The path of its interpreter; None for that of this process.

        Raises `CommandError` where it cannot run tests.
        """
        if self.python is None:
            return None
        try:
            environment = Environment.other(self.python)
        except EnvironmentUnfitError as error:
            raise CommandError(f"{PYTHON}{self.python}: {error}") from error
        return None if environment is None else environment.python


@dataclass(frozen=True)
class Causes:
    """What was found of the four combinations: the effects by metric.

    `stopped`: why it ended before the last look, though the cause is open.
    """

    test: str
    metric: str
    effects: dict[str, Effects]
    rings: int
    stopped: str = ""

    @property
    def is_found(self) -> bool:
        """Whether the code, the environment or both are known to have made the difference."""
        return self.effects[self.metric].cause not in ("neither", "open")

    def lines(self) -> list[str]:
        found = self.effects[self.metric]
        rows = [
            ("code", found.code),
            ("environment", found.environment),
            ("both together", found.whole),
        ]
        if abs(found.interaction.log_ratio) > found.interaction.half_width(0.995):
            rows.append(("beyond their sum", found.interaction))
        return [
            self.test,
            f"  {metric_name(self.metric)}, bad over good:",
            *(f"  {name:<18}{RelativeChange.of(ratio)}" for name, ratio in rows),
            "",
            self.stopped or _SENTENCES[found.cause],
            "",
            f"{4 * self.rings} processes in {plural(self.rings, 'ring')}",
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "test": self.test,
            "metric": self.metric,
            "cause": self.effects[self.metric].cause,
            "effects": {
                metric: {
                    "code": RelativeChange.of(one.code).to_json(),
                    "environment": RelativeChange.of(one.environment).to_json(),
                    "whole": RelativeChange.of(one.whole).to_json(),
                    "interaction": RelativeChange.of(one.interaction).to_json(),
                }
                for metric, one in self.effects.items()
            },
            "rings": self.rings,
            "stopped": self.stopped,
        }


def check_places(names: Sequence[str], places: Sequence[AtPlace]) -> None:
    """Raises `CommandError` where some cannot be measured, with the problems of all of them.

    One alone may tell nothing: where another cannot be had, none is left to be measured beside it.
    """
    problems: dict[str, list[str]] = {}
    for name, place in zip(names, places, strict=True):
        if problem := place.problem or place.same_code:
            problems.setdefault(problem, []).append(name)
    if problems:
        told = (f"{' and '.join(several)}: {problem}" for problem, several in problems.items())
        raise CommandError(f"the test cannot be measured {'; '.join(told)}")


def causes(
    test: str, metric: str, good: Place, bad: Place, measuring: Measuring, limit: TimeLimit
) -> Causes:
    """Measure the four combinations until it is known which side it was, or the looks are over.

    The first look is taken whatever the limit of time. Raises `CommandError` where one of them
    cannot be measured.
    """
    both = [
        (good.commit, good.python),
        (bad.commit, good.python),
        (good.commit, bad.python),
        (bad.commit, bad.python),
    ]
    places = [Place(commit, python, INTERPRETERS) for commit, python in both]
    rings: dict[str, list[Combination]] = {metric: [] for metric in METRICS}
    done, stopped = 0, ""
    measuring_s = 0.0
    for look in LOOKS:
        to_come_s = measuring_s / done * (look - done) if done else 0.0
        if limit.budget_s is not None and done and not limit.allows(to_come_s):
            why = limit.too_short_for("The next stage", to_come_s)
            stopped = (
                f"{why}. Which of the two made the difference is open: give a larger --budget."
            )
            break
        tell(f"measuring the four combinations, {plural(look - done, 'ring')}")
        began_s = limit.clock_s()
        found = measuring.measure(places, look - done)
        measuring_s += limit.clock_s() - began_s
        done = look
        check_places(COMBINATIONS, found.places)
        for each, combined in combinations(found).items():
            rings[each] += combined
        if not rings[metric]:
            raise CommandError(
                "the processes took no turns with each other: a warm-up of the test's own "
                "(warmup_iterations) leaves no place for them; leave it out"
            )
        if Effects.of(rings[metric]).cause != "open":
            break
    effects = {each: Effects.of(combined) for each, combined in rings.items()}
    return Causes(test, metric, effects, len(rings[metric]), stopped)
