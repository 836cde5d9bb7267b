"""The same training step run op by op and as a graph: what does tf.function bring?"""

import math

import pytest
import tensorflow as tf

BATCH = 16


# Times settle after 50 calls or more, and a warm-up lasts `max_time` at most: eager steps need more
# than the default second.
@pytest.mark.benchmark(max_time=3)
@pytest.mark.parametrize("mode", ["eager", "function"])
@pytest.mark.tf_threads(configs=[(1, 1), ("physical", 1)])
def test_eager_vs_function(tf_benchmark, train_step, labelled_images, mode):
    """An eager step waits for Python between its ops, so threads help it less."""
    images, labels = labelled_images(BATCH)
    step = tf.function(train_step) if mode == "function" else train_step

    loss = tf_benchmark(step, images, labels, items=BATCH, unit="images")

    assert math.isfinite(loss)
