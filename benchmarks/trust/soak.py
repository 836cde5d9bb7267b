"""Many runs one after the other, and one run of many tests: what grows, and what becomes slower.

    python benchmarks/trust/soak.py [--runs N] [--tests N]

N runs (500) of a small project with a fake TensorFlow, one after the other, and one run of N tests
(500), of which one half is measured and the other half shares a process. After each run no process
and no temporary file may be left, and no directory but that of saved runs may hold more files at
the end than at the beginning. In the long run neither descriptors nor threads nor temporary files
may become more from the first quarter of its tests to the last one, in pytest and all processes
below it together. What grows in pytest for each test is what pytest and pytest-benchmark keep of
it: at most 200 kB may be added for a test. The peak of pytest's memory in the last runs may be 2 %
higher than in the first ones.

Prints a table. Times are told as the ratio of the last quarter to the first one, by medians; they
are no violation, for a machine that is busy in between would be one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox import LONGEST_S, Room, Violation, check_processes, check_temporary, room_of

MOST_BYTES_A_TEST = 200_000
_BYTES_PART = 0.02  # by which the memory of equal runs differs
_FEWEST = 8  # of what is compared by quarters

SHORT = """
import time
import pytest

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_measured(benchmark):
    benchmark.pedantic(time.sleep, (0.001,), rounds=10, iterations=1)

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_shares():
    pass
"""

LONG = """
import os, time
import pytest

COUNT = int(os.environ["TESTS"])

@pytest.mark.parametrize("number", range(COUNT // 2))
@pytest.mark.tf_threads(intra=1, inter=1)
def test_measured(benchmark, number):
    benchmark.pedantic(time.sleep, (0.001,), rounds=10, iterations=1)

@pytest.mark.parametrize("number", range(COUNT - COUNT // 2))
@pytest.mark.tf_threads(intra=1, inter=1)
def test_shares(number):
    pass
"""

# Loaded in measuring processes, too: notes are told apart by who wrote them.
CONFTEST = """
import json, os, time

PAGE = os.sysconf("SC_PAGE_SIZE")

def everybody(pid):
    yield pid
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = file.read().split()
    except OSError:
        return
    for child in children:
        yield from everybody(child)

def pytest_runtest_logfinish(nodeid):
    note = dict.fromkeys(("descriptors", "threads", "bytes"), 0)
    for pid in everybody(os.getpid()):
        try:
            note["descriptors"] += len(os.listdir(f"/proc/{pid}/fd"))
            note["threads"] += len(os.listdir(f"/proc/{pid}/task"))
            with open(f"/proc/{pid}/statm") as file:
                note["bytes"] += int(file.read().split()[1]) * PAGE
        except OSError:
            pass
    note |= {"pid": os.getpid(), "name": nodeid, "at_s": time.monotonic()}
    note["files"] = len(os.listdir(os.environ["TMPDIR"]))
    with open(os.environ["NOTES"], "a") as file:
        print(json.dumps(note), file=file)
"""


@dataclass(frozen=True)
class Note:
    """What there was after a run or a test, and how long that took."""

    name: str
    seconds: float
    figures: dict[str, int]


@dataclass(frozen=True)
class Row:
    """A line of the table: how a figure was in the first quarter, and in the last."""

    what: str
    figure: str
    first: float
    last: float
    limit: float | None  # what `last` may be at most; None: whatever comes

    @property
    def is_violation(self) -> bool:
        return self.limit is not None and self.last > self.limit


def quarters(
    what: str, notes: Sequence[Note], figure: Callable[[Note], float]
) -> tuple[float, float]:
    """The medians of the first and of the last quarter. Raises `Violation` if there are too few."""
    if len(notes) < _FEWEST:
        raise Violation(f"{what}: {len(notes)} are too few")
    count = len(notes) // 4
    first, last = notes[:count], notes[-count:]
    return statistics.median(map(figure, first)), statistics.median(map(figure, last))


def rows_of(what: str, notes: Sequence[Note], bytes_each: float = 0) -> list[Row]:
    """All figures of these notes. Each may add so many bytes to those of the one before."""
    rows = []
    for name in notes[0].figures:
        first, last = quarters(what, notes, lambda note: note.figures[name])  # noqa: B023
        # Three quarters of them lie between the two medians.
        more = 0.75 * bytes_each * len(notes) + _BYTES_PART * first if name == "bytes" else 0
        rows.append(Row(what, name, first, last, first + more))
    return [*rows, Row(what, "seconds", *quarters(what, notes, lambda note: note.seconds), None)]


# -- many runs ------------------------------------------------------------------------------------


def one_after_the_other(room: Room, count: int) -> list[Note]:
    """So many runs. Raises `Violation`."""
    notes = []
    for _ in range(count):
        begun_s = time.monotonic()
        run = room.start(["--tf-threads-processes=1"])
        try:
            _, status, usage = os.wait4(run.process.pid, 0)
            run.process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - begun_s
            if run.process.returncode != 0:
                raise Violation(f"run {run.number} ended with {status}: {run.output[-1000:]}")
            check_processes(run)
            check_temporary(room)
        finally:
            run.end()
        (room.path / f"output{run.number}").unlink()
        files = sum(1 for one in room.disk.rglob("*") if _is_kept_for_ever(room, one))
        notes.append(Note("run", seconds, {"bytes": usage.ru_maxrss * 1024, "files": files}))
    return notes


def _is_kept_for_ever(room: Room, file: Path) -> bool:
    """Whether it is no saved run, of which each run makes one."""
    return file.is_file() and room.storage not in file.parents


# -- many tests -----------------------------------------------------------------------------------


def one_long_run(room: Room, count: int) -> dict[str, list[Note]]:
    """A run of so many tests; the notes of each kind. Raises `Violation`."""
    (room.project / "conftest.py").write_text(CONFTEST)
    place = room.path / "notes"
    run = room.start(["--tf-threads-processes=1"], TESTS=str(count), NOTES=str(place))
    try:
        code = run.process.wait(LONGEST_S + 10 * count)
        if code != 0:
            raise Violation(f"the long run ended with {code}: {run.output[-1000:]}")
        check_processes(run)
        check_temporary(room)
    finally:
        run.end()
    return read_notes(place.read_text(), run.process.pid)


def read_notes(text: str, pid: int) -> dict[str, list[Note]]:
    """What this process has noted, by the function of the test."""
    found: dict[str, list[Note]] = {}
    before_s = None
    for line in text.splitlines():
        told = json.loads(line)
        if told["pid"] != pid:
            continue
        if before_s is not None:
            figures = {name: told[name] for name in ("bytes", "descriptors", "threads", "files")}
            name = told["name"].partition("::")[2].partition("[")[0]
            found.setdefault(name, []).append(Note(name, told["at_s"] - before_s, figures))
        before_s = told["at_s"]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--tests", type=int, default=500)
    options = parser.parse_args(arguments)
    begun_s = time.monotonic()
    rows = []
    with room_of(SHORT) as room:
        rows += rows_of(f"{options.runs} runs", one_after_the_other(room, options.runs))
    with room_of(LONG) as room:
        for name, notes in one_long_run(room, options.tests).items():
            rows += rows_of(f"{len(notes)} × {name}", notes, MOST_BYTES_A_TEST)
    print("| what | figure | first quarter | last quarter | ratio | violation |")
    print("| --- | --- | --: | --: | --: | --- |")
    for row in rows:
        ratio = f"{row.last / row.first:.2f}" if row.first else "–"
        print(
            f"| {row.what} | {row.figure} | {row.first:,.4g} | {row.last:,.4g} | {ratio} | "
            f"{'yes' if row.is_violation else '–'} |"
        )
    print(f"\n{time.monotonic() - begun_s:.0f} seconds")
    return int(any(row.is_violation for row in rows))


if __name__ == "__main__":
    sys.exit(main())
