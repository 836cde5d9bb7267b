"""RunResults on machines that are made up, and what is advised."""

from dataclasses import replace

import pytest

from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.doctor.assessment import of_speeds
from pytest_tfthreads.doctor.checks import (
    Clock,
    Finding,
    Import,
    Load,
    MachineFacts,
    Turbo,
    of_leases,
    of_machine,
    of_tensorflow,
)
from pytest_tfthreads.doctor.cpu_speed import CpuSpeed, Steadiness, TwoSpeeds

FINE = Clock(40e-9, 60e-9)
QUIET = MachineFacts(
    cpu_model="Some CPU",
    cpus=(0, 1, 2, 3),
    online=(0, 1, 2, 3),
    cpuset=None,
    physical=4,
    quota_cpus=None,
    hides_groups=False,
    is_virtual=False,
    is_container=False,
    siblings=((0,), (1,), (2,), (3,)),
    nodes=((0, 1, 2, 3),),
    last_caches=((0, 1, 2, 3),),
    governors=("performance",),
    turbo=Turbo(False, "/sys/devices/system/cpu/cpufreq/boost", "0"),
    load=Load(0.01, 0.0, 0.1),
    clocksource="tsc",
    wall_clock=FINE,
    cpu_clock=FINE,
)


def named(name, **facts):
    return next(one for one in of_machine(replace(QUIET, **facts)) if one.name == name)


def test_nothing_to_complain_of():
    findings = of_machine(QUIET)
    assert {one.status for one in findings} == {"ok"}
    assert not any(one.advice for one in findings)
    assert len({one.name for one in findings}) == len(findings)


@pytest.mark.parametrize(
    ("name", "facts", "status", "told", "advised"),
    [
        ("CPUs granted", {"cpus": (0,)}, "warning", "1 CPU on", "--cpuset-cpus"),
        ("CPUs granted", {"is_virtual": True}, "ok", "a virtual machine", ""),
        ("CPUs granted", {"is_container": True}, "ok", "in a container", ""),
        ("affinity", {"cpus": (0, 1)}, "ok", "CPUs 0-1 of 0-3", ""),
        ("affinity", {"online": None}, "unknown", "hide it", ""),
        ("quota", {"quota_cpus": 2.5}, "bad", "2.5 CPUs of time on 4", "taskset -c 0-1 pytest"),
        ("quota", {"quota_cpus": 0.5}, "bad", "0.5 CPUs", "--cpuset-cpus=0 "),
        ("quota", {"quota_cpus": 4.0}, "ok", "4 CPUs", ""),
        ("quota", {"hides_groups": True}, "unknown", "/proc/self/cgroup", ""),
        (
            "hyperthreads",
            {"siblings": ((0, 2), (1, 3)), "physical": 2},
            "warning",
            "2 cores with several CPUs",
            "taskset -c 0-1 pytest",
        ),
        ("hyperthreads", {"siblings": ((0, 4), (1,), (2,), (3,))}, "warning", "CPUs 4", "smt"),
        ("hyperthreads", {"siblings": None}, "unknown", "hide it", ""),
        ("hyperthreads", {"is_virtual": True}, "unknown", "half a core", "dedicated"),
        ("frequency governor", {"governors": ("powersave",)}, "warning", "powersave", "cpupower"),
        ("frequency governor", {"governors": None}, "unknown", "hide it", ""),
        (
            "turbo",
            {"turbo": Turbo(True, "/sys/x/no_turbo", "1")},
            "warning",
            "on",
            "echo 1 | sudo tee /sys/x/no_turbo",
        ),
        ("turbo", {"turbo": None}, "unknown", "hide it", ""),
        ("load", {"load": Load(0.5, 0.0, 0.4)}, "warning", "0.50 of 4 CPUs busy", "top -b"),
        ("load", {"load": Load(3.0, 0.0, None)}, "bad", "3.00 of 4", "top -b"),
        ("load", {"load": Load(0.0, 0.5, 0.0)}, "warning", "0.50 kept by the host", "dedicated"),
        ("load", {"load": None}, "unknown", "/proc/stat", ""),
        ("clock", {"clocksource": "hpet"}, "warning", "slow source", "tsc"),
        ("clock", {"cpu_clock": Clock(0.01, 1e-7)}, "bad", "10 ms", "--benchmark-min-time=10"),
        ("clock", {"wall_clock": Clock(1e-5, 1e-7)}, "warning", "10 µs", "--benchmark-min-time"),
        ("clock", {"clocksource": None}, "ok", "wall time steps", ""),
    ],
)
def test_findings(name, facts, status, told, advised):
    found = named(name, **facts)
    assert found.status == status
    assert told in found.value
    assert advised in " ".join(found.advice)
    assert bool(advised) == bool(found.advice)


def test_an_unknown_status_is_refused():
    with pytest.raises(ValueError, match="fine"):
        Finding("x", "fine", "")


def test_leases():
    assert of_leases((), "", "").status == "ok"
    assert "pid 7" in of_leases(["pid 7 (pytest), measuring"], "", "").value
    cannot = of_leases((), "no locks", "mend")
    assert (cannot.status, "no locks" in cannot.value) == ("warning", True)


def test_tensorflow():
    fine = of_tensorflow(Import(version="2.21.0", onednn=True, cuda=False))
    assert [one.status for one in fine] == ["ok"] * 3
    assert fine[0].value == "2.21.0, built for CPUs"
    assert "on (the build's default)" in fine[1].value
    assert '"TF_ENABLE_ONEDNN_OPTS": "0"' in fine[1].value

    other = of_tensorflow(Import(version="2.16.1", not_forkable="2 threads run", onednn=None))
    assert [one.status for one in other] == ["ok", "unknown", "warning"]
    assert "2 threads run" in other[2].value

    absent = of_tensorflow(Import(problem="No module named 'tensorflow'"))
    assert [one.status for one in absent] == ["bad", "unknown", "unknown"]
    assert "pip install" in absent[0].advice[0]

    set_off = of_tensorflow(Import(version="2", onednn=False, onednn_variable="0"))[1]
    assert "off (TF_ENABLE_ONEDNN_OPTS=0)" in set_off.value


def speed(cpu, median_s=1e-3, width=1.01, held_up=0.0, both=None):
    return CpuSpeed(cpu, median_s, median_s, width * median_s, held_up, both)


@pytest.mark.parametrize(
    ("cpus", "name", "status", "told"),
    [
        ((speed(0), speed(1)), "CPU speed", "ok", "1.01 times"),
        ((speed(0), speed(1, 2e-3)), "CPU speed", "warning", "2.00 times as long"),
        ((speed(0), speed(1, width=1.5)), "CPU speed", "bad", "1.50 times"),
        (
            (speed(0), speed(1, both=TwoSpeeds(1e-3, 1.8e-3, 0.35))),
            "CPU speed",
            "bad",
            "CPU 1 1.80 times apart, slow 35 % of the time",
        ),
        ((speed(0), speed(1, held_up=0.3)), "CPU shared", "bad", "CPU 1 for 30 %"),
        ((speed(0),), "CPU shared", "ok", "CPU 0"),
        ((speed(0),), "between processes", "warning", "4.0 % [3.0, 8.0]"),
    ],
)
def test_speeds(cpus, name, status, told):
    findings = of_speeds(Steadiness(cpus, Estimate(0.04, 0.03, 0.08)), tolerance=0.05)
    found = next(one for one in findings if one.name == name)
    assert found.status == status
    assert told in found.value


def test_several_nodes_are_a_warning_that_says_how_many_threads_stay_within_one():
    found = named("NUMA nodes", nodes=((0, 1, 8, 9), (2, 3)))
    assert found.status == "warning"
    assert "2 nodes with CPUs 0-1,8-9 / 2-3" in found.value
    assert "at most 2 threads a process" in found.advice[0]
    assert "numactl --physcpubind=0-1,8-9 --localalloc" in found.advice[0]
    assert named("NUMA nodes").status == "ok"
    assert named("NUMA nodes", nodes=None).status == "unknown"


def test_caches_are_told_by_the_cpus_that_share_them():
    found = named("last-level caches", last_caches=((0, 1), (2, 3)))
    assert (found.status, found.value) == ("ok", "2, shared by CPUs 0-1 / 2-3")
    assert named("last-level caches").value == "one, shared by all CPUs"
    assert named("last-level caches", last_caches=None).status == "unknown"
