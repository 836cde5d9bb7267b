"""Which measurements of a saved run are configurations of one test: known by their ids only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_tfthreads.core.comparison import Candidate
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.threads import ThreadConfig, ThreadCount, case_named, without_case


@dataclass(frozen=True)
class StoredTest:
    """`candidates` by node id, in the order of the file."""

    test: str
    candidates: Mapping[str, Candidate]


def stored_tests(
    measurements: Mapping[str, Measurement], parameters: Mapping[str, str]
) -> list[StoredTest]:
    """The tests of a run. `parameters` are what tells two tests apart whose ids do not."""
    groups: dict[tuple[str, str], dict[str, Measurement]] = {}
    for nodeid, measurement in measurements.items():
        key = (without_case(nodeid), parameters.get(nodeid, ""))
        groups.setdefault(key, {})[nodeid] = measurement
    return [_test(name, members) for (name, _), members in groups.items()]


def _test(name: str, members: Mapping[str, Measurement]) -> StoredTest:
    cases = {nodeid: case_named(nodeid) for nodeid in members}
    rests = {case[1] for case in cases.values() if case is not None}
    # What all ids have in common after the configuration tells tests apart, not configurations.
    common = rests.pop() if len(rests) == 1 else ""
    candidates = {}
    for nodeid, measurement in members.items():
        case = cases[nodeid]
        if case is None:  # a test of one configuration, whose id need not name it
            requested = measurement.requested
            threads = ThreadConfig(_count(requested.intra), _count(requested.inter))
            candidates[nodeid] = Candidate(threads.id, threads, measurement)
        else:
            threads, rest = case
            candidates[nodeid] = Candidate(
                threads.id + rest.removesuffix(common), threads, measurement
            )
    return StoredTest(_named(name, common), candidates)


def _named(name: str, common: str) -> str:
    """The node id of a test as it would be without configurations."""
    parameters = common.lstrip("-")
    if name.endswith("]"):
        kept = name[:-1].rstrip("-")
        opens = kept.endswith("[")
        if not parameters:
            return kept.removesuffix("[") if opens else f"{kept}]"
        return f"{kept}{'' if opens else '-'}{parameters}]"
    return name


def _count(threads: int) -> ThreadCount:
    return ThreadCount(str(threads) if threads else "auto")
