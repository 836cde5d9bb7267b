"""What is left, and what is said, when something breaks at a random moment of a run.

    python benchmarks/trust/faults.py [--tries N] [--seed N] [--only N] [--real] [KIND ...]

A small project is run by pytest, with a fake TensorFlow if not with the --real one: one
configuration, three of them, a duet, or with two workers of pytest-xdist. It has tests that are
measured, tests that share a process, and one without a marker. Some runs write a report as well, or
a report and traces, or are judged by a saved run. At a random moment a process of the run gets a
signal or the disk breaks down, or a test breaks down in a phase drawn by lot. After each try this
must be true: the run ends; no process of it is left, not even one that stands still; no temporary
file is left, and no part of a file beside what is written; saved files and reports are whole; each
measured test that has passed is in the saved run, after Ctrl-C too, or it is said that this could
not be saved; where the run came to its end, each test is reported once, and those that did not
break down have passed; no duration is negative; exit code and message are the promised ones; the
next run, which writes the same files, has its lease at once, passes, and leaves nothing.

Prints a table, and of each violation at once how to repeat its try. The moments are parts of the
time that an undisturbed run takes here, so a try that is repeated breaks at nearly the same place.
A try whose moment came too late is made again with an earlier one; if that is too late as well, it
counts as missed. Disks are broken, and memory is limited, by root alone. Clocks step as far as
Python's `time` and `datetime` tell: by up to a day, back and forth, at every tenth reading or so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from sandbox import (
    CLOCK_STEPS,
    Room,
    Run,
    Violation,
    check_processes,
    check_saved,
    check_temporary,
    little_memory,
    mount,
    room_of,
    saved_tests,
    unmount,
)

_NAP_S = 0.01
_SHARED_PHASES = ("kept-setup", "shared", "kept-teardown")
_PHASES = ("setup", "call", "round", "teardown", *_SHARED_PHASES)

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

clock_steps_exit = exit

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

def out_of_memory():
    globals()["held"] = b"x" * (4 << 30)

def closed():
    os.closerange(3, 256)


def break_down(phase):
    if KIND and phase == PHASE:
        open("broke", "w").close()
        globals()[KIND.replace("-", "_")]()

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

@pytest.fixture(scope="module")
def kept():
    break_down("kept-setup")
    yield
    break_down("kept-teardown")

@pytest.mark.tf_threads(intra=INTRA, inter=1)
def test_shares(kept):
    break_down("shared")
    time.sleep(0.01)

@pytest.mark.tf_threads(intra=INTRA, inter=1)
def test_shares_too(kept):
    time.sleep(0.01)

@pytest.mark.tf_threads(intra=1, inter=1)
def test_fine(benchmark):
    benchmark.pedantic(time.sleep, (0.001,), rounds=20, iterations=1)

def test_plain():
    time.sleep(0.01)
"""
INTRA = {"one": "1", "three": "[1, 2, 3]", "duet": "1", "workers": "[1, 2]"}
ARGUMENTS = {"duet": ("--tf-threads-duet=HEAD",), "workers": ("-p", "xdist.plugin", "-n2")}
LAYOUTS = tuple(INTRA)
_REPORT = "report.html"
_BASELINE = "0001_before.json"
EXTRAS = {
    "nothing": (),
    "report": (f"--tf-threads-report={_REPORT}",),
    "profile": ("--tf-threads-profile=traces", f"--tf-threads-report={_REPORT}"),
    # A sleep on a busy machine may take several times as long, and is not to be a regression.
    "compare": (
        "--benchmark-compare=0001", "--tf-threads-tolerance=95%", "--tf-threads-budget=30",
    ),
}  # fmt: skip
"""What a run writes or judges beside its results, at the moments that a fault may meet."""


_OUTCOME = r"(?P<outcome>PASSED|FAILED|ERROR|SKIPPED)"
_NAME = r"(?P<name>test_it\.py::test_\w+(?:\[[^\]\n]*\])?)"
_REPORTED = (
    rf"^{_NAME} {_OUTCOME}(?: .*)?$",  # of pytest, and of a worker
    rf"^\[gw\d+\] \[ *\d+%\] {_OUTCOME} {_NAME}.*$",
)
_BREAKS, _FINE, _PLAIN = (f"test_it.py::test_{name}" for name in ("breaks[", "fine[", "plain"))
_SHARING = tuple(f"test_it.py::test_shares{name}[" for name in ("", "_too"))
_MEASURED = (_BREAKS, _FINE)
_JUNIT = "junit.xml"


def _tests_of(layout: str) -> dict[str, int]:
    """How each test's name begins, and how many of these there are."""
    several = {"one": 1, "three": 3, "duet": 1, "workers": 2}[layout]
    return {_BREAKS: several, **dict.fromkeys(_SHARING, several), _FINE: 1, _PLAIN: 1}


# -- what must be true afterwards -----------------------------------------------------------------


_SAVED = "run was not saved"
_WRITTEN = "--benchmark-json: "


def check_results(room: Room, run: Run, may_say_so: bool = False) -> None:
    """Each measured test that is reported as passed is in the saved run, and in the other file.

    `may_say_so`: the disk may have taken a file no more, and then it is said which.
    """
    output = run.output
    passed = {name for name, outcomes in reported(output).items() if outcomes == ["PASSED"]}
    measured = {name for name in passed if name.startswith(_MEASURED)}
    in_storage: set[str] = set()
    in_file: set[str] = set()
    for file, names in saved_tests(room).items():
        if file.stem.endswith(f"_run{run.number}"):
            in_storage |= names
        elif file.name == "out.json":
            in_file = names
    words = " ".join(output.split())
    for saved, where, excuse in (
        (in_storage, "saved", _SAVED),
        (in_file, "in out.json", _WRITTEN),
    ):
        missing = measured - saved
        if missing and not (may_say_so and excuse in words):
            raise Violation(f"passed, and not {where}: {sorted(missing)}: {output[-1500:]}")


def check_leftovers(room: Room) -> None:
    """Nothing of ours is left that is no result.

    The note of a lease whose process was killed is no matter of the next run: who waits reads it.
    """
    left = [*room.project.rglob("*.part"), *room.project.rglob(".tf-threads-*")]
    # No test makes a directory: only those of workers are there.
    left += [one for one in room.disk.glob("base*/*") if not one.name.startswith("popen-gw")]
    left += room.disk.glob("base*/*/*")
    left += [one for one in room.disk.glob("cache/**/*") if one.is_file() and not _is_index(one)]
    if left:
        raise Violation(f"left: {sorted(str(one.relative_to(room.disk)) for one in left)}")


def _is_index(file: Path) -> bool:
    """The journals of an index are there only while a process uses it."""
    return file.parent.name == "pytest-tfthreads" and file.suffix == ".sqlite"


def check_report(room: Room) -> None:
    """The page is whole, if there is one."""
    page = room.project / _REPORT
    if page.exists() and not page.read_bytes().rstrip().endswith(b"</html>"):
        raise Violation(f"{_REPORT} is not whole")


def check_durations(room: Room) -> None:
    """No test took less than no time, in the report that is about times."""
    file = room.project / _JUNIT
    for case in ElementTree.parse(file).iter("testcase") if file.exists() else ():
        if float(case.get("time", "0")) < 0:
            raise Violation(f"{case.get('name')} took {case.get('time')} s")


def reported(output: str) -> dict[str, list[str]]:
    """The outcomes of each test, as a verbose run prints them."""
    found: dict[str, list[str]] = {}
    for line in output.splitlines():
        for pattern in _REPORTED:
            if match := re.search(pattern, line):
                found.setdefault(match["name"], []).append(match["outcome"])
    return found


def check_reports(
    layout: str, output: str, broken: Sequence[str], died: Sequence[str] = ()
) -> None:
    """Each test is reported once, and has passed if it is none of the broken ones.

    `died` are outcomes that one test may have instead: its process was killed, not only its test.
    """
    found = reported(output)
    for name, count in _tests_of(layout).items():
        outcomes = {one: words for one, words in found.items() if one.startswith(name)}
        if len(outcomes) != count:
            raise Violation(f"{name}: {len(outcomes)} of {count} are reported: {output[-1500:]}")
        for one, words in outcomes.items():
            is_once = words in (["PASSED"], ["FAILED"], ["ERROR"], ["PASSED", "ERROR"])
            if words == [*died] and name in broken:
                died, is_once = (), True
            if not is_once or (words != ["PASSED"] and name not in broken):
                raise Violation(f"{one} is reported as {words}: {output[-1500:]}")


def check_next(room: Room, layout: str, extra: str) -> None:
    """The next run is as if nothing had happened, and removes what a killed one has left."""
    quick = ("--tf-threads-lease-timeout=5", "--tf-threads-processes=1")
    # Without workers, which take twice as long: what is left of some would be seen all the same.
    duet = ARGUMENTS["duet"] if layout == "duet" else ()
    run = room.start([*quick, *duet, *EXTRAS[extra]])
    try:
        code = run.wait()
        output = run.output
        if code != 0 or "no-lease" in output:
            raise Violation(f"the next run ended with {code}: {output[-1500:]}")
        check_processes(run)
        check_temporary(room)
        check_reports(layout, output, broken=())
        check_results(room, run)
        check_report(room)
        check_leftovers(room)
    finally:
        run.end()


# -- kinds of faults ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A fault, and what is promised of it.

    `codes`: exit codes that are right. `words`: one of them is in the output where the code is 1.
    `is_kill`: pytest itself cannot tidy up, and the next run does it. `ends_anywhere`: pytest may
    end with code 1 as Python does, in the midst of its own work. `is_of_worker`: it is a worker of
    pytest-xdist that is killed. `disk`: how its disk is mounted, where the fault needs one of its
    own. `memory_bytes`: the limit of a cgroup that the run is put into. `variables` are set in its
    environment.
    """

    name: str
    codes: frozenset[int]
    words: tuple[str, ...] = ()
    layouts: tuple[str, ...] = LAYOUTS
    is_kill: bool = False
    ends_anywhere: bool = False
    is_of_worker: bool = False
    send: Callable[[Run], bool] | None = None  # whether there was somebody to break
    phases: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    disk: tuple[str, ...] = ()
    memory_bytes: int | None = None
    variables: tuple[tuple[str, str], ...] = ()

    def may_break(self, phase: str) -> Sequence[str]:
        """How the names of tests begin that may fail."""
        if not self.phases:
            return (_BREAKS, *_SHARING, _FINE)
        return _SHARING if phase in _SHARED_PHASES else (_BREAKS,)


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


def _fill(run: Run) -> bool:
    """Leave no room on the disk."""
    if run.process.poll() is not None:
        return False
    with contextlib.suppress(OSError), (run.room.disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return True


def _forbid(run: Run) -> bool:
    """Make the project and the temporary directory read-only."""
    if run.process.poll() is not None:
        return False
    for place in (run.room.project, run.room.temporary):
        mount("--bind", place, place)
        while run.process.poll() is None:
            try:
                mount("-o", "remount,bind,ro", place)
                break
            except subprocess.CalledProcessError:  # a file there is open for writing
                time.sleep(_NAP_S)
    return True


def _mend_disk(room: Room) -> None:
    for place in (room.project, room.temporary):
        unmount(place)
    (room.disk / "filler").unlink(missing_ok=True)


def _outside(
    name: str, role: str, *numbers: int, codes: Sequence[int], pause_s: float = 0.0, **more: object
) -> Kind:
    send = _signals(role, *numbers, pause_s=pause_s)
    return Kind(name, frozenset(codes), send=send, **more)  # type: ignore[arg-type]


def _inside(name: str, words: Sequence[str], codes: Sequence[int] = (1,), **more: object) -> Kind:
    return Kind(name, frozenset(codes), tuple(words), phases=_PHASES, **more)  # type: ignore[arg-type]


_SHORT = ("--tf-threads-timeout=10",)
_TIMED = (f"--junitxml={_JUNIT}",)
_STEPS = ((CLOCK_STEPS, "1"),)
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
            codes=_ENDED, pause_s=0.05, is_kill=True, ends_anywhere=True,
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
        _outside(
            "stop-measuring", "measuring", signal.SIGSTOP,
            codes=(0, 1), words=("hung",), arguments=_SHORT,
        ),
        _outside(
            "stop-interpreter", "interpreter", signal.SIGSTOP,
            codes=(0, 1), words=(*_DIED, "hung"), arguments=_SHORT,
        ),
        _outside("stop-guard", "guard", signal.SIGSTOP, codes=(0,)),
        _outside(
            "pause-measuring", "measuring", signal.SIGSTOP, signal.SIGCONT, codes=(0,), pause_s=0.5
        ),
        _outside(
            "pause-worker", "worker", signal.SIGSTOP, signal.SIGCONT,
            codes=(0,), pause_s=0.5, layouts=("workers",),
        ),
        _outside(
            "kill-worker", "worker", signal.SIGKILL,
            codes=(0, 1), words=("crashed",), layouts=("workers",), is_kill=True,
            is_of_worker=True,
        ),
        _inside("segfault", ["SIGSEGV"]),
        _inside("abort", ["SIGABRT"]),
        _inside("exit", ["exited early, with code 3"]),
        _inside("hang", ["hung"], arguments=_SHORT),
        _inside("output", [], codes=(0,)),
        _inside("threads", [], codes=(0,)),
        _inside("descriptors", [], codes=(0,)),
        _inside("children", [], codes=(0,)),
        _inside("escapees", [], codes=(0,)),
        _inside("memory", ["MemoryError"]),
        _inside("out-of-memory", ["SIGKILL"], memory_bytes=1 << 30),
        Kind("clock-steps", frozenset((0,)), variables=_STEPS, arguments=_TIMED),
        _inside(
            "clock-steps-exit", ["exited early, with code 3"], variables=_STEPS, arguments=_TIMED
        ),
        _inside("closed", ["closed file descriptors that it does not own"]),
        Kind("full-disk", frozenset((0, 1, 4)), send=_fill, disk=("-o", "size=8m")),
        Kind(
            "read-only", frozenset((0, 1, 4)), send=_forbid, disk=("-o", "size=64m"), is_kill=True
        ),
    )
}  # fmt: skip


# -- a campaign -----------------------------------------------------------------------------------


@dataclass
class Tally:
    """What came of the tries of a kind."""

    kind: str
    tries: int = 0
    codes: Counter[int | None] = field(default_factory=Counter)  # None: no fault took place
    violations: int = 0
    seconds: float = 0.0

    @property
    def missed(self) -> int:
        """The run had ended, or had no such process."""
        return self.codes[None]

    @property
    def row(self) -> str:
        """Its line of the table."""
        ends = sorted((code, count) for code, count in self.codes.items() if code is not None)
        words = ", ".join(f"{code}: {count}" for code, count in ends)
        figures = f"{self.tries} | {self.missed} | {words or '–'} | {self.violations}"
        return f"| {self.kind} | {figures} | {self.seconds:.0f} |"


@dataclass(frozen=True)
class Undisturbed:
    """A run without a fault: how long it took here and now, and the run that it saved."""

    seconds: float
    saved: bytes = b""
    below: Path = Path()  # where that is in the storage


_undisturbed: dict[tuple[str, str, bool], Undisturbed] = {}


@contextlib.contextmanager
def room_for(
    layout: str, extra: str = "nothing", disk: Sequence[str] = (), is_fake: bool = True
) -> Iterator[Room]:
    """A room with the project in this layout, and a saved run to compare with if that is wanted."""
    before = undisturbed(layout, "nothing", is_fake) if extra == "compare" else None
    with room_of(PROJECT.replace("INTRA", INTRA[layout]), disk, is_fake) as room:
        if layout == "duet":
            room.commit()
        if before is not None:
            (room.storage / before.below).mkdir(parents=True)
            (room.storage / before.below / _BASELINE).write_bytes(before.saved)
        yield room


def undisturbed(layout: str, extra: str, is_fake: bool = True) -> Undisturbed:
    """What such a run is like; it is had once."""
    key = layout, extra, is_fake
    if key not in _undisturbed:
        with room_for(layout, extra, (), is_fake) as room:
            begun_s = time.monotonic()
            run = room.start([*ARGUMENTS.get(layout, ()), *EXTRAS[extra]])
            code = run.wait()
            seconds = time.monotonic() - begun_s
            run.end()
            if code != 0:
                raise SystemExit(f"an undisturbed run ends with {code}:\n{run.output}")
            (saved,) = room.storage.rglob("*_run1.json")
            below = saved.parent.relative_to(room.storage)
            _undisturbed[key] = Undisturbed(seconds, saved.read_bytes(), below)
    return _undisturbed[key]


def attempt(
    kind: Kind, rng: random.Random, earlier: float = 1.0, is_fake: bool = True
) -> int | None:
    """One try: the exit code, or None if the fault did not take place. Raises `Violation`.

    `earlier`: what the moment is multiplied by.
    """
    layout, part, phase = rng.choice(kind.layouts), rng.random(), rng.choice(_PHASES)
    # A duet is judged side by side, and by no saved run.
    extra = rng.choice([one for one in EXTRAS if (layout, one) != ("duet", "compare")])
    variables = dict(kind.variables)
    if kind.phases:
        variables |= {"FAULT": kind.name, "FAULT_PHASE": phase}
        variables["FAULT_ROUND"] = str(rng.randrange(20))
    where = f"{layout}, {extra}, {phase if kind.phases else f'at {part * earlier:.0%}'}"
    moment_s = part * earlier * undisturbed(layout, extra, is_fake).seconds if kind.send else 0.0
    with contextlib.ExitStack() as stack:
        cgroup = None
        if kind.memory_bytes is not None:
            cgroup = stack.enter_context(little_memory(kind.memory_bytes))
        room = stack.enter_context(room_for(layout, extra, kind.disk, is_fake))
        room.cgroup = cgroup
        arguments = [*ARGUMENTS.get(layout, ()), *EXTRAS[extra], *kind.arguments]
        run = room.start(arguments, **variables)
        try:
            is_done = True
            if kind.send:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.process.wait(moment_s)
                is_done = kind.send(run)
            code = run.wait()
            if kind.disk:
                _mend_disk(room)
            if kind.phases:
                is_done = (room.project / "broke").exists()
            _check(kind, room, run, code, layout, phase, extra)
        except Violation as violation:
            raise Violation(f"{where}: {violation}") from violation
        finally:
            run.end()
            if kind.disk:
                _mend_disk(room)
    return code if is_done else None


def _check(
    kind: Kind,
    room: Room,
    run: Run,
    code: int | None,
    layout: str,
    phase: str = "",
    extra: str = "nothing",
) -> None:
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
    check_saved(room)
    check_report(room)
    if code == 0 or (code == 1 and not kind.ends_anywhere):
        # A worker that was killed takes no report back, and its test is then told to have failed.
        died = ("PASSED", "FAILED") if kind.is_of_worker else ()
        check_reports(layout, output, kind.may_break(phase) if code else (), died)
    # With other codes a signal has ended pytest, and may have done so while it saved.
    if code in (0, 2) or (code in (1, 4) and not kind.ends_anywhere):
        check_results(room, run, may_say_so=bool(kind.disk) and code != 0)
    check_durations(room)
    if not kind.is_kill:
        check_temporary(room)
        check_leftovers(room)
    check_next(room, layout, extra)


def campaign(
    name: str, tries: int, seed: int, only: int | None = None, is_fake: bool = True
) -> Tally:
    """So many tries of a kind. Violations are told at once."""
    tally = Tally(name)
    begun_s = time.monotonic()
    for number in range(tries) if only is None else (only,):
        try:
            for earlier in (1.0, 0.5):
                rng = random.Random(f"{seed}/{name}/{number}")
                code = attempt(KINDS[name], rng, earlier, is_fake)
                if code is not None:
                    break
            tally.codes[code] += 1
        except Violation as violation:
            tally.violations += 1
            print(f"{name} --only {number} --seed {seed}: {violation}\n", file=sys.stderr)
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
    parser.add_argument("--real", action="store_true", help="with the TensorFlow that is installed")
    options = parser.parse_args(arguments)
    print("| kind | tries | missed | exit codes | violations | seconds |")
    print("| --- | --: | --: | --- | --: | --: |", flush=True)
    tallies = []
    for name in options.kinds or KINDS:
        tallies.append(campaign(name, options.tries, options.seed, options.only, not options.real))
        print(tallies[-1].row, flush=True)
    return int(any(tally.violations for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
