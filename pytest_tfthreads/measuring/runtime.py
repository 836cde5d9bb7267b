"""The only room that imports TensorFlow. Importing this module imports it."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.op_profile import ROUND, Span
from pytest_tfthreads.measuring.reference import UnavailableError
from pytest_tfthreads.measuring.tracing import UntraceableError, UnwrittenTraceError
from pytest_tfthreads.system import linux
from pytest_tfthreads.system.originals import ORIGINALS

_POOL_NAME = "tfthreads"  # at most 15 bytes: what Linux keeps of a name
_INTER_OP_NAME = "tf_Compute"
_REFERENCE_SIDE = 384  # large enough for several threads, small enough to be run often


class MisconfiguredError(RuntimeError):
    """TensorFlow does not run with the threads that were asked for."""


class Runtime:
    """TensorFlow's runtime in this process: its pools are set, later it is started and verified.

    Threads are 0 where TensorFlow chooses. `pools` is what the runtime really runs with, None until
    it is started, and where nobody can tell.

    `tf.config.threading.get_…` only echoes the request. But pool threads inherit the name of the
    thread that creates them, only inter-op ones are called tf_Compute since TensorFlow 2.21, so
    they can be counted right after the start, before anybody else has started any.
    """

    def __init__(self, intra: int, inter: int, cpus: Sequence[int]) -> None:
        self.pools: Pools | None = None
        self.is_started = False
        self._intra = intra
        self._inter = inter
        self._cpus = tuple(cpus)
        self._before: Counter[str] | None = None
        self._naming = contextlib.ExitStack()

    def set_pools(self) -> None:
        """Pin the process and set both pools.

        Raises `MisconfiguredError` where the runtime runs already, or the process may not run on
        its CPUs.
        """
        try:
            linux.pin(self._cpus)
        except linux.UnmovableError as error:
            raise MisconfiguredError(f"the process cannot be pinned to {error}") from error
        self._before = linux.thread_names()
        # Until the start, because code that configures TensorFlow may start the runtime too.
        self._naming.enter_context(linux.main_thread_named(_POOL_NAME))
        try:
            tf.config.threading.set_intra_op_parallelism_threads(self._intra)
            tf.config.threading.set_inter_op_parallelism_threads(self._inter)
        except RuntimeError as error:
            raise MisconfiguredError(
                f"TensorFlow's runtime was running before its threads could be set ({error}). "
                "Something that Python loads at its start uses TensorFlow: sitecustomize, a .pth "
                "file or a pytest plugin."
            ) from error

    def start(self) -> None:
        """Start the runtime, unless somebody has, and count its threads.

        Raises `MisconfiguredError` if they are not those that were asked for, and whatever
        TensorFlow raises where it was configured wrongly.
        """
        self.is_started = True
        between = linux.thread_names()
        with self._naming:
            tf.config.list_logical_devices()
        self._check_settings("before the runtime was started")
        after = linux.thread_names()
        if self._before is None:
            return
        started = after - between
        if not started[_POOL_NAME]:  # a conftest file, a plugin or the hook has started it
            started = after - self._before
        if _serves_others(started):
            # Servers of tf.distribute have pools of their own, and threads that bear our name.
            _check_at_least(self._intra, self._inter, started)
            return
        self.pools = _verified(self._intra, self._inter, len(self._cpus), started)

    def verify_again(self) -> bool:
        """Whether the pools are the same as at the start, as far as can be counted.

        False: there are more threads, which may or may not have worked. Raises
        `MisconfiguredError` where others were asked for. TensorFlow never takes a pool down: who
        resets its context gets new inter-op threads beside the old ones.
        """
        self._check_settings("while the test ran, as by a reset of TensorFlow's context")
        now = linux.thread_names()
        if self.pools is None:
            return True
        inter = now[_INTER_OP_NAME]  # none where this TensorFlow gives them no name
        return inter in (0, self.pools.inter)

    def _check_settings(self, when: str) -> None:
        found = threads_asked_for()
        if found != (self._intra, self._inter):
            raise MisconfiguredError(
                f"asked TensorFlow for intra={self._intra}, inter={self._inter} (0: its own "
                f"choice), but something set intra={found[0]}, inter={found[1]} {when}. Leave the "
                "threads to @pytest.mark.tf_threads, and what else must be configured before the "
                "runtime starts to the hook pytest_tfthreads_configure."
            )


def threads_asked_for() -> tuple[int, int]:
    """Intra-op and inter-op threads as TensorFlow was told; 0: its own choice."""
    return (
        tf.config.threading.get_intra_op_parallelism_threads(),
        tf.config.threading.get_inter_op_parallelism_threads(),
    )


def _serves_others(started: Counter[str]) -> bool:
    return any(name.startswith("grpc") for name in started)


def _check_at_least(intra: int, inter: int, started: Counter[str]) -> None:
    if started[_POOL_NAME] + started[_INTER_OP_NAME] < intra + inter:
        raise _mismatch(f"{intra} intra-op and {inter} inter-op threads", started)


def _verified(intra: int, inter: int, cpus: int, started: Counter[str]) -> Pools | None:
    found = Pools(intra=started[_POOL_NAME], inter=started[_INTER_OP_NAME])
    if found.inter == 0:
        return _verified_by_sum(intra, inter, cpus, found.intra)
    for name, asked, counted in (
        ("intra-op", intra, found.intra),
        ("inter-op", inter, found.inter),
    ):
        if counted != asked and not (asked == 0 and counted > 0):
            raise _mismatch(f"{asked or 'its own choice of'} {name} threads", started)
    return found


def _verified_by_sum(intra: int, inter: int, cpus: int, total: int) -> Pools | None:
    """Where both pools bear one name, all that can be seen is how many there are together."""
    expected = Pools(intra or cpus, inter or cpus)
    if total == expected.intra + expected.inter:
        return expected
    if total and (intra == 0 or inter == 0):
        return None  # TensorFlow's choice was another one, and the sum does not tell which
    raise _mismatch(f"{intra} intra-op and {inter} inter-op threads", Counter({_POOL_NAME: total}))


def _mismatch(asked: str, started: Counter[str]) -> MisconfiguredError:
    return MisconfiguredError(
        f"asked TensorFlow {tf.__version__} for {asked}, "
        f"but counted {dict(started) or 'none'} (threads by name)"
    )


def reseed() -> None:
    """Give a forked child random numbers of its own, as a fresh process has."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def describe() -> dict[str, Any]:
    """Versions and switches that a result depends on."""
    return {
        "tensorflow": tf.__version__,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }


def build() -> dict[str, Any]:
    """Version, whether oneDNN's kernels are used, and whether it was built for NVIDIA's GPUs too.

    `None`: this TensorFlow does not tell.
    """
    try:
        from tensorflow.python.util import _pywrap_util_port

        onednn = bool(_pywrap_util_port.IsMklEnabled())
    except (ImportError, AttributeError):  # it is no public name
        onednn = None
    try:
        cuda = bool(tf.sysconfig.get_build_info()["is_cuda_build"])
    except (AttributeError, KeyError):
        cuda = None
    return {"tensorflow": tf.__version__, "onednn": onednn, "cuda": cuda}


def is_asynchronous() -> bool:
    """Whether an op may return before its result is there; on CPUs it is so only if asked for."""
    return not tf.config.experimental.get_synchronous_execution()


def wait_for_results() -> None:
    tf.test.experimental.sync_devices()


class ReferenceProduct:
    """The reference workload: multiply two matrices, with the thread pools of the test.

    `side` is their number of rows and columns.

    Raises `UnavailableError` where ops run asynchronously (it would wait for the test's), or where
    TensorFlow has it fail.
    """

    def __init__(self, side: int = _REFERENCE_SIDE) -> None:
        self._side = side
        self._multiply: Callable[[], object] | None = None

    def __call__(self) -> None:
        if is_asynchronous():
            raise UnavailableError("TensorFlow executes asynchronously")
        try:
            if self._multiply is None:
                self._multiply = _product(self._side)
            self._multiply()
        # Not all that can be raised: a test's own alarm may go off here, and is the test's.
        except (
            *(tf.errors.OpError, ImportError, AttributeError),
            *(RuntimeError, TypeError, ValueError),
        ) as error:
            raise UnavailableError("the reference workload failed") from error


def _product(side: int) -> Callable[[], object]:
    # Public functions, tf.raw_ops too, add to the tf.Graph that the test may be in, and are seen by
    # gradient tapes, check_numerics (which takes four times as long) and dump_debug_info (which
    # writes a file). This is what they end in; only the profiler sees it.
    from tensorflow.python.eager import context, execute

    own = context.context()
    with context.eager_mode():
        shape = tf.constant([side, side], tf.int32)
        value = tf.constant(0.5, tf.float32)
    number, index = tf.float32.as_datatype_enum, tf.int32.as_datatype_enum

    def run(op: str, inputs: list[Any], attributes: tuple[Any, ...]) -> Any:
        with own.device("CPU:0"):
            return execute.quick_execute(op, 1, inputs, attributes, own)[0]

    matrix = run("Fill", [shape, value], ("T", number, "index_type", index))
    attributes = ("transpose_a", False, "transpose_b", False, "T", number)
    return lambda: run("MatMul", [matrix, matrix], attributes)


class Profiler:
    """TensorFlow's own, which writes for TensorBoard. All of it raises `UntraceableError`."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._round: Any = None

    def start(self) -> None:
        with _as_untraceable():
            tf.profiler.experimental.start(self._directory)

    def stop(self, save: bool) -> None:
        with _as_untraceable():
            tf.profiler.experimental.stop(save=save)
            if save:
                self._write_events()

    def _write_events(self) -> None:
        """TensorBoard looks for traces only beside a file of events, though there be none."""
        name = f"events.out.tfevents.{ORIGINALS.time():.0f}.{platform.node()}.profile-empty"
        version = tf.compat.v1.Event(wall_time=ORIGINALS.time(), file_version="brain.Event:2")
        with tf.io.TFRecordWriter(os.path.join(self._directory, name)) as writer:
            writer.write(version.SerializeToString())

    def begin_round(self, number: int) -> None:
        # For TensorBoard a round is a step.
        self._round = tf.profiler.experimental.Trace(ROUND, step_num=number, _r=1)
        self._round.__enter__()

    def end_round(self) -> None:
        self._round.__exit__(None, None, None)

    def lines(self) -> Iterator[list[Span]]:
        """The spans of each thread, of the trace that was saved."""
        with _as_untraceable():
            # TensorFlow's alone, not to be found in its documentation: it may move.
            from tensorflow.tsl.profiler.protobuf import xplane_pb2

            files = list(Path(self._directory).glob("plugins/profile/*/*.xplane.pb"))
            if not files:
                raise UntraceableError("TensorFlow's profiler has written no trace")
            space = xplane_pb2.XSpace()
            space.ParseFromString(files[0].read_bytes())
        for plane in space.planes:
            if plane.name == _HOST:
                for line in plane.lines:
                    begun_ps = line.timestamp_ns * 1000
                    yield [
                        _span(plane, event, begun_ps) for event in line.events if event.duration_ps
                    ]


_HOST = "/host:CPU"
_EAGER = "EagerExecute"


@contextlib.contextmanager
def _as_untraceable() -> Iterator[None]:
    try:
        yield
    except (tf.errors.OpError, ImportError, OSError, RuntimeError, ValueError) as error:
        # As these, TensorFlow tells of a full disk, and of what must not be written.
        unwritten = (OSError, tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError)
        kind = UnwrittenTraceError if isinstance(error, unwritten) else UntraceableError
        raise kind(f"TensorFlow's profiler: {error}") from error


def _span(plane: Any, event: Any, begun_ps: int) -> Span:
    told = plane.event_metadata[event.metadata_id]
    eager_op = None
    if told.name == _EAGER:
        known = {plane.stat_metadata[stat.metadata_id].name: stat for stat in event.stats}
        op, is_function = known.get("eager_op"), known.get("is_func")
        eager_op = ""
        if op is not None and not (is_function and _number(is_function)):
            eager_op = op.str_value or plane.stat_metadata[op.ref_value].name
    start_ps = begun_ps + event.offset_ps
    return Span(told.name, start_ps, event.duration_ps, told.display_name, eager_op)


def _number(stat: Any) -> int:
    return int(stat.int64_value or stat.uint64_value)


_of_project: list[Any] = []


def remember_functions() -> None:
    """Note the tf.functions of modules that were just imported, before the collector loses them.

    Those of TensorFlow's own modules are frozen by then, and nobody's to be watched.
    """
    _of_project.extend(_functions_in_sight())


def _functions_in_sight() -> Iterator[Any]:
    for found in ORIGINALS.get_objects():
        if isinstance(found, tf.types.experimental.PolymorphicFunction):
            yield found


class RetraceWatch(logging.Handler):
    """Notices tf.functions that are traced while they are measured.

    Those that exist when measuring begins are counted. One that is made anew in every call is gone
    before it can be, but TensorFlow itself warns of it, early and twice at most: so its warnings
    are listened to from the first call on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._functions: list[Any] = []
        self._tracings = 0
        self._warned = False

    def warm_up(self) -> None:
        tf.get_logger().addHandler(self)

    def measure(self) -> None:
        # What was imported before the fork is frozen, and not among these objects: it is quick.
        self._functions = [*_of_project, *_functions_in_sight()]
        self._tracings = self._count()

    def retraced(self) -> bool:
        return self._warned or self._count() > self._tracings

    def emit(self, record: logging.LogRecord) -> None:
        self._warned = self._warned or "triggered tf.function retracing" in record.getMessage()

    def _count(self) -> int:
        return sum(function.experimental_get_tracing_count() for function in self._functions)


class DatasetStep:
    """Takes `batches` elements of a dataset a call, for ever: one iterator, repeated."""

    def __init__(self, dataset: Any, batches: int, threads: int | None) -> None:
        if not isinstance(dataset, tf.data.Dataset):
            raise TypeError(
                f"tf_benchmark.dataset() takes a tf.data.Dataset, not {type(dataset).__name__}"
            )
        if dataset.cardinality() == 0:
            raise ValueError("tf_benchmark.dataset(): the dataset is empty")
        if threads is not None:
            options = tf.data.Options()
            options.threading.private_threadpool_size = threads
            dataset = dataset.with_options(options)
        self.pool_size: int | None = dataset.options().threading.private_threadpool_size
        if dataset.take(1).reduce(0, lambda seen, *_: seen + 1) == 0:
            raise ValueError("tf_benchmark.dataset(): the dataset yields nothing")
        self._elements = iter(dataset.repeat())
        self._batches = range(batches)

    def __call__(self) -> None:
        elements = self._elements
        for _ in self._batches:
            next(elements)
