"""All that a run has measured and judged, for its summary and its files."""

from __future__ import annotations

import functools
import platform
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import Policy, Verdict
from pytest_tfthreads.core.hosts import Host, by_host
from pytest_tfthreads.core.pooling import pooled
from pytest_tfthreads.core.sweep.recommendation import Recommendation
from pytest_tfthreads.core.sweep.result import Sweep
from pytest_tfthreads.report import annotations as report_annotations
from pytest_tfthreads.report import console, profiles, sweep
from pytest_tfthreads.report import verdicts as report_verdicts
from pytest_tfthreads.report.annotations import SourcePlace
from pytest_tfthreads.report.html.content import MeasuredCase, RunContent, Subject
from pytest_tfthreads.runner.measurements import MeasuredTest
from pytest_tfthreads.runner.payload import PreloadedVariant

_MANY = 2  # sweeps from which on each has only a line in the summary


class RunResults:
    """Of one pytest session, in the order of its tests."""

    def __init__(self) -> None:
        self._as_measured: list[MeasuredTest] = []
        self._places: dict[str, SourcePlace] = {}
        self._failed: dict[tuple[str, str], str] = {}  # by node id and worker
        self._untraced: dict[str, None] = {}
        self._preloaded: dict[str, PreloadedVariant] = {}

    def add(self, measured: MeasuredTest, place: SourcePlace) -> None:
        self._as_measured.append(measured)
        self._places[measured.nodeid] = place

    def add_failure(self, nodeid: str, why: str, worker: str = "") -> None:
        """Of a test that was to be measured, but failed; `why` in a line.

        `worker`: where several measure each test, whose test that was.
        """
        self._failed[nodeid, worker] = why

    def add_untraced(self, nodeid: str) -> None:
        """Of a test that was to be traced, but measures nothing."""
        self._untraced[nodeid] = None

    def add_preloaded(self, sides: Sequence[PreloadedVariant]) -> None:
        """What interpreters have imported of the project; of each, the last word counts."""
        for side in sides:
            self._preloaded[side.where] = side

    def _all_preloaded(self) -> list[PreloadedVariant]:
        """The current tree first; which interpreter comes first depends on the order of set-up."""
        return sorted(self._preloaded.values(), key=lambda variant: variant.where)

    def preloaded(self, named: Collection[str], *, verbose: bool) -> list[str]:
        """Lines of text: where that went wrong, and, if `verbose`, all of it.

        What was asked for by name (`named`) is told of wherever it was left out.
        """
        lines = []
        for one in self._all_preloaded():
            where = f" ({one.where})" if one.where else ""
            if one.problem:
                lines.append(
                    f"preloading{where} was given up: {one.problem}. Each process imports the "
                    "project itself; --tf-threads-preload=off does so from the start"
                )
                continue
            if one.modules and verbose:
                lines.append(f"preloaded{where}: {', '.join(one.modules)}")
            lines += [
                f"not preloaded{where}: {name}: {why}"
                for name, why in one.left_out.items()
                if verbose or name in named
            ]
        return lines

    @functools.cached_property
    def measured(self) -> list[MeasuredTest]:
        """Once all have been: with the intervals that follow from all of them."""
        own = [one for one in self._as_measured if not one.same_as]
        found = pooled([(one.group, one.measurement) for one in own])
        remaining = iter(found)
        by_name = {
            (one.group, Host.of(measurement), one.configuration.id): measurement.spreads
            for one, measurement in zip(own, found, strict=True)
        }
        result = []
        for one in self._as_measured:
            if one.same_as:  # as measured under that name, for it says nothing more of the noise
                name = one.group, Host.of(one.measurement), one.same_as
                measurement = replace(one.measurement, spreads=by_name.get(name))
            else:
                measurement = next(remaining)
            result.append(replace(one, measurement=measurement))
        return result

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for one in self._as_measured for verdict in one.verdicts]

    @property
    def has_measurements(self) -> bool:
        return bool(self._as_measured)

    @property
    def sweeps(self) -> list[Sweep]:
        """Of each test that was measured under several configurations; once all have been."""
        return list(self._sweeps.values())

    @functools.cached_property
    def _sweeps(self) -> dict[tuple[Host, str], Sweep]:
        return {
            (host, name): Sweep.of(
                name, [member.candidate for member in members], members[0].search
            )
            for (host, name), members in self._groups.items()
            # Those of a duet took turns with their baselines, not with each other.
            if len(members) > 1 and not any(member.took_turns_with_baseline for member in members)
        }

    @property
    def _groups(self) -> dict[tuple[Host, str], list[MeasuredTest]]:
        """The configurations of each test, where they were measured on one host."""
        groups: dict[tuple[Host, str], dict[str, MeasuredTest]] = {}
        for one in self.measured:  # under --keep-duplicates the last time counts
            key = Host.of(one.measurement), one.group
            groups.setdefault(key, {})[one.configuration.id] = one
        return {key: list(members.values()) for key, members in groups.items()}

    def measurements(self, *, verbose: bool) -> list[str]:
        """Lines of text: the table of measurements; nothing where there is none.

        Unless `verbose`, it is without those of tests that have a line in the overview of sweeps.
        """
        shown: list[console.Row] = []
        others: list[console.Row] = []
        overview = {} if verbose else self._in_overview
        for one in self.measured:
            key = Host.of(one.measurement), one.group
            (others if key in overview else shown).append(
                console.Row(one.name, one.measurement, one.same_as)
            )
        return console.render(shown, self._notes, others)

    @property
    def _in_overview(self) -> dict[tuple[Host, str], Recommendation]:
        """Sweeps that have a line each, instead of a table each: where there are several."""
        if len(self._sweeps) < _MANY:
            return {}
        return {
            key: sweep.recommendation
            for key, sweep in self._sweeps.items()
            if sweep.recommendation is not None
        }

    @property
    def _notes(self) -> list[str]:
        return list(dict.fromkeys(one.note for one in self.measured if one.note))

    def advice(self, seed: int, *, verbose: bool) -> list[str]:
        """Lines of text: what each sweep says; in a line each where there are several.

        `verbose`: in full, however many there are.
        """
        lines = []
        hosts = by_host(self.measured, lambda one: one.measurement)
        in_overview = {} if verbose else self._in_overview
        for host in hosts:
            here = {key: one for key, one in self._sweeps.items() if key[0] == host}
            if here and len(hosts) > 1:
                lines += ["", f"on {host.title}"]
            if short := [in_overview[key] for key in here if key in in_overview]:
                lines += ["", *sweep.overview(short)]
            for key, one in here.items():
                if key not in in_overview:
                    lines += ["", *sweep.render(one)]
        if lines:
            hint = "Tables of all configurations: -v. " if in_overview else ""
            lines.append(f"{hint}Same order of set-up again: --tf-threads-seed={seed}")
        return lines

    def traces(self) -> list[str]:
        """Lines of text: where traces are, what they say, and which there are not."""
        rows = [profiles.Row(one.name, one.traces) for one in self.measured if one.traces]
        return [
            *profiles.render(rows, platform.node()),
            *(f"{nodeid}: no trace: it measures nothing" for nodeid in self._untraced),
        ]

    def judgement(
        self, policy: Policy, was_interrupted: bool, failures_are_shown: bool = True
    ) -> list[str]:
        """Lines of text: a table of verdicts for each host, or that there are none.

        What failed its test by the policy has told its reasons there, if these are shown.
        """
        told = policy.fail_on if failures_are_shown else frozenset[str]()
        if was_interrupted and not self.verdicts:
            return ["the run was interrupted before a test was judged"]
        groups = self._verdicts_by_host
        if len(groups) <= 1:
            return report_verdicts.render(self.verdicts, told) or [report_verdicts.summary(())]
        lines: list[str] = []
        for host, verdicts in groups.items():
            lines += [*([""] if lines else []), f"on {host.title}"]
            lines += report_verdicts.render(verdicts, told)
        return lines

    def open_verdicts(self) -> list[str]:
        """A line of text where verdicts are open."""
        return report_verdicts.open_verdicts(self.verdicts)

    @property
    def notes_of_judgement(self) -> list[str]:
        """What the reader should know of how tests were judged, each once."""
        return list(dict.fromkeys(note for one in self.measured for note in one.notes))

    def lack_of_comparisons(self) -> list[str]:
        """A line of text where tests were to be compared side by side, and none was."""
        return report_verdicts.nothing_compared(self.verdicts)

    def judgement_as_markdown(self) -> str:
        groups = self._verdicts_by_host
        if len(groups) <= 1:
            return report_verdicts.markdown(self.verdicts)
        return "\n".join(
            report_verdicts.markdown(verdicts, host.title) for host, verdicts in groups.items()
        )

    @property
    def _verdicts_by_host(self) -> dict[Host, list[Verdict]]:
        judged = by_host(
            (one for one in self.measured if one.verdicts), lambda one: one.measurement
        )
        return {
            host: [verdict for one in measured for verdict in one.verdicts]
            for host, measured in judged.items()
        }

    def judgement_as_annotations(self, policy: Policy, notes: Sequence[str]) -> list[str]:
        """Lines that GitHub Actions makes annotations of; `notes` as the gate has them."""
        judged = [
            (verdict, self._places[one.nodeid]) for one in self.measured for verdict in one.verdicts
        ]
        return report_annotations.render(judged, policy, notes)

    def to_json(self, seed: int, complete: bool) -> dict[str, Any]:
        """For the files of the run; `complete`: all selected tests were run to their end."""
        return {
            "seed": seed,
            "complete": complete,
            "preloaded": [variant.to_json() for variant in self._all_preloaded()],
            "failed": list(self._failures),
            "sweeps": [one.to_json() for one in self.sweeps],
        }

    def content(self, about: RunContent) -> RunContent:
        """For the HTML report; `about` says what is known of the run beside its measurements."""
        recommendations = {key: one.recommendation for key, one in self._sweeps.items()}
        return replace(
            about,
            subjects=tuple(
                Subject(
                    name,
                    tuple(_as_case(member) for member in members),
                    recommendations.get((host, name)),
                    members[0].search,
                )
                for (host, name), members in self._groups.items()
            ),
            failures=self._failures,
            notes=(*about.notes, *self._notes),
        )

    @property
    def _failures(self) -> dict[str, str]:
        measured = {(one.nodeid, one.worker) for one in self.measured}
        return {key[0]: why for key, why in self._failed.items() if key not in measured}


def _as_case(one: MeasuredTest) -> MeasuredCase:
    pairs = tuple(Pair.from_json(pair) for pair in (one.duet or {}).get("pairs", ()))
    return MeasuredCase(
        one.nodeid,
        one.candidate,
        one.verdicts,
        pairs,
        one.traces,
        took_turns_with_baseline=one.took_turns_with_baseline,
    )
