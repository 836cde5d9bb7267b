"""What is left of memory, as trees of /proc and of cgroups say."""

import pytest

from pytest_tfthreads.system.memory import available_bytes, proportional_bytes

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30


def tree(path, files):
    for name, text in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path / "proc", path / "cgroups"


@pytest.fixture
def machine(tmp_path):
    """8 GB are available, and this process is in the group /job/step."""
    return lambda cgroup, files: tree(
        tmp_path,
        {
            "proc/meminfo": f"MemTotal: 99 kB\nMemAvailable:    {8 * GB // KB} kB\n",
            "proc/self/cgroup": cgroup,
            **{f"cgroups/{name}": str(text) for name, text in files.items()},
        },
    )


def test_without_a_group_the_machine_s_memory_is_left(machine):
    assert available_bytes(*machine("", {})) == 8 * GB
    assert available_bytes(*machine("0::/job\n", {"job/memory.max": "max\n"})) == 8 * GB


def test_the_tightest_group_above_decides(machine):
    files = {
        "job/memory.max": 3 * GB,
        "job/memory.current": 2 * GB,
        "job/step/memory.max": 5 * GB,
        "job/step/memory.current": 1 * GB,
    }
    assert available_bytes(*machine("0::/job/step\n", files)) == 1 * GB


def test_pages_of_files_that_can_be_given_up_are_left(machine):
    files = {
        "job/memory.max": 3 * GB,
        "job/memory.current": 3 * GB,
        "job/memory.stat": f"anon 5\ninactive_file {512 * MB}\nactive_file 7\n",
    }
    assert available_bytes(*machine("0::/job\n", files)) == 512 * MB


def test_groups_of_version_1(machine):
    files = {
        "memory/job/memory.limit_in_bytes": 2 * GB,
        "memory/job/memory.usage_in_bytes": 1 * GB,
        "memory/job/memory.stat": f"inactive_file 1\ntotal_inactive_file {MB}\n",
        "memory/memory.limit_in_bytes": 9223372036854771712,
        "memory/memory.usage_in_bytes": 1 * GB,
    }
    assert available_bytes(*machine("3:cpu,memory:/job\n2:cpuset:/other\n", files)) == GB + MB


@pytest.mark.parametrize("text", ["", "-5", "many", "9" * 30])
def test_figures_that_are_none_limit_nothing(machine, text):
    files = {"job/memory.max": text, "job/memory.current": 1}
    assert available_bytes(*machine("0::/job\n", files)) == 8 * GB


def test_where_the_kernel_does_not_tell(tmp_path):
    assert available_bytes(tmp_path, tmp_path) is None
    assert proportional_bytes(1, tmp_path) is None


def test_memory_of_a_process(tmp_path):
    tree(tmp_path, {"proc/7/smaps_rollup": "55-77 ---p [rollup]\nRss: 300 kB\nPss:   120 kB\n"})
    assert proportional_bytes(7, tmp_path / "proc") == 120 * KB
