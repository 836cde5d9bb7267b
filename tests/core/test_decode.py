"""JSON into frozen dataclasses, strictly, and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from pytest_tfthreads.core.decode import (
    FLATTENED,
    Count,
    DecodeError,
    OneOf,
    Plain,
    Renamed,
    Within,
    decode,
    encode,
)


@dataclass(frozen=True)
class Size:
    wide: Count
    high: int = 1

    def __post_init__(self) -> None:
        if self.wide == 13:
            raise ValueError("13 is unlucky")


@dataclass(frozen=True)
class Order:
    name: str
    kind: Literal["fork", "fresh"]
    size: Annotated[Size, FLATTENED]
    is_urgent: bool = False
    share: float = 1.0
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


NEEDED = {"name": "x", "kind": "fork", "wide": 3}
FULL = Order(
    "x", "fresh", Size(3, -2), True, 0.5, -0.5, "green", Size(1), (Size(4), Size(5)), (0.5, 2),
    ("a", 1), frozenset({"b", "a"}), {"k": Size(6)}, Path("a/b"), {"any": [None]},
)  # fmt: skip


def test_there_and_back():
    data = json.loads(json.dumps(encode(FULL)))
    assert data["lines"] == [{"wide": 4, "high": 1}, {"wide": 5, "high": 1}]
    assert (data["wide"], data["tags"], data["place"]) == (3, ["a", "b"], "a/b")
    assert decode(Order, data) == FULL
    assert decode(Order, encode(FULL)) == FULL


def test_what_may_be_missing_or_more_than_is_known():
    assert decode(Order, {**NEEDED, "later": 1}) == Order("x", "fork", Size(3))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": 3}, "order.name is 3, not text"),
        ({"kind": "spawn"}, "order.kind is 'spawn', not one of fork, fresh"),
        ({"kind": []}, "order.kind is a list, not one of fork, fresh"),
        ({"colour": True}, "order.colour is True, not one of red, green"),
        ({"wide": -1}, "order.wide is -1, not an integer >= 0"),
        ({"wide": 1.0}, "order.wide is 1.0, not an integer >= 0"),
        ({"wide": True}, "order.wide is True, not an integer >= 0"),
        ({"wide": 13}, "order is impossible: 13 is unlucky"),
        ({"high": "1"}, "order.high is '1', not an integer"),
        ({"high": 10**400}, "order.high is a huge number, not an integer"),
        ({"is_urgent": 1}, "order.is_urgent is 1, not true or false"),
        ({"share": None}, "order.share is None, not a finite number"),
        ({"share": float("nan")}, "order.share is nan, not a finite number"),
        ({"share": float("-inf")}, "order.share is -inf, not a finite number"),
        ({"share": False}, "order.share is False, not a finite number"),
        ({"rating": 1.5}, "order.rating is 1.5, not a finite number between -1 and 1"),
        ({"parent": {}}, "order.parent.wide is missing"),
        ({"parent": 0}, "order.parent is 0, not an object"),
        ({"lines": {}}, "order.lines is an object, not a list"),
        (
            {"lines": [{"wide": 1}, {"wide": "x"}]},
            "order.lines[1].wide is 'x', not an integer >= 0",
        ),
        ({"lines": [{"wide": 13}]}, "order.lines[0] is impossible: 13 is unlucky"),
        ({"times_s": [0.5, float("nan")]}, "order.times_s[1] is nan, not a finite number"),
        ({"times_s": "0.5"}, "order.times_s is '0.5', not a list"),
        ({"pair": ["a"]}, "order.pair has 1 values, not 2"),
        ({"pair": ["a", "b"]}, "order.pair[1] is 'b', not an integer"),
        ({"tags": ["a", 1]}, "order.tags[1] is 1, not text"),
        ({"sizes": {"k": {"wide": None}}}, "order.sizes['k'].wide is None, not an integer >= 0"),
        ({"sizes": {1: {"wide": 1}}}, "order.sizes has the name 1, not text"),
        ({"place": 1}, "order.place is 1, not text"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(more, message):
    with pytest.raises(DecodeError) as caught:
        decode(Order, {**NEEDED, **more}, "order")
    assert str(caught.value) == message


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_value_is_named(name):
    with pytest.raises(DecodeError, match=f"^{name} is missing$"):
        decode(Order, {key: value for key, value in NEEDED.items() if key != name})


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_what_is_no_object_at_all(data):
    with pytest.raises(DecodeError, match=r"^order is .*, not an object$"):
        decode(Order, data, "order")


def test_an_annotation_that_is_not_known_is_a_mistake_of_the_programmer():
    @dataclass(frozen=True)
    class Odd:
        value: complex

    with pytest.raises(TypeError, match="cannot be decoded"):
        decode(Odd, {"value": 1})


@dataclass(frozen=True)
class Passed:
    open: Any = None
    raw: object = None
    facts: Mapping[str, Plain] = field(default_factory=dict)


def nested(depth, value=1):
    for turn in range(depth):
        value = [value] if turn % 2 else {"x": value, "y": (1.5, 2)}
    return value


def test_what_is_passed_on_is_nested_no_deeper_than_its_readers_can_follow():
    assert decode(Passed, {"open": nested(99)}).open == nested(99)
    with pytest.raises(DecodeError, match=r"^open is nested more than 100 deep$"):
        decode(Passed, {"open": nested(101)})
    assert decode(Passed, {"raw": nested(5000)}).raw


def test_plain_values_can_be_compared_and_printed():
    facts = {"text": "x", "count": 2, "share": 0.5, "is": True, "none": None}
    assert decode(Passed, {"facts": facts}).facts == facts
    for value in ([], {}, float("nan"), float("inf"), 10**400):
        with pytest.raises(DecodeError, match=r"^facts\['x'\] is .*, not a .*number"):
            decode(Passed, {"facts": {"x": value}})
