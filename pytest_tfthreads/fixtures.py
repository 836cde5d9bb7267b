"""What tests ask for: `tf_threads` and `tf_benchmark`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from pytest_tfthreads.core.threads import ThreadsInForce
from pytest_tfthreads.measuring.recorder import MIN_DATASET_WARMUP_S, Recorder
from pytest_tfthreads.process.protocol import MEASURING_PLUGIN, PROCESS_ATTRIBUTE

if TYPE_CHECKING:
    from pytest_tfthreads.measuring.session import MeasuringSession

_MAX_ITEMS = 1e30
_Result = TypeVar("_Result")


@pytest.fixture(scope="session")
def tf_threads(pytestconfig: pytest.Config) -> ThreadsInForce:
    """The configuration in force: intra, inter (counted threads) and cpus (CPU numbers)."""
    session = _session(pytestconfig)
    order = session.order
    pools = session.effective
    return ThreadsInForce(
        intra=order.intra if pools is None else pools.intra,
        inter=order.inter if pools is None else pools.inter,
        cpus=order.cpus,
    )


@pytest.fixture(scope="session")
def tf_threads_process(pytestconfig: pytest.Config) -> int:
    """The number of this measuring process among those that run at once, from 1; 0 elsewhere."""
    number: int = getattr(pytestconfig, PROCESS_ATTRIBUTE, 0)
    return number


@pytest.fixture
def tf_benchmark(
    tf_threads: ThreadsInForce, benchmark: Any, pytestconfig: pytest.Config
) -> TfBenchmark:
    """Benchmark a step with throughput in your unit: (step, *args, items=64, unit="images")."""
    return TfBenchmark(benchmark, _session(pytestconfig).recorder, tf_threads)


class TfBenchmark:
    """Calls a step under pytest-benchmark and says how many items a call does."""

    def __init__(self, benchmark: Any, recorder: Recorder, threads: ThreadsInForce) -> None:
        self._benchmark = benchmark
        self._recorder = recorder
        self._threads = threads

    @property
    def benchmark(self) -> Any:
        """pytest-benchmark's own fixture behind this one (its `group`, `extra_info`, `stats`)."""
        return self._benchmark

    def __call__(
        self,
        step: Callable[..., _Result],
        *args: Any,
        items: float = 1,
        unit: str = "calls",
        **kwargs: Any,
    ) -> _Result:
        """Measure `step(*args, **kwargs)`, which does `items` of `unit` a call.

        Returns what `step` returns. The clock stops when the result is really there: where
        TensorFlow runs asynchronously, each call waits for its ops.
        """
        self._note(items, unit)
        return cast(_Result, self._benchmark(_awaited(step), *args, **kwargs))

    def pedantic(
        self,
        target: Callable[..., _Result],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        items: float = 1,
        unit: str = "calls",
        **options: Any,
    ) -> _Result:
        """`benchmark.pedantic` (setup, teardown, rounds, warmup_rounds, iterations) with a unit."""
        self._note(items, unit)
        return cast(_Result, self._benchmark.pedantic(_awaited(target), args, kwargs, **options))

    def dataset(
        self,
        dataset: Any,
        batches: int = 20,
        threads: int | None = None,
        *,
        items: float = 1,
        unit: str = "elements",
    ) -> None:
        """Measure how fast a `tf.data.Dataset` yields, `batches` elements a call.

        One iterator over the repeated dataset runs through warm-up and rounds. `threads` is the
        size of the pipeline's private pool, which TensorFlow's intra and inter do not reach;
        without one, only the CPUs granted limit it, which is flagged. A pool with more threads than
        CPUs granted is flagged too. `items` is what one element holds: the batch size, where
        throughput is to be in images.
        """
        _check_count("batches", batches)
        if threads is not None:
            _check_count("threads", threads)
        self._note(items * batches, unit)
        from pytest_tfthreads.measuring.runtime import DatasetStep

        step = DatasetStep(dataset, batches, threads)
        if not step.pool_size and len(self._threads.cpus) > 1:
            self._recorder.flags.append("unlimited-dataset")
        if (step.pool_size or 0) > len(self._threads.cpus):
            self._recorder.flags.append("crowded-pool")
        self._recorder.min_warmup_s = MIN_DATASET_WARMUP_S
        self._benchmark(step)

    def _note(self, items: float, unit: str) -> None:
        if isinstance(items, bool) or not isinstance(items, Real) or not items > 0:
            raise ValueError(f"tf_benchmark: items={items!r}; use the number of items a call does")
        if not items <= _MAX_ITEMS:
            raise ValueError(f"tf_benchmark: items={items!r} is not finite, or beyond all measure")
        if not isinstance(unit, str) or not unit.strip() or not unit.isprintable():
            raise ValueError(f'tf_benchmark: unit={unit!r}; use a plural such as "images"')
        self._recorder.items = int(items) if items == int(items) else float(items)
        self._recorder.unit = unit


def _awaited(step: Callable[..., _Result]) -> Callable[..., _Result]:
    from pytest_tfthreads.measuring import runtime

    if not runtime.is_asynchronous():
        return step  # a call returns when its result is there, so waiting would only cost time

    @wraps(step)
    def awaited(*args: Any, **kwargs: Any) -> _Result:
        result = step(*args, **kwargs)
        runtime.wait_for_results()
        return result

    return awaited


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"tf_benchmark.dataset(): {name}={value!r}; use an integer >= 1")


def _session(config: pytest.Config) -> MeasuringSession:
    session = config.pluginmanager.getplugin(MEASURING_PLUGIN)
    if session is None:
        pytest.fail(
            "tf_threads and tf_benchmark need a process with a thread configuration: mark the "
            "test with @pytest.mark.tf_threads(...)",
            pytrace=False,
        )
    return cast("MeasuringSession", session)
