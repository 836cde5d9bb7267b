"""All that a run has measured and judged, for its summary and its files."""

from __future__ import annotations

import functools
from typing import Any

from pytest_tfthreads.core.sweep import Sweep
from pytest_tfthreads.core.verdict import Verdict
from pytest_tfthreads.isolation.results import MeasuredTest
from pytest_tfthreads.report import console, sweep
from pytest_tfthreads.report import verdicts as report_verdicts


class Findings:
    """Of one pytest session, in the order of its tests."""

    def __init__(self) -> None:
        self._measured: list[MeasuredTest] = []

    def add(self, measured: MeasuredTest) -> None:
        self._measured.append(measured)

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for one in self._measured for verdict in one.verdicts]

    @property
    def has_measurements(self) -> bool:
        return bool(self._measured)

    @functools.cached_property
    def sweeps(self) -> list[Sweep]:
        """Of each test that was measured under several configurations; once all have been."""
        groups: dict[str, dict[str, MeasuredTest]] = {}
        for one in self._measured:  # under --keep-duplicates the last time counts
            groups.setdefault(one.group, {})[one.case] = one
        return [
            Sweep.of(
                name,
                [one.candidate for one in members.values()],
                next(one.search for one in members.values()),
            )
            for name, members in groups.items()
            if len(members) > 1
        ]

    def measurements(self) -> list[str]:
        """Lines of text: the table of all measurements; nothing where there is none."""
        if not self._measured:
            return []
        rows = [console.Row(one.name, one.measurement) for one in self._measured]
        notes = list(dict.fromkeys(one.note for one in self._measured if one.note))
        return console.render(rows, notes)

    def advice(self, seed: int) -> list[str]:
        """Lines of text: what each sweep says."""
        lines = [line for one in self.sweeps for line in ("", *sweep.render(one))]
        if lines:
            lines.append(f"Same order of set-up again: --tf-threads-seed={seed}")
        return lines

    def judgement(self) -> list[str]:
        """Lines of text: the table of verdicts, or that there are none."""
        return report_verdicts.render(self.verdicts) or [report_verdicts.summary(())]

    def judgement_as_markdown(self) -> str:
        return report_verdicts.markdown(self.verdicts)

    def to_json(self, seed: int) -> dict[str, Any]:
        return {"seed": seed, "sweeps": [one.to_json() for one in self.sweeps]}
