"""A step measured by a hand-written loop in a fresh process: `python by_hand.py WORKLOAD CPU`.

Prints seconds a call: half a second of warm-up, then a second of rounds of about 5 ms.
"""

import os
import sys
from time import perf_counter

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["PYTHONHASHSEED"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
workload, cpu = sys.argv[1], int(sys.argv[2])
os.sched_setaffinity(0, {cpu})

import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

from workloads import WORKLOADS  # noqa: E402

step = WORKLOADS[workload]()
step()
calls, begun = 0, perf_counter()
while perf_counter() - begun < 0.5 or calls < 50:
    step()
    calls += 1
begun = perf_counter()
for _ in range(50):
    step()
iterations = max(1, round(0.005 / ((perf_counter() - begun) / 50)))
total, rounds = 0.0, 0
while total < 1.0:
    begun = perf_counter()
    for _ in range(iterations):
        step()
    total += perf_counter() - begun
    rounds += 1
print(total / (rounds * iterations))
