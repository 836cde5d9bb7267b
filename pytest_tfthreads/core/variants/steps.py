"""What a test's speeds at several variants say: each against the first, and against the one before.

Of N variants these are 2N - 3 ratios, and all that is asked: they alone are the family that is
tested, and for which intervals hold together. How sure each is follows from all variants that took
turns with each other.

The ratios are looked at after 6 passes, and again after 12, 24, … where one is open. Each look
may be wrong, so they share every error (Bonferroni): half of it is for the first look, a quarter
for the second, and so on. So whatever look a change is told from, all intervals hold together, and
a change that has been decided stays as it is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_tfthreads.core.decode import Count
from pytest_tfthreads.core.gate.duet import BEYOND, luck, with_luck
from pytest_tfthreads.core.gate.verdict import Errors, status_of
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.stats.estimates import FAMILYWISE_ERROR, LogRatio, share_spent
from pytest_tfthreads.core.stats.moderation import Contrast, Difference, IdPair, contrasts
from pytest_tfthreads.core.sweep.comparison import Ratio, blocks, ring_differences, tested
from pytest_tfthreads.core.tolerance import METRICS

LOOKS = (6, 12, 24, 48, 96)
"""Passes after which it is looked whether the steps are decided. With fewer, hardly any is."""
SPENT = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16)
"""Share of every error that each look may spend."""

Status = Literal["regression", "improvement", "no-change", "open"]


@dataclass(frozen=True)
class VariantChange:
    """The speed at a variant over that at an earlier one, `since`, and what is certain of it.

    `ratio` has the interval that holds together with those of all other changes of its test and
    metric, at all looks. `status`:

    - `regression`, `improvement`: by the rule of a duet, which is sure of a part of the tolerance
      and finds a change as large as the tolerance; sure at the level of the whole run;
    - `no-change`: the whole interval is within the tolerance;
    - `open`: neither; more passes would tell.

    `log_ratio` is the ratio's logarithm with its error. `needed`: the look, in passes, that would
    decide it if all passes are as those so far; None where it is decided, and where none of the
    looks would.
    """

    since: str
    ratio: Ratio
    log_ratio: LogRatio
    status: Status
    needed: Count | None = None

    @property
    def relative(self) -> tuple[float, float, float]:
        """The change and its interval (low, high): a ratio of 0.95 is a change of -0.05."""
        ratio = self.ratio.estimate
        assert ratio.low is not None
        assert ratio.high is not None
        return ratio.value - 1, ratio.low - 1, ratio.high - 1


@dataclass(frozen=True)
class Step:
    """A variant with its changes since the first and since the one before that was measured.

    None where it took no turns with that one. For the second variant both are the same.
    """

    name: str
    to_first: VariantChange | None
    to_previous: VariantChange | None

    @property
    def is_open(self) -> bool:
        """Whether the speed changed here is not known yet."""
        return self.to_previous is not None and self.to_previous.status == "open"


Steps = Mapping[str, tuple[Step, ...]]
"""By metric, a step for each variant that was measured, but for the first of them."""


def look_after(passes: int) -> int | None:
    """The next look, where there was one after so many passes; None after the last.

    A look that came before its time was that look all the same.
    """
    spent = next((look for look in LOOKS if passes <= look), LOOKS[-1])
    return next((look for look in LOOKS if look > spent), None)


def steps(
    speeds: Mapping[str, Measurement],
    tolerance: Mapping[str, float],
    passes: int = LOOKS[0],
    tests: int = 1,
    interpreters: int = 1,
) -> Steps:
    """What is known at the look after so many passes.

    `speeds` are the measurements of one test by variant, in the order in which variants follow each
    other. `tolerance` are shares by metric, `tests` is how many tests the run has,
    `interpreters` how many each variant has, in turn: their luck is in each interval.
    """
    observed = _observed(speeds)
    if all(one.start == "fresh" for one in speeds.values()):
        interpreters = LOOKS[-1]  # each process is one: no two passes share any
    return {
        metric: _steps(
            list(speeds), observed[metric], _Rule(tolerance[metric], passes, tests, interpreters)
        )
        for metric in METRICS
    }


def kept(before: Steps, now: Steps) -> Steps:
    """The steps of a look, but for changes that an earlier one has decided, or has not to mend.

    A change of variants that were not measured since says no more at a later look than it did. A
    step that was decided stays, too, where its variant or the one before has dropped out since.
    """
    return {metric: tuple(_kept(before[metric], several)) for metric, several in now.items()}


def _kept(before: Sequence[Step], now: Sequence[Step]) -> Iterator[Step]:
    """Of one metric, in the order of the variants: after a first look, none is new."""
    known = {
        (step.name, change.since): change
        for step in before
        for change in (step.to_first, step.to_previous)
        if change is not None
    }
    first = next((step.to_first.since for step in now if step.to_first is not None), None)

    def of(name: str, change: VariantChange | None) -> VariantChange | None:
        if change is None:
            return None
        old = known.get((name, change.since))
        if old is None or (old.status == "open" and change.ratio.rings > old.ratio.rings):
            return change
        return old

    earlier, later = ({step.name: step for step in several} for several in (before, now))
    for name in dict.fromkeys([*earlier, *later]):
        old, new = earlier.get(name), later.get(name)
        decided = None if old is None or old.is_open else old.to_previous
        if new is not None:
            yield Step(name, of(name, new.to_first), decided or of(name, new.to_previous))
        elif old is not None and decided is not None:
            has_same_first = old.to_first is not None and first in (None, old.to_first.since)
            yield Step(name, old.to_first if has_same_first else None, decided)


@dataclass(frozen=True)
class _Rule:
    """How one look decides the changes of one metric of one of the `tests`."""

    tolerance: float
    passes: int
    tests: int
    interpreters: int

    def ratios(self, asked: Mapping[IdPair, Contrast]) -> dict[IdPair, Ratio]:
        return tested(asked, FAMILYWISE_ERROR * share_spent(LOOKS, SPENT, self.passes))

    def widened(self, shown: Contrast) -> Contrast:
        """With the luck of interpreters, which the scatter of rings does not show."""
        ratio = LogRatio(shown.log_ratio, shown.variance, shown.dof)
        ratio = with_luck(ratio, luck(shown.rings, self.interpreters))
        return replace(shown, variance=ratio.variance, dof=ratio.dof)

    def change(self, since: str, contrast: Contrast, ratio: Ratio, family: int) -> VariantChange:
        log_ratio = LogRatio(contrast.log_ratio, contrast.variance, contrast.dof)
        status = self._status(log_ratio, self.passes, family)
        needed = self._needed(log_ratio, contrast.rings, family) if status == "open" else None
        return VariantChange(since, ratio, log_ratio, status, needed)

    def _status(self, ratio: LogRatio, passes: int, family: int) -> Status:
        one_sided = FAMILYWISE_ERROR * share_spent(LOOKS, SPENT, passes) / family / 2
        level = one_sided / (self.tests * len(METRICS))
        by_duet = status_of(ratio, self.tolerance, Errors(level, level, level), BEYOND)
        if by_duet == "regression":
            return "regression"
        if by_duet == "improvement":
            return "improvement"
        half_width = ratio.half_width(1 - one_sided)
        lowest, highest = ratio.log_ratio - half_width, ratio.log_ratio + half_width
        is_within = math.log1p(-self.tolerance) < lowest and highest < math.log1p(self.tolerance)
        return "no-change" if is_within else "open"

    def _needed(self, ratio: LogRatio, rings: int, family: int) -> int | None:
        look = look_after(self.passes)
        while look is not None:
            shown = max(0.0, ratio.variance - luck(rings, self.interpreters)) * rings / look
            foreseen = with_luck(
                LogRatio(ratio.log_ratio, shown, ratio.dof + look - rings),
                luck(look, self.interpreters),
            )
            if self._status(foreseen, look, family) != "open":
                return look
            look = look_after(look)
        return None


def _steps(
    names: list[str], observed: Mapping[IdPair, list[Difference]], rule: _Rule
) -> tuple[Step, ...]:
    known = contrasts(observed, len({*itertools.chain.from_iterable(observed)}))
    wanted = [
        pair
        for previous, name in itertools.pairwise(names)
        for pair in dict.fromkeys([(name, names[0]), (name, previous)])
    ]
    asked = {pair: rule.widened(known[pair]) for pair in wanted if pair in known}
    changes = {
        pair: rule.change(pair[1], asked[pair], ratio, len(asked))
        for pair, ratio in rule.ratios(asked).items()
    }
    return tuple(
        Step(name, changes.get((name, names[0])), changes.get((name, previous)))
        for previous, name in itertools.pairwise(names)
    )


def _observed(speeds: Mapping[str, Measurement]) -> dict[str, dict[IdPair, list[Difference]]]:
    """By metric and by pair of a variant and an earlier one: a difference for each ring of both."""
    rings = {
        name: {one.ring: blocks(one, 1.0) for one in measurement.samples if one.ring is not None}
        for name, measurement in speeds.items()
    }
    observed: dict[str, dict[IdPair, list[Difference]]] = {metric: {} for metric in METRICS}
    for earlier, later in itertools.combinations(speeds, 2):
        for ring in sorted(rings[earlier].keys() & rings[later].keys()):
            # A call is the same work at both, whatever number of items a variant gives for it.
            found = ring_differences(rings[later][ring], rings[earlier][ring])
            if found is not None:
                for metric, difference in zip(METRICS, found, strict=True):
                    observed[metric].setdefault((later, earlier), []).append(difference)
    return observed
