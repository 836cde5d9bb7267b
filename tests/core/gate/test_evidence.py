"""Saved runs: what is read from them, what is refused, and what may be compared."""

import copy
import json
import math
import sys
from dataclasses import replace

import pytest

import builders
from pytest_tfthreads.core.comparable import why_not_comparable
from pytest_tfthreads.core.gate.evidence import history_of, pairs_of
from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import Change, Verdict
from pytest_tfthreads.core.json_text import loads
from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.op_profile import OpProfile, OpTime, Trace, Traces
from pytest_tfthreads.core.saved_runs import (
    BaselineError,
    StoredMeasurement,
    StoredRun,
    parse_run,
    read_run,
)
from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.core.threads import Configuration

TEST = "test_a.py::test_x[intra2-inter1]"
MACHINE = {"cpu": "Model X", "physical": 2, "logical": 4, "quota": None, "tensorflow": "2.21.0"}

PROFILE = OpProfile(10, 0.005, 0.001, (OpTime("Conv2D", 2.0, 0.003),))
TRACES = Traces(
    "traces",
    "here",
    now=Trace("the current tree", "x/plugins/profile/1", PROFILE),
    baseline=Trace("main", None, PROFILE),
    problems=("no room",),
)
VERDICT = Verdict(
    test=TEST,
    metric="throughput",
    status="pass",
    configuration="2×1",
    unit="images",
    now=Estimate(1.0, 0.5, 2.0),
    tolerance=0.05,
    reason="1 % slower",
    judged_against="0001_x.json",
    baseline=Estimate(2.0, None, None),
    change=Change(-0.3, -0.4, -0.2),
    detectable=0.1,
    corrected=True,
    advice=("save it",),
)
WHOSE = {
    "group": "test_a.py::test_x",
    "configuration": {
        "id": "intra2-inter1-X=1",
        "intra": "2",
        "inter": "auto",
        "instances": "physical/2",
    },
}


def measurement(**fields):
    one = builders.sample((0.5, 1.5), (1.0, 2.0), warmup_rounds=50, cpus=(0, 2))
    known = {"cpus": (0, 2), "items": 4, "samples": (one, one), "machine": MACHINE}
    return builders.measurement(**{**known, **fields})


DUET = {
    "against": "HEAD~1 (0123456789ab)",
    "pairs": [
        {"throughput": -0.02, "cpu_efficiency": 0.01},
        {"throughput": 0.015, "cpu_efficiency": 0},
    ],
}
PAIRS = (Pair(-0.02, 0.01), Pair(0.015, 0.0))


def duet(**fields):
    """All that can be saved of a measurement: it was compared side by side, and traced."""
    return {
        **measurement().to_json(),
        **copy.deepcopy(WHOSE),
        "duet": {**copy.deepcopy(DUET), **fields},
        "profile": TRACES.to_json(),
        "verdicts": [VERDICT.to_json()],
        "test": TEST,
    }


def stored(**fields):
    """What is read of it; `fields` of the measurement."""
    return StoredMeasurement(
        TEST,
        TEST,
        Configuration("intra2-inter1", "2", "1"),
        measurement(**fields),
    )


def saved(ours=None, **fields):
    """A file as pytest-benchmark writes it, with one test of ours and one without our data."""
    ours = measurement().to_json() if ours is None else ours
    return {
        "machine_info": {"node": "host"},
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "benchmarks": [
            {"name": "x", "fullname": TEST, "extra_info": {"tf_threads": ours}},
            {"name": "y", "fullname": "test_a.py::test_y", "extra_info": {"mine": 1}},
        ],
        "datetime": "2025-11-23T05:47:00",
        "version": "5.1.0",
        **fields,
    }


def run(label="0001_x.json", **fields):
    return StoredRun(label, "2025-11-23", "abc", False, {TEST: (stored(**fields),)})


def only(run):
    """The only measurement of the only test."""
    ((one,),) = run.tests.values()
    return one


def test_reads_what_was_saved():
    run = parse_run(json.dumps(saved()), "0001_x.json")
    assert run.tests == {TEST: (stored(),)}
    assert run.commit == "0123456789abcdef"
    assert run.title == "0001_x.json (2025-11-23T05:47:00, commit 0123456789ab)"


@pytest.mark.parametrize("text", ['{"a": [1.5, NaN, -Infinity]}', "{", "[" * 100_000, '"\\ud800"'])
def test_json_is_read_alike_with_and_without_orjson(monkeypatch, text):
    def read():
        try:
            return repr(loads(text))
        except (ValueError, RecursionError) as error:
            return str(error)

    found = read()
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert read() == found


@pytest.mark.parametrize(
    "times_s", [(math.nan, 1.0), (1.0, math.inf), (-1.0, 2.0), (1e301, 1.0), (True, 1.0)]
)
def test_one_wrong_round_among_many(times_s):
    ours = measurement().to_json()
    ours["processes"][1]["wall_s"] = [*[0.5] * 50, *times_s]
    ours["processes"][1]["cpu_s"] = [0.5] * 52
    with pytest.raises(
        BaselineError, match=r"processes\[1\].wall_s\[5[01]\] is .*, not a finite number >= 0"
    ):
        parse_run(json.dumps(saved(ours)), "x")


def test_rounds_of_whole_seconds_and_of_ages():
    ours = measurement().to_json()
    ours["processes"][0].update(wall_s=[1, 2, 0.5], cpu_s=[1.0] * 3)
    assert only(parse_run(json.dumps(saved(ours)), "x")).measurement.samples[0].wall_s[1] == 2
    for process in ours["processes"]:
        process.update(wall_s=[1e290] * 3, cpu_s=[1.0] * 3)
    assert only(parse_run(json.dumps(saved(ours)), "x")).measurement.throughput.value > 0
    ours["processes"][1].update(wall_s=[1e-300], cpu_s=[1.0])
    with pytest.raises(BaselineError, match=r"tf_threads\.processes are impossible"):
        parse_run(json.dumps(saved(ours)), "x")


def test_uncommitted_changes_are_told():
    data = saved(commit_info={"id": "0123456789abcdef", "dirty": True})
    assert parse_run(json.dumps(data), "x").title.endswith("commit 0123456789ab and changes)")


@pytest.mark.parametrize("info", [None, {}, {"id": None}, {"error": "no git"}, {"id": 3}])
def test_a_run_without_a_commit(info):
    assert parse_run(json.dumps(saved(commit_info=info)), "x").commit is None


def test_files_of_older_versions_and_unknown_fields():
    ours = measurement().to_json()
    for sample in ours["processes"]:
        for name in ("ring", "turn_rounds", "reference_wall_s", "reference_cpu_s"):
            del sample[name]
        sample["later"] = "?"
    ours["later"] = "?"
    assert only(parse_run(json.dumps(saved(ours)), "x")) == stored()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON, or cut off"),
        ("no json", "no JSON, or cut off"),
        (json.dumps(saved())[:-40], "no JSON, or cut off"),
        ("[" * 100_000, "no JSON, or cut off"),
        ('{"a": ' + "9" * 5000 + "}", "no JSON, or cut off"),
        ("[]", "no saved run of pytest-benchmark"),
        ('"text"', "no saved run of pytest-benchmark"),
        ('{"benchmarks": []}', "no saved run of pytest-benchmark"),
        (json.dumps(saved(benchmarks=[])), "none of its benchmarks was measured by"),
        (json.dumps(saved(benchmarks=saved()["benchmarks"][1:])), "none of its benchmarks"),
        (json.dumps(saved(benchmarks=3)), "benchmarks is 3, not a list"),
        (json.dumps(saved(benchmarks=[3])), r"benchmarks\[0\] is 3, not an object"),
        (json.dumps(saved(benchmarks=[{}])), r"benchmarks\[0\].fullname is missing"),
        (json.dumps(saved(benchmarks=saved()["benchmarks"] * 2)), "is in it twice"),
        (json.dumps(saved(datetime=7)), "datetime is 7, not text"),
        (json.dumps(saved(commit_info="abc")), "commit_info is 'abc', not an object"),
        (json.dumps(saved({**measurement().to_json(), "schema": 2})), "schema 2 is newer than 1"),
        (json.dumps(saved([])), "tf_threads is a list, not an object"),
    ],
)
def test_unusable_files(text, message):
    with pytest.raises(BaselineError, match=message) as caught:
        parse_run(text, "0001_x.json")
    assert str(caught.value).startswith("0001_x.json: ")


def test_unreadable_files(tmp_path):
    with pytest.raises(BaselineError, match=r"none\.json: cannot be read"):
        read_run(tmp_path / "none.json")
    with pytest.raises(BaselineError, match="cannot be read"):
        read_run(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'"\xe4"')
    with pytest.raises(BaselineError, match=r"latin\.json: cannot be read"):
        read_run(tmp_path / "latin.json")
    (tmp_path / "fine.json").write_text(json.dumps(saved()))
    assert only(read_run(tmp_path / "fine.json")) == stored()


WRONG = [None, True, -1, 1e308, 10**400, float("nan"), float("inf"), "text", [], [None], {}, [[]]]
MAY_BE_MISSING = {
    "": {"duet", "profile", "verdicts", "group", "configuration", "test", "flags"},
    "processes": {
        *("ring", "turn_rounds", "turns_missed"),
        *("reference_wall_s", "reference_cpu_s", "contention"),
    },
    "machine": {"tensorflow"},
    "profile": {"now", "baseline", "problems"},
    "verdicts": {
        "measured",
        "judged_by",
        "no_duet",
        "software",
        "pairs_to_decide",
        "judged_against",
        "baseline",
        "change",
        "detectable",
        "corrected",
        "advice",
        "rule",
        "named",
        "confidence",
    },
    "configuration": {"instances"},
    "duet": {"took_turns", "of_saved_run"},
    "effective": set(),
}
"""By the field that it is in: of older versions, or where there was nothing to record."""
FOLLOWS = {"throughput", "cpu_efficiency", "cores_used", "utilization", "contention"}
"""What follows from the rest, and is not read."""


def places(data, path=()):
    """Paths of every value in the JSON that is read."""
    yield path
    inner = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in inner:
        if path or key not in FOLLOWS:
            yield from places(value, (*path, key))


def changed(data, path, value):
    data = copy.deepcopy(data)
    *outer, last = path
    target = data
    for key in outer:
        target = target[key]
    target[last] = value
    return data


@pytest.mark.parametrize(
    "path",
    [path for path in places(duet()) if path],
    ids=lambda path: ".".join(map(str, path)),
)
def test_any_wrong_value_is_one_clear_error_or_harmless(path):
    refused = 0
    for value in WRONG:
        text = json.dumps(saved(changed(duet(), path, value)))
        try:
            run = parse_run(text, "0001_x.json")
        except BaselineError as error:
            refused += 1
            assert str(error).startswith(f"0001_x.json: {TEST}: tf_threads")  # noqa: PT017
        else:  # what is let through can be judged
            one = only(run)
            assert one.measurement.throughput.value > 0
            assert one.measurement.cpu_efficiency.value > 0
            assert all(abs(pair.throughput) < 1e3 for pair in one.pairs)
            assert all(abs(pair.cpu_efficiency) < 1e3 for pair in one.pairs)
            assert one.candidate.threads.id
            assert StoredRun.from_json(json.loads(json.dumps(run.to_json()))) == run
    # Text is fine where text is expected, an empty list of flags is fine, and so on.
    assert refused >= 7, path


@pytest.mark.parametrize(
    "path",
    [path for path in places(duet()) if path and isinstance(path[-1], str)],
    ids=lambda path: ".".join(map(str, path)),
)
def test_any_missing_field_is_named(path):
    ours = duet()
    *outer, last = path
    target = ours
    for key in outer:
        target = target[key]
    del target[last]
    if last in MAY_BE_MISSING[outer[0] if outer else ""]:
        parse_run(json.dumps(saved(ours)), "x")
        return
    with pytest.raises(BaselineError, match=rf"tf_threads.*{last}(\.cpu)? is missing"):
        parse_run(json.dumps(saved(ours)), "x")


@pytest.mark.parametrize("value", [0, []])
def test_measurements_of_nothing(value):
    ours = {**measurement().to_json(), "items" if value == 0 else "processes": value}
    with pytest.raises(BaselineError, match="impossible"):
        parse_run(json.dumps(saved(ours)), "x")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"machine": {**MACHINE, "cpu": "Model Y"}}, "CPU model: Model Y now, Model X then"),
        ({"machine": {**MACHINE, "physical": 4}}, "physical CPUs granted: 4 now, 2 then"),
        ({"machine": {**MACHINE, "logical": 8}}, "logical CPUs granted: 8 now, 4 then"),
        ({"machine": {**MACHINE, "quota": 2.5}}, "CPU quota: 2.5 now, none then"),
        ({"start": "fresh"}, "start of processes: fresh now, fork then"),
        ({"cpus": (0,)}, "CPUs of the test: 1 now, 2 then"),
        ({"requested": Pools(1, 1)}, "intra-op threads asked for: 1 now, 2 then"),
        ({"requested": Pools(2, 0)}, "inter-op threads asked for: 0 now, 1 then"),
        (
            {"instances": 2, "instance_cpus": ((0,), (1,)), "cpus": (0,)},
            "instances at once: 2 now, 1 then",
        ),
        ({"unit": "tokens"}, "unit: tokens now, images then"),
        ({"items": 8}, "items a call: 8 now, 4 then"),
    ],
)
def test_what_cannot_be_compared(fields, words):
    assert why_not_comparable(measurement(**fields), measurement()) == words


def test_releases_other_cpus_of_the_same_kind_and_clocks_can_be_compared():
    machine = {**MACHINE, "tensorflow": "2.16.1", "python": "3.10.1", "mhz": 1}
    other = measurement(machine=machine, cpus=(1, 3), effective=None)
    assert why_not_comparable(other, measurement()) is None


def test_history_is_what_can_be_compared_and_its_last_is_the_baseline():
    runs = [run("1"), run("2", start="fresh"), run("3", unit="images"), run("4", start="fresh")]
    history = history_of(runs, TEST, measurement())
    assert len(history.measurements) == 2
    assert history.baseline.startswith("3 (")


def test_a_named_run_is_the_baseline_or_nothing_is():
    runs = [run("1"), run("2", start="fresh")]
    history = history_of(runs, TEST, measurement(), named=True)
    assert (history.measurements, history.status) == ((), "not-comparable")
    assert "2 (2025-11-23, commit abc) is not comparable: start of processes" in history.problem
    empty = replace(run("2"), tests={})
    history = history_of([run("1"), empty], TEST, measurement(), named=True)
    assert history.status == "no-baseline"
    assert "was not measured in 2 (" in history.problem


def test_no_history():
    assert "--benchmark-save" in history_of([], TEST, measurement()).problem
    none = history_of([run("1"), run("2")], "renamed", measurement())
    assert none.status == "no-baseline"
    assert none.problem == "the test was not measured in any of 2 saved runs"
    other = history_of([run("1", unit="x")], TEST, measurement())
    assert other.status == "not-comparable"
    assert "unit: images now, x then" in other.problem


def judged(status):
    verdicts = [VERDICT, replace(VERDICT, status=status)]
    return {**measurement().to_json(), "verdicts": [one.to_json() for one in verdicts]}


def test_a_run_that_had_regressed_is_no_baseline_unless_it_is_named():
    good, bad = (
        parse_run(json.dumps(saved(judged(status))), f"{status}.json")
        for status in ("pass", "regression")
    )
    assert (good.has_regressed, bad.has_regressed) == (False, True)
    assert history_of([good, bad], TEST, measurement()).baseline.startswith("pass.json")
    named = history_of([good, bad], TEST, measurement(), named=True)
    assert named.baseline.startswith("regression.json")


@pytest.mark.parametrize("verdicts", ["none", [1], [{}], [{"status": 3}]])
def test_wrong_verdicts_are_named(verdicts):
    data = saved({**measurement().to_json(), "verdicts": verdicts})
    with pytest.raises(BaselineError, match=r"tf_threads\.verdicts"):
        parse_run(json.dumps(data), "x.json")


def test_pairs_are_read_from_the_file():
    assert only(parse_run(json.dumps(saved(duet())), "x")).pairs == PAIRS
    assert [Pair.from_json(one.to_json()) for one in PAIRS] == list(PAIRS)
    assert DUET["pairs"] == [one.to_json() for one in PAIRS]


def test_what_a_trace_says_is_read_from_the_file():
    traced = parse_run(json.dumps(saved(duet())), "x")
    assert only(traced).traces == TRACES
    history = history_of([run("1"), traced], TEST, measurement())
    assert history.trace == Trace(traced.title, None, TRACES.now.profile)
    assert history_of([traced, run("2")], TEST, measurement()).trace is None
    assert Traces.from_json(TRACES.to_json()) == TRACES


@pytest.mark.parametrize(
    ("fields", "took_turns"),
    [
        ({}, True),  # of earlier versions
        ({"pairs": []}, False),
        ({"took_turns": None}, True),
        ({"took_turns": True}, True),
        ({"took_turns": False}, False),
        ({"took_turns": True, "pairs": []}, True),  # and nothing came of it
    ],
)
def test_whose_turns_the_measurement_took_is_read_from_the_file(fields, took_turns):
    read = parse_run(json.dumps(saved(duet(**fields))), "x")
    assert only(read).took_turns_with_baseline is took_turns
    assert only(read.condensed()).took_turns_with_baseline is took_turns
    assert not only(run()).took_turns_with_baseline


@pytest.mark.parametrize(
    ("fields", "is_named"),
    [({}, False), ({"of_saved_run": True}, False), ({"of_saved_run": False}, True)],
)
def test_whether_the_user_named_the_other_side_is_read_from_the_file(fields, is_named):
    read = parse_run(json.dumps(saved(duet(**fields))), "x")
    assert only(read).beside_named is is_named
    assert only(read.condensed()).beside_named is is_named


@pytest.mark.parametrize("ours", [measurement().to_json(), duet(pairs=[])], ids=["absent", "empty"])
def test_no_pairs(ours):
    assert only(parse_run(json.dumps(saved(ours)), "x")).pairs == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("-0.1", r"tf_threads\.duet\.pairs\[1\]\.throughput is '-0.1', not a finite number"),
        (True, "throughput is True, not a finite number"),
        (-101, "throughput is -101, not a finite number between -100 and 100"),
        (float("nan"), "throughput is nan, not a finite number between"),
        (10**400, "throughput is a huge number, not a finite number between"),
    ],
)
def test_wrong_pairs_are_named(value, message):
    wrong = duet(pairs=[DUET["pairs"][0], {"throughput": value, "cpu_efficiency": 0}])
    with pytest.raises(BaselineError, match=message):
        parse_run(json.dumps(saved(wrong)), "x")


def test_pairs_of_the_latest_comparable_runs():
    def one(number, **fields):
        paired = replace(stored(**fields), pairs=(Pair(number, number),))
        return replace(run(str(number)), tests={TEST: (paired,)})

    runs = [one(n) for n in range(7)]
    runs[5] = one(5, start="fresh")
    runs.append(run("unpaired"))
    found = pairs_of(runs, TEST, measurement())
    assert [pairs[0].throughput for pairs in found] == [1, 2, 3, 4, 6]
    assert pairs_of(runs, "renamed", measurement()) == []
    assert pairs_of([], TEST, measurement()) == []


@pytest.mark.parametrize(
    ("against", "is_of_environments"),
    [
        ("/venv/bin/python (Python 3.11.7)", True),
        ("/venv/bin/python (Python 3.11.7), TensorFlow 2.20.0 (here 2.21.0)", True),
        ("0123456789ab (main)", False),
        ("0123456789ab, TensorFlow 2.20.0 (here 2.21.0)", False),
    ],
)
def test_whether_another_environment_was_the_other_side(against, is_of_environments):
    read = parse_run(json.dumps(saved(duet(against=against))), "x")
    assert only(read).beside_environment is is_of_environments


def test_verdicts_and_whose_measurement_it_was_come_back():
    one = only(parse_run(json.dumps(saved(duet())), "x"))
    assert one.verdicts == (VERDICT,)
    assert one.group == "test_a.py::test_x"
    assert one.candidate.id == "intra2-inter1-X=1"
    assert one.candidate.threads.inter.text == "auto"
    assert one.candidate.threads.instances.text == "physical/2"
    unjudged = replace(VERDICT, baseline=None, change=None, detectable=None)
    ours = {**duet(), "verdicts": [unjudged.to_json()]}
    assert only(parse_run(json.dumps(saved(ours)), "x")).verdicts == (unjudged,)


@pytest.mark.parametrize("inter", ["", "2 * physical", "1x", "99999", "9" * 5000, "-1"])
def test_a_configuration_that_is_none(inter):
    ours = duet()
    ours["configuration"] = {**ours["configuration"], "inter": inter}
    with pytest.raises(BaselineError, match=r"tf_threads\.configuration is impossible: "):
        parse_run(json.dumps(saved(ours)), "x")


def test_a_configuration_of_a_version_that_knew_no_instances():
    ours = duet()
    ours["configuration"] = {"id": "x", "intra": "2", "inter": "auto"}
    assert only(parse_run(json.dumps(saved(ours)), "x")).candidate.threads.instances is None


@pytest.mark.parametrize("instances", ["", "0", "auto", "fill/2", "9" * 5000])
def test_a_configuration_whose_instances_are_no_number(instances):
    ours = duet()
    ours["configuration"] = {**ours["configuration"], "instances": instances}
    with pytest.raises(BaselineError, match=r"configuration is impossible: instances: "):
        parse_run(json.dumps(saved(ours)), "x")


def test_a_run_without_configurations_that_nobody_could_have_asked_for():
    ours = {**measurement().to_json(), "intra": 10**6}
    with pytest.raises(BaselineError, match="1000000 threads are more than"):
        parse_run(json.dumps(saved(ours)), "x")


def test_what_is_wrong_with_a_file_cannot_act_on_a_terminal():
    data = saved({**measurement().to_json(), "cpus": []})
    data["benchmarks"][0]["fullname"] = "test_x[\x1b[31m\x9b\ud800\u202e]"
    with pytest.raises(BaselineError, match="cpus is empty") as caught:
        parse_run(json.dumps(data), "x\n.json")
    assert str(caught.value).isprintable()
