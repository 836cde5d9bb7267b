"""What a saved run says of itself beside its measurements: verdicts, traces, and parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_tfthreads.core.baseline import Fields, op_profile, parse_json, read_text, test_of
from pytest_tfthreads.core.statistics import Estimate
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.core.trace import Trace, Traces
from pytest_tfthreads.core.verdict import STATUSES, Change, Verdict


@dataclass(frozen=True)
class Recorded:
    """By node id; `parameters` are those of the test, as text to compare."""

    verdicts: Mapping[str, tuple[Verdict, ...]] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    traces: Mapping[str, Traces] = field(default_factory=dict)


def read_recorded(path: Path) -> Recorded:
    """Of a file that `read_run` has read; raises `BaselineError` where a verdict is wrong."""
    return parse_recorded(read_text(path), str(path))


def parse_recorded(text: str, label: str) -> Recorded:
    """The same from a file's text."""
    verdicts: dict[str, tuple[Verdict, ...]] = {}
    parameters: dict[str, str] = {}
    traces: dict[str, Traces] = {}
    seen = set()
    run = Fields(parse_json(text, label), label)
    for number, value in enumerate(run.sequence("benchmarks")):
        one = Fields(value, f"{label}: benchmarks[{number}]")
        name = one.text("fullname")
        extra = one.optional("extra_info", Fields)
        ours = extra and extra.optional("tf_threads", Fields)
        if ours is None:
            continue
        test = test_of(ours, name)
        if test in seen:  # measured by another worker, too: the first counts, as in the run
            continue
        seen.add(test)
        params = one.optional("params", Fields)
        if params is not None:
            others = {key: str(value) for key, value in params.data.items() if key not in _OWN}
            parameters[test] = json.dumps(others, sort_keys=True)
        if (found := ours.optional("profile", Fields)) is not None:
            traces[test] = _traces(found)
        if ours.data.get("verdicts") is not None:
            verdicts[test] = tuple(
                _verdict(Fields(found, f"{label}: {name}: verdicts[{place}]"))
                for place, found in enumerate(ours.sequence("verdicts"))
            )
    return Recorded(verdicts, parameters, traces)


_OWN = ("intra", "inter")


def _verdict(data: Fields) -> Verdict:
    change = data.optional("change", Fields)
    baseline = data.optional("baseline", Fields)
    return Verdict(
        test=data.text("test"),
        metric=_known(data, "metric", METRICS),
        status=_known(data, "status", STATUSES),
        configuration=data.text("configuration"),
        unit=data.text("unit"),
        now=_estimate(Fields(data["now"], f"{data.where}: 'now'")),
        tolerance=data.number("tolerance"),
        reason=data.text("reason"),
        judged_against=data.text("judged_against"),
        baseline=None if baseline is None else _estimate(baseline),
        change=None if change is None else _change(change),
        detectable=None if data.data.get("detectable") is None else _share(data, "detectable"),
        corrected=data.flag("corrected"),
        advice=tuple(data.texts("advice")),
        named=data.text("named") if "named" in data.data else "",
    )


def _traces(data: Fields) -> Traces:
    now, baseline = (data.optional(name, Fields) for name in ("now", "baseline"))
    return Traces(
        directory=data.text("directory"),
        host=data.text("host"),
        now=None if now is None else _trace(now),
        baseline=None if baseline is None else _trace(baseline),
        problems=tuple(data.texts("problems")),
    )


def _trace(data: Fields) -> Trace:
    path = None if data.data.get("path") is None else data.text("path")
    return Trace(data.text("title"), path, op_profile(data))


def _known(data: Fields, name: str, known: tuple[str, ...]) -> str:
    text = data.text(name)
    if text not in known:
        raise data.wrong(name, f"one of {', '.join(known)}")
    return text


def _estimate(data: Fields) -> Estimate:
    low, high = (
        None if data.data.get(name) is None else data.number(name) for name in ("low", "high")
    )
    return Estimate(data.number("value"), low, high)


def _change(data: Fields) -> Change:
    bounds = (_share(data, "value"), _share(data, "low"), _share(data, "high"))
    return (
        Change(*bounds, data.number("confidence")) if "confidence" in data.data else Change(*bounds)
    )


def _share(data: Fields, name: str) -> float:
    """A change of speed may be negative; -1 is the most that can be lost."""
    value: Any = data[name]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not -1 <= value <= 1e300:
        raise data.wrong(name, "a number >= -1")
    return float(value)
