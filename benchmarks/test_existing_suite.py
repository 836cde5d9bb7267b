"""A test as pytest-benchmark's users have it already: the marker is all that is added."""

import math

import pytest


@pytest.mark.tf_threads(configs=[(1, 1), ("physical", 1)])
def test_train_on_batch(benchmark, small_cnn, labelled_images):
    """Keras' own training step, in seconds a call."""
    small_cnn.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    images, labels = labelled_images(32)

    loss = benchmark(small_cnn.train_on_batch, images, labels)

    assert math.isfinite(loss)
