"""The test that `pytest-tfthreads doctor` measures: small matrix products, on the test's threads.

Collected by name, in measuring processes only.
"""

from __future__ import annotations

from typing import Any

from pytest_tfthreads.measuring import runtime

# Some tenths of a millisecond, of which Python and TensorFlow's dispatch are a part: between the
# small ops and the large products that people measure, and not the reference workload itself.
_SIDE = 256


def test_products(benchmark: Any) -> None:
    benchmark(runtime.ReferenceProduct(_SIDE))
