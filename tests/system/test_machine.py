"""Which CPUs there really are, on machines made of files."""

import os

import pytest

from pytest_tfthreads.core.threads import CpuCounts
from pytest_tfthreads.system.machine import (
    Machine,
    kernel_text,
    parse_cpu_list,
    read_nodes,
    read_quota,
)


def machine(cores, quota=None):
    return Machine("test", tuple(cores.items()), quota)


SMT = {0: "0,4", 1: "1,5", 2: "2,6", 3: "3,7", 4: "0,4", 5: "1,5", 6: "2,6", 7: "3,7"}


def test_counts():
    assert machine(SMT).counts == CpuCounts(physical=4, logical=8)
    assert machine({0: "0,4", 4: "0,4"}).counts == CpuCounts(physical=1, logical=2)
    assert machine(SMT, quota=2.5).counts == CpuCounts(physical=3, logical=3)
    assert machine(SMT, quota=0.5).counts == CpuCounts(physical=1, logical=1)
    assert machine(SMT, quota=64).counts == CpuCounts(physical=4, logical=8)


@pytest.mark.parametrize(
    ("quota", "cpus"), [(None, 8), (0.5, 1), (1, 1), (2.5, 2), (8, 8), (64, 8)]
)
def test_cpus_that_may_be_used_all_the_time(quota, cpus):
    assert machine(SMT, quota).whole_cpus == cpus


def test_cpu_sets_take_whole_cores_first():
    assert machine(SMT).cpu_set(4, 0) == (0, 1, 2, 3)
    assert machine(SMT).cpu_set(5, 0) == (0, 1, 2, 3, 4)
    assert machine(SMT).cpu_set(99, 0) == tuple(range(8))


def test_cpu_sets_rotate_over_the_whole_machine():
    turns = [machine(SMT).cpu_set(3, turn) for turn in range(8)]
    assert all(len(set(cpus)) == 3 for cpus in turns)
    counts = [sum(cpu in cpus for cpus in turns) for cpu in range(8)]
    assert counts == [3] * 8


def test_no_core_is_shared_as_long_as_there_are_others():
    hybrid = {cpu: f"p{cpu // 2}" for cpu in range(8)} | {8: "e0", 9: "e1"}
    for cores, size in ((hybrid, 6), ({0: "a", 1: "a", 2: "b"}, 2), (SMT, 4)):
        for turn in range(7):
            cpus = machine(cores).cpu_set(size, turn)
            assert len({cores[cpu] for cpu in cpus}) == len(cpus) == size
    assert all(len(set(machine(hybrid).cpu_set(9, turn))) == 9 for turn in range(7))


# Trees below /sys/devices/system of machines that few people have at hand: allowed CPUs, CPUs of
# each core, CPUs of each node.
TREES = {
    "one socket with hyperthreads": (range(8), ["0,4", "1,5", "2,6", "3,7"], ["0-7"]),
    "two sockets": (range(16), [f"{cpu},{cpu + 8}" for cpu in range(8)], ["0-3,8-11", "4-7,12-15"]),
    "sub-NUMA clustering": (range(8), [str(cpu) for cpu in range(8)], ["0-1", "2-3", "4-5", "6-7"]),
    "big and little cores": (range(6), ["0,1", "2,3", "4", "5"], ["0-5"]),
    "a container": ((3, 5, 7), ["0,4", "1,5", "2,6", "3,7"], ["0-1,4-5", "2-3,6-7"]),
    "interleaved numbers": (range(8), [str(cpu) for cpu in range(8)], ["0,2,4,6", "1,3,5,7"]),
    "a node without CPUs": (range(4), [str(cpu) for cpu in range(4)], ["0-3", ""]),
}


@pytest.fixture(params=TREES)
def recorded(request, tmp_path, monkeypatch):
    """A machine that is read from such a tree."""
    allowed, cores, nodes = TREES[request.param]
    monkeypatch.setattr("pytest_tfthreads.system.machine.allowed_cpus", lambda: tuple(allowed))
    for siblings in cores:
        for cpu in parse_cpu_list(siblings):
            write(tmp_path / f"cpu/cpu{cpu}/topology/thread_siblings_list", siblings + "\n")
    for number, cpus in enumerate(nodes):
        write(tmp_path / f"node/node{number}/cpulist", cpus + "\n")
    return Machine.read(tmp_path)


def test_a_set_stays_within_a_node_and_shares_no_core_as_far_as_there_are_enough(recorded):
    core_of = dict(recorded.core_of)
    cores = {
        node: {core for cpu, core in recorded.core_of if recorded.node_of(cpu) == node}
        for node in recorded.nodes
    }
    for size in range(1, len(core_of) + 1):
        for place in range(3 * len(core_of)):
            cpus = recorded.cpu_set(size, place)
            assert len(set(cpus)) == size
            assert len({core_of[cpu] for cpu in cpus}) == min(size, sum(map(len, cores.values())))
            if size <= max(map(len, cores.values())):
                assert len({recorded.node_of(cpu) for cpu in cpus}) == 1


def test_every_cpu_of_a_node_that_is_large_enough_has_its_turn(recorded):
    nodes = {
        node: [one for one in recorded.core_of if recorded.node_of(one[0]) == node]
        for node in recorded.nodes
    }
    for size in range(1, len(recorded.core_of) + 1):
        large = [cpus for cpus in nodes.values() if len({core for _, core in cpus}) >= size]
        places = range(3 * len(recorded.core_of))
        used = {cpu for place in places for cpu in recorded.cpu_set(size, place)}
        assert used == {cpu for cpus in large or nodes.values() for cpu, _ in cpus}


def test_sets_go_node_by_node_over_two_sockets():
    two = Machine("test", tuple((cpu, str(cpu % 8)) for cpu in range(16)), None, numa_of_two())
    starts = [two.node_of(two.cpu_set(2, place)[0]) for place in range(16)]
    assert starts == [0] * 8 + [1] * 8
    assert {two.node_of(cpu) for cpu in two.cpu_set(5, 0)} == {0, 1}, "five cores are of two nodes"
    assert len(two.nodes) == two.to_json()["nodes"] == 2


def test_a_set_that_needs_two_of_four_nodes_has_neighbours():
    four = Machine("test", tuple((cpu, str(cpu)) for cpu in range(8)), None, numa_of(4))
    sets = [{four.node_of(cpu) for cpu in four.cpu_set(3, place)} for place in range(8)]
    assert all(len(nodes) == 2 for nodes in sets)
    assert {frozenset(nodes) for nodes in sets} == {
        frozenset(pair) for pair in ((0, 1), (1, 2), (2, 3), (0, 3))
    }


def numa_of_two():
    return {cpu: cpu % 8 // 4 for cpu in range(16)}


def numa_of(nodes):
    return {cpu: cpu * nodes // 8 for cpu in range(8)}


def test_this_machine():
    read = Machine.read()
    assert read.cpu_model
    assert 1 <= read.counts.physical <= read.counts.logical
    assert set(read.to_json()) == {"host", "cpu", "physical", "logical", "quota", "nodes"}


def test_topology_from_files(tmp_path, monkeypatch):
    monkeypatch.setattr("pytest_tfthreads.system.machine.allowed_cpus", lambda: (0, 1, 2))
    for cpu, siblings in {0: "0-1", 1: "0-1"}.items():
        folder = tmp_path / "cpu" / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings + "\n")
    cores = dict(Machine.read(tmp_path).core_of)
    assert cores[0] == cores[1] == "0-1"
    assert cores[2] != "0-1"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_quota_v2_is_the_tightest_of_the_ancestors(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("0::/ci/job\n")
    root = tmp_path / "fs"
    write(root / "ci/job/cpu.max", "max 100000\n")
    assert read_quota(root, own) is None
    write(root / "ci/cpu.max", "150000 100000\n")
    assert read_quota(root, own) == 1.5
    write(root / "ci/job/cpu.max", "400000 100000\n")
    assert read_quota(root, own) == 1.5


def test_the_name_of_a_group_may_have_what_looks_like_the_end_of_a_line(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("0::/a\u2028job\n", encoding="utf-8")
    write(tmp_path / "fs/a\u2028job/cpu.max", "200000 100000\n")
    assert read_quota(tmp_path / "fs", own) == 2


def test_quota_of_a_container_that_sees_its_group_as_the_root(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("0::/docker/0123\n")
    write(tmp_path / "fs/cpu.max", "200000 100000\n")
    assert read_quota(tmp_path / "fs", own) == 2


@pytest.mark.parametrize(("quota", "cpus"), [("-1", None), ("50000", 0.5)])
def test_quota_v1(tmp_path, quota, cpus):
    own = tmp_path / "cgroup"
    own.write_text("4:memory:/x\n3:cpu,cpuacct:/job\n0::/\n")
    write(tmp_path / "fs/cpu/job/cpu.cfs_quota_us", quota)
    write(tmp_path / "fs/cpu/job/cpu.cfs_period_us", "100000")
    assert read_quota(tmp_path / "fs", own) == cpus


def test_quota_without_cgroups(tmp_path):
    assert read_quota(tmp_path, tmp_path / "absent") is None


def test_cores_where_sysfs_has_no_topology(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr("pytest_tfthreads.system.machine._CPUINFO", cpuinfo)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    blocks = [
        f"processor\t: {cpu}\nmodel name\t: Some CPU\nphysical id\t: 0\ncore id\t\t: {cpu % 2}\n"
        for cpu in range(4)
    ]
    cpuinfo.write_text("\n".join(blocks))
    machine = Machine.read(tmp_path)
    assert (machine.counts.physical, machine.cpu_model) == (2, "Some CPU")
    cpuinfo.write_text("processor\t: 0\n\nprocessor\t: 1\n")  # as on ARM
    assert Machine.read(tmp_path).counts.physical == 4
    cpuinfo.unlink()
    assert Machine.read(tmp_path).counts.physical == 4


@pytest.mark.parametrize("text", ["", "x", "-", "5-3", "-1", "0-999999999999", "1" * 5000])
def test_what_is_no_list_of_cpus(tmp_path, text):
    with pytest.raises(ValueError, match=r"CPUs|invalid|digits"):
        parse_cpu_list(text)
    write(tmp_path / "node0/cpulist", text)
    write(tmp_path / "node1/cpulist", "1")
    assert read_nodes(tmp_path) == {1: 1}


def test_nodes_that_cannot_be_listed_are_not_known(tmp_path):
    assert read_nodes(tmp_path / "absent") == {}
    assert read_nodes(tmp_path / ("x" * 300)) == {}  # as where nobody may look


@pytest.mark.parametrize(
    "text", ["max 1", "1", "", "1 0", "0 1", "-1 100000", "x y", f"{10**400} 1", "1 2 3", "é ²"]
)
def test_what_is_no_quota(tmp_path, text):
    own = tmp_path / "cgroup"
    own.write_text("no group\n\n0::/job\n")
    write(tmp_path / "fs/job/cpu.max", text)
    assert read_quota(tmp_path / "fs", own) is None
    quota, _, period = text.partition(" ")
    own.write_text("3:cpu:/job\n3\n1:cpu:/a\0b\n")
    write(tmp_path / "fs/cpu/job/cpu.cfs_quota_us", quota)
    write(tmp_path / "fs/cpu/job/cpu.cfs_period_us", period)
    assert read_quota(tmp_path / "fs", own) is None


def test_files_of_the_kernel_that_are_no_text(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr("pytest_tfthreads.system.machine._CPUINFO", cpuinfo)
    cpuinfo.write_bytes(b"model name : X\xe8\x1b[31m\n\ncore id : \xff\n")
    assert Machine.read(tmp_path).cpu_model == "X\ufffd?[31m"
    folder = tmp_path / "folder"
    folder.mkdir()
    assert kernel_text(folder) is None
    assert read_quota(tmp_path, folder) is None
