"""Ini keys, whose values are text, or in pytest 9's `[tool.pytest]` whatever TOML has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_tfthreads.core.threads import ConfigError

# Which keys take more than text and numbers.
_LISTS = ("tf_threads", "tf_threads_fail_on", "tf_threads_preload")
_TABLES = {"tf_threads": ";", "tf_threads_tolerance": ","}  # what stands between entries, as text
_SWITCHES = ("tf_threads_duet",)


def text_of(config: pytest.Config, name: str) -> str | None:
    """The value as the option of the same name takes it; None where nothing is said.

    A boolean switches on, with the option's own default (empty text), or off ("off"). Raises
    `ConfigError`.
    """
    return _text(_value(config, name), name)


def is_given(config: pytest.Config, name: str) -> bool:
    """Whether the key says anything."""
    return _value(config, name) not in (None, "", False, [], {})


def _value(config: pytest.Config, name: str) -> object:
    # Since pytest 9 `getini` wants one type for each key, and refuses or warns of all others.
    raw = getattr(getattr(config, "_inicfg", {}).get(name), "value", None)
    return config.getini(name) if raw is None else raw


def _text(value: object, name: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        if name not in _SWITCHES:
            raise _unfit(name, value, "a boolean")
        return "" if value else "off"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list):
        if name not in _LISTS:
            raise _unfit(name, value, "a list")
        return ",".join(_one(part, name) for part in value)
    if isinstance(value, Mapping):
        if name not in _TABLES:
            raise _unfit(name, value, "a table")
        entries = (f"{key}={_axis(part, name)}" for key, part in value.items())
        return _TABLES[name].join(entries)
    raise _unfit(name, value, f"of type {type(value).__name__}")


def _axis(value: object, name: str) -> str:
    if isinstance(value, list):
        return ",".join(_one(part, "") for part in value)
    return _one(value, "")


def _one(value: object, name: str) -> str:
    """An entry of a list: text, a number, or two or three of them (intra, inter, instances)."""
    if isinstance(value, list) and name == "tf_threads" and len(value) in (2, 3):
        return "x".join(_one(part, "") for part in value)
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise _unfit(name or "tf_threads", value, f"of type {type(value).__name__}")


def _unfit(name: str, value: object, what: str) -> ConfigError:
    from pytest_tfthreads.core.threads import ConfigError

    return ConfigError(
        f"ini key {name}",
        f"{value!r} is {what}, which this key cannot take; write it as --{name.replace('_', '-')} "
        "takes it",
    )
