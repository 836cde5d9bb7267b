"""Sets of CPUs on real machines that few people have: `tests/recordings`, written out as files.

A recording names allowed and online CPUs, the CPUs of each core, node and last-level cache, and
then, for teams, the set of each instance.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_tfthreads.doctor import inspection
from pytest_tfthreads.doctor.checks import of_machine
from pytest_tfthreads.system.machine import Machine, parse_cpu_list

RECORDINGS = Path(__file__).parents[1] / "recordings"
SYSTEM = "sys/devices/system"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """By its name: what a recording says, and the machine that is read from its files."""

    def read(name):
        lines = (RECORDINGS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        said = dict(line.split(": ") for line in lines if line and not line.startswith("#"))
        system = tmp_path / SYSTEM
        write(system / "cpu/online", said["online"])
        for kind, file in (
            ("cores", "topology/thread_siblings_list"),
            ("last-level caches", "cache/index3/shared_cpu_list"),
        ):
            for group in said[kind].split():
                for cpu in parse_cpu_list(group):
                    write(system / f"cpu/cpu{cpu}" / file, group)
                    write(system / f"cpu/cpu{cpu}/cache/index3/level", "3")
        for name, cpus in said.items():
            if name.startswith("node"):
                write(system / "node" / name / "cpulist", cpus)
        allowed = parse_cpu_list(said["allowed"])
        monkeypatch.setattr("pytest_tfthreads.system.machine.allowed_cpus", lambda: allowed)
        return said, Machine.read(system)

    return read


def names():
    return sorted(file.stem for file in RECORDINGS.glob("*.txt"))


@pytest.mark.parametrize("name", names())
def test_teams_get_the_sets_that_are_noted(recorded, name):
    said, machine = recorded(name)
    teams = [re.fullmatch(r"(\d+) of (\d+) at (\d+)", team) for team in said]
    teams = [tuple(map(int, team.groups())) for team in teams if team]
    assert len(teams) >= 5
    for instances, size, place in teams:
        sets = machine.team_sets(instances, size, place)
        found = " ".join(",".join(map(str, cpus)) for cpus in sets)
        assert found == said[f"{instances} of {size} at {place}"]


@pytest.mark.parametrize(
    ("name", "cpus", "nodes", "caches"),
    [
        ("hyperthreads", "4 CPUs on 2 cores", "one: all CPUs", "one, shared by all CPUs"),
        ("two_sockets", "96 CPUs on 48 cores", "8 nodes with CPUs 0-5,48-53 /", "16, shared by"),
        ("interleaved_nodes", "64 CPUs on 32 cores", "3 nodes with CPUs 0,2,4,", "4, shared by"),
        ("big_and_little", "8 CPUs on 8 cores", "no node is shown", "one, shared by all CPUs"),
        (
            "container",
            "3 CPUs on 3 cores",
            "2 nodes with CPUs 5 / 3,7",
            "2, shared by CPUs 3,7 / 5",
        ),
    ],
)
def test_the_doctor_shows_nodes_and_shared_caches(recorded, tmp_path, name, cpus, nodes, caches):
    _, machine = recorded(name)
    found = {one.name: one for one in of_machine(inspection.read_facts(machine, tmp_path))}
    assert found["CPUs granted"].value.startswith(cpus)
    assert found["NUMA nodes"].value.startswith(nodes)
    assert found["last-level caches"].value.startswith(caches)


def test_the_doctor_shows_what_a_container_hides(recorded, tmp_path):
    _, machine = recorded("container")
    limited = inspection.read_facts(replace(machine, quota_cpus=1.5), tmp_path)
    told = {one.name: one.value for one in of_machine(limited)}
    assert told["CPUs granted"].startswith("3 CPUs on 3 cores")
    write(tmp_path / "proc/self/cgroup", "0::/")
    write(tmp_path / "sys/fs/cgroup/cpuset.cpus.effective", "3,5,7")
    found = {one.name: one for one in of_machine(inspection.read_facts(machine, tmp_path))}
    assert found["affinity"].value == (
        "CPUs 3,5,7 of 0-63, all that the cgroup (the container) grants; what runs on the other 61 "
        "shares caches and memory"
    )
    assert found["hyperthreads"].value.startswith("CPUs 35,37,39 share cores with ours")
    write(tmp_path / "sys/fs/cgroup/cpuset.cpus.effective", "0-7")
    found = {one.name: one for one in of_machine(inspection.read_facts(machine, tmp_path))}
    assert found["affinity"].value.startswith(
        "CPUs 3,5,7 of 0-63, of 0-7 that the cgroup (the container) grants; "
    )
