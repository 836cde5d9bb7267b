"""`pytest-tfthreads recommend`: what it prints is read by the programs that it is for."""

import datetime as dt
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pytest_tfthreads.cli import main
from pytest_tfthreads.commands import recommend as command_module
from pytest_tfthreads.commands.saved import whole
from pytest_tfthreads.core.hosts import Host
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.sweep.deployment import Deployment, differences
from pytest_tfthreads.core.sweep.recommendation import settings
from pytest_tfthreads.report.deployment import FORMATS, render
from pytest_tfthreads.system.machine import Machine, allowed_cpus

HERE = Machine.read().to_json()
CPU = allowed_cpus()[0]
TEST = "test_a.py::test_x"
EVIL = "test_a.py::test_[$(touch hit)`touch hit`\"';touch hit\n touch hit\r\x1b[2J\u2028a: &b\\"
HOST = Host("h", "Model X", 4, 8, None, "3.12", "2.21")
ONE = Deployment(TEST, "intra2-inter1", Pools(2, 1), ((0, 2),), "", HOST)
TEAM = replace(ONE, instances=((CPU,), (CPU,)))
DEFAULT = replace(ONE, pools=Pools(0, 0))
BAD = replace(ONE, test=EVIL, id=EVIL, terms=EVIL, host=replace(HOST, name=EVIL, cpu=EVIL))


def written(deployment, as_):
    return render(deployment, [EVIL], [EVIL], as_) + "\n"


def measured(threads, machine=HERE, factors=(1, 1, 1)):
    samples = tuple(
        Sample(
            (0.1 / threads * factors[ring],) * 20,
            (0.1,) * 20,
            1,
            5,
            0.1,
            1 << 20,
            0,
            0,
            (CPU,),
            ring,
            2,
        )
        for ring in range(3)
    )
    pools = Pools(threads, 1)
    return Measurement(pools, pools, (CPU,), "fork", 4, "images", samples, machine)


def save(path, tests=(TEST,), counts=(1, 2), machine=HERE, factors=(1, 1, 1), when="2026-11-02"):
    benchmarks = [
        {
            "fullname": f"{test}[intra{count}-inter1]",
            "extra_info": {
                "tf_threads": {
                    **measured(count, machine, factors if count > 1 else (1, 1, 1)).to_json(),
                    "group": test,
                    "configuration": {
                        "id": f"intra{count}-inter1",
                        "intra": str(count),
                        "inter": "1",
                    },
                }
            },
        }
        for test in tests
        for count in counts
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    run = {"benchmarks": benchmarks, "machine_info": {}, "datetime": when}
    path.write_text(json.dumps(run))
    return str(path)


@pytest.fixture
def recommend(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as ending:
            main(["recommend", *arguments])
        return ending.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    "named",
    [
        *((), (TEST,), ("0001",), ("0001", TEST)),
        *(("test_x",), ("0001", "*::test_x"), (TEST + "[intra1-inter1]",)),
    ],
)
def test_the_recommended_configuration_of_the_run_and_test_that_are_named(
    recommend, tmp_path, named
):
    save(tmp_path / ".benchmarks/x/0001_a.json")
    code, out, err = recommend(*named, "--format=json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["configuration"] == "intra2-inter1"
    assert found["instances"] == [{"cpus": [CPU]}]
    assert found["environment"] == {"TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "1"}
    assert found["warnings"] == []


@pytest.mark.parametrize("named", ["tests/unit/test_a.py", "tests/unit/test_a", "unit/test_a.py"])
def test_a_test_may_be_named_by_its_file(recommend, tmp_path, named):
    save(tmp_path / ".benchmarks/x/0001_a.json", tests=("tests/unit/test_a.py::test_x",))
    file = tmp_path / "tests/unit/test_a.py"
    file.parent.mkdir(parents=True)
    file.write_text("def test_x(): pass")
    code, out, err = recommend(named, "--format=json")
    assert (code, err) == (0, "")
    assert json.loads(out)["configuration"] == "intra2-inter1"


def test_variables_are_those_of_the_lines_to_paste(recommend, tmp_path):
    save(tmp_path / ".benchmarks/x/0001_a.json")
    _, out, _ = recommend("--format=env")
    set_ = [line for line in out.splitlines() if not line.startswith("#")]
    run = command_module.read_runs(_options(tmp_path), 1)[1]
    assert " ".join(set_) in settings(command_module._advice(run, TEST).best.candidate)


def test_the_pool_of_a_pipeline_is_in_each_format_and_only_in_comments(tmp_path):
    pool = "options.threading.private_threadpool_size = 4"
    deployment = replace(ONE, data_threads=4)
    for as_ in FORMATS:
        lines = written(deployment, as_).splitlines()
        if as_ == "json":
            found = json.loads("\n".join(lines))
            assert found["data_threads"] == 4
            assert pool in found["code"]
        else:
            assert f"# {pool}" in lines, as_
            same = [line for line in lines if not line.startswith("# ")]
            before = written(ONE, as_).splitlines()
            assert same == [line for line in before if not line.startswith("# ")], as_
        assert "data_threads" not in written(ONE, as_)
        assert "threadpool" not in written(ONE, as_)


@pytest.mark.parametrize("as_", FORMATS)
@pytest.mark.parametrize(("pools", "sets_tensorflows"), [((1, 2), False), ((2, 2), True)])
def test_a_swept_pool_of_a_saved_pipeline_is_recommended_in_place_of_tensorflows(
    recommend, tmp_path, pools, sets_tensorflows, as_
):
    path = tmp_path / ".benchmarks/x/0001_a.json"
    run = json.loads(Path(save(path)).read_text())
    for size, benchmark in zip(pools, run["benchmarks"], strict=True):
        benchmark["extra_info"]["tf_threads"]["data_threads"] = size
    path.write_text(json.dumps(run))
    code, out, _ = recommend(f"--format={as_}")
    assert code == 0
    assert "options.threading.private_threadpool_size = 2" in out
    names = {"TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"}
    acted_on = [line for line in out.splitlines() if not line.startswith("#")]
    assert any(name in line for name in names for line in acted_on) == sets_tensorflows
    if as_ != "json":
        assert ("# TensorFlow's pools are left alone" in out) != sets_tensorflows


def test_a_sweep_that_left_the_question_open_is_no_answer_without_a_warning(recommend, tmp_path):
    save(tmp_path / ".benchmarks/x/0001_noisy.json", factors=(0.5, 2, 6))
    code, out, err = recommend()
    assert code == 0
    assert "# WARNING: whether more threads help is open" in out
    assert "warning: whether more threads help is open" in err


@pytest.mark.parametrize("named", [(), ("test_x",)])
def test_a_later_run_of_one_configuration_does_not_hide_the_sweep(recommend, tmp_path, named):
    save(tmp_path / ".benchmarks/x/0001_sweep.json")
    save(tmp_path / ".benchmarks/x/0002_chosen.json", counts=(2,))
    code, out, err = recommend(*named, "--format=json")
    assert code == 0
    assert json.loads(out)["configuration"] == "intra2-inter1"
    assert "the latest sweep is in .benchmarks/x/0001_sweep.json" in err


@pytest.mark.parametrize("named", [(), ("test_x",)])
def test_a_sweep_is_found_however_many_runs_of_one_configuration_came_later(
    recommend, tmp_path, named
):
    save(tmp_path / ".benchmarks/x/0001_sweep.json")
    for number in range(2, 70):
        save(tmp_path / f".benchmarks/x/{number:04}_chosen.json", counts=(2,), when=dated(number))
    code, out, err = recommend(*named, "--format=json")
    assert code == 0, err
    assert json.loads(out)["configuration"] == "intra2-inter1"
    assert err == "pytest-tfthreads: the latest sweep is in .benchmarks/x/0001_sweep.json\n"


def test_of_sweeps_in_several_directories_the_latest_counts(recommend, tmp_path):
    for number in range(1, 70):
        counts = {3: (2, 3), 50: (2, 4)}.get(number, (2,))
        save(tmp_path / f".benchmarks/x/{number:04}_a.json", counts=counts, when=dated(number))
    save(tmp_path / ".benchmarks/y/0001_sweep.json", when=dated(20))
    for number in range(2, 70):
        save(tmp_path / f".benchmarks/y/{number:04}.json", counts=(2,), when=dated(100 + number))
    _, out, err = recommend("--format=json")
    assert json.loads(out)["configuration"] == "intra4-inter1"
    assert "x/0050_a.json" in err
    (tmp_path / ".benchmarks/x/0050_a.json").unlink()
    assert "y/0001_sweep.json" in recommend()[2]
    (tmp_path / ".benchmarks/y/0001_sweep.json").unlink()
    assert "x/0003_a.json" in recommend()[2]


def test_no_older_file_is_read_than_the_sweep_needs(recommend, tmp_path):
    (tmp_path / ".benchmarks/x").mkdir(parents=True)
    (tmp_path / ".benchmarks/x/0001_broken.json").write_text("{")
    for number in range(2, 70):
        save(tmp_path / f".benchmarks/x/{number:04}_a.json", when=dated(number))
    assert recommend()[::2] == (0, "")
    code, _, err = recommend("test_z")
    assert (code, err.count("left out: .benchmarks/x/0001_broken.json")) == (2, 1)


def test_a_test_that_only_older_runs_have_was_not_swept_there(recommend, tmp_path):
    save(tmp_path / ".benchmarks/x/0001_old.json", [TEST], [1])
    save(tmp_path / ".benchmarks/x/0002_new.json", ["test_a.py::test_y"], when=dated(9))
    code, _, err = recommend("test_x")
    assert (code, "0001_old.json: 'test_x' was not swept" in err) == (2, True), err


def test_an_id_that_is_too_long_for_a_file_name_is_a_test(recommend, tmp_path):
    long = f"{TEST}[{'x' * 300}]"
    save(tmp_path / ".benchmarks/x/0001_a.json", [long])
    code, out, err = recommend(long, "--format=json")
    assert code == 0, err
    assert json.loads(out)["configuration"] == "intra2-inter1"


def test_a_storage_without_runs_is_an_error(recommend, tmp_path):
    code, out, err = recommend()
    assert (code, out) == (2, "")
    assert "there is no saved run in" in err


def test_a_sweep_that_is_gone_when_it_is_read_in_full_is_left_out(recommend, tmp_path, monkeypatch):
    save(tmp_path / ".benchmarks/x/0001_old.json")
    gone = Path(save(tmp_path / ".benchmarks/x/0002_new.json", when=dated(9)))
    monkeypatch.setattr(command_module, "whole", lambda run: gone.unlink(True) or whole(run))
    code, _, err = recommend()
    assert code == 0, err
    assert f"left out: {gone.relative_to(tmp_path)}: cannot be read" in err
    assert "the latest sweep is in .benchmarks/x/0001_old.json" in err


def dated(day):
    """After the day of other runs."""
    return f"{dt.date(2026, 11, 2) + dt.timedelta(day)}"


def _options(directory):
    from argparse import Namespace

    return Namespace(runs=[], storage=directory / ".benchmarks")


def test_another_machine_is_told_in_the_file_and_on_stderr(recommend, tmp_path):
    path = save(tmp_path / "a.json", machine={**HERE, "cpu": "Model \x1b[2JX"})
    code, out, err = recommend(path)
    assert code == 0
    assert "# WARNING: this machine differs from the one that was measured: CPU model" in out
    assert "warning: this machine differs" in err
    assert "\x1b" not in out + err


def test_each_difference_of_machines_is_a_sentence():
    same = {"cpu": "Model X", "physical": 4, "logical": 8, "quota": None}
    assert differences(ONE, same, (0, 1, 2)) == []
    other = {"cpu": "Model Y", "physical": 2, "logical": 4, "quota": 1.5}
    told = " ".join(differences(ONE, other, (0, 1)))
    for part in ("CPU model Model Y here", "cores 2 here", "CPUs 4 here", "quota 1.5 here, none"):
        assert part in told
    assert "may not use CPU 2 here" in told


def add(path, other):
    """Put the tests of another saved run into this one."""
    run = json.loads(path.read_text())
    run["benchmarks"] += json.loads(other.read_text())["benchmarks"]
    path.write_text(json.dumps(run))


@pytest.mark.parametrize("named", ["test_x", TEST, f"{TEST}[intra1-inter1]"])
def test_a_test_that_is_named_exactly_is_not_mistaken_for_a_longer_name(recommend, tmp_path, named):
    path = tmp_path / ".benchmarks/x/0001_a.json"
    save(path, [TEST], [1])
    save(tmp_path / "swept.json", [TEST + "_more", TEST + "[10]"])
    add(path, tmp_path / "swept.json")
    code, out, err = recommend(named)
    assert (code, out) == (2, "")
    assert "was not swept" in err
    code, out, err = recommend("test_x_")
    assert (code, TEST + "_more" in out) == (0, True), err
    code, out, err = recommend("test_x[10]")
    assert (code, TEST + "[10]" in out) == (0, True), err


def test_configurations_that_took_no_turns_with_each_other_are_no_choice(recommend, tmp_path):
    path = tmp_path / ".benchmarks/x/0001_a.json"
    save(path)
    run = json.loads(path.read_text())
    for process in run["benchmarks"][1]["extra_info"]["tf_threads"]["processes"]:
        process["ring"] += 100
    path.write_text(json.dumps(run))
    code, out, err = recommend(TEST)
    assert (code, out) == (2, "")
    assert f"no two configurations of {TEST} took turns, so none is recommended" in err
    assert "measure them in one run, and leave --tf-threads-group as it is" in err


def test_names_of_one_configuration_are_no_choice(recommend, tmp_path):
    path = tmp_path / ".benchmarks/x/0001_a.json"
    save(path)
    run = json.loads(path.read_text())
    run["benchmarks"][1]["extra_info"]["tf_threads"]["same_as"] = "intra1-inter1"
    path.write_text(json.dumps(run))
    code, out, err = recommend(TEST)
    assert (code, out) == (2, "")
    assert "intra1-inter1 and intra2-inter1 are names of one configuration" in err


@pytest.mark.parametrize(
    ("tests", "counts", "named", "message"),
    [
        ((TEST,), (1,), (), "no test was swept"),
        ((TEST,), (1,), (TEST,), "was not swept"),
        ((TEST, TEST + "y"), (1, 2), (), "2 tests were swept; name one of them as TEST"),
        ((TEST, TEST + "y"), (1, 2), ("test_*",), "2 tests were swept; name one of them as TEST"),
        ((TEST,), (1, 2), ("a.py::test_z",), "'a.py::test_z' is not in it"),
        ((TEST,), (1, 2), ("test_z",), "'test_z' is not in it"),
        ((TEST,), (1, 2), (f"a.py::test_z[{'x' * 300}]",), "is not in it"),
        ((TEST,), (1, 2), ("0002",), "no saved run"),
        ((TEST,), (1, 2), ("",), "the name of a saved run is empty"),
    ],
)
def test_what_cannot_be_recommended_is_an_error_that_says_what_to_do(
    recommend, tmp_path, tests, counts, named, message
):
    save(tmp_path / ".benchmarks/x/0001_a.json", tests, counts)
    code, out, err = recommend(*named)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("deployment", [ONE, TEAM, DEFAULT, BAD])
def test_shells_read_the_script(tmp_path, shell, deployment):
    script = tmp_path / "launch.sh"
    script.write_text(written(deployment, "shell"), encoding="utf-8")
    subprocess.run([shell, "-n", script], check=True)
    without = subprocess.run([shell, script], cwd=tmp_path, capture_output=True, text=True)
    assert without.returncode == 2
    assert "usage:" in without.stderr
    assert [*tmp_path.iterdir()] == [script]


@pytest.mark.skipif(shutil.which("taskset") is None, reason="util-linux is not installed")
def test_the_script_launches_each_instance_on_its_cpus_and_fails_if_one_does(tmp_path):
    script = tmp_path / "launch.sh"
    script.write_text(written(TEAM, "shell"), encoding="utf-8")
    each = 'taskset -cp $$; echo "$TF_NUM_INTRAOP_THREADS $1"; exit 3'
    done = subprocess.run(
        ["sh", script, "sh", "-c", each, "x", "a  b"], capture_output=True, text=True
    )
    assert done.returncode == 3
    assert done.stdout.count("2 a  b\n") == len(TEAM.instances)
    assert re.findall(r": (\d+)\n", done.stdout) == [str(CPU)] * len(TEAM.instances)


SLOW_TO_END = """
import os, pathlib, signal, sys, time

def end(*_):
    time.sleep(0.5 * int(sys.argv[1] == "slow"))
    pathlib.Path(f"ended {os.getpid()}").touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
pathlib.Path(f"begun {os.getpid()}").touch()
time.sleep(600)
"""


@pytest.mark.skipif(shutil.which("taskset") is None, reason="util-linux is not installed")
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_script_that_is_ended_waits_until_each_instance_has_ended(tmp_path, shell, eventually):
    (tmp_path / "launch.sh").write_text(written(TEAM, "shell"), encoding="utf-8")
    (tmp_path / "serve.py").write_text(SLOW_TO_END)
    command = [shell, "launch.sh", sys.executable, "serve.py", "slow"]
    with subprocess.Popen(command, cwd=tmp_path) as script:
        eventually(lambda: len([*tmp_path.glob("begun *")]) == len(TEAM.instances))
        script.terminate()
        assert script.wait(120) == 0
        assert len([*tmp_path.glob("ended *")]) == len(TEAM.instances)


def test_an_env_file_of_several_processes_says_so():
    remark = f"# measured as 2 processes at once, each with these settings, on CPUs {CPU} and {CPU}"
    assert remark in written(TEAM, "env")
    assert "processes at once" not in written(ONE, "env") + written(TEAM, "shell")


def test_a_number_that_is_tensorflows_choice_is_not_set():
    assert "unset TF_NUM_INTRAOP_THREADS\nunset TF_NUM_INTEROP_THREADS" in written(DEFAULT, "shell")
    assert "UnsetEnvironment=TF_NUM_INTRAOP_THREADS" in written(DEFAULT, "systemd")
    assert "\nTF_NUM" not in written(DEFAULT, "env")
    container = _container(DEFAULT)
    assert "env" not in container


@pytest.mark.parametrize("deployment", [ONE, BAD])
def test_kubernetes_reads_variables_and_cpus(deployment):
    container = _container(deployment)
    assert {one["name"]: one["value"] for one in container["env"]} == {
        "TF_NUM_INTRAOP_THREADS": "2",
        "TF_NUM_INTEROP_THREADS": "1",
    }
    assert container["resources"] == {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}


def test_kubernetes_runs_a_replica_for_each_instance():
    assert yaml.safe_load(written(TEAM, "kubernetes"))["spec"]["replicas"] == 2


def _container(deployment):
    (container,) = yaml.safe_load(written(deployment, "kubernetes"))["spec"]["template"]["spec"][
        "containers"
    ]
    return container


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("deployment", [ONE, BAD])
def test_systemd_reads_the_drop_in(tmp_path, deployment):
    unit = tmp_path / "serve.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nCPUAffinity=1\n")
    drop_in = tmp_path / "serve.service.d" / "tf-threads.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(written(deployment, "systemd"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True
    )
    assert "tf-threads.conf" not in done.stderr, done.stderr


@pytest.mark.parametrize("as_", sorted({*FORMATS} - {"json"}))
def test_texts_of_a_saved_file_stand_in_comments_only(as_):
    def acted_on(deployment):
        lines = written(deployment, as_).split("\n")
        return [line for line in lines if not line.startswith("#")]

    assert acted_on(BAD) == acted_on(ONE)
    assert all(
        line.isprintable() and not line.endswith("\\") for line in written(BAD, as_).split("\n")
    )


def test_each_instance_has_a_drop_in_of_its_own():
    text = written(TEAM, "systemd")
    assert text.count("[Service]") == 2
    assert "SERVICE@2.service.d" in text


def test_an_instance_without_a_cpu_is_refused():
    with pytest.raises(ValueError, match="needs a CPU"):
        replace(ONE, instances=((),))
