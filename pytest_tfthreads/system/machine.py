"""The CPUs that this process may really use: affinity, cgroup quota, and which share a core."""

from __future__ import annotations

import itertools
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_tfthreads.core.threads import CpuCounts

_SYSFS = Path("/sys/devices/system")
_CGROUPS = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")
_OWN_CGROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Machine:
    """CPUs allowed to this process, and its cgroup's quota in CPUs (None: no quota)."""

    cpu_model: str
    core_of: tuple[tuple[int, str], ...]  # (CPU, key of its physical core), allowed CPUs only
    quota_cpus: float | None
    numa: Mapping[int, int] = field(default_factory=dict)  # node by CPU; empty where it is hidden

    @classmethod
    def read(cls, sysfs: Path = _SYSFS) -> Machine:
        return cls(
            cpu_model=_cpu_model(),
            core_of=tuple((cpu, _core_key(sysfs / "cpu", cpu)) for cpu in allowed_cpus()),
            quota_cpus=read_quota(_CGROUPS, _OWN_CGROUP),
            numa=read_nodes(sysfs / "node"),
        )

    @property
    def counts(self) -> CpuCounts:
        """A quota of 2.5 CPUs lets three threads make progress, so it counts as three."""
        logical = len(self.core_of)
        if self.quota_cpus is not None:
            logical = min(logical, max(1, math.ceil(self.quota_cpus)))
        physical = len({core for _, core in self.core_of})
        return CpuCounts(physical=min(physical, logical), logical=logical)

    def cpu_set(self, size: int, place: int) -> tuple[int, ...]:
        """`size` CPUs of different cores, in one NUMA node, as far as there are enough.

        Threads share a core only if they must, and cross to another node's memory only if they
        must: a node is left before a core is shared. Each place moves on over the machine by one
        CPU, node by node, so that no process keeps a fast CPU, and sets of different sizes at one
        place overlap.
        """
        cores, place = self._cores_at(size, place)
        size = min(size, len(self.core_of))
        chosen: dict[int, None] = {}
        for nth in range(place, place + size):
            lap, core_number = divmod(nth, len(cores))
            siblings = cores[core_number]
            chosen[siblings[lap % len(siblings)]] = None
        # Every core is taken by now, and some have no sibling to give.
        rest = (cpu for cpu, _ in self.core_of if cpu not in chosen)
        return tuple(sorted([*chosen, *itertools.islice(rest, size - len(chosen))]))

    def _cores_at(self, size: int, place: int) -> tuple[list[list[int]], int]:
        """The cores (their CPUs) from which a set of that size is taken, and the place in them."""
        nodes = [self._cores_of(node) for node in self.nodes]
        runs = [_fewest_nodes(nodes, first, size) for first in range(len(nodes))]
        fewest = min(map(len, runs))
        if fewest == len(nodes):  # all of them, in whichever order
            return list(itertools.chain(*nodes)), place
        starts = [run for run in runs if len(run) == fewest]
        place %= sum(_count(nodes[run[0]]) for run in starts)
        for run in starts:
            here = _count(nodes[run[0]])
            if place < here:
                return list(itertools.chain(*(nodes[index] for index in run))), place
            place -= here
        raise AssertionError("a place within all nodes is within one of them")

    def _cores_of(self, node: int) -> list[list[int]]:
        cores: dict[str, list[int]] = {}
        for cpu, core in self.core_of:
            if self.node_of(cpu) == node:
                cores.setdefault(core, []).append(cpu)
        return list(cores.values())

    @property
    def nodes(self) -> tuple[int, ...]:
        """The NUMA nodes that have an allowed CPU."""
        return tuple(sorted({self.node_of(cpu) for cpu, _ in self.core_of}))

    def node_of(self, cpu: int) -> int:
        """The NUMA node of a CPU; 0 where the machine does not tell."""
        return self.numa.get(cpu, 0)

    def restricted(self, cpus: Sequence[int]) -> Machine:
        """The same machine with these of its CPUs only; its counts stay."""
        return replace(self, core_of=tuple(one for one in self.core_of if one[0] in cpus))

    @property
    def cores_first(self) -> tuple[int, ...]:
        """All CPUs, the first of every core before the second ones."""
        firsts = {core: cpu for cpu, core in reversed(self.core_of)}
        return tuple(
            sorted((cpu for cpu, _ in self.core_of), key=lambda cpu: cpu not in firsts.values())
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "host": platform.node(),
            "cpu": self.cpu_model,
            "physical": self.counts.physical,
            "logical": self.counts.logical,
            "quota": self.quota_cpus,
            "nodes": len(self.nodes),
        }


def allowed_cpus() -> tuple[int, ...]:
    """CPUs of this process's affinity mask; all CPUs where the platform has no such mask."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def read_nodes(nodes: Path) -> dict[int, int]:
    """The NUMA node of each CPU, from a tree like /sys/devices/system/node; empty without one."""
    found = {}
    for folder in nodes.glob("node*"):
        number = folder.name.removeprefix("node")
        try:
            cpus = parse_cpu_list((folder / "cpulist").read_text())
        except (OSError, ValueError):  # a node that has no CPUs, or an unreadable tree
            continue
        if number.isdecimal():
            found.update(dict.fromkeys(cpus, int(number)))
    return found


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """From "0-2,8" to (0, 1, 2, 8). Raises `ValueError` where the text is no such list."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return tuple(cpus)


def read_quota(cgroups: Path, own_cgroup: Path) -> float | None:
    """CPUs that the cgroup of this process may use, the tightest of its ancestors; None: no quota.

    cgroup v2 keeps "quota period" in cpu.max, v1 two files in the cpu controller's tree
    (https://docs.kernel.org/admin-guide/cgroup-v2.html, "CPU Interface Files").
    """
    try:
        lines = own_cgroup.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            quotas += _quotas_up(cgroups, path, _quota_v2)
        elif "cpu" in controllers.split(","):
            quotas += _quotas_up(cgroups / "cpu", path, _quota_v1)
    return min(quotas, default=None)


def _quotas_up(root: Path, path: str, read: Any) -> list[float]:
    # Inside a container the path may be the host's, absent here: then the root is our own group.
    group = root / path.strip("/")
    groups = [group, *group.parents]
    inside = [one for one in groups if one == root or root in one.parents]
    return [quota for one in inside if (quota := read(one)) is not None]


def _quota_v2(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(group: Path) -> float | None:
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 else None


def oom_kills() -> int | None:
    """Processes that the kernel has killed for memory in this cgroup; None if it does not tell."""
    try:
        for line in _OWN_CGROUP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                events = (_CGROUPS / path.strip("/") / "memory.events").read_text().split()
                return int(events[events.index("oom_kill") + 1])
    except (OSError, ValueError):
        return None
    return None


def _core_key(sysfs: Path, cpu: int) -> str:
    try:
        return (sysfs / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        pass
    # Without a topology, assume that the machine's logical CPUs are spread evenly over its cores.
    return str(cpu % (_core_count(_CPUINFO) or os.cpu_count() or 1))


def _core_count(cpuinfo: Path) -> int | None:
    """Cores of the whole machine; None where the kernel names none (as on ARM)."""
    try:
        blocks = cpuinfo.read_text().split("\n\n")
    except OSError:
        return None
    cores = set()
    for block in blocks:
        fields = {}
        for line in block.splitlines():
            name, _, value = line.partition(":")
            fields[name.strip()] = value.strip()
        if "core id" in fields:
            cores.add((fields.get("physical id"), fields["core id"]))
    return len(cores) or None


def _cpu_model() -> str:
    try:
        for line in _CPUINFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Processor", "cpu model"):
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _fewest_nodes(nodes: Sequence[Sequence[object]], first: int, size: int) -> tuple[int, ...]:
    """Neighbouring nodes from `first` on, until they have that many cores; else all of them."""
    chosen: list[int] = []
    for step in range(len(nodes)):
        chosen.append((first + step) % len(nodes))
        if sum(len(nodes[index]) for index in chosen) >= size:
            break
    return tuple(chosen)


def _count(cores: Sequence[Sequence[int]]) -> int:
    """The CPUs of these cores."""
    return sum(map(len, cores))
