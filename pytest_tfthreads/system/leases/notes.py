"""Notes on the processes that have CPUs, for those that wait: files beside the file with the locks.

A note is shown and never relied on. Its process may have been killed, or be another version of
this one; so nothing in it is believed to have the right type, and what a terminal would obey is
taken out.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.core.file_reading import read_file
from pytest_tfthreads.core.format import printable
from pytest_tfthreads.system.originals import ORIGINALS

_MOST_CHARACTERS = 200  # of one text
_MOST_BYTES = 10_000  # of a note


@dataclass(frozen=True)
class Holder:
    """A process that has CPUs, or waits in front for some."""

    pid: int  # in its own container
    command: str
    purpose: str  # such as the id of a test
    doing: str  # "computing", "measuring alone", "waiting to compute", …
    is_shared: bool  # it has, or wants, nothing for itself alone
    since_s: float  # as time.time()

    @classmethod
    def this_process(cls, purpose: str, doing: str, is_shared: bool) -> Holder:
        command = shlex.join(sys.orig_argv)
        return cls(os.getpid(), command, purpose, doing, is_shared, ORIGINALS.time())

    def __str__(self) -> str:
        for_s = max(0.0, ORIGINALS.time() - self.since_s)
        return f"pid {self.pid} ({self.command}), {self.doing} for {for_s:.0f} s: {self.purpose}"


def write_note(folder: Path, number: int, holder: Holder) -> None:
    """Write what the owner of this ticket does, for the processes that have to wait."""
    note = {
        name: _cut(value) if isinstance(value, str) else value
        for name, value in vars(holder).items()
    }
    file = _file(folder, number)
    unfinished = file.with_suffix(".new")
    # A lease holds without a note; a full disk shall stop nobody from measuring.
    with contextlib.suppress(OSError):
        unfinished.write_text(json.dumps(note))
        unfinished.replace(file)


def remove_note(folder: Path, number: int) -> None:
    with contextlib.suppress(OSError):  # as above
        _file(folder, number).unlink(missing_ok=True)


def read_notes(folder: Path, before: int, lives: Callable[[int], bool]) -> tuple[Holder, ...]:
    """Holders of tickets taken before this one, in their order, as far as their notes tell.

    `lives` says whether the owner of a ticket is still there; notes of those that are not are
    removed.
    """
    found = {}
    try:
        files = list(folder.iterdir())
    except OSError:  # gone, or never there: nobody has left a note
        return ()
    for file in files:
        if not (file.stem.isascii() and file.stem.isdigit()):
            continue
        number = int(file.stem)
        if number >= before:
            continue
        if not lives(number):
            with contextlib.suppress(OSError):  # somebody else was quicker
                file.unlink()
        elif file.suffix == ".json" and (holder := _read(file)) is not None:
            found[number] = holder
    return tuple(found[number] for number in sorted(found))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.json"


def _read(file: Path) -> Holder | None:
    try:
        data = json.loads(read_file(file, _MOST_BYTES))
        if type(data["pid"]) is not int or not math.isfinite(data["since_s"]):
            return None
        return Holder(
            pid=data["pid"],
            command=_shown(data["command"]),
            purpose=_shown(data["purpose"]),
            doing=_shown(data["doing"]),
            is_shared=data["is_shared"] is True,
            since_s=data["since_s"],
        )
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _shown(text: object) -> str:
    return printable(_cut(str(text)))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
