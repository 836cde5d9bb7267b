"""Figures and texts as every report, message and table writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

NOTHING = "–"
"""Where there is no figure."""

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_ROUNDED_TO_ZERO = 1e-9
_LONGEST_QUOTE = 200
_WITHOUT_EXPONENT = 1e15
_METRIC_NAMES = {"throughput": "throughput", "cpu_efficiency": "CPU efficiency"}
_PER = {"throughput": "s", "cpu_efficiency": "CPU-s"}


class Interval(Protocol):
    """A figure with its interval: an estimate, a change, a shift between two levels."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


Writer = Callable[[float], str]
"""How a figure is written: `number`, `percent`, `hundredths`, ..."""


def number(value: float) -> str:
    """Four significant digits, thousands set apart: 1234.5 → "1,234", 0.12345 → "0.1235"."""
    if 1000 <= value < _WITHOUT_EXPONENT:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def whole(value: float) -> str:
    """2.6 → "3"."""
    return f"{value:.0f}"


def tenths(value: float) -> str:
    """2.56 → "2.6"."""
    return f"{value:.1f}"


def hundredths(value: float) -> str:
    """2.567 → "2.57"."""
    return f"{value:.2f}"


def percent(share: float) -> str:
    """0.314 → "31 %", 0.0314 → "3.1 %"."""
    if abs(share) >= _WITHOUT_EXPONENT:
        return f"{100 * share:.2g} %"
    digits = 0 if abs(share) >= 0.0995 else 1
    return f"{100 * share:.{digits}f} %"


def signed_percent(share: float) -> str:
    """With a sign, a true minus: -0.314 → "−31 %"; what rounding left of nothing is "+0.0 %"."""
    return f"{'−' if share < -_ROUNDED_TO_ZERO else '+'}{percent(abs(share))}"


def small_percent(share: float) -> str:
    """Two significant digits, for shares that may be far below one percent: 0.00031 → "0.031 %"."""
    return f"{100 * share:.2g} %"


def round_percent(share: float) -> str:
    """A share as people set it: 0.05 → "5 %", 0.125 → "12.5 %"."""
    return f"{100 * share:.3g} %"


def bounds(found: Interval, write: Writer = number) -> str:
    """The interval alone, without a percent sign: "[28, 34]"; "[–]" where there is none."""
    if found.low is None and found.high is None:
        return f"[{NOTHING}]"
    low, high = (
        NOTHING if one is None else write(one).removesuffix(" %") for one in (found.low, found.high)
    )
    return f"[{low}, {high}]"


def with_bounds(found: Interval, write: Writer = number) -> str:
    """A figure and its interval: "31 % [28, 34]"."""
    return f"{write(found.value)} {bounds(found, write)}"


def plural(count: int, noun: str) -> str:
    """1 CPU, 2 CPUs."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def ranges(cpus: Sequence[int]) -> str:
    """(0, 1, 2, 8) → "0-2,8"."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][-1] + 1:
            parts[-1].append(cpu)
        else:
            parts.append([cpu])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def time_unit(seconds: float) -> tuple[float, str]:
    """The unit in which a time is written, as its length in seconds and its name."""
    return next((one for one in _TIMES if seconds >= one[0]), _TIMES[-1])


def duration(seconds: float) -> str:
    """0.0123 → "12.3 ms"."""
    size, unit = time_unit(seconds)
    figure = seconds / size
    # From 1000 on three significant digits would need an exponent.
    return f"{figure:.3g} {unit}" if figure < 999.5 else f"{figure:,.0f} {unit}"


def milliseconds(seconds: float | None) -> str:
    """The figure alone, for a column of milliseconds: 0.0123 → "12.3"."""
    return NOTHING if seconds is None else f"{1000 * seconds:.3g}"


def mebibytes(count: int) -> str:
    """2**30 → "1,024 MiB"."""
    return f"{count / 2**20:,.0f} MiB"


def clock(seconds: float) -> str:
    """A time as clocks show it: 0:05, 12:05, 1:02:05."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest_s:02}" if hours else f"{minutes}:{rest_s:02}"


def metric_name(metric: str) -> str:
    """A metric in words: "cpu_efficiency" → "CPU efficiency"; an unknown one stays as it is."""
    return _METRIC_NAMES.get(metric, metric)


def metric_unit(metric: str, unit: str = "units") -> str:
    """The unit of a metric, where `unit` is that of the work: "images/s", "images/CPU-s"."""
    per = _PER.get(metric)
    return metric if per is None else f"{unit}/{per}"


def quoted(value: object) -> str:
    """A value that the user gave, as an error message shows it: in Python's notation, and cut."""
    try:
        words = repr(value)
    except Exception as error:  # a class may raise anything here, and a huge integer does
        words = f"<{type(value).__name__} that cannot be shown: {one_line(str(error))}>"
    return words if len(words) <= _LONGEST_QUOTE else f"{words[: _LONGEST_QUOTE - 3]}..."


def one_line(text: str) -> str:
    """A text from a test or a file in one line, without anything that a terminal would obey."""
    return " ".join(printable(text).split())


def printable_lines(text: str) -> str:
    """The same for a text of several lines, which stay apart."""
    return "\n".join(map(printable, text.split("\n")))


def printable(text: str) -> str:
    """A text without anything that a terminal would obey; its spaces stay, as in a table's line.

    White space becomes a space, any other character that cannot be printed a question mark.
    """
    return "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in text)
