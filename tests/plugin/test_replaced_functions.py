"""Tests put other functions in the place of Python's: ours go on with the originals."""

import pytest

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
