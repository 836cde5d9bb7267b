"""A step in a plain loop, without the plugin: `python plain_loop.py WORKLOAD CPU`.

Warms up, prints a line, and goes on until SIGTERM. Then it prints the calls a round, and when each
round began and ended, by a clock that all processes share.
"""

import json
import os
import signal
import sys
from pathlib import Path
from time import perf_counter

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["PYTHONHASHSEED"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
workload, cpu = sys.argv[1], int(sys.argv[2])
os.sched_setaffinity(0, {cpu})
sys.path.insert(0, str(Path(__file__).parents[1] / "overhead"))

import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

from workloads import WORKLOADS  # noqa: E402

goes_on = True


def end(*_):
    global goes_on
    goes_on = False


signal.signal(signal.SIGTERM, end)
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
while goes_on:
    begun = perf_counter()
    for _ in range(iterations):
        step()
    rounds.append((begun, perf_counter()))
print(json.dumps([iterations, rounds]))
