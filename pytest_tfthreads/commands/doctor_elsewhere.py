"""The command `doctor` where tests cannot be measured: it says what it needs."""

from __future__ import annotations

import argparse
import sys

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.parsers import Commands, add_command
from pytest_tfthreads.names import NEEDS_LINUX


def add_to(commands: Commands) -> None:
    """Register the sub-command with its options."""
    doctor = add_command(
        commands,
        "doctor",
        _doctor,
        help=f"is this machine fit to measure: {NEEDS_LINUX}",
        description=f"Nothing can be examined here: {NEEDS_LINUX}.",
        epilog="",
    )
    # The options that it has on Linux are taken as they come, for none of them helps.
    doctor.prefix_chars = "\0"
    doctor.add_argument("options", nargs="*")


def _doctor(options: argparse.Namespace) -> int:
    raise CommandError(
        f"doctor looks at a Linux machine and measures on it, and this is {sys.platform}: "
        f"{NEEDS_LINUX}. Run it on the machine that is to measure; the commands that only read "
        "saved runs work here"
    )
