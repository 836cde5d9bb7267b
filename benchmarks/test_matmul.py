"""Matrix multiplication, which one op spreads over the intra-op pool: does it use the cores?"""

import pytest
import tensorflow as tf

SIDE = 768


@pytest.mark.tf_threads(intra=[1, "physical/2", "physical", "2*physical", "logical"], inter=1)
def test_matmul(tf_benchmark):
    """Threads set from the cores of the machine, one thread for comparison."""
    a = tf.random.stateless_uniform((SIDE, SIDE), seed=(1, 1))
    b = tf.random.stateless_uniform((SIDE, SIDE), seed=(1, 2))

    product = tf_benchmark(tf.matmul, a, b, items=2 * SIDE**3 / 1e9, unit="GFLOP")

    vector = tf.ones((SIDE, 1))
    tf.debugging.assert_near(product @ vector, a @ (b @ vector), rtol=1e-4)
