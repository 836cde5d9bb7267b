"""Photographs a second, over the threads of the pipeline's own pool."""

import pytest

from photo_input import BATCH, batches

# tf.data takes a while to find its parallelism.
pytestmark = pytest.mark.benchmark(max_time=1.5)


@pytest.mark.tf_threads(intra=[1, 2, 4], inter=1)
def test_fixed(tf_benchmark, tf_threads, photographs):
    """So many photographs at a time, on a private pool of as many threads."""
    # Where tests cannot be measured (macOS, Windows), no number of threads is known.
    dataset = batches(photographs, parallel_calls=tf_threads.intra or None)
    tf_benchmark.dataset(dataset, batches=2, threads="intra", items=BATCH, unit="photographs")


@pytest.mark.tf_threads(intra=1, inter=1, cpus="all")
def test_autotuned(tf_benchmark, tf_threads, photographs):
    """tf.data chooses, on a thread for each CPU that this process may use."""
    dataset = batches(photographs)
    threads = len(tf_threads.cpus)
    tf_benchmark.dataset(dataset, batches=2, threads=threads, items=BATCH, unit="photographs")
