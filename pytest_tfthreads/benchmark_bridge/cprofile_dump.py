"""The files of --benchmark-cprofile-dump, which a measuring process writes after its test."""

from __future__ import annotations

import marshal
from pathlib import Path
from typing import Any

import pytest

from pytest_tfthreads.system import files

DUMP_KEY = pytest.StashKey[str]()  # what `dump_prefix` was, before `preparing` took it away
DUMP_OPTION = "--benchmark-cprofile-dump"
ANOTHER_FILE = "mend that, or name another file"


def dump(config: pytest.Config, metadata: Any) -> str:
    """Write the profile, if a file of it is wanted; why that was impossible, or nothing."""
    prefix = config.stash.get(DUMP_KEY, "")
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
