"""The files of --benchmark-cprofile-dump, which a measuring process writes after its test."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_tfthreads.system import files

_HELD = pytest.StashKey[str]()  # the prefix, which pytest-benchmark is not to see
DUMP_OPTION = "--benchmark-cprofile-dump"
# Options of a process that is not to write any: both sides of a duet would write one path, and
# whose profile it is would be left to chance.
WITHOUT_DUMP: Mapping[str, Any] = {"benchmark_cprofile_dump": []}
ANOTHER_FILE = "mend that, or name another file"


def hold_dump(config: pytest.Config) -> None:
    """Keep the option from pytest-benchmark; `dump` does what it asks for.

    pytest-benchmark writes a profile within the test, which would fail where that is impossible.
    """
    if prefix := dump_prefix(config):
        config.stash[_HELD] = prefix
        config.option.benchmark_cprofile_dump = []


def dump(config: pytest.Config, metadata: Any) -> str:
    """Write the profile, if a file of it is wanted; why that was impossible, or nothing."""
    prefix = config.stash.get(_HELD, "")
    if not prefix or metadata.cprofile_stats is None:
        return ""
    from pytest_benchmark.utils import slugify

    path = Path(f"{prefix}-{slugify(metadata.name)}.prof")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_file(path, marshal.dumps(metadata.cprofile_stats.stats))
    except OSError as error:
        return f"{DUMP_OPTION}: {path} was not written: {error.strerror}; {ANOTHER_FILE}"
    return ""


def dump_prefix(config: pytest.Config) -> str:
    """The value of --benchmark-cprofile-dump, which pytest-benchmark before 5.0 does not have."""
    given = config.getoption("benchmark_cprofile_dump", None) or [""]
    return str(given[0])
