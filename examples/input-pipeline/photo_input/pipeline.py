"""The pipeline: read, decode, crop, flip, batch."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

SIDE = 64
BATCH = 16


def batches(files: Sequence[str], parallel_calls: int | None = None) -> tf.data.Dataset:
    """Batches of BATCH photographs, SIDE × SIDE × 3 values from 0 to 1, without end.

    `parallel_calls`: how many photographs are decoded at a time; by default tf.data finds out.
    """
    calls = tf.data.AUTOTUNE if parallel_calls is None else parallel_calls
    photographs = tf.data.Dataset.from_tensor_slices(list(files)).repeat()
    return photographs.map(_photograph, num_parallel_calls=calls).batch(BATCH).prefetch(2)


def _photograph(file: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_jpeg(tf.io.read_file(file), channels=3)
    image = tf.image.random_flip_left_right(tf.image.random_crop(image, (SIDE, SIDE, 3)))
    return tf.cast(image, tf.float32) / 255.0
