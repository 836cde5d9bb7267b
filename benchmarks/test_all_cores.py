"""How many processes, with how many threads each, get the most out of all cores of this machine?

Three workloads that threads of one process do not spread over all cores, or not well. Each is
measured as TensorFlow runs it by default, and over threads × processes at once.
"""

import pytest
import tensorflow as tf
from test_input_pipeline import BATCH, check, pipeline

pytestmark = [
    pytest.mark.tf_threads("auto", "auto"),
    pytest.mark.tf_threads(intra=[1, "physical"], inter=1, instances=[1, "physical"]),
]


def test_small_ops(tf_benchmark):
    """A chain of small products: no op is worth sharing."""
    state = tf.random.stateless_uniform((8, 64), seed=(1, 1))
    weights = tf.random.stateless_normal((64, 64), seed=(1, 2), stddev=0.1)

    @tf.function
    def chain(state):
        for _ in range(20):
            state = tf.tanh(state @ weights)
        return state

    result = tf_benchmark(chain, state)

    assert result.shape == state.shape


def test_single_image(tf_benchmark, small_cnn):
    """Class probabilities of one 64×64 image, as a service computes them."""
    image = tf.random.stateless_uniform((1, 64, 64, 3), seed=(1, 1))

    probabilities = tf_benchmark(tf.function(small_cnn), image, unit="images")

    assert probabilities.shape == (1, 10)


def test_jpeg_pipeline(tf_benchmark, tf_threads, jpeg_tfrecords):
    """A tf.data pipeline whose pool has as many threads as the process has CPUs."""
    threads = len(tf_threads.cpus)
    dataset = pipeline(jpeg_tfrecords, threads, prefetch=2)
    tf_benchmark.dataset(dataset, batches=1, threads=threads, items=BATCH, unit="images")
    check(dataset)
