"""Which ops take the time of a call, from spans of threads."""

import pytest

from pytest_tfthreads.core.op_profile import MOST_OPS, ROUND, OpProfile, OpTime, Span, Trace, Traces
from pytest_tfthreads.report.profiles import Row, render

US = 1_000_000  # picoseconds


def span(name, start_us, duration_us, kind="", eager_op=None):
    return Span(name, start_us * US, duration_us * US, kind, eager_op)


def own_us(*lines, iterations=1):
    profile = OpProfile.of(lines, iterations)
    return {one.op: (one.count, round(one.self_s * 1e6, 6)) for one in profile.ops}


ROUNDS = [span(ROUND, 0, 100), span(ROUND, 200, 100)]


def test_ops_have_their_own_time_without_those_within():
    line = [
        span("ExecutorState::Process", 0, 90),
        span("while:While", 10, 50, "While"),
        span("body/matmul:_MklMatMul", 15, 20, "_MklMatMul"),
        span("body/tanh:Tanh", 35, 10, "Tanh"),
        span("matmul:_MklMatMul", 60, 30, "_MklMatMul"),
    ]
    assert own_us(ROUNDS[:1], line) == {"_MklMatMul": (2, 50), "While": (1, 20), "Tanh": (1, 10)}
    # Nor does the order in which they are told matter.
    assert own_us(line[::-1] + ROUNDS[:1]) == own_us(ROUNDS[:1], line)


def test_spans_that_overlap_without_lying_within_count_as_they_can():
    line = [span("a:A", 0, 20, "A"), span("b:B", 10, 20, "B"), span("c:C", 10, 5, "C")]
    assert own_us(ROUNDS[:1], line) == {"B": (1, 15), "A": (1, 10), "C": (1, 5)}


def test_ops_that_python_calls_and_functions_that_it_waits_for():
    python = [
        span("TFE_Py_FastPathExecute_C", 0, 40),
        span("EagerExecute", 1, 38, eager_op="MatMul"),
        span("EagerLocalExecute: MatMul", 2, 36),
        span("KernelAndDeviceFunc::Run", 5, 30),
        span("EagerExecute", 50, 40, eager_op=""),
        span("KernelAndDeviceFunc::Run", 51, 38),
        span("KernelAndDeviceFunc::Run", 95, 3),
    ]
    assert own_us([*ROUNDS[:1], *python]) == {"MatMul": (1, 30)}
    other = [span("tanh:Tanh", 55, 20, "Tanh")]
    profile = OpProfile.of([[*ROUNDS[:1], *python], other], 1)
    assert profile.outside_s == pytest.approx(50e-6)


def test_steps_of_pipelines_are_ops():
    line = [
        span("Iterator::Root::Prefetch", 0, 40, "Iterator::Prefetch"),
        span("Iterator::Root::Prefetch::Map", 0, 30, "Iterator::Map"),
        span("named but no op", 50, 30, "Other"),
    ]
    assert own_us(ROUNDS[:1], line) == {"Iterator::Map": (1, 30), "Iterator::Prefetch": (1, 10)}


def test_only_what_begins_in_a_round_counts_by_the_call():
    line = [
        span("a:A", 90, 50, "A"),  # ends after its round
        span("a:A", 150, 20, "A"),
        span("a:A", 200, 10, "A"),
        span("a:A", 300, 10, "A"),
    ]
    profile = OpProfile.of([ROUNDS, line], iterations=5)
    assert profile.calls == 10
    assert profile.wall_s == pytest.approx(20e-6)
    assert profile.ops == (OpTime("A", 0.2, pytest.approx(6e-6)),)
    assert profile.outside_s == pytest.approx(18e-6)


def test_ops_side_by_side_cover_the_same_time():
    lines = [[span("a:A", 0, 60, "A")], [span("b:B", 30, 60, "B")], [span("c:C", 40, 10, "C")]]
    assert OpProfile.of([ROUNDS[:1], *lines], 1).outside_s == pytest.approx(10e-6)


def test_the_longest_are_kept():
    line = [span(f"x:Op{number}", number, 0.5, f"Op{number}") for number in range(99)]
    line[50] = span("x:Op50", 50, 1, "Op50")
    ops = OpProfile.of([ROUNDS[:1], line], 1).ops
    assert len(ops) == MOST_OPS
    assert ops[0].op == "Op50"


def test_a_trace_without_rounds_says_nothing():
    with pytest.raises(ValueError, match="no round"):
        OpProfile.of([[span("a:A", 0, 1, "A")]], 1)


def traced(**fields):
    ops = (OpTime("Conv2D", 2, 0.003), OpTime("Tanh\x1b[2J", 1, 0.0005))
    now = Trace("here", "x/plugins/profile/1", OpProfile(10, 0.005, 0.0015, ops))
    return Traces("/traces", "elsewhere", **{"now": now, **fields})


def test_summary_of_a_trace():
    assert render([Row("test_x", traced(problems=("no trace of main: why",)))], "here") == [
        "Traces on elsewhere: tensorboard --logdir /traces",
        "  test_x: x/plugins/profile/1",
        "    ms a call: 5; outside of ops 1.5; the ops' own: Conv2D 3, Tanh?[2J 0.5",
        "  test_x: no trace of main: why",
    ]
    assert render([Row("test_x", traced(now=None, problems=("no\n",)))], "elsewhere") == [
        "Traces: tensorboard --logdir /traces",
        "  test_x: no",
    ]
    assert render([], "here") == []


def test_summary_of_two_traces_side_by_side():
    ops = (OpTime("Conv2D", 2, 0.001), OpTime("Relu", 2, 0.0002))
    then = Trace("main", "x/plugins/profile/1-baseline", OpProfile(10, 0.0022, 0.001, ops))
    assert render([Row("test_x", traced(baseline=then))], "elsewhere")[1:] == [
        "  test_x: x/plugins/profile/1",
        "    baseline: main: x/plugins/profile/1-baseline",
        "    ms a call       now  baseline",
        "    Conv2D            3         1",
        "    Tanh?[2J        0.5         –",
        "    Relu              –       0.2",
        "    outside of ops  1.5         1",
        "    in all            5       2.2",
    ]
