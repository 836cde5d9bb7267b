"""What the tests use of the rest of the repository, and a file of a repository of their own."""

import importlib.util
import sys
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
RECORDINGS = TOP / "recordings"


@cache
def program(name):
    """The program `benchmarks/NAME` as a module, such as "gate/replay.py". A whole path does too.

    Its neighbours are imported by their names, as when it is run as a program.
    """
    path = TOP / "benchmarks" / name
    # No other module has this name: one of the programs is called as the coverage of pytest-cov.
    module_name = f"benchmarks_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(path.parent)
        spec.loader.exec_module(module)
    return module


def touch(path, text=""):
    """A file with this text, in directories that are made where they are missing; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
