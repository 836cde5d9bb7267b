"""Options that plugins have settled for the whole run, such as a seed that they have drawn.

A measuring process reads the same command line, and would settle them anew, each one differently.
It gets only those that were changed since the command line was read: others may name paths, which a
duet's other side has elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

_AS_READ = pytest.StashKey[dict[str, Any]]()


def note_options(config: pytest.Config) -> None:
    """Remember the options as the command line says them; to be called before any is changed."""
    config.stash[_AS_READ] = {
        name: list(value) if isinstance(value, list) else value  # which may be added to
        for name, value in vars(config.option).items()
    }


def settled_options(config: pytest.Config) -> dict[str, Any]:
    """By name: options that have another value than the command line says, in plain data.

    Nothing where `note_options` was never called: then nobody knows.
    """
    as_read = config.stash.get(_AS_READ, None)
    if as_read is None:
        return {}
    return {
        name: value
        for name, value in vars(config.option).items()
        if _is_plain(value) and not _is_same(value, as_read.get(name))
    }


def settle_options(config: pytest.Config, values: Mapping[str, Any]) -> None:
    """Have these options, as far as they are known here, the values that they have elsewhere."""
    for name, value in values.items():
        if hasattr(config.option, name):
            setattr(config.option, name, value)


def _is_same(value: object, other: object) -> bool:
    return value is other or (type(value) is type(other) and value == other)


def _is_plain(value: object) -> bool:
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError, RecursionError):
        return False
