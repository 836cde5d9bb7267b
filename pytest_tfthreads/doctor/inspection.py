"""What this machine tells of itself: /proc, /sys and the clocks, read into `doctor.checks.Facts`.

Every reader takes the root of the file system, so that machines made of files can be read too, and
gives `None` where the file is not there: containers and virtual machines hide much.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_tfthreads.core.format import printable
from pytest_tfthreads.doctor.checks import Clock, Load, MachineFacts, Turbo
from pytest_tfthreads.system.cpu_counters import cpu_ticks
from pytest_tfthreads.system.machine import (
    Machine,
    kernel_folders,
    kernel_text,
    parse_cpu_list,
    read_cpuset,
    read_nodes,
)

ROOT = Path("/")

_CPUS = "sys/devices/system/cpu"
_NODES = "sys/devices/system/node"
_CLOCKSOURCE = "sys/devices/system/clocksource/clocksource0/current_clocksource"
_CONTAINER_MARKS = (".dockerenv", "run/.containerenv")
_CACHE_LEVELS = tuple("123456789")
_LOOK_S = 0.5
_STEPS = 200


def read_facts(machine: Machine, root: Path = ROOT) -> MachineFacts:
    """All that is there to be read; watches the CPUs for half a second."""
    cpus = tuple(sorted(cpu for cpu, _ in machine.core_of))
    return MachineFacts(
        cpu_model=machine.cpu_model,
        cpus=cpus,
        online=online_cpus(root),
        cpuset=read_cpuset(root / "sys/fs/cgroup", root / "proc/self/cgroup"),
        physical=len({core for _, core in machine.core_of}),
        quota_cpus=machine.quota_cpus,
        hides_groups=not os.path.exists(root / "proc/self/cgroup"),
        is_virtual=is_virtual(root),
        is_container=any(os.path.exists(root / mark) for mark in _CONTAINER_MARKS),
        siblings=siblings(root, cpus),
        nodes=nodes(root, cpus),
        last_caches=last_caches(root, cpus),
        governors=governors(root, cpus),
        turbo=turbo(root),
        load=load(root, cpus),
        clocksource=_word(root / _CLOCKSOURCE),
        wall_clock=clock(time.perf_counter),
        cpu_clock=clock(time.process_time),
    )


def online_cpus(root: Path) -> tuple[int, ...] | None:
    return _cpu_list(_text(root / _CPUS / "online"))


def is_virtual(root: Path) -> bool | None:
    """Whether a hypervisor says that it is there; `None` where the CPU has no such flag."""
    text = _text(root / "proc/cpuinfo") or ""
    flags = next((line for line in text.splitlines() if line.startswith("flags")), None)
    return None if flags is None else "hypervisor" in flags.split()


def siblings(root: Path, cpus: Sequence[int]) -> tuple[tuple[int, ...], ...] | None:
    """The CPUs of each core that has any of these, those that are not allowed here too."""
    lists = [
        _cpu_list(_text(root / _CPUS / f"cpu{cpu}" / "topology/thread_siblings_list"))
        for cpu in cpus
    ]
    # A list without the CPU itself is none of its core.
    known = [one for cpu, one in zip(cpus, lists, strict=True) if one is not None and cpu in one]
    return tuple(dict.fromkeys(known)) if len(known) == len(cpus) else None


def nodes(root: Path, cpus: Sequence[int]) -> tuple[tuple[int, ...], ...] | None:
    """Of each NUMA node that has any of these CPUs, which of them; `None` where none is shown."""
    node_of = read_nodes(root / _NODES)
    groups: dict[int, list[int]] = {}
    for cpu in cpus:
        if cpu in node_of:
            groups.setdefault(node_of[cpu], []).append(cpu)
    return tuple(tuple(groups[node]) for node in sorted(groups)) or None


def last_caches(root: Path, cpus: Sequence[int]) -> tuple[tuple[int, ...], ...] | None:
    """Which of these CPUs share a last-level cache; `None` where the machine does not tell."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for cpu in cpus:
        levels = {
            level: folder
            for folder in kernel_folders(root / _CPUS / f"cpu{cpu}/cache", "index")
            if (level := _text(folder / "level") or "") in _CACHE_LEVELS
        }
        shared = _cpu_list(_text(levels[max(levels)] / "shared_cpu_list")) if levels else None
        if shared is None:
            return None
        groups.setdefault(shared, []).append(cpu)
    return tuple(map(tuple, groups.values()))


def governors(root: Path, cpus: Sequence[int]) -> tuple[str, ...] | None:
    """The different governors of these CPUs' frequency."""
    names = [_word(root / _CPUS / f"cpu{cpu}" / "cpufreq/scaling_governor") for cpu in cpus]
    known = {name for name in names if name}
    return tuple(sorted(known)) or None


def turbo(root: Path) -> Turbo | None:
    """Whether clocks above the nominal one are allowed, and the file that says so."""
    for name, on in (("intel_pstate/no_turbo", "0"), ("cpufreq/boost", "1")):
        text = _text(root / _CPUS / name)
        if text in ("0", "1"):
            return Turbo(text == on, f"/{_CPUS}/{name}", "1" if on == "0" else "0")
    return None


def load(root: Path, cpus: Sequence[int], look_s: float = _LOOK_S) -> Load | None:
    """How busy these CPUs are, while this process only waits."""
    before = cpu_ticks(root, cpus)
    time.sleep(look_s)
    after = cpu_ticks(root, cpus)
    if before is None or after is None or after.total <= before.total:
        return None
    share = len(cpus) / (after.total - before.total)
    averages = (_text(root / "proc/loadavg") or "").split()
    return Load(
        busy_cpus=(after.busy - before.busy) * share,
        stolen_cpus=(after.stolen - before.stolen) * share,
        average=_number(averages[0]) if averages else None,
    )


def clock(read: Callable[[], float]) -> Clock:
    """The smallest step of a clock, and what a reading costs; both in seconds."""
    steps = []
    begun_s = time.perf_counter()
    readings = 0
    for _ in range(_STEPS):
        before = now = read()
        while now == before:
            now = read()
            readings += 1
        steps.append(now - before)
        if time.perf_counter() - begun_s > _LOOK_S:
            break
    return Clock(min(steps), (time.perf_counter() - begun_s) / (readings + len(steps)))


def _cpu_list(text: str | None) -> tuple[int, ...] | None:
    """The CPUs of a list such as "0-2,8"; `None` where there is none."""
    try:
        return parse_cpu_list(text or "")
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(file: Path) -> str | None:
    text = kernel_text(file)
    return None if text is None else text.strip()


def _word(file: Path) -> str | None:
    """What a file of a single line says, for people."""
    text = _text(file)
    return None if text is None else printable(text)
