"""The pool of a tf.data pipeline: what was measured of it, and the lines that set it."""

from __future__ import annotations


def pool_lines(data_threads: int | None) -> tuple[str, ...]:
    """Lines to paste for a pipeline that was measured with a private pool of so many threads.

    0: it had none, which a comment says. `None`: no pipeline was measured, so no lines.
    """
    if data_threads is None:
        return ()
    if data_threads == 0:
        return (
            "# tf.data: no private pool was set; "
            'tf_benchmark.dataset(..., threads="intra") measures one',
        )
    return (
        "options = tf.data.Options()",
        f"options.threading.private_threadpool_size = {data_threads}",
        "dataset = dataset.with_options(options)",
        "# in the pipeline, as measured: map(..., num_parallel_calls=...) and prefetch(...)",
        *(
            (f"# (fewer than {data_threads} parallel calls can leave threads of the pool idle)",)
            if data_threads > 1
            else ()
        ),
    )


def with_pool(name: str, data_threads: int | None) -> str:
    """The name of a configuration, with the size of the pipeline's private pool, if any."""
    return f"{name} with a tf.data pool of {data_threads}" if data_threads else name
