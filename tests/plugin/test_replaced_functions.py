"""Tests put other functions in the place of Python's: ours go on with the originals."""

import ast

import pytest

from repository import TOP

PACKAGE = TOP / "pytest_tfthreads"

pytestmark = pytest.mark.usefixtures("no_leftovers")

REPLACED = [
    "builtins.open",
    "gc.collect",
    "gc.get_objects",
    "io.open",
    "json.dumps",
    "json.loads",
    "os._exit",
    "os.getpid",
    "os.listdir",
    "os.read",
    "os.sched_getaffinity",
    "os.write",
    "random.random",
    "resource.getrlimit",
    "resource.getrusage",
    "signal.pthread_kill",
    "signal.setitimer",
    "signal.signal",
    "socket.recv_fds",
    "socket.send_fds",
    "socket.socket",
    "threading.enumerate",
    "threading.get_ident",
    "time.monotonic",
    "time.perf_counter",
    "time.process_time",
    "time.sleep",
    "traceback.format_exc",
]
# What replaces functions wherever they are referred to does so with files, processes and time.
EVERYWHERE = [one for one in REPLACED if one.startswith(("builtins.", "io.", "os.", "time."))]
SUITE = f"""
import importlib, sys

WAYS = [("there", name) for name in {REPLACED}] + [("everywhere", name) for name in {EVERYWHERE}]

def refuse(*_, **__):
    raise ZeroDivisionError("replaced")

@pytest.fixture
def replaced(way, name, monkeypatch):
    # There, as unittest.mock does, or wherever our modules refer to it, as freezegun does.
    module, _, function = name.rpartition(".")
    original = getattr(importlib.import_module(module), function)
    monkeypatch.setattr(name, refuse)
    if way == "everywhere":
        for ours in [one for key, one in sys.modules.items() if key.startswith("pytest_tfthreads")]:
            for known, value in [*vars(ours).items()]:
                if value is original:
                    monkeypatch.setattr(ours, known, refuse)

@pytest.mark.parametrize(("way", "name"), WAYS)
@pytest.mark.tf_threads(intra=1, inter=1)
class TestAll:
    def test_measures(self, tf_benchmark, replaced):
        tf_benchmark(int)

    def test_measures_nothing(self, replaced):
        pass
"""


def test_what_a_test_replaces_is_not_used_by_us(suite):
    suite.write(SUITE)
    result = suite.run("--benchmark-max-time=0.005", "--tf-threads-timeout=30")
    result.assert_outcomes(passed=2 * (len(REPLACED) + len(EVERYWHERE)), warnings=0)


# As a package does it that stops the clock, for all that ask. None of our modules may ask.
STOPS_TIME = """
import contextlib, sys, time
import pytest

NAMES = ["monotonic", "monotonic_ns", "sleep", "time", "time_ns"]

@contextlib.contextmanager
def stopped():
    changed = []
    for name in NAMES:
        real = getattr(time, name)
        for key, module in [*sys.modules.items()]:
            if key == "time" or key.startswith("pytest_tfthreads"):
                known = [one for one, value in vars(module).items() if value is real]
                changed += [(module, one, real, instead_of(name)) for one in known]
    for module, name, _, replacement in changed:
        setattr(module, name, replacement)
    yield
    for module, name, real, _ in changed:
        setattr(module, name, real)

def instead_of(name):
    def function(*_):
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller.startswith("pytest_tfthreads"):
            raise ZeroDivisionError(f"{caller} asks {name}")
        return 1_577_836_800

    return function
"""
STOPPED = {
    "from a conftest file on": "stopped().__enter__()",
    "while a fixture of an unmarked test is alive": """
@pytest.fixture(scope="session")
def stopped_time():
    with stopped():
        yield
""",
}


@pytest.mark.parametrize("when", STOPPED)
@pytest.mark.parametrize("args", [(), ("-n1",)], ids=str)
def test_clocks_that_are_replaced_in_pytests_own_process_are_not_asked_by_us(suite, when, args):
    if args:
        pytest.importorskip("xdist")
    suite.write(
        f"""
        def test_unmarked({"stopped_time" if "fixture" in when else ""}): pass

        @pytest.mark.tf_threads([1, 2], 1)
        def test_measures(tf_benchmark): tf_benchmark(int)

        @pytest.mark.tf_threads(1, 1)
        def test_gives_no_report():
            import os
            os._exit(3)

        @pytest.mark.tf_threads(1, 1)
        def test_measures_nothing(): pass
        """,
        conftest=STOPS_TIME + STOPPED[when],
    )
    result, benchmarks = suite.results(
        "--benchmark-max-time=0.005", *args, processes=2, subprocess=True
    )
    result.assert_outcomes(passed=4, failed=1)
    told = result.stdout.str()
    assert "exited early" in told
    assert "ZeroDivisionError" not in told
    assert len(benchmarks) == 2


def test_only_processes_without_tests_ask_the_time_themselves():
    asking = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(one.name == "time" for one in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "time")
    }
    assert {one for one in asking if not one.startswith(("commands/", "doctor/"))} == {
        "engine/guard.py",
        "system/originals.py",
    }
