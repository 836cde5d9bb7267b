"""A measuring process that tests share: it is told its items one by one."""

from __future__ import annotations

from pytest_tfthreads.engine import reply as replies
from pytest_tfthreads.engine.failure import INTERPRETER_DIED, Failure
from pytest_tfthreads.engine.interleaving import Cpus
from pytest_tfthreads.engine.measuring_process import Launched, MeasuringProcess
from pytest_tfthreads.engine.order import SharedStep
from pytest_tfthreads.engine.protocol import ConnectionClosedError

# For the fixtures that a process keeps, when the run is interrupted.
_TAKE_DOWN_S = 10.0


class SharedProcess(MeasuringProcess):
    """A process that runs the items of one configuration, one after the other.

    It runs only inside `start`, `run`, `break_off` and `end`; in between it is stopped, with all
    its threads. `result` is there once it has gone.
    """

    def start(self, cpus: Cpus, timeout_s: float | None) -> Launched | Failure | None:
        """Have it collect its tests; what it came to where it has gone instead."""
        self._time_left_s = timeout_s
        self.set_up_on(cpus)
        return self.result

    @property
    def is_there(self) -> bool:
        """Whether it waits for an item. It may have been killed while it stood still."""
        return self.result is None and self._process is not None and self._process.is_there

    def run(self, step: SharedStep, timeout_s: float | None) -> Launched | Failure:
        """Run one item. If `result` is there afterwards, it was the last one."""
        process = self._process
        assert process is not None, "it is asked only while it is there"
        self._time_left_s = timeout_s
        process.begin_step()
        process.answers.tell_step(step)
        process.go_on(process.sent.cpus)
        # One that stops before it has answered was stopped by its own test.
        while self._run(self._pulse) and process.answers.done is None:
            process.go_on(process.sent.cpus)
        if self.result is not None:
            return self.result
        assert process.answers.done is not None
        return Launched(process.sent, process.answers.done, process.interpreter.reason)

    def break_off(self) -> str:
        """Have it give up its item, and take down what it keeps; what went wrong with that.

        Its item is interrupted as by Ctrl-C. A process that is still there after 10 s is killed,
        and one that runs no item yet is killed at once.
        """
        process = self._process
        if process is None or self.result is not None or not process.answers.is_ready:
            return ""
        try:
            # For an item that takes no notice of the interrupt: no other one comes after it.
            process.answers.tell_step(None)
            has_ended = process.interrupt(_TAKE_DOWN_S)
        except ConnectionClosedError:  # its interpreter died, and the process with that
            return INTERPRETER_DIED
        if not has_ended:
            return (
                f"{_TAKE_DOWN_S:g} s after Ctrl-C the test was still running, or fixtures were "
                "still being taken down. So the process was killed, and what its fixtures have "
                "made may be left."
            )
        reply = process.answers.reply
        if reply is None or reply.outcome in {replies.FINISHED, replies.INTERRUPTED}:
            return ""
        return reply.message or reply.outcome

    def end(self, timeout_s: float | None) -> str:
        """Have it take down what it has kept for further items, and end; what went wrong with that.

        Nothing is told of one that has gone before.
        """
        process = self._process
        if process is None or not self.is_there:
            return ""
        self._time_left_s = timeout_s
        process.begin_step()
        process.answers.tell_step(None)
        process.go_on(process.sent.cpus)
        while self._run(self._pulse):
            process.go_on(process.sent.cpus)
        if isinstance(self.result, Launched):
            reply = self.result.reply
            if reply.outcome == replies.FINISHED:
                return ""
            return reply.message or reply.outcome
        return str(self.result)
