"""One test under several configurations: what was learned of it, for the summary and the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.sweep.recommendation import Recommendation, recommend
from pytest_tfthreads.core.sweep.search import SearchCost


@dataclass(frozen=True)
class Sweep:
    """`recommendation` is `None` where the configurations took no turns with one another."""

    test: str
    recommendation: Recommendation | None
    search: SearchCost | None = None

    @classmethod
    def of(cls, test: str, candidates: Sequence[Candidate], search: SearchCost | None) -> Sweep:
        return cls(test, recommend(test, candidates), search)

    def to_json(self) -> dict[str, Any]:
        advice, search = self.recommendation, self.search
        return {
            "test": self.test,
            "recommendation": None if advice is None else advice.to_json(),
            "search": None if search is None else search.to_json(),
        }
