"""The steps through the plugin, as a user would measure them."""

import pytest
from workloads import WORKLOADS


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.tf_threads(intra=1, inter=1)
def test_step(benchmark, workload):
    benchmark(WORKLOADS[workload]())
