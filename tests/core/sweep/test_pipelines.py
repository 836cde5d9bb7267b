"""What is said of the pool of a tf.data pipeline."""

import pytest

from pytest_tfthreads.core.sweep.pipelines import pool_lines, with_pool

SET = "dataset = dataset.with_options(options)"
PARALLEL = "# in the pipeline, as measured: map(..., num_parallel_calls=...) and prefetch(...)"


@pytest.mark.parametrize(
    ("data_threads", "lines"),
    [
        (None, ()),
        (
            0,
            (
                '# tf.data: no private pool was set; tf_benchmark.dataset(..., threads="intra") '
                "measures one",
            ),
        ),
        (
            1,
            (
                "options = tf.data.Options()",
                "options.threading.private_threadpool_size = 1",
                SET,
                PARALLEL,
            ),
        ),
        (
            2,
            (
                "options = tf.data.Options()",
                "options.threading.private_threadpool_size = 2",
                SET,
                PARALLEL,
                "# (fewer than 2 parallel calls can leave threads of the pool idle)",
            ),
        ),
    ],
)
def test_lines_that_set_the_pool(data_threads, lines):
    assert pool_lines(data_threads) == lines


def test_a_name_has_the_size_of_the_pool_where_there_is_one():
    assert [with_pool("4×1", size) for size in (None, 0, 1)] == [
        "4×1",
        "4×1",
        "4×1 with a tf.data pool of 1",
    ]
