"""Orders, as they travel to a measuring process."""

import json

import pytest

from pytest_tfthreads.core.decode import DecodeError
from pytest_tfthreads.engine.order import ItemToRun, Order, PytestCall, SentOrder, Terms

CALL = PytestCall(
    args=("-k", "x"),
    argv=("pytest", "-k", "x"),
    invocation_dir="/project",
    sys_path=("/project", "/lib"),
    workerinput={"workerid": "gw0", "workercount": 2},
    options={"deselect": ["a"], "verbose": 1},
    roots=("/project",),
)
ITEM = ItemToRun("a.py::test_x[a]", "/project/a.py", "::test_x[a]", left_out=("flaky",))


def sent(**terms):
    return SentOrder(
        Order(CALL, ITEM, Terms(**{"intra": 2, "inter": 1, "cpu_count": 2, **terms})),
        start="fork",
        cpus=(0, 1),
        ordered_at_s=12.5,
    )


def test_an_order_arrives_as_it_was_sent():
    there = sent(iterations=3, rounds_a_turn=2, ring=0, budget_share=0.3)
    assert SentOrder.from_json(json.loads(json.dumps(there.to_json()))) == there


@pytest.mark.parametrize(
    ("terms", "problem"),
    [
        ({"intra": -1}, "intra is -1, not 0 or more"),
        ({"cpu_count": 0}, "cpu_count is 0, not 1 or more"),
        ({"iterations": 0}, "iterations is 0, not 1 or more"),
        ({"rounds_a_turn": 0}, "rounds_a_turn is 0, not 1 or more"),
        ({"budget_share": 0.0}, "budget_share is 0.0"),
        ({"budget_share": 1.5}, "budget_share is 1.5"),
        ({"traces": "/traces", "rounds_a_turn": 1}, "takes no turns"),
    ],
)
def test_terms_by_which_nothing_can_be_measured_are_refused(terms, problem):
    with pytest.raises(ValueError, match=problem):
        sent(**terms)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("start",), "spoon", "start is 'spoon'"),
        (("cpus", 1), True, "cpus[1] is True"),
        (("order", "call", "args"), "-k x", "order.call.args is '-k x'"),
        (("order", "terms", "intra"), "2", "order.terms.intra is '2'"),
        (("order", "terms", "inter"), -1, "order.terms is impossible: inter is -1"),
    ],
)
def test_what_is_no_order_is_refused_by_the_name_of_its_field(path, value, place):
    data = json.loads(json.dumps(sent().to_json()))
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(DecodeError) as caught:
        SentOrder.from_json(data)
    assert str(caught.value).startswith(place)
