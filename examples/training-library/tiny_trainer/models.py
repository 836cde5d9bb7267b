"""Models to start from."""

from __future__ import annotations

import tensorflow as tf


def classifier(features: int, classes: int, width: int = 256) -> tf.keras.Model:
    """Two hidden layers; logits out."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input((features,)),
            layers.Dense(width, activation="relu"),
            layers.Dense(width, activation="relu"),
            layers.Dense(classes),
        ]
    )
