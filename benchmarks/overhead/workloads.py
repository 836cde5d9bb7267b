"""The steps that are measured both through the plugin and by hand."""

import tensorflow as tf


def small_function():
    """A tf.function of a few small ops: the plugin's own cost would show here first."""
    x = tf.random.stateless_uniform((32, 32), seed=(1, 1))
    step = tf.function(lambda x: tf.nn.relu(x @ x + 1.0))
    return lambda: step(x)


def matmul():
    """One large kernel."""
    x = tf.random.stateless_uniform((512, 512), seed=(1, 1))
    step = tf.function(lambda x: x @ x)
    return lambda: step(x)


def keras_step():
    """A training step with all of Keras around it."""
    model = tf.keras.Sequential([tf.keras.layers.Dense(64, "relu"), tf.keras.layers.Dense(10)])
    model.compile("sgd", "mse")
    x = tf.random.stateless_uniform((64, 32), seed=(1, 1))
    y = tf.random.stateless_uniform((64, 10), seed=(1, 2))
    return lambda: model.train_on_batch(x, y)


WORKLOADS = {one.__name__: one for one in (small_function, matmul, keras_step)}
