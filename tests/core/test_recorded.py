"""What a saved run says of itself: nothing of it is believed."""

import json

import pytest

from pytest_tfthreads.core.baseline import BaselineError
from pytest_tfthreads.core.recorded import parse_recorded
from pytest_tfthreads.core.statistics import Estimate
from pytest_tfthreads.core.trace import OpProfile, OpTime, Trace, Traces
from pytest_tfthreads.core.verdict import Change, Verdict

VERDICT = Verdict(
    test="a::t",
    metric="throughput",
    status="regression",
    configuration="1×1",
    unit="images",
    now=Estimate(1.0, 0.5, 2.0),
    tolerance=0.05,
    reason="31 % slower",
    judged_against="0001_x.json",
    baseline=Estimate(2.0, None, None),
    change=Change(-0.3, -0.4, -0.2),
    detectable=0.1,
    corrected=True,
    advice=("save it",),
)
UNJUDGED = {"baseline": None, "change": None, "detectable": None}
WRONG = (True, "x", -2, [1], {}, float("nan"), 10**400)


PROFILE = OpProfile(10, 0.02, 0.004, (OpTime("Conv2D", 1.5, 0.01),))
TRACES = Traces("/traces", "host", Trace("now", "a", PROFILE), Trace("then", None, PROFILE), ("x",))


def saved(verdict, profile=None, **fields):
    ours = {"verdicts": [verdict], "profile": profile}
    one = {"fullname": "a::t", "extra_info": {"tf_threads": ours}, **fields}
    return json.dumps({"benchmarks": [one, {"fullname": "a::other"}]})


def test_verdicts_and_parameters_come_back():
    text = saved(VERDICT.to_json(), params={"intra": "1", "inter": "1", "n": 3, "m": [1]})
    found = parse_recorded(text, "x")
    assert found.verdicts == {"a::t": (VERDICT,)}
    assert found.parameters == {"a::t": '{"m": "[1]", "n": "3"}'}
    unjudged = parse_recorded(saved({**VERDICT.to_json(), **UNJUDGED}), "x").verdicts["a::t"][0]
    assert unjudged.change is None


def test_traces_come_back_and_wrong_ones_are_named():
    good = TRACES.to_json()
    assert parse_recorded(saved(VERDICT.to_json(), good), "x").traces == {"a::t": TRACES}
    for name, wrong in (("host", 1), ("problems", "x"), ("now", []), ("baseline", {"title": "x"})):
        with pytest.raises(BaselineError, match="'profile'"):
            parse_recorded(saved(VERDICT.to_json(), {**good, name: wrong}), "x")


@pytest.mark.parametrize("name", VERDICT.to_json())
def test_a_wrong_value_anywhere_is_named(name):
    good = VERDICT.to_json()
    texts = ("test", "configuration", "unit", "reason", "judged_against", "named")
    for wrong in WRONG:
        if (name in texts and wrong == "x") or (name == "corrected" and wrong is True):
            continue
        with pytest.raises(BaselineError, match=r"^x: a::t: verdicts\[0\]: '"):
            parse_recorded(saved({**good, name: wrong}), "x")


@pytest.mark.parametrize("name", sorted(VERDICT.to_json().keys() - UNJUDGED.keys() - {"named"}))
def test_a_missing_value_is_named(name):
    rest = {key: one for key, one in VERDICT.to_json().items() if key != name}
    with pytest.raises(BaselineError, match=f"'{name}' is missing"):
        parse_recorded(saved(rest), "x")


@pytest.mark.parametrize("name", ["value", "low", "high"])
def test_a_wrong_bound_is_named(name):
    for figure in ("now", "change"):
        bad = {**VERDICT.to_json()}
        bad[figure] = {**bad[figure], name: "wide"}
        with pytest.raises(BaselineError, match=f"'{figure}': '{name}' is 'wide'"):
            parse_recorded(saved(bad), "x")
