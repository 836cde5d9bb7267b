"""`pytest-tfthreads doctor` as a user runs it, on this machine."""

import json
import subprocess
import sys
import threading

import pytest

import pytest_tfthreads.commands.doctor  # pytester forgets what its runs import
from pytest_tfthreads.cli import main

HOLD = """
import sys
from pytest_tfthreads.system.leases.leases import Leases
with Leases().exclusive("somebody's benchmark"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def doctor(suite, capsys):
    """Runs it with the fake TensorFlow: exit code, stdout, stderr."""

    def run(*args):
        with pytest.raises(SystemExit) as ended:
            main(["doctor", *args])
        return (ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def a_second(monkeypatch):
    """The option that measures for a second, which is too short to say much."""
    monkeypatch.setattr(pytest_tfthreads.commands.doctor, "_LEAST_S", 1.0)
    return "--seconds=1"


@pytest.fixture
def held_lease(suite):
    """Another process measures."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        yield holder.stdin
        holder.stdin.close()


def by_name(findings):
    return {one["name"]: one for one in findings}


def test_measuring(doctor, no_leftovers, held_lease):
    others_end = threading.Timer(4, held_lease.close)
    others_end.start()
    code, out, err = doctor("--json", "--seconds=5", "--intra=2", "--tolerance=20%", "--tests=3")
    told = json.loads(out)
    machine, measured = by_name(told["machine"]), by_name(told["measured"])
    assert machine["TensorFlow"]["value"] == "0.0-fake"
    assert machine["oneDNN"]["status"] == "unknown"
    assert machine["forking"]["status"] == "ok"
    assert "waiting for the CPUs: pid" in err
    assert machine["leases"]["value"] == "nobody else measures"
    assert {"CPU speed", "reference workload", "in turns"} <= set(measured)
    assert told["pairs"] >= 3
    assert (told["intra"], told["tests"]) == (2, 3)
    assert told["tolerance"] == {"throughput": 0.2, "cpu_efficiency": 0.2}
    for limits in (told["detectable"]["duet"], told["detectable"]["saved_runs"]["by_runs"]["30"]):
        smallest = limits["throughput"]["smallest"]
        assert 0 < smallest["low"] <= smallest["value"] <= smallest["high"] <= 1
    fit = told["detectable"]["duet"]["fit"] or told["detectable"]["saved_runs"]["fit"]
    assert told["fit"] == fit
    assert code == int(not fit)
    assert "measuring for 5 s" in err


def test_without_tensorflow(doctor, a_second, monkeypatch):
    monkeypatch.setenv("FAKE_TF_BROKEN", "1")
    code, out, _ = doctor(a_second, "--json")
    told = json.loads(out)
    assert code == 1
    assert told["fit"] is False
    assert "libtensorflow_cc.so.2" in by_name(told["machine"])["TensorFlow"]["value"]
    assert by_name(told["measured"])["in turns"]["status"] == "unknown"
    assert "CPU speed" in by_name(told["measured"])
    assert "measuring came to nothing" in told["verdict"]


def test_only_looking(doctor, monkeypatch):
    monkeypatch.setenv("FAKE_TF_EAGER_THREAD", "1")
    code, out, err = doctor("--no-measure")
    assert "cannot be trusted: 2 threads run" in out
    assert "was not measured" in out.splitlines()[-1]
    assert "Measured" not in out
    assert "measuring" not in err
    assert code == int("  bad " in out)


def test_ops_that_fail(doctor, a_second, monkeypatch):
    monkeypatch.setenv("FAKE_TF_FAILING_OPS", "1")
    code, out, _ = doctor(a_second)
    assert code == 1
    assert "a process failed: " in " ".join(out.split())


def test_others_measure(doctor, held_lease):
    code, _, err = doctor("--lease-timeout=3")
    assert code == 2
    assert "waiting for the CPUs: pid" in err
    assert "somebody's benchmark" in err
    assert "others had the CPUs for all of 3 s" in err
    assert "--no-measure" in err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--tolerance=5",), "no share above 0% and below 100%"),
        (("--seconds=1",), "no number of seconds between 5 and 600"),
        (("--seconds=nan",), "no number of seconds"),
        (("--lease-timeout=inf",), "no number of seconds of 0 or more"),
        (("--tests=0",), "no number of tests"),
        (("--intra=some",), "unknown symbol 'some'"),
        (("--intra=99999",), "more than 4096"),
        (("--what",), "--what"),
    ],
)
def test_usage(doctor, args, told):
    code, _, err = doctor(*args)
    assert code == 2
    assert told in err


def test_a_place_where_leases_cannot_be_kept(doctor, monkeypatch, tmp_path):
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    monkeypatch.setenv("PYTEST_TFTHREADS_LEASES", str(place))
    _, out, err = doctor("--no-measure", "--json")
    leases = by_name(json.loads(out)["machine"])["leases"]
    assert leases["status"] == "warning"
    assert f"{place} may be written by others (mode 777)" in leases["value"]
    assert "PYTEST_TFTHREADS_LEASES" in "".join(leases["advice"])
    assert "Traceback" not in err
