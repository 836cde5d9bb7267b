"""The command `pytest-tfthreads`: what is not done in a run of pytest."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn, TextIO

from pytest_tfthreads import __version__
from pytest_tfthreads.commands import bisect, compare, history, listing, recommend, releases, report
from pytest_tfthreads.commands.errors import CommandError, OutputError
from pytest_tfthreads.commands.output import complain, flush, tell
from pytest_tfthreads.core.format import one_line
from pytest_tfthreads.core.saved_runs import BaselineError
from pytest_tfthreads.core.stats.change_points import ChangesUnavailableError
from pytest_tfthreads.platforms import can_measure
from pytest_tfthreads.report.page import LibraryMissingError

USAGE_ERROR = 2
# As a shell has it: 128 and the signal's number.
INTERRUPTED = 130
CLOSED_PIPE = 141

_STANDARD = (0, 1, 2)  # descriptors of input, output and error output

_COMMANDS = (listing, history, compare, report, recommend, releases, bisect)
_TAKE_PYTESTS = ("bisect", "releases")  # commands that hand on to pytest what follows --
_ERRORS = (BaselineError, CommandError, LibraryMissingError, ChangesUnavailableError)
_EPILOG = """\
examples:
  pytest-tfthreads doctor --tolerance=5% --tests=20   which loss can be found on this machine?
  pytest-tfthreads list                               which runs are saved?
  pytest-tfthreads compare 0001 0007                  is the second slower than the first?
  pytest-tfthreads history --html history.html        since when is it slower?
  pytest-tfthreads releases v1.0..HEAD                since which release is it slower?
  pytest-tfthreads bisect TEST --good=v1.0            which commit made it slower?
  pytest-tfthreads report -o report.html              the latest saved run, with figures
  pytest-tfthreads recommend --format=env             the best configuration, for production
  pytest-tfthreads history --help                     the options of a command
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its code."""
    _occupy_standard_descriptors()
    try:
        sys.exit(_code(arguments))
    finally:
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
        except OSError:
            _forget(sys.stderr)


def _occupy_standard_descriptors() -> None:
    """Else what is opened next gets the number of one that is closed, and children print to it."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor in _STANDARD:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def _code(arguments: Sequence[str] | None) -> int:
    """Run the command; its exit code."""
    try:
        try:
            return _run(arguments)
        finally:
            flush()  # or it is at exit that a closed pipe is found, and told of
    except BrokenPipeError:
        _forget(sys.stdout)
        return CLOSED_PIPE
    except OutputError as error:
        _forget(sys.stdout)
        _tell(str(error))
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED


def _forget(stream: TextIO | None) -> None:
    """Keep Python from trying again, when it exits, to print what nobody takes."""
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _tell(error: str) -> None:
    tell(f"error: {error}")


def _run(arguments: Sequence[str] | None) -> int:
    if hasattr(sys.stdout, "reconfigure"):  # a terminal may know fewer letters than we
        sys.stdout.reconfigure(errors="replace")
    parser = _parser()
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    if not given:
        parser.print_help()
        return 0
    end = given.index("--") if given[0] in _TAKE_PYTESTS and "--" in given else len(given)
    options = parser.parse_args(given[:end])
    if given[end:]:
        options.pytest_arguments = given[end + 1 :]
    try:
        code: int = options.run(options)
    except _ERRORS as error:
        _tell(str(error))
        return USAGE_ERROR
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        complain(f"{self.prog}: error: {one_line(message)} (see {self.prog} -h)")
        sys.exit(USAGE_ERROR)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pytest-tfthreads",
        description="Read saved runs, find the release or the commit that made a test slower, and "
        "check whether this machine is fit to measure.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (_doctor(), *_COMMANDS):
        command.add_to(commands)
    return parser


def _doctor() -> ModuleType:
    """The one command that measures: where that cannot be, a stand-in that says so."""
    if can_measure():
        from pytest_tfthreads.commands import doctor

        return doctor
    from pytest_tfthreads.commands import doctor_elsewhere

    return doctor_elsewhere
