"""Two rules judge a test: saved runs first, and what they leave open is decided side by side.

Saved runs cost nothing more, so what they pass is not measured again. What they cannot tell, and
what they would call a regression, is for the duet, which is right where saved runs are not: both
revisions meet the same machine at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_tfthreads.core.gate.duet import is_decided
from pytest_tfthreads.core.gate.verdict import Verdict

_SETTLED = ("pass", "improvement")


def is_open(stored: Verdict) -> bool:
    """Whether a verdict by saved runs is to be looked at side by side."""
    return stored.status not in _SETTLED


def is_settled(stored: Sequence[Verdict], beside: Sequence[Verdict], pairs: int) -> bool:
    """Whether so many pairs decide all that the saved runs left open; metric by metric."""
    asked = [mine for theirs, mine in zip(stored, beside, strict=True) if is_open(theirs)]
    return is_decided(asked, pairs)


def pairs_wanted(stored: Sequence[Verdict], beside: Sequence[Verdict]) -> int | None:
    """With how many pairs all that was asked about would be decided; None: that is not to be seen.

    0 where it is decided.
    """
    wanted = [
        mine.pairs_to_decide
        for theirs, mine in zip(stored, beside, strict=True)
        if is_open(theirs) and mine.status == "inconclusive"
    ]
    known = [pairs for pairs in wanted if pairs is not None]
    return max(known, default=0) if len(known) == len(wanted) else None


def with_advice(verdicts: Sequence[Verdict], advice: str) -> tuple[Verdict, ...]:
    """Verdicts of which the inconclusive ones have this advice, and no other."""
    return tuple(
        replace(verdict, advice=(advice,)) if verdict.status == "inconclusive" else verdict
        for verdict in verdicts
    )


def combined(stored: Sequence[Verdict], beside: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts that stand, metric by metric.

    Those of the duet, but for what saved runs settled and the duet did not refute: a metric that
    was not asked about may be undecided when the other is decided. A regression against saved runs
    of other software (an older TensorFlow, say) stands, unless the duet finds one, too: the duet
    ran both revisions with the software of now. Who named the saved run has named it for both.
    """
    return tuple(_standing(*both) for both in zip(stored, beside, strict=True))


def _standing(stored: Verdict, beside: Verdict) -> Verdict:
    if beside.status != "regression":
        if not is_open(stored):
            return stored
        if stored.status == "regression" and stored.software:
            return _unrefuted(stored, beside)
    return replace(beside, named=stored.named, software=stored.software)


def _unrefuted(stored: Verdict, beside: Verdict) -> Verdict:
    """A regression that other software may have made: side by side both sides have that."""
    found = "did not decide" if beside.status == "inconclusive" else "showed no such loss"
    return replace(
        stored,
        reason=f"{stored.reason}; since the baseline was measured, other software was installed "
        f"({stored.software}); side by side, the two revisions {found}, but both ran with what is "
        "installed now",
        advice=(
            "--tf-threads-duet=python=PATH measures beside another environment, with the old "
            "versions, say",
        ),
    )


def alone(stored: Sequence[Verdict], why: str) -> tuple[Verdict, ...]:
    """Verdicts by saved runs alone, of which the open ones say why there is no duet."""
    return tuple(replace(one, no_duet=why) if is_open(one) else one for one in stored)
