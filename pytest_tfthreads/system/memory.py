"""Memory: what a process takes of its own, and what is left on this machine for more."""

from __future__ import annotations

from pathlib import Path

from pytest_tfthreads.system.machine import groups_up, kernel_text, own_cgroups

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
"""Version 1 has no word for it: it shows a number next to 2**63."""


def proportional_bytes(pid: int, proc: Path = _PROC) -> int | None:
    """Memory of a process, each page divided by the processes that share it (PSS).

    So forks of one process can be added up. `None` where the kernel does not tell.
    """
    return _bytes_of(proc / str(pid) / "smaps_rollup", "Pss:")


def private_bytes(pid: int, proc: Path = _PROC) -> int | None:
    """Memory of a process that it shares with no other (USS): what one more fork like it takes.

    `None` where the kernel does not tell.
    """
    rollup = proc / str(pid) / "smaps_rollup"
    clean, dirty = (_bytes_of(rollup, name) for name in ("Private_Clean:", "Private_Dirty:"))
    return None if clean is None or dirty is None else clean + dirty


def available_bytes(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """What can still be taken before something is killed; `None` where the kernel does not tell.

    The least of what is available on the machine and what the limit of each cgroup above leaves.
    Pages of files that were not used lately are given up before anything is killed, so they count
    as left.
    """
    left = [_bytes_of(proc / "meminfo", "MemAvailable:")]
    for controllers, path in own_cgroups(proc / "self" / "cgroup"):
        if not controllers:
            left += [_left_v2(group) for group in groups_up(cgroups, path)]
        elif "memory" in controllers.split(","):
            left += [_left_v1(group) for group in groups_up(cgroups / "memory", path)]
    return min((one for one in left if one is not None), default=None)


def _left_v2(group: Path) -> int | None:
    return _left(group, "memory.max", "memory.current", "inactive_file")


def _left_v1(group: Path) -> int | None:
    return _left(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _left(group: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    limit_bytes, used_bytes = (_number(kernel_text(group / name)) for name in (limit, usage))
    if limit_bytes is None or used_bytes is None or limit_bytes >= _UNLIMITED:
        return None
    words = (kernel_text(group / "memory.stat") or "").split()
    of_files = dict(zip(words[::2], words[1::2], strict=False)).get(reclaimable)
    return max(0, limit_bytes - used_bytes + (_number(of_files) or 0))


def _number(text: str | None) -> int | None:
    digits = (text or "").strip()
    return int(digits) if digits.isdecimal() and len(digits) < 20 else None


def _bytes_of(file: Path, name: str) -> int | None:
    """The figure in kB that follows a name at the beginning of a line."""
    for line in (kernel_text(file) or "").splitlines():
        words = line.split()
        if words[:1] == [name] and len(words) == 3 and words[2] == "kB":
            kibibytes = _number(words[1])
            return None if kibibytes is None else kibibytes << 10
    return None
