"""JSON to frozen dataclasses and back: strictly, by the annotations of their fields.

Nothing in the data is believed. A value that is not what its field's annotation says is a
`DecodeError`, whose message names the place: `processes[1].wall_s[0] is 'x', not a finite number`.

Annotations may be dataclasses, `str`, `int` (not `bool`), `float` (finite; integers are taken, and
stay integers), `bool`, `Literal`, `X | None`, `tuple[X, ...]`, `tuple[X, Y]`, `frozenset[X]`,
`Mapping[str, X]`, `Path`, `Plain`, `Any` (nested no deeper than `DEEPEST`: it is passed on) and
`object` (anything); and `Annotated` with `Within`, `OneOf`, `Renamed` or `FLATTENED`. A field that
has a default may be missing, also where `None` is not allowed. Unknown names in the data are left
out: they are of a later version.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

LARGEST = 1e300
"""No number may be larger: products and sums of a few are still finite."""

DEEPEST = 100
"""Lists and objects that may be within each other: what passes them on calls itself for each."""

_Kind = TypeVar("_Kind")
_Decode = Callable[[Any], Any]


@dataclass(frozen=True)
class Within:
    """The smallest and the largest number that a field may hold."""

    low: float
    high: float = LARGEST


@dataclass(frozen=True)
class OneOf:
    """The texts that a field may hold."""

    known: tuple[str, ...]


@dataclass(frozen=True)
class Renamed:
    """The field's name in JSON."""

    name: str


@dataclass(frozen=True)
class _Flattened:
    pass


FLATTENED = _Flattened()
"""The fields of a field's dataclass stand in JSON beside the other fields of the outer one."""


@dataclass(frozen=True)
class _Plain:
    pass


Plain = Annotated[Any, _Plain()]
"""A text, a finite number, true, false or null: no list and no object."""
NotNegative = Annotated[float, Within(0)]
Count = Annotated[int, Within(0)]


class DecodeError(ValueError):
    """A value is not what it must be; `place` is where it stands, `problem` what is wrong."""

    def __init__(self, problem: str, place: str = "") -> None:
        super().__init__(f"{place} {problem}" if place else problem)
        self.problem = problem
        self.place = place

    def within(self, step: str) -> DecodeError:
        """The same, seen from one step further out: a field's name, or an index in brackets."""
        dot = "." if self.place and not self.place.startswith("[") else ""
        return DecodeError(self.problem, f"{step}{dot}{self.place}")


def decode(kind: type[_Kind], data: object, where: str = "") -> _Kind:
    """A `kind` (mostly a dataclass) from JSON's values; `where` names the data in errors.

    Raises `DecodeError`, also where the dataclass itself refuses its values by a `ValueError`.
    """
    whole: Any = kind
    try:
        decoded: _Kind = _decoder(whole)(data)
    except DecodeError as error:
        raise (error.within(where) if where else error) from None
    return decoded


def encode(value: Any) -> Any:
    """JSON's values, from which `decode` makes an equal value; what JSON lacks stays as it is.

    In a field whose annotation leaves open what is there (`Any`, or a `Mapping` or a `tuple` of
    that) all but objects and lists stays as it is: it is anybody's.
    """
    if isinstance(value, (str, int, float)) or value is None:
        return value
    if is_dataclass(value):
        return _encode_fields(value)
    if isinstance(value, Mapping):
        return {name: encode(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [*value] if set(map(type, value)) <= {float, int} else [encode(one) for one in value]
    if isinstance(value, frozenset):
        return sorted(map(encode, value))
    return str(value) if isinstance(value, Path) else value


def shown(value: object) -> str:
    """A value of JSON in a few words, for messages."""
    if value is None or isinstance(value, (bool, int, float, str)):
        is_huge = isinstance(value, int) and abs(value) >= LARGEST
        words = "a huge number" if is_huge else repr(value)
        return words if len(words) <= 40 else f"{words[:37]}..."
    return "an object" if isinstance(value, Mapping) else "a list"


@dataclass(frozen=True)
class _Field:
    name: str
    key: str  # its name in JSON
    decode: _Decode
    is_required: bool
    is_flattened: bool
    is_open: bool  # its annotation does not say what is in it


@functools.cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for field in fields(kind):
        extras = get_args(hints[field.name])[1:] if _is_annotated(hints[field.name]) else ()
        renamed = [extra.name for extra in extras if isinstance(extra, Renamed)]
        found.append(
            _Field(
                field.name,
                renamed[0] if renamed else field.name,
                _decoder(hints[field.name]),
                field.default is MISSING and field.default_factory is MISSING,
                FLATTENED in extras,
                _is_open(hints[field.name]),
            )
        )
    return tuple(found)


@functools.cache
def _plain(kind: Any) -> tuple[tuple[str, str, _Decode, bool], ...]:
    return tuple(
        (field.name, field.key, field.decode, field.is_required)
        for field in _fields(kind)
        if not field.is_flattened
    )


@functools.cache
def _flattened(kind: Any) -> tuple[tuple[str, _Decode], ...]:
    return tuple((field.name, field.decode) for field in _fields(kind) if field.is_flattened)


@functools.cache
def _decoder(kind: Any) -> _Decode:
    """What decodes values of this annotation; raises `TypeError` for one that is not known."""
    extras: Sequence[Any] = ()
    if _is_annotated(kind):
        kind, *extras = get_args(kind)
    within = next((extra for extra in extras if isinstance(extra, Within)), None)
    known = next((extra.known for extra in extras if isinstance(extra, OneOf)), None)
    origin, arguments = get_origin(kind), get_args(kind)
    if any(isinstance(extra, _Plain) for extra in extras):
        return _plain_value()
    if kind is object:
        return lambda value: value
    if kind is Any:
        return _any
    if kind in (int, float):
        return _number(kind, within)
    if origin is Literal or known is not None:
        return _one_of(known or arguments)
    if kind in _SCALARS:
        return _scalar(*_SCALARS[kind])
    if is_dataclass(kind):
        return _object(kind)
    if origin in (Union, types.UnionType):
        return _optional(kind, arguments)
    if origin is tuple:
        return _list(arguments) if arguments[-1] is ... else _row(arguments)
    if origin is frozenset:
        inner = _list((*arguments, ...))
        return lambda value: frozenset(inner(value))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(arguments[1])
    if kind is Path:
        text = _decoder(str)
        return lambda value: Path(text(value))
    raise TypeError(f"{kind} cannot be decoded from JSON")


_SCALARS: Mapping[Any, tuple[type, str]] = {str: (str, "text"), bool: (bool, "true or false")}


def _is_annotated(kind: Any) -> bool:
    return get_origin(kind) is Annotated


def _is_open(kind: Any) -> bool:
    """Whether an annotation says nothing of the values within."""
    if kind in (Any, object):
        return True
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return all(_is_open(argument) for argument in arguments if argument is not type(None))
    if origin is tuple:
        return _is_open(arguments[0])
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    return is_mapping and _is_open(arguments[1])


def _wrong(value: object, expected: str) -> DecodeError:
    return DecodeError(f"is {shown(value)}, not {expected}")


def _scalar(kind: type, expected: str) -> _Decode:
    def decode_scalar(value: Any) -> Any:
        if not isinstance(value, kind):
            raise _wrong(value, expected)
        return value

    return decode_scalar


def _plain_value() -> _Decode:
    number = _decoder(float)

    def decode_plain(value: Any) -> Any:
        if value is None or isinstance(value, (str, bool)):
            return value
        if not isinstance(value, (int, float)):
            raise _wrong(value, "a text, a number, true or false")
        return number(value)

    return decode_plain


def _any(value: Any) -> Any:
    """It may be anybody's, and so cyclic where it did not come from JSON."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _nested(one)]
        if not level:
            return value
    raise DecodeError(f"is nested more than {DEEPEST} deep")


def _nested(value: Any) -> list[Any]:
    """The lists and objects in this one."""
    children = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, (Mapping, list, tuple)):
        return []
    return [one for one in children if isinstance(one, (dict, list, tuple))]


def _number(kind: Any, within: Within | None) -> _Decode:
    low, high = (within.low, within.high) if within else (-LARGEST, LARGEST)
    types_ = (int,) if kind is int else (int, float)
    expected = "an integer" if kind is int else "a finite number"
    if low > -LARGEST:
        expected += f" >= {low:g}" if high == LARGEST else f" between {low:g} and {high:g}"

    def decode_number(value: Any) -> Any:
        # Python's parser takes NaN, Infinity and integers beyond any float; True is an int.
        is_number = isinstance(value, types_) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise _wrong(value, expected)
        return value

    return decode_number


def _one_of(known: Sequence[Any]) -> _Decode:
    expected = f"one of {', '.join(map(str, known))}"
    allowed = {(type(one), one) for one in known}  # True is not 1 here

    def decode_one_of(value: Any) -> Any:
        if not isinstance(value, (str, int)) or (type(value), value) not in allowed:
            raise _wrong(value, expected)
        return value

    return decode_one_of


def _optional(kind: Any, arguments: Sequence[Any]) -> _Decode:
    others = [argument for argument in arguments if argument is not type(None)]
    if len(others) != 1:
        raise TypeError(f"{kind} cannot be decoded from JSON: only X | None can")
    inner = _decoder(others[0])
    return lambda value: None if value is None else inner(value)


def _list(arguments: Sequence[Any]) -> _Decode:
    inner = _decoder(arguments[0])
    are_floats = _all_floats_within(arguments[0])

    def decode_list(value: Any) -> tuple[Any, ...]:
        values = _sequence(value)
        if are_floats is not None and are_floats(values):
            return tuple(values)
        return tuple(_at(index, inner, one) for index, one in enumerate(values))

    return decode_list


def _all_floats_within(kind: Any) -> Callable[[Sequence[Any]], bool] | None:
    """A quick test of all values at once, where they are to be floats: rounds come by the million.

    Whether each value certainly is what it must be.
    """
    bare, *extras = get_args(kind) if _is_annotated(kind) else (kind,)
    if bare is not float:
        return None
    within = next((extra for extra in extras if isinstance(extra, Within)), Within(-LARGEST))

    def test(values: Sequence[Any]) -> bool:
        if set(map(type, values)) != {float}:
            return False
        # A NaN, which compares like nothing else, would show in the sum.
        is_finite = math.isfinite(sum(values))
        return is_finite and within.low <= min(values) and max(values) <= within.high

    return test


def _row(arguments: Sequence[Any]) -> _Decode:
    inner = [_decoder(argument) for argument in arguments]

    def decode_row(value: Any) -> tuple[Any, ...]:
        values = _sequence(value)
        if len(values) != len(inner):
            raise DecodeError(f"has {len(values)} values, not {len(inner)}")
        pairs = zip(inner, values, strict=True)
        return tuple(_at(index, *pair) for index, pair in enumerate(pairs))

    return decode_row


def _sequence(value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):  # pytest-xdist hands tuples on as tuples
        raise _wrong(value, "a list")
    return value


def _at(index: int, inner: _Decode, value: Any) -> Any:
    try:
        return inner(value)
    except DecodeError as error:
        raise error.within(f"[{index}]") from None


def _mapping(kind: Any) -> _Decode:
    inner = _decoder(kind)

    def decode_mapping(value: Any) -> dict[str, Any]:
        decoded = {}
        for name, one in _mapping_of(value).items():
            if not isinstance(name, str):
                raise DecodeError(f"has the name {shown(name)}, not text")
            try:
                decoded[name] = inner(one)
            except DecodeError as error:
                raise error.within(f"[{shown(name)}]") from None
        return decoded

    return decode_mapping


def _mapping_of(value: Any) -> Mapping[Any, Any]:
    # The first test is quick, and nearly always enough.
    if type(value) is dict or isinstance(value, Mapping):
        return value
    raise _wrong(value, "an object")


def _object(kind: Any) -> _Decode:
    def decode_object(value: Any) -> Any:
        data = _mapping_of(value)
        arguments = {}
        key = ""
        try:
            for name, key, decode_field, is_required in _plain(kind):
                if key in data:
                    arguments[name] = decode_field(data[key])
                elif is_required:
                    raise DecodeError("is missing")  # noqa: TRY301  # the key is added below
        except DecodeError as error:
            raise error.within(key) from None
        for name, decode_field in _flattened(kind):
            arguments[name] = decode_field(data)
        try:
            return kind(**arguments)
        except (ValueError, ArithmeticError) as error:
            raise DecodeError(f"is impossible: {error}") from error

    return decode_object


def _copied(value: Any) -> Any:
    """Anybody's value: only what JSON knows is looked into."""
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, (list, tuple)) else value


def _encode_fields(value: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    kind: Any = type(value)
    for field in _fields(kind):
        inner = getattr(value, field.name)
        inner = _copied(inner) if field.is_open else encode(inner)
        encoded.update(inner if field.is_flattened else {field.key: inner})
    return encoded
