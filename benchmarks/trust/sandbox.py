"""A project in a directory of its own, runs of pytest in it, and what must be true afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.core.saved_runs import parse_run

_TOP = Path(__file__).parents[2]
_FAKES = tuple(str(_TOP / "tests" / name) for name in ("fake_tensorflow", "fake_cpuinfo"))
_STEPPING_CLOCK = Path(__file__).parent / "stepping_clock"
CLOCK_STEPS = "CLOCK_STEPS"  # a variable of a run
_RUN_VARIABLE = "TRUST_RUN"
_CGROUPS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))  # of version 1, of version 2
# No machine, however busy, needs as long for such a run.
LONGEST_S = 180.0
_PATIENCE_S = 20.0
_NAP_S = 0.01
_GIT = {
    **dict.fromkeys(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"), os.devnull),
    **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "x"),
    **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "x@example.com"),
}


@dataclass
class Room:
    """A project in a directory of its own, with all places that its runs may write to."""

    path: Path
    test_file: str  # the text of test_it.py
    is_fake: bool = True  # TensorFlow
    runs: int = 0
    cgroup: Path | None = None  # all runs are put into it

    def __post_init__(self) -> None:
        for place in (self.project, self.temporary, self.disk / "cache"):
            place.mkdir(parents=True)
        (self.project / "test_it.py").write_text(self.test_file)
        (self.project / ".gitignore").write_text("*\n!test_it.py\n")

    @property
    def disk(self) -> Path:
        """Holds all that a run writes but its output."""
        return self.path / "disk"

    @property
    def project(self) -> Path:
        return self.disk / "project"

    @property
    def temporary(self) -> Path:
        return self.disk / "tmp"

    @property
    def storage(self) -> Path:
        return self.project / ".benchmarks"

    def commit(self) -> None:
        """A duet needs a revision."""
        for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x")):
            subprocess.run(
                ["git", *words], cwd=self.project, check=True, env={**os.environ, **_GIT}
            )

    def start(self, arguments: Sequence[str] = (), **variables: str) -> Run:
        self.runs += 1
        return Run(self, arguments, variables)


class Run:
    """pytest at work on the project."""

    def __init__(self, room: Room, arguments: Sequence[str], variables: dict[str, str]) -> None:
        self.room = room
        self.number = room.runs
        self.mark = f"{_RUN_VARIABLE}={room.path}/{self.number}"
        output = room.path / f"output{self.number}"
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
                    *("-p", "pytest_benchmark.plugin", "-p", "pytest_tfthreads.plugin"),
                    *("--tf-threads-processes=2", "--tf-threads-timeout=60"),
                    *(f"--benchmark-save=run{self.number}", "--benchmark-json=out.json"),
                    *(f"--basetemp={room.disk / f'base{self.number}'}", *arguments),
                ],
                cwd=room.project,
                env={
                    **inherited,
                    **_GIT,
                    **variables,
                    _RUN_VARIABLE: self.mark.partition("=")[2],
                    "PYTHONPATH": os.pathsep.join(
                        # What is tried is what lies beside this file.
                        list(_FAKES if room.is_fake else ())
                        + [str(_STEPPING_CLOCK)] * (CLOCK_STEPS in variables)
                        + [str(_TOP)]
                    ),
                    "PYTHONDONTWRITEBYTECODE": "",
                    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # other plugins take half the time
                    "TMPDIR": str(room.temporary),
                    "XDG_CACHE_HOME": str(room.disk / "cache"),
                    "PYTEST_TFTHREADS_LEASES": str(room.disk / "leases"),
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._begin,
            )

    def _begin(self) -> None:
        """In the process that becomes pytest."""
        _hear_signals()
        if self.room.cgroup is not None:
            (self.room.cgroup / "cgroup.procs").write_text(str(os.getpid()))

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


def _hear_signals() -> None:
    """Programs in the background and under nohup ignore some, and so does what they start."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


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
    if not _is_ours(seen):
        is_worker = seen.parent == pytest_pid and "exec(eval(" in seen.command
        return "worker" if is_worker else ""
    depth = 0
    while (parent := found.get(seen.parent)) and _is_ours(parent):
        seen, depth = parent, depth + 1
    return ("guard", "interpreter", "measuring")[min(depth, 2)]


def _is_ours(seen: Seen) -> bool:
    """Whether the plugin has started it; the command of pytest names the plugin, too."""
    return "pytest_tfthreads" in seen.command and " -c " in seen.command


@contextlib.contextmanager
def room_of(test_file: str, disk: Sequence[str] = (), is_fake: bool = True) -> Iterator[Room]:
    """A room that is gone afterwards, with a file system of its own if `mount` is told of one."""
    path = Path(tempfile.mkdtemp(prefix="trust-"))
    try:
        if disk:
            (path / "disk").mkdir()
            mount("-t", "tmpfs", *disk, "trust", path / "disk")
        yield Room(path, test_file, is_fake)
    finally:
        unmount(path / "disk")
        shutil.rmtree(path)


@contextlib.contextmanager
def little_memory(limit_bytes: int) -> Iterator[Path]:
    """A cgroup that may take so much memory, swap included. Takes root."""
    top = next(place for place in _CGROUPS if (place / "cgroup.procs").exists())
    group = Path(tempfile.mkdtemp(prefix="trust-", dir=top))
    try:
        limits = {"memory.limit_in_bytes": limit_bytes, "memory.max": limit_bytes}
        limits |= {"memory.memsw.limit_in_bytes": limit_bytes, "memory.swap.max": 0}
        for name, number in limits.items():
            if (group / name).exists():  # each version of cgroups has names of its own
                (group / name).write_text(str(number))
        yield group
    finally:
        group.rmdir()


def mount(*words: str | Path) -> None:
    """Call `mount`, which takes root."""
    subprocess.run(["mount", *words], check=True)


def unmount(place: Path) -> None:
    """Whatever is mounted there."""
    while str(place) in _mounted():
        subprocess.run(["umount", "--lazy", place], check=True)


def _mounted() -> list[str]:
    """All places at which something is mounted; `os.path.ismount` knows no bind mounts."""
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


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
    return set().union(*saved_tests(room).values())


def saved_tests(room: Room) -> dict[Path, set[str]]:
    """The names of the tests in each file that was saved. All of them are whole."""
    tests = {}
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
        tests[file] = found
    return tests
