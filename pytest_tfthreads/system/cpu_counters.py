"""What the kernel counts of CPUs and of those who want them.

Every reader takes the root of the file system, so that machines made of files can be read too, and
gives `None` where the kernel does not tell: older kernels, containers and sandboxes hide much.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.system.machine import kernel_text
from pytest_tfthreads.system.originals import ORIGINALS

ROOT = Path("/")
TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
"""Of the figures in /proc/stat."""

_PRESSURE = re.compile(r"^some .*\btotal=([0-9]{1,18})$", re.M)
_NS = 1e-9
_US = 1e-6


@dataclass(frozen=True)
class Ticks:
    """Of some CPUs together, since the boot; `stolen` are those that the hypervisor gave away."""

    busy: int
    stolen: int
    total: int


def cpu_ticks(root: Path, cpus: Sequence[int]) -> Ticks | None:
    """What these CPUs were doing since the boot."""
    names = {f"cpu{cpu}" for cpu in cpus}
    rows = [line.split() for line in (kernel_text(root / "proc/stat") or "").splitlines()]
    try:
        # User, nice, system, idle, iowait, irq, softirq, steal.
        ticks = [[int(one) for one in row[1:9]] for row in rows if row and row[0] in names]
        idle = sum(tick[3] + tick[4] for tick in ticks)
        stolen = sum(tick[7] for tick in ticks)
    except (ValueError, IndexError):
        return None
    total = sum(map(sum, ticks))
    return Ticks(total - idle - stolen, stolen, total) if ticks else None


def cpu_pressure_s(root: Path) -> float | None:
    """Seconds since the boot in which any thread of the machine was ready and had no CPU."""
    found = _PRESSURE.search(kernel_text(root / "proc/pressure/cpu") or "")
    return None if found is None else int(found[1]) * _US


def run_queue_delays_s(root: Path) -> Mapping[str, float] | None:
    """Of each thread of this process, by its id: seconds for which it was ready and had no CPU."""
    tasks = root / "proc/self/task"
    delays, ran = {}, 0
    try:
        names = ORIGINALS.listdir(tasks)
    except OSError:
        return None
    for name in names:
        text = kernel_text(tasks / name / "schedstat")
        if text is None:  # the thread has ended, or the kernel has no such files
            continue
        try:
            ran_ns, waited_ns, _ = map(int, text.split())
        except ValueError:
            return None
        ran += ran_ns
        delays[name] = waited_ns * _NS
    # A kernel that does not count writes zeros.
    return delays if ran else None
