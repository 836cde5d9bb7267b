"""Is a machine fit to measure? What is known of it → findings, each with advice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_tfthreads.core.format import duration, plural, ranges
from pytest_tfthreads.core.layout import MIN_ROUND_S

STATUSES = ("bad", "warning", "unknown", "ok")
"""Worst first. `unknown`: it is hidden here, or was not looked at."""

_CLOCK_SHARE = 0.001
_FEW_PERCENT = 0.05
_SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
_BUSY_CPUS = 0.1
_VERY_BUSY_SHARE = 0.25  # of the CPUs
_STOLEN_SHARE = 0.01

_HIDDEN_BY = "virtual machines and containers hide it; ask who runs the host"


_BUILDS = {
    None: "",
    True: ", built for CPUs and GPUs (which are hidden from what is measured)",
    False: ", built for CPUs",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `status` of `STATUSES`, `value` as text."""

    name: str
    status: str
    value: str
    advice: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"{self.name}: {self.status!r} is not one of {STATUSES}")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "advice": list(self.advice)}


@dataclass(frozen=True)
class Turbo:
    """Whether it is on, and which file takes which text to switch it off."""

    is_on: bool
    file: str
    off: str


@dataclass(frozen=True)
class Load:
    """CPUs that others keep busy, and that the host keeps from this guest; load average of 1 min"""

    busy_cpus: float
    stolen_cpus: float
    average: float | None


@dataclass(frozen=True)
class Clock:
    """Its smallest step, and what one reading costs."""

    step_s: float
    reading_s: float


@dataclass(frozen=True)
class MachineFacts:
    """What the machine shows of itself; `None` where it hides that."""

    cpu_model: str
    cpus: tuple[int, ...]  # those that this process may use
    online: tuple[int, ...] | None  # all of the machine
    cpuset: tuple[int, ...] | None  # those that the cgroup grants
    physical: int  # cores that this process may use, without regard to the quota
    quota_cpus: float | None
    hides_groups: bool
    is_virtual: bool | None
    is_container: bool
    siblings: tuple[tuple[int, ...], ...] | None  # CPUs of each core that has an allowed one
    nodes: tuple[tuple[int, ...], ...] | None  # allowed CPUs of each NUMA node
    last_caches: tuple[tuple[int, ...], ...] | None  # allowed CPUs with one last-level cache
    governors: tuple[str, ...] | None
    turbo: Turbo | None
    load: Load | None
    clocksource: str | None
    wall_clock: Clock
    cpu_clock: Clock


@dataclass(frozen=True)
class Import:
    """How importing TensorFlow went, in the process from which others are forked.

    `problem`: it failed, and why. `not_forkable`: why no process can be forked, if so. `onednn`:
    whether its kernels are used, `cuda` whether it was built for GPUs too; `None`: unknown.
    `onednn_variable`: TF_ENABLE_ONEDNN_OPTS.
    """

    problem: str = ""
    version: str = ""
    not_forkable: str = ""
    onednn: bool | None = None
    onednn_variable: str | None = None
    cuda: bool | None = None


def of_machine(facts: MachineFacts) -> list[Finding]:
    """What can be said without measuring."""
    return [
        _cpus(facts),
        _affinity(facts),
        _quota(facts),
        _hyperthreads(facts),
        _nodes(facts),
        _caches(facts),
        _governor(facts),
        _turbo(facts),
        _load(facts),
        _clock(facts),
    ]


def of_leases(others: Sequence[str], unavailable: str, mend: str) -> Finding:
    """Who else measures here, and why leases cannot be kept, if so, and the mend."""
    if unavailable:
        return Finding(
            "leases",
            "warning",
            f"cannot be kept here ({unavailable}): runs at once disturb each other",
            (mend,),
        )
    if others:
        return Finding(
            "leases",
            "warning",
            f"{len(others)} other{'s' if len(others) > 1 else ''}: {'; '.join(others)}",
            ("runs of this plugin wait for each other; nothing else does: wait until they end",),
        )
    return Finding("leases", "ok", "nobody else measures")


def of_tensorflow(imported: Import) -> list[Finding]:
    """Its build, oneDNN, and forking."""
    if imported.problem:
        return [
            Finding(
                "TensorFlow",
                "bad",
                f"cannot be imported: {imported.problem}",
                ("pip install tensorflow-cpu (or another build) beside pytest-tfthreads",),
            ),
            Finding("oneDNN", "unknown", "TensorFlow cannot be imported"),
            Finding("forking", "unknown", "TensorFlow cannot be imported"),
        ]
    return [
        Finding("TensorFlow", "ok", f"{imported.version}{_BUILDS[imported.cuda]}"),
        _onednn(imported),
        Finding("forking", "ok", "safe: one thread after the imports")
        if not imported.not_forkable
        else Finding(
            "forking",
            "warning",
            f"cannot be trusted: {imported.not_forkable}; every process starts afresh",
            (
                "look for what starts threads when it is imported: OPENBLAS_NUM_THREADS=1 if that "
                "is set to more, sitecustomize, pytest plugins (-p no:NAME)",
            ),
        ),
    ]


# -- the machine ------------------------------------------------------------------------


def _cpus(facts: MachineFacts) -> Finding:
    where = [facts.cpu_model]
    if facts.is_virtual:
        where.append("a virtual machine")
    if facts.is_container:
        where.append("in a container")
    count = len(facts.cpus)
    value = f"{plural(count, 'CPU')} on {plural(facts.physical, 'core')} ({', '.join(where)})"
    if count == 1:
        return Finding(
            "CPUs granted",
            "warning",
            value,
            ("one CPU tells nothing of more threads: grant more (docker run --cpuset-cpus=0-3)",),
        )
    return Finding("CPUs granted", "ok", value)


def _affinity(facts: MachineFacts) -> Finding:
    if facts.online is None:
        return Finding("affinity", "unknown", f"CPUs {ranges(facts.cpus)}; {_HIDDEN_BY}")
    others = len(set(facts.online) - set(facts.cpus))
    if not others:
        return Finding("affinity", "ok", f"all CPUs ({ranges(facts.cpus)})")
    return Finding(
        "affinity",
        "ok",
        f"CPUs {ranges(facts.cpus)} of {ranges(facts.online)}{_by_whom(facts)}; what runs on the "
        f"other {others} shares caches and memory",
    )


def _by_whom(facts: MachineFacts) -> str:
    """Whether the cgroup grants no more CPUs, or somebody chose among those (taskset)."""
    if facts.cpuset is None or facts.cpuset == facts.online:
        return ""
    if set(facts.cpuset) <= set(facts.cpus):
        return ", all that the cgroup (the container) grants"
    return f", of {ranges(facts.cpuset)} that the cgroup (the container) grants"


def _quota(facts: MachineFacts) -> Finding:
    if facts.quota_cpus is None and facts.hides_groups:
        return Finding("quota", "unknown", "there is no /proc/self/cgroup to tell")
    if facts.quota_cpus is None:
        return Finding("quota", "ok", "none that is visible here")
    value = f"{facts.quota_cpus:.3g} CPUs of time on {plural(len(facts.cpus), 'CPU')}"
    if facts.quota_cpus >= len(facts.cpus):
        return Finding("quota", "ok", value)
    whole = max(1, math.floor(facts.quota_cpus))
    cpus = ranges(facts.cpus[:whole])
    return Finding(
        "quota",
        "bad",
        f"{value}: threads are stopped for the rest of a period when it is used up",
        (
            f"grant CPUs instead of time: docker run --cpuset-cpus={cpus} without --cpus; "
            "Kubernetes: whole CPUs, requests equal to limits, static CPU manager policy",
            f"until then: taskset -c {cpus} pytest …",
        ),
    )


def _hyperthreads(facts: MachineFacts) -> Finding:
    if facts.siblings is None:
        return Finding("hyperthreads", "unknown", f"no CPU topology; {_HIDDEN_BY}")
    shared = [core for core in facts.siblings if len(core) > 1]
    if not shared and facts.is_virtual:
        return Finding(
            "hyperthreads",
            "unknown",
            "none that is visible, but a virtual CPU may be half a core, shared with another guest",
            ('ask for a machine with whole cores ("dedicated", "threads per core: 1")',),
        )
    if not shared:
        return Finding("hyperthreads", "ok", "none")
    firsts = ranges(
        sorted({min(cpu for cpu in core if cpu in facts.cpus) for core in facts.siblings})
    )
    outside = [cpu for core in shared for cpu in core if cpu not in facts.cpus]
    if outside:
        return Finding(
            "hyperthreads",
            "warning",
            f"CPUs {ranges(outside)} share cores with ours, and others may run there",
            (
                "grant whole cores, or switch the siblings off: echo off | sudo tee "
                "/sys/devices/system/cpu/smt/control",
            ),
        )
    return Finding(
        "hyperthreads",
        "warning",
        f"{plural(len(shared), 'core')} with several CPUs: threads on one core slow each other",
        (
            f"one CPU of each core: taskset -c {firsts} pytest … (docker: --cpuset-cpus={firsts}), "
            'or intra="physical"; what else runs must keep off the siblings: echo off | sudo tee '
            "/sys/devices/system/cpu/smt/control",
        ),
    )


def _nodes(facts: MachineFacts) -> Finding:
    if facts.nodes is None:
        return Finding("NUMA nodes", "unknown", f"no node is shown; {_HIDDEN_BY}")
    if len(facts.nodes) == 1:
        return Finding("NUMA nodes", "ok", "one: all CPUs are equally near to the memory")
    least = min(map(len, facts.nodes))
    return Finding(
        "NUMA nodes",
        "warning",
        f"{len(facts.nodes)} nodes with CPUs {' / '.join(map(ranges, facts.nodes))}: the memory of "
        "another node is slower",
        (
            f"keep a process within a node: at most {plural(least, 'thread')} a process, or "
            f"numactl --physcpubind={ranges(facts.nodes[0])} --localalloc pytest …; a "
            "configuration that spans nodes is flagged `numa`",
        ),
    )


def _caches(facts: MachineFacts) -> Finding:
    if facts.last_caches is None:
        return Finding("last-level caches", "unknown", f"no cache is shown; {_HIDDEN_BY}")
    groups = " / ".join(map(ranges, facts.last_caches))
    count = len(facts.last_caches)
    value = "one, shared by all CPUs" if count == 1 else f"{count}, shared by CPUs {groups}"
    return Finding("last-level caches", "ok", value)


def _governor(facts: MachineFacts) -> Finding:
    if facts.governors is None:
        return Finding(
            "frequency governor",
            "unknown",
            f"no /sys/devices/system/cpu/cpu*/cpufreq; {_HIDDEN_BY}",
        )
    value = ", ".join(facts.governors)
    if facts.governors == ("performance",):
        return Finding("frequency governor", "ok", value)
    return Finding(
        "frequency governor",
        "warning",
        f"{value}: the clock follows the load, and a CPU that was idle starts slowly",
        ("sudo cpupower frequency-set -g performance",),
    )


def _turbo(facts: MachineFacts) -> Finding:
    if facts.turbo is None:
        return Finding(
            "turbo", "unknown", f"neither intel_pstate/no_turbo nor cpufreq/boost; {_HIDDEN_BY}"
        )
    if not facts.turbo.is_on:
        return Finding("turbo", "ok", "off")
    return Finding(
        "turbo",
        "warning",
        "on: the clock depends on heat and on how many cores are busy",
        (f"echo {facts.turbo.off} | sudo tee {facts.turbo.file}",),
    )


def _load(facts: MachineFacts) -> Finding:
    if facts.load is None:
        return Finding("load", "unknown", "/proc/stat does not tell of these CPUs")
    load, cpus = facts.load, len(facts.cpus)
    average = "" if load.average is None else f", load average {load.average:.2f}"
    stolen = (
        f", {load.stolen_cpus:.2f} kept by the host"
        if load.stolen_cpus > _STOLEN_SHARE * cpus
        else ""
    )
    value = f"{load.busy_cpus:.2f} of {plural(cpus, 'CPU')} busy with other things{stolen}{average}"
    if load.busy_cpus <= _BUSY_CPUS and not stolen:
        return Finding("load", "ok", value)
    advice = []
    if load.busy_cpus > _BUSY_CPUS:
        advice.append("see what it is (top -b -n 1 | head -15), and close it")
    if stolen:
        advice.append("the host is overcommitted: ask for dedicated CPUs")
    is_bad = load.busy_cpus + load.stolen_cpus > _VERY_BUSY_SHARE * cpus
    return Finding("load", "bad" if is_bad else "warning", value, tuple(advice))


def _clock(facts: MachineFacts) -> Finding:
    wall, used = facts.wall_clock, facts.cpu_clock
    source = "" if facts.clocksource is None else f" ({facts.clocksource})"
    value = (
        f"wall time{source} steps of {duration(wall.step_s)}, CPU time of "
        f"{duration(used.step_s)}; {duration(used.reading_s)} a reading"
    )
    if facts.clocksource in _SLOW_CLOCKS:
        return Finding(
            "clock",
            "warning",
            f"{value}: a slow source",
            (
                "see /sys/devices/system/clocksource/clocksource0/available_clocksource for tsc; "
                "the kernel's log says why it was given up (dmesg | grep -i tsc)",
            ),
        )
    coarsest_s = max(wall.step_s, used.step_s, used.reading_s)
    if coarsest_s <= _CLOCK_SHARE * MIN_ROUND_S:
        return Finding("clock", "ok", value)
    longer_s = coarsest_s / _CLOCK_SHARE
    return Finding(
        "clock",
        "bad" if coarsest_s > _FEW_PERCENT * MIN_ROUND_S else "warning",
        f"{value}: coarse for rounds of {duration(MIN_ROUND_S)}",
        (f"longer rounds: --benchmark-min-time={longer_s:.2g}",),
    )


def _onednn(imported: Import) -> Finding:
    variable = imported.onednn_variable
    if imported.onednn is None:
        return Finding("oneDNN", "unknown", "this build of TensorFlow does not tell")
    chosen = "the build's default" if variable is None else f"TF_ENABLE_ONEDNN_OPTS={variable}"
    other = int(not imported.onednn)
    return Finding(
        "oneDNN",
        "ok",
        f"{'on' if imported.onednn else 'off'} ({chosen}); to compare with: "
        f'env={{"TF_ENABLE_ONEDNN_OPTS": "{other}"}} in the marker',
    )
