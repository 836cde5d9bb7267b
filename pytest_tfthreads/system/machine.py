"""The CPUs that this process may really use: affinity, cgroup quota, and which share a core."""

from __future__ import annotations

import bisect
import itertools
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pytest_tfthreads.core.format import printable
from pytest_tfthreads.core.threads import CpuCounts
from pytest_tfthreads.system.originals import ORIGINALS

_SYSFS = Path("/sys/devices/system")
_CGROUPS = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")
_OWN_CGROUP = Path("/proc/self/cgroup")
_MOST_CHARACTERS = 16 << 20  # of a file of the kernel's; those of a thousand CPUs have 2 MB
_Any = TypeVar("_Any")
_HIGHEST_CPU = 1 << 16  # Linux can be built for 8,192 CPUs


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

    @property
    def whole_cpus(self) -> int:
        """How many threads may compute at once, all of them all the time: 2 at a quota of 2.5."""
        cpus = len(self.core_of)
        return cpus if self.quota_cpus is None else min(cpus, max(1, math.floor(self.quota_cpus)))

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

    def team_sets(self, instances: int, size: int, place: int) -> tuple[tuple[int, ...], ...]:
        """A set of CPUs for each of so many processes that run at once, `size` CPUs in each.

        No two sets share a CPU where there are enough. Each set has whole cores of its own, in one
        node, as far as there are enough: the siblings of a core are in one set rather than in two,
        and a node is left before a core is shared. Where all CPUs are not enough, CPUs are used
        again. The team begins node by node: each place moves on by one CPU.
        """
        if instances == 1:
            return (self.cpu_set(size, place),)
        nodes = self._nodes_from(place)
        cores = list(itertools.chain(*nodes))
        everything = list(itertools.chain(*cores))
        size = min(size, len(everything))
        if instances * size > len(everything):
            around = itertools.cycle(everything)
            return tuple(tuple(sorted(itertools.islice(around, size))) for _ in range(instances))
        own_cores = _whole_cores(nodes, instances, min(size, len(cores) // instances))
        sets = [_firsts_first(own)[:size] for own in own_cores]
        self._fill_up(sets, cores, size)
        return tuple(tuple(sorted(cpus)) for cpus in sets)

    def _nodes_from(self, place: int) -> list[list[list[int]]]:
        """The nodes' cores (their CPUs), so that the CPU of this place is the first of all."""
        nodes = [self._cores_of(node) for node in self.nodes]
        index, place = _located(place, [_count(cores) for cores in nodes])
        lap, core_number = divmod(place, len(nodes[index]))
        first = _rotated(nodes[index], core_number)
        return [[_rotated(one, lap) for one in first], *_rotated(nodes, index)[1:]]

    def _fill_up(self, sets: list[list[int]], cores: Sequence[Sequence[int]], size: int) -> None:
        """Give the sets that have too few CPUs what is left: from the cores least in use."""
        left = [list(core) for core in cores]
        for cpu in itertools.chain(*sets):
            next(core for core in left if cpu in core).remove(cpu)
        for cpus in sets:
            while len(cpus) < size:
                here = {self.node_of(cpu) for cpu in cpus}
                most = max(
                    (core for core in left if core),
                    key=lambda core: (self.node_of(core[0]) in here, len(core)),
                )
                cpus += most[: size - len(cpus)]
                most[:] = [cpu for cpu in most if cpu not in cpus]

    def _cores_at(self, size: int, place: int) -> tuple[list[list[int]], int]:
        """The cores (their CPUs) from which a set of that size is taken, and the place in them."""
        nodes = [self._cores_of(node) for node in self.nodes]
        runs = [_fewest_nodes(nodes, first, size) for first in range(len(nodes))]
        fewest = min(map(len, runs))
        if fewest == len(nodes):  # all of them, in whichever order
            return list(itertools.chain(*nodes)), place
        starts = [run for run in runs if len(run) == fewest]
        number, place = _located(place, [_count(nodes[run[0]]) for run in starts])
        return list(itertools.chain(*(nodes[index] for index in starts[number]))), place

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


def kernel_text(file: Path) -> str | None:
    """What a file of /proc or /sys says; `None` where it cannot be read.

    Nothing in it is believed: in a container anything may be mounted there.
    """
    try:
        with ORIGINALS.open(file, encoding="utf-8", errors="replace") as text:
            return text.read(_MOST_CHARACTERS)
    except OSError:
        return None


def kernel_folders(directory: Path, beginning: str) -> list[Path]:
    """What a directory of the kernel holds under such names; nothing where it cannot be listed."""
    try:
        names = ORIGINALS.listdir(directory)
    except OSError:
        return []
    return sorted(directory / name for name in names if name.startswith(beginning))


def read_nodes(nodes: Path) -> dict[int, int]:
    """The NUMA node of each CPU, from a tree like /sys/devices/system/node; empty without one."""
    found = {}
    for folder in kernel_folders(nodes, "node"):
        number = folder.name.removeprefix("node")
        try:
            cpus = parse_cpu_list(kernel_text(folder / "cpulist") or "")
        except ValueError:  # a node that has no CPUs, or an unreadable tree
            continue
        if number.isdecimal():
            found.update(dict.fromkeys(cpus, int(number)))
    return found


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """From "0-2,8" to (0, 1, 2, 8). Raises `ValueError` where the text is no such list."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        numbers = range(int(first), int(last or first) + 1)
        if not 0 <= numbers.start < numbers.stop <= _HIGHEST_CPU or len(cpus) > _HIGHEST_CPU:
            raise ValueError(f"no CPUs are numbered {part!r:.40}")
        cpus += numbers
    return tuple(cpus)


def read_quota(cgroups: Path, own_cgroup: Path) -> float | None:
    """CPUs that the cgroup of this process may use, the tightest of its ancestors; None: no quota.

    cgroup v2 keeps "quota period" in cpu.max, v1 two files in the cpu controller's tree
    (https://docs.kernel.org/admin-guide/cgroup-v2.html, "CPU Interface Files").
    """
    quotas = []
    for controllers, path in own_cgroups(own_cgroup):
        if not controllers:
            quotas += _quotas_up(cgroups, path, _quota_v2)
        elif "cpu" in controllers.split(","):
            quotas += _quotas_up(cgroups / "cpu", path, _quota_v1)
    return min(quotas, default=None)


def read_cpuset(cgroups: Path, own_cgroup: Path) -> tuple[int, ...] | None:
    """CPUs that the cgroup of this process grants (version 2); `None` where it does not tell.

    The nearest group above that has the cpuset controller says so.
    """
    paths = [path for controllers, path in own_cgroups(own_cgroup) if not controllers]
    for path in paths:
        for group in groups_up(cgroups, path):
            try:
                return parse_cpu_list(kernel_text(group / "cpuset.cpus.effective") or "")
            except ValueError:  # not here, or not readable
                continue
    return None


def own_cgroups(own_cgroup: Path) -> list[tuple[str, str]]:
    """Controllers and path of each group that this process is in; version 2 has no controllers."""
    # Not `splitlines`: whoever makes a group gives it a name.
    rows = [line.split(":", 2) for line in (kernel_text(own_cgroup) or "").split("\n")]
    return [(row[1], row[2]) for row in rows if len(row) == 3 and "\0" not in row[2]]


def _quotas_up(root: Path, path: str, read: Any) -> list[float]:
    return [quota for one in groups_up(root, path) if (quota := read(one)) is not None]


def groups_up(root: Path, path: str) -> list[Path]:
    """The group of this path and those above it, up to the root.

    Inside a container the path may be the host's, absent here: then the root is our own group.
    """
    group = root / path.strip("/")
    return [one for one in (group, *group.parents) if one == root or root in one.parents]


def _quota_v2(group: Path) -> float | None:
    words = (kernel_text(group / "cpu.max") or "").split()
    return _share(*words) if len(words) == 2 and words[0] != "max" else None


def _quota_v1(group: Path) -> float | None:
    quota, period = (
        kernel_text(group / name) or "" for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    )
    return _share(quota, period)


def _share(quota: str, period: str) -> float | None:
    """CPUs of a quota; `None` where there is none, or no such."""
    try:
        cpus = int(quota) / int(period)
    except (ValueError, ArithmeticError):
        return None
    return cpus if cpus > 0 else None


def oom_kills() -> int | None:
    """Processes that the kernel has killed for memory in this cgroup; None if it does not tell."""
    for controllers, path in own_cgroups(_OWN_CGROUP):
        if not controllers:
            events = (kernel_text(_CGROUPS / path.strip("/") / "memory.events") or "").split()
            try:
                return int(events[events.index("oom_kill") + 1])
            except (ValueError, IndexError):
                return None
    return None


def _core_key(sysfs: Path, cpu: int) -> str:
    siblings = kernel_text(sysfs / f"cpu{cpu}" / "topology" / "thread_siblings_list")
    if siblings is not None:
        return siblings.strip()
    # Without a topology, assume that the machine's logical CPUs are spread evenly over its cores.
    return str(cpu % (_core_count(_CPUINFO) or os.cpu_count() or 1))


def _core_count(cpuinfo: Path) -> int | None:
    """Cores of the whole machine; None where the kernel names none (as on ARM)."""
    blocks = (kernel_text(cpuinfo) or "").split("\n\n")
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
    for line in (kernel_text(_CPUINFO) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Processor", "cpu model"):
            return printable(value.strip())
    return platform.processor() or platform.machine()


def _fewest_nodes(nodes: Sequence[Sequence[object]], first: int, size: int) -> tuple[int, ...]:
    """Neighbouring nodes from `first` on, until they have that many cores; else all of them."""
    chosen: list[int] = []
    for step in range(len(nodes)):
        chosen.append((first + step) % len(nodes))
        if sum(len(nodes[index]) for index in chosen) >= size:
            break
    return tuple(chosen)


def _whole_cores(
    nodes: Sequence[Sequence[list[int]]], instances: int, each: int
) -> list[list[list[int]]]:
    """So many cores for each instance: in one node while there are enough, else what is left."""
    left = [list(cores) for cores in nodes]
    given: list[list[list[int]]] = []
    for cores in left:
        while each and len(cores) >= each and len(given) < instances:
            given.append(cores[:each])
            del cores[:each]
    rest = list(itertools.chain(*left))
    while len(given) < instances:
        given.append(rest[:each])
        del rest[:each]
    return given


def _firsts_first(cores: Sequence[Sequence[int]]) -> list[int]:
    """The first CPU of each core, then the second ones, and so on."""
    laps = itertools.zip_longest(*cores)
    return [cpu for lap in laps for cpu in lap if cpu is not None]


def _rotated(sequence: Sequence[_Any], first: int) -> list[_Any]:
    first %= len(sequence)
    return [*sequence[first:], *sequence[:first]]


def _located(place: int, sizes: Sequence[int]) -> tuple[int, int]:
    """In which of these, laid end to end and round again, a place is; and the place within it."""
    ends = list(itertools.accumulate(sizes))
    place %= ends[-1]
    index = bisect.bisect_right(ends, place)
    return index, place - ends[index] + sizes[index]


def _count(cores: Sequence[Sequence[int]]) -> int:
    """The CPUs of these cores."""
    return sum(map(len, cores))
