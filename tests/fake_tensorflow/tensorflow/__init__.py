"""As much of TensorFlow as pytest-tfthreads touches, with real threads, imported in no time.

For tests of scheduling, reports and faults, which need no real one. The pools start as
TensorFlow's do: intra-op threads inherit their creator's name, inter-op threads are tf_Compute.
Variables of the environment make it misbehave:
FAKE_TF_BROKEN: the import fails; FAKE_TF_EAGER_THREAD: importing it starts a thread;
FAKE_TF_STARTED: importing it starts the runtime; FAKE_TF_IGNORES_INTRA: the intra-op pool has one
thread too many; FAKE_TF_FAILING_OPS: ops raise; FAKE_TF_DISK_FULL: the profiler cannot write.
FAKE_TF_ASYNCIO: it imports asyncio, as the real one does, which is a sixth of the CPU time that
the interpreter of a run needs to be ready; from Python 3.12 on asyncio acts in forks.
"""

import contextlib
import functools
import itertools
import json
import logging
import os
import sys
import threading
import time
from _thread import start_new_thread  # as native threads are: `threading` knows nothing of them
from types import SimpleNamespace

__version__ = "0.0-fake"

if os.environ.get("FAKE_TF_BROKEN"):
    raise ImportError("libtensorflow_cc.so.2: cannot open shared object file")

if os.environ.get("FAKE_TF_ASYNCIO"):
    import asyncio  # noqa: F401

_state = SimpleNamespace(intra=0, inter=0, started=False, devices=1)


def _start_thread(name=None):
    ready = threading.Event()

    def idle():
        if name is not None:
            with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as comm:
                comm.write(name)
        ready.set()
        while True:
            time.sleep(3600)

    start_new_thread(idle, ())
    ready.wait()


def _start():
    if _state.started:
        return
    _state.started = True
    cpus = len(os.sched_getaffinity(0))
    extra = bool(os.environ.get("FAKE_TF_IGNORES_INTRA"))
    for _ in range((_state.intra or cpus) + extra):
        _start_thread()
    for _ in range(_state.inter or cpus):
        _start_thread("tf_Compute")


def _list_logical_devices(kind=None):
    _start()
    return [SimpleNamespace(name=f"/device:CPU:{number}") for number in range(_state.devices)]


def set_logical_devices(count):
    """Instead of set_logical_device_configuration."""
    if _state.started:
        raise RuntimeError("Virtual devices cannot be modified after being initialized")
    _state.devices = count


def reset_context(inter=0):
    """As TensorFlow's eager context does it: the intra-op pool stays, an inter-op one comes."""
    _state.intra, _state.inter = 0, inter
    for _ in range(inter or len(os.sched_getaffinity(0))):
        _start_thread("tf_Compute")


def _setter(name):
    def set_threads(value):
        if _state.started:
            raise RuntimeError(f"{name} op parallelism cannot be modified after initialization.")
        setattr(_state, name, value)

    return set_threads


config = SimpleNamespace(
    threading=SimpleNamespace(
        set_intra_op_parallelism_threads=_setter("intra"),
        set_inter_op_parallelism_threads=_setter("inter"),
        get_intra_op_parallelism_threads=lambda: _state.intra,
        get_inter_op_parallelism_threads=lambda: _state.inter,
    ),
    list_logical_devices=_list_logical_devices,
    experimental=SimpleNamespace(
        get_synchronous_execution=lambda: not os.environ.get("FAKE_TF_ASYNCHRONOUS")
    ),
)
synchronised = []
test = SimpleNamespace(experimental=SimpleNamespace(sync_devices=lambda: synchronised.append(True)))


class _Function:
    def __init__(self):
        self.tracings = 0

    def experimental_get_tracing_count(self):
        return self.tracings


class _Dataset:
    """Elements of a list. `private_threadpool_size` is kept, and no thread is started."""

    def __init__(self, elements, options=None, function=None):
        self._elements = elements
        self._options = options or _options()
        self._function = function or (lambda element: element)

    def cardinality(self):
        return len(self._elements) if isinstance(self._elements, list) else -1

    def with_options(self, options):
        return _Dataset(self._elements, options, self._function)

    def options(self):
        return self._options

    def take(self, count):
        taken = list(itertools.islice(self._elements, count))
        return _Dataset(taken, self._options, self._function)

    def map(self, function):
        """The function is called when an element is asked for."""
        return _Dataset(self._elements, self._options, function)

    def repeat(self):
        return _Dataset(itertools.cycle(self._elements), self._options, self._function)

    def reduce(self, state, function):
        return functools.reduce(function, self, state)

    def __iter__(self):
        return map(self._function, self._elements)


def _options():
    return SimpleNamespace(threading=SimpleNamespace(private_threadpool_size=None))


data = SimpleNamespace(Dataset=_Dataset, Options=_options)


class OpError(Exception):
    pass


class ResourceExhaustedError(OpError):
    pass


class PermissionDeniedError(OpError):
    pass


errors = SimpleNamespace(
    OpError=OpError,
    ResourceExhaustedError=ResourceExhaustedError,
    PermissionDeniedError=PermissionDeniedError,
)
float32 = SimpleNamespace(as_datatype_enum=1)
int32 = SimpleNamespace(as_datatype_enum=3)
types = SimpleNamespace(experimental=SimpleNamespace(PolymorphicFunction=_Function))


def get_logger():
    return logging.getLogger("tensorflow")


def constant(value, dtype=None):
    """Touches the runtime, as a tensor does."""
    _start()
    return value


def _perf_counter_ns():
    """The clock of a suite whose durations are exact, or the real one."""
    exact_time = sys.modules.get("exact_time")
    return time.perf_counter_ns() if exact_time is None else exact_time.wall_ns()


class _Profiler:
    """Of a round, the first half is spent in an op that is called Work."""

    def __init__(self):
        self.directory = None
        self.spans = []

    def start(self, directory):
        if self.directory is not None:
            raise OpError("Another profiler is running.")
        self.directory = directory

    def stop(self, save=True):
        directory, spans = self.directory, self.spans
        self.directory, self.spans = None, []
        if not save:
            return
        if os.environ.get("FAKE_TF_DISK_FULL"):
            raise ResourceExhaustedError("No space left on device")
        folder = os.path.join(directory, "plugins", "profile", "2026_11_23_12_00_00")
        os.makedirs(folder)
        with open(os.path.join(folder, "here.xplane.pb"), "w") as file:
            json.dump(spans, file)

    @contextlib.contextmanager
    def trace(self, name, **_):
        start_ns = _perf_counter_ns()
        yield
        duration_ns = _perf_counter_ns() - start_ns
        self.spans += [[name, "", start_ns, duration_ns]]
        self.spans += [["some/work:Work", "Work", start_ns, duration_ns // 2]]


class _RecordWriter(contextlib.AbstractContextManager):
    def __init__(self, path):
        self.path = path

    def write(self, record):
        with open(self.path, "ab") as file:
            file.write(record)

    def __exit__(self, *_):
        return None


_profiler = _Profiler()
profiler = SimpleNamespace(
    experimental=SimpleNamespace(start=_profiler.start, stop=_profiler.stop, Trace=_profiler.trace)
)
io = SimpleNamespace(TFRecordWriter=_RecordWriter)
compat = SimpleNamespace(
    v1=SimpleNamespace(Event=lambda **_: SimpleNamespace(SerializeToString=lambda: b"event"))
)


if os.environ.get("FAKE_TF_EAGER_THREAD"):
    _start_thread()
if os.environ.get("FAKE_TF_STARTED"):
    _start()

# The real one imports them, too: who needs them later finds them, whatever a test has replaced.
from tensorflow.python.eager import context, execute  # noqa: E402,F401
