"""The whole way once, on the real TensorFlow: a marked test in, rows of pytest-benchmark out."""

import json

CONFIGURATIONS = {
    "test_matmul[intra1-inter1]": {"intra": 1, "inter": 1},
    "test_matmul[intra2-inter1]": {"intra": 2, "inter": 1},
}


def test_rows_hold_the_threads_that_tensorflow_really_ran_with(pytester):
    pytester.makepyfile(
        """
        import pytest
        import tensorflow as tf

        @pytest.mark.tf_threads(intra=[1, 2], inter=1)
        @pytest.mark.benchmark(max_time=0.05)
        def test_matmul(tf_benchmark):
            matrix = tf.ones((64, 64))
            tf_benchmark(tf.matmul, matrix, matrix, items=64, unit="rows")
        """
    )

    result = pytester.runpytest_subprocess("--benchmark-json=out.json")

    result.assert_outcomes(passed=2)
    rows = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert {row["name"]: row["extra_info"]["tf_threads"]["effective"] for row in rows} == (
        CONFIGURATIONS
    )
