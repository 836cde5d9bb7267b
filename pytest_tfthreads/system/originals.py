"""Functions of Python as they were before a test could put others in their place.

unittest.mock replaces them where they are defined, freezegun and pyfakefs in all modules that refer
to them. What a process of ours needs while a test runs is kept in an object, where none of these
looks for it.

In pytest's own process a conftest file may have replaced functions before this module is imported,
which no run without marked tests does. So clocks are read there, and pauses made, by functions with
the same effect that freezegun and pyfakefs leave alone.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from functools import partial

if sys.platform == "linux":
    import resource


class Originals:
    """Under their own names, as far as the names say enough."""

    def __init__(self) -> None:
        self.exit_at_once = os._exit
        self.getpid = os.getpid
        self.listdir = os.listdir
        self.open = open
        if sys.platform == "linux":
            # The clocks that `time.monotonic` and `time.time` read.
            self.monotonic = partial(time.clock_gettime, time.CLOCK_MONOTONIC)
            self.monotonic_ns = partial(time.clock_gettime_ns, time.CLOCK_MONOTONIC)
            self.time = partial(time.clock_gettime, time.CLOCK_REALTIME)
            self.time_ns = partial(time.clock_gettime_ns, time.CLOCK_REALTIME)
            self.sleep = partial(select.select, (), (), ())
        else:
            self.monotonic = time.monotonic
            self.monotonic_ns = time.monotonic_ns
            self.time = time.time
            self.time_ns = time.time_ns
            self.sleep = time.sleep
        self.perf_counter = time.perf_counter
        self.process_time = time.process_time
        self.get_objects = gc.get_objects
        self.get_ident = threading.get_ident
        self.threads = threading.enumerate
        if sys.platform == "linux":
            self.sched_getaffinity = os.sched_getaffinity
            self.getrlimit = resource.getrlimit
            self.getrusage = resource.getrusage
            self.setitimer = signal.setitimer
            self.pthread_kill = signal.pthread_kill
            self.send_fds = socket.send_fds
            self.recv_fds = socket.recv_fds


ORIGINALS = Originals()
