"""Replies, as they travel from a measuring process, and what tests may send in their place."""

import errno
import json
import socket

import pytest

from pytest_tfthreads.core.benchmark_record import BenchmarkRecord
from pytest_tfthreads.core.decode import DecodeError, encode
from pytest_tfthreads.core.measurement import Pools, Sample
from pytest_tfthreads.core.op_profile import OpProfile, OpTime, TraceResult
from pytest_tfthreads.engine import reply
from pytest_tfthreads.engine.protocol import Connection
from pytest_tfthreads.engine.reply import (
    FINISHED,
    NOT_COLLECTED,
    RaisedError,
    RecordedWarning,
    Reply,
    lacks_memory,
    outcome_of_error,
)

SAMPLE = Sample(
    wall_s=(0.5, 0.25),
    cpu_s=(1.0, 0.5),
    iterations=2,
    warmup_rounds=50,
    setup_s=1.5,
    max_rss_bytes=1 << 30,
    voluntary_switches=3,
    involuntary_switches=4,
    cpus=(0, 1),
    ring=7,
)
RECORD = BenchmarkRecord(
    data=(0.25, 0.125),
    iterations=2,
    group=None,
    options={"warmup": True},
    extra_info={"note": [1, {"a": None}]},
    cprofile=(("a.py", 1, "f", 1, 1, 0.1, 0.2),),
)
FULL = Reply(
    FINISHED,
    reports=({"nodeid": "test_x", "outcome": "passed"},),
    warnings=(RecordedWarning("old", "builtins", "UserWarning", "a.py", 3, "test_x"),),
    benchmark=RECORD,
    sample=SAMPLE,
    items=64,
    unit="images",
    effective=Pools(2, 1),
    runtime={"tensorflow": "2.21.0"},
    flags=("retraced",),
    modules={"a": "/a.py"},
    trace=TraceResult(OpProfile(2, 0.5, 0.1, (OpTime("MatMul", 1.0, 0.4),))),
    uses_benchmark=True,
    raised={"call": (RaisedError((("builtins", "KeyError"),), "x", ("x",), {}),)},
    states=({"snapshots": 1},),
)


def sent(reply):
    """What comes out at the other end of a socket."""
    ours, theirs = (Connection(one) for one in socket.socketpair())
    theirs.send("reply", reply.to_json())
    body, _ = ours.receive()
    ours.close()
    theirs.close()
    assert body.pop("kind") == "reply"
    return body


@pytest.mark.parametrize(
    "reply", [FULL, Reply(NOT_COLLECTED, "why", other_ids=("test_y",))], ids=["full", "empty"]
)
def test_a_reply_arrives_as_it_was_sent(reply):
    assert Reply.from_json(sent(reply)) == reply


def test_what_a_test_leaves_in_its_extra_info_becomes_text_and_breaks_nothing():
    left = {"set": frozenset({1, "a"}), "object": SAMPLE, 3: ("a", b"b")}
    record = BenchmarkRecord((1.0,), 1, group=None, options={}, extra_info=left)
    arrived = Reply.from_json(sent(Reply(FINISHED, benchmark=record, sample=SAMPLE)))
    assert arrived.benchmark.extra_info["set"].startswith("frozenset(")
    assert arrived.benchmark.extra_info["object"].startswith("Sample(")
    assert arrived.benchmark.extra_info["3"] == ["a", "b'b'"]


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("outcome",), "splendid", "outcome is 'splendid'"),
        (("sample", "wall_s", 0), "x", "sample.wall_s[0] is 'x'"),
        (("sample", "wall_s"), [], "sample is impossible: 0 wall and 2 CPU times"),
        (("sample", "iterations"), True, "sample.iterations is True"),
        (("sample",), None, "is impossible: it has one of sample and benchmark"),
        (("benchmark", "data", 1), float("nan"), "benchmark.data[1] is nan"),
        (("benchmark", "cprofile"), [5], "benchmark.cprofile[0] is 5"),
        (("effective", "intra"), -1, "effective.intra is -1"),
        (("trace", "problem"), "both", "trace is impossible"),
        (("trace", "profile", "ops", 0, "op"), 1, "trace.profile.ops[0].op is 1"),
        (("warnings", 0, "lineno"), "3", "warnings[0].lineno is '3'"),
        (("raised", "call", 0, "classes"), [], "raised['call'][0] is impossible"),
        (("raised", "call"), [], "is impossible: something was raised"),
        (("modules", "a"), None, "modules['a'] is None"),
        (("exit_code",), "1", "exit_code is '1'"),
        (("items",), -1, "items is -1"),
        (("news",), 1, "news is in no reply"),
    ],
)
def test_what_is_no_reply_is_refused_by_the_name_of_its_field(path, value, place):
    data = json.loads(json.dumps(encode(FULL)))
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(DecodeError) as caught:
        Reply.from_json(data)
    assert str(caught.value).startswith(place)


def _raised(first, then=None, cause=False):
    try:
        try:
            raise first
        except BaseException as error:
            if then is None:
                raise
            if cause:
                raise then from error
            raise then  # noqa: B904 - as where an error is raised while another is handled
    except BaseException as error:
        return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (_raised(MemoryError()), "out-of-memory"),
        (_raised(OSError(errno.ENOMEM, "no memory")), "out-of-memory"),
        (_raised(MemoryError(), SystemError("no exception set")), "out-of-memory"),
        (_raised(MemoryError(), RuntimeError("of a plugin"), cause=True), "out-of-memory"),
        (_raised(KeyError(), SystemError("no exception set")), "internal-error"),
        (_raised(OSError(errno.EBADF, "closed")), "descriptors-closed"),
        (_raised(OSError(errno.ENOENT, "not there")), "internal-error"),
    ],
)
def test_whose_fault_it_is_that_pytest_itself_raised(error, outcome):
    assert outcome_of_error(error) == outcome


def test_a_ring_of_causes_has_an_end():
    first, second = KeyError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    assert not lacks_memory(first)
    second.__cause__ = MemoryError()
    assert lacks_memory(first)


def test_an_error_that_counts_as_false_is_looked_behind():
    class Empty(Exception):
        def __len__(self):
            return 0

    outer, inner = KeyError("outer"), Empty()
    outer.__cause__, inner.__context__ = inner, MemoryError()
    assert lacks_memory(outer)


def test_any_error_is_for_want_of_memory_where_not_even_a_little_can_be_had(monkeypatch):
    error = SystemError("error return without exception set")
    assert not lacks_memory(error)
    monkeypatch.setattr(reply, "_LITTLE_BYTES", 1 << 62)
    assert lacks_memory(error)
