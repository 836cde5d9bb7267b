"""One training step as one graph."""

from __future__ import annotations

import tensorflow as tf


class Trainer:
    """Stochastic gradient descent on the cross-entropy of `model`'s logits."""

    def __init__(self, model: tf.keras.Model, rate: float = 0.1) -> None:
        self.model = model
        self._loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self._optimizer = tf.keras.optimizers.SGD(rate)
        self._optimizer.build(model.trainable_variables)
        self._step = tf.function(self._descend)

    def step(self, inputs: tf.Tensor, labels: tf.Tensor) -> float:
        """One step; the loss before it."""
        return float(self._step(inputs, labels))

    def _descend(self, inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self._loss(labels, self.model(inputs, training=True))
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss
