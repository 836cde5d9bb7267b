"""Examples a second of a training step, under two configurations."""

import math
import unittest

import pytest

# For all tests of this file: one thread for each pool, and as many intra-op threads as cores.
pytestmark = pytest.mark.tf_threads(configs=[(1, 1), ("physical", 1)])


@pytest.mark.parametrize("batch", [32, 256])
def test_step(tf_benchmark, trainer, labelled, batch):
    inputs, labels = labelled(batch)
    loss = tf_benchmark(trainer.step, inputs, labels, items=batch, unit="examples")
    assert math.isfinite(loss)


class TestModel(unittest.TestCase):
    """Measures nothing: the test runs once under each configuration."""

    def test_logits(self):
        import tensorflow as tf

        from tiny_trainer import classifier

        self.assertEqual(classifier(8, 3)(tf.zeros((5, 8))).shape, (5, 3))
