"""A grammar of what may be wrong with data: values, texts and bytes that nobody should write."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

MARK = "x-evil"
"""No page may have an element of this name."""

EVIL_TEXTS = (
    "",
    " ",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\r\rover\b\b\b",
    "a\nb\r\nc\td\x0b\x0c\x1c\x85\u2028",
    "\x00",
    "\x7f",
    "\u202eright to left\u2066",
    "\ud800",
    "\udcff\udc80",
    f"<{MARK}>",
    f"</script><{MARK} onerror=alert(1)>",
    f'"><{MARK} a="',
    f"'><{MARK} a='",
    f"<!--<script><{MARK}>",
    f"</title></style></textarea><{MARK}>",
    f"&lt;{MARK}&gt;",
    "javascript:alert(1)",
    "]]>",
    "--upload-pack=touch /tmp/never",
    "--output=never",
    "-",
    "--",
    "HEAD..@{-1}",
    "../../../../etc/passwd",
    "/dev/zero",
    "$(touch never)",
    "`touch never`",
    "::error file=x::injected",
    "| a | **b** | [c](javascript:alert(1))",
    "![a](https://example.com/a.png) <https://example.com> https://example.com www.example.com",
    "$x$ $`x`$ $$x$$",
    "%s%n%d{0}{x!r}",
    "test_a.py::test_x[intra2-inter1]",
    "0" * 40,
    "f" * 64,
    "9" * 5000,
    "1e999",
    "²",
    "٣",
    "NaN",
    "2026-02-31T25:61:61+99:99",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "é" * 300,
    "👩‍👩‍👧" * 50,
    "a" * 100_000,
    "a b " * 5000,
)
EVIL_NAMES = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "a\nb",
    "\x7f\x9b2J",
    "\u202eright to left",
    "\udcff",
    f"<{MARK}>",
    "| a | $x$",
    "::error::injected",
    "-",
    "a" * 200,
)
"""For files, which may have any name without a slash and a null character."""
EVIL_NUMBERS: tuple[Any, ...] = (
    0, -0.0, -1, 1, 0.5, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**299, 10**301, 10**400,
    -(10**400), 5e-324, 1e-320, 1e-308, 1e-300, 1e-30, 1e30, 1e299, 1e300, 1e301, 1.7e308,
    float("nan"), float("inf"), float("-inf"), 1e-9, 1e9, 4096, 4097, 100_000,
)  # fmt: skip
_ODD_WORDS = ("0-", "-1", "5-3", "0-999999999999", "1-2-3", "max", "+1", "1_0", "³")


def evil_text(rng: random.Random) -> str:
    """One of the texts, or several in one."""
    texts = rng.choices(EVIL_TEXTS, k=rng.choice((1, 1, 1, 2)))
    return "".join(texts)


def file_name(rng: random.Random, number: int) -> str:
    """Of a saved run: as a rule an honest one."""
    name = rng.choice(EVIL_NAMES) if rng.random() < 0.2 else "x"
    return f"{number:04}_{name}.json"


def any_value(rng: random.Random, depth: int = 0) -> Any:
    """A value of JSON, and of what Python's parser takes beside."""
    kind = rng.randrange(8 if depth < 3 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind in (2, 3):
        return rng.choice(EVIL_NUMBERS)
    if kind in (4, 5):
        return evil_text(rng)
    many = rng.randrange(4)
    if kind == 6:
        return [any_value(rng, depth + 1) for _ in range(many)]
    return {evil_text(rng): any_value(rng, depth + 1) for _ in range(many)}


def alike(rng: random.Random, value: Any) -> Any:
    """Another value of the same type: what gets through where types are looked at."""
    if isinstance(value, bool) or value is None:
        return rng.choice((True, False, None))
    if isinstance(value, str):
        evil = evil_text(rng)
        place = rng.randrange(len(value) + 1)
        return rng.choice((evil, value + evil, value[:place] + evil + value[place:]))
    if isinstance(value, int):
        return rng.choice((value + 1, -value, value * 1000, rng.choice(EVIL_NUMBERS)))
    if isinstance(value, float):
        return rng.choice((value * 1e3, value / 1e3, value * 1e100, value / 1e100, -value,
                           rng.choice(EVIL_NUMBERS)))  # fmt: skip
    if isinstance(value, list):
        copies = [*value, *value] if value else [any_value(rng)]
        return rng.choice((value[1:], value[:1], copies, value[::-1], []))
    if isinstance(value, Mapping):
        return dict(list(value.items())[:-1]) if rng.random() < 0.5 else {**value, **_more(rng)}
    return any_value(rng)


def _more(rng: random.Random) -> dict[str, Any]:
    return {evil_text(rng): any_value(rng)}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values within a value of JSON."""
    if path:
        yield path
    if isinstance(value, (dict, list)):
        for step, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(child, (*path, step))


def at(value: Any, path: Sequence[Any]) -> Any:
    """The value at a path."""
    for step in path:
        value = value[step]
    return value


def replaced(value: Any, path: Sequence[Any], change: Callable[[Any], Any]) -> Any:
    """The same with another value at this path."""
    if not path:
        return change(value)
    step, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[step] = replaced(copy[step], rest, change)
    return copy


def without(value: Any, path: Sequence[Any]) -> Any:
    """The same without what is at this path."""

    def drop(outer: Any) -> Any:
        if isinstance(outer, dict):
            return {name: one for name, one in outer.items() if name != path[-1]}
        return [one for index, one in enumerate(outer) if index != path[-1]]

    return replaced(value, path[:-1], drop)


def mutated(rng: random.Random, value: Any, paths: Sequence[tuple[Any, ...]]) -> Any:
    """A value of JSON in which a few values are others, most of them of the same type."""
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        path = rng.choice(paths)
        try:
            kind = rng.randrange(12)
            if kind == 0:
                value = without(value, path)
            elif kind in (1, 2):
                value = replaced(value, path, lambda _: any_value(rng))
            else:
                value = replaced(value, path, lambda old: alike(rng, old))
        except (LookupError, TypeError):  # an earlier change took the place away
            continue
    return value


def text_of(rng: random.Random, value: Any) -> bytes:
    """JSON, as a rule whole; now and then with a fault that no tree has."""
    text = json.dumps(value)
    kind = rng.randrange(40)
    if kind == 0:  # a name twice
        name, colon, rest = text.partition(":")
        text = f"{name}:{json.dumps(any_value(rng))},{name.lstrip('{')}{colon}{rest}"
    elif kind == 1:
        depth = rng.choice((50, 900, 1100, 100_000))
        opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
        end = closing * rng.choice((0, depth))
        text = text.replace(rng.choice((": null", ": 2", '": "')), f": {opening * depth}1{end}", 1)
    elif kind == 2:
        text = text.replace(": ", f": {'1' * rng.choice((400, 5000))}", 1)
    data = text.encode("utf-8", "surrogatepass")
    if kind in (3, 4):
        data = data[: rng.randrange(len(data))]
    elif kind in (5, 6):
        data = flipped(rng, data)
    elif kind == 7:
        data = rng.choice((b"\xef\xbb\xbf" + data, data + b"\0", data + data, b"", b"\xff\xfe"))
    return data


def flipped(rng: random.Random, data: bytes) -> bytes:
    """With a few bits that are others."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 16))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def lines_of_files(rng: random.Random, text: str) -> bytes:
    """What a file of a few words and numbers may hold instead."""
    kind = rng.randrange(10)
    if kind == 0:
        return b""
    if kind == 1:
        return flipped(rng, text.encode())
    if kind == 2:
        return text.encode()[: rng.randrange(len(text) + 1)]
    if kind == 3:
        return evil_text(rng).encode("utf-8", "surrogatepass")
    if kind == 4:
        return text.replace(",", "-").encode() * rng.choice((1, 1000))
    words = text.split(" ") if " " in text else text.replace("-", ",").split(",")
    place = rng.randrange(len(words))
    number = rng.choice(EVIL_NUMBERS)
    is_huge = isinstance(number, int) and abs(number) > 10**300
    evil = ("1" * 400 if is_huge else str(number), evil_text(rng), *_ODD_WORDS)
    words[place] = rng.choice(evil)
    return (" " if " " in text else ",").join(words).encode("utf-8", "surrogatepass")
