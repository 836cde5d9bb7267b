"""One measuring process: configure, verify, run one test, reply. Imported by nobody but the forker.

Entered by `run` in a fork of the preloaded interpreter, by `main` in a fresh one.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import json
import os
import random
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from pytest_tfthreads.engine.order import SentOrder
from pytest_tfthreads.engine.protocol import (
    BROKEN_EXIT_CODE,
    MUTE_EXIT_CODE,
    NO_MEMORY_EXIT_CODE,
    Connection,
    ConnectionClosedError,
)
from pytest_tfthreads.engine.reply import (
    INTERNAL_ERROR,
    MISCONFIGURED,
    NO_TENSORFLOW,
    NOT_COLLECTED,
    Reply,
    lacks_memory,
    outcome_of_error,
    unsent,
)
from pytest_tfthreads.measuring import distributions, generated
from pytest_tfthreads.names import PROCESS_VARIABLE
from pytest_tfthreads.system import linux
from pytest_tfthreads.system.originals import ORIGINALS

# Above what tests close with os.closerange(3, 256), so that they can still be answered for.
_SAFE_FD = 500


def main(order_fd: int, parent_pid: int, fds: Sequence[int]) -> NoReturn:
    """Entry of a fresh interpreter: the order waits in a file."""
    linux.die_with_parent(parent_pid)
    with os.fdopen(order_fd) as file:
        file.seek(0)
        sent = SentOrder.from_json(json.load(file))
    run(sent, fds)


def run(sent: SentOrder, fds: Sequence[int]) -> NoReturn:
    """Carry out the order and end. `fds`: reply, log, and the terminal's three if any."""
    try:
        _run(sent, fds)
    except Exception as error:
        code = NO_MEMORY_EXIT_CODE  # unless there is memory to find out more
        try:
            code = _code_of(error)
        finally:
            ORIGINALS.exit_at_once(code)


def _code_of(error: Exception) -> int:
    """The exit code that tells why the process does not answer; what it cannot tell is logged."""
    if lacks_memory(error):
        return NO_MEMORY_EXIT_CODE
    if isinstance(error, OSError):  # the socket by which it would have answered is closed
        return MUTE_EXIT_CODE
    try:
        os.write(2, traceback.format_exc().encode(errors="replace"))
    except Exception as failed:  # the test may have taken away whatever is needed for words
        if lacks_memory(failed):
            return NO_MEMORY_EXIT_CODE
    return BROKEN_EXIT_CODE


def _run(sent: SentOrder, fds: Sequence[int]) -> NoReturn:
    own_pid = ORIGINALS.getpid()
    reply_fd, log_fd, *terminal = fds
    connection = Connection(socket.socket(fileno=_moved_up(reply_fd)))
    log_fd = _moved_up(log_fd)
    _quiet_standard_streams(log_fd)
    faulthandler.register(linux.STACKS_SIGNAL, file=log_fd, all_threads=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    atexit.register(generated.remove_bytecode)
    try:
        reply = _carry_out(sent, connection, terminal)
    except Exception as error:
        reply = Reply(outcome_of_error(error), traceback.format_exc())
    except SystemExit as error:
        if ORIGINALS.getpid() != own_pid:
            raise
        # pytest lets it pass where a conftest.py or a plugin is imported.
        reason = f"SystemExit: {error}"
        reply = Reply(NOT_COLLECTED, traceback.format_exc(), reason=reason)
    if ORIGINALS.getpid() == own_pid:  # a fork that came back here has nothing to say
        with contextlib.suppress(ConnectionClosedError):  # nobody waits any more: nothing to add
            _send(connection, reply)
        # The test's own leftovers are tidied up as at a normal exit, but not the interpreter:
        # taking TensorFlow's threads down is slow and, in a fork, nobody's interest.
        atexit._run_exitfuncs()
        _flush_standard_streams()
    ORIGINALS.exit_at_once(0)


def _send(connection: Connection, reply: Reply) -> None:
    try:
        connection.send("reply", reply.to_json())
    except ConnectionClosedError:
        raise
    except Exception as error:  # what a test has left in its extra_info can do anything
        connection.send("reply", unsent(error, traceback.format_exc()).to_json())


def _carry_out(sent: SentOrder, connection: Connection, terminal: Sequence[int]) -> Reply:
    call, item, terms = sent.order.call, sent.order.item, sent.order.terms
    os.chdir(call.invocation_dir)
    os.environ[PROCESS_VARIABLE] = str(terms.process)
    sys.argv = list(call.argv)
    sys.path[:] = call.sys_path
    random.seed()

    try:
        from pytest_tfthreads.measuring import runtime
    except Exception:  # importing TensorFlow can raise anything; told to the user
        return Reply(NO_TENSORFLOW, traceback.format_exc())
    if sent.start == "fork":
        runtime.reseed()
    else:
        # As the forks do: the garbage collector passes over what the imports left.
        gc.collect()
        gc.freeze()
    own = runtime.Runtime(terms.intra, terms.inter, sent.cpus)
    try:
        own.set_pools()
        if not item.has_hook:
            own.start()
    except runtime.MisconfiguredError as error:
        return Reply(MISCONFIGURED, str(error))
    for descriptor, fd in enumerate(terminal):
        os.dup2(fd, descriptor)
        os.close(fd)
    if terminal:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if call.interactive:
        sys.stdin = os.fdopen(0, closefd=False)

    import pytest

    from pytest_tfthreads.benchmark_bridge import preparing
    from pytest_tfthreads.measuring.forks import Forks
    from pytest_tfthreads.measuring.session import MeasuringSession
    from pytest_tfthreads.measuring.shared_session import SharedSession

    preparing.leave_git_alone()
    preparing.try_timers_briefly()
    distributions.lend()
    session = (SharedSession if sent.order.files else MeasuringSession)(sent, connection, own)
    plugins = [session, Forks(_flush_standard_streams), *call.plugins]
    try:
        pytest.main(list(call.args), plugins=plugins)
    except Exception as error:
        # Where no memory or no descriptor is left, more is to be said.
        if outcome_of_error(error) != INTERNAL_ERROR or not session.ended_with(error):
            raise
    return session.reply()


def _moved_up(fd: int) -> int:
    import fcntl

    try:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _SAFE_FD)
    except OSError:  # so many descriptors are not allowed here
        return fd
    os.close(fd)
    return moved


def _quiet_standard_streams(log_fd: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)


def _flush_standard_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        # Closed or broken by the test: its report, which has been sent, tells more than we could.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
