"""A training step of image classification: which pair of pools trains the most images a second?"""

import math

import pytest
import tensorflow as tf

BATCH = 64


# Times settle after 50 calls or more, and a warm-up lasts `max_time` at most: for 15 ms a step, the
# default second is short.
@pytest.mark.benchmark(max_time=2)
@pytest.mark.tf_threads(
    configs=[(1, 1), (2, 4), (4, 2), ("physical", "physical"), ("auto", "auto")]
)
def test_train_step(tf_benchmark, train_step, labelled_images):
    """Forward pass, gradients and update as one graph; "auto" is TensorFlow's own choice."""
    images, labels = labelled_images(BATCH)

    loss = tf_benchmark(tf.function(train_step), images, labels, items=BATCH, unit="images")

    assert math.isfinite(loss)
