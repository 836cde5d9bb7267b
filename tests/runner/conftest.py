"""Runs of pytest whose processes are scripted: exact times, and no process."""

import json
import textwrap
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pytest

from pytest_tfthreads.core.benchmark_record import BenchmarkRecord
from pytest_tfthreads.core.measurement import Pools, Sample
from pytest_tfthreads.engine.failure import Failure
from pytest_tfthreads.engine.measuring_process import Launched
from pytest_tfthreads.engine.order import SentOrder
from pytest_tfthreads.engine.reply import Reply
from pytest_tfthreads.engine.team import TeamLaunched
from pytest_tfthreads.hooks import parts
from pytest_tfthreads.runner.executor import BatchResult, SharedResult

TURNS = 10
SET_UP_S = 1.0


class Process(NamedTuple):
    """What a script may look at: whose process it is, and its number among those of its side."""

    test: str
    intra: int
    inter: int
    is_baseline: bool
    number: int


@dataclass
class ScriptedExecutor:
    """Answers each order at once: `script(process)` are its seconds a call, or how it fails.

    A process takes `SET_UP_S` and its rounds, by the clock of `BatchResult.seconds`.
    """

    script: object = lambda process: 0.01
    config: pytest.Config | None = None
    batches: list = field(default_factory=list)
    processes: list = field(default_factory=list)
    seconds: float = 0.0

    def prepare(self, home, env):
        pass

    preloaded: dict = field(default_factory=dict)
    uses_benchmark: object = lambda test: True
    contention: object = lambda process: None
    cannot_set_up: object = lambda order: False
    start: object = lambda process: "fork"
    shared: list = field(default_factory=list)  # (test, next one, process), in order
    ends_if_failed: list = field(default_factory=list)

    def run_shared(self, job):
        order, step = job.job.order, job.step
        if self.cannot_set_up(order):
            return SharedResult(Failure("crashed", "while it collected"), 0.0, was_set_up=False)
        self.shared.append((step.item.nodeid, step.next_id, order.terms.serial))
        self.ends_if_failed.append(step.ends_if_failed)
        result = self._result(replace(job.job, order=replace(order, item=step.item)))
        if isinstance(result, Launched):  # nothing is measured there
            result = replace(result, reply=replace(result.reply, sample=None, benchmark=None))
        return SharedResult(
            result, 0.0, has_ended=step.next_id is None or isinstance(result, Failure)
        )

    def end_shared(self):
        return []

    def release(self, home):
        pass

    def close(self):
        pass

    def run(self, batch):
        self.batches.append(batch)
        results = tuple(self._result(job) for job in batch.jobs)
        seconds = SET_UP_S * len(results) + sum(_measured_s(one) for one in results)
        self.seconds += seconds
        return BatchResult(results, 0.0, seconds)

    @property
    def rings(self):
        """The configurations of each ring, in order of set-up, as "intra x inter"."""
        return [
            [f"{one.order.terms.intra}x{one.order.terms.inter}" for one in it.jobs]
            for it in self.batches
        ]

    @property
    def counts(self):
        """How many processes each configuration of each test had, by test and side."""
        counts = {}
        for one in self.processes:
            key = (one.test + (" at the baseline" if one.is_baseline else ""), one.intra, one.inter)
            counts[key] = counts.get(key, 0) + 1
        return counts

    def _result(self, job):
        order = job.order
        is_baseline = job.home.cwd != str(self.config.invocation_params.dir)
        name = order.item.own_part.removeprefix("::").partition("[")[0]
        key = (name, order.terms.intra, order.terms.inter, is_baseline)
        number = sum(one[:4] == key for one in self.processes)
        process = Process(*key, number)
        self.processes.append(process)
        answer = self.script(process)
        cpus = tuple(range(order.terms.cpu_count))
        sent = SentOrder(order, self.start(process), cpus, 0.0)
        if isinstance(answer, Failure):
            return answer
        if isinstance(answer, pytest.exit.Exception):
            return Launched(sent, Reply("session-exit", message=str(answer)), "")
        error = str(answer) if isinstance(answer, Exception) else ""
        name = order.item.own_part.removeprefix("::").partition("[")[0]
        has_sample = not error and self.uses_benchmark(name)
        reply = Reply(
            "finished",
            reports=tuple(self._reports(order, error)),
            sample=_sample(answer, sent, self.contention(process)) if has_sample else None,
            benchmark=_benchmark(answer) if has_sample else None,
            effective=Pools(order.terms.intra, order.terms.inter),
            runtime={"tensorflow": "2.21.0"},
            uses_benchmark=self.uses_benchmark(name),
        )
        if not job.others or not has_sample:
            return Launched(sent, reply, "")
        sets = tuple(tuple(cpu + len(cpus) * n for cpu in cpus) for n in range(len(job.orders)))
        together = replace(
            reply.sample, wall_s=reply.sample.wall_s[::2], cpu_s=reply.sample.cpu_s[::2],
            iterations=2 * len(job.orders), turn_rounds=1,
        )  # fmt: skip
        return TeamLaunched(
            sent, replace(reply, sample=together), "", sets, (answer,) * 99 + (2 * answer,), 0.1,
            1 << 30,
        )  # fmt: skip

    def _reports(self, order, error):
        for when in ("setup", "call", "teardown"):
            has_failed = bool(error) and when == "call"
            report = pytest.TestReport(
                nodeid=order.item.nodeid,
                location=(
                    order.item.nodeid.partition("::")[0],
                    0,
                    order.item.nodeid.rpartition("::")[2],
                ),
                keywords={},
                outcome="failed" if has_failed else "passed",
                longrepr=error if has_failed else None,
                when=when,
                duration=1.0,
            )
            hook = self.config.hook
            data = hook.pytest_report_to_serializable(config=self.config, report=report)
            yield json.loads(json.dumps(data))


def _measured_s(result):
    return sum(result.reply.sample.wall_s) if isinstance(result, Launched) and (
        result.reply.sample
    ) else 0.0  # fmt: skip


def _sample(seconds, sent, contention):
    rounds = (seconds,) * 2 * TURNS
    return Sample(
        rounds, rounds, 1, 1, 0.1, 1, 0, 0, sent.cpus,
        ring=sent.order.terms.ring, turn_rounds=2, contention=contention,
    )  # fmt: skip


def _benchmark(seconds):
    options = {
        "disable_gc": False,
        "timer": "perf_counter",
        "min_rounds": 5,
        "max_time": 1.0,
        "min_time": 0.000005,
        "warmup": False,
    }
    return BenchmarkRecord((seconds,) * 2 * TURNS, 1, None, options, {})


class ScriptedSuite:
    """A user's suite whose processes are scripted; `executor` is that of the latest run."""

    def __init__(self, pytester, monkeypatch):
        self.pytester = pytester
        self.path = pytester.path
        self.script = lambda process: 0.01
        self.uses_benchmark = lambda test: True
        self.contention = lambda process: None
        self.cannot_set_up = lambda order: False
        self.start = lambda process: "fork"
        monkeypatch.setattr(parts, "executor_of", self._executor)

    def _executor(self, config, *_):
        self.executor.config = config
        return self.executor

    def write(self, source):
        self.pytester.makepyfile(test_it="import pytest\n" + textwrap.dedent(source))

    def run(self, *args, processes=1):
        self.executor = ScriptedExecutor(
            self.script,
            uses_benchmark=self.uses_benchmark,
            contention=self.contention,
            cannot_set_up=self.cannot_set_up,
            start=self.start,
        )
        return self.pytester.runpytest_inprocess(
            "-p",
            "no:cacheprovider",
            f"--tf-threads-processes={processes}",
            "--benchmark-json=out.json",
            *args,
        )

    @property
    def saved(self):
        """What the latest run left in its JSON file."""
        return json.loads((self.path / "out.json").read_text())

    @property
    def verdicts(self):
        """Verdicts on throughput by test."""
        return {
            one["name"]: one["extra_info"]["tf_threads"]["verdicts"][0]
            for one in self.saved["benchmarks"]
        }


@pytest.fixture
def scripted(bare_pytester, monkeypatch):
    """A suite that runs no process."""
    return ScriptedSuite(bare_pytester, monkeypatch)
