"""A suite of twelve tests that need one CPU each."""

import pytest
import tensorflow as tf


@pytest.mark.tf_threads(1, 1)
@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_matmul(benchmark, side):
    factor = tf.random.stateless_uniform((side, side), seed=(1, 2))
    benchmark(tf.function(lambda: tf.matmul(factor, factor)))


@pytest.mark.tf_threads(1, 1)
@pytest.mark.parametrize("ops", [1, 4, 16, 64])
def test_small_ops(benchmark, ops):
    weights = tf.random.stateless_uniform((32, 32), seed=(1, 2))

    @tf.function
    def step():
        result = weights
        for _ in range(ops):
            result = tf.nn.relu(tf.matmul(result, weights)) * 0.1
        return result

    benchmark(step)


@pytest.mark.tf_threads(1, 1)
@pytest.mark.parametrize("batch", [1, 2, 4, 8])
def test_convolution(benchmark, batch):
    images = tf.random.stateless_uniform((batch, 32, 32, 8), seed=(1, 2))
    kernel = tf.random.stateless_uniform((3, 3, 8, 16), seed=(1, 3))
    benchmark(tf.function(lambda: tf.nn.conv2d(images, kernel, 1, "SAME")))
