"""The command `pytest-tfthreads`: what can be said of saved runs without running anything."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from pytest_tfthreads import __version__
from pytest_tfthreads.commands import compare, report
from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.core.baseline import BaselineError

USAGE_ERROR = 2

_COMMANDS = (compare, report)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its code."""
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.run(options))
    except (BaselineError, CommandError) as error:
        print(f"pytest-tfthreads: error: {error}", file=sys.stderr)
        sys.exit(USAGE_ERROR)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-tfthreads", description="What saved runs of tf_threads tests say."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    return parser
