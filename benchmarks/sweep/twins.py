"""Workloads that are compared with themselves: two configurations that differ in name only.

INSTANCES, of the environment: how many of each there are at once. Teams have one thread an
instance.
"""

import os

import pytest
import tensorflow as tf

# One level adds its markers up, and cases that differ in a term are two: this one changes nothing.
pytestmark = [pytest.mark.benchmark(max_time=2)]


INSTANCES = int(os.environ.get("INSTANCES", "1"))


def twins(intra, inter=1, **terms):
    if INSTANCES > 1:
        intra, terms = 1, {"instances": INSTANCES}

    def mark(test):
        for timeout in (300, 301):
            test = pytest.mark.tf_threads(intra, inter, timeout=timeout, **terms)(test)
        return test

    return mark


@twins(1)
def test_small_ops(benchmark):
    weights = tf.random.stateless_uniform((32, 32), seed=(1, 2))

    @tf.function
    def step():
        result = weights
        for _ in range(8):
            result = tf.nn.relu(tf.matmul(result, weights)) * 0.1
        return result

    benchmark(step)


@twins(2)
def test_matmul(benchmark):
    factor = tf.random.stateless_uniform((512, 512), seed=(1, 2))
    benchmark(tf.function(lambda: tf.matmul(factor, factor)))


@twins(1)
def test_train_step(tf_benchmark, train_step, labelled_images):
    images, labels = labelled_images(16)
    tf_benchmark(tf.function(train_step), images, labels, items=16, unit="images")


@twins(2)
def test_inference(tf_benchmark, small_cnn):
    images = tf.random.stateless_uniform((8, 64, 64, 3), seed=(1, 2))
    tf_benchmark(tf.function(small_cnn), images, items=8, unit="images")


@twins(1, cpus=2)
def test_input_pipeline(tf_benchmark, jpeg_tfrecords):
    """Its background threads go on producing whenever they may: autotuned, and prefetching."""

    def decode(record):
        example = tf.io.parse_single_example(
            record, {"image/encoded": tf.io.FixedLenFeature((), tf.string)}
        )
        image = tf.io.decode_jpeg(example["image/encoded"], channels=3)
        return tf.image.resize(image, (224, 224)) / 255.0

    records = tf.data.TFRecordDataset(jpeg_tfrecords).repeat()
    batches = records.map(decode, tf.data.AUTOTUNE).batch(4).prefetch(tf.data.AUTOTUNE)
    tf_benchmark.dataset(batches, batches=1, threads=2, items=4, unit="images")
