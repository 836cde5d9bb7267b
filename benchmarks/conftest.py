"""Data and models of the workloads, made on the spot and outside the measured rounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARDS = 4
IMAGES_PER_SHARD = 64
JPEG_SIDE = 256
CLASSES = 10


@pytest.fixture(scope="session")
def jpeg_tfrecords(tmp_path_factory):
    """Paths of TFRecord shards of labelled JPEG images, as image classification reads them.

    Every measuring process has session fixtures of its own, and temporary directories of its own
    below the directory of the run. So the first one that needs the data makes it there, and all
    others find it.
    """
    directory = tmp_path_factory.getbasetemp().parent
    shards = [directory / f"images-{number}-of-{SHARDS}.tfrecord" for number in range(SHARDS)]
    for number, shard in enumerate(shards):
        if not shard.exists():
            _write_shard(shard, seed=number)
    return [str(shard) for shard in shards]


def _write_shard(shard: Path, seed: int) -> None:
    import tensorflow as tf

    # Under a name of its own first: whoever finds the shard finds all of it.
    partial = shard.with_name(f"{shard.name}.{os.getpid()}")
    with tf.io.TFRecordWriter(str(partial)) as writer:
        for number in range(IMAGES_PER_SHARD):
            jpeg = tf.train.BytesList(value=[_jpeg(seed=(seed, number))])
            label = tf.train.Int64List(value=[number % CLASSES])
            feature = {
                "image/encoded": tf.train.Feature(bytes_list=jpeg),
                "image/class/label": tf.train.Feature(int64_list=label),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    os.replace(partial, shard)


def _jpeg(seed: tuple[int, int]) -> bytes:
    """A smooth random image with a little grain, which compresses about as well as a photograph."""
    import tensorflow as tf

    shapes = tf.random.stateless_uniform((12, 12, 3), seed, maxval=255.0)
    smooth = tf.image.resize(shapes, (JPEG_SIDE, JPEG_SIDE), method="bicubic")
    grain = tf.random.stateless_normal(smooth.shape, seed, stddev=6.0)
    pixels = tf.saturate_cast(smooth + grain, tf.uint8)
    return tf.io.encode_jpeg(pixels, quality=90).numpy()


@pytest.fixture
def small_cnn():
    """A Keras CNN for RGB images of any size."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


@pytest.fixture
def train_step(small_cnn):
    """One step of stochastic gradient descent on `small_cnn`: (images, labels) → loss."""
    import keras
    import tensorflow as tf

    loss_of = keras.losses.SparseCategoricalCrossentropy()
    optimizer = keras.optimizers.SGD(learning_rate=0.01)
    optimizer.build(small_cnn.trainable_variables)

    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = loss_of(labels, small_cnn(images, training=True))
        gradients = tape.gradient(loss, small_cnn.trainable_variables)
        optimizer.apply(gradients, small_cnn.trainable_variables)
        return loss

    return step


@pytest.fixture
def labelled_images():
    """A function: batch size → 32×32 RGB images and their labels, in memory."""
    import tensorflow as tf

    def batch_of(size):
        images = tf.random.stateless_uniform((size, 32, 32, 3), seed=(1, 1))
        labels = tf.random.stateless_uniform((size,), (1, 2), maxval=CLASSES, dtype=tf.int32)
        return images, labels

    return batch_of
