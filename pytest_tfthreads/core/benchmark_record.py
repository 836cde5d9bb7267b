"""What pytest-benchmark keeps of a benchmark, as plain data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_tfthreads.core.decode import Count


@dataclass(frozen=True)
class BenchmarkRecord:
    """What one use of `benchmark` left.

    `data` are seconds a call, one for each round of `iterations` calls, as the user's own timer
    tells them if there is one. `group`, `options` and `extra_info` are what the user says.
    `cprofile`: a row for each function, its file, line and name first. `unwritten`: why the file
    of its profile could not be written, or nothing.
    """

    data: tuple[float, ...]
    iterations: Count
    group: Any
    options: Mapping[str, Any]
    extra_info: Mapping[str, Any]
    cprofile: tuple[tuple[Any, ...], ...] | None = None
    unwritten: str = ""

    @property
    def rounds(self) -> int:
        return len(self.data)


def joined(records: Sequence[BenchmarkRecord]) -> BenchmarkRecord:
    """The rounds of all processes as one record; all else is the first one's."""
    return replace(records[0], data=tuple(itertools.chain(*(record.data for record in records))))
