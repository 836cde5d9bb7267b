"""What readers do with data that nobody should have written, where coverage guides the search.

    python benchmarks/trust/guided.py [--seconds S] [--seed N] [--keep DIRECTORY] [READER ...]
    python benchmarks/trust/guided.py READER --only FILE

The readers, the grammar of mutations and what counts as a violation are those of readers.py. There
a random number decides at each fork of the grammar; here the bytes of an input do, and atheris
(`pip install atheris`) makes new inputs of those that reached new lines of the package. So many
seconds for each reader (300), and a table. The first input of each kind of violation is kept in
DIRECTORY, where one is given; `--only FILE` repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

_FIRST_INPUTS = 40
_LONGEST_INPUT = 4096
_RESULT = "guided: "
_COVERED = re.compile(r"\bcov: (\d+)")


class Steered(random.Random):
    """Random numbers that are read from bytes, and drawn where no more are left."""

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self._data = data
        self._place = 0

    def getrandbits(self, k: int, /) -> int:
        """The next bytes."""
        size = (k + 7) // 8
        found = self._data[self._place : self._place + size]
        self._place += size
        if len(found) < size:  # the same for ever would end no search for what is not drawn yet
            return super().getrandbits(k)
        return int.from_bytes(found, "little") & ((1 << k) - 1)

    def random(self) -> float:
        """From the next two bytes: no fork of the grammar asks for more."""
        return self.getrandbits(16) / (1 << 16)


@dataclass(frozen=True)
class Found:
    """What came of one reader."""

    reader: str
    inputs: int
    violations: int
    seconds: float
    longest_s: float
    first: int
    """Edges of the package's code that the first inputs covered; `last`: all of them."""
    last: int


def _explore(name: str, seconds: float, seed: int, keep: Path | None) -> NoReturn:
    """In a process of its own, which ends with it; says what came of it in a line."""
    import atheris

    with atheris.instrument_imports(include=["pytest_tfthreads"]):
        import readers
    readers._import_what_is_imported_late()
    inputs, longest_s, ends_s = 0, 0.0, time.monotonic() + seconds
    violations: dict[str, int] = {}
    room = readers.Room(Path(tempfile.mkdtemp(dir=os.environ["GUIDED_PLACE"])))

    def one(data: bytes) -> None:
        nonlocal inputs, longest_s
        if time.monotonic() > ends_s:
            told = {"inputs": inputs, "violations": violations, "longest_s": longest_s}
            print(_RESULT + json.dumps(told), flush=True)
            os._exit(0)
        signal.setitimer(signal.ITIMER_REAL, 0)  # atheris has an alarm of its own
        started_s = time.process_time()
        try:
            with readers.limited():
                readers.READERS[name](Steered(data), room)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            kind = readers._kind_of(error)
            if kind not in violations:
                print(f"{name}: {kind}\n{_shown(error)}", flush=True)
                if keep is not None:
                    (keep / f"{name}-{len(violations)}").write_bytes(data)
            violations[kind] = violations.get(kind, 0) + 1
        longest_s = max(longest_s, time.process_time() - started_s)
        inputs += 1

    first = Path(os.environ["GUIDED_PLACE"]) / "inputs"
    first.mkdir()
    rng = random.Random(seed)
    for number in range(_FIRST_INPUTS):
        (first / str(number)).write_bytes(rng.randbytes(rng.choice((64, 256, 1024))))
    # The limits of an input are those of readers.py, which need these signals themselves.
    limits = ["-timeout=0", "-handle_alrm=0", "-handle_int=0", "-rss_limit_mb=0"]
    sizes = [f"-max_len={_LONGEST_INPUT}", "-len_control=0", f"-seed={seed}"]
    place = f"-artifact_prefix={first.parent}/"  # slow inputs are none of ours
    atheris.Setup([sys.argv[0], *limits, *sizes, place, str(first)], one)
    atheris.Fuzz()
    raise AssertionError("it ends with the process")


def _shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-1500:]


def explored(name: str, seconds: float, seed: int, keep: Path | None = None) -> Found:
    """One reader for so long, in a process of its own."""
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(dir=_quick_place()) as place:
        command = [sys.executable, __file__, name, f"--seconds={seconds}", f"--seed={seed}"]
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            command.append(f"--keep={keep}")
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace",
            env={**os.environ, "GUIDED_PLACE": place},
        )  # fmt: skip
    told: dict[str, Any] | None = None
    for line in done.stdout.splitlines():
        if line.startswith(_RESULT):
            told = json.loads(line.removeprefix(_RESULT))
        else:
            print(line)
    if told is None:
        raise SystemExit(f"{name}: the process ended too early\n{done.stderr[-3000:]}")
    covered = [int(one) for one in _COVERED.findall(done.stderr)]
    begun = _COVERED.search(done.stderr.partition("INITED")[2])
    return Found(
        name,
        told["inputs"],
        sum(told["violations"].values()),
        time.monotonic() - started_s,
        told["longest_s"],
        int(begun[1]) if begun else 0,
        max(covered, default=0),
    )


def _quick_place() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("readers", nargs="*", metavar="READER")
    parser.add_argument("--seconds", type=float, default=300.0, help="for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where inputs of violations are kept")
    parser.add_argument("--only", type=Path, help="the input of this file alone")
    options = parser.parse_args(arguments)
    if "GUIDED_PLACE" in os.environ:
        _explore(options.readers[0], options.seconds, options.seed, options.keep)
    import readers

    if unknown := set(options.readers) - set(readers.READERS):
        parser.error(f"there is no reader {sorted(unknown)}; there are {sorted(readers.READERS)}")
    if options.only is not None:
        with tempfile.TemporaryDirectory() as place, readers.limited():
            for name in options.readers:
                steered = Steered(options.only.read_bytes())
                readers.READERS[name](steered, readers.Room(Path(place)))
        return 0
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: pip install atheris")
    found = []
    for name in options.readers or readers.READERS:
        found.append(explored(name, options.seconds, options.seed, options.keep))
    print("| reader | inputs | violations | seconds | longest | covered first | at the end |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for one in found:
        print(
            f"| {one.reader} | {one.inputs:,} | {one.violations} | {one.seconds:.0f} | "
            f"{one.longest_s:.2f} s | {one.first:,} | {one.last:,} |"
        )
    return int(any(one.violations for one in found))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
