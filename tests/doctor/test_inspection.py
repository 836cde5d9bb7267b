"""Machines made of files."""

import itertools

import pytest

from pytest_tfthreads.doctor import inspection
from pytest_tfthreads.doctor.checks import Turbo, of_machine
from pytest_tfthreads.system.machine import Machine

CPUS = "sys/devices/system/cpu"


NODES = "sys/devices/system/node"


@pytest.fixture
def write(tmp_path):
    def write(files):
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return write


def stat(busy, idle, stolen=0):
    row = f"{busy} 0 0 {idle} 0 0 0 {stolen} 0 0"
    return f"cpu  {row}\ncpu0 {row}\ncpu1 {row}\ncpu2 9999999 0 0 0 0 0 0 0 0 0\n"


def test_online(write):
    assert inspection.online_cpus(write({f"{CPUS}/online": "0-2,8\n"})) == (0, 1, 2, 8)


def test_siblings(write):
    root = write(
        {
            f"{CPUS}/cpu{cpu}/topology/thread_siblings_list": text
            for cpu, text in {0: "0,4", 1: "1,5", 4: "0,4"}.items()
        }
    )
    assert inspection.siblings(root, (0, 1, 4)) == ((0, 4), (1, 5))
    assert inspection.siblings(root, (0, 2)) is None
    write({f"{CPUS}/cpu5/topology/thread_siblings_list": "1"})
    assert inspection.siblings(root, (1, 5)) is None


def test_nodes_hold_the_cpus_that_are_ours(write):
    root = write({f"{NODES}/node0/cpulist": "0-3,8-11\n", f"{NODES}/node1/cpulist": "4-7,12-15\n"})
    assert inspection.nodes(root, (2, 3, 5, 12)) == ((2, 3), (5, 12))
    assert inspection.nodes(root, (16,)) is None


def test_last_level_caches(write):
    files = {}
    for cpu, shared in {0: "0-1", 1: "0-1", 2: "2-3"}.items():
        cache = f"{CPUS}/cpu{cpu}/cache"
        files |= {f"{cache}/index0/level": "1", f"{cache}/index0/shared_cpu_list": f"{cpu}\n"}
        files |= {f"{cache}/index3/level": "3", f"{cache}/index3/shared_cpu_list": f"{shared}\n"}
    root = write(files)
    assert inspection.last_caches(root, (0, 1, 2)) == ((0, 1), (2,))
    assert inspection.last_caches(root, (0, 9)) is None


def test_governors(write):
    root = write(
        {
            f"{CPUS}/cpu{cpu}/cpufreq/scaling_governor": f"{name}\n"
            for cpu, name in enumerate(("powersave", "performance", "performance"))
        }
    )
    assert inspection.governors(root, (0, 1, 2)) == ("performance", "powersave")
    assert inspection.governors(root, (1, 2)) == ("performance",)
    assert inspection.governors(root, (7,)) is None


@pytest.mark.parametrize(
    ("name", "text", "is_on", "off"),
    [
        ("intel_pstate/no_turbo", "0\n", True, "1"),
        ("intel_pstate/no_turbo", "1\n", False, "1"),
        ("cpufreq/boost", "1\n", True, "0"),
        ("cpufreq/boost", "0\n", False, "0"),
    ],
)
def test_turbo(write, name, text, is_on, off):
    root = write({f"{CPUS}/{name}": text})
    assert inspection.turbo(root) == Turbo(is_on, f"/{CPUS}/{name}", off)


def test_turbo_in_an_odd_file(write):
    assert inspection.turbo(write({f"{CPUS}/cpufreq/boost": "maybe"})) is None


def test_virtual(write):
    assert inspection.is_virtual(write({"proc/cpuinfo": "flags\t: fpu hypervisor\n"})) is True
    assert inspection.is_virtual(write({"proc/cpuinfo": "flags\t: fpu sse\n"})) is False
    assert inspection.is_virtual(write({"proc/cpuinfo": "Features\t: fp asimd\n"})) is None


def test_load_of_the_cpus_that_are_ours(write, monkeypatch):
    root = write({"proc/stat": stat(100, 100), "proc/loadavg": "1.25 0.5 0.1 2/159 12\n"})
    later = stat(125, 150, stolen=25)
    monkeypatch.setattr(inspection.time, "sleep", lambda _: write({"proc/stat": later}))
    load = inspection.load(root, (0, 1))
    assert load.busy_cpus == pytest.approx(0.5)
    assert load.stolen_cpus == pytest.approx(0.5)
    assert load.average == 1.25
    assert inspection.load(root, (0, 1), look_s=0) is None  # no tick went by


@pytest.mark.parametrize("text", ["", "cpu0 x y z", "cpu0 1 2", "intr 1"])
def test_load_that_is_not_told(write, text):
    assert inspection.load(write({"proc/stat": text}), (0, 1), look_s=0) is None


def test_clock():
    ticks = itertools.chain.from_iterable([one / 128] * 5 for one in itertools.count())
    found = inspection.clock(lambda: next(ticks))
    assert found.step_s == 1 / 128
    assert found.reading_s > 0


def test_a_machine_that_hides_everything(tmp_path):
    machine = Machine("Some CPU", ((0, "0"), (1, "1")), None)
    found = {one.name: one for one in of_machine(inspection.read_facts(machine, tmp_path))}
    hidden = ("affinity", "quota", "hyperthreads", "NUMA nodes", "last-level caches")
    hidden += ("frequency governor", "turbo", "load")
    assert {found[name].status for name in hidden} == {"unknown"}
    assert all(one.value for one in found.values())


def test_this_machine():
    facts = inspection.read_facts(Machine.read())
    assert 0 < facts.wall_clock.step_s < 1
    assert facts.cpus
    assert len(of_machine(facts)) == 10


@pytest.mark.parametrize("level", ["", "0", "²", "9" * 5000, "x\0"])
def test_a_cache_of_no_level(write, level):
    cache = f"{CPUS}/cpu0/cache/index0"
    root = write({f"{cache}/level": level, f"{cache}/shared_cpu_list": "0"})
    assert inspection.last_caches(root, (0,)) is None


def test_words_for_people_cannot_act_on_a_terminal(write):
    name = f"{CPUS}/cpu0/cpufreq/scaling_governor"
    assert inspection.governors(write({name: "fast\x1b[2J\n"}), (0,)) == ("fast?[2J",)


@pytest.mark.parametrize("name", ["absent", "x" * 300])
def test_of_a_machine_that_hides_all_nothing_is_known(tmp_path, name):
    """A name that no file can have stands for what nobody may look at."""
    root = tmp_path / name
    machine = Machine.read(root)
    facts = inspection.read_facts(machine, root)
    assert facts.hides_groups
    assert not facts.is_container
    assert facts.last_caches is None
