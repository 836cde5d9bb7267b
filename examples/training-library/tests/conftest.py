"""Labelled data that a model can learn."""

import pytest

FEATURES, CLASSES = 64, 4


@pytest.fixture
def labelled():
    """Make `count` examples; the label is the largest of the first four features."""
    import tensorflow as tf

    def make(count):
        inputs = tf.random.stateless_uniform((count, FEATURES), seed=(3, 4))
        return inputs, tf.argmax(inputs[:, :CLASSES], axis=1)

    return make


@pytest.fixture
def trainer():
    import tensorflow as tf

    from tiny_trainer import Trainer, classifier

    tf.keras.utils.set_random_seed(5)
    return Trainer(classifier(FEATURES, CLASSES))
