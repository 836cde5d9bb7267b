"""Which rounds are traced, and what becomes of a profiler that refuses."""

import pytest

from pytest_tfthreads.core.op_profile import ROUND, OpProfile, Span, TraceResult
from pytest_tfthreads.measuring.tracing import (
    TRACE_S,
    TracedRounds,
    UntraceableError,
    UnwrittenTraceError,
)


class Profiler:
    """Notes what it is told; `refuses` names the call that fails."""

    def __init__(self, refuses=""):
        self.refuses = refuses
        self.told = []

    def _note(self, name):
        self.told.append(name)
        if name == self.refuses:
            raise UntraceableError(f"no {name}")

    def start(self):
        self._note("start")

    def stop(self, save):
        self._note("save" if save else "drop")

    def begin_round(self, number):
        self._note(f"round {number}")

    def end_round(self):
        self._note("end")

    def lines(self):
        self._note("lines")
        yield [Span(ROUND, 0, 10**9)]


def run(profiler, *rounds_s, is_own=False):
    rounds = TracedRounds(profiler)
    for wall_s in rounds_s:
        rounds.begin(is_own)
        rounds.end(wall_s)
    rounds.finish()
    return rounds.result(iterations=2)


def test_rounds_are_traced_until_there_are_enough():
    profiler = Profiler()
    traced = run(profiler, *[0.4 * TRACE_S] * 9)
    rounds = ["round 0", "end", "round 1", "end", "round 2", "end"]
    assert profiler.told == ["start", *rounds, "save", "lines"]
    assert traced.profile == OpProfile(calls=2, wall_s=0.0005, outside_s=0.0005, ops=())


def test_long_rounds_are_traced_once():
    profiler = Profiler()
    run(profiler, 60.0, 60.0)
    assert profiler.told == ["start", "round 0", "end", "save", "lines"]


@pytest.mark.parametrize(
    ("rounds_s", "told"),
    [
        ([60.0], ["start", "round 0", "end", "save", "lines"]),
        (
            [60.0, 60.0, 60.0],
            ["start", "round 0", "end", "drop", "start", "round 0", "end", "save", "lines"],
        ),
    ],
)
def test_the_first_of_a_tests_own_rounds_is_traced_only_if_there_is_no_other(rounds_s, told):
    profiler = Profiler()
    run(profiler, *rounds_s, is_own=True)
    assert profiler.told == told


@pytest.mark.parametrize("refuses", ["start", "save", "lines"])
def test_a_profiler_that_refuses_is_told_of_and_left_alone(refuses):
    profiler = Profiler(refuses)
    assert run(profiler, 60.0, 60.0) == TraceResult(problem=f"no {refuses}")
    assert profiler.told[-1] == refuses
    assert profiler.told.count(refuses) == 1


def test_a_trace_that_the_disk_does_not_take_is_told_as_that(monkeypatch):
    profiler = Profiler()

    def full(save):
        raise UnwrittenTraceError("no space")

    monkeypatch.setattr(profiler, "stop", full)
    assert run(profiler, 60.0, 60.0) == TraceResult(problem="no space", is_unwritten=True)


def test_without_rounds_or_without_a_measurement_there_is_no_trace():
    assert run(Profiler()) == TraceResult(problem="the test measured nothing")
    rounds = TracedRounds(Profiler())
    rounds.begin(is_own=False)
    rounds.finish()
    assert rounds.result(1).problem == "the test ended within its first round"
    rounds = TracedRounds(Profiler())
    rounds.begin(is_own=False)
    rounds.end(60.0)
    assert rounds.result(None).problem == "the test measured nothing"
