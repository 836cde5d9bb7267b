"""pytest-xdist's hosts and interpreters: each result with its own baseline, and nothing left."""

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pytest_tfthreads import __version__
from pytest_tfthreads.xdist_bridge import briefing
from pytest_tfthreads.xdist_bridge.distribution import Distribution
from pytest_tfthreads.xdist_bridge.interpreters import ModulePaths

pytestmark = pytest.mark.usefixtures("no_leftovers")

SHORT = "--benchmark-max-time=0.1"
# Else pytest-xdist would start workers for ever that cannot start.
NO_RESTART = "--max-worker-restart=0"
FAKE_TENSORFLOW = Path(__file__).parents[1] / "fake_tensorflow" / "tensorflow"
INI = "[pytest]\nfilterwarnings = ignore:The --rsyncdir:DeprecationWarning\n"

# Of two kinds of workers one has a single CPU and, as on another host, no saved run.
TWO_KINDS = """
    import os

    if os.environ.get("KIND") == "small":
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        if "PYTEST_XDIST_WORKER" in os.environ:
            from pytest_benchmark.storage.file import FileStorage
            FileStorage.query = lambda *_: []
"""
SLEEPS = """
    import os, pathlib

    from exact_time import sleep

    @pytest.mark.benchmark(warmup=False)
    @pytest.mark.tf_threads(1, 1, tolerance={"cpu_efficiency": "99%"})
    def test_it(benchmark):
        ms = pathlib.Path(os.environ.get("KIND", "big")).read_text()
        benchmark(sleep, float(ms) / 1000)
"""


def verdict(benchmark):
    """Of throughput."""
    return benchmark["extra_info"]["tf_threads"]["verdicts"][0]["status"]


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="one kind of worker is to have fewer CPUs",
)
def test_each_kind_of_host_is_compared_with_its_own_baseline(suite):
    suite.write(SLEEPS, conftest=TWO_KINDS)
    (suite.path / "big").write_text("5")
    (suite.path / "small").write_text("20")
    workers = ("--dist=each", "--tx=popen", "--tx=popen//env:KIND=small", NO_RESTART)
    suite.run(*workers, SHORT, "--benchmark-save=first", processes=2, subprocess=True)
    (suite.path / "small").write_text("80")
    result, benchmarks = suite.results(
        *workers, SHORT, "--benchmark-compare", processes=2, subprocess=True
    )
    result.assert_outcomes(passed=1, failed=1)
    big, small = benchmarks["test_it[intra1-inter1]@gw0"], benchmarks["test_it[intra1-inter1]@gw1"]
    assert verdict(big) in ("pass", "inconclusive")
    assert verdict(small) == "regression"
    assert "Can't compare" not in result.stderr.str()
    # The second look was had in the worker.
    assert len(small["extra_info"]["tf_threads"]["processes"]) == 4
    titles = [line for line in result.outlines if line.startswith("on ")]
    assert ["1 CPU of 1 core" in title for title in titles] == [False, True] * 2
    table = [line for line in result.outlines if " calls/s " in line and " saved runs " in line]
    assert [line.split()[-1] for line in table] == [verdict(big), "regression"]


@pytest.fixture
def environment(tmp_path, fake_cpuinfo):
    """An environment of the same Python, that has the packages of this one and one of its own."""
    packages = tmp_path / "venv/lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    # The packages of this one may come by .pth files, which another .pth file would not read.
    library = os.path.dirname(sysconfig.get_path("stdlib"))
    paths = [
        path
        for path in sys.path
        if path and ("site-packages" in path or not path.startswith(library))
    ]
    paths[:0] = [str(FAKE_TENSORFLOW.parent), str(fake_cpuinfo)]
    (packages / "all.pth").write_text("\n".join(paths))
    (packages / "only_there.py").touch()
    home = Path(sys.base_prefix) / "bin"
    (tmp_path / "venv/pyvenv.cfg").write_text(f"home = {home}\n")
    (tmp_path / "venv/bin").mkdir()
    python = tmp_path / "venv/bin/python"
    python.symlink_to(home / f"python3.{sys.version_info.minor}")
    return python


# What is installed: not only the version's number, for a stale environment has the same.
PROBE = """
import hashlib, pathlib, sys
import psutil, pytest, pytest_benchmark, pytest_tfthreads, scipy.special, xdist
from importlib.metadata import distribution

distribution("pytest-tfthreads")
files = sorted(pathlib.Path(pytest_tfthreads.__file__).parent.rglob("*.py"))
code = b"".join(file.read_bytes() for file in files)
print(sys.version_info[1], hashlib.sha256(code).hexdigest())
"""


def probe(python):
    """Python's minor version and the plugin's code, or less than both."""
    told = subprocess.run(
        [python, "-c", PROBE], capture_output=True, text=True, check=False, cwd="/"
    )
    return told.stdout.split()


def other_python():
    """An interpreter of another version that has this plugin and all that it needs."""
    own = probe(sys.executable)
    assert len(own) == 2
    places = [
        *Path(sys.prefix).parent.glob("*/bin/python"),  # tox has its environments side by side
        *Path("~/.pyenv/versions").expanduser().glob("3.1*/bin/python"),
        *map(Path, os.environ.get("TF_THREADS_OTHER_PYTHONS", "").split(os.pathsep)),
    ]
    for python in places:
        if not os.access(python, os.X_OK) or python.is_dir() or str(python) == sys.executable:
            continue
        found = probe(python)
        if found[1:] == own[1:] and found[0] != own[0]:
            return python
    pytest.skip("no interpreter of another version has this plugin and what it needs")


def test_another_environment_imports_what_it_has(suite, environment):
    suite.write(
        """
        import only_there, sys

        @pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])
        def test_it(benchmark):
            import only_there
            assert sys.prefix.endswith("venv")
            benchmark(sum, range(1000))
        """
    )
    tx = f"--tx=2*popen//python={environment}"
    result, benchmarks = suite.results(tx, "-d", NO_RESTART, SHORT, subprocess=True)
    result.assert_outcomes(passed=2)
    assert list(benchmarks) == ["test_it[intra1-inter1]", "test_it[intra2-inter1]"]


def test_interpreters_of_two_versions(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(1, 1)
        def test_it(benchmark):
            benchmark(sum, range(1000))
        """
    )
    tx = ("--dist=each", "--tx=popen", f"--tx=popen//python={other_python()}")
    # Two releases of pytest-rerunfailures do not understand each other.
    alone = ("-p", "no:rerunfailures")
    result, benchmarks = suite.results(*tx, NO_RESTART, SHORT, *alone, subprocess=True)
    result.assert_outcomes(passed=2)
    machines = [one["extra_info"]["tf_threads"]["machine"] for one in benchmarks.values()]
    assert machines[0]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert machines[0]["python"] != machines[1]["python"]
    result.stdout.fnmatch_lines([f"on *, Python {one['python']}, *" for one in machines])


@pytest.mark.parametrize("options", [(), ("--tf-threads-processes=1",)])
def test_a_worker_without_this_plugin_is_refused(suite, options):
    suite.write(
        """
        @pytest.mark.tf_threads(1, 1)
        def test_it():
            pass
        """
    )
    variables = "env:PYTEST_DISABLE_PLUGIN_AUTOLOAD=1//env:PYTEST_PLUGINS=xdist.plugin"
    workers = ("-d", f"--tx=popen//{variables}", NO_RESTART)
    result = suite.pytester.runpytest_subprocess("-p", "no:cacheprovider", *workers, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: --tx: worker gw0 * does not run pytest-tfthreads*install * {__version__} in *"]
    )


# -- without workers ------------------------------------------------------------------------------


class Channel:
    def setcallback(self, receive):
        self.receive = receive

    def send(self, message):
        self.receive(message)


class Run:
    """A controller, and its workers with what they are told."""

    def __init__(self, dist="load", workers=2):
        options = {"dist": dist, "tx": ["popen"] * workers}
        self.lines = []
        self.told = []
        terminal = SimpleNamespace(
            ensure_newline=lambda: None, write_line=self.lines.append, flush=lambda: None
        )
        config = SimpleNamespace(
            getoption=options.get,
            hook=SimpleNamespace(
                pytest_xdist_make_scheduler=SimpleNamespace(get_hookimpls=lambda: [])
            ),
            pluginmanager=SimpleNamespace(get_plugin=lambda _: None, getplugin=lambda _: terminal),
        )
        self.controller = Distribution(
            config, 7, lambda: self.told.append("marked"), lambda: self.told.append("elsewhere")
        )
        self.controller.baseline = "saved runs"
        self.nodes = [self._node(f"gw{number}") for number in range(workers)]
        self.workers = [self._briefed(node) for node in self.nodes]

    def _node(self, name):
        gateway = SimpleNamespace(
            id=name, newchannel=Channel, spec=SimpleNamespace(popen=True, python=None)
        )
        return SimpleNamespace(
            gateway=gateway, workerinput={"workercount": 3}, workerinfo={"executable": "python4"}
        )

    def _briefed(self, node):
        self.controller.pytest_configure_node(node)
        config = SimpleNamespace(workerinput=node.workerinput, stash=pytest.Stash())
        return briefing.read_briefing(config)

    def collect(self, number):
        self.controller.pytest_xdist_node_collection_finished(self.nodes[number], ["t.py::test"])


def test_each_worker_that_lives_has_a_slot_of_its_own_whatever_its_name():
    run = Run(workers=3)
    assert [worker.slot for worker in run.workers] == [0, 1, 2]
    run.controller.pytest_testnodedown(run.nodes[1], "killed")
    slots = [run._briefed(run._node(name)).slot for name in ("gw3", "left")]
    assert slots == [1, 3]


def test_workers_are_told_what_they_need_and_others_do_not_see_it():
    run = Run("each", workers=3)
    told = run.workers[1]
    assert (told.seed, told.copies, told.baseline) == (7, 3, "saved runs")
    assert run.nodes[1].workerinput == {"workercount": 3}
    told.tell(briefing.WAITING, "pid 3")
    assert run.lines == ["[gw1] tf_threads: waiting for the CPUs: pid 3"]


def test_the_controller_hears_of_marked_tests_before_it_deals_them_out():
    run = Run(workers=3)
    for worker in run.workers:
        worker.tell(briefing.VERSION, __version__)
    run.collect(0)
    assert run.told == []
    run.workers[1].tell(briefing.MARKED, "t.py::test")
    assert run.told == []  # a thread of execnet's, in which nothing may be registered
    run.collect(1)
    assert run.told == ["marked"]
    run.workers[2].tell(briefing.ELSEWHERE, "")
    run.collect(2)
    assert run.told == ["marked", "elsewhere", "marked"]


@pytest.mark.parametrize(
    ("version", "words"),
    [("0.0.1", "gw1 .python4. has pytest-tfthreads 0.0.1, and"), (None, "gw1 .* does not run")],
)
def test_a_worker_with_another_version_is_refused_where_tests_are_marked(version, words):
    run = Run()
    run.workers[0].tell(briefing.VERSION, __version__)
    if version is not None:
        run.workers[1].tell(briefing.VERSION, version)
    run.collect(0)
    run.collect(1)
    run.workers[0].tell(briefing.MARKED, "t.py::test")
    with pytest.raises(pytest.UsageError, match=words):
        run.collect(1)


OTHER_VERSION = """
    import os
    import pytest_tfthreads

    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest_tfthreads.__version__ = "0.0.1"
    else:
        from pytest_tfthreads.xdist_bridge.briefing import Briefing

        def send_to(self, node):
            own = dict(vars(self))
            del own["seed"]
            node.workerinput["tf_threads"] = own | {"baseline": 3, "another field": 4}

        Briefing.send_to = send_to
"""


@pytest.mark.parametrize("args", [(), ("--benchmark-compare",), ("--benchmark-only",)])
def test_a_worker_with_another_version_is_refused_whatever_it_is_told(suite, args):
    suite.write(
        """
        @pytest.mark.tf_threads(1, 1)
        def test_it(benchmark):
            open("ran", "w")
            benchmark(int)
        """,
        version=OTHER_VERSION,
    )
    result = suite.run("-p", "version", "-n1", NO_RESTART, *args, subprocess=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = " ".join((result.stdout.str() + result.stderr.str()).split())
    assert f"has pytest-tfthreads 0.0.1, and this run has {__version__}: install" in told
    assert not (suite.path / "ran").exists()


def test_a_worker_with_another_version_runs_tests_that_are_not_marked(suite):
    suite.write("def test_it(): pass", version=OTHER_VERSION)
    suite.run("-p", "version", "-n1", NO_RESTART, subprocess=True).assert_outcomes(passed=1)


def test_what_another_version_stumbles_over_is_not_what_is_told():
    run = Run()
    run.workers[0].tell(briefing.VERSION, "0.0.1")
    run.workers[0].tell(briefing.REFUSED, "no such baseline")
    with pytest.raises(pytest.UsageError, match=r"gw0 .* has pytest-tfthreads 0\.0\.1, and"):
        run.controller.pytest_testnodedown(run.nodes[0], None)


def test_what_a_worker_cannot_do_is_told():
    run = Run()
    run.controller.pytest_testnodedown(run.nodes[0], "it crashed")
    run.workers[0].tell(briefing.REFUSED, "no git repository")
    with pytest.raises(pytest.UsageError, match=r"worker gw0 .*: no git repository"):
        run.controller.pytest_testnodedown(run.nodes[0], None)


def test_only_other_environments_keep_their_module_path(monkeypatch):
    from xdist import workermanage

    monkeypatch.setattr(workermanage, "_sys_path", ["ours"])
    paths = ModulePaths()

    def gateway(name, python="python4", **differences):
        """Of an interpreter that is in `differences` unlike this one."""

        def remote_exec(source):
            with monkeypatch.context() as there:
                there.setattr(sys, "path", ["", "theirs"])
                for attribute, value in differences.items():
                    there.setattr(sys, attribute, value)
                sent = []
                exec(source, {"channel": SimpleNamespace(send=sent.append)})
            return SimpleNamespace(receive=sent.pop, waitclose=lambda: None)

        spec = SimpleNamespace(popen=True, python=python)
        return SimpleNamespace(id=name, spec=spec, remote_exec=remote_exec)

    others = gateway("gw0", prefix="/elsewhere")
    same = gateway("gw1")
    plain = gateway("gw2", python=None, prefix="/elsewhere")
    of_same_prefix = gateway("gw3", version_info=(3, 9, 7))
    for one in (others, same, plain, of_same_prefix):
        paths.learn(one)
    found = []
    for one in (others, same, others, plain, of_same_prefix):
        paths.prepare(one)
        found.append([path for path in workermanage._sys_path if path])
    assert found == [["theirs"], ["ours"], ["theirs"], ["ours"], ["theirs"]]


# -- by ssh ---------------------------------------------------------------------------------------


# Debian's sshd drops its rights in there; the service, which makes it, need not have run.
SSHD_ROOT = Path("/run/sshd")


class Sshd:
    """An sshd on the loopback interface, and what --tx needs to find it."""

    def __init__(self, directory, process, port):
        self.directory = directory
        self.process = process
        self.ssh_config = directory / "ssh_config"
        self.ssh_config.write_text(
            f"Host farm\nHostName 127.0.0.1\nPort {port}\nUser {getpass.getuser()}\n"
            f"IdentityFile {directory}/user_key\nIdentitiesOnly yes\nBatchMode yes\n"
            f"UserKnownHostsFile {directory}/known_hosts\nStrictHostKeyChecking accept-new\n"
            "LogLevel ERROR\n"
        )

    def answers(self):
        """Whether one can log in; tells why not."""
        command = ["ssh", "-F", self.ssh_config, "farm", "true"]
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        self.problem = told.stderr
        return told.returncode == 0

    def tx(self, **variables):
        host = self.directory / "host"
        host.mkdir(exist_ok=True)
        spec = f"ssh=farm//ssh_config={self.ssh_config}//python={sys.executable}//chdir={host}"
        return "--tx=" + "//".join(
            [spec, *(f"env:{name}={text}" for name, text in variables.items())]
        )

    def sessions(self):
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def sshd(tmp_path, eventually):
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("ssh") is None:
        pytest.skip("sshd or ssh is not installed (Debian: openssh-server, openssh-client)")
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name]
        subprocess.run(command, check=True)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    configuration = tmp_path / "sshd_config"
    configuration.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {tmp_path}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {tmp_path}/user_key.pub\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\n"
    )
    if os.getuid() == 0:  # else it needs none
        SSHD_ROOT.mkdir(mode=0o755, exist_ok=True)
    checked = subprocess.run(
        [program, "-t", "-f", configuration], capture_output=True, text=True, check=False
    )
    if checked.returncode:
        pytest.skip(f"sshd does not start: {checked.stderr}")
    log = (tmp_path / "sshd_log").open("w")
    with log, subprocess.Popen([program, "-D", "-e", "-f", configuration], stderr=log) as process:
        found = Sshd(tmp_path, process, port)
        try:
            eventually(lambda: "listening" in (tmp_path / "sshd_log").read_text() or process.poll())
            if not found.answers():
                pytest.skip(f"sshd lets nobody in: {found.problem}")
            yield found
        finally:
            process.terminate()


def test_a_host_by_ssh_that_is_lost_while_it_measures(suite, sshd, eventually, all_end):
    source = """
        import json, os, pathlib, psutil, time

        both = pytest.mark.tf_threads(configs=[(1, 1), (2, 1)])

        @both
        def test_lost(benchmark, tf_threads):
            state = os.environ.get("STATE")
            if state and not pathlib.Path(state).exists() and tf_threads.intra == 1:
                interpreter, guard, worker, *_ = psutil.Process().parents()
                family = [worker, *worker.children(recursive=True)]
                pathlib.Path(state).write_text(json.dumps([one.pid for one in family]))
                next(one for one in worker.parents() if one.name().startswith("sshd")).kill()
                time.sleep(600)
            benchmark(sum, range(1000))

        @both
        def test_other(benchmark):
            benchmark(sum, range(1000))
    """
    suite.write(source)
    (suite.path / "pytest.ini").write_text(INI)
    suite.run(SHORT, "--benchmark-save=first").assert_outcomes(passed=4)
    state = sshd.directory / "state"
    tx = sshd.tx(STATE=state, PYTEST_TFTHREADS_LEASES=os.environ["PYTEST_TFTHREADS_LEASES"])
    directories = (suite.path, FAKE_TENSORFLOW)
    result, benchmarks = suite.results(
        "-d",
        tx,
        "--max-worker-restart=2",
        *(f"--rsyncdir={one}" for one in directories),
        "--benchmark-compare",
        SHORT,
        suite.path,
        subprocess=True,
    )
    outcomes = result.parseoutcomes()
    # On a busy machine the others may have been found to be slower.
    assert outcomes["failed"] + outcomes.get("passed", 0) == 4
    result.stdout.fnmatch_lines(["worker 'gw0' crashed while running *test_lost?intra1-inter1?'"])
    names = ["test_lost[intra2-inter1]", *(f"test_other[intra{one}-inter1]" for one in (1, 2))]
    assert list(benchmarks) == names
    # Judged by the saved run, which that host does not have.
    assert "no-baseline" not in map(verdict, benchmarks.values())
    all_end(json.loads(state.read_text()))
    # pytest-benchmark before 5.3 makes the file that it was told to write.
    assert not any(file.stat().st_size for file in (sshd.directory / "host").rglob("*.json"))
    eventually(lambda: not sshd.sessions())
