"""The project's modules, imported ahead of the fork where that changes nothing but the time.

A throw-away fork imports them first, and is watched: what it asks the machine and the environment
for, and what the imports leave. Only what passes is imported in the interpreter.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import re
import select
import signal
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, TextIO

from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.engine.preload import Preload, Preloaded
from pytest_tfthreads.system import linux
from pytest_tfthreads.system.originals import ORIGINALS

_BEGUN, _PASSED, _REFUSED = "begun", "passed", "refused"  # what the fork tells
_CHUNK_BYTES = 1 << 16
_MOST_TRIALS = 10
_TRIAL_TIMEOUT_S = 120
_COUNTS = ("cpu_count", "process_cpu_count", "sched_getaffinity")
_FILES_OF_CPUS = ("/proc/cpuinfo", "/proc/stat", "/sys/devices/system/cpu", "/sys/fs/cgroup")
_THREAD_VARIABLES = re.compile(r"THREADS|^(OMP|KMP|GOMP|MKL|TF_NUM)_")
# They count the CPUs when they are loaded, out of Python's sight. OpenBLAS does too, but the
# interpreter's environment keeps it to one thread, and one with more would show its threads.
_LIBRARIES = re.compile(r"/lib(gomp|iomp5|omp|mkl_\w+|tbb|blis|torch_cpu)[-.\w]*\.so[.\d]*$")


@dataclass(frozen=True)
class Refusal:
    """Modules that do not pass, and why."""

    names: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class TrialImport:
    """What a throw-away fork has imported without any objection, and what ended it, if anything."""

    passed: tuple[str, ...]
    refused: Refusal | None = None


class Preloading:
    """What one interpreter has imported of its project."""

    def __init__(self) -> None:
        self._modules: list[str] = []
        self._left_out: dict[str, str] = {}
        self._problem = ""

    def carry_out(self, wish: Preload, sys_path: Sequence[str]) -> Preloaded:
        """Import what is wished for and not decided yet, if it may be; then look at it again."""
        known = {*self._modules, *self._left_out}
        wanted = [name for name in wish.modules if name not in known and name not in sys.modules]
        if wanted and not self._problem:
            before = sys.path[:]
            sys.path[:] = sys_path
            try:
                self._import(self._passing(wanted, wish.keep_out))
            finally:
                sys.path[:] = before
        threads = linux.thread_count()
        if threads > 1 and not self._problem:
            self._problem = f"{threads} threads run after the project's modules were imported"
        return Preloaded(tuple(self._modules), dict(self._left_out), self._problem)

    def _passing(self, wanted: Sequence[str], keep_out: Sequence[str]) -> Sequence[str]:
        """Those that pass together: what one module brings along is tried without the others."""
        for _ in range(_MOST_TRIALS):
            trial = _try_out(wanted, keep_out)
            if trial.refused is None:
                return trial.passed
            for name in wanted:
                if whose := _refused_by(name, trial.refused.names):
                    own = "" if whose == name else f"it is part of {whose}: "
                    self._left_out[name] = own + trial.refused.why
            wanted = [name for name in wanted if name not in self._left_out]
        for name in wanted:
            if name not in trial.passed:
                self._left_out[name] = f"not tried, for {_MOST_TRIALS} others were refused before"
        return trial.passed

    def _import(self, names: Sequence[str]) -> None:
        from pytest_tfthreads.measuring import runtime

        for name in names:
            try:
                _import_quietly(name)
            # Whatever an import raises, this interpreter is of no use then.
            except BaseException as error:
                self._problem = f"importing {name} failed, though it had passed: {error!r}"
                return
            self._modules.append(name)
        gc.collect()
        runtime.remember_functions()
        gc.freeze()
        sys.stdout.flush()
        sys.stderr.flush()


def _refused_by(name: str, refused: Sequence[str]) -> str:
    """The module itself, or the package above it, that was refused; or nothing."""
    return next((one for one in refused if name == one or name.startswith(f"{one}.")), "")


def _import_quietly(name: str) -> None:
    # Filters that a module sets would hold in all forks, beneath those of pytest.
    with warnings.catch_warnings():
        importlib.import_module(name)


# -- the throw-away fork ----------------------------------------------------------------


def _try_out(names: Sequence[str], keep_out: Sequence[str]) -> TrialImport:
    """Import the modules in a fork, one by one, until the first that does not pass."""
    reading, writing = os.pipe()
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            linux.die_with_parent(parent)
            signal.set_wakeup_fd(-1)
            with os.fdopen(writing, "w") as told:
                _import_watched(names, frozenset(keep_out), told)
        finally:
            os._exit(0)
    os.close(writing)
    text, is_late = _read_all(reading)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    passed: list[str] = []
    begun = ""
    for line in text.splitlines():
        kind, told = json.loads(line)
        if kind == _REFUSED:
            return TrialImport(tuple(passed), decode(Refusal, told))
        if kind == _PASSED:
            passed.append(told)
        begun = told if kind == _BEGUN else ""
    if not begun:
        return TrialImport(tuple(passed))
    why = f"takes more than {_TRIAL_TIMEOUT_S} s to import" if is_late else "ends the process"
    return TrialImport(tuple(passed), Refusal((begun,), why))


def _read_all(fd: int) -> tuple[str, bool]:
    """What comes until the other end is closed, and whether that took too long."""
    deadline_s = ORIGINALS.monotonic() + _TRIAL_TIMEOUT_S
    chunks: list[bytes] = []
    with os.fdopen(fd, "rb", buffering=0) as file:
        while (left_s := deadline_s - ORIGINALS.monotonic()) > 0:
            if select.select([file], [], [], left_s)[0]:
                chunk = file.read(_CHUNK_BYTES)
                if not chunk:
                    return _whole_lines(chunks), False
                chunks.append(chunk)
    return _whole_lines(chunks), True


def _whole_lines(chunks: Sequence[bytes]) -> str:
    text = b"".join(chunks).decode()
    return text[: text.rfind("\n") + 1]


def _import_watched(names: Sequence[str], keep_out: frozenset[str], told: TextIO) -> None:
    def tell(kind: str, body: object) -> None:
        print(json.dumps([kind, body]), file=told, flush=True)

    watch = _Watch()
    before = _state(keep_out)
    for name in names:
        tell(_BEGUN, name)
        why = ""
        with watch.on():
            try:
                _import_quietly(name)
            except BaseException as error:  # an import can raise anything, and skip or exit too
                why = f"importing it raises {type(error).__name__}"
        after = _state(keep_out)
        why = watch.finding or why or _difference(before, after)
        if why:
            tell(_REFUSED, encode(Refusal((name, *watch.importing), why)))
            linux.kill_children()
            return
        tell(_PASSED, name)
        before = after


class _Watch:
    """Notes the first time that code asks for what differs between here and a measuring process.

    That is made of the CPUs and the environment. Python code is seen; a library in C is not.
    """

    def __init__(self) -> None:
        self.finding = ""
        self.importing: tuple[str, ...] = ()  # the modules that were being imported then
        self._is_on = False
        for name in _COUNTS:
            if hasattr(os, name):
                self._wrap(os, name, _call_of(name))
        self._wrap(os, "sysconf", _sysconf)
        self._wrap(type(os.environ), "__getitem__", _variable)
        sys.addaudithook(self._audit)

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def _wrap(self, holder: Any, name: str, asks: Callable[[tuple[Any, ...]], str]) -> None:
        original = getattr(holder, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self._note(asks(args))
            return original(*args, **kwargs)

        setattr(holder, name, watched)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if self._is_on and event == "open" and str(args[0]).startswith(_FILES_OF_CPUS):
            self._note(str(args[0]))

    def _note(self, asked: str) -> None:
        if not asked or not self._is_on or self.finding:
            return
        self.importing = tuple(_modules_being_imported(sys._getframe(1)))
        who = self.importing[0] if self.importing else "it"
        self.finding = f"{who} asks for {asked} while it is imported"


def _call_of(name: str) -> Callable[[tuple[Any, ...]], str]:
    return lambda _: f"os.{name}()"


def _sysconf(args: tuple[Any, ...]) -> str:
    return f"os.sysconf({args[0]!r})" if "NPROCESSORS" in str(args[0]) else ""


def _variable(args: tuple[Any, ...]) -> str:
    name = args[1]
    is_read = isinstance(name, str) and _THREAD_VARIABLES.search(name)
    return f"the variable {name}" if is_read else ""


def _modules_being_imported(frame: FrameType | None) -> Iterator[str]:
    """Innermost first."""
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            yield frame.f_globals["__name__"]
        frame = frame.f_back


def _state(keep_out: frozenset[str]) -> dict[str, Any]:
    """What the import of a module must leave as it is, for all forks would have it so."""
    from pytest_tfthreads.measuring import runtime

    numpy = sys.modules.get("numpy")
    return {
        "starts a thread": linux.thread_count(),
        "starts a process": len(linux.children()),
        "opens a file or a connection, which all forks would share": len(
            os.listdir("/proc/self/fd")
        ),
        "sets TensorFlow's threads": runtime.threads_asked_for(),
        "loads a library that counts the CPUs": _libraries(),
        "sets the process's CPUs": sorted(os.sched_getaffinity(0)),
        "changes variables of the environment": dict(os.environ),
        "changes the working directory": os.getcwd(),
        "handles a signal": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "uses the global random numbers": (
            random.getstate(),
            None if numpy is None else repr(numpy.random.get_state()),
        ),
        "makes something that is removed when a process ends, such as a temporary directory": (
            _finalizers()
        ),
        "imports a module that pytest rewrites, or a test": sorted(keep_out & sys.modules.keys()),
    }


def _finalizers() -> int:
    """How many `weakref.finalize` run at exit: each fork would remove what all of them use."""
    found = getattr(weakref.finalize, "_registry", {}).values()
    return sum(bool(one.atexit) for one in found)


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    for what, value in after.items():
        if value != before[what]:
            news = _news(before[what], value)
            return f"importing it {what}{news and f' ({news})'}"
    return ""


def _news(before: Any, after: Any) -> str:
    """What is new in a list, or other in a table, if there are words for it."""
    if isinstance(after, list):
        return ", ".join(str(one) for one in after if one not in before)
    if isinstance(after, dict):
        return ", ".join(
            getattr(name, "name", str(name))
            for name in {**before, **after}
            if before.get(name) != after.get(name)
        )
    return ""


def _libraries() -> list[str]:
    with open("/proc/self/maps", errors="replace") as file:
        mapped = {line.split(None, 5)[-1].strip() for line in file if ".so" in line}
    return sorted(os.path.basename(one) for one in mapped if _LIBRARIES.search(one))
