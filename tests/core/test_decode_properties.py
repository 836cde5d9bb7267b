"""Whatever JSON there is: a value, or an error that names the place."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from builders import measurement, sample
from properties import json_values, places, replaced, tried, value_or_error
from pytest_tfthreads.core.benchmark_record import BenchmarkRecord
from pytest_tfthreads.core.decode import (
    FLATTENED,
    LARGEST,
    Count,
    DecodeError,
    OneOf,
    Renamed,
    Within,
    decode,
    encode,
)
from pytest_tfthreads.core.layout import Layout
from pytest_tfthreads.core.measurement import Measurement, Pools
from pytest_tfthreads.core.op_profile import OpProfile, OpTime, Trace, TraceResult, Traces
from pytest_tfthreads.engine.reply import RaisedError, RecordedWarning, Reply


@dataclass(frozen=True)
class Size:
    wide: Count
    high: int = 1


@dataclass(frozen=True)
class Everything:
    """A field for each kind of annotation."""

    name: str
    kind: Literal["fork", "fresh"]
    size: Annotated[Size, FLATTENED]
    share: float
    is_urgent: bool = False
    rating: Annotated[float, Within(-1, 1)] = 0.0
    colour: Annotated[str, OneOf(("red", "green"))] = "red"
    parent: Size | None = None
    rows: Annotated[tuple[Size, ...], Renamed("lines")] = ()
    times_s: tuple[float, ...] = ()
    pair: tuple[str, int] = ("", 0)
    tags: frozenset[str] = frozenset()
    sizes: Mapping[str, Size] = field(default_factory=dict)
    place: Path | None = None
    extra: Any = None


FINITE = st.floats(-LARGEST, LARGEST)
SIZES = st.builds(Size, st.integers(0, 2**80), st.integers(-(2**80), 2**80))
OWN_JSON = json_values(st.none() | st.booleans() | st.integers() | FINITE | st.text())
EVERYTHING = st.builds(
    Everything,
    name=st.text(),
    kind=st.sampled_from(["fork", "fresh"]),
    size=SIZES,
    share=FINITE | st.integers(-(10**20), 10**20),
    is_urgent=st.booleans(),
    rating=st.floats(-1, 1),
    colour=st.sampled_from(["red", "green"]),
    parent=st.none() | SIZES,
    rows=st.lists(SIZES, max_size=3).map(tuple),
    times_s=st.lists(FINITE, max_size=5).map(tuple),
    pair=st.tuples(st.text(), st.integers()),
    tags=st.frozensets(st.text(), max_size=3),
    sizes=st.dictionaries(st.text(), SIZES, max_size=3),
    place=st.none() | st.lists(st.text("ab.", min_size=1), min_size=1).map(lambda x: Path(*x)),
    extra=OWN_JSON,
)

PROFILE = OpProfile(4, 0.5, 0.1, (OpTime("MatMul", 2.0, 0.25),))
WHOLE = [
    Everything(
        "x", "fork", Size(1), 0.5, parent=Size(2), rows=(Size(3),), times_s=(0.5, 1.5),
        sizes={"k": Size(4)}, tags=frozenset({"t"}), place=Path("a/b"), extra={"any": [1]},
    ),
    measurement(sample(), sample(ring=1, reference_wall_s=0.1, reference_cpu_s=0.1)),
    Traces("traces", "host", Trace("now", "a/b", PROFILE), None, ("none was taken",)),
    Layout(10, 20),
    Reply(
        "finished",
        reports=({"when": "call"},),
        warnings=(RecordedWarning("w", "builtins", "UserWarning", "f.py", 1, "t"),),
        benchmark=BenchmarkRecord((0.5,), 1, None, {"timer": "x"}, {}, (("f", 1, "g"),)),
        sample=sample(),
        effective=Pools(2, 1),
        trace=TraceResult(PROFILE),
        raised={"call": (RaisedError((("builtins", "ValueError"),), "text", (1,), {"a": 1}),)},
    ),
]  # fmt: skip


@tried(150)
@given(EVERYTHING)
def test_there_and_back(value):
    assert decode(Everything, json.loads(json.dumps(encode(value)))) == value


def read(kind, data):
    """The value, or nothing where an error says what is wrong, and names a place that is there."""
    found, error = value_or_error(DecodeError, decode, kind, data, "data")
    if error is not None:
        assert error.place == "data" or error.place.startswith(("data.", "data["))
        assert str(error) == f"{error.place} {error.problem}"
        assert len(error.problem) < 400
    return found


def is_sound(value):
    """Whether all numbers within can be counted on."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(is_sound, value.values()))
    return not isinstance(value, list) or all(map(is_sound, value))


@pytest.mark.parametrize("whole", WHOLE, ids=lambda one: type(one).__name__)
def test_one_value_is_another(whole):
    data = json.loads(json.dumps(encode(whole)))
    paths = list(places(data))

    @tried(150)
    @given(st.sampled_from(paths), json_values())
    @example((), None)
    def any_value(path, new):
        found = read(type(whole), replaced(data, path, new))
        if found is not None and isinstance(found, Measurement):
            for one in found.samples:
                assert is_sound(encode(one))

    any_value()


@pytest.mark.parametrize("whole", WHOLE, ids=lambda one: type(one).__name__)
def test_one_value_is_missing(whole):
    data = json.loads(json.dumps(encode(whole)))
    for path in places(data):
        if path and isinstance(path[-1], str):
            read(type(whole), without(data, path))


def without(data, path):
    *outer, name = path
    there = data
    for step in outer:
        there = there[step]
    return replaced(data, outer, {key: one for key, one in there.items() if key != name})


@tried(200)
@given(json_values(most=20))
def test_any_json_at_all(data):
    for whole in WHOLE:
        read(type(whole), data)
