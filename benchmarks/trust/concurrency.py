"""Many runs at once, on one machine and with one storage, some of which are killed.

    python benchmarks/trust/concurrency.py [--runs N] [--at-once N] [--killed PART] [--seed N]

So many runs (100) of a small project with a fake TensorFlow, always so many at once (8), save into
one storage. A part of them (0.2) is killed at a random moment, by SIGKILL, SIGTERM or SIGINT. Then
this must be true: each run ends; those that nobody killed pass, and their results are saved; no
number of a saved run is used twice, and saved runs are whole; no two rounds were measured at the
same time, by the times that the tests note; no process is left; one more run passes, and leaves no
temporary file.

Prints a table, with the longest time that a run waited between two of its rounds, or before its
first one. Processes of a run that was killed may measure beside the next one, until they are
killed, too: overlaps that began after the kill are counted beside the violations.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import re
import signal
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import Room, Run, Violation, check_processes, check_temporary, room_of, saved_tests

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_LONGEST_S = 900.0
_NAP_S = 0.05
_GUESS_S = 20.0  # how long a run takes, until one has ended

PROJECT = """
import os, time
import pytest

def step():
    begun_s = time.monotonic()
    time.sleep(0.002)
    note = f"{os.environ['RUN']} {begun_s!r} {time.monotonic()!r}\\n"
    file = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, note.encode())
    os.close(file)

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_several(benchmark):
    benchmark.pedantic(step, rounds=10, iterations=1)

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_shares():
    time.sleep(0.01)

@pytest.mark.tf_threads(intra=1, inter=1)
def test_one(benchmark):
    benchmark.pedantic(step, rounds=10, iterations=1)
"""
MEASURED = {
    *(f"test_it.py::test_several[intra{intra}-inter1]" for intra in (1, 2)),
    "test_it.py::test_one[intra1-inter1]",
}


@dataclass(frozen=True)
class Round:
    """When a round of a run was measured, by the clock that all processes share."""

    run: int
    begun_s: float
    ended_s: float


@dataclass
class Crowd:
    """The runs of a campaign, and what became of them."""

    codes: dict[int, int | None] = field(default_factory=dict)  # by a run's number
    seconds: dict[int, float] = field(default_factory=dict)
    begun_s: dict[int, float] = field(default_factory=dict)
    killed_at_s: dict[int, float] = field(default_factory=dict)  # of those that were
    outputs: dict[int, str] = field(default_factory=dict)


@dataclass
class _Alive:
    run: Run
    begun_s: float
    kill_at_s: float | None
    number: signal.Signals


def hold(room: Room, count: int, at_once: int, killed: float, rng: random.Random) -> Crowd:
    """Have so many runs, so many of them at a time."""
    crowd = Crowd()
    alive: list[_Alive] = []
    try:
        while alive or room.runs < count:
            while len(alive) < at_once and room.runs < count:
                alive.append(_start(room, crowd, killed, rng))
            time.sleep(_NAP_S)
            for one in list(alive):
                if _has_ended(one, crowd):
                    alive.remove(one)
    finally:
        for one in alive:
            one.run.end()
    return crowd


def _start(room: Room, crowd: Crowd, killed: float, rng: random.Random) -> _Alive:
    run = room.start(NOTES=str(room.path / "notes"), RUN=str(room.runs + 1))
    now_s = time.monotonic()
    crowd.begun_s[run.number] = now_s
    kill_at_s = None
    if rng.random() < killed:
        whole_s = statistics.median(crowd.seconds.values()) if crowd.seconds else _GUESS_S
        kill_at_s = now_s + rng.random() * whole_s
    return _Alive(run, now_s, kill_at_s, rng.choice(SIGNALS))


def _has_ended(one: _Alive, crowd: Crowd) -> bool:
    now_s, number = time.monotonic(), one.run.number
    code = one.run.process.poll()
    if code is None and now_s - one.begun_s < _LONGEST_S:
        if one.kill_at_s is not None and now_s > one.kill_at_s:
            crowd.killed_at_s[number] = time.monotonic()
            os.kill(one.run.process.pid, one.number)
            one.kill_at_s = None
        return False
    crowd.codes[number] = code
    crowd.seconds[number] = now_s - one.begun_s
    crowd.outputs[number] = one.run.output
    try:
        check_processes(one.run)
    except Violation as violation:
        crowd.outputs[number] = str(violation)
        crowd.codes[number] = None
    one.run.end()
    return True


# -- what must be true ----------------------------------------------------------------------------


def check_ends(crowd: Crowd) -> list[str]:
    """Runs that do not end, leave processes, or were not killed and do not pass."""
    return [
        f"run {number} ended with {code}: {crowd.outputs[number][-600:]}"
        for number, code in sorted(crowd.codes.items())
        if code is None or (code != 0 and number not in crowd.killed_at_s)
    ]


def check_storage(room: Room, crowd: Crowd) -> list[str]:
    """Numbers that are used twice, runs that are lost, files that are not whole."""
    found = []
    owners: dict[str, str] = {}
    for file in sorted(room.storage.rglob("*.json")):
        match = re.fullmatch(r"(\d+)_(run\d+)\.json", file.name)
        if match is None:
            found.append(f"{file.name} is the name of no run")
        elif match[1] in owners:
            found.append(f"{match[1]} is the number of {owners[match[1]]} and of {match[2]}")
        else:
            owners[match[1]] = match[2]
    passed = {f"run{number}" for number, code in crowd.codes.items() if code == 0}
    found += [f"{lost} has passed, and is lost" for lost in sorted(passed - set(owners.values()))]
    try:
        tests = saved_tests(room)
    except Violation as violation:
        return [*found, str(violation)]
    broken_off = {f"run{number}" for number in crowd.killed_at_s}
    for file, names in sorted(tests.items()):
        # Ctrl-C saves what was complete. Whose out.json is nobody knows, for all runs write it.
        may_lack = file.name == "out.json" or file.stem.partition("_")[2] in broken_off
        if names - MEASURED or (MEASURED - names and not may_lack):
            found.append(f"{file.name} has {sorted(names)}")
    return found


def read_notes(file: Path) -> list[Round]:
    """The rounds that the tests have noted, in the order of their beginnings."""
    rounds = []
    for line in file.read_text().splitlines() if file.exists() else ():
        run, begun_s, ended_s = line.split()
        rounds.append(Round(int(run), float(begun_s), float(ended_s)))
    return sorted(rounds, key=lambda one: one.begun_s)


def overlaps(rounds: Iterable[Round]) -> list[tuple[Round, Round]]:
    """Any two of which the second began before the first had ended, of rounds as they began."""
    found = []
    going_on: list[Round] = []
    for two in rounds:
        going_on = [one for one in going_on if two.begun_s < one.ended_s]
        found += [(one, two) for one in going_on]
        going_on.append(two)
    return found


def is_excused(crowd: Crowd, one: Round, two: Round) -> bool:
    """Whether one of two runs had been killed when their rounds began to overlap."""
    return one.run != two.run and any(
        crowd.killed_at_s.get(run, math.inf) <= two.begun_s for run in (one.run, two.run)
    )


def longest_wait_s(begun_s: dict[int, float], rounds: Iterable[Round]) -> float:
    """The longest time that a run waited for a round, from its beginning or its last one."""
    last_s, longest_s = dict(begun_s), 0.0
    for one in rounds:
        longest_s = max(longest_s, one.begun_s - last_s[one.run])
        last_s[one.run] = one.ended_s
    return longest_s


def check_next(room: Room) -> list[str]:
    """One more run passes, and removes what the killed ones have left."""
    run = room.start(["--tf-threads-processes=1"], NOTES=os.devnull, RUN="0")
    try:
        code = run.wait()
        check_processes(run)
        if code != 0:
            return [f"the next run ended with {code}: {run.output[-600:]}"]
        check_temporary(room)
        return [f"{part} is left" for part in room.storage.rglob("*.part")]
    except Violation as violation:
        return [str(violation)]
    finally:
        run.end()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--killed", type=float, default=0.2, help="the part that is killed")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    begun_s = time.monotonic()
    with room_of(PROJECT) as room:
        crowd = hold(
            room, options.runs, options.at_once, options.killed, random.Random(options.seed)
        )
        rounds = read_notes(room.path / "notes")
        found = [*check_ends(crowd), *check_storage(room, crowd), *check_next(room)]
    late = 0
    for one, two in overlaps(rounds):
        if is_excused(crowd, one, two):
            late += 1
        else:
            found.append(f"rounds of runs {one.run} and {two.run} overlap: {one}, {two}")
    print("| runs | at once | killed | rounds | violations | overlaps with killed runs |", end="")
    print(" longest wait | median run | longest run | seconds |")
    print("| --: " * 10 + "|")
    print(
        f"| {options.runs} | {options.at_once} | {len(crowd.killed_at_s)} | {len(rounds):,} | "
        f"{len(found)} | {late} | {longest_wait_s(crowd.begun_s, rounds):.1f} s | "
        f"{statistics.median(crowd.seconds.values()):.1f} s | "
        f"{max(crowd.seconds.values()):.1f} s | {time.monotonic() - begun_s:.0f} |"
    )
    print("", *found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
