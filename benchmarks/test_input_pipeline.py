"""tf.data pipelines that read JPEG TFRecords: images a second, ready for training.

The threads of a tf.data pipeline are not those of TensorFlow's intra-op and inter-op pools, which
are therefore left at one, but where the pipeline's pool follows them. What counts is the
parallelism of the pipeline, the size of its private pool, and the CPUs that the process may use.
"""

import pytest
import tensorflow as tf

BATCH = 16
FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/class/label": tf.io.FixedLenFeature((), tf.int64),
}

# An autotuned pipeline takes its time to find its parallelism: warm up, and measure, for longer.
pytestmark = pytest.mark.benchmark(max_time=2)


def decode(record):
    example = tf.io.parse_single_example(record, FEATURES)
    image = tf.io.decode_jpeg(example["image/encoded"], channels=3)
    return tf.image.resize(image, (224, 224)) / 255.0, example["image/class/label"]


def pipeline(tfrecords, parallel_calls=None, prefetch=None):
    records = tf.data.TFRecordDataset(tfrecords).repeat()
    batches = records.map(decode, num_parallel_calls=parallel_calls).batch(BATCH)
    return batches if prefetch is None else batches.prefetch(prefetch)


def check(dataset):
    images, labels = next(iter(dataset))
    assert images.shape == (BATCH, 224, 224, 3)
    assert labels.shape == (BATCH,)
    assert 0 <= tf.reduce_min(images) < tf.reduce_max(images) <= 1


@pytest.mark.tf_threads(intra=1, inter=1)
def test_sequential(tf_benchmark, jpeg_tfrecords):
    """One image after the other on one thread: what parallelism has to beat."""
    dataset = pipeline(jpeg_tfrecords)
    tf_benchmark.dataset(dataset, batches=1, threads=1, items=BATCH, unit="images")
    check(dataset)


@pytest.mark.parametrize("parallel_calls", [2, 4])
@pytest.mark.tf_threads(intra=1, inter=1, cpus="all")
def test_fixed_parallelism(tf_benchmark, jpeg_tfrecords, parallel_calls):
    """So many images at a time, on a private pool of as many threads."""
    dataset = pipeline(jpeg_tfrecords, parallel_calls, prefetch=2)
    tf_benchmark.dataset(dataset, batches=1, threads=parallel_calls, items=BATCH, unit="images")
    check(dataset)


@pytest.mark.tf_threads(intra=[1, 2, 4], inter=1)
def test_pool(tf_benchmark, tf_threads, jpeg_tfrecords):
    """The same as a sweep, which recommends a size: pool and CPUs follow the configuration."""
    # Where tests cannot be measured (macOS, Windows), no number of threads is known.
    parallel_calls = tf_threads.intra or tf.data.AUTOTUNE
    dataset = pipeline(jpeg_tfrecords, parallel_calls, prefetch=2)
    tf_benchmark.dataset(dataset, batches=1, threads="intra", items=BATCH, unit="images")
    check(dataset)


@pytest.mark.tf_threads(intra=1, inter=1, cpus="all")
@pytest.mark.tf_threads(intra=1, inter=1, cpus=2)
@pytest.mark.tf_threads(intra=1, inter=1, cpus=1)
def test_autotuned(tf_benchmark, tf_threads, jpeg_tfrecords):
    """Parallelism and prefetching left to tf.data, on as many threads as CPUs are granted."""
    dataset = pipeline(jpeg_tfrecords, tf.data.AUTOTUNE, prefetch=tf.data.AUTOTUNE)
    threads = len(tf_threads.cpus)
    tf_benchmark.dataset(dataset, batches=1, threads=threads, items=BATCH, unit="images")
    check(dataset)
