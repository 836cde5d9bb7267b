"""Functions of Python as they were before a test could put others in their place.

unittest.mock replaces them where they are defined, freezegun and pyfakefs in all modules that refer
to them. What a measuring process needs while a test runs is kept in an object, where none of these
looks for it.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time

if sys.platform == "linux":
    import resource


class Originals:
    """Under their own names, as far as the names say enough."""

    def __init__(self) -> None:
        self.exit_at_once = os._exit
        self.getpid = os.getpid
        self.listdir = os.listdir
        self.open = open
        self.monotonic = time.monotonic
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
