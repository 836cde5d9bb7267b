"""What tests ask for: what the fixtures `tf_threads` and `tf_benchmark` give them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

import pytest

from pytest_tfthreads.core.threads import ThreadsInForce
from pytest_tfthreads.names import ELSEWHERE_PLUGIN, MEASURING_PLUGIN

if TYPE_CHECKING:
    from pytest_tfthreads.measuring.session import MeasuringSession

_MAX_ITEMS = 1e30
_Result = TypeVar("_Result")


def threads_in_force(config: pytest.Config) -> ThreadsInForce:
    """Those of this measuring process. Where tests are not measured nothing was set: 0 and 0."""
    if _measures_nothing(config):
        return ThreadsInForce(0, 0, tuple(range(os.cpu_count() or 1)))
    session = _session(config)
    terms, pools = session.sent.order.terms, session.effective()
    return ThreadsInForce(
        intra=terms.intra if pools is None else pools.intra,
        inter=terms.inter if pools is None else pools.inter,
        cpus=session.sent.cpus,
    )


def benchmark_with_unit(
    config: pytest.Config, benchmark: Any, threads: ThreadsInForce
) -> TfBenchmark:
    """`benchmark` with throughput in the user's unit."""
    if _measures_nothing(config):
        return _UnmeasuredBenchmark(benchmark, _Forgotten(), threads)
    return TfBenchmark(benchmark, _session(config).recorder, threads)


def _measures_nothing(config: pytest.Config) -> bool:
    """Whether marked tests have no process: not on this platform, or no test is called at all."""
    only_sets_up = bool(config.getoption("setuponly", False))
    return only_sets_up or config.pluginmanager.hasplugin(ELSEWHERE_PLUGIN)


class Notes(Protocol):
    """What a test says of the calls that are measured."""

    items: float
    unit: str
    flags: list[str]
    min_warmup_s: float
    data_threads: int | None

    def leave_reference_out(self) -> None:
        """What is measured works on between its rounds, and would disturb other work there."""


@dataclass
class _Forgotten:
    """Notes that nobody reads."""

    items: float = 1
    unit: str = "calls"
    flags: list[str] = field(default_factory=list)
    min_warmup_s: float = 0.0
    data_threads: int | None = None

    def leave_reference_out(self) -> None:
        """There is none."""


class TfBenchmark:
    """Calls a step under pytest-benchmark and says how many items a call does.

    It is what the fixture `tf_benchmark` gives a test, not made by tests themselves.
    """

    def __init__(self, benchmark: Any, recorder: Notes, threads: ThreadsInForce) -> None:
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
        """Measure `step(*args, **kwargs)`.

        The clock stops when the result is really there: where TensorFlow runs asynchronously, each
        call waits for its ops.

        Args:
            step: What is measured. It is called many times.
            *args: Its arguments.
            items: The number of items that one call does, above 0. Throughput is items a second.
            unit: The items' name, as a plural: "images".
            **kwargs: Its keyword arguments.

        Returns:
            What `step` returns.

        Raises:
            ValueError: `items` is no finite number above 0, or `unit` no name.

        """
        self._note(items, unit)
        return cast(_Result, self._benchmark(self._awaited(step), *args, **kwargs))

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
        """Measure `target` as `benchmark.pedantic` does, in the user's unit.

        Args:
            target: What is measured.
            args: Its arguments.
            kwargs: Its keyword arguments.
            items: The number of items that one call does, above 0.
            unit: The items' name, as a plural.
            **options: Those of `benchmark.pedantic`: setup, teardown, rounds, warmup_rounds,
                iterations.

        Returns:
            What `target` returns.

        Raises:
            ValueError: `items` is no finite number above 0, or `unit` no name.

        """
        self._note(items, unit)
        return cast(
            _Result, self._benchmark.pedantic(self._awaited(target), args, kwargs, **options)
        )

    def dataset(
        self,
        dataset: Any,
        batches: int = 20,
        threads: int | Literal["intra"] | None = None,
        *,
        items: float = 1,
        unit: str = "elements",
    ) -> None:
        """Measure how fast a `tf.data.Dataset` yields its elements.

        One iterator over the repeated dataset runs through warm-up and rounds.

        Args:
            dataset: The `tf.data.Dataset`.
            batches: How many elements are taken in one call.
            threads: The size of the pipeline's private pool, which TensorFlow's intra and inter do
                not reach. "intra": as many as the intra-op threads of the configuration, so that
                a sweep over intra sweeps the pool, and the CPUs granted follow. Without it only
                the CPUs granted limit the pool, which is flagged, as is a pool with more threads
                than CPUs granted.
            items: How many items one element holds: the batch size, for a throughput in images.
            unit: The items' name, as a plural.

        Raises:
            ValueError: `batches` is no integer above 0, `threads` neither that nor "intra",
                `items` no finite number above 0, or `unit` no name.

        """
        _check_count("batches", batches)
        if threads == "intra":
            # 0: TensorFlow chose, and its threads could not be counted. It takes as many as CPUs.
            threads = self._threads.intra or len(self._threads.cpus)
        elif threads is not None:
            _check_count("threads", threads, ' or "intra"')
        self._note(items * batches, unit)
        self._iterate(dataset, batches, threads)

    def _iterate(self, dataset: Any, batches: int, threads: int | None) -> None:
        from pytest_tfthreads.measuring.recorder import MIN_DATASET_WARMUP_S
        from pytest_tfthreads.measuring.runtime import DatasetStep

        step = DatasetStep(dataset, batches, threads)
        if not step.pool_size and len(self._threads.cpus) > 1:
            self._recorder.flags.append("unlimited-dataset")
        if (step.pool_size or 0) > len(self._threads.cpus):
            self._recorder.flags.append("crowded-pool")
        self._recorder.data_threads = step.pool_size or 0
        self._recorder.min_warmup_s = MIN_DATASET_WARMUP_S
        # Threads of the pipeline go on between rounds. The reference workload would be slowed down
        # by them, and they would make elements ready while no clock runs.
        self._recorder.leave_reference_out()
        self._benchmark(step)

    def _awaited(self, step: Callable[..., _Result]) -> Callable[..., _Result]:
        from pytest_tfthreads.measuring import runtime

        if not runtime.is_asynchronous():
            return step  # a call returns when its result is there: waiting would only cost time

        @wraps(step)
        def awaited(*args: Any, **kwargs: Any) -> _Result:
            result = step(*args, **kwargs)
            runtime.wait_for_results()
            return result

        return awaited

    def _note(self, items: float, unit: str) -> None:
        if isinstance(items, bool) or not isinstance(items, Real) or not items > 0:
            raise ValueError(
                f"tf_benchmark: items={items!r} is no number above 0; use how many items one call "
                "does, such as items=64"
            )
        if not items <= _MAX_ITEMS:
            raise ValueError(
                f"tf_benchmark: items={items!r} is too large or not finite; use how many items one "
                "call does"
            )
        if not isinstance(unit, str) or not unit.strip() or not unit.isprintable():
            raise ValueError(f'tf_benchmark: unit={unit!r}; use a plural such as "images"')
        self._recorder.items = int(items) if items == int(items) else float(items)
        self._recorder.unit = unit


class _UnmeasuredBenchmark(TfBenchmark):
    """The same calls where nothing is measured, so without the rooms that measure."""

    def _iterate(self, dataset: Any, batches: int, threads: int | None) -> None:
        def step() -> None:
            for _ in itertools.islice(iter(dataset.repeat()), batches):
                pass

        self._benchmark(step)

    def _awaited(self, step: Callable[..., _Result]) -> Callable[..., _Result]:
        return step


def _check_count(name: str, value: object, or_else: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"tf_benchmark.dataset(): {name}={value!r}; use an integer >= 1{or_else}")


def _session(config: pytest.Config) -> MeasuringSession:
    session = config.pluginmanager.getplugin(MEASURING_PLUGIN)
    if session is None:
        pytest.fail(
            "tf_threads and tf_benchmark need a process with a thread configuration: mark the "
            "test with @pytest.mark.tf_threads(...)",
            pytrace=False,
        )
    return cast("MeasuringSession", session)
