"""Measure TensorFlow's CPU thread configurations with pytest.

For annotations of tests: `TfBenchmark` is the type of the fixture `tf_benchmark`, `ThreadsInForce`
that of `tf_threads`.

PYTEST_DONT_REWRITE (the measuring process imports this package before pytest starts in it)
"""

TYPE_CHECKING = False  # as in typing, whose import every measuring process would pay for
if TYPE_CHECKING:
    from pytest_tfthreads.core.threads import ThreadsInForce
    from pytest_tfthreads.hooks.fixtures import TfBenchmark

__all__ = ["TfBenchmark", "ThreadsInForce", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # On first use: the fixtures import pytest.
    if name == "TfBenchmark":
        from pytest_tfthreads.hooks.fixtures import TfBenchmark

        return TfBenchmark
    if name == "ThreadsInForce":
        from pytest_tfthreads.core.threads import ThreadsInForce

        return ThreadsInForce
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
