"""Graphs of small ops: where threads can cost more than they bring, and where inter-op pays."""

import pytest
import tensorflow as tf


@pytest.mark.tf_threads(intra=[1, 2, "physical"], inter=[1, 2])
def test_small_convolutions(tf_benchmark):
    """Six small convolutions one after the other at batch 1: little work to share in each op."""
    image = tf.random.stateless_uniform((1, 32, 32, 16), seed=(1, 1))
    kernels = [
        tf.Variable(tf.random.stateless_normal((3, 3, 16, 16), (2, layer), stddev=0.1))
        for layer in range(6)
    ]

    @tf.function
    def forward(hidden):
        for kernel in kernels:
            hidden = tf.nn.relu(tf.nn.conv2d(hidden, kernel, strides=1, padding="SAME"))
        return hidden

    activations = tf_benchmark(forward, image, unit="graphs")

    assert activations.shape == image.shape
    assert tf.reduce_min(activations) >= 0


@pytest.mark.tf_threads(
    configs=[(1, 1), (1, 2), (1, "physical"), ("physical", 1), ("physical", "physical")]
)
def test_independent_matmul_chains(tf_benchmark):
    """Six chains that do not depend on each other: the inter-op pool can run them side by side."""
    weights = [
        tf.random.stateless_normal((160, 160), (3, chain), stddev=160**-0.5) for chain in range(6)
    ]

    @tf.function
    def chains(start):
        ends = []
        for weight in weights:
            state = start
            for _ in range(8):
                state = tf.tanh(state @ weight)
            ends.append(state)
        return tf.add_n(ends)

    total = tf_benchmark(chains, tf.eye(160), items=len(weights), unit="chains")

    assert total.shape == (160, 160)
    assert tf.reduce_max(tf.abs(total)) <= len(weights)
