"""What the commands' arguments have in common."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_tfthreads.core.gate.budget import parse_budget
from pytest_tfthreads.core.gate.failing import FAIL_ON_NOTHING, parse_failing
from pytest_tfthreads.core.tolerance import OPTION_SYNTAX, parse_tolerance

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = object


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    help: str,  # argparse's name for it
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """A command whose `run` takes its options and returns the exit code; `epilog` is laid out."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_tolerance(parser: argparse.ArgumentParser, what: str, default: str = "5%") -> None:
    """--tolerance, by metric; `what` it is and its `default`, for the help."""
    example = "5%, or throughput=5%,cpu_efficiency=10%"
    parser.add_argument(
        "--tolerance",
        type=_to_tolerance,
        default={},
        metavar="P",
        help=f"{what}: {example} (default: {default})".replace("%", "%%"),
    )


def add_fail_on(parser: argparse.ArgumentParser, what: str, known: Sequence[str]) -> None:
    """--fail-on, a list of those that are `known`; `what` they are, for the help."""
    parser.add_argument(
        "--fail-on",
        type=functools.partial(_to_statuses, known=known),
        default=frozenset({"regression"}),
        metavar="LIST",
        help=f"{what}, of {', '.join(known)}; or {FAIL_ON_NOTHING} (default: regression)",
    )


def _to_tolerance(text: str) -> dict[str, float]:
    """The type of --tolerance."""
    try:
        return parse_tolerance(text, OPTION_SYNTAX)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def to_budget(text: str) -> float:
    """The type of --budget: seconds."""
    try:
        return parse_budget(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _to_statuses(text: str, known: Sequence[str]) -> frozenset[str]:
    """What --fail-on lists, of those that are `known`."""
    try:
        return parse_failing(text, known)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_formats(parser: argparse.ArgumentParser, what: str, row: str) -> None:
    """--json and --csv; `what` is printed as JSON, a line for each `row` as CSV."""
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help=f"print {what} as JSON")
    formats.add_argument(
        "--csv", action="store_true", help=f"print {what} as CSV, a line for each {row}"
    )
