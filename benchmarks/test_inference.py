"""Convolutional inference: a single image leaves threads little to do, a batch gives them work."""

import numpy as np
import pytest
import tensorflow as tf


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.tf_threads(intra=[1, 2, "physical"], inter=1)
def test_inference(tf_benchmark, small_cnn, batch):
    """Class probabilities of 64×64 images."""
    images = tf.random.stateless_uniform((batch, 64, 64, 3), seed=(1, 1))

    probabilities = tf_benchmark(tf.function(small_cnn), images, items=batch, unit="images")

    assert probabilities.shape == (batch, 10)
    np.testing.assert_allclose(tf.reduce_sum(probabilities, axis=1), 1, rtol=1e-5)
