"""One test under several configurations: what was learned of it, for the summary and the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.sweep.recommendation import Recommendation, aliases_among, recommend
from pytest_tfthreads.core.sweep.search import SearchCost


@dataclass(frozen=True)
class Sweep:
    """`recommendation` is `None` where no two configurations took turns with one another.

    `same`: by the id of a configuration, the id of the one as which it was measured. `is_one`: all
    are names of one configuration.
    """

    test: str
    recommendation: Recommendation | None
    search: SearchCost | None = None
    same: Mapping[str, str] = field(default_factory=dict)
    is_one: bool = False

    @classmethod
    def of(cls, test: str, candidates: Sequence[Candidate], search: SearchCost | None) -> Sweep:
        same = {alias.id: alias.same_as for alias in aliases_among(candidates)}
        is_one = len(candidates) - len(same) == 1
        return cls(test, recommend(test, candidates), search, same, is_one)

    def to_json(self) -> dict[str, Any]:
        advice, search = self.recommendation, self.search
        return {
            "test": self.test,
            "recommendation": None if advice is None else advice.to_json(),
            "same": dict(self.same),
            "search": None if search is None else search.to_json(),
        }
