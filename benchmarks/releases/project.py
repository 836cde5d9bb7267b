"""A project on the spot, whose revisions differ in how many matrices a call multiplies."""

import subprocess

TEST = """
import product
import pytest


@pytest.mark.tf_threads(1, 1)
def test_work(benchmark):
    benchmark(product.work())
"""
_PRODUCT = """
import tensorflow as tf

VERSION = {version}


def work():
    matrix = tf.random.stateless_normal((96, 96), seed=(1, 2)) / 96

    @tf.function
    def multiply():
        return tf.while_loop(
            lambda turn, _: turn < {turns},
            lambda turn, product: (turn + 1, tf.matmul(product, matrix)),
            (0, matrix),
        )[1]

    return lambda: multiply().numpy()
"""


def git(top, *arguments):
    """What git prints."""
    named = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
    done = subprocess.run(
        ["git", "-C", top, *named, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def make(top):
    """A repository with a test of `src/product.py`, which is still to be written."""
    (top / "src").mkdir(parents=True)
    (top / "tests").mkdir()
    (top / "pytest.ini").write_text("[pytest]\npythonpath = src\n")
    (top / "tests/test_it.py").write_text(TEST)
    git(top, "init", "-q", "-b", "main")


def write(top, version, turns):
    """The code under test: a call multiplies `turns` matrices."""
    (top / "src/product.py").write_text(_PRODUCT.format(version=version, turns=turns))
