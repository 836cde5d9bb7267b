"""What is left, and what is said, when something breaks at a random moment of a run.

    python benchmarks/trust/faults.py [--tries N] [--seed N] [--only N] [KIND ...]

A small project is run by pytest, with a fake TensorFlow: one configuration, three of them, a duet,
or with two workers of pytest-xdist. At a random moment a process of the run gets a signal, or a
test breaks down in a phase drawn by lot. After each try this must be true: the run ends; no process
of it is left, not even one that stands still; no temporary file is left; saved files are whole;
where the run came to its end, each measured test that is reported as passed is in the saved run;
exit code and message are the promised ones; the next run has its lease at once, passes, and leaves
nothing.

Prints a table, and of each violation how to repeat its try. The moments are parts of the time that
an undisturbed run takes here, so a try that is repeated breaks at nearly the same place.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_tfthreads.core.saved_runs import parse_run

FAKE_TENSORFLOW = Path(__file__).parents[2] / "tests" / "fake_tensorflow"
RUN_VARIABLE = "FAULTS_OF_RUN"
# No machine, however busy, needs as long for such a run.
LONGEST_S = 180.0
_PATIENCE_S = 20.0
_NAP_S = 0.01
_PHASES = ("setup", "call", "round", "teardown")

PROJECT = """
import ctypes, os, resource, signal, subprocess, sys, threading, time
import pytest

KIND, PHASE = os.environ.get("FAULT", ""), os.environ.get("FAULT_PHASE", "")
ROUND = int(os.environ.get("FAULT_ROUND", "0"))
SLEEPS = [sys.executable, "-S", "-c", "import time; time.sleep(1000)"]


def segfault():
    ctypes.string_at(8)

def abort():
    os.abort()

def exit():
    os._exit(3)

def hang():
    time.sleep(1000)

def output():
    for _ in range(100):
        os.write(1, b"x" * 999_999 + b"\\n")

def threads():
    for _ in range(1000):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    globals()["held"] = [os.open(os.devnull, os.O_RDONLY) for _ in range(2000)]

def children():
    for _ in range(200):
        if not os.fork():
            time.sleep(1000)
            os._exit(0)

def escapees():
    for number in range(3):
        if not os.fork():
            os.setsid()
            if not os.fork():
                if number:
                    os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(1000)
            os._exit(0)
    subprocess.Popen(SLEEPS, start_new_session=True)

def memory():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    globals()["held"] = bytearray(4 << 30)

def closed():
    os.closerange(3, 256)


def break_down(phase):
    if KIND and phase == PHASE:
        globals()[KIND]()

@pytest.fixture
def prepared():
    break_down("setup")
    yield
    break_down("teardown")

@pytest.mark.tf_threads(intra=INTRA, inter=1)
def test_breaks(prepared, benchmark):
    break_down("call")
    calls = iter(range(10**9))
    def step():
        if next(calls) == ROUND:
            break_down("round")
        time.sleep(0.001)
    benchmark.pedantic(step, rounds=20, iterations=1)

@pytest.mark.tf_threads(intra=1, inter=1)
def test_fine(benchmark):
    benchmark.pedantic(time.sleep, (0.001,), rounds=20, iterations=1)

def test_plain():
    time.sleep(0.01)
"""
INTRA = {"one": "1", "three": "[1, 2, 3]", "duet": "1", "workers": "[1, 2]"}
ARGUMENTS = {"duet": ("--tf-threads-duet=HEAD",), "workers": ("-n2",)}
LAYOUTS = tuple(INTRA)
_NO_GIT = {
    **dict.fromkeys(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"), os.devnull),
    **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "x"),
    **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "x@example.com"),
}


# -- a run ----------------------------------------------------------------------------------------


@dataclass
class Room:
    """A project in a directory of its own, with all places that its runs may write to."""

    path: Path
    layout: str
    runs: int = 0

    def __post_init__(self) -> None:
        for name in ("project", "tmp", "cache"):
            (self.path / name).mkdir()
        (self.project / "test_it.py").write_text(PROJECT.replace("INTRA", INTRA[self.layout]))
        (self.project / ".gitignore").write_text(".benchmarks\nout.json\n")

    @property
    def project(self) -> Path:
        return self.path / "project"

    @property
    def temporary(self) -> Path:
        return self.path / "tmp"

    @property
    def storage(self) -> Path:
        return self.project / ".benchmarks"

    def commit(self) -> None:
        """A duet needs a revision."""
        for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x")):
            subprocess.run(
                ["git", *words], cwd=self.project, check=True, env={**os.environ, **_NO_GIT}
            )

    def start(self, arguments: Sequence[str] = (), **variables: str) -> Run:
        self.runs += 1
        return Run(self, arguments, variables)


class Run:
    """pytest at work on the project."""

    def __init__(self, room: Room, arguments: Sequence[str], variables: dict[str, str]) -> None:
        self.mark = f"{RUN_VARIABLE}={room.path}/{room.runs}"
        output = room.path / f"output{room.runs}"
        self._output = output
        inherited = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("PYTEST_", "GITHUB_")) and name != "CI"
        }
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
                    *("--tf-threads-processes=2", "--tf-threads-timeout=60"),
                    *("--benchmark-autosave", "--benchmark-json=out.json", *arguments),
                    f"--basetemp={room.path / 'base'}",
                ],
                cwd=room.project,
                env={
                    **inherited,
                    **_NO_GIT,
                    **variables,
                    RUN_VARIABLE: self.mark.partition("=")[2],
                    "PYTHONPATH": str(FAKE_TENSORFLOW),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "TMPDIR": str(room.temporary),
                    "XDG_CACHE_HOME": str(room.path / "cache"),
                    "PYTEST_TFTHREADS_LEASES": str(room.path / "leases"),
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def wait(self) -> int | None:
        """Its exit code; None if it does not end."""
        try:
            return self.process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            return None

    def processes(self) -> dict[int, Seen]:
        """All that live and have inherited the mark of this run."""
        found = {}
        for name in os.listdir("/proc"):
            if name.isdigit() and (seen := _look_at(name, self.mark)):
                found[int(name)] = seen
        return found

    def of_role(self, role: str) -> list[int]:
        """Processes of a role: pytest, worker, guard, interpreter, measuring."""
        found = self.processes()
        return [pid for pid in sorted(found) if _role(pid, found, self.process.pid) == role]

    def end(self) -> None:
        """Kill whatever there is."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while (left := self.processes()) and time.monotonic() < deadline_s:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_NAP_S)
        self.process.wait()


@dataclass(frozen=True)
class Seen:
    """What /proc tells of a process."""

    parent: int
    state: str  # as in /proc/PID/stat
    command: str


def _look_at(name: str, mark: str) -> Seen | None:
    with contextlib.suppress(OSError):
        place = Path("/proc", name)
        if mark.encode() not in (place / "environ").read_bytes().split(b"\0"):
            return None
        state, parent = (place / "stat").read_bytes().rpartition(b")")[2].split()[:2]
        if state not in (b"Z", b"X"):
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            return Seen(int(parent), state.decode(), command)
    return None


def _role(pid: int, found: dict[int, Seen], pytest_pid: int) -> str:
    if pid == pytest_pid:
        return "pytest"
    seen = found[pid]
    if "pytest_tfthreads" not in seen.command or " -c " not in seen.command:
        is_worker = seen.parent == pytest_pid and "exec(eval(" in seen.command
        return "worker" if is_worker else ""
    depth = 0
    while (parent := found.get(seen.parent)) and "pytest_tfthreads" in parent.command:
        seen, depth = parent, depth + 1
    return ("guard", "interpreter", "measuring")[min(depth, 2)]


# -- what must be true afterwards -----------------------------------------------------------------


class Violation(Exception):
    """What a run must never do."""


def check_processes(run: Run) -> None:
    """Nobody is left."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while left := run.processes():
        if time.monotonic() > deadline_s:
            raise Violation(
                "left: " + "; ".join(f"{one.state} {one.command[:80]}" for one in left.values())
            )
        time.sleep(_NAP_S)


def check_temporary(room: Room) -> None:
    """Nothing is left in temporary places."""
    if left := sorted(one.name for one in room.temporary.iterdir()):
        raise Violation(f"temporary files are left: {left}")


def check_saved(room: Room) -> set[str]:
    """Saved files are whole; the names of all tests in them."""
    names = set()
    for file in [*room.storage.rglob("*.json"), *room.project.glob("out.json")]:
        data = file.read_bytes()
        if file.name == "out.json" and not data:
            continue  # pytest-benchmark before 5.3 makes it at once
        try:
            found = {one["fullname"] for one in json.loads(data)["benchmarks"]}
            if found:  # what pytest-benchmark writes where nothing was measured is no saved run
                parse_run(data.decode(), file.name)
        except (ValueError, TypeError, LookupError) as error:
            raise Violation(f"{file.name} is not whole: {error!r:.200}") from error
        names |= found
    return names


def check_results(output: str, saved: set[str]) -> None:
    """Each measured test that is reported as passed is in a saved run."""
    passed = {
        name
        for line in output.splitlines()
        for name in re.findall(r"test_it\.py::\S+\]", line)
        if "PASSED" in line
    }
    if missing := passed - saved:
        raise Violation(f"passed, and not saved: {sorted(missing)}")


def check_next(room: Room) -> None:
    """The next run is as if nothing had happened, and removes what a killed one has left."""
    run = room.start(["--tf-threads-lease-timeout=5", *ARGUMENTS.get(room.layout, ())])
    try:
        code = run.wait()
        output = run.output
        if code != 0 or "no-lease" in output:
            raise Violation(f"the next run ended with {code}: {output[-1500:]}")
        check_processes(run)
        check_temporary(room)
        check_results(output, check_saved(room))
        if parts := [*room.storage.rglob("*.part")]:
            raise Violation(f"parts of files are left: {parts}")
    finally:
        run.end()


# -- kinds of faults ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A fault, and what is promised of it.

    `codes`: exit codes that are right. `words`: one of them is in the output where the code is 1.
    `is_kill`: pytest itself cannot tidy up, and the next run does it.
    """

    name: str
    codes: frozenset[int]
    words: tuple[str, ...] = ()
    layouts: tuple[str, ...] = LAYOUTS
    is_kill: bool = False
    send: Callable[[Run], bool] | None = None  # whether there was somebody to break
    phases: tuple[str, ...] = ()


def _signals(role: str, *numbers: int, pause_s: float = 0.0) -> Callable[[Run], bool]:
    """Send signals to one process of a role, as soon as there is one."""

    def send(run: Run) -> bool:
        while run.process.poll() is None:
            if pids := run.of_role(role):
                pid = pids[-1]
                for number in numbers:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                    time.sleep(pause_s)
                return True
            time.sleep(_NAP_S)
        return False

    return send


def _outside(
    name: str, role: str, *numbers: int, codes: Sequence[int], pause_s: float = 0.0, **more: object
) -> Kind:
    send = _signals(role, *numbers, pause_s=pause_s)
    return Kind(name, frozenset(codes), send=send, **more)  # type: ignore[arg-type]


def _inside(name: str, words: Sequence[str], codes: Sequence[int] = (1,)) -> Kind:
    return Kind(name, frozenset(codes), tuple(words), phases=_PHASES)


# A run that had ended by then, or had not begun to be pytest, ends as Python does.
_ENDED = (0, 2, 1, -signal.SIGINT, 130)
_DIED = ("died while one was running", "interpreter that starts measuring processes died")
KINDS = {
    one.name: one
    for one in (
        _outside("kill-pytest", "pytest", signal.SIGKILL, codes=(0, -9), is_kill=True),
        _outside("term-pytest", "pytest", signal.SIGTERM, codes=(0, -15), is_kill=True),
        _outside("hup-pytest", "pytest", signal.SIGHUP, codes=(0, -1), is_kill=True),
        _outside("int-pytest", "pytest", signal.SIGINT, codes=_ENDED),
        _outside(
            "int-twice", "pytest", signal.SIGINT, signal.SIGINT,
            codes=_ENDED, pause_s=0.05, is_kill=True,
        ),
        _outside(
            "pause-pytest", "pytest", signal.SIGSTOP, signal.SIGCONT, codes=(0,), pause_s=0.5
        ),
        _outside("kill-interpreter", "interpreter", signal.SIGKILL, codes=(0, 1), words=_DIED),
        _outside("kill-guard", "guard", signal.SIGKILL, codes=(0, 1), words=_DIED),
        _outside("kill-measuring", "measuring", signal.SIGKILL, codes=(0, 1), words=("SIGKILL",)),
        _outside(
            "pause-interpreter", "interpreter", signal.SIGSTOP, signal.SIGCONT,
            codes=(0,), pause_s=0.5,
        ),
        _outside("stop-measuring", "measuring", signal.SIGSTOP, codes=(0, 1), words=("hung",)),
        _outside(
            "kill-worker", "worker", signal.SIGKILL,
            codes=(0, 1), words=("crashed",), layouts=("workers",), is_kill=True,
        ),
        _inside("segfault", ["SIGSEGV"]),
        _inside("abort", ["SIGABRT"]),
        _inside("exit", ["exited early, with code 3"]),
        _inside("hang", ["hung"]),
        _inside("output", [], codes=(0,)),
        _inside("threads", [], codes=(0,)),
        _inside("descriptors", [], codes=(0,)),
        _inside("children", [], codes=(0,)),
        _inside("escapees", [], codes=(0,)),
        _inside("memory", ["MemoryError"]),
        _inside("closed", ["closed file descriptors that it does not own"]),
    )
}  # fmt: skip


# -- a campaign -----------------------------------------------------------------------------------


@dataclass
class Tally:
    """What came of the tries of a kind."""

    kind: str
    tries: int = 0
    missed: int = 0  # the run had ended, or had no such process
    seconds: float = 0.0
    violations: dict[int, str] = field(default_factory=dict)


_lengths_s: dict[str, float] = {}


@contextlib.contextmanager
def room_of(layout: str) -> Iterator[Room]:
    path = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        room = Room(path, layout)
        room.commit()
        yield room
    finally:
        shutil.rmtree(path)


def length_s(layout: str) -> float:
    """How long an undisturbed run takes here and now."""
    if layout not in _lengths_s:
        with room_of(layout) as room:
            begun_s = time.monotonic()
            run = room.start(ARGUMENTS.get(layout, ()))
            code = run.wait()
            _lengths_s[layout] = time.monotonic() - begun_s
            run.end()
            if code != 0:
                raise SystemExit(f"an undisturbed run ends with {code}:\n{run.output}")
    return _lengths_s[layout]


def attempt(kind: Kind, rng: random.Random) -> bool:
    """One try; whether the fault took place. Raises `Violation`."""
    layout, part, phase = rng.choice(kind.layouts), rng.random(), rng.choice(_PHASES)
    variables = {}
    if kind.phases:
        variables = {"FAULT": kind.name, "FAULT_PHASE": phase}
        variables["FAULT_ROUND"] = str(rng.randrange(20))
    where = f"{layout}, {phase if kind.phases else f'at {part:.0%}'}"
    arguments = [*ARGUMENTS.get(layout, ())]
    if kind.name == "hang":
        arguments.append("--tf-threads-timeout=5")
    moment_s = part * length_s(layout) if kind.send else 0.0
    with room_of(layout) as room:
        run = room.start(arguments, **variables)
        try:
            is_done = True
            if kind.send:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.process.wait(moment_s)
                is_done = kind.send(run)
            code = run.wait()
            _check(kind, room, run, code)
        except Violation as violation:
            raise Violation(f"{where}: {violation}") from violation
        finally:
            run.end()
    return is_done


def _check(kind: Kind, room: Room, run: Run, code: int | None) -> None:
    output = run.output
    if code is None:
        raise Violation(f"the run does not end: {output[-800:]}")
    check_processes(run)
    if code not in kind.codes:
        raise Violation(f"exit code {code}: {output[-1500:]}")
    if code == 1 and kind.words and not any(one in " ".join(output.split()) for one in kind.words):
        raise Violation(f"none of {kind.words} is said: {output[-1500:]}")
    if "INTERNALERROR" in output:
        raise Violation(f"an internal error: {output[-1500:]}")
    saved = check_saved(room)
    if code in (0, 1) and not kind.is_kill:
        check_results(output, saved)
    if not kind.is_kill:
        check_temporary(room)
    check_next(room)


def campaign(name: str, tries: int, seed: int, only: int | None = None) -> Tally:
    """So many tries of a kind."""
    tally = Tally(name)
    begun_s = time.monotonic()
    for number in range(tries) if only is None else (only,):
        try:
            tally.missed += not attempt(KINDS[name], random.Random(f"{seed}/{name}/{number}"))
        except Violation as violation:
            tally.violations[number] = str(violation)
        tally.tries += 1
    tally.seconds = time.monotonic() - begun_s
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], metavar="KIND")
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the try of this number alone")
    options = parser.parse_args(arguments)
    tallies = []
    for name in options.kinds or KINDS:
        tally = campaign(name, options.tries, options.seed, options.only)
        tallies.append(tally)
        for number, words in tally.violations.items():
            print(f"{name} --only {number} --seed {options.seed}: {words}\n", flush=True)
    print("| kind | tries | missed | violations | seconds |")
    print("| --- | --: | --: | --: | --: |")
    for tally in tallies:
        print(
            f"| {tally.kind} | {tally.tries} | {tally.missed} | {len(tally.violations)} | "
            f"{tally.seconds:.0f} |"
        )
    return int(any(tally.violations for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
