"""What readers do with data that nobody should have written.

    python benchmarks/trust/readers.py [--inputs N] [--seconds S] [--seed N] [READER ...]

Every reader gets so many inputs (10,000) of a grammar of mutations: cut off, bits flipped, wrong
types, huge and tiny numbers, NaN, names that come twice, brackets nested by the thousand, long
texts, options and paths where a commit belongs, escapes of terminals, and markup. An input is a
violation if it ends in a traceback, takes more than 5 s of CPU time or 1 GB of memory, brings a
character to the terminal that it would obey, or markup into a page. A table, and of each kind of
violation the first input's number: `--only N` repeats one.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import importlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import mutations
from mutations import MARK, evil_text, file_name, lines_of_files, mutated, places, text_of

from pytest_tfthreads import cli
from pytest_tfthreads.commands.output import print_lines
from pytest_tfthreads.core.benchmark_record import BenchmarkRecord
from pytest_tfthreads.core.decode import DecodeError, decode, encode
from pytest_tfthreads.core.format import one_line
from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import Change, Policy, Verdict
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.op_profile import ROUND, OpProfile, OpTime, Span, Trace, Traces
from pytest_tfthreads.core.saved_runs import parse_run
from pytest_tfthreads.core.stats.change_points import ENOUGH_SITTINGS, Session, segmentation
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.threads import Case, Configuration, ThreadConfig
from pytest_tfthreads.doctor import checks, inspection
from pytest_tfthreads.engine.answers import Answers
from pytest_tfthreads.engine.reply import RaisedError, RecordedWarning, Reply
from pytest_tfthreads.history import commit_log, html_page, listing
from pytest_tfthreads.history import text as history_text
from pytest_tfthreads.history.commits import Commits
from pytest_tfthreads.history.entries import entry_of
from pytest_tfthreads.history.series import lines_of, run_of, segmentations_of
from pytest_tfthreads.history.side_by_side import CommitStep, KeptCall, directory_in, read_kept
from pytest_tfthreads.history.timeline import Timeline
from pytest_tfthreads.pytest_bridge import gate
from pytest_tfthreads.report import annotations as annotations_of_ci
from pytest_tfthreads.report import console, profiles, verdicts
from pytest_tfthreads.report.html import document
from pytest_tfthreads.report.html.content import MeasuredCase, RunContent, Subject
from pytest_tfthreads.revision import git
from pytest_tfthreads.runner.measurements import MeasuredTest
from pytest_tfthreads.system import machine
from pytest_tfthreads.system.leases import notes

LONGEST_S = 5.0
_LONGEST_WAIT_S = 60.0
MOST_BYTES = 1 << 30
TEST = "bench/test_it.py::test_step[intra2-inter1]"
COMMITS = [f"{number:040x}" for number in range(1, 4)]
MACHINE = {
    "host": "here", "cpu": "Model X", "physical": 2, "logical": 4, "quota": None, "nodes": 1,
    "tensorflow": "2.20.0", "onednn": "default", "python": "3.12.1", "plugin": "0.1.0",
}  # fmt: skip


class Violation(Exception):
    """What a reader must never do."""


class TooLong(BaseException):
    """Nothing that readers catch."""


# -- what honest writers leave --------------------------------------------------------------------


def sample(rng: random.Random, speed: float = 100.0, **fields: Any) -> Sample:
    """A process of a few rounds."""
    wall_s = tuple(round(rng.uniform(0.9, 1.1) / speed, 6) for _ in range(6))
    known: dict[str, Any] = {
        "reference_wall_s": 0.001, "reference_cpu_s": 0.002, "ring": 0, "turn_rounds": 2,
    }  # fmt: skip
    return Sample(
        wall_s, tuple(2 * one for one in wall_s), 10, 50, 0.1, 1 << 20, 3, 4, (0, 1),
        **{**known, **fields},
    )  # fmt: skip


def measurement(rng: random.Random, speed: float = 100.0) -> Measurement:
    """Two processes on a machine."""
    return Measurement(
        Pools(2, 1), Pools(2, 1), (0, 1), "fork", 4, "images",
        (sample(rng, speed), sample(rng, speed)), MACHINE, ("numa",),
    )  # fmt: skip


PROFILE = OpProfile(10, 0.005, 0.001, (OpTime("Conv2D", 2.0, 0.003), OpTime("MatMul", 1, 0.001)))
TRACES = Traces(
    "traces", "here", Trace("the current tree", "x/plugins/profile/1", PROFILE),
    Trace("main", None, PROFILE), ("no room",),
)  # fmt: skip
VERDICT = Verdict(
    test=TEST, metric="throughput", status="regression", configuration="2×1", unit="images",
    now=Estimate(1.0, 0.5, 2.0), tolerance=0.05, reason="30 % slower", judged_against="0001_x",
    baseline=Estimate(2.0, None, None), change=Change(-0.3, -0.4, -0.2), detectable=0.1,
    corrected=True, advice=("save it",), rule="by the rule", named="", no_duet="no git",
)  # fmt: skip
PAIRS = tuple(Pair(-0.02 + 0.01 * one, 0.01) for one in range(3))


def saved(rng: random.Random, number: int) -> dict[str, Any]:
    """A file of three tests, with all that can be recorded."""
    benchmarks = []
    for name, intra in (("test_step", 2), ("test_step", 1), ("test_other", 2)):
        test = f"bench/test_it.py::{name}[intra{intra}-inter1]"
        ours = {
            **measurement(rng, 100 * (2 if number > 1 else 1)).to_json(),
            "group": f"bench/test_it.py::{name}",
            "configuration": {
                "id": f"intra{intra}-inter1", "intra": str(intra), "inter": "physical/2",
            },
            "profile": TRACES.to_json(),
        }  # fmt: skip
        if name == "test_other":
            duet = {"against": "main (0123456)", "pairs": encode(PAIRS), "problem": ""}
            ours |= {"verdicts": [VERDICT.to_json()], "duet": duet}
        benchmarks.append(
            {"name": test, "fullname": test, "group": None, "extra_info": {"tf_threads": ours}}
        )
    return {
        "machine_info": {"node": "here"},
        "commit_info": {"id": COMMITS[number % 3], "dirty": number == 2},
        "benchmarks": benchmarks,
        "datetime": f"2026-03-{number + 1:02}T03:00:00+00:00",
        "tf_threads": {"failed": ["bench/test_it.py::test_failed"], "complete": number != 2},
    }


# -- what must be true of what comes out ----------------------------------------------------------


def check_terminal(text: str) -> None:
    """Nothing in lines of text is a control character."""
    for line in text.split("\n"):
        if not line.isprintable():
            odd = sorted({one for one in line if not one.isprintable()})
            raise Violation(f"characters for a terminal: {odd[:5]}")


class _Page(HTMLParser):
    """Also whether the policy of the page stands before all else, and knows each script."""

    policy = ""
    is_data = is_script = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == MARK:
            raise Violation(f"an element <{MARK}> is in the page")
        for name, value in attrs:
            is_run = name in ("href", "src") and (value or "").strip().lower().startswith("java")
            if name.startswith("on") or is_run:
                raise Violation(f"the page would run {name}={value!r:.60}")
        known = dict(attrs)
        if known.get("http-equiv", "").lower() == "content-security-policy":
            self.policy = known["content"]
        elif not self.policy and tag not in ("html", "head", "meta"):
            raise Violation(f"<{tag}> stands before the page's policy")
        self.is_data = tag == "script" and known.get("type") == "application/json"
        self.is_script = tag == "script" and not self.is_data

    def handle_endtag(self, tag: str) -> None:
        self.is_data = self.is_script = False

    def handle_data(self, data: str) -> None:
        if self.is_data and data.strip():
            _check_figure(json.loads(data))
        elif self.is_script:
            digest = base64.b64encode(hashlib.sha256(data.encode()).digest()).decode()
            if f"'sha256-{digest}'" not in self.policy.partition("script-src")[2]:
                raise Violation(f"a script that the page's policy does not know: {data!r:.60}")


def _check_figure(spec: Any) -> None:
    if isinstance(spec, str) and f"<{MARK}" in spec:
        raise Violation("markup is in a figure")
    if isinstance(spec, dict):  # groups are compared, and not shown
        children = [one for name, one in spec.items() if name != "legendgroup"]
    else:
        children = spec if isinstance(spec, list) else []
    for child in children:
        _check_figure(child)


def check_page(text: str) -> None:
    """No markup of a text has become the page's, and its policy would let none run."""
    page = _Page()
    page.feed(text)
    page.close()
    if "default-src 'none'" not in page.policy:
        raise Violation("the page has no policy")


# -- readers --------------------------------------------------------------------------------------


@dataclass
class Room:
    """A directory of an input, and what readers keep from one input to the next."""

    path: Path
    kept: dict[str, Any] = field(default_factory=dict)


def command(rng: random.Random, room: Room) -> None:
    """Saved runs: by `list`, `history`, `compare` and `report`."""
    storage = room.path / "Linux"
    runs = _kept_runs(room)
    shutil.rmtree(storage, ignore_errors=True)
    storage.mkdir()
    files = []
    for number, (run, paths) in enumerate(runs, 1):
        is_honest = rng.random() < 0.4
        data = run if is_honest else mutated(rng, run, paths)
        file = storage / file_name(rng, number)
        file.write_bytes(json.dumps(data).encode() if is_honest else text_of(rng, data))
        files.append(str(file))
    place, page = f"--storage={room.path}", room.path / "page.html"
    page.unlink(missing_ok=True)
    command = rng.choice(
        (
            ("list", place),
            ("list", place, "--csv"),
            ("list", place, "--json"),
            ("history", place),
            ("history", place, "--csv"),
            ("history", place, "--json"),
            ("history", place, "--html", str(page)),
            ("compare", *files),
            ("compare", *files, "--csv"),
            ("compare", *files, "--json"),
            ("report", place, "-o", str(page)),
            ("report", *files, "-o", str(page)),
        )
    )
    code, out, err = run_command(*command)
    if code not in (0, 1, 2):
        raise Violation(f"exit code {code}")
    check_terminal(out)
    check_terminal(err)
    if "--json" in command and code != 2:
        json.loads(out)
    if page.exists():
        check_page(page.read_text(encoding="utf-8"))


def _kept_runs(room: Room) -> list[tuple[Any, list[tuple[Any, ...]]]]:
    if "runs" not in room.kept:
        runs = [saved(random.Random(number), number) for number in range(4)]
        room.kept["runs"] = [(run, list(places(run))) for run in runs]
    found: list[tuple[Any, list[tuple[Any, ...]]]] = room.kept["runs"]
    return found


def run_command(*arguments: str) -> tuple[Any, str, str]:
    """Its exit code, output and complaints; plotly's script is left out of pages."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors=how) for how in ("strict", "replace")
    )
    code: Any = None
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("pytest_tfthreads.report.page._plotly_js", return_value=""),
        mock.patch("pytest_tfthreads.commands.listing.commits_of", return_value=Commits()),
        mock.patch("pytest_tfthreads.commands.history.commits_of", return_value=Commits()),
    ):
        try:
            cli.main(arguments)
        except SystemExit as ending:
            code = ending.code
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return code, *texts


def gate_of_a_run(rng: random.Random, room: Room) -> None:
    """Saved runs: by the gate, its words and its annotations, through pytest-xdist too."""
    files = []
    for number, (run, paths) in enumerate(_kept_runs(room)[:3], 1):
        file = room.path / file_name(rng, number)
        file.write_bytes(text_of(rng, mutated(rng, run, paths)))
        files.append(file)
    read = gate._read(files, most=rng.randint(1, len(files)))
    runs, problems = read.runs, [*read.problems, *read.not_ours.values()]
    told = gate.Gate(Policy(), 4, runs, rng.random() < 0.5, notes=problems)
    told = gate.Gate._told(told.to_text(), Policy(), 4)
    now, case = measurement(rng), Case(ThreadConfig())
    texts = [*problems]
    found = [told.judge(test, now, case) for test in [*(runs[-1].tests if runs else ()), TEST][:3]]
    for throughput, efficiency in found:
        both = [throughput, efficiency]
        texts += verdicts.render(both)
        texts += [verdicts.failure_message(one) for one in both]
        texts += annotations_of_ci.render(
            [(one, annotations_of_ci.SourcePlace("x.py")) for one in both], Policy()
        )
        check_markdown(verdicts.markdown(both, rng.choice(("", "here", evil_text(rng)))))
        decode(Verdict, json.loads(json.dumps(throughput.to_json())))
    if runs:
        trace = told.stored_trace(TEST, now)
        texts += [] if trace is None else profiles.render(
            [profiles.Row(TEST, Traces("d", "here", trace))], "here"
        )  # fmt: skip
    check_terminal("\n".join(texts))


_HARMLESS = re.compile(
    r"\\[!-/:-@\[-`{-~]|&(?:amp|lt|gt);|<span>\$</span>"  # the last one as GitHub's docs have it
)
_MARKUP = re.compile(r"[\\`*_\[\]{}<>&$!~@#]|https?://|www\.|ftp://")


def check_markdown(text: str) -> None:
    """No text has become markup of GitHub's: a cell, a link, an image, math, or anything else."""
    columns = 0
    for line in text.split("\n"):
        plain = _HARMLESS.sub("", line)
        if plain.startswith("|"):
            pieces = plain.split("|")
            columns = columns or len(pieces)
            if len(pieces) != columns:
                raise Violation(f"a row of the step summary has {len(pieces) - 2} cells")
        elif plain.startswith(("- ", "### ")):
            pieces = [plain.partition(" ")[2]]
        elif plain:
            raise Violation(f"a line of the step summary that is none of a table or list: {plain}")
        else:
            pieces = []
        for piece in pieces:
            if markup := _MARKUP.search(piece):
                raise Violation(f"markup is in the step summary: {markup[0]!r}")


def message(rng: random.Random, room: Room) -> None:
    """Messages of a measuring process, who may be a test that writes what it likes."""
    if "reply" not in room.kept:
        reply = Reply(
            "finished", other_ids=("a",), exit_code=0, reports=({"when": "call"},),
            warnings=(RecordedWarning("w", "builtins", "UserWarning", "f.py", 1, "t"),),
            benchmark=BenchmarkRecord((0.5,), 1, None, {"timer": "x"}, {}),
            sample=sample(random.Random(0)),
            effective=Pools(2, 1), runtime={"tensorflow": "2.20"}, modules={"a": "b"},
            raised={"call": (RaisedError((("builtins", "OSError"),), "text", (1,), {"a": 1}),)},
        )  # fmt: skip
        body = {"kind": "reply", **reply.to_json()}
        ready = {"kind": "ready", "ready": {"iterations": 10, "call_s": 0.001, "budget_s": 1.0}}
        room.kept["reply"] = [(one, list(places(one))) for one in (body, ready)]
    lines = []
    for body, paths in rng.choices(room.kept["reply"], k=rng.choice((1, 1, 2))):
        lines.append(text_of(rng, mutated(rng, body, paths)) + b"\n" * rng.choice((1, 1, 1, 0, 2)))
    data = b"".join(lines)
    if rng.random() < 0.1:
        data = flipped_chunks(rng, data)
    answers = Answers()
    answers.theirs.setblocking(False)
    rest: bytes | None = data
    try:
        while answers.is_open:
            if rest:
                with contextlib.suppress(BlockingIOError):
                    rest = rest[answers.theirs.send(rest[: rng.choice((1 << 20, 1 << 20, 7))]) :]
            elif rest is not None:
                answers.theirs.shutdown(socket.SHUT_WR)
                rest = None
            answers.read()
    finally:
        answers.theirs.close()
        answers.close()
    if answers.reply is not None:
        json.dumps(answers.reply.to_json(), default=repr)
    if len(answers.problem) > 5000:
        raise Violation("an error message of more than 5,000 characters")


def flipped_chunks(rng: random.Random, data: bytes) -> bytes:
    """What a test may write between two messages."""
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice((b"\n", b"\0" * 10, b"text\n", data)) + data[place:]


def payload(rng: random.Random, room: Room) -> None:
    """What reports of a worker of pytest-xdist carry, and the tables made of it."""
    if "payload" not in room.kept:
        measured = MeasuredTest(
            TEST, TEST, "group", Configuration("intra2-inter1", "2", "1"), "p", {"intra": "2"},
            BenchmarkRecord((0.5,), 1, None, {}, {}), measurement(random.Random(0)),
            verdicts=(VERDICT,),
            duet={"against": "main"}, traces=TRACES, notes=("note",), unwritten=("why",),
        )  # fmt: skip
        data = json.loads(json.dumps(measured.to_json()))
        room.kept["payload"] = (data, list(places(data)))
    data, paths = room.kept["payload"]
    try:
        measured = MeasuredTest.from_json(mutated(rng, data, paths))
    except DecodeError as error:
        check_terminal(str(error))
        return
    measured.by("gw1")
    assert measured.candidate
    texts = verdicts.render(measured.verdicts)
    texts += [
        line for one in measured.verdicts for line in verdicts.failure_message(one).split("\n")
    ]
    if measured.traces is not None:
        texts += profiles.render([profiles.Row(measured.name, measured.traces)], "here")
    texts += console.render([console.Row(measured.name, measured.measurement)], measured.notes, [])
    case = MeasuredCase(measured.name, measured.candidate, measured.verdicts, (), measured.traces)
    subject = Subject(measured.group, (case,), None)
    with mock.patch("pytest_tfthreads.report.page._plotly_js", return_value=""):
        page = document.render(RunContent(when="2026-01-01", source="here", subjects=(subject,)))
    check_page(page.decode())
    check_terminal("\n".join(texts))


def trace(rng: random.Random, room: Room) -> None:
    """Spans of a profiler, and profiles that are stored."""
    names = (ROUND, ROUND, "KernelAndDeviceFunc::Run", "a:MatMul", "b:Conv2D", evil_text(rng))

    def time_ps() -> int:
        return rng.choice((0, 1, rng.randrange(10**6), rng.randrange(10**12), -5, 10**30, 2**63))

    def span() -> Span:
        name = rng.choice(names)
        kind = rng.choice(("", name.rpartition(":")[2], "Iterator::Map"))
        return Span(name, time_ps(), time_ps(), kind, rng.choice((None, None, "", "MatMul")))

    lines = [[span() for _ in range(rng.choice((0, 3, 30)))] for _ in range(rng.choice((1, 2, 5)))]
    try:
        profile = OpProfile.of(lines, rng.choice((1, 10, 10**6)))
    except ValueError:
        pass
    else:
        text = json.dumps(profile.to_json(), allow_nan=False)
        if OpProfile.from_json(json.loads(text)) != profile:
            raise Violation("a profile is not what is read again")
        rows = [profiles.Row(TEST, Traces("d", "here", Trace("now", "path", profile)))]
        check_terminal("\n".join(profiles.render(rows, "here")))


TREE = {
    "proc/cpuinfo": "processor : 0\nphysical id : 0\ncore id : 0\nflags : fpu hypervisor\n\n"
    "processor : 1\nphysical id : 0\ncore id : 1\nmodel name : Model X\n",
    "proc/stat": "cpu  1 2 3 4 5 6 7 8\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 1 2 3 4 5 6 7 8 0 0\n",
    "proc/loadavg": "0.5 0.4 0.3 1/100 1234\n",
    "proc/self/cgroup": "4:memory:/a\n3:cpu,cpuacct:/a/b\n0::/a/b\n",
    "cgroup/a/b/cpu.max": "150000 100000\n",
    "cgroup/a/cpu.max": "max 100000\n",
    "cgroup/cpu/a/cpu.cfs_quota_us": "150000\n",
    "cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
    "cgroup/a/b/memory.events": "low 0\noom 1\noom_kill 1\n",
    "sys/devices/system/cpu/online": "0-1\n",
    **{
        f"sys/devices/system/cpu/cpu{cpu}/{name}": text
        for cpu in range(2)
        for name, text in {
            "topology/thread_siblings_list": "0,1\n",
            "cache/index0/level": "1\n",
            "cache/index0/shared_cpu_list": f"{cpu}\n",
            "cache/index3/level": "3\n",
            "cache/index3/shared_cpu_list": "0-1\n",
            "cpufreq/scaling_governor": "powersave\n",
        }.items()
    },
    "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
    "sys/devices/system/node/node0/cpulist": "0-1\n",
    "sys/devices/system/node/node1/cpulist": "2-3,5\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
}
_CLOCK = checks.Clock(1e-9, 1e-8)


def tree(rng: random.Random, room: Room) -> None:
    """/proc and /sys: the machine, its quota, and what the doctor says of it."""
    root = room.path / "tree"
    changed = room.kept.get("changed", list(TREE))
    for name in changed:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            file.rmdir()
        file.write_text(TREE[name])
    room.kept["changed"] = changed = rng.sample(list(TREE), rng.choice((1, 2, 4, 12)))
    for name in changed:
        file = root / name
        if rng.random() < 0.1:
            file.unlink()
            if rng.random() < 0.5:
                file.mkdir()
        else:
            file.write_bytes(lines_of_files(rng, TREE[name]))
    places_ = {
        "_CGROUPS": root / "cgroup",
        "_CPUINFO": root / "proc/cpuinfo",
        "_OWN_CGROUP": root / "proc/self/cgroup",
    }
    with (
        mock.patch.multiple(machine, **places_),  # type: ignore[call-overload]
        mock.patch.object(machine, "allowed_cpus", return_value=(0, 1)),
        mock.patch.object(inspection, "clock", return_value=_CLOCK),
        mock.patch.object(inspection, "_LOOK_S", 0.0),
        mock.patch.object(inspection.time, "sleep", _next_ticks(rng, root)),
    ):
        found = machine.Machine.read(root / "sys/devices/system")
        machine.oom_kills()
        for size in (1, 2, 3):
            assert 1 <= len(found.cpu_set(size, rng.randrange(100))) <= 2
        json.dumps(found.to_json(), allow_nan=False)
        facts = inspection.read_facts(found, root)
    for finding in checks.of_machine(facts):
        check_terminal("\n".join(str(one) for one in vars(finding).values()))


def _next_ticks(rng: random.Random, root: Path) -> Callable[[float], None]:
    """Instead of waiting: the ticks are others."""

    def sleep(_: float) -> None:
        file = root / "proc/stat"
        if file.is_file():
            with contextlib.suppress(ValueError):
                text = file.read_text().replace(" 4 ", f" {rng.choice((5, 40, 10**30))} ")
                file.write_text(text)

    return sleep


def output_of_git(rng: random.Random, room: Room) -> None:
    """What git prints: the commits of a repository, and their tags."""
    text = "".join(
        f"{commit}\0{tags}\n"
        for commit, tags in zip(COMMITS, ("tag: v1", "", "HEAD -> main, tag: a,b"), strict=True)
    )
    data = rng.choice((text.encode(), b"tag: v2\n\0\n", b"\0tag: v3, tag: v4\n"))
    kind = rng.randrange(4)
    if kind == 0:
        data = mutations.flipped(rng, data)
    elif kind == 1:
        place = rng.randrange(len(data) + 1)
        evil = evil_text(rng).encode("utf-8", "surrogatepass")
        data = data[:place] + evil + data[place:]
    elif kind == 2:
        data = data[: rng.randrange(len(data) + 1)]
    words = evil_text(rng).encode("utf-8", "surrogatepass")
    done = SimpleNamespace(returncode=rng.choice((0, 0, 0, 128)), stdout=data, stderr=words)
    # Where the repository is: git prints paths of the system's.
    where = SimpleNamespace(returncode=0, stdout=b".git\n", stderr=b"")
    asked: list[Sequence[str]] = []

    def answer(arguments: Sequence[str], *_: Any) -> SimpleNamespace:
        asked.append(arguments)
        return where if "rev-parse" in arguments else done

    with mock.patch.object(git, "_completed", answer):
        commits = commit_log.commits_around(room.path, room.path / "storage")
        with contextlib.suppress(git.RevisionError):
            git.names(git.ask(room.path, "ls-files", "-z"))
        earlier, later = (rng.choice((*COMMITS, evil_text(rng))) for _ in range(2))
        commits.between(earlier, later)
        commit_log._between(room.path, earlier, later)
    for arguments in asked:
        if any("upload-pack" in one or "never" in one for one in arguments):
            raise Violation("an argument of git's comes from data")
    timeline = replace(_kept_timeline(room), commits=commits)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        entries = [entry_of(run) for run in timeline.runs]
        print_lines([*listing.render(entries, commits), *history_text.render(timeline)])
    check_terminal(out.getvalue())
    if rng.random() < 0.2:
        with mock.patch("pytest_tfthreads.report.page._plotly_js", return_value=""):
            check_page(html_page.render(timeline))


def _kept_timeline(room: Room) -> Timeline:
    """The history of honest runs, whose speed changes once."""
    if "timeline" not in room.kept:
        texts = [json.dumps(saved(random.Random(number), number % 2)) for number in range(6)]
        texts += [json.dumps(saved(random.Random(number), 2)) for number in range(6)]
        runs = [run_of(parse_run(text, f"{nth:04}_x.json")) for nth, text in enumerate(texts)]
        lines = lines_of(runs)
        courses = zip(lines, segmentations_of(lines), strict=True)
        room.kept["timeline"] = Timeline(runs, list(courses), Commits())
    timeline: Timeline = room.kept["timeline"]
    return timeline


def note(rng: random.Random, room: Room) -> None:
    """Notes of others who have leased CPUs, in a directory that all may write."""
    folder = room.path / "notes"
    folder.mkdir(exist_ok=True)
    if "note" not in room.kept:
        data = dict(vars(notes.Holder.this_process("test", "measuring alone", False)))
        room.kept["note"] = (data, list(places(data)))
    data, paths = room.kept["note"]
    file = folder / rng.choice(("1.json", "2.json", "٣.json", "1.new", "9999999999999.json"))
    file.write_bytes(text_of(rng, mutated(rng, data, paths)))
    for holder in notes.read_notes(folder, 10**30, lambda _: True):
        check_terminal(str(holder))
        if len(str(holder)) > 2000:
            raise Violation("a note of more than 2,000 characters is shown")
    file.unlink()


def steps(rng: random.Random, room: Room) -> None:
    """Steps that were measured side by side, beside the saved runs of a history."""
    timeline = _kept_timeline(room)
    folder = directory_in(room.path)
    folder.mkdir(exist_ok=True)
    runs = [replace(run, commit=COMMITS[number // 6]) for number, run in enumerate(timeline.runs)]
    if "steps" not in room.kept:
        line, _ = timeline.lines[0]
        point = next(iter(line.points.values()))
        kept = CommitStep(
            line.test, line.machine, point.conditions, "throughput", COMMITS[0], COMMITS[1],
            -0.1, 1e-4, 9.0, "regression",
        )  # fmt: skip
        data = encode(
            KeptCall("2026-01-01T00:00:00+00:00", (kept, replace(kept, status="no-change")))
        )
        room.kept["steps"] = (data, list(places(data)))
    data, paths = room.kept["steps"]
    (folder / "0001.steps").write_bytes(text_of(rng, mutated(rng, data, paths)))
    found = read_kept(room.path)
    lines = [line for line, _ in timeline.lines]
    courses = segmentations_of(lines, lambda line, metric: [*found.known(line, metric, runs)])
    now = Timeline(runs, list(zip(lines, courses, strict=True)), timeline.commits)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print_lines([*map(one_line, found.problems), *history_text.render(now)])
    check_terminal(out.getvalue())


READERS: dict[str, Callable[[random.Random, Room], None]] = {
    "commands": command,
    "gate": gate_of_a_run,
    "messages": message,
    "xdist": payload,
    "traces": trace,
    "machine": tree,
    "git": output_of_git,
    "leases": note,
    "steps": steps,
}

# -- the campaign ---------------------------------------------------------------------------------


@dataclass
class Tally:
    """Of one reader."""

    name: str
    inputs: int = 0
    seconds: float = 0.0
    longest_s: float = 0.0
    grown_bytes: int = 0
    violations: dict[str, list[int]] = field(default_factory=dict)
    """By kind, the numbers of the inputs."""
    shown: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def limited(cpu_s: float = LONGEST_S, memory_bytes: int = MOST_BYTES) -> Iterator[None]:
    """Raises `TooLong`, and `MemoryError` where this process grows by so much.

    It is CPU time that is limited, for the machine may be busy; who only waits has longer.
    """

    def ring(*_: object) -> None:
        raise TooLong

    before = [signal.signal(one, ring) for one in (signal.SIGPROF, signal.SIGALRM)]
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory_bytes, hard))
    outer = signal.setitimer(signal.ITIMER_REAL, _LONGEST_WAIT_S)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, *outer)
        for one, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(one, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _import_what_is_imported_late() -> None:
    """The first input is not to pay for it, and none is to interrupt it."""
    for name in ("ruptures", "scipy.linalg", "scipy.special", "scipy.optimize", "orjson"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    segmentation([Session((0.0,))] * ENOUGH_SITTINGS)


def campaign(
    name: str, inputs: int, seed: int, seconds: float = 1e9, only: int | None = None
) -> Tally:
    """One reader with so many inputs, or as many as there is time for."""
    tally = Tally(name)
    _import_what_is_imported_late()
    begun_s = time.perf_counter()
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory(dir=_quick_place()) as place:
        room = Room(Path(place))
        for number in range(inputs) if only is None else (only,):
            if time.perf_counter() - begun_s > seconds:
                break
            rng = random.Random(f"{seed}/{name}/{number}")
            started_s = time.process_time()
            try:
                with limited(LONGEST_S):
                    READERS[name](rng, room)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                kind = _kind_of(error)
                tally.violations.setdefault(kind, []).append(number)
                tally.shown.setdefault(kind, "".join(traceback.format_exception(error))[-1500:])
            tally.longest_s = max(tally.longest_s, time.process_time() - started_s)
            tally.inputs += 1
    tally.seconds = time.perf_counter() - begun_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tally.grown_bytes = (peak - peak_before) << 10
    return tally


def _quick_place() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _kind_of(error: BaseException) -> str:
    """An error by where in the package it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if "pytest_tfthreads" in one.filename]
    where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "the output"
    words = str(error)[:60] if isinstance(error, Violation) else ""
    return f"{type(error).__name__} in {where} {words}".strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("readers", nargs="*", choices=[[], *READERS], metavar="READER")
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=1e9, help="for each reader, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the input of this number alone")
    options = parser.parse_args(arguments)
    tallies = []
    for name in options.readers or READERS:
        tally = campaign(name, options.inputs, options.seed, options.seconds, options.only)
        tallies.append(tally)
        for kind, numbers in tally.violations.items():
            print(f"{name}: {len(numbers)} × {kind}, first {numbers[0]}\n{tally.shown[kind]}")
    print("| reader | what is read | inputs | violations | seconds | longest | memory |")
    print("| --- | --- | --: | --: | --: | --: | --: |")
    for tally in tallies:
        what = (READERS[tally.name].__doc__ or "").strip().removesuffix(".")
        count = sum(map(len, tally.violations.values()))
        print(
            f"| {tally.name} | {what} | {tally.inputs:,} | {count} | {tally.seconds:.0f} | "
            f"{tally.longest_s:.2f} s | +{tally.grown_bytes / 1e6:.0f} MB |"
        )
    return int(any(tally.violations for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
