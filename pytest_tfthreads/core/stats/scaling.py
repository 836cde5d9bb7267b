"""What limits a workload along one pool's threads: the Universal Scalability Law.

N. J. Gunther, "Guerrilla Capacity Planning" (2007): X(N) = λN / (1 + σ(N - 1) + κN(N - 1)).
Contention σ is the share of the work that threads wait for one another to do; coherency κ is what
each pair of threads costs by keeping in step, and makes throughput fall beyond a peak at
N* = √((1 - σ) / κ).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_tfthreads.core.format import percent, small_percent, tenths, with_bounds
from pytest_tfthreads.core.stats.estimates import Estimate, student_t

Ring = Sequence[tuple[int, float]]
"""Threads and log throughput of the members of one ring; only differences within it count."""

EXPECTED_DOF = 4.0
"""Degrees of freedom that the expected variance counts for."""
_MAX_COHERENCY = 10.0  # two threads would have a tenth of the throughput of one
_MAX_ROOT = math.sqrt(_MAX_COHERENCY)  # fits search κ by its root, for small values matter
_WIDEST_CONTENTION = 0.3  # an interval of this width says nothing that anybody could act on
_WORST_MISFIT = 0.1
_SCALES = 0.8  # from this efficiency on, what is won matters more than what limits it
_WORTH_A_THREAD = 1.1  # a best speed-up below this needs no share of serial work to explain it
_FARTHEST = 2  # times the most threads measured: nothing is said of more


@dataclass(frozen=True)
class Law:
    """A fitted law, every figure with its 95 % interval by profile likelihood.

    `peak` is N* in threads, `None` where κ may be 0 and there may be none. `efficiency` is the
    speed-up over one thread at `most` threads (the most measured), divided by them; `farther` the
    speed-up that the law foresees at twice as many.
    """

    contention: Estimate
    coherency: Estimate
    peak: Estimate | None
    most: int
    efficiency: Estimate
    farther: Estimate

    @property
    def most_gain(self) -> float:
        """Speed-up over one thread at the best of the numbers measured or between them."""
        return max(
            speedup(count, self.contention.value, self.coherency.value)
            for count in range(1, self.most + 1)
        )

    @property
    def gains(self) -> bool:
        """Whether any number of threads is worth having instead of one."""
        return self.most_gain >= _WORTH_A_THREAD

    @property
    def is_serial(self) -> bool:
        """Whether a share of serial work is certain, and costs enough to be worth a word."""
        return self.efficiency.value < _SCALES and bool(self.contention.low)

    @property
    def last_useful(self) -> int | None:
        """The number beyond which no more threads help even if the peak is at its upper bound."""
        if self.peak is None or self.peak.high is None:
            return None
        # The least n with X(n + 1) <= X(n), which is n(n + 1) >= N*².
        useful = max(math.ceil(math.sqrt(self.peak.high**2 + 0.25) - 0.5), 1)
        return useful if useful <= _FARTHEST * self.most else None


@dataclass(frozen=True)
class Scaling:
    """The threads of one pool (`axis`: "intra" or "inter") while the other has `fixed` threads.

    `terms` are those of the configurations through which the law goes, as a `Candidate` has them.
    Either a law, or in words why these points do not identify one.
    """

    axis: str
    fixed: int
    counts: tuple[int, ...]
    law: Law | None
    refusal: str | None
    terms: str = ""

    @property
    def sentence(self) -> str:
        """What limits the workload, or why that cannot be said."""
        if self.law is None:
            return f"{self.axis}-op threads: no scaling law ({self.refusal})"
        return _sentence(self.law, f"{self.axis}-op threads")

    @property
    def keyword(self) -> str:
        """The sentence in a few words; empty where there is no law."""
        law, threads = self.law, f"{self.axis}-op threads"
        if law is None:
            return ""
        if not law.gains:
            return f"more {threads} do not help"
        if law.last_useful is not None:
            return f"no gain beyond {law.last_useful} {threads}"
        if law.is_serial:
            return f"{100 * law.contention.value:.0f} % serial"
        return f"scales to {law.most} {threads}"

    def to_json(self) -> dict[str, Any]:
        law = self.law
        return {
            "axis": self.axis,
            "fixed": self.fixed,
            "terms": self.terms,
            "counts": list(self.counts),
            "sentence": self.sentence,
            "refusal": self.refusal,
            "law": law
            and {
                "contention": law.contention.to_json(),
                "coherency": law.coherency.to_json(),
                "peak": law.peak and law.peak.to_json(),
                "most": law.most,
                "efficiency": law.efficiency.to_json(),
                "farther": law.farther.to_json(),
            },
        }


def speedup(threads: float, contention: float, coherency: float) -> float:
    """X(N) / X(1)."""
    return threads / (1 + contention * (threads - 1) + coherency * threads * (threads - 1))


def fit(axis: str, fixed: int, rings: Sequence[Ring], expected_variance: float) -> Scaling:
    """Least squares of log throughput, with each ring's level left free.

    The free levels take out what the members of a ring shared (the state of the machine), and λ
    with it. `expected_variance` is that of one process's log throughput beyond that; it moderates
    the residuals, and is all there is of a single pass (see `core.stats.moderation`).
    """
    rings = [ring for ring in rings if len({threads for threads, _ in ring}) > 1]
    counts = tuple(sorted({threads for ring in rings for threads, _ in ring}))
    if len(counts) < 3:
        few = f"{len(counts)} comparable thread counts, of which it takes 3"
        return Scaling(axis, fixed, counts, None, few)
    profiles = _Profiles(rings, expected_variance)
    law: Law | None = None
    reason: str | None = None
    if profiles.misfit > _WORST_MISFIT:
        reason = f"it would miss the measured throughput by {percent(profiles.misfit)}"
    else:
        law = profiles.law()
        low, high = law.contention.low or 0.0, law.contention.high or 0.0
        if high - low > _WIDEST_CONTENTION and law.last_useful is None:
            law, reason = (
                None,
                f"the serial share may be anything from {percent(low)} to {percent(high)}",
            )
    return Scaling(axis, fixed, counts, law, reason)


def _sentence(law: Law, threads: str) -> str:
    if not law.gains:
        return (
            f"{threads}: no number up to {law.most} gives more than {law.most_gain:.2f} times "
            "one thread"
        )
    serial = f"{with_bounds(law.contention, percent)} serial"
    useful = law.last_useful
    if useful is not None:
        crosstalk = f"{with_bounds(law.coherency, small_percent)} crosstalk a pair"
        return f"{serial}, {crosstalk}: more than {useful} {threads} cannot help"
    if not law.is_serial:
        efficiency = with_bounds(law.efficiency, percent)
        return f"scales to {law.most} {threads} at {efficiency} efficiency"
    farther = with_bounds(law.farther, tenths)
    limit = with_bounds(law.contention.inverse, tenths)
    return (
        f"{serial}: {_FARTHEST * law.most} {threads} would give {farther} times one thread, no "
        f"number more than {limit} times"
    )


class _Profiles:
    """The least squares, and for each figure the values whose best fit is within the F limit.

    With one degree of freedom in the numerator F is t². The bounds σ, κ >= 0 need no special
    care: a profile that is below the limit at the bound has its interval end there.
    """

    def __init__(self, rings: Sequence[Ring], expected_variance: float) -> None:
        self.rings = rings
        counts = {threads for ring in rings for threads, _ in ring}
        self.most = max(counts)
        self.contention = _least(lambda contention: self._free_coherency(contention)[0], 1.0)[1]
        self.coherency = self._free_coherency(self.contention)[1]
        residuals = self._residuals(self.contention, self.coherency)
        least = sum(one * one for _, one in residuals)

        groups = [[one for at, one in residuals if at == threads] for threads in counts]
        means = [sum(group) / len(group) for group in groups]
        self.misfit = max(abs(mean) for mean in means)
        # What no repetition removes is the law's error: processes must not average it away.
        misfit_squares = sum(
            len(group) * mean**2 for group, mean in zip(groups, means, strict=True)
        )
        misfit_variance = misfit_squares / (len(counts) - 3) if len(counts) > 3 else 0.0

        dof = sum(len(ring) - 1 for ring in rings) - 2 + EXPECTED_DOF
        variance = (least + EXPECTED_DOF * expected_variance) / dof
        self.limit = least + max(variance, misfit_variance) * student_t(0.975, dof) ** 2

    def law(self) -> Law:
        coherency = self._interval(
            self.coherency,
            (0.0, _MAX_COHERENCY),
            lambda value: self._free_contention(lambda _: value),
        )
        return Law(
            contention=self._interval(
                self.contention, (0.0, 1.0), lambda value: self._free_coherency(value)[0]
            ),
            coherency=coherency,
            peak=self._peak() if coherency.low else None,
            most=self.most,
            efficiency=self._speedup(self.most).scaled(1 / self.most),
            farther=self._speedup(_FARTHEST * self.most),
        )

    def _peak(self) -> Estimate:
        def squares(peak: float) -> float:
            # σ = 1 - κN*², by the root of κ
            most = min(1 / peak, _MAX_ROOT) if peak else _MAX_ROOT
            return _least(lambda root: self._squares(1 - (root * peak) ** 2, root**2), most)[0]

        widest = 10.0 * self.most
        best = math.sqrt((1 - self.contention) / self.coherency)
        estimate = self._interval(best, (0.0, max(best, widest)), squares)
        unbounded = estimate.high is not None and estimate.high >= widest
        return Estimate(best, estimate.low, None) if unbounded else estimate

    def _speedup(self, threads: int) -> Estimate:
        def squares(value: float) -> float:
            # The law solved for κ at X(threads) / X(1) = value, and for σ where κ is 0.
            excess = threads / value - 1
            return self._free_contention(
                lambda contention: (
                    max(excess - contention * (threads - 1), 0.0) / (threads * (threads - 1))
                ),
                min(1.0, excess / (threads - 1)),
            )

        best = speedup(threads, self.contention, self.coherency)
        return self._interval(best, (best / 100, float(threads)), squares)

    def _free_contention(self, coherency_at: Callable[[float], float], most: float = 1.0) -> float:
        return _least(lambda contention: self._squares(contention, coherency_at(contention)), most)[
            0
        ]

    def _free_coherency(self, contention: float) -> tuple[float, float]:
        squares, root = _least(lambda root: self._squares(contention, root**2), _MAX_ROOT)
        return squares, root**2

    def _interval(
        self, best: float, within: tuple[float, float], squares: Callable[[float], float]
    ) -> Estimate:
        from scipy.optimize import brentq

        # The minimum is found to so many digits, and hardly any noise may be less than the rest.
        limit = max(self.limit, squares(best))

        def above(value: float) -> float:
            return squares(value) - limit

        low, high = (
            bound if above(bound) <= 0 else float(brentq(above, bound, best, xtol=1e-6))
            for bound in within
        )
        return Estimate(best, min(low, best), max(high, best))

    def _squares(self, contention: float, coherency: float) -> float:
        return sum(one * one for _, one in self._residuals(contention, coherency))

    def _residuals(self, contention: float, coherency: float) -> list[tuple[int, float]]:
        found = []
        for ring in self.rings:
            off = [log - math.log(speedup(at, contention, coherency)) for at, log in ring]
            level = sum(off) / len(off)
            found += [(at, one - level) for (at, _), one in zip(ring, off, strict=True)]
        return found


def _least(function: Callable[[float], float], high: float) -> tuple[float, float]:
    """Least value of the function on [0, high], bounds included, and where it is."""
    from scipy.optimize import minimize_scalar

    inside = minimize_scalar(function, bounds=(0, high), method="bounded", options={"xatol": 1e-7})
    return min((function(0.0), 0.0), (function(high), high), (float(inside.fun), float(inside.x)))
