"""A small convolutional network, compiled once for a single photograph and once for a batch."""

from __future__ import annotations

import tensorflow as tf

SIDE = 96
CLASSES = 10


class Classifier:
    """Photographs of SIDE × SIDE × 3 values from 0 to 1 in, probabilities of CLASSES out."""

    def __init__(self, seed: int = 0) -> None:
        layers = tf.keras.layers
        tf.keras.utils.set_random_seed(seed)
        self._model = tf.keras.Sequential(
            [
                layers.Input((SIDE, SIDE, 3)),
                layers.Conv2D(16, 3, strides=2, activation="relu"),
                layers.Conv2D(32, 3, strides=2, activation="relu"),
                layers.Conv2D(64, 3, strides=2, activation="relu"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(CLASSES, activation="softmax"),
            ]
        )
        shape = tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)
        self._predict = tf.function(
            lambda images: self._model(images, training=False), input_signature=[shape]
        )

    def one(self, image: tf.Tensor) -> tf.Tensor:
        """The probabilities for one photograph, as a request wants them."""
        return self._predict(image[tf.newaxis])[0]

    def many(self, images: tf.Tensor) -> tf.Tensor:
        """The probabilities for each photograph of a batch."""
        return self._predict(images)
