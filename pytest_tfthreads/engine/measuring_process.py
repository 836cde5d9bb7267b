"""One measuring process, seen from pytest: it is set up, takes its turns, and comes to an end."""

from __future__ import annotations

import contextlib
import os
import selectors
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_tfthreads.core.layout import Layout, Ready
from pytest_tfthreads.engine import failure
from pytest_tfthreads.engine.answers import Answers
from pytest_tfthreads.engine.failure import INTERPRETER_DIED, Ending, Failure, KilledFor
from pytest_tfthreads.engine.interleaving import Cpus, CpuSets
from pytest_tfthreads.engine.interpreter import Interpreter, unlinked_file
from pytest_tfthreads.engine.order import Order, SentOrder, Start
from pytest_tfthreads.engine.protocol import ConnectionClosedError
from pytest_tfthreads.engine.reply import NOT_COLLECTED, Reply
from pytest_tfthreads.system.machine import oom_kills
from pytest_tfthreads.system.originals import ORIGINALS

_GRACE_S = 10  # for a process that has answered to end, or a killed one to be reaped
_SILENT_GRACE_S = 2  # for one that has closed its way to answer, which a dying process does too
_STACKS_S = 2
_PULSE_S = 1.0
_LONGEST_WAIT_S = 3600.0
_OVERSLEPT_S = 2.0  # by so much no wait is too long but one in which this process was stopped
_FIRST_PAUSE_S = 0.25  # between interrupts of one process; each pause is twice the one before


@dataclass(frozen=True)
class Launched:
    """An answer, the order that it answers, and why its process was not forked, if it was not."""

    sent: SentOrder
    reply: Reply
    fresh_reason: str


class MeasuringProcess:
    """A process that carries out one order.

    It runs only inside `set_up` and `take_turn`; in between it is stopped. `result` is there once
    it has gone.
    """

    def __init__(
        self,
        interpreter: Callable[[], Interpreter | Failure],
        order: Order,
        timeout_s: float | None,
        terminal: Sequence[int],
        pulse: Callable[[], None] = lambda: None,
    ) -> None:
        self._pulse = pulse  # called about once a second while it is being set up
        self.result: Launched | Failure | None = None
        self._find_interpreter = interpreter
        self._order = order
        self._time_left_s = timeout_s
        self._terminal = terminal
        self._process: _Connected | None = None
        self._told_layout = False

    @property
    def cpu_count(self) -> int:
        """The size of its CPU set."""
        return self._order.terms.cpu_count

    def set_up(self, sets: CpuSets) -> Ready | None:
        (cpus,) = sets(1, self.cpu_count)
        return self.set_up_on(cpus)

    def set_up_on(self, cpus: Cpus) -> Ready | None:
        """Start on these CPUs and run until the rounds can begin."""
        found = self._find_interpreter()
        if isinstance(found, Failure):
            self.result = found
            return None
        start: Start = "fork" if found.forkable else "fresh"
        sent = SentOrder(self._order, start, cpus, ordered_at_s=ORIGINALS.monotonic())
        try:
            self._process = _Connected(found, sent, self._terminal)
        except ConnectionClosedError:
            self.result = found.failure("The interpreter that starts measuring processes died.")
            return None
        except OSError as error:  # no descriptors left, or no place for temporary files
            self.result = Failure("interpreter", f"No process can be started: {error}")
            return None
        # One that stops before it is ready was stopped by its own test.
        while self._run(self._pulse) and not self._process.answers.is_ready:
            self._process.go_on(cpus)
        return self._process.answers.ready

    def take_turn(self, sets: CpuSets, layout: Layout | None) -> bool:
        (cpus,) = sets(1, self.cpu_count)
        self.send_on(cpus, layout)
        return self.wait()

    def send_on(self, cpus: Cpus, layout: Layout | None) -> None:
        """Begin a turn on these CPUs, without waiting for its end."""
        if self.result is not None or self._process is None:
            return
        if not self._told_layout:
            self._process.answers.tell(layout)
            self._told_layout = True
        self._process.go_on(cpus)

    def wait(self) -> bool:
        """Wait for the end of its turn; False when it has gone, finished or not."""
        if self.result is not None or self._process is None:
            return False
        return self._run()

    @property
    def pid(self) -> int | None:
        """Its number, while it is there."""
        return None if self._process is None else self._process.pid

    @property
    def is_lost(self) -> bool:
        """Whether it will not end its turn as it should, so that `wait` is about to explain why.

        It has fallen silent, is over its time, or has answered without a measurement.
        """
        process = self._process
        if self.result is not None or process is None:
            return False
        left_s = self._seconds_left
        return process.is_lost or (left_s is not None and left_s <= 0 and not process.is_at_rest)

    @property
    def _seconds_left(self) -> float | None:
        """Of its time, for the run that it is in."""
        assert self._process is not None
        return None if self._time_left_s is None else self._time_left_s - self._process.run_s

    def abandon(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _run(self, pulse: Callable[[], None] | None = None) -> bool:
        """Follow it until it stops; False when it has gone."""
        process = self._process
        assert process is not None
        try:
            gone = process.follow(self._time_left_s, pulse)
        except ConnectionClosedError:
            self.result = process.interpreter.failure(INTERPRETER_DIED)
            return False
        if self._time_left_s is not None:
            self._time_left_s -= process.run_s
        if gone is None:
            return True
        self.result = (
            gone
            if isinstance(gone, Failure)
            else Launched(process.sent, gone, process.interpreter.reason)
        )
        return False


def wait_for_all(processes: Sequence[MeasuringProcess]) -> None:
    """Wait until all have come to rest, or one of them is lost.

    What has become of each is told by `MeasuringProcess.wait`.
    """
    running = [one for one in processes if one.result is None and one._process is not None]
    connected = [one._process for one in running if one._process is not None]
    if any(one.is_lost for one in running):
        return
    left_s = [left_s for one in running if (left_s := one._seconds_left) is not None]
    with contextlib.suppress(ConnectionClosedError):  # `wait` tells of a dead interpreter
        _listen(
            connected,
            min(left_s, default=None),
            lambda: all(one.is_at_rest for one in connected) or any(one.is_lost for one in running),
        )


class _Connected:
    """The process itself: what it says, and what its interpreter says of it.

    It runs, until its interpreter tells that it has stopped; `go_on` has it run again. It is about
    to end when it can say nothing more, and has ended when its interpreter tells so.
    """

    def __init__(self, interpreter: Interpreter, sent: SentOrder, terminal: Sequence[int]) -> None:
        self.interpreter = interpreter
        self.sent = sent
        self.answers = Answers()
        self._cpus = sent.cpus
        self._log = unlinked_file()
        self._pid: int | None = None
        self._is_stopped = False
        self._run_began_s = ORIGINALS.monotonic()
        self._rests_since_s: float | None = None
        self._ran_s = 0.0
        self._end: tuple[int, int] | None = None  # exit code, peak memory in bytes
        self._killed_for: KilledFor | None = None
        self._unstarted = ""  # why there is no such process
        self._stuck = ""  # why it cannot go on
        self._oom_kills = oom_kills()
        with self.answers.theirs as theirs:
            fds = [theirs.fileno(), self._log.fileno(), *terminal]
            interpreter.start(sent, fds, self)

    # -- told by the interpreter --------------------------------------------------------

    def started(self, pid: int) -> None:
        self._pid = pid

    @property
    def pid(self) -> int | None:
        return self._pid if self._end is None else None

    def unstarted(self, why: str) -> None:
        self._unstarted = why
        self.ended(0, 0)

    def stopped(self, at_s: float) -> None:
        self._is_stopped = True
        self._rests_since_s = at_s

    def stuck(self, why: str) -> None:
        self._stuck = why
        self._rests_since_s = ORIGINALS.monotonic()

    def ended(self, code: int, max_rss_bytes: int) -> None:
        self._end = (code, max_rss_bytes)
        self._rests_since_s = ORIGINALS.monotonic()

    # -- turns --------------------------------------------------------------------------

    @property
    def is_there(self) -> bool:
        """Whether it can go on, as far as its interpreter has told by now."""
        if self.interpreter.is_dead:  # its connection is closed
            return False
        with selectors.DefaultSelector() as selector:
            selector.register(self.interpreter.connection, selectors.EVENT_READ)
            try:
                while self._end is None and not self.interpreter.is_dead and selector.select(0):
                    self.interpreter.read()
            except ConnectionClosedError:
                self.interpreter.give_up()
        return self._end is None and not self.interpreter.is_dead

    def begin_step(self) -> None:
        """What is told of its end from here on is told of the next item."""
        self._ran_s = 0.0
        self._oom_kills = oom_kills()

    def interrupt(self, timeout_s: float) -> bool:
        """Interrupt it as Ctrl-C does, and wait for its end; whether it has ended in time.

        It is interrupted again and again, until it ends: one signal alone may be in vain. Any
        thread of the process may take it, and then the main thread, for which Python keeps it,
        goes on with its system call. Threads that SIGCONT has just woken do take it.

        Raises `ConnectionClosedError` if the interpreter dies.
        """
        now_s = ORIGINALS.monotonic()
        deadline_s, next_s, pause_s = now_s + timeout_s, now_s, _FIRST_PAUSE_S
        while self._end is None and now_s < deadline_s:
            if now_s >= next_s:
                if self._pid is not None:
                    self.interpreter.tell("interrupt", self._pid)
                    self.go_on(self._cpus)  # it may stand still
                next_s, pause_s = now_s + pause_s, 2 * pause_s
            self._until(max(0.0, min(next_s, deadline_s) - now_s), lambda: self._is_stopped)
            if self._is_stopped:
                next_s = now_s
            now_s = ORIGINALS.monotonic()
        return self._end is not None

    def go_on(self, cpus: Cpus) -> None:
        """Let it run again, on these CPUs."""
        self._run_began_s = ORIGINALS.monotonic()
        if self._end is not None or self._pid is None:
            return
        moved = {} if cpus == self._cpus else {"cpus": cpus}
        self._cpus = cpus
        self._is_stopped = False
        self._rests_since_s = None
        with contextlib.suppress(ConnectionClosedError):  # the interpreter died: `follow` will see
            self.interpreter.tell("continue", self._pid, **moved)

    @property
    def run_s(self) -> float:
        """Seconds of its latest run, which may still go on."""
        until_s = ORIGINALS.monotonic() if self._rests_since_s is None else self._rests_since_s
        return max(0.0, until_s - self._run_began_s)

    def do_not_count(self, seconds: float) -> None:
        """Nobody can tell for how much of the latest seconds its run has really gone on."""
        if self._rests_since_s is None:
            self._run_began_s += seconds

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to wait for: it stands still, has answered, or never will."""
        return (
            self._is_stopped
            or bool(self._stuck)
            or not self.answers.is_open
            or self._end is not None
        )

    @property
    def is_lost(self) -> bool:
        """Whether its interpreter died, or it can say no more and has not said what it measured."""
        if self.interpreter.is_dead:
            return True
        reply = self.answers.reply
        can_say_more = self.answers.is_open and not self._stuck
        return not can_say_more and (reply is None or reply.sample is None)

    def follow(
        self, timeout_s: float | None, pulse: Callable[[], None] | None = None
    ) -> Reply | Failure | None:
        """Wait until it stops (None) or has gone, answered or not; `pulse` as it waits.

        `timeout_s` are those of its latest run. Raises `ConnectionClosedError` if the interpreter
        dies.
        """
        if self.interpreter.is_dead and self._end is None:  # it died in another one's turn
            raise ConnectionClosedError
        self._follow(None if timeout_s is None else timeout_s - self.run_s, pulse)
        self._ran_s += self.run_s
        if self._is_stopped and self._end is None:
            return None
        if self._unstarted:
            return Failure("interpreter", f"No process can be started: {self._unstarted}")
        return self._answer() or failure.explain(self._ending())

    def _answer(self) -> Reply | None:
        """Its reply; where pytest did not even start, with what it wrote about that."""
        reply = self.answers.reply
        if reply is not None and reply.outcome == NOT_COLLECTED and not reply.message:
            return replace(reply, message=failure.excerpt(self._log.fileno()))
        return reply

    def _follow(self, seconds: float | None, pulse: Callable[[], None] | None) -> None:
        self._until(seconds, lambda: self.is_at_rest, pulse)
        is_too_late = False
        if not self.is_at_rest:
            self._show_stacks()
            # A turn that has ended meanwhile did not hang. But no further one has any time.
            is_too_late = not self._is_stopped or (seconds is not None and seconds <= 0)
        if self._is_stopped and not is_too_late:
            self.answers.read_all_there_is()
            return
        if self._end is None and self.answers.is_open:
            self._kill("stuck" if self._stuck else "time-out")
        # It has answered, or can answer no more: it should be about to end.
        grace_s = _GRACE_S if self.answers.reply is not None else _SILENT_GRACE_S
        self._until(grace_s, lambda: self._end is not None)
        if self._end is None:
            self._kill("descriptors")
            self._until(_GRACE_S, lambda: self._end is not None)

    def _until(
        self,
        seconds: float | None,
        done: Callable[[], bool],
        pulse: Callable[[], None] | None = None,
    ) -> None:
        _listen([self], seconds, lambda: done() or self._end is not None, pulse)
        if self._end is not None:
            self.answers.read_the_rest(_SILENT_GRACE_S)

    # -- its end ------------------------------------------------------------------------

    def close(self) -> None:
        """Kill it if it is still there, and let go of what was its own."""
        try:
            if self._end is None and not self.interpreter.is_dead:
                self._kill("abandoned")
                self.interpreter.read_until(lambda: self._end is not None, _GRACE_S)
        except ConnectionClosedError:
            # The interpreter's guard kills all that is left.
            self.interpreter.give_up()
        self.answers.close()
        self._log.close()

    def _show_stacks(self) -> None:
        if self._pid is None:
            return
        before = os.fstat(self._log.fileno()).st_size
        self.interpreter.tell("stacks", self._pid)
        deadline_s = ORIGINALS.monotonic() + _STACKS_S
        written = before
        while ORIGINALS.monotonic() < deadline_s:
            self._until(0.1, lambda: self.is_at_rest)
            if self.is_at_rest:
                return
            now = os.fstat(self._log.fileno()).st_size
            if before < now == written:  # it came, and nothing more is coming
                return
            written = now

    def _kill(self, why: KilledFor) -> None:
        self.interpreter.read_until(
            lambda: self._pid is not None or self._end is not None, _GRACE_S
        )
        if self._pid is None:  # it could not be started
            return
        # What is wrong with its answers came first, and explains why it has to be killed.
        self._killed_for = self._killed_for or self.answers.fault or why
        self.interpreter.tell("kill", self._pid)

    def _ending(self) -> Ending:
        code, max_rss_bytes = self._end or (-9, 0)
        now = oom_kills()
        terms = self.sent.order.terms
        outputs = [failure.excerpt(fd) for fd in dict.fromkeys(self.answers.captures)]
        return Ending(
            code=code,
            seconds=self._ran_s,
            max_rss_bytes=max_rss_bytes,
            killed_for=self._killed_for or self.answers.fault,
            unreadable=self.answers.problem,
            stuck=self._stuck,
            inter=terms.inter or terms.cpu_count,
            oom_kills=None if now is None or self._oom_kills is None else now - self._oom_kills,
            output="\n".join(output for output in outputs if output),
            log=failure.excerpt_of_stacks(self._log.fileno()),
        )


def _listen(
    processes: Sequence[_Connected],
    seconds: float | None,
    done: Callable[[], bool],
    pulse: Callable[[], None] | None = None,
) -> None:
    """Hear what the processes and their interpreters say, until it is done or time is over.

    Where this process was stopped meanwhile (Ctrl-Z, a container that stands still), the wait in
    which it was begins anew: the others may have been stopped too, or have said all.

    Raises `ConnectionClosedError` if an interpreter dies, or has died before.
    """
    if done():
        return
    if any(process.interpreter.is_dead for process in processes):
        raise ConnectionClosedError
    longest_s = _LONGEST_WAIT_S if pulse is None else _PULSE_S
    deadline_s = None if seconds is None else ORIGINALS.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for interpreter in dict.fromkeys(process.interpreter for process in processes):
            selector.register(interpreter.connection, selectors.EVENT_READ, interpreter)
        for process in processes:
            if process.answers.is_open:
                selector.register(process.answers.connection, selectors.EVENT_READ, process.answers)
        while not done():
            begun_s = ORIGINALS.monotonic()
            wait_s = longest_s
            if deadline_s is not None:
                wait_s = max(0.0, min(deadline_s - begun_s, longest_s))
            heard = selector.select(wait_s)
            waited_s = ORIGINALS.monotonic() - begun_s
            if waited_s > wait_s + _OVERSLEPT_S:
                deadline_s = None if deadline_s is None else deadline_s + waited_s
                for process in processes:
                    process.do_not_count(waited_s)
            elif not heard and not wait_s:  # there was no time left, and no news either
                return
            for key, _ in heard:
                key.data.read()
                if isinstance(key.data, Answers) and not key.data.is_open:
                    selector.unregister(key.fileobj)
            if pulse is not None:
                pulse()
