"""A classifier and photographs. Each measuring process makes its own, outside of the rounds."""

import pytest


@pytest.fixture(scope="module")
def classifier():
    from image_service import Classifier

    return Classifier()


@pytest.fixture
def photographs():
    """Make `count` of them."""
    import tensorflow as tf

    def make(count):
        return tf.random.stateless_uniform((count, 96, 96, 3), seed=(1, 2))

    return make
