"""A step in a plain loop, without the plugin: `python plain_loop.py WORKLOAD CPU [--in-pytest]`.

Warms up, prints a line, and goes on until SIGTERM. Then it prints the calls a round, and when each
round began and ended, by a clock that all processes share. With --in-pytest the loop is the body of
a test, in a session of pytest that does not know the plugin. `benchmarks/overhead` has to be on the
path of modules.
"""

import json
import os
import signal
import sys
from time import perf_counter

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
workload, cpu, *options = sys.argv[1:]
os.sched_setaffinity(0, {int(cpu)})

import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

from workloads import WORKLOADS  # noqa: E402


def test_loop():
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    step = WORKLOADS[workload]()
    step()
    calls, begun = 0, perf_counter()
    while perf_counter() - begun < 0.5 or calls < 50:
        step()
        calls += 1
    begun = perf_counter()
    for _ in range(50):
        step()
    iterations = max(1, round(0.001 / ((perf_counter() - begun) / 50)))
    print("ready", flush=True)
    rounds = []
    while not ended:
        begun = perf_counter()
        for _ in range(iterations):
            step()
        rounds.append((begun, perf_counter()))
    print(json.dumps([iterations, rounds]))


if __name__ == "__main__":
    if options == ["--in-pytest"]:
        import pytest

        without_ours = ("-p", "no:tfthreads", "-p", "no:cacheprovider", "-c", os.devnull)
        sys.exit(pytest.main(["-q", "--capture=no", *without_ours, __file__]))
    test_loop()
